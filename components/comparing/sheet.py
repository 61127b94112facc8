"""A comparison as a sheet: the sentence, and tables that read alike in a terminal, a pull request and a browser."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from distillery.components.comparing.document import Comparison, Delta, FigureRow
from distillery.components.reporting import svg
from distillery.components.reporting.formatting import METRICS, capital, count, number, span, words
from distillery.components.reporting.sheet import Cell, Sheet, Table, Tone

FOOTER = (
    "Differences are a side's figure less that of A on the same articles. Intervals are 95% paired bootstrap intervals over "
    "articles, not corrected for the number of rows: one row in twenty that are even looks decisive."
)
TONES: dict[str, Tone] = {"better": "good", "worse": "bad"}


def comparison_sheet(comparison: Comparison) -> Sheet:
    """Return a comparison as a page.

    Args:
        comparison: what `compare` returned.

    Returns:
        The sheet.
    """
    letters = [side.letter for side in comparison.sides]
    text, tone = sentence(comparison)
    return Sheet(
        eyebrow=f"Comparison on {count(comparison.articles)} test articles",
        title=" against ".join(dict.fromkeys(f"{side.filter} v{side.version}" for side in comparison.sides))
        if len({side.filter for side in comparison.sides}) > 1
        else comparison.sides[0].filter,
        sentence=text,
        tone=tone,
        notes=comparison.notes,
        tables=[
            Table(
                "What is compared",
                ["", "Named", "Filter", "Adapter", "Test articles"],
                [
                    [side.letter, side.name, f"{side.filter} v{side.version}", side.adapter[:12], count(side.articles)]
                    for side in comparison.sides
                ],
                left=4,
            ),
            Table(
                "Figures",
                ["Figure", *_heads(letters)],
                [_figures(row, METRICS[row.path].title, percent=METRICS[row.path].percent) for row in comparison.figures],
                "In points of 10, unless in percent. Of bias and of the spread kept, neither more nor less is better.",
            ),
            Table(
                "Error by dimension",
                ["Dimension", *_heads(letters)],
                [
                    _figures(row, words(row.path.split(".")[1]), alike=comparison.dimensions)
                    for row in comparison.dimensions
                    if row.path.endswith(".mae")
                ],
                "Mean error, in points of 10.",
            ),
            Table(
                "Recall and precision by tier",
                ["Tier", *_heads(letters)],
                [
                    _figures(
                        row, f"{row.path.split('.')[2]} {words(row.path.split('.')[1])}", percent=True, alike=comparison.tiers
                    )
                    for row in comparison.tiers
                ],
                "A difference of shares of fewer than 10 articles is never decisive.",
            ),
            Table(
                "Articles that change their tier",
                ["Side", "With A", "With this side", "Articles", "Right now", "Right with A"],
                [
                    [row.letter, row.before, row.after, count(row.articles), count(row.mended), count(row.spoilt)]
                    for row in comparison.flips
                ],
                left=3,
            ),
            _moved(comparison),
            Table(
                "Settings that differ", ["Setting", *letters], [[row.name, *row.values] for row in comparison.settings], left=99
            ),
            Table(
                "Data and training that differ",
                ["Fact", *letters],
                [[row.name, *row.values] for row in comparison.data],
                "What is not listed is the same for all sides.",
                left=99,
            ),
        ],
        footer=FOOTER,
    )


def sentence(comparison: Comparison) -> tuple[str, Tone]:
    """Return what a comparison comes to, in a sentence for each side, and its tone.

    Args:
        comparison: what `compare` returned.

    Returns:
        The sentences, and the tone of the page.
    """
    row, said = comparison.row("mae"), []
    for side, delta, value in zip(comparison.sides[1:], row.deltas, row.values[1:], strict=True):
        verdict = {"better": "is better than A", "worse": "is worse than A"}.get(delta.judgement)
        said.append(
            f"{side.letter} {verdict or 'and A: not decisive'}: "
            f"mean error {number(value, 3)} against {number(row.values[0], 3)}, "
            f"difference {number(delta.difference, 3, signed=True)} ({span(delta.interval, 3)})."
        )
    judgements = {delta.judgement for delta in row.deltas}
    tone: Tone = "good" if judgements == {"better"} else "bad" if judgements == {"worse"} else "plain"
    return " ".join(said), tone


def _heads(letters: Sequence[str]) -> list[str]:
    return [letters[0], *(head for letter in letters[1:] for head in (letter, f"{letter} − A", "95%", ""))]


def _reach(rows: Sequence[FigureRow]) -> float:
    """Return the end of an axis that rows share."""
    return max((abs(end) for row in rows for delta in row.deltas for end in (delta.interval or ())), default=0.0) or 1.0


def _figures(row: FigureRow, title: str, *, percent: bool = False, alike: Sequence[FigureRow] = ()) -> list[Cell | str]:
    cells: list[Cell | str] = [capital(title), number(row.values[0], 3, percent=percent)]
    reach = _reach(alike or [row])
    for value, delta in zip(row.values[1:], row.deltas, strict=True):
        cells += [
            number(value, 3, percent=percent),
            number(delta.difference, 3, percent=percent, signed=True),
            Cell(span(delta.interval, 3, percent=percent), figure=_drawn(delta, reach, title)),
            Cell(delta.judgement, TONES.get(delta.judgement, "plain")),
        ]
    return cells


def _drawn(delta: Delta, reach: float, title: str) -> Markup:
    return svg.dot(
        delta.difference,
        top=reach * 1.06,
        bottom=-reach * 1.06,
        interval=delta.interval,
        kind="bad" if delta.judgement == "worse" else "plain",
        title=f"{title}: difference {number(delta.difference, 3, signed=True)}, 95% interval {span(delta.interval, 3)}",
    )


def _moved(comparison: Comparison) -> Table:
    rows = []
    for row in comparison.moved:
        moved = None if row.before is None or row.after is None else row.after - row.before
        tiers = "{1} → {2}, label {0}".format(*row.tiers) if row.tiers else ""
        name = f"{row.id}: {row.title}" if row.title else row.id
        figures = [number(row.label), number(row.before), number(row.after), number(moved, signed=True)]
        rows.append([row.letter, name, tiers, *figures])
    texts = any(row.title for row in comparison.moved)
    head = ["Side", "Article", "Tier with A → with side", "Label", "A", "Side", "Moved"]
    note = "By their overall score." + ("" if texts else " Titles are shown with --text.")
    return Table("Articles that moved most", head, rows, note, left=3)
