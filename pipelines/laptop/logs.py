"""The log of a run on this machine: what its processes print, cut by step.

While the run works the log grows in its scratch folder, whose name begins with the run's; at its end it is kept in the store,
whole, in one put. A line that begins with a record separator (U+001E) names the step whose output follows it.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from distillery.components.store import NotFound, Store
from distillery.components.store.layout import RUNS, log_key
from distillery.filters.errors import InputError, one_line

LOG: Final = "run.log"
SCRATCH: Final = "distillery-"
AROUND: Final = "run"  # what is printed between the steps, by whoever starts them
POLL_SECONDS: Final = 0.3
_MARK: Final = "\x1e"
_STEP: Final = re.compile(r"[a-z][a-z-]{0,30}")


class Line(NamedTuple):
    """A line of a log, without its end, and the step that printed it."""

    step: str
    text: str


def scratch_prefix(run: str) -> str:
    """Return what the name of a run's scratch folder begins with, by which its log is found while it works.

    Args:
        run: Name of the run.

    Returns:
        The beginning of a file name.
    """
    return f"{SCRATCH}{run}-"


def mark(log: Path, step: str) -> None:
    """Note in a log that what follows is printed by a step.

    Args:
        log: The log.
        step: Name of the step, or AROUND.
    """
    with open(log, "ab") as file:
        file.write(f"{_MARK}{step}\n".encode())


@contextmanager
def growing(log: Path) -> Iterator[None]:
    """Hold a lock on a log, by which whoever follows it knows that its run works; the kernel releases it with the process.

    Args:
        log: The log, which is made where it isn't there.

    Yields:
        Nothing.
    """
    with open(log, "ab") as file:
        with suppress(OSError):  # a file system without locks: whoever follows ends at once
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def keep(store: Store, run: str, log: Path) -> None:
    """Keep a log in the store.

    Args:
        store: The run's store.
        run: Name of the run.
        log: The log; nothing is kept where there is none.

    Raises:
        StoreError: The store can't be written.
    """
    if log.is_file():
        store.put(log_key(run), log)


def find_run(store: Store, text: str) -> str:
    """Return the run that a user means: its name, or the beginning of it where that is unique.

    Args:
        store: Where runs left their records.
        text: A name, or its beginning.

    Returns:
        The name of a run of the store, or of one that works on this machine.

    Raises:
        InputError: No run, or more than one, is meant.
    """
    names = {*store.folders(RUNS), *_at_work()}
    found = [text] if text in names else sorted(name for name in names if text and name.startswith(text))
    if len(found) != 1:
        what = f"{len(found)} runs are meant by {text[:80]!r}" if found else f"no run {text[:80]!r}"
        hint = "write more of its name" if found else "see `distillery get runs`"
        raise InputError(what, where=store.uri, hint=hint)
    return found[0]


def _at_work() -> Iterator[str]:
    """Yield the names of runs whose scratch folder is on this machine and ours."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        run = folder.name.removeprefix(SCRATCH).rpartition("-")[0]
        if run and _ours(folder / LOG):
            yield run


def _ours(log: Path) -> bool:
    try:
        return log.is_file() and log.stat().st_uid == os.geteuid()
    except OSError:  # gone meanwhile, or in a folder of somebody else's
        return False


def local_log(run: str) -> Path | None:
    """Return the log of a run that works on this machine, or was killed on it.

    Args:
        run: Name of the run.

    Returns:
        Its path; None where there is none.
    """
    folders = Path(tempfile.gettempdir()).glob(f"{scratch_prefix(run)}*")
    return next((folder / LOG for folder in folders if _ours(folder / LOG)), None)


def read_log(store: Store, run: str) -> Iterator[Line]:
    """Yield the log of a run that ended, or what there is of one that goes on.

    Args:
        store: The run's store.
        run: Name of the run.

    Yields:
        Lines, in order.

    Raises:
        InputError: No log of it was kept.
        StoreError: The store can't be read.
    """
    log = local_log(run)
    if log is not None and _grows(log):
        with open(log, "rb") as file:
            yield from _lines(file)
        return
    try:
        with store.open(log_key(run)) as stream:
            yield from _lines(stream)
    except NotFound:
        if log is None:
            hint = "it ran elsewhere, or before logs were kept; `distillery describe runs` says what its steps left"
            raise InputError("no log was kept", where=f"run {run}", hint=hint) from None
        with open(log, "rb") as file:  # of a command that was killed
            yield from _lines(file)


def follow_log(store: Store, run: str) -> Iterator[Line]:
    """Yield the log of a run as it grows, to the run's end.

    Args:
        store: The run's store.
        run: Name of the run.

    Yields:
        Lines, in order.

    Raises:
        InputError: No log of it was kept.
    """
    log = local_log(run)
    if log is None or not _grows(log):
        yield from read_log(store, run)
        return
    with open(log, "rb") as file:  # which stays readable when its folder is removed
        yield from _lines(_tail(file.readline, log))


def _tail(read: object, log: Path) -> Iterator[bytes]:
    """Yield the lines of a file that grows; the last one also where it has no end."""
    rest = b""
    while True:
        ended = not _grows(log)  # asked first, so that what is printed last is read after the end
        while part := read():  # type: ignore[operator]
            rest += part
            if rest.endswith(b"\n"):
                yield rest
                rest = b""
        if ended:
            if rest:
                yield rest
            return
        time.sleep(POLL_SECONDS)


def _grows(log: Path) -> bool:
    """True while the process that began a log is there."""
    try:
        with open(log, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _lines(raw: Iterable[bytes]) -> Iterator[Line]:
    step = AROUND
    for line in raw:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text.startswith(_MARK) and _STEP.fullmatch(text[1:]):
            step = text[1:]
        else:
            for part in text.split("\r"):  # of a bar of progress
                yield Line(step, one_line(part.expandtabs()))
