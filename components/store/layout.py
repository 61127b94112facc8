"""The tree of the store: one function for each kind of key, and no key spelled anywhere else.

    filters/<filter>/v<N>/<digest>.yaml             a filter as a run resolved it
    models/<model>@<revision>/model.json            which bytes a mirrored base model means now: a pointer
    models/<model>@<revision>/<digest>/…            its files
    inputs/<digest>/<file name>                     a local file, uploaded for the pods of a run
    samples/<digest>/…                              a drawn sample of articles
    labels/<filter>/<digest>/<n>.jsonl              the label journal of one rubric and oracle, in segments
    labels/<filter>/<digest>/run.json               which run writes that journal now
    labelsets/<digest>/…                            labels as a run ended with them
    calibrations/<filter>/<rubric>-<oracle>.json    is the rubric worth paying this oracle for?
    calibrations/<filter>/attempts.json             the samples that earlier rubrics were judged on
    calibrations/<filter>/reviews/<digest>.html     the page on which a person marks a sample
    noise/<filter>/<rubric>-<oracle>.json           how far the oracle disagrees with itself
    audits/<digest>/…                               what makes labels unfit to learn from
    datasets/<digest>/…                             a split: train, validation and test
    datasets/frozen/<filter>/<policy>.json          the test parts that new labels never change
    checkpoints/<inputs>/state.pt                   where a training that was stopped goes on
    adapters/<filter>/<digest>/…                    a trained student
    baselines/<split>/<digest>.parquet              what simple methods predict for a split's test part
    judgements/<adapter>/<test>/predictions/<digest>.parquet
    judgements/<adapter>/<test>/benchmark/<digest>.json
    verdicts/<filter>/<digest>.json                 what the gates say of an adapter
    channels/<filter>/<channel>.json                which adapter serves, and what served before: a pointer
    channels/<filter>/<channel>.candidate.json      the adapter that waits for approval: a pointer
    steps/<step>/<inputs>.json                      what a step put out, to be reused for the same inputs
    runs/<inputs>.json                              which run has these inputs: a claim
    runs/<run>/<step>.json, failure.json, cancelled.json, events/<step>.jsonl, report.html, report.md
    summaries/<adapter>.json                        the run that made or judged an adapter
    summaries/last/<filter>.json                    the filter's last run
    scores/<job>/…                                  a scored corpus, unless it lies at another address:
      part-<n>.parquet, _rejects.jsonl, _SUCCESS
      _job/plan.json, part-<n>.json, rejects-<n>.jsonl, todo-<digest>.json
    _probe/…                                        what a bucket is tested with

Everything below a <digest> is written once. Pointers, claims, records and the growing end of a journal are changed by
conditional put. A folder marked … after a digest is one that `Store.commit` wrote: its manifest.json names each file.
"""

from __future__ import annotations

import re
from typing import Final

from distillery.components.store.digests import as_digest
from distillery.components.store.objects import check_key

MANIFEST: Final = "manifest.json"

# Folders of what `Store.commit` wrote; `Store.folder` takes one of these and a digest.
SAMPLES: Final = "samples"
LABEL_SETS: Final = "labelsets"
AUDITS: Final = "audits"
SPLITS: Final = "datasets"

# Folders to be listed.
MODELS: Final = "models"
SUMMARIES: Final = "summaries"

# Below an address of scores.
SCORING_PLAN: Final = "_job/plan.json"
REJECTS: Final = "_rejects.jsonl"
SUCCESS: Final = "_SUCCESS"

# What a bucket is tested with: can it be written, and does it heed conditions?
WRITE_PROBE: Final = "_probe/write"
CONDITION_PROBE: Final = "_probe/conditional-write"

_POINTER = "model.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._@=-]+")


def committed_key(folder: str, digest: str, file: str = MANIFEST) -> str:
    """Return the key of one file that `Store.commit` wrote below `folder`."""
    return f"{folder}/{digest}/{file}"


def published_filter_key(name: str, version: int, digest: str) -> str:
    """Return the key of a resolved filter, named by the digest of its bytes."""
    return f"filters/{name}/v{version}/{digest}.yaml"


def model_folder(name: str, revision: str) -> str:
    """Return the folder in which the versions of a mirrored base model lie."""
    return f"{MODELS}/{name}@{revision}"


def model_pointer_key(name: str, revision: str) -> str:
    """Return the key of the document that says which version of a mirrored base model counts."""
    return f"{model_folder(name, revision)}/{_POINTER}"


def model_of_pointer(key: str) -> tuple[str, str] | None:
    """Return name and revision of the model whose pointer lies at `key`; None for any other key."""
    if not (key.startswith(f"{MODELS}/") and key.endswith(f"/{_POINTER}")):
        return None
    name, separator, revision = key.removeprefix(f"{MODELS}/").removesuffix(f"/{_POINTER}").rpartition("@")
    return (name, revision) if separator else None


def input_key(digest: str, file_name: str) -> str:
    """Return the key of an uploaded input file.

    Args:
        digest: sha256 of the file's bytes.
        file_name: name of the file on the user's machine; whatever can't stand in a key becomes a hyphen.
    """
    return f"inputs/{digest}/{_UNSAFE.sub('-', file_name).lstrip('.') or 'input'}"


def journal_folder(name: str, digest: str) -> str:
    """Return the folder of a filter's label journal. `digest` covers rubric and oracle."""
    return f"labels/{name}/{digest}"


def journal_segment_key(folder: str, number: int) -> str:
    """Return the key of segment `number`, from 0, of the journal in `folder`."""
    return f"{folder}/{number:06d}.jsonl"


def run_lock_key(folder: str) -> str:
    """Return the key of the document that says which run writes the journal in `folder`."""
    return f"{folder}/run.json"


def calibration_key(name: str, rubric: str, oracle: str) -> str:
    """Return the key of a rubric's calibration with an oracle; InputError where one of them is no digest."""
    return f"calibrations/{name}/{as_digest(rubric, 'rubric')}-{as_digest(oracle, 'oracle')}.json"


def calibration_attempts_key(name: str) -> str:
    """Return the key of the list of samples that a filter's rubrics were calibrated on."""
    return f"calibrations/{name}/attempts.json"


def review_key(name: str, digest: str) -> str:
    """Return the key of a review page, named by the digest of its bytes."""
    return f"calibrations/{name}/reviews/{digest}.html"


def noise_key(name: str, rubric: str, oracle: str) -> str:
    """Return the key of an oracle's noise on a rubric; InputError where one of them is no digest."""
    return f"noise/{name}/{as_digest(rubric, 'rubric')}-{as_digest(oracle, 'oracle')}.json"


def frozen_key(name: str, policy: str) -> str:
    """Return the key of a filter's frozen test parts under the split policy of digest `policy`."""
    return f"{SPLITS}/frozen/{name}/{policy}.json"


def checkpoint_key(inputs: str) -> str:
    """Return the key of a training's last checkpoint. `inputs` is the digest of the training's inputs."""
    return f"checkpoints/{inputs}/state.pt"


def adapters_folder(name: str) -> str:
    """Return the folder of a filter's adapters."""
    return f"adapters/{name}"


def baselines_key(split: str, digest: str) -> str:
    """Return the key of the baselines' predictions for the test part of a split."""
    return f"baselines/{split}/{digest}.parquet"


def predictions_key(adapter: str, test: str, digest: str) -> str:
    """Return the key of an adapter's predictions for the test part of digest `test`."""
    return f"judgements/{adapter}/{test}/predictions/{digest}.parquet"


def benchmark_key(adapter: str, test: str, digest: str) -> str:
    """Return the key of an adapter's benchmark on the test part of digest `test`."""
    return f"judgements/{adapter}/{test}/benchmark/{digest}.json"


def verdict_key(name: str, digest: str) -> str:
    """Return the key of a verdict on an adapter of filter `name`; InputError where `digest` is none."""
    return f"verdicts/{name}/{as_digest(digest, 'verdict')}.json"


def channel_key(name: str, channel: str) -> str:
    """Return the key of a filter's channel; InputError where the channel's name can't stand in a key."""
    return check_key(f"channels/{name}/{channel}.json")


def candidate_key(name: str, channel: str) -> str:
    """Return the key of the adapter that waits for approval on a channel."""
    return channel_key(name, f"{channel}.candidate")


def step_record_key(step: str, inputs: str) -> str:
    """Return the key under which a step's outputs are found again. `inputs` is the digest of its inputs."""
    return f"steps/{step}/{inputs}.json"


def claim_key(inputs: str) -> str:
    """Return the key of the claim on a run. `inputs` is the digest of the run's inputs."""
    return f"runs/{inputs}.json"


def run_record_key(run: str, step: str) -> str:
    """Return the key of the record that a step left in a run."""
    return f"runs/{run}/{step}.json"


def failure_key(run: str) -> str:
    """Return the key of what went wrong in a run."""
    return run_record_key(run, "failure")


def cancelled_key(run: str) -> str:
    """Return the key of the note that somebody cancelled a run."""
    return run_record_key(run, "cancelled")


def events_folder(run: str) -> str:
    """Return the folder in which the steps of a run leave their events."""
    return f"runs/{run}/events"


def events_key(run: str, step: str) -> str:
    """Return the key of the events of one step of a run."""
    return f"{events_folder(run)}/{step}.jsonl"


def report_key(run: str, suffix: str = "html") -> str:
    """Return the key of a run's report. `suffix` is "html" or "md"."""
    return f"runs/{run}/report.{suffix}"


def summary_key(adapter: str) -> str:
    """Return the key of the summary of the run that made or judged an adapter."""
    return f"{SUMMARIES}/{adapter}.json"


def last_summary_key(name: str) -> str:
    """Return the key of the summary of the last run of filter `name`."""
    return f"{SUMMARIES}/last/{name}.json"


def scores_folder(job: str) -> str:
    """Return the folder in which the scores of a job lie, unless the user gives another address."""
    return f"scores/{job}"


def part_key(index: int, suffix: str) -> str:
    """Return the key of part `index` below an address of scores. `suffix` is "parquet" or "jsonl"."""
    return f"part-{index:05}.{suffix}"


def part_facts_key(index: int) -> str:
    """Return the key, below an address of scores, of what is known about part `index`."""
    return f"_job/part-{index:05}.json"


def part_rejects_key(index: int) -> str:
    """Return the key, below an address of scores, of the rows that part `index` left out."""
    return f"_job/rejects-{index:05}.jsonl"


def todo_key(digest: str) -> str:
    """Return the key, below an address of scores, of a list of parts that were left to do."""
    return f"_job/todo-{digest}.json"


def is_probe(key: str) -> bool:
    """True if the object at `key` was written to test a bucket and is nobody's data."""
    return "/_probe/" in f"/{key}" or key.startswith("probe/")  # where they lay before
