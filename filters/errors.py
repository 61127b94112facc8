"""Errors that a user is meant to read: what is wrong, where, and how to fix it.

A run is started from a terminal or from a form in a browser. The same error names the same parameter in both, as `--labels`
there and as `labels` here: it carries the parameter's name, and whoever shows it picks the spelling.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

# The parameters of a run, and how the command line spells them.
OPTIONS: Final[Mapping[str, str]] = {
    "filter": "",  # a bare argument, as the next: what is wrong with it names its file
    "adapter": "",
    "store": "--store",
    "articles": "--articles",
    "labels": "--labels",
    "profile": "--profile",
    "overrides": "--set",
    "map": "--map",
    "max_rejects": "--max-rejects",
    "marks": "--marks",
    "without_calibration": "--without-calibration",
    "budget": "--budget",
    "trainer": "--trainer",
    "gpus": "--gpus",
    "shards": "--shards",
    "candidates": "--candidates",
    "rule": "--rule",
}
FIELDS: Final[Mapping[str, str]] = {name: name for name in OPTIONS}
# What to do about an error of the file system, by errno; the system's own words say what is wrong.
_ROOM = "free some space, or choose another place"
_ALLOW = "allow it, or choose another place"
_HINTS: Final[Mapping[int | None, str]] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _ROOM),
    errno.EFBIG: "raise the limit of a file's size, or choose another place",
    errno.EROFS: "choose another place",
    **dict.fromkeys((errno.EACCES, errno.EPERM), _ALLOW),
    errno.EIO: "check the disk, then run again: what was finished is kept",
    errno.EISDIR: "a file belongs there: move the folder away, then run again",
    errno.ENOTDIR: "a folder belongs there: move the file away, or choose another place",
    errno.ENOENT: "check the path",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (ulimit -n), then run again"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP), "choose another place"),
    **dict.fromkeys((errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.EBUSY), "check that the disk is mounted, then run again"),
}
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def install_line(extra: str) -> str:
    """Return how to install one of the project's extras; nothing is published, so it comes from a checkout or a wheel.

    Args:
        extra: Name of the extra.

    Returns:
        A command, and where to type it.
    """
    return f"pip install '.[{extra}]' in the checkout, or with the path of the wheel in place of the dot"


def one_line(text: str) -> str:
    """Return `text` without line breaks, terminal escapes and lone surrogates, so that quoting bad input is harmless.

    Args:
        text: Any text.

    Returns:
        One printable line.
    """
    return _UNPRINTABLE.sub(lambda match: " " if match[0] in "\n\r\t" else "�", text)


def disk_hint(error: OSError) -> str:
    """Return what to do about an error of the file system.

    Args:
        error: What the system raised.

    Returns:
        The end of a sentence; for an error that is no file system's, a general one.
    """
    return _HINTS.get(error.errno, "check the place, then run again")


class InputError(ValueError):
    """Bad input or usage. The command line prints it as one line and exits with 2; nothing has been written.

    Any of the three texts may name a parameter as `{labels}`, and is shown with the spelling of whoever shows it.

    Args:
        what: The fault, in the user's terms ("score 11 is outside 0–10").
        where: The place or the value at fault: "file:line", "gates[2]", a path; empty where there is none to point at.
        hint: What to type or change; empty where the fault says it.
        parameter: The parameter at fault, "labels"; empty where the place says more. A name that is no parameter of a run, such
            as "oracle.replies", becomes part of the place.

    Attributes:
        what: As given, spelt for a terminal; so are where and hint.
        where: The place at fault.
        hint: How to fix it.
        parameter: Name of the parameter at fault.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", parameter: str = "") -> None:
        if parameter not in OPTIONS:
            parameter, where = _leading(f"{parameter} {where}".strip())
        self._texts = (one_line(what), one_line(where), one_line(hint))
        self.what, self.where, self.hint = (_spelt(text, OPTIONS) for text in self._texts)
        self.parameter = parameter
        super().__init__(self.what)

    def __str__(self) -> str:
        return self._shown(OPTIONS)

    def for_form(self) -> str:
        """Return the error as a form or a pod shows it: parameters by the names that a pipeline gives them.

        Returns:
            One line, which begins with the parameter where one is at fault.
        """
        return self._shown(FIELDS)

    def _shown(self, names: Mapping[str, str]) -> str:
        what, where, hint = (_spelt(text, names) for text in self._texts)
        name = names.get(self.parameter, "")
        if name and (where or what).split(" ")[0].rstrip(":") != name:
            # "labels" has the value of the field after it, "filter" a place somewhere within.
            where = f"{name}: {where}" if where and self.parameter == "filter" else f"{name} {where}".rstrip()
        text = f"{where}: {what}" if where else what
        return f"{text}; {hint}" if hint else text


def _leading(where: str) -> tuple[str, str]:
    """Return the parameter that a place begins with, as "{overrides} training.epochs", and the rest of the place."""
    first, _, rest = where.partition(" ")
    name = first[1:-1]
    return (name, rest) if first == f"{{{name}}}" and name in OPTIONS else ("", where)


def _spelt(text: str, names: Mapping[str, str]) -> str:
    for name, spelling in names.items():
        text = text.replace(f"{{{name}}}", spelling)
    return text


@contextmanager
def blamed_on(parameter: str) -> Iterator[None]:
    """Blame a parameter for each InputError of the block that blames none itself.

    Args:
        parameter: Name of the parameter that the block reads.

    Yields:
        Nothing.

    Raises:
        InputError: The block's own, with the parameter.
    """
    try:
        yield
    except InputError as error:
        error.parameter = error.parameter or parameter
        raise


class Waiting(InputError):
    """What cannot go on before a person has looked and said so. The command line exits with 4."""


class Rejected(InputError):
    """What the gates turn down. The command line exits with 3; the channel stays as it was."""


class Stopped(RuntimeError):
    """A run that ended itself before its work was done: no credit, budget reached, replies not worth paying for.

    The command line prints it as one line and exits with 1. What was done is kept.

    Args:
        what: Why it ended.
        hint: How to go on.

    Attributes:
        what: Why it ended.
        hint: How to go on.
        facts: How far it came, by name; filled in by whoever counts.
    """

    def __init__(self, what: str, *, hint: str) -> None:
        self.what, self.hint = one_line(what), one_line(hint)
        self.facts: dict[str, object] = {}
        super().__init__(f"{self.what}; {self.hint}")


class OverBudget(Stopped):
    """A run whose budget has no room for its next call: with the same budget it would stop again.

    Args:
        what: Why it ended.
        hint: How to go on.
        limit: The budget, in US dollars.

    Attributes:
        limit: The budget, in US dollars.
    """

    def __init__(self, what: str, *, hint: str, limit: float) -> None:
        super().__init__(what, hint=hint)
        self.limit = limit
