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
AFTER: Final = {
    "Beside simple baselines": ["overall_metrics"],
    "Dimensions, worst first": ["per_dimension_mae"],
    "How it learnt": ["loss_curves", "dimension_curves"],
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
    from docx.shared import Pt

    rows = [[cell.strip() for cell in _CELLS.split(line)[1:-1]] for line in lines]
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Light Grid Accent 1")
    for at, cells in enumerate(rows):
        for cell, text in zip(table.rows[at].cells, cells, strict=False):
            paragraph = cell.paragraphs[0]
            _runs(paragraph, text)
            paragraph.paragraph_format.space_after = Pt(1)
            for run in paragraph.runs:
                run.font.size = Pt(8 if len(cells) > 3 else 9)


def _pictures(document: Any, drawn: dict[str, bytes], names: Sequence[str]) -> None:
    """Add plots by their names, each once."""
    from docx.shared import Cm

    for name in names:
        if data := drawn.pop(f"{name}.png", None):
            document.add_picture(io.BytesIO(data), width=Cm(16))
