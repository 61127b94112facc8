"""Two filters over one corpus in one command and in two, with a student so small that reading and tokenising are most of it.

It prints seconds and their ratio, the best of three each: pytest -s -m slow tests/benchmarks/test_several_filters.py
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.serving import Plan
from distillery.components.scoring.score import Wanted, score_several
from distillery.components.store import Store, open_store
from distillery.components.student.bundle import open_bundle
from distillery.components.student.token_cache import Sharing, TokenCache
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter
from tests.store.test_stores_of_the_first_layout import ARCHIVE

ARTICLES = 3000
ADAPTER = "4bbd883ec4ec"


def students(store: Store, flt: Filter, cache: TokenCache | None) -> Callable[[], Any]:
    (adapter,) = {key.split("/")[2] for key in store.keys(f"adapters/{flt.name}") if key.split("/")[2].startswith(ADAPTER)}

    def make() -> Any:
        student = open_bundle(store, flt.name, adapter, plan=Plan())
        return Sharing(student, cache) if cache else student

    return make


@pytest.mark.slow
def test_two_filters_at_once_and_one_after_the_other(tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(tmp_path, filter="data")
    store, flt = open_store(str(tmp_path / "store")), load_filter(str(tmp_path / "filter.yaml"))
    texts = [json.loads(line) for line in (tmp_path / "articles.jsonl").read_text("utf-8").splitlines()]
    rows = [
        {**texts[n % len(texts)], "id": f"a{n}", "content": f"{n} {texts[n % len(texts)]['content']} " * 4}
        for n in range(ARTICLES)
    ]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")

    def seconds(run: int, *, together: bool) -> float:
        cache = TokenCache() if together else None
        places = [tmp_path / f"{together}-{run}-{n}" for n in range(2)]
        wanted = [Wanted(flt, students(store, flt, cache), "a" * 64, place) for place in places]
        began = time.monotonic()
        for group in [wanted] if together else [[each] for each in wanted]:
            score_several(group, tmp_path / "corpus.jsonl")
        return time.monotonic() - began

    best = {together: min(seconds(run, together=together) for run in range(3)) for together in (False, True)}
    print(f"\none after the other {best[False]:.2f} s, at once {best[True]:.2f} s: {best[False] / best[True]:.2f} times")
    parts = [(tmp_path / f"{together}-0-0" / "part-00000.parquet").read_bytes() for together in (False, True)]
    assert parts[0] == parts[1]
