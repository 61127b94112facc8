"""The report as a Word document: the Markdown of `markdown.py`, block by block, and the plots.

One text for both, so that no figure is in one and not in the other.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from distillery.components.reporting.context import Context
from distillery.components.reporting.figures_files import plot_files
from distillery.components.reporting.markdown import render_markdown

_ESCAPED: Final = re.compile(r"\\([\\`*_\[\]#|~$])")
_PARTS: Final = re.compile(r"(\*\*.+?\*\*|`[^`]+`)")
_CELLS: Final = re.compile(r"(?<!\\)\|")
_ODD: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff￾￿]")
SIGNS: Final = str.maketrans({"✅": "✓", "❌": "✗", "⏳": "…", "\u200b": None, "\ufe0f": None})  # which every font has
WIDE: Final = 17.0  # centimetres between the margins
AFTER: Final = {
    "Beside simple baselines": ["overall_metrics"],
    "Dimensions, worst first": ["per_dimension_mae"],
    "Learning": ["loss_curves", "dimension_curves"],
}


def render_word(context: Context) -> bytes:
    """Return the report as a .docx file.

    Args:
        context: the run.

    Returns:
        The file.
    """
    from docx import Document
    from docx.shared import Cm, Pt

    plots = plot_files(context, ("png",))
    document = Document()
    document.core_properties.author = "LLM Distillery"
    document.core_properties.title = f"Report of {context.filter.name}" if context.filter else "Report"
    document.styles["Normal"].font.size = Pt(10)
    for section in document.sections:
        section.left_margin = section.right_margin = Cm(2)
    drawn, pending = dict(plots), list[str]()
    for kind, lines in _blocks(render_markdown(context)):
        if kind == "heading":
            _pictures(document, drawn, pending)
            pending = AFTER.get(_plain(lines[0].lstrip("# ")), [])
            document.add_heading(_plain(lines[0].lstrip("# ")), level=max(1, lines[0].count("#", 0, 4) - 1))
        elif kind == "table":
            _table(document, lines)
        else:
            for line in lines:
                style = {"list": "List Bullet", "quote": "Intense Quote"}.get(kind)
                _runs(document.add_paragraph(style=style), line)
    _pictures(document, drawn, pending)
    if left := [name for name in drawn if name.endswith(".png")]:  # of sections for which the text had no room
        document.add_heading("Plots", level=2)
        _pictures(document, drawn, [name.removesuffix(".png") for name in left])
    data = io.BytesIO()
    document.save(data)
    return data.getvalue()


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the blocks of our own Markdown: (kind, lines without their marks)."""
    for block in re.split(r"\n{2,}", text.strip()):
        lines = block.split("\n")
        if lines[0].startswith("#"):
            yield "heading", lines[:1]
            lines = lines[1:]
        if not lines:
            continue
        if lines[0].startswith("|"):
            yield "table", [line for at, line in enumerate(lines) if at != 1]
        elif lines[0].startswith("- "):
            yield "list", [line.removeprefix("- ") for line in lines]
        elif lines[0].startswith("> "):
            yield "quote", [line.removeprefix("> ") for line in lines]
        else:
            yield "text", [" ".join(lines)]


def _plain(text: str) -> str:
    """Return the text that Markdown shows."""
    return _ODD.sub("\N{REPLACEMENT CHARACTER}", html.unescape(_ESCAPED.sub(r"\1", text)).translate(SIGNS))


def _runs(paragraph: Any, text: str) -> None:
    for part in _PARTS.split(text):
        if not part:
            continue
        run = paragraph.add_run(_plain(part.strip("*`") if _PARTS.fullmatch(part) else part))
        run.bold = part.startswith("**") or None
        if part.startswith("`"):
            run.font.name = "Consolas"


def _table(document: Any, lines: Sequence[str]) -> None:
    from docx.oxml import OxmlElement
    from docx.shared import Cm, Pt

    rows = [[cell.strip() for cell in _CELLS.split(line)[1:-1]] for line in lines]
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Light Grid Accent 1")
    table.autofit = False
    widths = [Cm(width) for width in _widths(rows)]
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    for at, cells in enumerate(rows):
        properties = table.rows[at]._tr.get_or_add_trPr()
        properties.append(OxmlElement("w:cantSplit"))
        if at == 0:
            properties.append(OxmlElement("w:tblHeader"))  # repeated on each page
        for cell, text, width in zip(table.rows[at].cells, cells, widths, strict=False):
            cell.width = width
            paragraph = cell.paragraphs[0]
            _runs(paragraph, text)
            paragraph.paragraph_format.space_after = Pt(1)
            paragraph.paragraph_format.keep_with_next = at == 0
            for run in paragraph.runs:
                run.font.size = Pt(8 if len(cells) > 3 else 9)
    document.add_paragraph().paragraph_format.space_after = Pt(0)


def _widths(rows: Sequence[Sequence[str]]) -> list[float]:
    """Return how wide each column is in centimetres: as its longest text, within bounds."""
    texts = [[len(_plain(row[at])) for row in rows if at < len(row)] for at in range(len(rows[0]))]
    most = 70 if len(texts) == 2 else 40
    shares = [min(max(9, *lengths), most) for lengths in texts]
    return [WIDE * share / sum(shares) for share in shares]


def _pictures(document: Any, drawn: dict[str, bytes], names: Sequence[str]) -> None:
    """Add plots by their names, each once."""
    from docx.shared import Cm

    for name in names:
        if data := drawn.pop(f"{name}.png", None):
            document.add_picture(io.BytesIO(data), width=Cm(WIDE - 1))
