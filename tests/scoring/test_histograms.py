"""Every scoring says how its scores are spread: counts that add up over parts; what an earlier program wrote is read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distillery.components.artifacts.histograms import BINS, NAMED, Histograms, binned, counted, histograms_of, summed
from distillery.components.artifacts.scores import Facts, Scores
from distillery.components.store import StoreError, open_store
from distillery.components.store.layout import histograms_key, part_facts_key
from tests.scoring.test_score import FILTER, Reader, corpus, rows_of, run


def many(count: int) -> list[dict[str, Any]]:
    generator = np.random.default_rng(7)
    return [
        {
            "id": f"a{n}",
            "content": f"{generator.uniform(0, 10):.3f} {generator.integers(0, 11)} text {n}",
            "source": f"feed {n % 3}" if n % 5 else None,
            "language": ["en", "English", "nl", ""][n % 4],
        }
        for n in range(count)
    ]


def stored(out: Path) -> Histograms:
    store = open_store(str(out))
    digest = Scores.load(store, "_SUCCESS").histograms
    return Histograms.load(store, histograms_key(digest), digest=digest)  # type: ignore[arg-type]


@pytest.mark.parametrize("shards", [1, 5])
@pytest.mark.parametrize("fmt", ["parquet", "jsonl"])
def test_a_scoring_counts_its_rows_whatever_the_parts(tmp_path: Path, shards: int, fmt: Any) -> None:
    rows = [*many(200), {"id": "left out", "content": "5 5 a casino"}, {"id": "ten", "content": "10 10 text"}]
    run(Reader(), corpus(tmp_path / "a.jsonl", rows), tmp_path / "out", shards=shards, fmt=fmt)
    found = stored(tmp_path / "out")
    assert found.scored == 201
    scores = [[min(float(word), 10) for word in row["content"].split()[:2]] for row in rows if row["id"] != "left out"]
    for column, name in enumerate(FILTER.dimensions):
        wanted = Counter(min(int(row[column] * 4), BINS - 1) for row in scores)
        assert found.dimensions[name] == [wanted[place] for place in range(BINS)]
    assert sum(found.overall) == 201
    assert found.sources == Counter(row.get("source") or "" for row in rows if row["id"] != "left out")
    assert found.languages == {"en": 100, "": 51, "nl": 50}
    if fmt == "parquet":
        assert histograms_of(rows_of(tmp_path / "out"), FILTER.dimensions) == found


def test_a_score_on_an_edge_is_in_the_bin_above_and_ten_in_the_last() -> None:
    counts = binned(np.array([0.0, 0.25, 0.249999, 9.75, 10.0, 9.999999]))
    assert (counts[0], counts[1], counts[BINS - 1], sum(counts)) == (2, 1, 3, 6)
    assert binned(np.array([])) == [0] * BINS


def test_the_sum_of_parts_is_the_whole_and_names_are_bounded() -> None:
    names = [f"s{n:03}" for n in range(150) for _ in range(1 + n % 3)]
    assert list(counted(names))[:2] == ["s002", "s005"]
    assert len(counted(names)) == NAMED
    generator = np.random.default_rng(3)
    table = pa.table(
        {
            "prefiltered": pa.array([None] * 300, pa.large_string()),
            "overall": generator.uniform(0, 10, 300),
            "source": [f"feed {n % 90}" for n in range(300)],
            "language": ["en"] * 300,
            **{f"score.{name}": generator.uniform(0, 10, 300) for name in FILTER.dimensions},
        }
    )
    halves = [histograms_of(table.slice(start, 150), FILTER.dimensions) for start in (0, 150)]
    assert summed(halves) == histograms_of(table, FILTER.dimensions)


def test_parts_of_an_earlier_program_are_taken_as_they_are(tmp_path: Path) -> None:
    """Its facts have no histograms: they stay, the end says nothing of them, and none of its articles is scored again."""
    articles, out = corpus(tmp_path / "a.jsonl", many(60)), tmp_path / "out"
    run(Reader(), articles, out, shards=3)
    store = open_store(str(out))
    for index in range(3):
        fields = json.loads(store.get(part_facts_key(index)))
        del fields["histograms"], fields["check"]
        old = Facts.model_validate({**fields, "lines": [tuple(line) for line in fields["lines"]]}).sealed()
        store.put(part_facts_key(index), json.dumps({**old.to_json(), "format": 2}, indent=1).encode())
    (out / "_SUCCESS").unlink()
    student = Reader()
    found = run(student, articles, out, shards=3)
    assert (found["reused"], student.seen) == (True, [])
    assert "histograms" not in json.loads((out / "_SUCCESS").read_text())
    old_end = json.dumps({**json.loads((out / "_SUCCESS").read_text()), "format": 3}, indent=1)
    (out / "_SUCCESS").write_text(old_end)
    assert run(Reader(), articles, out, shards=3)["reused"]
    assert (out / "_SUCCESS").read_text() == old_end, "what says the same is not written again"


def test_lost_histograms_are_written_again_and_the_rows_stay(tmp_path: Path) -> None:
    articles, out = corpus(tmp_path / "a.jsonl", many(40)), tmp_path / "out"
    run(Reader(), articles, out, shards=2)
    before = (out / "part-00000.parquet").read_bytes()
    (path,) = out.glob("_job/histograms-*.json")
    path.unlink()
    assert run(Reader(), articles, out, shards=2)["reused"]
    assert path.exists()
    assert (out / "part-00000.parquet").read_bytes() == before
    assert stored(out).scored == 40


@pytest.mark.parametrize(
    "change",
    [
        {"scored": 3},
        {"sources": {"a": 3}},
        {"overall": [1]},
        {"overall": [2] + [-1] + [1] + [0] * (BINS - 3)},
        {"dimensions": {"x": [1] + [0] * (BINS - 1)}},
    ],
)
def test_histograms_that_dont_add_up_are_refused(change: dict[str, Any]) -> None:
    bins = [2] + [0] * (BINS - 1)
    good = {"scored": 2, "dimensions": {"x": bins}, "overall": bins, "sources": {"a": 1}, "languages": {}}
    assert Histograms.read(json.dumps(good).encode(), "here").scored == 2
    with pytest.raises(StoreError, match="here: is not histograms of scores"):
        Histograms.read(json.dumps(good | change).encode(), "here")
