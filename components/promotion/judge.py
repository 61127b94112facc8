"""Judge an adapter again: its stored predictions, under the filter as it is now, against the adapter that serves now.

A verdict counts for the gates, tiers and incumbent that it judged. So whoever promotes later than the gates spoke has the
benchmark and the gates speak again; what hasn't changed is reused, and then this takes less than a second.
"""

from __future__ import annotations

from collections.abc import Callable

from distillery.components.artifacts.verdict import Rule, Verdict, read_verdict
from distillery.components.runtime.progress import Progress
from distillery.components.store import NotFound, Store
from distillery.filters.errors import InputError, Rejected
from distillery.filters.filter import Filter

Judge = Callable[[Store, Filter, str, Progress], str]


def judge_again(store: Store, flt: Filter, adapter: str, progress: Progress) -> str:
    """Benchmark an adapter from its stored predictions, and hold it against the gates, both as they are now.

    Args:
        store: where everything is.
        flt: the filter as it is now; the incumbent is what its channel points at.
        adapter: digest of the adapter.
        progress: tells how far it is.

    Returns:
        Digest of the verdict, which may be a rejection.

    Raises:
        InputError: the adapter is not of this filter as it is now, or what it was judged on is gone.
    """
    # `history` and `rollback` judge nothing and need none of what these import.
    from distillery.components.benchmarking.benchmark import benchmark
    from distillery.components.benchmarking.predict import about_bundle
    from distillery.components.gating.gate import gate

    where = f"adapter {adapter[:12]}"
    try:
        split = about_bundle(store, flt.name, adapter).student.split
        measured = benchmark(store, flt, adapter=adapter, split=split, progress=progress).outputs
        subject = {"adapter": adapter, "benchmark": measured["benchmark"], "test": measured["test"]}
        return str(gate(store, flt, **subject, progress=progress).outputs["verdict"])
    except NotFound as error:
        hint = f"distill again: distillery distill {flt.name}"
        raise InputError(f"can't be judged again: {error}", where=where, hint=hint) from error


def require_pass(store: Store, flt: Filter, verdict: str) -> Verdict:
    """Return a verdict that passes.

    Args:
        store: where it is.
        flt: the filter.
        verdict: digest of the verdict.

    Returns:
        The verdict.

    Raises:
        Rejected: a gate fails; the one line names each and its figures.
    """
    judged = read_verdict(store, flt.name, verdict)
    if not judged.passed:
        failing = [f"{rule_name(rule)}: {rule.reason}" for rule in judged.rules if rule.verdict == "fail"]
        what = f"fails the gates of {flt.name} as they are now: {'; '.join(failing)}"
        raise Rejected(what, where=f"adapter {judged.adapter[:12]}")
    return judged


def rule_name(rule: Rule) -> str:
    """Return a rule as people call it: "tier_recall high", "dimension_mae".

    Args:
        rule: of a verdict.

    Returns:
        The metric, with what narrows it.
    """
    return f"{rule.metric} {rule.argument}" if rule.argument else rule.metric
