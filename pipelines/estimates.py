"""How long a step will take: the last run's pace, scaled to what there is to do now.

A label step is scaled by the articles that are still to be asked about, a training by its articles and the epochs that it may
run, every other step by the labelled articles. Another oracle or another base model has no pace yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillery.components.artifacts.step_record import StepRecord
from distillery.filters.filter import Filter


@dataclass
class Work:
    """What there is to do in a run, as far as it is known beforehand.

    Attributes:
        filter: the resolved filter; None where nobody said.
        open: articles that the oracle is still to be asked about; None where they were not counted.
        rows: labelled articles once the label step is done; None where they were not counted.
        train: articles of the train part; None where there is no split yet.
    """

    filter: Filter | None = None
    open: int | None = None
    rows: int | None = None
    train: int | None = None

    @property
    def to_train(self) -> float | None:
        """Return the articles of the train part, those of a split that is still to be made included; None where not known."""
        if self.train is not None or self.rows is None or self.filter is None:
            return self.train
        return self.rows * (1 - self.filter.spec.split.validation - self.filter.spec.split.test)


def seconds_for(
    step: str, inputs: Mapping[str, Any] | None, last: Mapping[str, StepRecord], work: Work
) -> tuple[float, bool] | None:
    """Return how long a step will take.

    Args:
        step: name of the step.
        inputs: what it digests; None where that is not known yet.
        last: the records of the filter's last run, by step.
        work: what there is to do.

    Returns:
        Seconds, and whether they were scaled; None where there is no pace to go by.
    """
    before = last.get(step)
    if before is None or before.seconds is None:
        return None
    if step == "label" and work.open is not None:
        return _labels(before, inputs, work.open)
    if step == "train":
        return _training(before, inputs, work)
    rows = last["label"].outputs.get("rows") if "label" in last else None
    factor = _ratio(work.rows, rows)
    return before.seconds * (factor or 1), factor is not None


def _labels(before: StepRecord, inputs: Mapping[str, Any] | None, left: int) -> tuple[float, bool] | None:
    if inputs and before.inputs.get("oracle") != inputs.get("oracle"):
        return None
    pace = before.facts.get("per_second")
    return (left / pace, True) if isinstance(pace, int | float) and pace > 0 else None


def _training(before: StepRecord, inputs: Mapping[str, Any] | None, work: Work) -> tuple[float, bool] | None:
    assert before.seconds is not None
    if inputs and before.inputs.get("base") not in (None, inputs.get("base")):
        return None
    was = before.inputs.get("training")
    ran = before.facts.get("epochs", was.get("epochs") if isinstance(was, dict) else None)
    articles = _ratio(work.to_train, before.facts.get("articles"))
    epochs = _ratio(work.filter.spec.training.epochs if work.filter else None, ran)
    if articles is None and epochs is None:
        return before.seconds, False
    fitting = before.facts.get("training_seconds")
    fitting = min(float(fitting), before.seconds) if isinstance(fitting, int | float) else before.seconds
    return before.seconds - fitting + fitting * (articles or 1) * (epochs or 1), True


def _ratio(now: float | None, before: object) -> float | None:
    return now / before if now is not None and isinstance(before, int | float) and before > 0 else None
