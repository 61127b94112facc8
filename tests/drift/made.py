"""Made-up scores of a filter, written as a scoring writes them, and the test predictions of its adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distillery.components.articles.label_table import write_table
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.run_summary import remember_adapter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import Store, digest_bytes
from distillery.components.store.layout import predictions_key
from distillery.filters.filter import Filter
from tests.scoring.test_score import FILTER, Reader, corpus, run

ADAPTER, TEST = "a" * 64, "7" * 64

Floats = NDArray[np.float64]


def drawn(seed: int, n: int, *, shifted: float = 0.0) -> Floats:
    """Scores of n articles in two dimensions, as a student of whole and half points gives them."""
    generator = np.random.default_rng(seed)
    base = generator.normal(4.5, 1.8, (n, 1))
    raw = base + generator.normal(0, 1, (n, 2)) + np.array([0.0, shifted])
    return np.asarray(np.clip(raw, 0, 10).round(3), dtype=np.float64)


def put_test(
    store: Store, scores: Floats, *, adapter: str = ADAPTER, sources: Sequence[str] = ("a", "b"), flt: Filter = FILTER
) -> None:
    """Leave test predictions as the benchmark does, and the run that names them."""
    rows = len(scores)
    columns = {
        "article": [f"{n:064}" for n in range(rows)],
        "id": [f"t{n}" for n in range(rows)],
        "source": [sources[n % len(sources)] for n in range(rows)],
        "language": ["en"] * rows,
        **{f"prediction.{name}": scores[:, column] for column, name in enumerate(flt.dimensions)},
        "reread": [0.0] * rows,
    }
    data = write_table(pa.table(columns))
    digest = digest_bytes(data)
    store.put(predictions_key(adapter, TEST, digest), data)
    outputs = {"test": TEST, "predictions": digest, "benchmark": "b" * 64, "key": "k"}
    remember_adapter(store, publish_filter(store, flt), adapter, StepRecord.of("benchmark", {}, outputs, []))


def scored(folder: Path, scores: Floats, *, adapter: str = ADAPTER, source: str = "a", **more: object) -> Path:
    """Score a corpus of articles whose texts hold these scores; return where the scores are."""
    rows = [
        {"id": f"c{n}", "title": f"Article {n}", "content": f"{row[0]} {row[1]} text {n}", "source": source, "language": "en"}
        for n, row in enumerate(scores.tolist())
    ]
    folder.mkdir()
    run(Reader(), corpus(folder / "articles.jsonl", rows), folder / "scores", adapter=adapter, **more)
    return folder / "scores"


__all__ = ["ADAPTER", "FILTER", "drawn", "put_test", "scored"]
