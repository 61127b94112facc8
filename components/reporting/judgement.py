"""What the figures of a run mean: convergence, strengths, weaknesses with advice, and what the student is fit for.

Each sentence follows from a stated rule and carries the figures that it follows from; what can't be told is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.bundle import HistoryFile
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import baseline_words, count, gain, number, words

STILL: Final = 0.02  # share by which an error falls in an epoch and is still falling
STRONG_ORDER, CLOSE = 0.8, 0.1  # rank correlation; share closer than the best baseline
NEAR_NOISE: Final = 1.2  # times the oracle's own noise
WEAK, WEAK_PART = 1.25, 1.5  # times the mean error: of a dimension; of a source, language or length
BY_HEART, HARDER = 0.3, 0.2  # share by which the error rises from training to validation, and from there to the test part
HEART = 1.5  # times a dimension's training error
NARROW, LEAN = 0.7, 0.5  # spread kept; points of bias
FOUND, MISSED = 0.8, 0.5  # recall of a tier, and its precision
ENOUGH, SLICE = 5, 10  # articles of a tier; of a source, language or length

# Parts of the test articles that are judged apart, and what helps where one is weak.
PARTS: Final = {
    "source": "label more articles of this source",
    "language": "label more articles in this language, or take a base model that knows it",
    "length": "see whether student.maxLength leaves enough of such an article, and label more of them",
}

Fit = Literal["yes", "with care", "no"]


class Remark(NamedTuple):
    """A strength, or a weakness. advice: what may help; "" for a strength."""

    text: str
    advice: str = ""


class Use(NamedTuple):
    """What a student may be used for. because: the figures. rule: what they are held against."""

    name: str
    fit: Fit
    because: str
    rule: str


class Judgement(NamedTuple):
    """All of it. convergence: "" where there is no history."""

    convergence: str
    size: str
    strengths: list[Remark]
    weaknesses: list[Remark]
    uses: list[Use]


def judgement(context: Context) -> Judgement | None:
    """Return what the figures of a run mean.

    Args:
        context: the run.

    Returns:
        Sentences with their figures; None where nothing was trained.
    """
    if context.student is None and context.benchmark is None:
        return None
    bench = context.benchmark
    return Judgement(
        convergence=convergence(context.history) if context.history else "",
        size=size(context),
        strengths=list(_strengths(context, bench)) if bench else [],
        weaknesses=list(_weaknesses(context, bench)) if bench else [],
        uses=list(_uses(bench)) if bench else [],
    )


def convergence(history: HistoryFile) -> str:
    """Return in words whether the validation error had come to rest.

    Args:
        history: of the training.

    Returns:
        A sentence; "" for a history without an epoch.
    """
    errors = [(epoch.epoch, epoch.validation_mae) for epoch in history.epochs]
    if not errors:
        return ""
    if len(errors) == 1:
        return "Trained for one epoch, which can't tell whether more would help."
    by_epoch, (last, end) = dict(errors), errors[-1]
    best = history.best_epoch
    before = errors[-2][1]
    if best != last and best in by_epoch:
        worse = end / by_epoch[best] - 1 if by_epoch[best] else 0.0
        if worse <= STILL:
            return (
                f"The validation error had come to rest: least after epoch {best} of {last} ({number(by_epoch[best], 3)}), "
                f"{number(worse, percent=True)} higher at the end."
            )
        return (
            f"The validation error was least after epoch {best} of {last} ({number(by_epoch[best], 3)}) and "
            f"{number(worse, percent=True)} higher at the end: the student began to learn its articles by heart, and epoch "
            f"{best} was kept."
        )
    fell = 1 - end / before if before else 0.0
    if fell > STILL:
        return (
            f"The validation error still fell by {number(fell, percent=True)} in the last of {len(errors)} epochs: it had not "
            "come to rest, and more epochs (training.epochs) may help."
        )
    change = number(abs(fell), percent=True)
    return f"The validation error had come to rest: the last of {len(errors)} epochs changed it by {change}."


def size(context: Context) -> str:
    """Return how many parameters the student has, and how many of them were trained.

    Args:
        context: the run.

    Returns:
        A sentence; "" where nothing was trained.
    """
    student = context.student
    if student is None:
        return ""
    trained = student.trainable_parameters
    if not context.base_numbers:
        return f"{count(trained)} parameters were trained, on top of {student.base.ref}."
    total = context.base_numbers + trained
    return f"{count(trained)} of {count(total)} parameters were trained ({number(trained / total, 2, percent=True)})."


def _strengths(context: Context, bench: Benchmark) -> Iterator[Remark]:
    best = bench.best_baseline()
    share = gain(bench.mae, best[1]) if best else None
    if best and share is not None and share >= CLOSE:
        yield Remark(
            f"{number(share, percent=True)} closer to the oracle than the best simple baseline ({baseline_words(best[0])})"
        )
    if bench.noise and bench.noise.mae and bench.mae is not None and bench.mae <= NEAR_NOISE * bench.noise.mae:
        yield Remark(f"its error of {number(bench.mae)} is near the oracle's own noise ({number(bench.noise.mae)})")
    for name, row in context.by_dimension(bench.dimensions):
        if row.spearman is not None and row.spearman >= STRONG_ORDER and row.mae is not None and row.mae <= (bench.mae or 0):
            yield Remark(
                f"{words(name)}: orders articles well (rank correlation {number(row.spearman)}, error {number(row.mae)})"
            )
    for name, tier in context.by_tier(bench.tiers):
        if tier.recall is not None and tier.recall >= FOUND and tier.labelled >= ENOUGH:
            yield Remark(f"tier {words(name)}: finds {number(tier.recall, percent=True)} of {count(tier.labelled)} articles")


def _weaknesses(context: Context, bench: Benchmark) -> Iterator[Remark]:
    best = bench.best_baseline()
    share = gain(bench.mae, best[1]) if best else None
    if best and share is not None and share <= 0:
        yield Remark(
            f"{number(-share, percent=True)} further off than the best simple baseline ({baseline_words(best[0])})",
            "label more articles, train longer, or take a larger base model",
        )
    yield from _learnt_by_heart(context, bench)
    floor = bench.noise.dimensions if bench.noise else {}
    for name, row in context.by_dimension(bench.dimensions):
        if row.mae is not None and bench.mae and row.mae > WEAK * bench.mae:
            noisy = (floor.get(name) or 0) > 0.5 * row.mae
            advice = (
                "sharpen its anchors: the oracle itself wavers"
                if noisy
                else "label more articles that score high and low in it"
            )
            yield Remark(f"{words(name)}: error {number(row.mae)}, beside {number(bench.mae)} over all dimensions", advice)
        if row.compression is not None and row.compression < NARROW:
            yield Remark(
                f"{words(name)}: keeps {number(row.compression, percent=True)} of the spread, so that high scores come out low",
                "label more articles at both ends (distillery select enriches a sample), or train longer",
            )
        if row.bias is not None and abs(row.bias) > LEAN:
            yield Remark(
                f"{words(name)}: leans by {number(row.bias, signed=True)} points",
                "see whether the labels of the test part are of another time or source than those that train",
            )
    for name, tier in context.by_tier(bench.tiers):
        if tier.recall is not None and tier.recall < MISSED and tier.labelled >= ENOUGH:
            yield Remark(
                f"tier {words(name)}: finds {number(tier.recall, percent=True)} of {count(tier.labelled)} articles",
                "label more articles of this tier, and gate it by tier_recall",
            )
        if tier.precision is not None and tier.precision < MISSED and tier.predicted >= ENOUGH:
            rightly = number(tier.precision, percent=True)
            yield Remark(
                f"tier {words(name)}: of {count(tier.predicted)} articles put there {rightly} belong",
                "label more articles just below this tier, and gate it by tier_precision",
            )
    for by, advice in PARTS.items():
        for part in bench.slices.get(by, []):
            if part.mae is not None and bench.mae and part.n >= SLICE and part.mae > WEAK_PART * bench.mae:
                yield Remark(f"{by} {part.value}: error {number(part.mae)} over {count(part.n)} articles", advice)


def _learnt_by_heart(context: Context, bench: Benchmark) -> Iterator[Remark]:
    """Yield where training, validation and test part differ by more than they should."""
    if bench.train_val_gap is not None and bench.train_val_gap > BY_HEART:
        yield Remark(
            f"its error is {number(bench.train_val_gap, percent=True)} higher on validation than on training articles",
            "train for fewer epochs, raise lora.dropout, or label more articles",
        )
    if bench.val_test_gap is not None and bench.val_test_gap > HARDER:
        yield Remark(
            f"its error is {number(bench.val_test_gap, percent=True)} higher on the test part than on validation",
            "see whether the test part is of another time or source than the rest; figures of validation flatter this student",
        )
    history = context.history
    kept = next((epoch for epoch in history.epochs if epoch.epoch == history.best_epoch), None) if history else None
    for name, row in context.by_dimension(kept.dimensions or {} if kept else {}):
        if row.validation > HEART * row.train:
            yield Remark(
                f"{words(name)}: error {number(row.train)} on training articles, {number(row.validation)} on validation: "
                "learnt by heart",
                "label more articles that differ in it, or train for fewer epochs",
            )


def _uses(bench: Benchmark) -> Iterator[Use]:
    recalls = [tier.recall for tier in bench.tiers.values() if tier.labelled >= ENOUGH and tier.recall is not None]
    if bench.tier_agreement is not None and recalls:
        least = min(recalls)
        fit: Fit = "no"
        if bench.tier_agreement >= 0.8 and least >= 0.6:
            fit = "yes"
        elif bench.tier_agreement >= 0.65:
            fit = "with care"
        share = number(bench.tier_agreement, percent=True)
        because = f"{share} in the same tier, the worst tier's recall {number(least, percent=True)}"
        yield Use("sorting into tiers", fit, because, "80% and a recall of 60%; with care from 65%")
    if bench.spearman is not None:
        fit = "yes" if bench.spearman >= 0.8 else "with care" if bench.spearman >= 0.6 else "no"
        yield Use("ranking", fit, f"rank correlation {number(bench.spearman)}", "0.8; with care from 0.6")
    if bench.mae is not None and bench.score_compression is not None:
        fit = "no"
        if bench.mae <= 0.75 and bench.score_compression >= 0.8:
            fit = "yes"
        elif bench.mae <= 1.0:
            fit = "with care"
        because = f"error {number(bench.mae)}, {number(bench.score_compression, percent=True)} of the spread kept"
        yield Use("scores as numbers", fit, because, "0.75 points and 80%; with care up to 1 point")
