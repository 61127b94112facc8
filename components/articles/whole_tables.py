"""Tables that can't be cut into pieces: CSV with a header line, one JSON list, a sheet of an XLSX workbook.

They are read where a file is read whole; a corpus that is scored in parts refuses them with the command that converts them.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from distillery.components.articles.formats import FREE_BYTES, MAX_LINE, Row, json_row
from distillery.components.articles.near_names import known_name
from distillery.filters.errors import InputError
from distillery.filters.strict_json import elements

Form: TypeAlias = Literal["csv", "json list", "xlsx"]
HEAD = 65_536
DELIMITERS = ",;\t|"
BOM = b"\xef\xbb\xbf"
_NUMBERS = ("score.", "reference.")


def whole_form(head: bytes) -> Form | None:
    """Return the form of a table that has no lines of its own, told by its content.

    Args:
        head: the first 64 KB of the file, or all of it.

    Returns:
        The form; None for JSON Lines and for whatever is no table.
    """
    if head[:4] == b"PK\x03\x04":
        return "xlsx" if b"xl/" in head or b"[Content_Types].xml" in head else None
    text = head.removeprefix(BOM).lstrip()
    if text[:1] == b"[":
        return "json list"
    line = text.split(b"\n")[0]
    if text[:1] == b"{" or len(line) > MAX_LINE:
        return None
    try:
        names = next(csv.reader([line.decode("utf-8").rstrip("\r")], delimiter=_delimiter(line)), [])
    except (csv.Error, UnicodeDecodeError):
        return None
    return "csv" if len(names) > 1 and any(known_name(name) for name in names) else None


def convert_hint(form: Form, name: str) -> str:
    """Return the command that makes JSON Lines of a table.

    Args:
        form: the table's form.
        name: the file's name.

    Returns:
        A hint with a command that can be pasted.
    """
    if form == "json list":
        return f"convert it: jq -c '.[]' {name}"
    if form == "xlsx":
        return f"save it as CSV (libreoffice --headless --convert-to csv {name}), then make JSON Lines of that"
    program = "import csv,json,sys; [print(json.dumps(row)) for row in csv.DictReader(sys.stdin)]"
    return f'convert it: python3 -c "{program}" < {name} > {name.rpartition(".")[0] or name}.jsonl'


def whole_rows(path: Path, form: Form) -> Iterator[Row]:
    """Yield the rows of a table that is read whole.

    Args:
        path: the file.
        form: its form.

    Yields:
        Each row, good or bad, with the line it begins in (CSV) or its number.

    Raises:
        InputError: the file as a whole can't be read; the hint is the command that converts it.
    """
    rows = {"csv": _csv_rows, "json list": _list_rows, "xlsx": _sheet_rows}[form](path)
    count = 0
    for row in rows:
        count += 1
        yield row
    if not count:
        raise InputError("has no rows", where=str(path), hint="give a file with one article a row")


def _delimiter(line: bytes) -> str:
    return max(DELIMITERS, key=lambda sign: line.count(sign.encode()))


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as stream:
        delimiter = _delimiter(stream.readline(MAX_LINE))
        stream.seek(0)
        csv.field_size_limit(MAX_LINE)
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="strict", newline="")
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            names = _header(path, next(reader))
            line = reader.line_num + 1
            for cells in reader:
                if any(cells):
                    yield _named(line, names, cells)
                line = reader.line_num + 1
        except UnicodeDecodeError:
            raise InputError("is not UTF-8", where=str(path), hint="save it as UTF-8") from None
        except csv.Error as error:
            raise InputError(f"is no CSV: {error}", where=f"{path}:{reader.line_num}", hint="write it again") from None


def _header(path: Path, cells: list[Any]) -> list[str]:
    """Return the names of a table's columns, "" for a column without one; InputError where one is there twice."""
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise InputError(f"has column {twice[0]!r} twice", where=str(path), hint="rename or remove one of them")
    return names


def _named(line: int, names: list[str], cells: list[Any]) -> Row:
    if len(cells) > len(names) and any(cell not in ("", None) for cell in cells[len(names) :]):
        return Row(line, None, f"has {len(cells)} cells where the header has {len(names)}")
    row = {name: _cell(name, cell) for name, cell in zip(names, cells, strict=False) if cell not in ("", None) and name}
    return Row(line, row)


def _cell(name: str, cell: Any) -> Any:
    """Return a cell; in columns of scores a number that is written as text is a number."""
    if isinstance(cell, str) and name.startswith(_NUMBERS):
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell


def _list_rows(path: Path) -> Iterator[Row]:
    hint = convert_hint("json list", path.name)
    if path.stat().st_size > FREE_BYTES:
        raise InputError(f"is a JSON list of more than {FREE_BYTES // 2**20} MB", where=str(path), hint=hint)
    try:
        for number, text in enumerate(elements(path.read_bytes().decode("utf-8")), 1):
            yield json_row(number, text.encode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"is a JSON list that can't be read: {error}", where=str(path), hint=hint) from None


def _sheet_rows(path: Path) -> Iterator[Row]:
    import openpyxl

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > FREE_BYTES:
                raise InputError(f"unpacks to more than {FREE_BYTES // 2**20} MB", where=str(path), hint="save it as CSV")
        sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
        rows = ((number, list(cells)) for number, cells in enumerate(sheet.iter_rows(values_only=True), 1))
        _, header = next(rows, (0, []))
        names = _header(path, header)
        for number, cells in rows:
            if any(cell is not None for cell in cells):
                yield _named(number, names, cells)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged workbook makes openpyxl say
        raise InputError(f"is a damaged workbook: {str(error)[:120]}", where=str(path), hint="save it again") from error
