"""The section about the oracle: whether a person would agree with it, how far it is from itself, what was waived.

Shares are drawn with their Wilson intervals against the limits, since 0 of 20 alone says little: up to 16% may hide behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from distillery.components.artifacts.benchmark import SecondOracle
from distillery.components.artifacts.calibration_marks import MarkCounts
from distillery.components.artifacts.rubric_calibration import (
    FAIL,
    LIMITS,
    PASS,
    REVIEW,
    WORDS,
    CalibrationOutputs,
    Limit,
    SampleFigures,
    ShareFigures,
)
from distillery.components.reporting import svg as figures
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import count, number, span, words
from distillery.components.reporting.sections.student import View

MOST = 20
KINDS = {PASS: "good", REVIEW: "warn", FAIL: "bad"}
BY = {
    "person": "by a person",
    "reference": "from known true scores",
    "prefilter": "by the prefilter, which knows off-topic ones only",
    "nobody": "by nobody yet",
}


class Share(NamedTuple):
    """The articles of one sample that the oracle scores against their mark.

    Attributes:
        sample: the sample, in words.
        what: which articles, in words.
        limit: below which shares they pass and fail.
        state: PASS, REVIEW or FAIL; "none" where no article has such a mark.
        figures: how many articles, with share and interval.
    """

    sample: str
    what: str
    limit: Limit
    state: str
    figures: ShareFigures


def oracle(context: Context) -> View | None:
    """Return the oracle's calibration, its own noise, and what was waived.

    Args:
        context: the run.

    Returns:
        What the template shows; None for labels that people brought, with nothing known of how they were made.
    """
    calibrated, bench = context.calibrated, context.benchmark
    noise, notes = bench.noise if bench else None, list(cautions(context))
    if not (calibrated or noise or notes):
        return None
    rows = shares(calibrated) if calibrated else []
    top = max([0.4, *(end for row in rows for end in row.figures.interval)])
    return {
        **_calibration(calibrated),
        "rows": [{"share": row, "figure": _figure(row, top)} for row in rows],
        "axis": figures.axis(top),
        "notes": notes,
        "noise": noise,
        "mae": bench.mae if bench else None,
        "second": _second(context, noise.second) if noise and noise.second else None,
    }


def _calibration(calibrated: CalibrationOutputs | None) -> View:
    if calibrated is None:
        return {}
    accepted, marks = calibrated.accepted, calibrated.marks
    return {
        "verdict": calibrated.verdict,
        "kind": KINDS.get(calibrated.verdict, "plain"),
        "reason": calibrated.reason or (accepted.reason if accepted else ""),
        "accepted": accepted is not None,
        "marks": marks,
        "by": marked_by(marks) if marks else "",
        "agreement": calibrated.agreement,
        "redundancy": calibrated.figures.redundancy if calibrated.figures else None,
        "reasons": calibrated.reasons[:MOST],
    }


def marked_by(marks: MarkCounts) -> str:
    """Return whose marks they are, for people.

    Args:
        marks: which marks were applied.

    Returns:
        The end of a sentence, such as "by a person".
    """
    reviewers = len(marks.reviewers)
    return f"by {reviewers} reviewers" if reviewers > 1 else BY.get(marks.by, marks.by)


def shares(calibrated: CalibrationOutputs) -> list[Share]:
    """Return how often the oracle contradicts the marks.

    Args:
        calibrated: what the calibrate step put out.

    Returns:
        One row for each sample and kind of mark; none where nothing was judged.
    """
    if calibrated.figures is None:
        return []
    rows = _shares("first sample", calibrated.figures.calibration)
    return rows + _shares("fresh sample", calibrated.figures.fresh) if calibrated.figures.fresh else rows


def _shares(title: str, sample: SampleFigures) -> list[Share]:
    rows = []
    for kind, share in (("off", sample.off_topic_high), ("on", sample.on_topic_low)):
        limit, value = LIMITS[kind], share.share
        state = "none" if value is None else PASS if value < limit.good else REVIEW if value < limit.bad else FAIL
        rows.append(Share(title, WORDS[kind], limit, state, share))
    return rows


def _figure(row: Share, top: float) -> object:
    passes = f"below {number(row.limit.good, percent=True)} passes"
    return figures.dot(
        row.figures.share,
        top=top,
        interval=row.figures.interval,
        bound=row.limit.good,
        kind="bad" if row.state == FAIL else "plain",
        title=f"{row.what}, {row.sample}: {count(row.figures.wrong)} of {count(row.figures.n)}, "
        f"95% interval {span(row.figures.interval, percent=True)}, {passes}",
    )


def _second(context: Context, second: SecondOracle) -> View | None:
    """Return the other oracle beside this one, by dimension; None where they could not be compared."""
    if second.mae is None:
        return None
    rows = [{"name": words(name), "difference": row} for name, row in context.by_dimension(second.dimensions)]
    return {"oracle": second, "rows": rows}


def cautions(context: Context) -> Iterator[str]:
    """Yield what a reader should know of how these labels came about.

    Args:
        context: the run.

    Yields:
        One sentence each; nothing where all is well.
    """
    labels, calibrated = context.label_set, context.calibrated
    if labels and labels.without_calibration:
        yield f"labelled without a calibration that passed: {labels.without_calibration}"
    elif calibrated and calibrated.verdict == "WAIVED" and calibrated.reason:
        yield f"not calibrated: {calibrated.reason}"
    if labels and labels.suspicious:
        speak = "1 article speaks" if labels.suspicious == 1 else f"{count(labels.suspicious)} articles speak"
        yield f"{speak} to the oracle instead of to a reader (possible injections): look at their labels"


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [("oracle", "The oracle", oracle)]
