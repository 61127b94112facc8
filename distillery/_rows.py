"""Rows of whatever holds a table in memory: a list of dicts, a pandas or polars DataFrame, an Arrow table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distillery.components.articles.scratch import scratch_folder
from distillery.components.store.address import Address, scheme_of
from distillery.filters.errors import InputError


def rows_of(table: Any) -> list[dict[str, Any]]:
    """Return the rows of a table as plain JSON values, without cells that are missing.

    Args:
        table: texts or mappings in any iterable, or an object with `to_dict("records")` (pandas), `to_dicts()` (polars) or
            `to_pylist()` (Arrow). A text is a row with `content`.

    Returns:
        One dict per row; None and NaN are left out, numbers of NumPy and dates become plain ones and text.

    Raises:
        InputError: this is no table, or one of its rows is neither text nor a mapping.
    """
    if hasattr(table, "to_pylist"):
        rows: Any = table.to_pylist()
    elif hasattr(table, "to_dicts"):
        rows = table.to_dicts()
    elif hasattr(table, "to_dict"):
        rows = table.to_dict("records")
    else:
        rows = table
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise InputError(f"a {type(table).__name__} holds no rows", hint="give a DataFrame, or a list of dicts or texts")
    return [_row(number, row) for number, row in enumerate(rows)]


def _row(number: int, row: object) -> dict[str, Any]:
    if isinstance(row, str):
        return {"content": row}
    if not isinstance(row, Mapping):
        what = f"is neither a text nor a mapping but a {type(row).__name__}"
        raise InputError(what, where=f"row {number}", hint="give a list of dicts or of texts")
    plain: dict[str, Any] = _plain(row)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        inner = {str(key): _plain(cell) for key, cell in value.items()}
        return {key: cell for key, cell in inner.items() if cell is not None}
    if value is None or isinstance(value, str | bool):
        return value
    if hasattr(value, "tolist"):  # a number or an array of NumPy
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(cell) for cell in value]
    if value != value:  # NaN, and what pandas has for a missing date
        return None
    if isinstance(value, float) and math.isinf(value):
        return str(value)  # JSON has no infinity; the reader refuses the text and says where it stood
    return value.isoformat() if hasattr(value, "isoformat") else value


@contextmanager
def as_file(data: Any) -> Iterator[str]:
    """Give the path of a file that holds the data, for steps that read and digest files.

    Args:
        data: the path or address of a file, which is given on, or rows as in `rows_of`, which are written to
            a JSON Lines file that lasts as long as the context. Equal rows make equal bytes.

    Yields:
        An absolute path, or the address.

    Raises:
        InputError: `data` is neither.
    """
    if isinstance(data, str | Path):
        if scheme_of(str(data)) == "hf":
            yield str(data)
            return
        address = Address.parse(str(data))
        yield str(address) if address.in_bucket else str(address.local)
        return
    with scratch_folder("distillery-rows-") as folder:
        path = folder / "rows.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for row in rows_of(data):
                file.write(json.dumps(row, default=str, allow_nan=False) + "\n")
        yield str(path)
