"""What an adapter says about the frozen test part, stored once; everything else in the benchmark is arithmetic on it.

Keyed by adapter and test part alone, so that new tiers, weights, gates or a new incumbent need no inference. There
are no checkpoints: inference on a test part takes minutes at most, the table is put in one piece, and a killed run
begins it again. Raw predictions are kept at 6 decimals, below which they follow the machine rather than the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.articles import read_frame, scores, write_frame
from components.benchmarking.evaluate import check_predictions
from components.ledger import Outcome, StepRecord, run_step
from components.progress import Progress, quiet
from components.store import Digest, Store, digest_bytes
from filters.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from components.student.bundle import Student

Floats = NDArray[np.float64]

CODE = 1
DECIMALS = 6
PROBE = 16  # articles read a second time, in another order
MAX_TABLE = 2 << 30


class Predictions(NamedTuple):
    """scores: (n, D) calibrated, 0-10, in the order of `dimensions`. reread: largest difference of a second reading."""

    dimensions: list[str]
    scores: Floats
    reread: float


def predict_inputs(adapter: str, test: str) -> dict[str, Any]:
    """What stored predictions depend on: the adapter's digest and the test part's."""
    return {"adapter": adapter, "test": test, "code": CODE}


def read(
    student: Student, frame: pl.DataFrame, adapter: str, progress: Progress = quiet
) -> tuple[Floats, Floats, float]:
    """Raw and final predictions (n, D) for the articles of `frame`, and how far a second reading of some was off.

    InputError if a prediction is not a number.
    """
    texts = list(zip(frame["title"].fill_null("").to_list(), frame["content"].fill_null("").to_list(), strict=True))
    raw: Floats = np.asarray(student.predict(texts, progress), dtype=np.float64).round(DECIMALS)
    check_predictions(frame, student.dimensions, raw, adapter)
    probe = texts[:PROBE][::-1]
    again = np.asarray(student.predict(probe, quiet), dtype=np.float64)[::-1]
    final = np.asarray(student.scores(raw), dtype=np.float64)
    check_predictions(frame, student.dimensions, final, adapter)
    return raw, final, float(np.nan_to_num(np.abs(again - raw[: len(probe)]), nan=np.inf).max())


def predict(
    store: Store, name: str, adapter: str, test: str, frame: pl.DataFrame, *, progress: Progress = quiet
) -> StepRecord:
    """Stores the predictions of adapters/<name>/<adapter> for `frame` of digest `test`; outputs {"predictions"}."""

    def work() -> Outcome:
        from components.student.bundle import open_bundle

        student = open_bundle(store, name, Digest(adapter))
        raw, final, reread = read(student, frame, adapter, progress)
        data = write_frame(_table(frame, student.dimensions, raw, final, reread))
        digest = digest_bytes(data)
        key = predictions_key(adapter, test, digest)
        store.put(key, data)
        return Outcome({"predictions": digest}, [key], {"articles": frame.height})

    return run_step(store, "predict", predict_inputs(adapter, test), work)


def predictions_key(adapter: str, test: str, digest: str) -> str:
    return f"judgements/{adapter}/{test}/predictions/{digest}.parquet"


def read_predictions(store: Store, adapter: str, test: str, digest: str) -> pl.DataFrame:
    """The stored table: article, id, source, language, then raw., prediction. and score. of each dimension, reread."""
    return read_frame(store.get(predictions_key(adapter, test, digest), digest=Digest(digest), max_bytes=MAX_TABLE))


def aligned(table: pl.DataFrame, frame: pl.DataFrame) -> Predictions:
    """The predictions in the order of the articles of `frame`; InputError if one has none."""
    dimensions = [name.removeprefix("prediction.") for name in table.columns if name.startswith("prediction.")]
    place = {article: row for row, article in enumerate(table["article"].to_list())}
    try:
        rows = [place[article] for article in frame["article"].to_list()]
    except KeyError as error:
        raise InputError(
            f"the stored predictions lack article {error}", mend="delete them from the store and run again"
        ) from error
    columns = [table[f"prediction.{name}"].to_numpy()[rows] for name in dimensions]
    return Predictions(dimensions, np.column_stack(columns), float(table["reread"][0]))


def _table(frame: pl.DataFrame, dimensions: Sequence[str], raw: Floats, final: Floats, reread: float) -> pl.DataFrame:
    import polars as pl

    known = [name.removeprefix("score.") for name in frame.columns if name.startswith("score.")]
    labels = scores(frame, known)
    columns = [pl.Series(f"raw.{name}", raw[:, i]) for i, name in enumerate(dimensions)]
    columns += [pl.Series(f"prediction.{name}", final[:, i]) for i, name in enumerate(dimensions)]
    columns += [pl.Series(f"score.{name}", labels[:, i]) for i, name in enumerate(known)]
    columns += [pl.Series("reread", np.full(frame.height, round(reread, DECIMALS)))]
    return frame.select("article", "id", "source", "language").with_columns(columns)
