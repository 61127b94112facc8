"""What each step of a run digests and what it does: functions bound to the steps that `artifacts.steps` names and orders.

`plan` asks for the inputs, the single commands do the work; neither knows the steps by name. Whatever a step needs is imported
when it is asked for, so a plan of labels does not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.runtime.progress import Progress
from distillery.components.store import Digest, Store
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    from distillery.components.student.base import Base


@dataclass
class RunState:
    """What is known of a run before its next step.

    Attributes:
        store: Where results are.
        filter: The resolved filter.
        articles: Path or address of the articles to label; empty where the run starts from labels.
        labels: Path or address of labels that exist; empty where the run starts from articles.
        max_rejects: How many bad rows of labels may be left out, "20" or "1%".
        data: Digest of the file that the run starts from. Only `inputs` of the first step reads it.
        outputs: Outputs of the steps so far, by name.
        fetch: False where a base model of the model hub may not be fetched now.
    """

    store: Store
    filter: Filter
    articles: str = ""
    labels: str = ""
    max_rejects: str = "0"
    data: Digest | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    fetch: bool = True

    @cached_property
    def base(self) -> Base:
        """Return the filter's base model; raise InputError where it cannot be had."""
        from distillery.components.student.resolve import resolve_base

        student = self.filter.spec.student
        return resolve_base(student.baseModel, student.revision, self.store, fetch=self.fetch)


def _label_inputs(run: RunState) -> dict[str, Any]:
    from distillery.components.labeling.label import label_inputs

    articles, labels = (run.data, None) if run.articles else (None, run.data)
    return label_inputs(run.filter, articles, labels, max_rejects=run.max_rejects)


def _label(run: RunState, progress: Progress) -> StepRecord:
    from distillery.components.labeling.label import label

    return label(
        run.store,
        run.filter,
        articles=run.articles,
        labels=run.labels,
        max_rejects=run.max_rejects,
        progress=progress,
    )


def _audit_inputs(run: RunState) -> dict[str, Any]:
    from distillery.components.auditing.audit import audit_inputs

    return audit_inputs(run.filter, run.outputs["label_set"])


def _audit(run: RunState, progress: Progress) -> StepRecord:
    from distillery.components.auditing.audit import audit

    return audit(run.store, run.filter, label_set=run.outputs["label_set"], progress=progress)


def _split_inputs(run: RunState) -> dict[str, Any]:
    from distillery.components.splitting.split import frozen_test, split_inputs

    label_set = run.outputs["label_set"]
    return split_inputs(run.filter, label_set, frozen_test(run.store, run.filter, label_set))


def _split(run: RunState, progress: Progress) -> StepRecord:
    from distillery.components.splitting.split import split

    return split(run.store, run.filter, label_set=run.outputs["label_set"], progress=progress)


def _train_inputs(run: RunState) -> dict[str, Any]:
    from distillery.components.training.train import train_inputs

    return train_inputs(run.filter, run.outputs["split"], run.base.digest)


def _train(run: RunState, progress: Progress) -> StepRecord:
    from distillery.components.training.train import train

    return train(run.store, run.filter, split=run.outputs["split"], progress=progress)


def _predict_inputs(run: RunState) -> dict[str, Any]:
    from distillery.components.benchmarking.predict import predict_inputs

    return predict_inputs(run.outputs["adapter"], run.outputs["test"], run.filter.spec.student.precision)


def _benchmark_inputs(run: RunState) -> dict[str, Any]:
    from distillery.components.benchmarking.benchmark import benchmark_inputs, current_incumbent, measured_noise

    adapter, split = run.outputs["adapter"], run.outputs["split"]
    incumbent = current_incumbent(run.store, run.filter, adapter)
    noise = measured_noise(run.store, run.filter, run.outputs["label_set"])
    return benchmark_inputs(run.filter, adapter, split, incumbent, noise)


def _benchmark(run: RunState, progress: Progress) -> StepRecord:
    from distillery.components.benchmarking.benchmark import benchmark

    adapter, split = run.outputs["adapter"], run.outputs["split"]
    return benchmark(run.store, run.filter, adapter=adapter, split=split, progress=progress)


def _gate_inputs(run: RunState) -> dict[str, Any]:
    from distillery.components.gating.gate import gate_inputs

    return gate_inputs(run.store, run.filter, run.outputs["adapter"], run.outputs["benchmark"])


def _gate(run: RunState, progress: Progress) -> StepRecord:
    from distillery.components.gating.gate import gate

    judged = {name: run.outputs[name] for name in ("adapter", "benchmark", "test")}
    return gate(run.store, run.filter, **judged, progress=progress)


# What a step digests to find its own record, given the outputs of the steps before it.
INPUTS: Final[Mapping[str, Callable[[RunState], dict[str, Any]]]] = {
    "label": _label_inputs,
    "audit": _audit_inputs,
    "split": _split_inputs,
    "train": _train_inputs,
    "predict": _predict_inputs,
    "benchmark": _benchmark_inputs,
    "gate": _gate_inputs,
}
# Does the step, or reuses what was done, and returns its record.
TASKS: Final[Mapping[str, Callable[[RunState, Progress], StepRecord]]] = {
    "label": _label,
    "audit": _audit,
    "split": _split,
    "train": _train,
    "benchmark": _benchmark,
    "gate": _gate,
}
