"""A page of tables and plots that is no run's report, such as a comparison: one description, three forms.

The same `Sheet` is drawn as HTML with the report's style, as Markdown for a pull request, and by the command line for a
terminal, so that the three can't say different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup

from distillery.components.reporting.markdown_text import plain
from distillery.components.reporting.markdown_text import table as markdown_table
from distillery.components.reporting.render import clean, environment

Tone = Literal["plain", "good", "warn", "bad"]
CLIP = 1_500  # longest text of a cell in HTML, in characters


class Cell(NamedTuple):
    """One cell of a table.

    Attributes:
        text: what it says.
        tone: good or bad stand out.
        figure: drawn beside the text in HTML; None for none.
    """

    text: str
    tone: Tone = "plain"
    figure: Markup | None = None


class Table(NamedTuple):
    """A table with its title.

    Attributes:
        title: what it shows.
        head: titles of the columns.
        rows: cells, as many a row as there are titles; a text is a plain cell.
        note: what the reader must know of it; "" for nothing.
        left: columns that are left-aligned, from the first; the others hold numbers.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    note: str = ""
    left: int = 1

    @property
    def cells(self) -> list[list[Cell]]:
        """Return the rows, each text as a cell."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]


class Plot(NamedTuple):
    """A plot with what it shows; it stands in HTML alone, and the tables have its numbers."""

    caption: str
    figure: Markup


class Sheet(NamedTuple):
    """A page.

    Attributes:
        eyebrow: what kind of page it is.
        title: its heading.
        sentence: what it comes to, for somebody who reads nothing else.
        tables: in their order; those without rows are left out.
        tone: of the sentence.
        notes: what to keep in mind.
        plots: of the page.
        footer: how the numbers were made.
    """

    eyebrow: str
    title: str
    sentence: str
    tables: Sequence[Table]
    tone: Tone = "plain"
    notes: Sequence[str] = ()
    plots: Sequence[Plot] = ()
    footer: str = ""

    @property
    def shown(self) -> list[Table]:
        """Return the tables that have rows."""
        return [table for table in self.tables if table.rows]


def sheet_html(sheet: Sheet) -> str:
    """Return a sheet as one HTML page, without a script or an outside resource.

    Args:
        sheet: the sheet.

    Returns:
        The page.
    """
    return clean(environment(CLIP).get_template("sheet.html.j2").render(sheet=sheet))


def sheet_markdown(sheet: Sheet) -> str:
    """Return a sheet as Markdown, every text escaped.

    Args:
        sheet: the sheet.

    Returns:
        Markdown, ending with a line break.
    """
    parts = [f"## {plain(sheet.title)}", plain(sheet.sentence, 700), *(f"> {plain(note, 700)}" for note in sheet.notes)]
    for table in sheet.shown:
        rows = [[_marked(cell) for cell in row] for row in table.cells]
        body = markdown_table([plain(title) for title in table.head], rows, right=table.left)
        parts.append(f"### {plain(table.title)}\n\n{body}" + (f"\n\n{plain(table.note, 700)}" if table.note else ""))
    if sheet.footer:
        parts.append(plain(sheet.footer, 700))
    return "\n\n".join(part for part in parts if part) + "\n"


def _marked(cell: Cell) -> str:
    text = plain(cell.text)
    return f"**{text}**" if text and cell.tone in ("good", "bad") else text
