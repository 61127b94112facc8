"""What Filter objects that nothing is due for cost the operator: CPU of first looks and of a round of later ones, and memory.

    python -m tests.benchmarks.idle_filters [--count 1000]

They wait for a budget, as objects that ask a paid oracle do. The store is a folder and the API server is in memory, so the
figures are the operator's own.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.operator.world import Town
from tests.pipelines.harness import filter_document, label_rows

PAID: Final = {"provider": "openai", "model": "big", "price": {"input": 1.0, "output": 2.0}}


class Cost(NamedTuple):
    """CPU seconds of all first looks and of one later round, and MB of memory before and after."""

    first: float
    later: float
    before: int
    after: int


def resident() -> int:
    """MB of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def idle_object(name: str, articles: Path) -> str:
    """An object that waits for a budget."""
    value: dict[str, Any] = filter_document(Path("/nowhere"))
    value["metadata"] = {"name": name}
    value["spec"] |= {"oracle": PAID, "data": {"articles": str(articles)}}
    return json.dumps(value)


def cost(folder: Path, count: int) -> Cost:
    """Let an operator look at `count` idle objects for the first time, and then once more."""
    articles = folder / "articles.jsonl"
    articles.write_text("".join(json.dumps(row) + "\n" for row in label_rows(60)), "utf-8")
    town = Town(folder)
    world, names = town.world(), [f"idle-{number}" for number in range(count)]

    def all_looked_at() -> float:
        began = time.process_time()
        for name in names:
            passed = town.pass_over(name, world=world)
            assert passed.status["phase"] == "NoBudget", passed
        return time.process_time() - began

    town.objects.apply(idle_object("warm-up", articles))
    town.pass_over("warm-up", world=world)
    before = resident()
    for name in names:
        town.objects.apply(idle_object(name, articles))
    first, writes = all_looked_at(), town.objects.writes
    later = all_looked_at()
    assert town.objects.writes == writes, "a later look writes nothing"
    assert not town.kubeflow.runs
    return Cost(first, later, before, resident())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is typed and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args(arguments).count
    with tempfile.TemporaryDirectory() as folder:
        found = cost(Path(folder), count)
    print(f"{count:,} idle filters: {found.first:.1f} s of CPU for the first looks, {found.later:.1f} s for each later round")
    print(f"memory: {found.before} MB before, {found.after} MB after")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
