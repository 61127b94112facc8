"""Predictions of a run for its test part, and the parts of its split, as tables for other programs.

The text of articles is third parties'; it is left out unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from distillery.components.articles.label_table import scores
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.artifacts.split import TEXTS, StoredSplit, load_split
from distillery.components.benchmarking.document import judged
from distillery.components.benchmarking.predict import aligned, read_predictions
from distillery.components.store import Store
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

Part = Literal["train", "validation", "test"]
PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")
ABOUT: Final = ("id", "title", "content", "url", "source", "language", "published")


def data_table(store: Store, summary: RunSummary, part: Part, *, text: bool = False) -> pa.Table:
    """Return one part of a run's split.

    Args:
        store: where it is.
        summary: the run.
        part: which part.
        text: True for title and content, too.

    Returns:
        A row for each article: what is known of it, its content type where any has one, `score.<dimension>` as it was
        labelled, and `reference.<dimension>` where somebody knows the true score.

    Raises:
        InputError: the run came to no split.
    """
    tables = StoredSplit(store, _output(summary, "split", "split")).tables()
    table: pa.Table = getattr(tables, part)
    dimensions = tables.meta.dimensions
    known = [name for name in table.column_names if name.startswith("reference.")]
    typed = ["content_type"] if any(table["content_type"].to_pylist()) else []
    return table.select([*_about(table, text), *typed, *(f"score.{name}" for name in dimensions), *known])


def predictions_table(store: Store, flt: Filter, summary: RunSummary, *, text: bool = False) -> pa.Table:
    """Return what a run's student predicted for its test part, beside the labels.

    Args:
        store: where they are.
        flt: the run's filter, by which overall scores and tiers are worked out.
        summary: the run.
        text: True for title and content, too.

    Returns:
        A row for each article: what is known of it, `score.<dimension>` as it was labelled, `raw.<dimension>` before the score
        curves, `prediction.<dimension>` after them, overall score and tier of both.

    Raises:
        InputError: the run came to no predictions.
        StoreError: they are not those of the split's test part.
    """
    import pyarrow as pa

    adapter, test = (_output(summary, name, "predictions") for name in ("adapter", "test"))
    stored = read_predictions(store, adapter, test, _output(summary, "predictions", "predictions"))
    frame = load_split(store, _output(summary, "split", "split"), expected_test=test).test
    predicted = aligned(stored, frame)
    row_of = {article: row for row, article in enumerate(stored["article"].to_pylist())}
    rows = [row_of[article] for article in frame["article"].to_pylist()]
    verdicts = judged(flt, scores(frame, flt.dimensions), predicted.scores, frame["content_type"].to_pylist(), predicted.types)
    columns: dict[str, Any] = {name: frame[name] for name in _about(frame, text)}
    columns |= {f"score.{name}": frame[f"score.{name}"] for name in flt.dimensions}
    columns |= {f"raw.{name}": stored[f"raw.{name}"].take(pa.array(rows)) for name in predicted.dimensions}
    columns |= {f"prediction.{name}": predicted.scores[:, at] for at, name in enumerate(predicted.dimensions)}
    columns |= {"content_type.prediction": predicted.types} if predicted.types is not None else {}
    columns |= {"overall.label": verdicts.overall_labels, "overall.prediction": verdicts.overall_predictions}
    columns |= {
        "tier.label": [verdicts.tiers[at] for at in verdicts.tier_labels],
        "tier.prediction": [verdicts.tiers[at] for at in verdicts.tier_predictions],
    }
    return pa.table(columns)


def nested(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return a row as the object that our readers take: columns of one prefix are one object, `scores` those of the labels.

    Args:
        row: values by column.
        columns: the columns, in their order.

    Returns:
        The object; what is not known is left out.
    """
    found: dict[str, Any] = {}
    for column in columns:
        if row[column] is None:
            continue
        head, dot, name = column.partition(".")
        if dot:
            found.setdefault("scores" if head == "score" else head, {})[name] = row[column]
        else:
            found[column] = row[column]
    return found


def _about(table: pa.Table, text: bool) -> list[str]:
    return [name for name in ABOUT if name in table.column_names and (text or name not in TEXTS)]


def _output(summary: RunSummary, name: str, what: str) -> str:
    digest = summary.outputs.get(name)
    if not isinstance(digest, str) or not digest:
        raise InputError(f"came to no {what}", where=f"run {summary.run}", hint="see `distillery get runs`; distill again")
    return digest
