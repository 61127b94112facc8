"""How a process of a run ended, in one line: by which signal, out of memory, or with which exception."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Final

from distillery.components.runtime.memory_limit import PROC, own_files
from distillery.components.runtime.settings import CGROUP
from distillery.filters.errors import one_line

_TRACEBACK: Final = "Traceback (most recent call last):"
_EXCEPTION: Final = re.compile(r"[A-Za-z_][\w.]*(:|$)")


def oom_kills(cgroup: Path = CGROUP, proc: Path = PROC) -> int:
    """Return how many processes the kernel has killed for want of memory, where this process can see it.

    Args:
        cgroup: Where cgroups are mounted.
        proc: Where the kernel's own figures are mounted.

    Returns:
        The count of this process's cgroup; the machine's count where the cgroup has none; 0 where neither can be read.
    """
    for file in (*own_files("memory.events", "memory.oom_control", cgroup, proc), proc / "vmstat"):
        try:
            counts = re.findall(r"^oom_kill (\d+)$", file.read_text(encoding="ascii"), re.MULTILINE)
        except OSError:
            continue
        if counts:
            return int(counts[0])
    return 0


def ending(code: int, log: str, *, out_of_memory: bool) -> str:
    """Return what ended a process.

    Args:
        code: Its exit status, as subprocess or a shell tells it: -9 or 137 for signal 9.
        log: What it printed.
        out_of_memory: True if the kernel killed a process for want of memory while this one ran.

    Returns:
        A part of a sentence, without a line break.
    """
    if name := _signal(code):
        by_kernel = name == "SIGKILL" and out_of_memory
        return "out of memory: the kernel killed it (SIGKILL)" if by_kernel else f"killed by {name}"
    if code == 0:
        return "ended without a decision"
    return last_exception(log) or f"ended with exit code {code}"


def _signal(code: int) -> str:
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def last_exception(log: str) -> str:
    """Return the line that ends the last traceback of a log: the exception and its message.

    Args:
        log: Text of a log, whose lines may be indented.

    Returns:
        "ValueError: what was wrong", one line; empty where the log has no traceback.
    """
    before, mark, after = log.rpartition(_TRACEBACK)
    if not mark:
        return ""
    indent = before.rpartition("\n")[2]
    for line in after.splitlines()[1:]:
        text = line.removeprefix(indent)
        if text and not text[0].isspace() and _EXCEPTION.match(text):
            return one_line(text)
    return ""
