"""What an adapter says of the frozen test part, stored once; everything else in the benchmark is arithmetic on it.

Keyed by adapter and test part alone, so that new tiers, weights, gates or a new incumbent need no inference. There are no
checkpoints: inference on a test part takes minutes at most, the table is put in one piece, and a killed run begins it
again. Raw predictions are kept at 6 decimals, below which they follow the machine rather than the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import read_table, scores, write_table
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.benchmarking.alarms import check_predictions
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, NotFound, Store, digest_bytes
from distillery.components.store.layout import adapters_folder, predictions_key
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.components.student.bundle import Student
    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]

CODE = 1
DECIMALS = 6
PROBE = 16  # articles read a second time, in another order
MAX_JSON = 16 << 20
MAX_TABLE = 2 << 30


@dataclass(frozen=True)
class About:
    """What a bundle says of itself: its digest, student.json, calibration.json."""

    adapter: str
    student: Mapping[str, Any]
    calibration: Mapping[str, Any] = field(default_factory=dict)


class Predictions(NamedTuple):
    """scores: (n, D) calibrated, 0-10, in the order of `dimensions`. reread: largest difference of a second reading."""

    dimensions: list[str]
    scores: Floats
    reread: float


def about_bundle(store: Store, name: str, adapter: str) -> About:
    """Reads manifest and both files, verified, without opening the student. InputError where there is no such adapter."""
    try:
        folder = store.folder(adapters_folder(name), Digest(adapter))
    except NotFound as error:
        raise InputError(f"there is no adapter {adapter[:12]}…", where=adapters_folder(name)) from error
    if any(entry.size > MAX_JSON for file, entry in folder.files.items() if file.endswith(".json")):
        raise InputError("a JSON file of the bundle is larger than 16 MB", where=folder.where, hint="train it again")
    return About(adapter, folder.read_json("student.json"), folder.read_json("calibration.json"))


def same_dimensions(flt: Filter, about: About) -> None:
    """InputError unless the adapter gives the filter's dimensions in the filter's order."""
    theirs = list(about.student["dimensions"])
    if theirs != flt.dimensions:
        how = "in another order than" if sorted(theirs) == sorted(flt.dimensions) else "not"
        raise InputError(
            f"its dimensions are {', '.join(theirs)}, {how} the filter's",
            where=f"adapter {about.adapter[:12]}",
            hint=f"train one for {', '.join(flt.dimensions)}",
        )


def predict_inputs(adapter: str, test: str) -> dict[str, Any]:
    """What stored predictions depend on: the adapter's digest and the test part's."""
    return {"adapter": adapter, "test": test, "code": CODE}


def predict(
    store: Store,
    name: str,
    adapter: str,
    test: str,
    frame: Callable[[], pa.Table],
    *,
    progress: Progress = quiet,
) -> StepRecord:
    """Predictions of adapters/<name>/<adapter> for the test part of digest `test`; outputs {"predictions"}.

    frame: gives the test part's table, called only where nothing is stored yet. InputError: a prediction is not a number,
    the bundle is damaged or does not reproduce its golden predictions.
    """

    def work() -> Outcome:
        from distillery.components.student.bundle import check_golden, open_bundle

        student = open_bundle(store, name, adapter)
        check_golden(student)
        labelled = frame()
        raw, final, reread = read(student, labelled, adapter, progress)
        data = write_table(_table(labelled, student.dimensions, raw, final, reread))
        digest = digest_bytes(data)
        key = predictions_key(adapter, test, digest)
        store.put(key, data)
        return Outcome({"predictions": digest}, [key], {"articles": labelled.num_rows})

    return run_step(store, "predict", predict_inputs(adapter, test), work)


def read(student: Student, frame: pa.Table, adapter: str, progress: Progress = quiet) -> tuple[Floats, Floats, float]:
    """Raw and final predictions (n, D) for the articles of `frame`, and how far a second reading of some was off.

    InputError if a prediction is not a number.
    """
    texts = list(zip(*(frame[name].fill_null("").to_pylist() for name in ("title", "content")), strict=True))
    raw: Floats = np.asarray(student.predict(texts, progress), dtype=np.float64).round(DECIMALS)
    check_predictions(frame, student.dimensions, raw, adapter)
    probe = texts[:PROBE][::-1]
    again = np.asarray(student.predict(probe), dtype=np.float64)[::-1]
    final = np.asarray(student.scores(raw), dtype=np.float64)
    check_predictions(frame, student.dimensions, final, adapter)
    return raw, final, float(np.nan_to_num(np.abs(again - raw[: len(probe)]), nan=np.inf).max())


def read_predictions(store: Store, adapter: str, test: str, digest: str) -> pa.Table:
    """The stored table: article, id, source, language, then raw., prediction. and score. of each dimension, reread."""
    return read_table(store.get(predictions_key(adapter, test, digest), digest=Digest(digest), max_bytes=MAX_TABLE))


def aligned(table: pa.Table, frame: pa.Table) -> Predictions:
    """The predictions in the order of the articles of `frame`; InputError if one has none."""
    dimensions = [name.removeprefix("prediction.") for name in table.column_names if name.startswith("prediction.")]
    place = {article: row for row, article in enumerate(table["article"].to_pylist())}
    try:
        rows = [place[article] for article in frame["article"].to_pylist()]
    except KeyError as error:
        raise InputError(
            f"the stored predictions lack article {error}", hint="delete them from the store and run again"
        ) from error
    columns = [table[f"prediction.{name}"].to_numpy()[rows] for name in dimensions]
    return Predictions(dimensions, np.column_stack(columns), table["reread"][0].as_py())


def _table(frame: pa.Table, dimensions: Sequence[str], raw: Floats, final: Floats, reread: float) -> pa.Table:
    import pyarrow as pa

    known = [name.removeprefix("score.") for name in frame.column_names if name.startswith("score.")]
    labels = scores(frame, known)
    columns: dict[str, Any] = {name: frame[name] for name in ("article", "id", "source", "language")}
    columns |= {f"raw.{name}": raw[:, i] for i, name in enumerate(dimensions)}
    columns |= {f"prediction.{name}": final[:, i] for i, name in enumerate(dimensions)}
    columns |= {f"score.{name}": labels[:, i] for i, name in enumerate(known)}
    # At two decimals: the noise of summing in another order must not move a digest.
    columns["reread"] = np.full(frame.num_rows, round(reread, 2))
    return pa.table(columns)
