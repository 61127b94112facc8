"""Scoring a corpus: articles in, prefilter, student, verdicts, tables out, memory flat.

Parts are written beside their place and moved there when all of them are done, `_SUCCESS` last; so a corpus that turns
out to be cut short, or a full disk, leaves nothing behind that looks like a result. The price: a killed run starts over.
"""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from components.articles import Article, Rejects, read_articles, write_frame
from components.progress import Progress, quiet
from components.store import digest_bytes, digest_file, open_store
from filters.errors import InputError
from filters.spec import Filter

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

SUCCESS = "_SUCCESS"
UNFINISHED = "unfinished"
ROWS_PER_PART = 50_000
DECIMALS = 6  # beyond them, scores depend on which articles shared a batch


class Predictor(Protocol):
    """What a student does here; `components.student.bundle.Student` is one."""

    @property
    def dimensions(self) -> list[str]: ...
    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = ...) -> NDArray[np.float64]: ...
    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]: ...


def score(
    flt: Filter,
    student: Predictor,
    articles: str | Path,
    out: str | Path,
    *,
    fmt: Literal["parquet", "jsonl"] = "parquet",
    chunk: int = 2048,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Scores the articles of a file into folder `out`: part-00000.parquet …, rejects.jsonl where rows were bad, _SUCCESS.

    A row has id, title, source, language, url, published, article (digest), prefiltered (why it was left out, or null),
    overall, tier, reason (what capped the overall) and `score.<dimension>`; scores are null where it was left out.
    Returns {"articles", "scored", "prefiltered", "rejected", "collapsed", "tiers": {name: n}, "parts", "seconds"}.
    InputError: the corpus is unusable, `out` holds scores already, the student's dimensions are not the filter's.
    """
    began, out, source = time.monotonic(), Path(out), Path(articles)
    if student.dimensions != flt.dimensions:
        raise InputError(
            f"the student scores {', '.join(student.dimensions)}, not the filter's dimensions in their order",
            mend=f"train one for {', '.join(flt.dimensions)}",
        )
    if (out / SUCCESS).exists():
        raise InputError("holds scores already", where=str(out), mend="give another folder, or delete this one")
    with _staging(out) as staging, Rejects(staging / "rejects.jsonl") as rejects:
        store, parts, counts = open_store(str(staging)), list[dict[str, Any]](), Counter[str]()
        tiers: Counter[str] = Counter({tier.name: 0 for tier in flt.spec.tiers})
        frames = _frames(flt, student, read_articles(source, rejects=rejects), chunk, counts, tiers, progress)
        for number, frame in enumerate(_gathered(frames)):
            name = f"part-{number:05}.{fmt}"
            data = write_frame(frame) if fmt == "parquet" else frame.write_ndjson().encode()
            store.put(name, data)
            parts.append({"name": name, "rows": frame.height, "sha256": digest_bytes(data)})
        rejects.close()
        found = {
            "articles": counts["articles"],
            "scored": counts["articles"] - counts["prefiltered"],
            "prefiltered": counts["prefiltered"],
            "rejected": rejects.count,
            "collapsed": rejects.collapsed,
            "tiers": dict(tiers),
        }
        success = {
            "format": 1,
            "filter": flt.name,
            "version": flt.spec.version,
            "dimensions": flt.dimensions,
            "source": digest_file(source),
            **found,
            "parts": parts,
        }
        _publish(staging, out, json.dumps(success, indent=1).encode())
    return {**found, "parts": [part["name"] for part in parts], "seconds": round(time.monotonic() - began, 3)}


def _frames(
    flt: Filter,
    student: Predictor,
    articles: Iterator[Article],
    chunk: int,
    counts: Counter[str],
    tiers: Counter[str],
    progress: Progress,
) -> Iterator[pl.DataFrame]:
    while batch := list(itertools.islice(articles, chunk)):
        frame = _judged(flt, student, batch)
        counts["articles"] += frame.height
        counts["prefiltered"] += frame.height - frame["prefiltered"].null_count()
        tiers.update(frame["tier"].drop_nulls())
        progress(counts["articles"], None, "articles", prefiltered=float(counts["prefiltered"]))
        yield frame


def _judged(flt: Filter, student: Predictor, batch: list[Article]) -> pl.DataFrame:
    import numpy as np
    import polars as pl

    from components.prefilter import refused
    from filters.verdict import judge

    reasons = refused(flt.spec.prefilter, [a.title for a in batch], [a.content for a in batch])
    kept = [row for row, reason in enumerate(reasons) if reason is None]
    columns: dict[str, Any] = {
        name: [getattr(a, name) for a in batch] for name in ("id", "title", "source", "language", "url", "published")
    }
    columns |= {"article": [a.digest for a in batch], "prefiltered": reasons}
    schema: dict[str, Any] = dict.fromkeys(columns, pl.String)
    scores = np.empty((0, len(flt.dimensions)))
    if kept:
        scores = np.round(student.scores(student.predict([(batch[row].title, batch[row].content) for row in kept])), DECIMALS)
    if scores.shape != (len(kept), len(flt.dimensions)) or not np.isfinite(scores).all():
        raise InputError(
            "the student's scores are not finite numbers, one per article and dimension",
            mend="train again with a lower learningRate or precision fp32",
        )
    verdicts = judge(flt, scores)
    results = {
        "overall": verdicts.overall.tolist(),
        "tier": verdicts.tier.tolist(),
        "reason": [reason or None for reason in verdicts.reason],
        **{f"score.{name}": scores[:, i].tolist() for i, name in enumerate(flt.dimensions)},
    }
    for name, values in results.items():
        columns[name] = [None] * len(batch)
        for row, value in zip(kept, values, strict=True):
            columns[name][row] = value
        schema[name] = pl.String if name in ("tier", "reason") else pl.Float64
    return pl.DataFrame(columns, schema=schema)


def _gathered(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in larger frames, one per part."""
    import polars as pl

    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        if sum(each.height for each in held) >= ROWS_PER_PART:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder beside the results, gone when the run is over, whichever way; `out` too, if nothing came of it."""
    fresh, staging = not out.exists(), out / UNFINISHED
    open_store(str(out))  # says clearly where it can't be written
    shutil.rmtree(staging, ignore_errors=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if fresh and not any(out.iterdir()):
            out.rmdir()


def _publish(staging: Path, out: Path, success: bytes) -> None:
    for kind in ("parquet", "jsonl"):  # what a run left that was killed while it moved its parts
        for stale in out.glob(f"part-[0-9][0-9][0-9][0-9][0-9].{kind}"):
            stale.unlink()
    for path in sorted(staging.iterdir()):
        if path.is_file():
            path.replace(out / path.name)
    open_store(str(out)).put(SUCCESS, success)
