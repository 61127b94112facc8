"""The three formats of an input file (JSONL, JSONL.gz, Parquet), the caps on what it may hold, and its rows one at a time.

Files are untrusted: lines, decoded sizes and row counts are capped before anything is decoded, so a bomb is refused in
seconds. The caps are generous (a ratio of 100:1 beyond 256 MB, 8 MB a line); real text stays below 20:1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from distillery.components.articles.arrow_rows import own_cells, plain_row
from distillery.components.articles.near_names import known_name
from distillery.filters.errors import InputError
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_LINE = 8 * 2**20  # a longer line is a bad row: 1,000,000 characters fit even when each is escaped as \uXXXX
HUGE_LINE = 64 * 2**20  # and one longer than this is no table of articles at all
FREE_BYTES = 256 * 2**20  # unpacked, below which no ratio is too high
MAX_RATIO = 100

Kind: TypeAlias = Literal["jsonl", "gzip", "parquet"]


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        line: number of the line (JSONL) or row (Parquet), counted from 1.
        value: the row as an object; None where it is bad.
        fault: what is wrong with a bad row, empty otherwise.
    """

    line: int
    value: dict[str, Any] | None
    fault: str = ""


def file_kind(head: bytes, where: str) -> Kind:
    """Return the format of a file, told by its content and not by its name.

    Args:
        head: the first four bytes of the file.
        where: the file, as an error names it.

    Returns:
        "parquet", "gzip" or "jsonl".

    Raises:
        InputError: the file is UTF-16, an archive, or compressed with something other than gzip.
    """
    if head == b"PAR1":
        return "parquet"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("is UTF-16", where=where, hint="save it as UTF-8")
    if head in (b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"\xfd7zX") or head[:3] == b"BZh":
        raise InputError("is an archive or a compression other than gzip", where=where, hint="unpack it first")
    return "jsonl"


def too_long(number: int, length: int, what: str) -> Row:
    """Return the bad row that stands for one above `MAX_LINE`.

    Args:
        number: its line number, from 1.
        length: its length in bytes.
        what: "line" or "row".

    Returns:
        The row, with its fault.
    """
    return Row(number, None, f"the {what} is {length / 2**20:.0f} MB long, more than {MAX_LINE // 2**20}")


def json_row(number: int, line: bytes) -> Row:
    """Parse one line of JSON; a line that is not an object becomes a bad row.

    Args:
        number: its line number, from 1.
        line: its bytes, without white space at either end.

    Returns:
        The row, or one with a fault.
    """
    try:
        value = loads(line)
    except UnicodeDecodeError as error:
        return Row(number, None, f"is not UTF-8 at byte {error.start + 1}")
    except RecursionError:
        return Row(number, None, "is nested too deep")
    except ValueError as error:
        return Row(number, None, f"is not JSON: {error}")
    if not isinstance(value, dict):
        return Row(number, None, f"is not a JSON object but {_type_name(value)}")
    return Row(number, value)


def arrow_row(number: int, batch: pa.RecordBatch) -> Row:
    """Convert an Arrow batch of one row; a cell that can't be read makes it a bad row.

    Args:
        number: its row number, from 1.
        batch: a batch that holds this row alone.

    Returns:
        The row, or one with a fault.
    """
    batch = own_cells(batch)
    if batch.nbytes > MAX_LINE:
        return too_long(number, batch.nbytes, "row")
    try:
        return Row(number, plain_row(batch))
    except ValueError as error:
        return Row(number, None, str(error))


def refuse_bomb(where: str, decoded: int, rows: int, size: int) -> None:
    """Refuse a file that unpacks to more than honest data do.

    Args:
        where: the file, as an error names it.
        decoded: bytes unpacked so far.
        rows: rows or lines read so far.
        size: bytes of the file as it is stored.

    Raises:
        InputError: it unpacks to more than 256 MB and 100 times its size, or has more rows than bytes.
    """
    if (decoded > FREE_BYTES and decoded > MAX_RATIO * size) or rows > size + 1_000:
        raise InputError(
            f"unpacks to more than {MAX_RATIO} times its size, as only a bomb does",
            where=where,
            hint="look at what made this file",
        )


def wanted_columns(
    file: pq.ParquetFile, where: str, size: int, columns: frozenset[str], prefixes: tuple[str, ...]
) -> list[str]:
    """Return the names of the columns to read from a Parquet table of articles.

    Args:
        file: the table; only its footer is looked at.
        where: the file, as an error names it.
        size: bytes of the file as it is stored.
        columns: names of columns to read.
        prefixes: beginnings of names; columns that begin so are read, too.

    Returns:
        Their names, in the order of the file.

    Raises:
        InputError: the file is a bomb, has no rows, has a column twice, or has no text column `content`.
    """
    metadata = file.metadata
    decoded = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    refuse_bomb(where, decoded, metadata.num_rows, size)
    if not metadata.num_rows:
        raise InputError("has no rows", where=where, hint="give a file with one article a row")
    schema = file.schema_arrow
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise InputError(f"has column {twice[0]!r} twice", where=where)
    if "content" not in schema.names:
        raise InputError(
            f"has no column 'content' (it has {', '.join(schema.names[:12])})",
            where=where,
            hint="rename the column that holds the article's text",
        )
    if not _is_text(schema.field("content").type):
        raise InputError(f"column 'content' is {schema.field('content').type}, not text", where=where)
    near = [name for name in schema.names if name not in columns and known_name(name) in columns]  # read to be told of
    return [name for name in schema.names if name in columns or name in near or name.startswith(prefixes)]


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or (pa.types.is_dictionary(kind) and _is_text(kind.value_type))
    )


def _type_name(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
