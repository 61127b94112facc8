"""Rows of a JSONL, JSONL.gz or Parquet file, told apart by content, streamed with flat memory.

Files are untrusted: lines, decoded sizes and row counts are capped before anything is decoded, so that a bomb is
refused in seconds. The caps are generous (a ratio of 100:1 beyond 256 MB, 8 MB a line); real text stays below 20:1.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAX_LINE = 8 * 2**20  # a longer line is a bad row: 1,000,000 characters fit even when each is escaped as \uXXXX
HUGE_LINE = 64 * 2**20  # and one longer than this is no table of articles at all
FREE_BYTES = 256 * 2**20
MAX_RATIO = 100


Kind: TypeAlias = Literal["jsonl", "gzip", "parquet"]


class Row(NamedTuple):
    """Line (JSONL) or row number (Parquet), counted from 1; `value` is None where `fault` says what is wrong."""

    line: int
    value: dict[str, Any] | None
    fault: str = ""


def read_rows(path: Path, columns: frozenset[str], prefixes: tuple[str, ...] = ()) -> Iterator[Row]:
    """Yield the rows of `path`. InputError if the file as a whole can't be read: missing, empty, cut short, a bomb.

    columns, prefixes: the columns of a Parquet file to read, by name or by the start of the name.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=str(path), hint="check the path") from error
    except IsADirectoryError as error:
        raise InputError("is a folder", where=str(path), hint="give one JSONL, JSONL.gz or Parquet file") from error
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", where=str(path)) from error
    if not size:
        raise InputError("is empty", where=str(path), hint="give a file with one article a line")
    kind = file_kind(head, str(path))
    if kind == "parquet":
        yield from _parquet_rows(path, size, columns, prefixes)
    elif kind == "gzip":
        yield from _gzip_rows(path, size)
    else:
        with path.open("rb") as stream:
            yield from _json_rows(path, stream, size)


def file_kind(head: bytes, where: str) -> Kind:
    """What a file is, by its first four bytes; InputError for what is none of the three."""
    if head == b"PAR1":
        return "parquet"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("is UTF-16", where=where, hint="save it as UTF-8")
    if head in (b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"\xfd7zX") or head[:3] == b"BZh":
        raise InputError("is an archive or a compression other than gzip", where=where, hint="unpack it first")
    return "jsonl"


def _gzip_rows(path: Path, size: int) -> Iterator[Row]:
    line = 0
    try:
        with gzip.open(path, "rb") as raw, io.BufferedReader(raw, 2**20) as stream:
            for row in _json_rows(path, stream, size):
                line = row.line
                yield row
    except EOFError as error:
        raise InputError(
            f"is cut short: its gzip data end after line {line}", where=str(path), hint="copy or download it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"is damaged after line {line}: {error}", where=str(path), hint="copy or download it again") from error


def _json_rows(path: Path, stream: IO[bytes], size: int) -> Iterator[Row]:
    number = total = found = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        length = len(line)
        whole = line.endswith(b"\n")
        while not whole and length < HUGE_LINE and (more := stream.readline(MAX_LINE)):
            length += len(more)
            whole = more.endswith(b"\n")
        if length >= HUGE_LINE:
            raise InputError(
                f"is longer than {HUGE_LINE // 2**20} MB", where=f"{path}:{number}", hint="give JSON Lines: one article a line"
            )
        total += length
        refuse_bomb(path, total, number, size)
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if length > MAX_LINE:
            found += 1
            yield too_long(number, length, "line")
        elif text := line.strip():
            found += 1
            row = json_row(number, text)
            if found == 1 and text[:1] == b"[" and not row.value:
                raise InputError("is a JSON list, not JSON Lines", where=str(path), hint=f"convert it: jq -c '.[]' {path.name}")
            yield row
    if not found:
        raise InputError("has no rows", where=str(path), hint="give a file with one article a line")


def too_long(number: int, length: int, what: str) -> Row:
    """The fault of a line or row of `length` bytes."""
    return Row(number, None, f"the {what} is {length / 2**20:.0f} MB long, more than {MAX_LINE // 2**20}")


def json_row(number: int, line: bytes) -> Row:
    """One line of JSON as a row; it has a fault where it isn't an object."""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Row(number, None, f"is not UTF-8 at byte {error.start + 1}")
    except RecursionError:
        return Row(number, None, "is nested too deep")
    except ValueError as error:
        return Row(number, None, f"is not JSON: {error}")
    if not isinstance(value, dict):
        return Row(number, None, f"is not a JSON object but {_kind(value)}")
    return Row(number, value)


def refuse_bomb(where: Path | str, decoded: int, rows: int, size: int) -> None:
    """InputError where a file of `size` bytes has unpacked to more than honest data do."""
    if (decoded > FREE_BYTES and decoded > MAX_RATIO * size) or rows > size + 1_000:
        raise InputError(
            f"unpacks to more than {MAX_RATIO} times its size, as only a bomb does",
            where=str(where),
            hint="look at what made this file",
        )


def _parquet_rows(path: Path, size: int, columns: frozenset[str], prefixes: tuple[str, ...]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    try:
        # Page by page and row by row (10 µs each): neither a large row group nor a long text that a dictionary tells a
        # million times is ever unpacked as a whole. Reading as dictionaries instead keeps every text of a row group.
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
            names = wanted_columns(path, file, size, columns, prefixes)
            for number, batch in enumerate(file.iter_batches(1, columns=names, use_threads=False), 1):
                if batch.nbytes > MAX_LINE:
                    yield too_long(number, batch.nbytes, "row")
                    continue
                try:
                    yield Row(number, batch.to_pylist()[0])
                except UnicodeDecodeError:
                    yield Row(number, None, "is not UTF-8")
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes the decoder say
        reason = str(error).partition("\n")[0][:200]
        raise InputError(f"is a damaged Parquet file: {reason}", where=str(path), hint="write it again") from error


def wanted_columns(
    path: Path | str, file: pq.ParquetFile, size: int, columns: frozenset[str], prefixes: tuple[str, ...]
) -> list[str]:
    """The columns of a table of articles that are read. InputError for a bomb, no rows, no text column `content`."""
    metadata = file.metadata
    decoded = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    refuse_bomb(path, decoded, metadata.num_rows, size)
    if not metadata.num_rows:
        raise InputError("has no rows", where=str(path), hint="give a file with one article a row")
    schema = file.schema_arrow
    if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
        raise InputError(f"has column {twice[0]!r} twice", where=str(path))
    if "content" not in schema.names:
        raise InputError(
            f"has no column 'content' (it has {', '.join(schema.names[:12])})",
            where=str(path),
            hint="rename the column that holds the article's text",
        )
    if not _is_text(schema.field("content").type):
        raise InputError(f"column 'content' is {schema.field('content').type}, not text", where=str(path))
    return [name for name in schema.names if name in columns or name.startswith(prefixes)]


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or (pa.types.is_dictionary(kind) and _is_text(kind.value_type))
    )


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
