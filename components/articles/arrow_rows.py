"""Rows of Arrow tables as plain objects, cell by cell where need be: one odd cell is the fault of its row at most."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from distillery.components.articles.cells import ShownCell
from distillery.components.articles.columns import COLUMNS, Renamed, Wanted
from distillery.components.articles.near_names import known_name
from distillery.components.articles.parquet_pages import MAX_HELD
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
WHOLE: Final = {"halffloat": 2**11, "float": 2**24}  # from here on such a float stands for several integers
MAX_ITEMS: Final = 10_000  # of a list whose length its type fixes
NO_DATE = "is a date outside the years 1 to 9999"


def columns_to_read(schema: pa.Schema, renamed: Renamed, wanted: Wanted, where: str, max_items: int = MAX_ITEMS) -> list[str]:
    """Return the file's names of the columns to read of a table.

    Args:
        schema: names and types of its columns.
        renamed: columns that are read under other names.
        wanted: the columns to read, by our names.
        where: the file, for errors.
        max_items: of a list whose length its type fixes.

    Returns:
        The names, in the order of the table.

    Raises:
        InputError: it has no column of texts, a column twice, or a type whose every value is as large as only a bomb's.
    """
    ours = dict(zip(schema.names, renamed.header(schema.names, where), strict=True))
    text = next((name for name, read in ours.items() if read == "content"), "")
    if not text and not any(read == "content" and renamed.holds(path.split(".")[0]) for path, read in renamed.columns.items()):
        near = next((name for name in schema.names if known_name(name) == "content"), "")
        hint = f"add {{map}} {near}=content" if near else "add {map} COLUMN=content for the column of the article's text"
        raise InputError(f"has no column 'content' (it has {', '.join(schema.names[:12])})", where=where, hint=hint)
    if text and not _is_text(schema.field(text).type):
        raise InputError(f"column {text!r} is {schema.field(text).type}, not text", where=where)
    read = [
        name
        for name in schema.names
        if renamed.holds(name) or (ours[name] and (wanted.has(ours[name]) or _told(name, schema.field(name).type)))
    ]
    if any(_fixed(schema.field(name).type) > max_items for name in read):
        raise too_much(where)
    return read


def too_much(where: str) -> InputError:
    """Return the error of a table that unpacks to more than honest ones do.

    Args:
        where: the file.

    Returns:
        The error.
    """
    what = f"would take more than {MAX_HELD // 2**20} MB to unpack, as only a bomb does"
    return InputError(what, where=where, hint="look at what made this file, or write smaller row groups")


def own_cells(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose columns hold their own cells alone, so that its size is the rows' own.

    Args:
        batch: any batch; a column of dictionary type carries all texts of its row group.

    Returns:
        The same rows, no column of dictionary type.
    """
    import pyarrow as pa

    if not any(pa.types.is_dictionary(field.type) for field in batch.schema):
        return batch
    columns = [column.dictionary_decode() if pa.types.is_dictionary(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def plain_row(batch: pa.RecordBatch) -> dict[str, Any]:
    """Convert an Arrow batch of one row.

    Args:
        batch: a batch that holds this row alone.

    Returns:
        The row: Python values by column.

    Raises:
        ValueError: a cell has no Python value; the message names its column.
    """
    import pyarrow as pa

    row: dict[str, Any]
    try:
        row = batch.to_pylist()[0]
    except Exception:  # whatever Arrow says of one cell: every cell on its own says which one it is
        row = {name: _cell(name, column[0]) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    for field in batch.schema:
        value = row[field.name]
        if isinstance(value, bytes) and pa.types.is_fixed_size_binary(field.type) and len(value) == 16:
            row[field.name] = UUID(bytes=value)
        elif isinstance(value, float) and WHOLE.get(str(field.type), math.inf) <= abs(value) < math.inf:
            row[field.name] = ShownCell(f"{value:.0f} in {field.type}, which has lost digits")
    return row


def _cell(name: str, scalar: pa.Scalar) -> Any:
    import pyarrow as pa

    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except Exception as error:  # dates beyond Python's years, nanoseconds, time zones that this machine doesn't know
        if pa.types.is_timestamp(scalar.type):
            return _instant(name, scalar)
        if pa.types.is_date(scalar.type):
            raise ValueError(f"its {name} {NO_DATE}") from None
        raise ValueError(f"its {name} has no value that can be read ({scalar.type}: {str(error)[:80]})") from error


def _instant(name: str, scalar: pa.Scalar) -> str:
    """Return a timestamp in ISO 8601, with nanoseconds where it has any; UTC where its time zone is not known here."""
    seconds, rest = divmod(scalar.value, PER_SECOND[scalar.type.unit])
    nanoseconds = rest * (10**9 // PER_SECOND[scalar.type.unit])
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        moment = moment.astimezone(_zone(scalar.type.tz)) if scalar.type.tz else moment.replace(tzinfo=None)
    except (OverflowError, ValueError):
        raise ValueError(f"its {name} {NO_DATE}") from None
    text = moment.isoformat()
    fraction = f".{nanoseconds:09d}" if nanoseconds % 1_000 else f".{nanoseconds // 1_000:06d}"
    return text[:19] + (fraction if nanoseconds else "") + text[19:]


def _zone(name: str) -> tzinfo:
    """Return a time zone by name or offset ("+02:00"); UTC, in which the instant is known, for any other name."""
    try:
        return datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo or UTC
    except ValueError:
        try:
            return ZoneInfo(name)
        except Exception:  # no such name, no such file, a folder of that name
            return UTC


def _told(name: str, kind: pa.DataType) -> bool:
    """True if a column is read to be told of, since it has nearly one of our names."""
    import pyarrow as pa

    return known_name(name) in COLUMNS and not pa.types.is_nested(kind)


def _fixed(kind: pa.DataType) -> int:
    """Return the most items that a type says every list has; a null takes as many."""
    import pyarrow as pa

    own = kind.list_size if pa.types.is_fixed_size_list(kind) else 1
    return own * max((_fixed(kind.field(number).type) for number in range(kind.num_fields)), default=1)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)  # what Hive, Impala and old versions of Spark call a text
        or pa.types.is_large_binary(kind)
        or (pa.types.is_dictionary(kind) and _is_text(kind.value_type))
    )
