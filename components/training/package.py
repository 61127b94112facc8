"""From the best epoch to a student that can be judged: its errors, alarms, calibration and golden predictions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.base import Base
from distillery.components.student.bundle import BaseFacts, Student, StudentFacts, golden_texts, training_facts
from distillery.components.student.predict import raw_predictions
from distillery.components.student.score_curves import Calibration, calibrate
from distillery.components.student.tokens import Preprocessing, Tokens
from distillery.components.training.loop import Fitted, Validation
from distillery.filters.filter import Filter

Floats = NDArray[np.float64]
NO_BETTER = 0.95  # squared error as a share of the label variance from which on nothing has been learned
CONSTANT = 0.1  # spread of the predictions as a share of the labels' below which they are nearly constant


class Part(NamedTuple):
    """Tokens and (n, D) label scores of the train or validation part."""

    tokens: Tokens
    labels: Floats

    def take(self, rows: NDArray[np.int64]) -> Part:
        ids = [self.tokens[int(row)] for row in rows]
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
        return Part(Tokens(np.concatenate(ids), offsets, self.tokens.pad), self.labels[rows])


def errors(raw: Floats, labels: Floats) -> Validation:
    """MAE and RMSE in points over all articles and dimensions, predictions clamped to 0–10. (n, D) both."""
    difference = np.clip(raw, 0, 10) - labels
    return Validation(float(np.abs(difference).mean()), float(np.sqrt((difference**2).mean())))


def alarms(raw: Floats, labels: Floats) -> list[str]:
    """What a person should know before trusting this student: it ignores its input, or says nearly the same always."""
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
    device: str,
    progress: Progress = quiet,
) -> Student:
    """The student of the best epoch, complete. Its train MAE is taken on as many train articles as validation has."""
    student, training = flt.spec.student, flt.spec.training
    preprocessing = Preprocessing(student.maxLength, student.headTail)
    facts = StudentFacts(
        format=1,
        filter=flt.name,
        dimensions=flt.dimensions,
        base=BaseFacts(**base.facts()),
        maxLength=student.maxLength,
        headTail=student.headTail,
        pooling="mean" if base.kind == "encoder" else "last",
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
    )
    empty = Calibration(False, [], 0.0, 0.0)
    out = Student(facts, base, fitted.best, empty, (golden_texts(), np.zeros((0, 0))), fitted.history, device)
    rows = np.random.default_rng([training.seed, 1]).permutation(len(train.labels))[: len(validation.labels)]
    sample = train.take(rows.astype(np.int64))
    raw = raw_predictions(out.model, validation.tokens, progress)
    out.calibration = calibrate(raw, validation.labels, training.seed)
    out.golden = (golden_texts(), out.predict(golden_texts()))
    out.facts = facts.model_copy(
        update={
            "train_mae": errors(raw_predictions(out.model, sample.tokens, progress), sample.labels).mae,
            "validation_mae": errors(raw, validation.labels).mae,
            "alarms": alarms(raw, validation.labels),
        }
    )
    return out
