"""A learning curve as a sheet: what more labels would do in a sentence, errors by number of labels as a table and a plot."""

from __future__ import annotations

from distillery.components.choosing.curve import Gain
from distillery.components.choosing.learning import LearningCurve
from distillery.components.reporting.formatting import capital, count, number, span, words
from distillery.components.reporting.sheet import Cell, Plot, Sheet, Table, Tone
from distillery.components.reporting.svg_points import Point, trade_off

TONES: dict[str, Tone] = {"yes": "good"}
FOOTER = (
    "On validation, by raw scores, extrapolated by a power law. Intervals are 95% over resampled articles, and know nothing of "
    "chance in training; few sizes tell the floor of a curve badly."
)


def curve_sheet(name: str, curve: LearningCurve) -> Sheet:
    """Return a learning curve as a page.

    Args:
        name: of the filter.
        curve: what `learning_curve` returned.

    Returns:
        The sheet.
    """
    points = [Point(f"{point.labels:,} articles", point.labels, point.mae, point.interval) for point in curve.points]
    ahead = f"{curve.ahead:,}, extrapolated"
    points.append(Point(ahead, curve.ahead, curve.overall.then, curve.overall.then_interval, "good"))
    known = curve.points
    return Sheet(
        eyebrow="Would more labels help?",
        title=name,
        sentence=sentence(curve),
        tone="good" if curve.overall.helps == "yes" else "plain",
        plots=[Plot("Error against labels", trade_off(points, "validation error by number of labels", across="articles"))],
        tables=[
            Table(
                "What more labels would do",
                ["Dimension", "They help", "With all", "With more", "95%", "Gain", "95%"],
                [
                    _row("All dimensions", curve.overall),
                    *(_row(capital(words(at)), gain) for at, gain in curve.dimensions.items()),
                ],
                f"Error in points of 10 with {count(known[-1].labels)} articles to learn from, and with {count(curve.ahead)}.",
                left=2,
            ),
            Table(
                "Error by number of labels",
                ["Articles", "Error", "95%", *(capital(words(at)) for at in curve.dimensions), "Adapter"],
                [
                    [
                        count(point.labels),
                        number(point.mae, 3),
                        span(point.interval, 3),
                        *(number(point.dimensions[at], 3) for at in curve.dimensions),
                        point.adapter[:12],
                    ]
                    for point in known
                ],
                "As measured; each fraction holds the one before it.",
            ),
        ],
        footer=FOOTER,
    )


def sentence(curve: LearningCurve) -> str:
    """Return what a curve comes to, in two sentences.

    Args:
        curve: the curve.

    Returns:
        What more labels cost, and what they would do.
    """
    price = "at a price that is not known (--label-usd)" if curve.usd is None else f"for about ${curve.usd:,.2f}"
    does = {"yes": "they help", "no": "they do not help", "not decided": "not decided whether they help"}[curve.overall.helps]
    error = f"{number(curve.overall.now, 3)} to {number(curve.overall.then, 3)} ({span(curve.overall.then_interval, 3)})"
    return (
        f"{curve.ahead:,} articles to learn from take {curve.more:,} more labels, {price}. "
        f"The error over all dimensions would go from {error}: {does}."
    )


def _row(name: str, gain: Gain) -> list[Cell | str]:
    return [
        name,
        Cell(gain.helps, TONES.get(gain.helps, "plain")),
        number(gain.now, 3),
        number(gain.then, 3),
        span(gain.then_interval, 3),
        number(gain.gain, 3, signed=True),
        span(gain.interval, 3),
    ]
