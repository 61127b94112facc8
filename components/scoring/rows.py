"""The rows of scores: what a student and a filter make of articles, and how parts hold them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from distillery.components.articles.articles import Article
from distillery.components.articles.label_table import read_table
from distillery.components.artifacts.scores import Format, ScoredPart
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, NotFound, Store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

DECIMALS: Final = 6  # beyond them, scores depend on which articles shared a batch
CONTENT_TYPE: Final = "content_type"  # a column only where the student names types
ABOUT: Final = ("id", "title", "source", "language", "url", "published")


class Predictor(Protocol):
    """What a student does here; `distillery.components.student.bundle.Student` is one."""

    @property
    def dimensions(self) -> list[str]:
        """Return the names of the dimensions, in the order of the columns."""

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = ...) -> NDArray[np.float64]:
        """Return raw scores.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            (n, D) raw scores in the order of the texts.
        """

    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores from raw ones.

        Args:
            raw: (n, D) raw scores.

        Returns:
            (n, D) scores from 0 to 10.
        """


def part_rows(out: Store, part: ScoredPart, dimensions: Sequence[str]) -> pa.Table:
    """Return the rows of a part that is done.

    Args:
        out: where the scores are.
        part: the part, as _SUCCESS names it.
        dimensions: in the order of the filter.

    Returns:
        A row for each article, as `judged` made it.

    Raises:
        InputError: the part is gone.
        StoreError: its bytes are not the ones that _SUCCESS names.
    """
    try:
        data = out.get(part.name, digest=Digest(part.sha256))
    except NotFound:
        raise InputError("is gone", where=f"{out.uri}/{part.name}", hint="score again: the other parts stay") from None
    return read_rows("jsonl" if part.name.endswith(".jsonl") else "parquet", dimensions, data)


def read_rows(fmt: Format, dimensions: Sequence[str], data: bytes) -> pa.Table:
    """Return the rows of a part.

    Args:
        fmt: format of the part.
        dimensions: in the order of the filter.
        data: its bytes.

    Returns:
        A row for each article, as `judged` made it.
    """
    import pyarrow as pa

    if fmt == "parquet":
        return read_table(data)
    return pa.Table.from_pylist([loads(line) for line in io.BytesIO(data)], row_schema(dimensions))


def json_lines(table: pa.Table) -> bytes:
    """Return rows as JSON Lines.

    Args:
        table: what `judged` made.

    Returns:
        The bytes of a part.
    """
    rows = (row for batch in table.to_batches() for row in batch.to_pylist())
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()


def row_schema(dimensions: Sequence[str], *, typed: bool = False) -> pa.Schema:
    """Return the columns of a part.

    Args:
        dimensions: in the order of the filter.
        typed: True where the student names content types.

    Returns:
        The schema.
    """
    import pyarrow as pa

    text, number = pa.large_string(), pa.float64()
    columns = dict.fromkeys((*ABOUT, "article", "prefiltered"), text) | {"overall": number, "tier": text, "reason": text}
    columns |= {CONTENT_TYPE: text} if typed else {}
    return pa.schema(columns | {f"score.{name}": number for name in dimensions})


def judged(flt: Filter, student: Predictor, batch: Sequence[Article], progress: Progress = quiet) -> pa.Table:
    """Return the scores of some articles: prefilter, student, caps and tiers.

    Args:
        flt: the filter.
        student: scores the articles that the prefilter lets through, all at once.
        batch: the articles.
        progress: told how many of them have been scored.

    Returns:
        A row for each article, in order: ABOUT, `article` (its digest), `prefiltered` (why it was left out, or null),
        `overall`, `tier`, `reason` (what capped the overall, or null) and `score.<dimension>`; scores are null where it was
        left out. With a student that names content types, `content_type` (or null), whose caps apply.

    Raises:
        InputError: a score is not a finite number.
    """
    import numpy as np
    import pyarrow as pa

    from distillery.components.articles.prefilter import refused
    from distillery.components.student.content_types import names_types, read_texts
    from distillery.filters.verdict import judge

    reasons = refused(flt.spec.prefilter, [a.title for a in batch], [a.content for a in batch])
    kept = [row for row, reason in enumerate(reasons) if reason is None]
    columns: dict[str, Any] = {name: [getattr(a, name) for a in batch] for name in ABOUT}
    columns |= {"article": [a.digest for a in batch], "prefiltered": reasons}
    scores, types = np.empty((0, len(flt.dimensions))), list[str | None]() if names_types(student) else None
    if kept:
        raw, types = read_texts(student, [(batch[row].title, batch[row].content) for row in kept], progress)
        scores = np.round(student.scores(raw), DECIMALS)
    if scores.shape != (len(kept), len(flt.dimensions)) or not np.isfinite(scores).all():
        raise InputError(
            "the student's scores are not finite numbers, one per article and dimension",
            hint="train again with a lower learningRate or precision fp32",
        )
    verdicts = judge(flt, scores, types)
    results = {
        "overall": verdicts.overall.tolist(),
        "tier": verdicts.tier.tolist(),
        "reason": [reason or None for reason in verdicts.reason],
        **{f"score.{name}": scores[:, i].tolist() for i, name in enumerate(flt.dimensions)},
        **({} if types is None else {CONTENT_TYPE: types}),
    }
    for name, values in results.items():
        columns[name] = [None] * len(batch)
        for row, value in zip(kept, values, strict=True):
            columns[name][row] = value
    return pa.table(columns, schema=row_schema(flt.dimensions, typed=types is not None))
