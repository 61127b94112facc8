"""From the best epoch to a student that can be judged: its errors, alarms, score curves and golden predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.bundle import BaseFacts, StudentFacts
from distillery.components.artifacts.serving import Device, ParityFile, Plan
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.base import Base
from distillery.components.student.bundle import golden_texts, training_facts
from distillery.components.student.parity import parity_record
from distillery.components.student.pooling import pooling_of
from distillery.components.student.score_curves import ScoreCurves, fit_score_curves
from distillery.components.student.student import Student
from distillery.components.student.tokens import Preprocessing, Tokens
from distillery.components.training.loop import Fitted, Validation
from distillery.components.training.type_head import fit_types
from distillery.filters.digests import reference_precision
from distillery.filters.filter import Filter
from distillery.filters.instruction import student_instruction

Floats = NDArray[np.float64]
NO_BETTER = 0.95  # squared error as a share of the label variance from which on nothing has been learned
CONSTANT = 0.1  # spread of the predictions as a share of the labels' below which they are nearly constant


class Part(NamedTuple):
    """Hold tokens, (n, D) label scores and content types of the train or validation part."""

    tokens: Tokens
    labels: Floats
    types: Sequence[str | None] = ()

    def take(self, rows: NDArray[np.int64]) -> Part:
        """Return the part with some of its articles only.

        Args:
            rows: row numbers, in the order wanted.

        Returns:
            A copy.
        """
        ids = [self.tokens[int(row)] for row in rows]
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
        return Part(
            Tokens(np.concatenate(ids), offsets, self.tokens.pad),
            self.labels[rows],
            [self.types[int(row)] for row in rows] if self.types else (),
        )


def train_sample(train: Part, count: int, seed: int) -> Part:
    """Return some of the train articles, to be judged as the validation part is.

    Args:
        train: the train part.
        count: how many at most.
        seed: decides which.

    Returns:
        The sample, always the same for a seed.
    """
    return train.take(np.random.default_rng([seed, 1]).permutation(len(train.labels))[:count].astype(np.int64))


def by_dimension(names: Sequence[str], train: tuple[Floats, Floats], validation: tuple[Floats, Floats]) -> dict[str, Any]:
    """Return the MAE of each dimension on two parts.

    Args:
        names: of the dimensions.
        train: (n, D) predictions and labels.
        validation: (m, D) predictions and labels.

    Returns:
        {"train", "validation"} in points, by name.
    """
    found = {part: np.abs(np.clip(raw, 0, 10) - labels).mean(axis=0) for part, (raw, labels) in (
        ("train", train), ("validation", validation)
    )}  # fmt: skip
    return {name: {part: float(values[at]) for part, values in found.items()} for at, name in enumerate(names)}


def errors(raw: Floats, labels: Floats, *, keep: bool = False) -> Validation:
    """Return errors in points over all articles and dimensions, with predictions clamped to 0–10.

    Args:
        raw: (n, D) predictions.
        labels: (n, D) scores.
        keep: whether the predictions are handed on, too.

    Returns:
        MAE and RMSE.
    """
    difference = np.clip(raw, 0, 10) - labels
    return Validation(float(np.abs(difference).mean()), float(np.sqrt((difference**2).mean())), raw if keep else None)


def alarms(raw: Floats, labels: Floats) -> list[str]:
    """Return what a person should know before trusting a student: it ignores its input, or says nearly the same always.

    Args:
        raw: (n, D) predictions on the validation part.
        labels: (n, D) scores of the validation part.

    Returns:
        One line for each alarm.
    """
    found = []
    variance = float(labels.var(axis=0).mean())
    squared = float(((np.clip(raw, 0, 10) - labels) ** 2).mean())
    if variance > 0 and squared >= NO_BETTER * variance:
        found.append(f"validation error is about the label variance ({squared:.2f} of {variance:.2f}): nothing was learned")
    spread, wanted = float(raw.std(axis=0).mean()), float(labels.std(axis=0).mean())
    if wanted > 0 and spread < CONSTANT * wanted:
        found.append(f"predictions are nearly constant (spread {spread:.2f}, labels {wanted:.2f}): the input is ignored")
    return found


def package_student(
    flt: Filter,
    base: Base,
    split: str,
    precision: str,
    count: int,
    fitted: Fitted,
    train: Part,
    validation: Part,
    device: Device,
    progress: Progress = quiet,
) -> Student:
    """Make the complete student of the best epoch: errors, alarms, score curves, golden predictions.

    Its train MAE is taken on as many train articles as validation has.

    Args:
        flt: the filter.
        base: the base model.
        split: digest of the split.
        precision: fp32 or bf16, as trained.
        count: number of trained parameters.
        fitted: what the loop left.
        train: the train part.
        validation: the validation part.
        device: cpu or cuda.
        progress: told how many articles have been scored.

    Returns:
        The student, ready to be saved.
    """
    student, training = flt.spec.student, flt.spec.training
    preprocessing = Preprocessing(student.maxLength, student.headTail, student_instruction(flt))
    facts = StudentFacts(
        format=1,
        filter=flt.name,
        dimensions=flt.dimensions,
        base=BaseFacts(**base.facts()),
        maxLength=student.maxLength,
        headTail=student.headTail,
        pooling=pooling_of(student.pooling, base.kind),
        preprocessing=preprocessing.facts(),
        lora=student.lora,
        training=training_facts(training, precision),
        split=split,
        trainable_parameters=count,
        train_mae=0.0,
        validation_mae=0.0,
        label_variance=float(train.labels.var(axis=0).mean()),
        steps=fitted.steps,
        tokens=fitted.tokens,
        alarms=[],
        instruction=preprocessing.instruction,
    )
    empty = ScoreCurves(False, [], 0.0, 0.0)
    plan = Plan(device=device, precision=reference_precision(student, training))
    out = Student(facts, base, fitted.best, empty, (golden_texts(), np.zeros((0, 0))), fitted.history, plan)
    sample = train_sample(train, len(validation.labels), training.seed)
    raw = out.predict_tokens(validation.tokens, progress) if fitted.raw is None else fitted.raw
    out.score_curves = fit_score_curves(raw, validation.labels, training.seed)
    out.golden = (golden_texts(), out.predict(golden_texts()))
    out.facts = facts.model_copy(
        update={
            "train_mae": errors(out.predict_tokens(sample.tokens, progress), sample.labels).mae,
            "validation_mae": errors(raw, validation.labels).mae,
            "alarms": alarms(raw, validation.labels),
        }
    )
    out._forward = None  # memory holds one body at a time
    if student.contentTypes == "head":  # last: all other files of the bundle are those of a student without it
        out.types = fit_types(flt, out, train, validation, training.seed, progress)
    if plan.precision != "fp32":
        out.parity = ParityFile(articles=len(validation.labels), candidates=[], reference="bf16")
        return out
    out.parity = parity_record(flt, out, validation.tokens, validation.labels, raw, progress)
    return out
