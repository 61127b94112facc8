"""Folders of shards: their files in order, and the columns that folders of Hive and Spark stand for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from distillery.components.articles.cells import is_missing
from distillery.components.articles.columns import Renamed
from distillery.components.articles.near_names import known_name
from distillery.components.store import Digest, digest_file, digest_json
from distillery.filters.errors import InputError

MAX_FILES: Final = 200_000
OF_FOLDERS: Final = ("source", "language", "url", "published", "content_type")
NULL: Final = "__HIVE_DEFAULT_PARTITION__"
# What lies beside shards and holds no row.
BESIDE: Final = (".md", ".crc", ".md5", ".sha256", ".yaml", ".yml", ".py", ".log", ".lock")
_ALONE: Final = frozenset(
    {
        *("license", "license.txt", "readme", "readme.txt", "desktop.ini", "thumbs.db"),
        *("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"),  # what `datasets` notes beside rows
    }
)
# What marks a table of a lakehouse: its folder holds rows that were deleted or written over, too, and its log says which.
_LOGS: Final = (
    (re.compile(r"(.*/)?_delta_log/"), "a Delta table", "delta_scan"),
    (re.compile(r"(.*/)?metadata/[^/]*\.metadata\.json"), "an Iceberg table", "iceberg_scan"),
    (re.compile(r"(.*/)?\.hoodie/"), "a Hudi table", ""),
)
_CACHED: Final = re.compile(r"(cache|tmp)-?[0-9a-z_]+\.arrow")  # what `datasets` computed of a data set, beside its rows


def shard_names(names: Iterable[str]) -> list[str]:
    """Return the names of a folder's shards.

    Args:
        names: paths of all files below the folder.

    Returns:
        Those that hold rows, in order: none below or behind a name that begins with "_" or ".", no README, licence or checksum,
            and nothing that a desktop leaves beside files.

    Raises:
        InputError: there are more than 200,000, or it is a table of a lakehouse.
    """
    names = list(names)
    for log, what, scan in _LOGS:
        if marked := next(filter(None, map(log.match, names)), None):
            export = f"duckdb -c \"copy (from {scan}('FOLDER')) to 'articles.parquet'\""
            hint = f"export what it holds now: {export if scan else 'spark.read.format(…).load(…).write.parquet(…)'}"
            raise InputError(f"{marked[1] or 'the folder'} is {what}, whose files hold rows that were deleted, too", hint=hint)
    wanted = sorted(name for name in names if not any(part.startswith(("_", ".")) for part in name.split("/")) and _rows(name))
    if len(wanted) > MAX_FILES:
        raise InputError(f"has {len(wanted):,} files, more than {MAX_FILES:,}", hint="give a prefix at a time, or larger files")
    return wanted


def _rows(name: str) -> bool:
    own = name.rpartition("/")[2].casefold()
    opened = own.startswith("~$")  # Excel's, beside a workbook that somebody has open
    return not own.endswith(BESIDE) and own not in _ALONE and not opened and not _CACHED.fullmatch(own)


def shards(path: Path) -> list[tuple[str, Path]]:
    """Return the shards of an input on this machine.

    Args:
        path: a file, or a folder of files.

    Returns:
        Names below the folder, with their paths; a file is its own only shard, without a name.

    Raises:
        InputError: a folder has none that holds a byte.
    """
    if not path.is_dir():
        return [("", path)]
    names = shard_names(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    found = [(name, path / name) for name in names if (path / name).stat().st_size]
    if not found:
        raise InputError("is a folder without files", where=str(path), hint="give a file, or a folder of files that hold rows")
    return found


def input_digest(path: Path) -> Digest:
    """Return the digest of an input on this machine.

    Args:
        path: a file, or a folder of shards.

    Returns:
        The sha256 of a file; for a folder that of its shards' names and digests, since folders may be columns.
    """
    if not path.is_dir():
        return digest_file(path)
    return digest_json([[name, digest_file(file)] for name, file in shards(path)])


class FolderColumns:
    """The columns that the folders of a path stand for: "language=en/part-0.parquet"."""

    def __init__(self, name: str, renamed: Renamed) -> None:
        """Read a path.

        Args:
            name: the path of a shard below its folder.
            renamed: columns that are read under other names.

        Raises:
            InputError: two folders have one name, or nearly one that no other has.
        """
        pairs = [folder.partition("=") for folder in name.split("/")[:-1] if "=" in folder]
        cells = [(unquote(key), unquote(value)) for key, _, value in pairs if value not in ("", NULL)]
        ours = renamed.header([key for key, _ in cells], name)
        self.values = {own: text for own, (_, text) in zip(ours, cells, strict=True) if own in OF_FOLDERS}
        near: dict[str, str] = {}  # "lang" is the language where no folder has that name itself
        for own, (key, text) in zip(ours, cells, strict=True):
            column = known_name(own)
            if column not in OF_FOLDERS or column in self.values.keys() - near.keys():
                continue
            if column in near:
                hint = f"name the one that is meant: {{map}} {shlex.quote(f'{key}={column}')}"
                raise InputError(f"folders {near[column]!r} and {key!r} are both nearly {column!r}", where=name, hint=hint)
            near[column], self.values[column] = key, text

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row with the cells that its folders stand for; its own take precedence.

        Args:
            row: a row under our names.

        Returns:
            The row.
        """
        return {**row, **{name: text for name, text in self.values.items() if is_missing(row.get(name)) or row[name] == ""}}
