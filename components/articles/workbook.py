"""The first sheet of an XLSX workbook, with its header in the first row. openpyxl keeps all its texts in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import IO, Final

from distillery.components.articles.columns import Renamed
from distillery.components.articles.csv_rows import named
from distillery.components.articles.formats import Row, refuse_bomb
from distillery.components.articles.forms import sheet_hint
from distillery.filters.errors import InputError

MAX_SHEET: Final = 128 * 2**20  # bytes of XML: some 30,000 articles
MAX_CELLS: Final = 1_000  # of a row


def sheet_rows(stream: IO[bytes], size: int, where: str, renamed: Renamed) -> Iterator[Row]:
    """Yield the rows of a workbook's first sheet, each by its number.

    Args:
        stream: the file, seekable.
        size: its bytes.
        where: the file, for errors.
        renamed: columns that are read under other names.

    Yields:
        Each row under our names, good or bad.

    Raises:
        InputError: it is damaged, or unpacks to more than a workbook of articles does.
    """
    import openpyxl

    hint = sheet_hint(where.rpartition("/")[2])
    try:
        with zipfile.ZipFile(stream) as archive:  # which reads no more of a member than its size
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MAX_SHEET:
                raise InputError(f"unpacks to more than {MAX_SHEET // 2**20} MB", where=where, hint=hint)
        stream.seek(0)
        sheet = openpyxl.load_workbook(stream, read_only=True, data_only=True).worksheets[0]
        rows = enumerate(sheet.iter_rows(values_only=True, max_col=MAX_CELLS), 1)
        _, header = next(rows, (0, ()))
        while header and header[-1] is None:
            header = header[:-1]
        names = renamed.header([str(name).strip() if name is not None else "" for name in header], where)
        for number, cells in rows:
            refuse_bomb(where, unpacked, number, size)
            if any(cell is not None for cell in cells):
                yield named(number, names, list(cells))
    except (InputError, ModuleNotFoundError):
        raise
    except Exception as error:  # whatever a damaged workbook makes openpyxl say
        raise InputError(f"is a damaged workbook: {str(error)[:120]}", where=where, hint="save it again") from error
