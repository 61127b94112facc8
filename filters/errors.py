"""The one error a user is meant to read: what is wrong, where, and how to mend it."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    """`text` without line breaks, terminal escapes and lone surrogates, so that quoting bad input is harmless."""
    return _UNPRINTABLE.sub(lambda found: " " if found[0] in "\n\r\t" else "�", text)


class InputError(ValueError):
    """Bad input or usage. The command line prints it as one line and exits with 2; nothing has been written.

    what: the fault, in the user's terms ("score 11 is outside 0–10").
    where: "file:line", "parameter --labels", "gates[2]" …; empty where there is no place to point at.
    mend: what to type or change.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        what, where, hint = one_line(what), one_line(where), one_line(hint)
        self.what, self.where, self.hint = what, where, hint
        text = f"{where}: {what}" if where else what
        super().__init__(f"{text}; {hint}" if hint else text)


class Stopped(RuntimeError):
    """A run that ended itself before its work was done: no credit, budget reached, replies not worth paying for.

    The command line prints it as one line and exits with 1. What was done is kept; `mend` says how to go on, `facts` how far
    it came.
    """

    def __init__(self, what: str, *, hint: str) -> None:
        self.what, self.hint = one_line(what), one_line(hint)
        self.facts: dict[str, object] = {}
        super().__init__(f"{self.what}; {self.hint}")
