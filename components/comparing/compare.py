"""Compares adapters on the test articles that they have in common, from stored predictions alone.

An article is common where all sides have it in their own test part, so none was trained on it. Dimensions are compared by the
labels of side A; overall score and tier follow from each side's own filter, as it would serve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import scores
from distillery.components.artifacts.split import load_test
from distillery.components.benchmarking.document import judged
from distillery.components.benchmarking.metrics import Judged
from distillery.components.benchmarking.predict import aligned
from distillery.components.comparing.differences import data, settings
from distillery.components.comparing.document import LETTERS, Comparison, Flips, Moved, SideFacts
from distillery.components.comparing.paired import paired
from distillery.components.comparing.sides import Side, require_different
from distillery.components.store import NotFound, digest_json, not_read
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]

FEWEST: Final = 10  # articles in common, below which nothing can be said
MOST: Final = 20  # articles shown of those that moved
TITLE: Final = 200  # characters
TOGETHER: Final = (
    "mae", "rmse", "accuracy", "overall_mae", "overall_rmse", "bias", "spearman", "score_compression", "tier_agreement",
)  # fmt: skip
OF_DIMENSIONS: Final = ("mae", "rmse")


class _Common(NamedTuple):
    """The articles that all sides were tested on.

    Attributes:
        frame: rows of side A's predictions, with the labels.
        dimensions: that all sides judge, in the order of side A.
        texts: titles by article; empty where the split is gone.
        types: content type by article; None where no label has one.
        relabelled: articles whose labels differ between the sides' sets.
    """

    frame: pa.Table
    dimensions: list[str]
    texts: dict[str, str]
    types: list[str | None] | None
    relabelled: int


def compare(sides: Sequence[Side], *, text: bool = False) -> Comparison:
    """Compare adapters on the test articles that all of them have.

    Args:
        sides: two or more; the others are held against the first.
        text: True for titles of the articles that moved.

    Returns:
        The comparison; nothing is stored.

    Raises:
        InputError: sides are the same, have too few test articles in common, or judge no dimension in common.
    """
    if not 2 <= len(sides) <= len(LETTERS):
        hint = f"name two to {len(LETTERS)} adapters, runs or versions of filters; see `distillery get adapters`"
        raise InputError(f"{len(sides)} to compare", where="compare", hint=hint)
    require_different(sides)
    common = _common(sides)
    whole = all(set(side.filter.dimensions) == set(common.dimensions) for side in sides)
    judgements = [_judged(side, common, whole=whole) for side in sides]
    same_test = len({side.test for side in sides}) == 1
    seed = sides[0].test if same_test else digest_json(sorted(common.frame["article"].to_pylist()))
    same_tiers = whole and len({tuple(side.tiers) for side in judgements}) == 1
    rows = paired(judgements, seed, lambda path: _wanted(path, whole=whole, tiers=same_tiers))
    return Comparison(
        sides=[_facts(letter, side) for letter, side in zip(LETTERS, sides, strict=False)],
        articles=common.frame.num_rows,
        same_test=same_test,
        settings=settings(sides),
        data=data(sides),
        figures=sorted((row for row in rows if row.path in TOGETHER), key=lambda row: TOGETHER.index(row.path)),
        dimensions=[row for row in rows if row.path.startswith("dimensions.")],
        tiers=[row for row in rows if row.path.startswith("tiers.")],
        flips=[flip for at in range(1, len(sides)) for flip in _flips(LETTERS[at], judgements[0], judgements[at])]
        if same_tiers
        else [],
        moved=[
            row
            for at in range(1, len(sides))
            for row in _moved(LETTERS[at], common, judgements[0], judgements[at], text=text, whole=whole, tiers=same_tiers)
        ],
        notes=_notes(sides, common, same_test=same_test, whole=whole, same_tiers=same_tiers),
    )


def _wanted(path: str, *, whole: bool, tiers: bool) -> bool:
    head, _, rest = path.partition(".")
    if head == "dimensions":
        return rest.rpartition(".")[2] in OF_DIMENSIONS
    if head == "tiers":
        return tiers and not rest.endswith("_or_better")
    return path in ("mae", "rmse", "accuracy") or (whole and path in TOGETHER and (tiers or path != "tier_agreement"))


def _common(sides: Sequence[Side]) -> _Common:
    """Return the articles and dimensions that all sides have; raise InputError where they are too few."""
    import pyarrow as pa

    first, *others = sides
    dimensions = [name for name in first.filter.dimensions if all(name in side.filter.dimensions for side in others)]
    names = " and ".join(side.name for side in sides)
    if not dimensions:
        hint = "compare students of filters that share a dimension, or `distillery compare --all` for a table of all"
        raise InputError(f"{names} judge no dimension in common", where="compare", hint=hint)
    frame = first.predictions
    articles: list[str] = frame["article"].to_pylist()
    shared = set(articles).intersection(*(side.predictions["article"].to_pylist() for side in others))
    rows = [row for row, article in enumerate(articles) if article in shared]
    if len(rows) < FEWEST:
        what = f"the test parts of {names} have {len(rows)} articles in common, fewer than {FEWEST}"
        hint = "train both on one label set and split, or judge each with `distillery benchmark ADAPTER --labels FILE`"
        raise InputError(what, where="compare", hint=hint)
    frame = frame.take(rows) if len(rows) < len(articles) else frame
    relabelled = np.zeros(len(rows), dtype=bool)
    for side in others:
        theirs = _rows_of(side.predictions, frame)
        for name in dimensions:
            relabelled |= frame[f"score.{name}"].to_numpy() != theirs[f"score.{name}"].to_numpy()
    try:
        test = _rows_of(load_test(first.store, first.split), frame)
    except (NotFound, InputError) as error:
        if not_read(error):
            raise
        test = pa.table({"article": frame["article"]})  # cleaned away: neither titles nor content types are known
    known = test.schema.names
    titles = test["title"].fill_null("").to_pylist() if "title" in known else []
    texts = dict(zip(test["article"].to_pylist(), titles, strict=True)) if titles else {}
    types = test["content_type"].to_pylist() if "content_type" in known else None
    return _Common(frame, dimensions, texts, types, int(relabelled.sum()))


def _rows_of(table: pa.Table, frame: pa.Table) -> pa.Table:
    """Return the rows of a table that are of the articles of another, in its order."""
    row_of = {article: row for row, article in enumerate(table["article"].to_pylist())}
    return table.take([row_of[article] for article in frame["article"].to_pylist()])


def _judged(side: Side, common: _Common, *, whole: bool) -> Judged:
    """Return labels and predictions of the common articles; overall scores and tiers only where all dimensions are there."""
    predicted = aligned(side.predictions, common.frame)
    names = side.filter.dimensions if whole else common.dimensions
    table = common.frame.select([name for name in common.frame.schema.names if not name.startswith("score.")])
    for name in names:
        table = table.append_column(f"score.{name}", common.frame[f"score.{name}"])
    labels, order = scores(table, names), [predicted.dimensions.index(name) for name in names]
    if whole:
        return judged(side.filter, labels, predicted.scores[:, order], common.types, predicted.types)
    nothing, nowhere = np.zeros(len(labels)), np.zeros(len(labels), dtype=np.int64)
    return Judged(names, [], labels, predicted.scores[:, order], nothing, nothing, nowhere, nowhere)


def _facts(letter: str, side: Side) -> SideFacts:
    return SideFacts(
        letter=letter,
        name=side.name,
        filter=side.filter.name,
        version=side.filter.spec.version,
        adapter=side.adapter,
        test=side.test,
        articles=side.predictions.num_rows,
    )


def _flips(letter: str, before: Judged, after: Judged) -> list[Flips]:
    """Return which tiers articles left for which, the largest groups first."""
    changed = np.flatnonzero(before.tier_predictions != after.tier_predictions)
    groups = Counter[tuple[int, int]]()
    mended, spoilt = groups.copy(), groups.copy()
    for row in changed.tolist():
        key = int(before.tier_predictions[row]), int(after.tier_predictions[row])
        groups[key] += 1
        mended[key] += int(after.tier_labels[row] == key[1])
        spoilt[key] += int(before.tier_labels[row] == key[0])
    return [
        Flips(
            letter=letter,
            before=before.tiers[old],
            after=after.tiers[new],
            articles=count,
            mended=mended[old, new],
            spoilt=spoilt[old, new],
        )
        for (old, new), count in sorted(groups.items(), key=lambda item: (-item[1], item[0]))
    ]


def _moved(letter: str, common: _Common, before: Judged, after: Judged, *, text: bool, whole: bool, tiers: bool) -> list[Moved]:
    """Return the articles that moved most: by their overall score, else by the mean of the dimensions in common."""

    def overall(side: Judged) -> tuple[Floats, Floats]:
        if whole:
            return side.overall_labels, side.overall_predictions
        return side.labels.mean(axis=1), side.predictions.mean(axis=1)

    (labels, old), (_, new) = overall(before), overall(after)
    by_size = np.argsort(-np.abs(new - old), kind="stable")[:MOST]
    frame = common.frame
    rows = []
    for row in by_size.tolist():
        places = (before.tier_labels[row], before.tier_predictions[row], after.tier_predictions[row])
        rows.append(
            Moved(
                letter=letter,
                id=frame["id"][row].as_py() or "",
                source=frame["source"][row].as_py() or "",
                label=float(labels[row]),
                before=float(old[row]),
                after=float(new[row]),
                tiers=[before.tiers[int(place)] for place in places] if tiers else [],
                title=common.texts.get(frame["article"][row].as_py(), "")[:TITLE] if text else "",
            )
        )
    return rows


def _notes(sides: Sequence[Side], common: _Common, *, same_test: bool, whole: bool, same_tiers: bool) -> list[str]:
    notes = []
    if not same_test:
        of = ", ".join(f"{letter} {side.predictions.num_rows:,}" for letter, side in zip(LETTERS, sides, strict=False))
        notes.append(
            f"The test parts differ ({of} articles): all figures are of the {common.frame.num_rows:,} articles that all have."
        )
    if common.relabelled:
        notes.append(f"{common.relabelled:,} of these articles have other labels in another side's set; those of A count.")
    if not whole:
        notes.append(
            f"Not all judge the same dimensions: compared are {', '.join(common.dimensions)}, without overall score and tier."
        )
    elif not same_tiers:
        notes.append("The filters have other tiers: neither tiers nor what flips between them is compared.")
    elif any(_verdict_part(side) != _verdict_part(sides[0]) for side in sides[1:]):
        notes.append("Weights, tiers or caps differ: overall score and tier of each side follow from its own filter.")
    if len({bool(side.about.student.instruction) for side in sides}) > 1:
        read = ", ".join(f"{letter} {side.about.student.maxLength}" for letter, side in zip(LETTERS, sides, strict=False))
        notes.append(
            f"Modes differ: an instruction takes its tokens from maxLength ({read}), so sides may read "
            "unequally much of an article."
        )
    if not common.texts:
        notes.append("The split of A is gone from the store: titles and content types are not known, and no content cap acts.")
    return notes


def _verdict_part(side: Side) -> object:
    from distillery.filters.digests import parts

    return {name: value for name, value in parts(side.filter, "benchmark").items() if name != "precision"}


__all__ = ["compare"]
