"""The events of a run on this machine: lines that its steps append to one file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from distillery.components.runtime.events import Event, read_event


class Tail:
    """The events of a file that grows; a torn last line waits for its rest.

    Args:
        path: The file, which may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.offset, self.rest = path, 0, b""

    def __iter__(self) -> Iterator[Event]:
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        self.offset += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for raw in lines:
            yield read_event(raw, str(self.path))


@dataclass
class LocalRun:
    """A run on this machine, its events in a file.

    Attributes:
        process: The process that runs the graph; None where the run is over.
        tail: Its events.
    """

    process: subprocess.Popen[bytes] | None
    tail: Tail

    def events(self) -> Iterable[Event]:
        """Return what has happened since the last call.

        Returns:
            Events, oldest first.
        """
        return self.tail

    def ended(self) -> bool:
        """True if the process is gone.

        Returns:
            Whether nothing more will happen.
        """
        return self.process is None or self.process.poll() is not None
