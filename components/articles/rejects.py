"""Rejects: rows that could not be read, counted and kept with file, line and reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from distillery.components.articles.near_names import NamesSeen


class Reject(NamedTuple):
    """A bad row: the name of its file, its line, and why it was left out."""

    file: str
    line: int
    reason: str


class Rejects:
    """Counts bad rows, keeps the first 10,000 and, given a path, writes each to that JSONL file.

    Attributes:
        path: the file, made with the first bad row; None for no file.
        rows: rows read so far, bad ones included.
        count: bad rows.
        collapsed: rows that repeat an earlier one exactly.
        first: the bad rows that are kept.
        reasons: how often each kind of reason occurred.
        seen: the names of columns that the rows have.
        folder: the folder whose files are read; None for a single file.
        unmet: what to tell of columns that were to be read under another name, and that no row has.
    """

    KEEP = 10_000

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.rows = self.count = self.collapsed = 0
        self.first: list[Reject] = []
        self.reasons: Counter[str] = Counter()
        self.seen = NamesSeen()
        self.unmet: list[str] = []
        self.folder: Path | None = None
        self._out: IO[bytes] | None = None

    def add(self, file: Path, line: int, reason: str) -> None:
        """Count a bad row.

        Args:
            file: the file it is in.
            line: its line, from 1.
            reason: what is wrong with it.
        """
        self.count += 1
        reject = Reject(file.relative_to(self.folder).as_posix() if self.folder else file.name, line, reason)
        # Numbers and quoted parts differ from row to row; the table of reasons must not grow with the file.
        self.reasons[re.sub(r"'[^']*'|[\d.,]+", "…", reason)[:80] if len(self.reasons) < 1_000 else "other"] += 1
        if len(self.first) < self.KEEP:
            self.first.append(reject)
        if self.path is not None:
            if self._out is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._out = self.path.open("wb")
            self._out.write(_reject_line(reject))

    def notes(self) -> list[str]:
        """Return what to tell of columns at the end: what was not read, what was made up.

        Returns:
            Sentences.
        """
        return [*self.unmet, *self.seen.notes()]

    def jsonl(self, *, nameless: bool = False) -> bytes:
        """Return the kept rejects as a file.

        Args:
            nameless: True to leave out the name of a single file, so that moving or renaming it changes no bytes.

        Returns:
            JSON Lines {file, line, reason}.
        """
        left_out = ("file",) if nameless and self.folder is None else ()
        lines = ({key: cell for key, cell in reject._asdict().items() if key not in left_out} for reject in self.first)
        return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._out is not None:
            self._out.close()
            self._out = None

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _reject_line(reject: Reject) -> bytes:
    return (json.dumps(reject._asdict(), ensure_ascii=False) + "\n").encode()
