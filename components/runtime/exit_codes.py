"""The exit codes of the `distillery` command and of the steps of a run; README.md's table of them is made from here.

`python -m distillery.components.runtime.exit_codes` prints that table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """How a command or a step ends. A code keeps its meaning from one release to the next."""

    DONE = 0
    FAILED = 1
    INPUT = 2
    REJECTED = 3
    WAITING = 4
    DUE = 5
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.DONE: "done, and promoted where a run was to promote",
    ExitCode.FAILED: "anything else: a command that stopped itself, an outage, a fault",
    ExitCode.INPUT: "bad input or usage",
    ExitCode.REJECTED: "the gates rejected the adapter, and the channel stays as it was; or a calibration failed",
    ExitCode.WAITING: (
        "a person is waited for: marks of a calibration (the page is named), or `distillery approve` after the gates passed; "
        "or a person refused the adapter or rolled the channel back, and nothing is promoted until they say so"
    ),
    ExitCode.DUE: "`plan --exit-code`: something is due; nothing was run. `drift`: the scores have drifted",
    ExitCode.HANGUP: "the terminal was closed (SIGHUP); the same command goes on",
    ExitCode.INTERRUPTED: "Ctrl-C; the same command goes on",
    ExitCode.TERMINATED: "ended by SIGTERM; the same command goes on",
}


def table() -> str:
    """Return the table of exit codes as README.md shows it.

    Returns:
        Lines of Markdown, each with its line break.
    """
    rows = [f"| {code:d} | {meaning} |" for code, meaning in MEANINGS.items()]
    return "\n".join(["| exit code | meaning |", "|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
