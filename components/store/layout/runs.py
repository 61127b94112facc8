"""Keys of runs: claims, records, events, reports, summaries, and the scores of a corpus."""

from __future__ import annotations

from typing import Final

from distillery.components.store.digests import as_digest

# Folders to be listed.
RUNS: Final = "runs"
SCORES: Final = "scores"
SUMMARIES: Final = "summaries"

# Below an address of scores.
SCORING_PLAN: Final = "_job/plan.json"
REJECTS: Final = "_rejects.jsonl"
SUCCESS: Final = "_SUCCESS"
PASSES: Final = "_passes.json"

# What a bucket is tested with: can it be written, and does it heed conditions?
WRITE_PROBE: Final = "_probe/write"
CONDITION_PROBE: Final = "_probe/conditional-write"


def step_record_key(step: str, inputs: str) -> str:
    """Return the key under which a step's outputs are found again for the same inputs.

    Args:
        step: name of the step.
        inputs: digest of the inputs.

    Returns:
        The key.
    """
    return f"{step_records_folder(step)}/{inputs}.json"


def step_records_folder(step: str) -> str:
    """Return the folder in which a step's outputs are found again.

    Args:
        step: name of the step.

    Returns:
        The folder.
    """
    return f"steps/{step}"


def claim_key(inputs: str) -> str:
    """Return the key that says which run has these inputs.

    Args:
        inputs: digest of the inputs.

    Returns:
        The key.
    """
    return f"{RUNS}/{inputs}.json"


def run_record_key(run: str, step: str) -> str:
    """Return the key of the record that a step left in a run.

    Args:
        run: name of the run.
        step: name of the step.

    Returns:
        The key.
    """
    return f"{RUNS}/{run}/{step}.json"


def failure_key(run: str) -> str:
    """Return the key of what went wrong in a run.

    Args:
        run: name of the run.

    Returns:
        The key.
    """
    return run_record_key(run, "failure")


def cancelled_key(run: str) -> str:
    """Return the key of the note that somebody cancelled a run.

    Args:
        run: name of the run.

    Returns:
        The key.
    """
    return run_record_key(run, "cancelled")


def events_folder(run: str) -> str:
    """Return the folder in which the steps of a run leave their events.

    Args:
        run: name of the run.

    Returns:
        The folder.
    """
    return f"{RUNS}/{run}/events"


def events_key(run: str, step: str) -> str:
    """Return the key of the events of one step of a run.

    Args:
        run: name of the run.
        step: name of the step.

    Returns:
        The key.
    """
    return f"{events_folder(run)}/{step}.jsonl"


def report_key(run: str, suffix: str = "html") -> str:
    """Return the key of a run's report.

    Args:
        run: name of the run.
        suffix: "html" or "md".

    Returns:
        The key.
    """
    return f"{RUNS}/{run}/report.{suffix}"


def log_key(run: str) -> str:
    """Return the key of what the processes of a run printed, where it ran on one machine.

    Args:
        run: name of the run.

    Returns:
        The key.
    """
    return f"{RUNS}/{run}/run.log"


def summary_key(adapter: str) -> str:
    """Return the key of the summary of the run that made or judged an adapter.

    Args:
        adapter: digest of the adapter.

    Returns:
        The key.
    """
    return f"{SUMMARIES}/{adapter}.json"


def adapters_beginning_key(digits: str) -> str:
    """Return the key of the list of adapters whose digests begin alike.

    Args:
        digits: the first 8 digits of a digest.

    Returns:
        The key.
    """
    return f"{SUMMARIES}/beginning/{digits}.json"


def last_summary_key(name: str) -> str:
    """Return the key of the summary of a filter's last run.

    Args:
        name: name of the filter.

    Returns:
        The key.
    """
    return f"{SUMMARIES}/last/{name}.json"


def scores_folder(job: str) -> str:
    """Return the folder in which the scores of a job lie, unless the user gives another address.

    Args:
        job: digest of the scoring job.

    Returns:
        The folder.
    """
    return f"{SCORES}/{job}"


def part_key(index: int, suffix: str) -> str:
    """Return the key of one part below an address of scores.

    Args:
        index: number of the part, from 0.
        suffix: "parquet" or "jsonl".

    Returns:
        The key.
    """
    return f"part-{index:05}.{suffix}"


def part_facts_key(index: int) -> str:
    """Return the key, below an address of scores, of what is known about a part.

    Args:
        index: number of the part, from 0.

    Returns:
        The key.
    """
    return f"_job/part-{index:05}.json"


def part_rejects_key(index: int) -> str:
    """Return the key, below an address of scores, of the rows that a part left out.

    Args:
        index: number of the part, from 0.

    Returns:
        The key.
    """
    return f"_job/rejects-{index:05}.jsonl"


def todo_key(digest: str) -> str:
    """Return the key, below an address of scores, of a list of parts that were left to do.

    Args:
        digest: sha256 of the document.

    Returns:
        The key.
    """
    return f"_job/todo-{digest}.json"


def histograms_key(digest: str) -> str:
    """Return the key, below an address of scores, of how the scores of all parts are spread.

    Args:
        digest: sha256 of the document.

    Returns:
        The key.
    """
    return f"_job/histograms-{digest}.json"


def drift_key(name: str, adapter: str) -> str:
    """Return the key of the looks for drift in what an adapter scores.

    Args:
        name: name of the filter.
        adapter: digest of the adapter.

    Returns:
        The key.

    Raises:
        InputError: `adapter` is no digest.
    """
    return f"drift/{name}/{as_digest(adapter, 'adapter')}.json"


def is_probe(key: str) -> bool:
    """True if the object at `key` was written to test a bucket and is nobody's data.

    Args:
        key: any key of the store.

    Returns:
        Whether it lies where `WRITE_PROBE` and `CONDITION_PROBE` do, or did.
    """
    return "/_probe/" in f"/{key}" or key.startswith("probe/")  # where they lay before
