"""What reviewers get: a workbook, tasks of Label Studio, or a page; and nothing in any of them that runs.

Workbook and page don't show what oracle and student said (the page folds it away): who sees a number first, repeats it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from distillery.components.artifacts.review import ORACLE
from distillery.components.reviewing.draw import Drawn, Judged
from distillery.filters.errors import InputError
from distillery.filters.verdict import judge

TEMPLATES: Final = Path(__file__).parent / "templates"
STYLE: Final = TEMPLATES.parents[1] / "calibration" / "templates"  # one look for all pages that people fill in
PAGE: Final = "llm-distillery review"  # the kind of file that the page saves
ANYBODY: Final = "reviewer"  # stands for the name of the file
CELL: Final = 32_000  # characters of a cell; a workbook has room for 32,767
SHOWN: Final = 6_000  # characters of an article on the page
ABOUT: Final = ("article", "id", "url", "source", "title", "text")
WIDTHS: Final = (14, 16, 24, 16, 40, 90)


def form_for(out: Path) -> str:
    """Return the form that a name stands for.

    Args:
        out: the file.

    Returns:
        Its suffix.

    Raises:
        InputError: no form has this suffix.
    """
    suffix = out.suffix.lower()
    if suffix not in WRITERS:
        hint = "name it .xlsx for a workbook, .html for a page, .json for Label Studio"
        raise InputError(f"a review has no form {suffix or 'without a suffix'}", where=f"--out {out}", hint=hint)
    return suffix


def write_form(suffix: str, judged: Judged, drawn: Sequence[Drawn], reviewers: Sequence[str]) -> bytes:
    """Return a file for reviewers.

    Args:
        suffix: of `form_for`.
        judged: the test part.
        drawn: the articles.
        reviewers: names of the people who have a column each; none for one column for whoever has the file.

    Returns:
        The file.
    """
    rows = judged.frame.take([each.row for each in drawn]).to_pylist()
    written: bytes = WRITERS[suffix](judged, drawn, rows, reviewers or [ANYBODY])
    return written


def _workbook(judged: Judged, _: Sequence[Drawn], rows: Sequence[dict[str, Any]], reviewers: Sequence[str]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = Workbook()
    sheet = book.active
    sheet.title = "review"
    names = [f"{reviewer}: {dimension}" for reviewer in reviewers for dimension in judged.filter.dimensions]
    top = Alignment(vertical="top", wrap_text=True)

    def put(row: int, column: int, text: str) -> None:
        cell = _text(sheet, row, column, ILLEGAL_CHARACTERS_RE.sub("", text))
        cell.alignment = top

    for column, name in enumerate((*ABOUT, *names), 1):
        put(1, column, name)
        sheet.cell(1, column).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(column)].width = WIDTHS[column - 1] if column <= len(WIDTHS) else 16
    for number, row in enumerate(rows, 2):
        for column, name in enumerate(ABOUT, 1):
            put(number, column, str(row["content" if name == "text" else name] or ""))
    points = DataValidation("decimal", operator="between", formula1="0", formula2="10", allow_blank=True)
    points.error, points.errorTitle = "a score is a number from 0 to 10", "score"
    sheet.add_data_validation(points)
    first, last = (get_column_letter(len(ABOUT) + at) for at in (1, len(names)))
    points.add(f"{first}2:{last}{len(rows) + 1}")
    sheet.freeze_panes = "B2"
    _explain(book.create_sheet("what to score"), judged, clean=ILLEGAL_CHARACTERS_RE.sub)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def _text(sheet: Any, row: int, column: int, text: str) -> Any:
    """Write a text as a text, whatever it begins with: no program takes it for a formula, not even after an edit."""
    cell = sheet.cell(row, column)
    cell.value = text[:CELL]
    cell.data_type = "s"  # openpyxl takes what begins with = for a formula
    cell.quotePrefix = True
    return cell


def _explain(sheet: Any, judged: Judged, *, clean: Any) -> None:
    """Write what each dimension means on a sheet of its own."""
    spec = judged.filter.spec
    lines = [("what is judged", spec.scope.judge), *((each.name, each.description) for each in spec.dimensions)]
    lines += [(f"{each.name}, {point.score:g}", point.meaning) for each in spec.dimensions for point in each.anchors]
    for number, texts in enumerate(lines, 1):
        for column, text in enumerate(texts, 1):
            _text(sheet, number, column, clean("", text))
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 32, 100


def _tasks(judged: Judged, drawn: Sequence[Drawn], rows: Sequence[dict[str, Any]], _: Sequence[str]) -> bytes:
    """Return tasks with two predictions each: the oracle's scores, and the student's."""
    said = [(ORACLE, judged.labels), (f"adapter {judged.adapter[:12]}", judged.predictions)]
    tasks = []
    for each, row in zip(drawn, rows, strict=True):
        data = {name: str(row["content" if name == "text" else name] or "") for name in ABOUT}
        predictions = [
            {"model_version": who, "result": [_number(name, value) for name, value in _by_name(judged, scores[each.row])]}
            for who, scores in said
        ]
        tasks.append({"data": data, "predictions": predictions})
    return (json.dumps(tasks, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def _number(name: str, value: float) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": "number", "value": {"number": value}}


def labeling_config(judged: Judged) -> str:
    """Return the labeling interface of a Label Studio project for these tasks.

    Args:
        judged: the test part.

    Returns:
        XML.
    """
    numbers = "\n".join(
        f"  <Header value={quoteattr(f'{each.name}: {each.description}')}/>\n"
        f'  <Number name={quoteattr(each.name)} toName="text" min="0" max="10" step="0.1"/>'
        for each in judged.filter.spec.dimensions
    )
    return f'<View>\n  <Header value="$title"/>\n  <Text name="text" value="$text"/>\n{numbers}\n</View>\n'


def _page(judged: Judged, drawn: Sequence[Drawn], rows: Sequence[dict[str, Any]], _: Sequence[str]) -> bytes:
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    script = (TEMPLATES / "scores.js").read_text("utf-8").strip()
    environment = Environment(loader=FileSystemLoader([TEMPLATES, STYLE]), autoescape=True, trim_blocks=True)
    both = ((judged.labels, None), (judged.predictions, judged.types))
    overall = [judge(judged.filter, scores, types).overall for scores, types in both]
    articles = [
        {
            **{name: str(row[name] or "") for name in ("article", "id", "url", "source", "title")},
            "content": str(row["content"] or "")[:SHOWN],
            "cut": len(row["content"] or "") > SHOWN,
            "said": [(n, f"{a:.1f}", f"{b:.1f}") for (n, a), (_, b) in zip(*_both(judged, each.row), strict=True)],
            "overall": [f"{scores[each.row]:.1f}" for scores in overall],
        }
        for each, row in zip(drawn, rows, strict=True)
    ]
    page = environment.get_template("scores.html.j2").render(
        flt=judged.filter,
        adapter=judged.adapter,
        kind=PAGE,
        articles=articles,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page.encode()


def _both(judged: Judged, row: int) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    return _by_name(judged, judged.labels[row]), _by_name(judged, judged.predictions[row])


def _by_name(judged: Judged, scores: Any) -> list[tuple[str, float]]:
    return [(name, float(score)) for name, score in zip(judged.filter.dimensions, scores, strict=True)]


WRITERS: Final[dict[str, Any]] = {".xlsx": _workbook, ".html": _page, ".json": _tasks}
