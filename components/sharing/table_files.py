"""Tables as files that other programs read: JSON Lines, CSV, Parquet, or a folder that Hugging Face's `datasets` loads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from distillery.components.articles.label_table import write_table
from distillery.components.sharing.records import nested
from distillery.components.sharing.targets import new_file, new_folder
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

ROWS: Final = 1_000  # written at once


def form_of(out: Path) -> str:
    """Return the form that a name stands for.

    Args:
        out: the file or folder.

    Returns:
        ".jsonl", ".csv" or ".parquet"; "" for a folder.

    Raises:
        InputError: no form has this suffix.
    """
    suffix = "" if out.is_dir() else out.suffix.lower()
    if suffix and suffix not in WRITERS:
        hint = f"name it {', '.join(WRITERS)}, or without a suffix for a folder that Hugging Face's datasets loads"
        raise InputError(f"a table has no form {suffix}", where=f"--out {out}", hint=hint)
    return suffix


def write_file(table: pa.Table, out: Path, *, replace: bool = False) -> None:
    """Write a table in the form that the file's suffix names.

    Args:
        table: the table; columns with a prefix, such as `score.agency`, are nested objects in JSON Lines.
        out: the file.
        replace: True if another content there may be lost.

    Raises:
        InputError: no form has this suffix, or another content is there.
    """
    writer = WRITERS[form_of(out)]
    with new_file(out, replace=replace) as file:
        writer(table, file)


def write_dataset(tables: Mapping[str, pa.Table], card: str, out: Path, *, replace: bool = False) -> None:
    """Write a folder that `datasets.load_dataset` and the model hub read: a Parquet file a part, and its card.

    Args:
        tables: by part.
        card: the README.md, whose head names the files.
        out: the folder.
        replace: True if another content there may be lost.

    Raises:
        InputError: another content is there.
    """
    with new_folder(out, replace=replace, ours=frozenset({"README.md", "data"})) as folder:
        (folder / "README.md").write_text(card, encoding="utf-8")
        (folder / "data").mkdir()
        for part, table in tables.items():
            (folder / data_file(part)).write_bytes(write_table(table))


def data_file(part: str) -> str:
    """Return where a part lies in a folder of data.

    Args:
        part: name of the part.

    Returns:
        Path below the folder, as the hub names such files.
    """
    return f"data/{part}-00000-of-00001.parquet"


def _jsonl(table: pa.Table, file: BinaryIO) -> None:
    for batch in table.to_batches(max_chunksize=ROWS):
        for row in batch.to_pylist():
            text = json.dumps(nested(row, table.column_names), ensure_ascii=False, allow_nan=False)
            file.write(f"{text}\n".encode())


def _csv(table: pa.Table, file: BinaryIO) -> None:
    def write(rows: Iterable[Sequence[object]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        file.write(text.getvalue().encode())

    write([table.column_names])
    for batch in table.to_batches(max_chunksize=ROWS):
        write(["" if cell is None else cell for cell in row.values()] for row in batch.to_pylist())


def _parquet(table: pa.Table, file: BinaryIO) -> None:
    file.write(write_table(table))


WRITERS: Final = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
