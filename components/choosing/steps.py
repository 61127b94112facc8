"""The steps of a selection on a cluster: what is to be tried, one candidate in a pod of its own, and the choice.

They are `select_student` cut in three. Each candidate leaves its training and its predictions for the validation part under
the digests that the choice looks for, so the choice trains nothing, and a run that failed is gone on with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.split import StoredSplit, test_digest
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import CANDIDATE
from distillery.components.benchmarking.predict import predict
from distillery.components.choosing.candidates import read_candidates
from distillery.components.choosing.document import Selection
from distillery.components.choosing.rule import parse_rule
from distillery.components.choosing.select import Selected, cheapest_first, select_student
from distillery.components.preflight.cluster import Cluster, cluster
from distillery.components.preflight.preflight import memory_needed
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.runtime.step import on_cluster
from distillery.components.store import Store, as_digest
from distillery.components.store.layout import selection_key
from distillery.components.training.launch import launch_training
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter


class Planned(NamedTuple):
    """What is to be tried, and what this cluster gives to it.

    Attributes:
        record: of the step.
        items: of each candidate, the cheapest first, {"step": its name in the run, "filter_key": key of its published filter}.
        cluster: resources of the pods, for the candidate that takes the most memory.
    """

    record: StepRecord
    items: list[dict[str, str]]
    cluster: Cluster


def plan_candidates(store: Store, flt: Filter, candidates: str, *, rule: str, trainer: str, gpus: int) -> Planned:
    """Read the candidates, refuse in seconds what would fail later, and publish the filter of each.

    Args:
        store: where everything is.
        flt: the run's filter, without the candidates' settings.
        candidates: s3:// address of the file, or its text.
        rule: of the choice.
        trainer: pod or trainjob.
        gpus: GPUs of a candidate's pod, or of each node of its TrainJob.

    Returns:
        The plan.

    Raises:
        InputError: a candidate or the rule is not valid, or no pod could train the candidate; it is named.
    """
    wish, read = parse_rule(rule), read_candidates(candidates, flt)
    needs = dict[str, int]()
    for each in read if on_cluster() else ():
        try:
            needs[each.name] = max(memory_needed(store, each.filter, trainer=trainer, gpus=gpus).values(), default=0)
        except InputError as error:
            what = f"candidate {each.name!r}: {error.where}: {error.what}".replace(": : ", ": ")
            raise InputError(what, where=each.where, hint=error.hint, parameter="candidates") from error
    ranked = cheapest_first(store, read)
    keys = [publish_filter(store, each.filter) for each in ranked]
    items = [{"step": f"{CANDIDATE}-{at:02}", "filter_key": key} for at, key in enumerate(keys, start=1)]
    inputs: dict[str, Any] = {"filter": publish_filter(store, flt), "rule": str(wish)}
    outputs = {"candidates": {item["step"]: each.name for item, each in zip(items, ranked, strict=True)}}
    record = StepRecord.of("candidates", inputs, outputs, keys, {"memory": needs})
    return Planned(record, items, cluster(trainer=trainer, gpus=gpus, need=max(needs.values(), default=0)))


def try_candidate(
    store: Store, flt: Filter, filter_key: str, *, split: str, trainer: str, gpus: int, progress: Progress = quiet
) -> StepRecord:
    """Train a candidate and predict the validation part with it, or find that done.

    Args:
        store: where everything is.
        flt: the candidate's filter.
        filter_key: its key in the store.
        split: digest of the split.
        trainer: pod or trainjob.
        gpus: GPUs of this pod, or of each node of a TrainJob.
        progress: told what is done.

    Returns:
        A record with the outputs {"adapter", "validation", "predictions"}.

    Raises:
        InputError: the candidate can't be trained.
        Stopped: the training failed.
    """
    trained = launch_training(trainer, store, flt, filter_key, split=split, gpus=gpus, progress=progress)
    adapter = str(trained.outputs["adapter"])
    validation = StoredSplit(store, split).tables().validation
    part = test_digest(validation)
    read = predict(store, flt, adapter, part, lambda: validation, progress=progress)
    outputs = {"adapter": adapter, "validation": part, "predictions": read.outputs["predictions"]}
    facts = {"validation_mae": trained.facts.get("validation_mae"), "training_seconds": trained.seconds}
    inputs = {"filter": filter_key, "split": split}
    reused = trained.reused and read.reused
    return StepRecord.of(CANDIDATE, inputs, outputs, [*trained.keys, *read.keys], facts, reused=reused)


def choose_student(
    store: Store, flt: Filter, candidates: str, *, split: str, rule: str, progress: Progress = quiet
) -> tuple[Selected, StepRecord]:
    """Choose one of the candidates, which are trained already, and open the test part for it.

    Args:
        store: where everything is.
        flt: the run's filter, without the candidates' settings.
        candidates: s3:// address of the file, or its text.
        split: digest of the split.
        rule: of the choice.
        progress: told what is done.

    Returns:
        The selection, and a record with the outputs {"selection", "chosen", "adapter", "filter"}.

    Raises:
        InputError: a candidate or the rule is not valid.
    """
    read = read_candidates(candidates, flt)
    selected = select_student(store, flt, read, split=split, rule=parse_rule(rule), progress=progress)
    chosen = selected.selection.candidate(selected.selection.chosen)
    outputs = {"selection": selected.digest, "chosen": chosen.name, "adapter": chosen.adapter, "filter": flt.name}
    inputs = {"split": split, "rule": rule, "candidates": [each.name for each in read]}
    facts = {"articles_per_second": selected.rates, "training_seconds": selected.seconds}
    return selected, StepRecord.of("select-student", inputs, outputs, [selection_key(flt.name, selected.digest)], facts)


def read_selected(store: Store, record: StepRecord) -> Selected:
    """Return the selection of a run that has ended.

    Args:
        store: the run's store.
        record: of the choice, as `choose_student` returned it.

    Returns:
        The selection, with what was measured.
    """
    digest = as_digest(str(record.outputs["selection"]))
    document = Selection.load(store, selection_key(str(record.outputs["filter"]), digest), digest=digest)
    rates, seconds = record.facts.get("articles_per_second"), record.facts.get("training_seconds")
    return Selected(document, digest, rates if isinstance(rates, dict) else {}, seconds if isinstance(seconds, dict) else {})
