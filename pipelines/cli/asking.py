"""Questions to a person in a terminal; on standard error, so that standard output stays what a script reads."""

from __future__ import annotations

import sys


def in_terminal() -> bool:
    """True if a person can be asked.

    Returns:
        Whether questions are seen and answers are typed in a terminal.
    """
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> str:
    """Ask a person.

    Args:
        question: What is shown before the answer.

    Returns:
        The line that was typed, without spaces around it; empty where the input has ended.
    """
    print(question, end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def agreed(question: str) -> bool:
    """Ask a person to agree; whoever types nothing has not.

    Args:
        question: What is shown before the answer.

    Returns:
        Whether y or yes was typed.
    """
    return ask(f"{question} [y/N]").lower() in ("y", "yes")
