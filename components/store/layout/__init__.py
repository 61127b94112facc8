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
    duplicates/<digest>.parquet                     which articles of a label set are copies or near-duplicates
    datasets/<digest>/…                             a split: train, validation and test
    datasets/frozen/<filter>/<policy>.json          the test parts that new labels never change
    checkpoints/<inputs>/state.pt                   where a training that was stopped goes on
    curves/<filter>/<inputs>/…                      how a training went, for TensorBoard
    adapters/<filter>/<digest>/…                    a trained student
    baselines/<split>/<digest>.parquet              what simple methods predict for a split's test part
    judgements/<adapter>/<test>/predictions/<digest>.parquet
    judgements/<adapter>/<test>/benchmark/<digest>.json
    judgements/<adapter>/served-<precision>.json    where and in which precision the benchmark read it: a pointer
    judgements/<adapter>/measured.json              how fast it is on which machine: changed in place
    reviews/<filter>/<adapter>.json                 what people said of an adapter's test articles: changed in place
    selections/<filter>/<digest>.json               which of several students was chosen, and by what
    verdicts/<filter>/<digest>.json                 what the gates say of an adapter
    channels/<filter>/<channel>.json                which adapter serves, what served before, and what waits: a pointer
    channels/<filter>/<channel>.candidate.json      the adapter that waited for approval, in stores made earlier
    intents/<filter>/<channel>.json                 what the Filter object of a cluster asks of it: a pointer
    listings/<filter>/<digest>.json                 the objects below a prefix of articles, as a run of an object took them
    steps/<step>/<inputs>.json                      what a step put out, to be reused for the same inputs
    runs/<inputs>.json                              which run has these inputs: a claim
    runs/<run>/<step>.json, failure.json, cancelled.json, events/<step>.jsonl, report.html, report.md, run.log
    summaries/<adapter>.json                        the run that made or judged an adapter
    summaries/beginning/<8 digits>.json             the adapters whose digests begin so
    summaries/last/<filter>.json                    the filter's last run
    scores/<job>/…                                  a scored corpus, unless it lies at another address:
      part-<n>.parquet, _rejects.jsonl, _SUCCESS
      _job/plan.json, part-<n>.json, rejects-<n>.jsonl, todo-<digest>.json, histograms-<digest>.json
    <out>/_passes.json                              the passes over a corpus that grows: a pointer; their scores lie beside it
    drift/<filter>/<adapter>.json                   the looks for drift in what an adapter scores
    _probe/…                                        what a bucket is tested with

Everything below a <digest> is written once. Pointers, claims, records and the growing end of a journal are changed by
conditional put. A folder marked … after a digest is one that `Store.commit` wrote: its manifest.json names each file.
"""

from distillery.components.store.layout.runs import (
    CONDITION_PROBE,
    PASSES,
    REJECTS,
    RUNS,
    SCORES,
    SCORING_PLAN,
    SUCCESS,
    SUMMARIES,
    WRITE_PROBE,
    adapters_beginning_key,
    cancelled_key,
    claim_key,
    drift_key,
    events_folder,
    events_key,
    failure_key,
    histograms_key,
    is_probe,
    last_summary_key,
    log_key,
    part_facts_key,
    part_key,
    part_rejects_key,
    report_key,
    run_record_key,
    scores_folder,
    step_record_key,
    step_records_folder,
    summary_key,
    todo_key,
)
from distillery.components.store.layout.sources import (
    ADAPTERS,
    AUDITS,
    CALIBRATIONS,
    FILTERS,
    LABEL_SETS,
    MANIFEST,
    MODELS,
    SAMPLES,
    SPLITS,
    calibration_attempts_key,
    calibration_key,
    committed_folder,
    committed_key,
    content_digest,
    duplicates_key,
    frozen_key,
    input_key,
    journal_folder,
    journal_segment_key,
    model_folder,
    model_of_pointer,
    model_pointer_key,
    noise_key,
    published_filter_key,
    review_key,
    run_lock_key,
    version_of_filter,
)
from distillery.components.store.layout.students import (
    BASELINES,
    CANDIDATE,
    CHANNELS,
    CHECKPOINTS,
    INTENTS,
    JUDGEMENTS,
    VERDICTS,
    adapters_folder,
    baselines_key,
    benchmark_key,
    candidate_key,
    channel_key,
    checkpoint_key,
    curves_folder,
    curves_key,
    intent_key,
    is_listing,
    judged_key,
    listing_key,
    measured_key,
    predictions_key,
    reviewed_key,
    selection_key,
    verdict_key,
)

__all__ = [
    "ADAPTERS",
    "AUDITS",
    "BASELINES",
    "CALIBRATIONS",
    "CANDIDATE",
    "CHANNELS",
    "CHECKPOINTS",
    "CONDITION_PROBE",
    "FILTERS",
    "INTENTS",
    "JUDGEMENTS",
    "LABEL_SETS",
    "MANIFEST",
    "MODELS",
    "PASSES",
    "REJECTS",
    "RUNS",
    "SAMPLES",
    "SCORES",
    "SCORING_PLAN",
    "SPLITS",
    "SUCCESS",
    "SUMMARIES",
    "VERDICTS",
    "WRITE_PROBE",
    "adapters_beginning_key",
    "adapters_folder",
    "baselines_key",
    "benchmark_key",
    "calibration_attempts_key",
    "calibration_key",
    "cancelled_key",
    "candidate_key",
    "channel_key",
    "checkpoint_key",
    "claim_key",
    "committed_folder",
    "committed_key",
    "content_digest",
    "curves_folder",
    "curves_key",
    "drift_key",
    "duplicates_key",
    "events_folder",
    "events_key",
    "failure_key",
    "frozen_key",
    "histograms_key",
    "input_key",
    "intent_key",
    "is_listing",
    "is_probe",
    "journal_folder",
    "journal_segment_key",
    "judged_key",
    "last_summary_key",
    "listing_key",
    "log_key",
    "measured_key",
    "model_folder",
    "model_of_pointer",
    "model_pointer_key",
    "noise_key",
    "part_facts_key",
    "part_key",
    "part_rejects_key",
    "predictions_key",
    "published_filter_key",
    "report_key",
    "review_key",
    "reviewed_key",
    "run_lock_key",
    "run_record_key",
    "scores_folder",
    "selection_key",
    "step_record_key",
    "step_records_folder",
    "summary_key",
    "todo_key",
    "verdict_key",
    "version_of_filter",
]
