"""What a channel pointed at, for people: each move with the filter's version, the error and the verdict, who, when and why."""

from __future__ import annotations

from typing import Any

from distillery.components.artifacts.benchmark import Benchmark, read_benchmark
from distillery.components.artifacts.channel import Candidate, Channel, Serving
from distillery.components.artifacts.verdict import Verdict, read_verdict
from distillery.components.store import NotFound, Store
from distillery.components.store.layout import report_key, version_of_filter
from distillery.filters.errors import InputError


def told(store: Store, name: str, channel: Channel) -> dict[str, Any]:
    """Return what is worth reading of a channel.

    Args:
        store: where its verdicts are.
        name: of the filter.
        channel: the channel.

    Returns:
        Plain JSON values: "pin", "blocked", "candidates" and "history", newest first. A figure that can't be read is None.
    """
    return {
        "pin": channel.pin.to_json() if channel.pin else None,
        "blocked": [block.to_json() for block in channel.blocked],
        "candidates": [{**row.to_json(), **figures(store, name, row), "report": report_of(row)} for row in channel.candidates],
        "history": [
            {**row.to_json(), "by": row.by, "reason": row.reason, **figures(store, name, row)} for row in channel.history
        ],
    }


def report_of(candidate: Candidate) -> str | None:
    """Return where the report of a candidate is.

    Args:
        candidate: the candidate.

    Returns:
        A key of the store; None where the run that judged it was not kept.
    """
    return report_key(candidate.run) if candidate.run else None


def figures(store: Store, name: str, move: Serving) -> dict[str, Any]:
    """Return the filter's version of a move, and what its verdict says.

    Args:
        store: where the verdict is.
        name: of the filter.
        move: adapter, verdict and filter.

    Returns:
        {"version", "mae", "rules": gates passed and gates in all}, each None where it can't be read.
    """
    verdict, benchmark = _judged(store, name, move)
    rules = [sum(rule.verdict not in ("fail", "review") for rule in verdict.rules), len(verdict.rules)] if verdict else None
    return {
        "version": version_of_filter(move.filter),
        "mae": benchmark.mae if benchmark else None,
        "rules": rules,
    }


def _judged(store: Store, name: str, move: Serving) -> tuple[Verdict | None, Benchmark | None]:
    """Return a move's verdict and benchmark; None for one that is gone or altered, since a history is shown all the same."""
    try:
        verdict = read_verdict(store, name, move.verdict)
    except InputError:
        return None, None
    try:
        return verdict, read_benchmark(store, verdict.adapter, verdict.test, verdict.benchmark)
    except (InputError, NotFound):
        return verdict, None
