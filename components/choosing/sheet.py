"""A selection as a sheet: the choice in a sentence, the candidates in a table and in two plots, what decided, what it cost."""

from __future__ import annotations

from distillery.components.choosing.document import CandidateFigures, Selection
from distillery.components.choosing.select import Selected
from distillery.components.choosing.terms import Terms, unequal
from distillery.components.comparing.sheet import TONES
from distillery.components.reporting.formatting import capital, count, duration, number, span, words
from distillery.components.reporting.sheet import Cell, Plot, Sheet, Table
from distillery.components.reporting.svg_points import Point, trade_off

FOOTER = (
    "Candidates were chosen on validation, by raw scores; the test part was opened once, for the chosen student and the "
    "adapter in use. Intervals are 95% paired bootstrap intervals over articles. Work is twice the weights of the linear "
    "layers times the mean tokens of an article; memory is worked out from the base model; articles a second and seconds were "
    "measured on this machine."
)


def selection_sheet(selected: Selected) -> Sheet:
    """Return a selection as a page.

    Args:
        selected: what `select_student` returned.

    Returns:
        The sheet.
    """
    selection = selected.selection
    ends = [row for row in selection.candidates if row.stopped is None]
    return Sheet(
        eyebrow=f"Selection of a student on {count(selection.validation)} validation articles",
        title=selection.filter,
        sentence=sentence(selection),
        tone="good" if selection.decisive else "plain",
        notes=_notes(selection),
        plots=[
            Plot("Error against speed", trade_off(*_plotted(selection, ends, selected.rates), across="articles a second")),
            Plot(
                "Error against memory",
                trade_off(*_plotted(selection, ends, {row.name: row.memory_mb for row in ends}), across="MB to score"),
            ),
        ],
        tables=[
            _candidates(selected),
            Table(
                "Test part, opened for the chosen",
                ["Student", "Articles", "Error", "95%", "Overall", "Difference", "95%"],
                _tested(selection),
                "As it serves, after the score curves.",
            ),
            Table(
                "Error by dimension",
                ["Dimension", *(row.name for row in ends)],
                [[capital(words(name)), *(number(row.dimensions[name], 3) for row in ends)] for name in ends[0].dimensions],
                "On validation, in points of 10.",
            ),
            Table(
                "Error by language",
                ["Language", "Articles", *(row.name for row in ends)],
                [
                    [one.language, count(one.articles), *(number(one.errors[row.name], 3) for row in ends)]
                    for one in selection.languages
                ],
                "On validation, in points of 10, as the articles state their language.",
            ),
            Table(
                "Seeds",
                ["Candidates that differ in the seed alone", "Seeds", "Mean error", "Standard deviation"],
                [
                    [
                        "; ".join(recipe.candidates),
                        count(len(recipe.candidates)),
                        number(recipe.mae, 3),
                        number(recipe.spread, 3),
                    ]
                    for recipe in selection.recipes
                    if recipe.spread is not None
                ],
                "They count by their mean; a difference below their standard deviation may be luck.",
            ),
            Table(
                "Means of several students",
                ["Candidates", "Error", "− best", "95%", "GFLOP"],
                [
                    [
                        "; ".join(mean.candidates),
                        number(mean.mae, 3),
                        number(mean.difference, 3, signed=True),
                        span(mean.difference_interval, 3),
                        number(mean.work, 2),
                    ]
                    for mean in selection.ensembles
                ],
                "What the mean of their scores would have on validation. It takes the work of all of them, and none is served.",
            ),
            Table(
                "Successive halving",
                ["Epochs", "Went on", "Stopped"],
                [
                    [
                        count(rung.epochs),
                        ", ".join(f"{name} {number(rung.errors[name], 3)}" for name in rung.kept),
                        ", ".join(f"{name} {number(error, 3)}" for name, error in rung.errors.items() if name not in rung.kept)
                        or "none",
                    ]
                    for rung in selection.rungs
                ],
                "By validation error; each rung is a training of its own.",
                left=3,
            ),
            Table(
                "Settings of the candidates",
                ["Candidate", "Settings", "Adapter"],
                [[row.name, ", ".join(row.settings) or "the filter's own", row.adapter[:12]] for row in selection.candidates],
                left=3,
            ),
        ],
        footer=FOOTER,
    )


def sentence(selection: Selection) -> str:
    """Return the choice in a sentence.

    Args:
        selection: the document.

    Returns:
        What was chosen, by which rule, and whether the difference is shown.
    """
    chosen, best = selection.candidate(selection.chosen), selection.candidate(selection.best)
    text = f"Chosen: {chosen.name}, {selection.rule}: mean error {number(chosen.mae, 3)} on validation"
    if chosen is not best:
        row, other = chosen, f"against {best.name} with {number(best.mae, 3)}"
    elif len(selection.recipes) > 1:
        row = selection.candidate(selection.recipes[1].candidates[0])
        other = f"next is {row.name} with {number(row.mae, 3)}"
    else:
        return f"{text}; all that were trained to the end differ in the seed alone."
    verdict = "decisive" if selection.decisive else "not decisive"
    difference = f"difference {number(row.difference, 3, signed=True)} ({span(row.difference_interval, 3)}), {verdict}"
    return f"{text}; {other}, {difference}."


def _notes(selection: Selection) -> list[str]:
    notes = []
    chosen = next(recipe for recipe in selection.recipes if selection.chosen in recipe.candidates)
    best = next(recipe for recipe in selection.recipes if selection.best in recipe.candidates)
    spread = max((recipe.spread or 0.0 for recipe in (chosen, best)), default=0.0)
    behind = (chosen.mae or 0.0) - (best.mae or 0.0)
    if spread and chosen is not best and behind < spread:
        luck = f"The recipes differ by {number(behind, 3)}, and seeds of one recipe by {number(spread, 3)}: that may be luck."
        notes.append(luck)
    notes += unequal(
        {
            row.name: Terms(row.instruction_tokens or 0, row.article_tokens)
            for row in selection.candidates
            if row.article_tokens is not None
        }
    )
    if selection.rungs:
        notes.append("Candidates that were stopped early are shown with the error at that point, which is not comparable.")
    return notes


def _candidates(selected: Selected) -> Table:
    selection = selected.selection
    rows = [
        [
            row.name + (" ← chosen" if row.name == selection.chosen else ""),
            f"stopped after {row.stopped}" if row.stopped else Cell(row.judgement, TONES.get(row.judgement, "plain")),
            number(row.mae, 3),
            span(row.interval, 3),
            number(row.difference, 3, signed=True),
            span(row.difference_interval, 3),
            number(row.train_mae, 3),
            number(selected.rates.get(row.name), 1),
            number(row.work, 2),
            number(row.memory_mb, 0),
            duration(selected.seconds.get(row.name)),
        ]
        for row in selection.candidates
    ]
    head = ["Candidate", "Against the best", "Error", "95%", "− best", "95%", "Train", "Articles/s", "GFLOP", "MB", "Training"]
    return Table("Candidates", head, rows, "On validation, in points of 10; the lowest error first.", left=2)


def _tested(selection: Selection) -> list[list[str]]:
    opened = selection.opened
    rows = [
        [
            f"chosen: {selection.chosen}",
            count(opened.articles),
            number(opened.mae, 3),
            span(opened.interval, 3),
            number(opened.overall_mae, 3),
            number(opened.difference, 3, signed=True),
            span(opened.difference_interval, 3),
        ]
    ]
    if opened.incumbent:
        rows.append([f"in use: {opened.incumbent[:12]}", count(opened.articles), number(opened.incumbent_mae, 3), *["–"] * 4])
    return rows


def _plotted(selection: Selection, rows: list[CandidateFigures], across: dict[str, float | None]) -> tuple[list[Point], str]:
    points = [
        Point(
            row.name, x, row.mae, row.interval, "good" if row.name == selection.chosen else "plain",
        )
        for row in rows
        if (x := across.get(row.name)) is not None and row.mae is not None
    ]  # fmt: skip
    return points, f"validation error of {len(points)} candidates; the chosen one is {selection.chosen}"
