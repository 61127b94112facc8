"""The sheet of an XLSX workbook that has articles, with its header in the first row. openpyxl keeps all its texts in memory."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import IO, Any, Final, TypeAlias

from distillery.components.articles.cells import ShownCell
from distillery.components.articles.columns import Renamed
from distillery.components.articles.csv_rows import AGAIN, named
from distillery.components.articles.formats import Row, refuse_bomb
from distillery.components.articles.forms import READ, sheet_hint
from distillery.components.articles.near_names import known_name
from distillery.filters.errors import InputError

Merged: TypeAlias = Mapping[int, Sequence[tuple[int, int]]]  # by its first row: its column, from 0, and its last row

MAX_SHEET: Final = 128 * 2**20  # bytes of XML: some 30,000 articles
MAX_CELLS: Final = 1_000  # of a row
MAX_ROWS: Final = 2**20  # of a sheet, by the form itself
ABOVE: Final = 20  # rows in which a header is looked for, to say where it is
_STRICT: Final = b"purl.oclc.org/ooxml/"
_ROW: Final = re.compile(rb'<(?:\w+:)?row\b[^<>]*?\sr="([0-9]{1,12})"')
_MERGED: Final = re.compile(rb'<(?:\w+:)?mergeCell\b[^<>]*?\sref="([A-Z]{1,3})([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})"')
_CONTROL: Final = re.compile("_x00([01][0-9A-Fa-f])_")  # how XML of workbooks writes what XML can't


def sheet_rows(stream: IO[bytes], size: int, where: str, renamed: Renamed) -> Iterator[Row]:
    """Yield the rows of the sheet that has articles, each by its number.

    Args:
        stream: the file, seekable.
        size: its bytes.
        where: the file, for errors.
        renamed: columns that are read under other names.

    Yields:
        Each row under our names, good or bad.

    Raises:
        InputError: it is damaged, unpacks to more than a workbook of articles does, or has articles in several sheets.
    """
    import openpyxl

    hint = sheet_hint(where.rpartition("/")[2])
    warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")  # of styles and lists that nobody reads here
    try:
        with zipfile.ZipFile(stream) as archive:  # which reads no more of a member than its size
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MAX_SHEET:
                raise InputError(f"unpacks to more than {MAX_SHEET // 2**20} MB", where=where, hint=hint)
            if "xl/workbook.bin" in archive.namelist():
                raise InputError("is a binary workbook (XLSB), which is not read", where=where, hint=hint)
            if not any(name.startswith("xl/") for name in archive.namelist()):
                raise InputError("is a document of an office, and no workbook", where=where, hint=f"give {READ}")
            if "xl/workbook.xml" in archive.namelist() and _STRICT in archive.read("xl/workbook.xml"):
                raise InputError("is a workbook in Strict Open XML, which is not read", where=where, hint=hint)
        stream.seek(0)
        sheet = _sheet(openpyxl.load_workbook(stream, read_only=True, data_only=True), where, hint, renamed)
        with zipfile.ZipFile(stream) as archive:
            merged = _merged(archive, sheet._worksheet_path, where, hint)
        rows, header, names = _cells(sheet, where, size, merged), list[str](), list[str]()
        for number, cells in rows:
            if not header:
                header = _texts(cells)
                names = renamed.header(header, where)
                _refuse_rows_above(sheet, number, names, where, size)
            else:
                yield Row(number, None, AGAIN) if _texts(cells) == header else named(number, names, cells)
    except (InputError, ModuleNotFoundError):
        raise
    except Exception as error:  # whatever a damaged workbook makes openpyxl say
        raise InputError(f"is a damaged workbook: {str(error)[:120]}", where=where, hint="save it again") from error


def _sheet(book: Any, where: str, hint: str, renamed: Renamed) -> Any:
    """Return the visible sheet whose header has a column of content, or nearly; the first one where none has."""
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
    for sheet in sheets:
        sheet.reset_dimensions()  # many writers state fewer rows than they write, and none beyond are read
    ours = dict(renamed.columns)
    having = [sheet for sheet in sheets if any(ours.get(name, name) == "content" for name in _header(sheet))]
    if len(having) > 1:
        titles = ", ".join(repr(sheet.title) for sheet in having[:6])
        raise InputError(f"has articles in {len(having)} sheets ({titles}), and one is read", where=where, hint=hint)
    near = [sheet for sheet in sheets if any(known_name(name) == "content" for name in _header(sheet))]
    return [*having, *near, *sheets][0]


def _header(sheet: Any) -> list[str]:
    """Return the first row that says anything, if it is near the top."""
    rows = sheet.iter_rows(max_row=ABOVE, max_col=MAX_CELLS, values_only=True)
    texts = ([str(cell).strip() for cell in row if cell is not None] for row in rows)
    return next((row for row in texts if row), [])


def _refuse_rows_above(sheet: Any, number: int, names: list[str], where: str, size: int) -> None:
    """Refuse a sheet whose header stands below something else, such as the name of the table."""
    if "content" in names:
        return
    for row, cells in islice(_cells(sheet, where, size), ABOVE):
        if row > number and len({known_name(name) for name in _texts(cells)} - {""}) > 1:
            raise InputError(f"its first row is no header; row {row} is", where=where, hint="delete the rows above the header")


def _cells(sheet: Any, where: str, size: int, merged: Merged = MappingProxyType({})) -> Iterator[tuple[int, list[Any]]]:
    """Yield the rows by their numbers, without the empty cells behind the last one; a cell merged over rows is in each."""
    before: object = None
    held: dict[int, tuple[int, Any]] = {}
    for number, row in enumerate(sheet.iter_rows(max_col=MAX_CELLS), 1):
        if number > MAX_ROWS:
            refuse_bomb(where, 0, number, size)
        if row is before:  # openpyxl's one row for all that a sheet leaves out, up to a stray cell at its very end
            continue
        before = row
        cells = [None if cell.value is None else _value(cell) for cell in row]
        held |= {column: (last, cells[column]) for column, last in merged.get(number, ()) if column < len(cells)}
        for column, (last, value) in held.items() if any(cell is not None for cell in cells) else ():
            cells[column] = value if number <= last else cells[column]
        while cells and cells[-1] is None:
            cells.pop()
        if cells:
            yield number, cells


def _value(cell: Any) -> Any:
    """Return what a cell says: #N/A is nothing, 0.5 that is shown as 50% no number, and signs that XML lacks are themselves."""
    value = cell.value
    if cell.data_type == "e":
        return None if value == "#N/A" else ShownCell(value)
    if isinstance(value, str):
        return _CONTROL.sub(lambda sign: chr(int(sign[1], 16)), value)
    if isinstance(value, int | float) and not isinstance(value, bool) and "%" in (cell.number_format or ""):
        return ShownCell(f"{value * 100:g}%")
    return value


def _merged(archive: zipfile.ZipFile, sheet: str, where: str, hint: str) -> Merged:
    """Return what is merged over several rows; refuse rows that don't rise, since openpyxl passes over those that are late."""
    from openpyxl.utils import column_index_from_string

    last, rest, merged = 0, b"", dict[int, list[tuple[int, int]]]()
    with archive.open(sheet) as stream:
        while piece := stream.read(2**20):
            rest += piece
            end = rest.rfind(b">") + 1
            for number in _ROW.findall(rest[:end]):
                if not last < (last := int(number)):
                    raise InputError(f"has row {last} behind a later one", where=where, hint=hint)
            for column, first, final in _MERGED.findall(rest[:end]):
                if first != final:
                    merged.setdefault(int(first), []).append((column_index_from_string(column.decode()) - 1, int(final)))
            rest = rest[end:]
    return merged


def _texts(cells: list[Any]) -> list[str]:
    return [str(cell).strip() if cell is not None else "" for cell in cells]
