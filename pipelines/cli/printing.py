"""How commands print: JSON for scripts, digests cut short for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from distillery.pipelines.results import number, shown_path


class _Output:
    """Standard output as `--json` promises it: one object, and nothing else.

    Attributes:
        stream: Where the object goes; None where `--json` was not typed.
        printed: True once the object is there.
    """

    stream: TextIO | None = None
    printed = False


@contextmanager
def one_object(wanted: bool) -> Iterator[None]:
    """Keep standard output for one JSON object: whatever else the block prints goes to standard error.

    Args:
        wanted: True if `--json` was typed; False changes nothing.

    Yields:
        Nothing.
    """
    if not wanted:
        yield
        return
    _Output.stream, _Output.printed = sys.stdout, False
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _Output.stream = None


def print_error(what: str, *, where: str = "", hint: str = "", code: int, more: Mapping[str, Any] | None = None) -> None:
    """Print why a command failed as a JSON object, where `--json` was typed and none is printed yet.

    Args:
        what: The fault.
        where: The place or the value at fault; empty where there is none.
        hint: How to mend it; empty where the fault says it.
        code: The exit code that follows.
        more: What else the object holds, by name; None for nothing.
    """
    if _Output.stream is not None and not _Output.printed:
        print_json({**(more or {}), "error": {"what": what, "where": where, "hint": hint, "code": int(code)}})


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output.

    Args:
        value: What to print; NaN and infinities are refused, since JSON has none.

    Raises:
        ValueError: The value holds a number that JSON cannot say.
    """
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False), file=_Output.stream or sys.stdout, flush=True)
    _Output.printed = True


def short(value: object) -> str:
    """Return a value as text, a digest by its first 12 characters.

    Args:
        value: Any value.

    Returns:
        Its text; of 64 characters, as a digest has, the first 12.
    """
    text = str(value)
    return text[:12] if len(text) == 64 else text


def print_history(name: str, channel: str, shown: dict[str, Any], uri: str) -> None:
    """Print what a channel pointed at, newest first; its pin and what waits come before.

    Args:
        name: Name of the filter.
        channel: Name of the channel.
        shown: What `distillery.components.promotion.history.told` returned.
        uri: The store's URI.
    """
    if pin := shown["pin"]:
        print(f"pinned    {_said(pin)}: runs promote nothing here until: distillery unpin {name} --channel {channel}")
    for block in shown["blocked"]:
        print(f"{'refused' if block.get('refused') else 'blocked':<9} {block['adapter'][:12]} {_said(block)}")
    for line in candidate_lines(shown["candidates"], uri):
        print(line)
    if not shown["history"]:
        print(f"nothing was promoted on channel {channel} of {name} yet in {shown_path(uri)}")
    for index, row in enumerate(shown["history"]):
        mark = "now" if index == 0 else ""
        print(
            f"{mark:<4}{row['at']}  {row['action']:<9} {row['adapter'][:12]}  {_figures(row)}  {_said(row, at=False)}".rstrip()
        )


def candidate_lines(candidates: Iterable[dict[str, Any]], uri: str) -> list[str]:
    """Return a line for each candidate that waits, with where its report is.

    Args:
        candidates: Rows of `told`, newest first.
        uri: The store's URI.

    Returns:
        Lines of text.
    """
    lines = []
    for row in candidates:
        report = shown_path(f"{uri}/{row['report']}") if row["report"] else "no report was kept"
        lines.append(f"waiting   {row['adapter'][:12]}  {_figures(row)}  {row['at']}  {report}")
    return lines


def _figures(row: dict[str, Any]) -> str:
    """Return version, error and verdict of a move."""
    version, rules = row["version"], row["rules"]
    passed = f"{rules[0]} of {rules[1]} gates" if rules else "–"
    return f"v{version or '–'}  MAE {number(row['mae'])}  {passed}  verdict {row['verdict'][:12]}"


def _said(word: dict[str, Any], *, at: bool = True) -> str:
    """Return who said it, when and why."""
    texts = [
        f"by {word['by']}" if word["by"] else "",
        word["at"] if at else "",
        f"({word['reason']})" if word["reason"] else "",
    ]
    return " ".join(text for text in texts if text)
