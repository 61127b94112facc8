"""Students that were judged without a training, and what stands for loading and judging them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distillery.components.artifacts.channel import Entry, current, read_channel
from distillery.components.gating.gate import gate
from distillery.components.promotion.by_hand import Said
from distillery.components.promotion.promote import hold, promote
from distillery.components.runtime.progress import Progress
from distillery.components.store import Digest, Store
from distillery.filters.filter import Filter
from tests.documents import incumbent_json
from tests.gating.judged import make_benchmark, make_filter, make_split, ready

FILTER = make_filter()
HELD = make_filter("  oracle:", "  promotion: {approval: required}\n  oracle:")
ADA = Said("ada", "read its report")


def history(store: Store, name: str, channel: str) -> list[Entry]:
    return read_channel(store, name, channel).channel.history


def fine(store: Store, name: str, adapter: Digest) -> float:
    """Stands for `reproduce`, which needs a real student: reads every byte, finds golden predictions reproduced."""
    store.folder(f"adapters/{name}", adapter).verify()
    return 0.0


def judged(store: Store, number: int, flt: Filter = FILTER, **changes: Any) -> tuple[Digest, str]:
    """(adapter, verdict) of a student judged against what the channel points at now."""
    adapter, benchmark = ready(store, number=number, **{"incumbent": against(store, flt), **changes})
    return adapter, gate(store, flt, adapter=adapter, benchmark=benchmark).outputs["verdict"]


def promoted(store: Store, number: int) -> Digest:
    """Promote a student as a run does; return its digest."""
    adapter, verdict = judged(store, number)
    promote(store, FILTER, verdict=verdict, filter_key=f"filters/demo/{number}", verify=fine)
    return adapter


def held(store: Store, number: int, flt: Filter = HELD, *, run: str = "") -> Digest:
    """Hold a student as a run does; return its digest."""
    adapter, verdict = judged(store, number, flt)
    hold(store, flt, verdict=verdict, run=run or f"run-{number}")
    return adapter


def again(**changes: Any) -> Callable[[Store, Filter, str, Progress], str]:
    """Judges any of the students again, as `judge_again` does from what a run has left: a benchmark with these changes."""

    def judge(store: Store, flt: Filter, adapter: str, progress: Progress) -> str:
        _, test = make_split(store)
        benchmark = make_benchmark(store, adapter, test, **{"incumbent": against(store, flt), **changes})
        return str(gate(store, flt, adapter=adapter, benchmark=benchmark).outputs["verdict"])

    return judge


def against(store: Store, flt: Filter) -> dict[str, Any] | None:
    """What a benchmark says of the adapter that serves now: the student is better."""
    now = current(store, "demo", flt.spec.promotion.channel)
    return incumbent_json(adapter=now.adapter, difference=-0.1, interval=[-0.2, -0.01]) if now else None


BY_HAND: Any = {"judge": again(), "verify": fine}
