"""Predictions of an adapter for the frozen test part, stored once; everything else in the benchmark is arithmetic on them.

They are keyed by adapter and test part alone, so new tiers, weights, gates or a new incumbent need no inference. There are no
checkpoints: inference on a test part takes minutes at most, the table is stored in one piece, and a killed run starts over. Raw
predictions are kept at 6 decimals; further ones depend on the machine rather than on the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import read_table, scores, write_table
from distillery.components.artifacts.bundle import CURVES, STUDENT, CurvesFile, StudentFacts, bundle_folder
from distillery.components.artifacts.serving import Plan
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.benchmarking.alarms import check_predictions
from distillery.components.benchmarking.measuring import Alone, note_in_passing, own_process, texts_of
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, Store, digest_bytes
from distillery.components.store.layout import judged_key, predictions_key
from distillery.components.student.content_types import read_texts
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.components.student.student import Student
    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]

CODE = 1
DECIMALS = 6
PROBE = 16  # articles read a second time, in another order
MAX_TABLE = 2 << 30


@dataclass(frozen=True)
class About:
    """What a bundle says of itself. adapter: its digest, "" where it has none."""

    adapter: str
    student: StudentFacts
    curves: CurvesFile

    @property
    def where(self) -> str:
        """Return the adapter's name as errors have it."""
        return f"adapter {self.adapter[:12]}"


class Predictions(NamedTuple):
    """The stored predictions of n articles.

    scores: (n, D) after the score curves, 0-10, in the order of `dimensions`. reread: largest difference of a second reading.
    types: the content type that the student names of each; None for a student that names none.
    """

    dimensions: list[str]
    scores: Floats
    reread: float
    types: list[str | None] | None = None


class Seen(NamedTuple):
    """What a student made of n articles.

    raw, final: (n, D) scores before and after the curves. reread: the largest difference in points when some of the articles
    are read a second time in another order. types: as in `Predictions`.
    """

    raw: Floats
    final: Floats
    reread: float
    types: list[str | None] | None


def about_bundle(store: Store, name: str, adapter: str) -> About:
    """Return what a bundle says of itself, verified, without opening the student.

    Args:
        store: where it is.
        name: name of the filter.
        adapter: digest of the bundle.

    Returns:
        Digest, facts and score curves.

    Raises:
        InputError: there is no such adapter.
        StoreError: its files were altered, or have another form.
    """
    folder = bundle_folder(store, name, adapter)
    student = StudentFacts.read(folder.read(STUDENT), f"{folder.where}/{STUDENT}")
    return About(adapter, student, CurvesFile.read(folder.read(CURVES), f"{folder.where}/{CURVES}"))


def predict_inputs(adapter: str, test: str, precision: str = "auto") -> dict[str, Any]:
    """Return what stored predictions depend on.

    Args:
        adapter: digest of the adapter.
        test: digest of the test part.
        precision: the filter's student.precision.

    Returns:
        The inputs of the step.
    """
    wished = {"precision": precision} if precision != "auto" else {}
    return {"adapter": adapter, "test": test, "code": CODE, **wished}


def predict(
    store: Store,
    flt: Filter,
    adapter: str,
    test: str,
    frame: Callable[[], pa.Table],
    *,
    progress: Progress = quiet,
) -> StepRecord:
    """Predict the test part with an adapter, or find that done.

    Args:
        store: where adapter and predictions are.
        flt: the filter.
        adapter: digest of the adapter.
        test: digest of the test part.
        frame: returns the test part's table; called only where nothing is stored yet.
        progress: told how far it is.

    Returns:
        The record, with outputs {"predictions": digest of the table}, and "served": the plan, unless it is fp32 on a CPU.

    Raises:
        InputError: a prediction is not a number, or the bundle is damaged or does not reproduce its golden predictions.
    """

    def work() -> Outcome:
        fresh = own_process()
        from distillery.components.student.bundle import check_golden, open_bundle
        from distillery.components.student.devices import read_parity, serving_plan

        wish = flt.spec.student
        plan = serving_plan(store, flt.name, adapter, wish, progress, judging=True)
        student = open_bundle(store, flt.name, adapter, plan=plan)
        check_golden(student)
        labelled = frame()
        began = time.monotonic()
        seen = read(student, labelled, adapter, progress)
        seconds = round(time.monotonic() - began, 3)
        data = write_table(_table(labelled, student.dimensions, seen))
        digest = digest_bytes(data)
        key = predictions_key(adapter, test, digest)
        store.put(key, data)
        keys, served = [key], {"served": plan.to_json()} if plan != Plan() else {}
        if read_parity(store, flt.name, adapter):
            keys.append(judged_key(adapter, wish.precision))
            plan.put(store, keys[-1])
        texts = texts_of(labelled)
        alone = Alone(student, texts, own_process=fresh)
        measured = alone.measurement(plan, [*texts, *texts[:PROBE]], seconds)
        note_in_passing(store, flt.name, adapter, measured, progress)
        return Outcome({"predictions": digest, **served}, keys, {"articles": labelled.num_rows, "reading_seconds": seconds})

    return run_step(store, "predict", predict_inputs(adapter, test, flt.spec.student.precision), work, note=progress.note)


def read(student: Student, frame: pa.Table, adapter: str, progress: Progress = quiet) -> Seen:
    """Return a student's predictions for a table of articles.

    Args:
        student: an opened student.
        frame: n articles.
        adapter: its digest, for errors.
        progress: told how far it is.

    Returns:
        Scores, and the content types that the student names.

    Raises:
        InputError: a prediction is not a number.
    """
    texts = texts_of(frame)
    found, types = read_texts(student, texts, progress)
    raw: Floats = np.asarray(found, dtype=np.float64).round(DECIMALS)
    check_predictions(frame, student.dimensions, raw, adapter)
    probe = texts[:PROBE][::-1]
    again = np.asarray(student.predict(probe), dtype=np.float64)[::-1]
    final = np.asarray(student.scores(raw), dtype=np.float64)
    check_predictions(frame, student.dimensions, final, adapter)
    return Seen(raw, final, float(np.nan_to_num(np.abs(again - raw[: len(probe)]), nan=np.inf).max()), types)


def read_predictions(store: Store, adapter: str, test: str, digest: str) -> pa.Table:
    """Return stored predictions, verified.

    The columns are article, id, source, language, then raw., prediction. and score. of each dimension, and reread; with a
    student that names content types content_type, too.

    Args:
        store: where it is.
        adapter: digest of the adapter.
        test: digest of the test part.
        digest: digest of the table.

    Returns:
        The table, one row an article.

    Raises:
        NotFound: there is none.
        StoreError: its bytes were altered.
    """
    return read_table(store.get(predictions_key(adapter, test, digest), digest=Digest(digest), max_bytes=MAX_TABLE))


def aligned(table: pa.Table, frame: pa.Table) -> Predictions:
    """Return the predictions in the order of the articles of a table.

    Args:
        table: stored predictions.
        frame: the articles.

    Returns:
        One row for each article of `frame`.

    Raises:
        InputError: an article has no prediction.
    """
    dimensions = [name.removeprefix("prediction.") for name in table.column_names if name.startswith("prediction.")]
    row_of = {article: row for row, article in enumerate(table["article"].to_pylist())}
    try:
        rows = [row_of[article] for article in frame["article"].to_pylist()]
    except KeyError as error:
        raise InputError(
            f"the stored predictions lack article {error}", hint="delete them from the store and run again"
        ) from error
    columns = [table[f"prediction.{name}"].to_numpy()[rows] for name in dimensions]
    types = table["content_type"].take(rows).to_pylist() if "content_type" in table.column_names else None
    return Predictions(dimensions, np.column_stack(columns), table["reread"][0].as_py(), types)


def _table(frame: pa.Table, dimensions: Sequence[str], seen: Seen) -> pa.Table:
    import pyarrow as pa

    known = [name.removeprefix("score.") for name in frame.column_names if name.startswith("score.")]
    labels = scores(frame, known)
    columns: dict[str, Any] = {name: frame[name] for name in ("article", "id", "source", "language")}
    columns |= {f"raw.{name}": seen.raw[:, i] for i, name in enumerate(dimensions)}
    columns |= {f"prediction.{name}": seen.final[:, i] for i, name in enumerate(dimensions)}
    columns |= {f"score.{name}": labels[:, i] for i, name in enumerate(known)}
    # At two decimals: the noise of summing in another order must not move a digest.
    columns["reread"] = np.full(frame.num_rows, round(seen.reread, 2))
    if seen.types is not None:
        columns["content_type"] = pa.array(seen.types, pa.string())
    return pa.table(columns)
