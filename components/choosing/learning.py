"""A learning curve: the student trained on nested fractions of a split's train part, each training found by its digest.

Fractions are the first articles in an order by content, so each holds the one before it, and the whole is the split itself.
The other two parts stay as they are; errors are those on validation, of raw scores within 0-10, and the test part stays
closed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import scores, write_table
from distillery.components.articles.sample_order import order_key
from distillery.components.artifacts.folder_meta import SplitMeta
from distillery.components.artifacts.split import FILES, Split, StoredSplit, test_digest
from distillery.components.benchmarking.intervals import draws, percentiles
from distillery.components.benchmarking.predict import predict, read_predictions
from distillery.components.choosing.curve import Gain, extrapolated, gain_of
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, Store, StoreError
from distillery.components.store.layout import SPLITS
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]

ORDER: Final = "learning curve"  # seed of the order in which articles join
LEAST: Final = 16  # articles of the smallest fraction
FRACTIONS: Final = (0.25, 0.5, 0.75, 1.0)


class Point(NamedTuple):
    """The student of one fraction.

    Attributes:
        labels: articles that it learned from.
        split: digest of the split that holds them.
        adapter: digest of the adapter.
        mae: its error on validation, over all dimensions.
        dimensions: its error in each.
        interval: of the error over all dimensions, 95%; None where it could not be worked out.
    """

    labels: int
    split: str
    adapter: str
    mae: float
    dimensions: dict[str, float]
    interval: tuple[float, float] | None = None


class LearningCurve(NamedTuple):
    """Errors by number of labels, and what more of them would do.

    Attributes:
        points: from the fewest labels to all.
        ahead: articles to learn from that the gains are told for.
        more: labels that these take in all, validation and test part included.
        overall: what they would take off the error over all dimensions.
        dimensions: what they would take off the error of each.
        usd: what they would cost, in US dollars; None where no price of a label is known.
    """

    points: list[Point]
    ahead: int
    more: int
    overall: Gain
    dimensions: dict[str, Gain]
    usd: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the curve as plain JSON values.

        Returns:
            A JSON object.
        """
        gains = {name: gain._asdict() for name, gain in self.dimensions.items()}
        points = [point._asdict() for point in self.points]
        return {**self._asdict(), "points": points, "overall": self.overall._asdict(), "dimensions": gains}


def learning_curve(
    store: Store,
    flt: Filter,
    *,
    split: str,
    fractions: Sequence[float] = FRACTIONS,
    times: float = 2.0,
    label_usd: float | None = None,
    progress: Progress = quiet,
) -> LearningCurve:
    """Train on nested fractions of the labels, or find that done, and say what more labels would do.

    Args:
        store: where everything is; splits, adapters and predictions stay there.
        flt: the filter.
        split: digest of the split.
        fractions: shares of its train part, two or more; the whole is added.
        times: how many times the labels the gains are told for.
        label_usd: what a label costs, in US dollars; None where that is not known.
        progress: told what is done.

    Returns:
        The curve.

    Raises:
        InputError: a fraction is none, or too small to learn from; or a student can't be trained.
    """
    from distillery.components.training.train import train

    shares = _checked(fractions, times)
    stored = StoredSplit(store, split)
    tables = stored.tables()
    if (fewest := math.ceil(shares[0] * tables.train.num_rows)) < LEAST:
        what = f"{shares[0]:g} of {tables.train.num_rows:,} articles are {fewest}, too few to learn from"
        raise InputError(what, where="--fraction", hint=f"give one that leaves {LEAST} or more")
    validation = tables.validation
    part, labels = test_digest(validation), scores(validation, flt.dimensions)
    points, errors = list[Point](), list[Floats]()
    for at, share in enumerate(shares, start=1):
        rows = math.ceil(share * tables.train.num_rows)
        progress.note(f"fraction {at} of {len(shares)}: {rows:,} of {tables.train.num_rows:,} articles")
        digest = split if rows == tables.train.num_rows else _fraction(store, split, tables, rows)
        adapter = str(train(store, flt, split=digest, progress=progress).outputs["adapter"])
        off = np.abs(_raw(store, flt, adapter, part, validation, progress) - labels)
        means = dict(zip(flt.dimensions, off.mean(axis=0).tolist(), strict=True))
        points.append(Point(rows, digest, adapter, float(off.mean()), means))
        errors.append(off)
    sizes, ahead = np.array([point.labels for point in points], dtype=np.float64), times * points[-1].labels
    resampled = [np.stack([w @ off / w.sum(axis=1, keepdims=True) for off in errors]) for w in draws(len(labels), part)]
    drawn = np.concatenate(resampled, axis=1)  # (fractions, resamples, dimensions)
    per_dimension = {
        name: _gain(sizes, np.array([off[:, i].mean() for off in errors]), drawn[:, :, i].T, ahead)
        for i, name in enumerate(flt.dimensions)
    }
    points = [point._replace(interval=percentiles(drawn[at].mean(axis=1))) for at, point in enumerate(points)]
    overall = _gain(sizes, np.array([off.mean() for off in errors]), drawn.mean(axis=2).T, ahead)
    more = math.ceil((times - 1) * sum(table.num_rows for table in (tables.train, tables.validation, tables.test)))
    usd = None if label_usd is None else round(label_usd * more, 2)
    return LearningCurve(points, math.ceil(ahead), more, overall, per_dimension, usd)


def _checked(fractions: Sequence[float], times: float) -> list[float]:
    if not 1 < times <= 100:
        raise InputError(f"{times:g} times the labels are not more", where="--times", hint="write --times 2")
    for share in fractions:
        if not 0 < share <= 1:
            raise InputError(f"{share:g} is no fraction", where="--fraction", hint="write --fraction 0.25 --fraction 0.5")
    shares = sorted({*fractions, 1.0})
    if len(shares) < 3:
        raise InputError("two sizes tell no curve", where="--fraction", hint="give two or more below 1")
    return shares


def _gain(sizes: Floats, point: Floats, drawn: Floats, ahead: float) -> Gain:
    then = float(extrapolated(sizes, point[None], ahead)[0])
    now = float(extrapolated(sizes, point[None], float(sizes[-1]))[0])
    later = extrapolated(sizes, drawn, ahead)
    gains = extrapolated(sizes, drawn, float(sizes[-1])) - later
    return gain_of(now, then, percentiles(gains), percentiles(later))


def _fraction(store: Store, split: str, tables: Split, count: int) -> Digest:
    """Commit a split with the first articles of the train part, in an order by content; the other parts are the same bytes."""
    import pyarrow as pa

    articles = tables.train["article"].to_pylist()
    kept = sorted(sorted(range(len(articles)), key=lambda row: order_key(ORDER, articles[row]))[:count])
    folder = store.folder(SPLITS, Digest(split))
    files = {name: folder.read(name) for name in (FILES["validation"], FILES["test"])}
    files[FILES["train"]] = write_table(tables.train.take(pa.array(kept)))
    meta = SplitMeta.of(folder)
    rows = meta.rows.model_copy(update={"train": count})
    return store.commit(SPLITS, files, meta.model_copy(update={"rows": rows, "strata": []}).to_json())


def _raw(store: Store, flt: Filter, adapter: str, part: str, validation: Any, progress: Progress) -> Floats:
    """Return an adapter's raw scores for the validation part, within 0-10."""
    record = predict(store, flt, adapter, part, lambda: validation, progress=progress)
    table = read_predictions(store, adapter, part, record.outputs["predictions"])
    row_of = {article: row for row, article in enumerate(table["article"].to_pylist())}
    try:
        rows = [row_of[article] for article in validation["article"].to_pylist()]
    except KeyError as error:
        raise StoreError(f"predictions of {adapter[:12]} lack article {error}", hint="run it again") from None
    raw: Floats = np.clip(np.column_stack([table[f"raw.{name}"].to_numpy()[rows] for name in flt.dimensions]), 0.0, 10.0)
    return raw
