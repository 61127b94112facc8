"""The benchmark step: stored predictions, stored baselines, then arithmetic that a new tier or weight alone redoes.

Two of its three parts are remembered on their own (predictions by adapter and test part, baselines by split), so a
changed tier costs a second or two. The incumbent is whatever the filter's channel points at when the step begins; it
is judged on the same articles, and its digest is part of the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.articles import read_frame, write_frame
from components.benchmarking.baselines import fit_baselines
from components.benchmarking.evaluate import REREAD, About, Incumbent, report
from components.benchmarking.predict import Predictions, aligned, predict, read, read_predictions
from components.datasets import Split, load_split, test_digest
from components.ledger import Outcome, StepRecord, run_step
from components.progress import Progress, quiet
from components.store import Digest, NotFound, Store, digest_bytes, parse_json
from filters.digests import parts
from filters.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from components.student.bundle import Student
    from filters.spec import Filter

Floats = NDArray[np.float64]

CODE = 1
BASELINES_CODE = 1
MAX_DOCUMENT = 16 << 20


def benchmark_inputs(flt: Filter, adapter: str, split: str, incumbent: str | None) -> dict[str, Any]:
    """What a benchmark depends on: adapter, split, incumbent, and how the filter turns scores into a verdict."""
    return {
        "filter": flt.name,
        "adapter": adapter,
        "split": split,
        "incumbent": incumbent,
        "parts": parts(flt, "benchmark"),
        "code": CODE,
    }


def current_incumbent(store: Store, flt: Filter, adapter: str | None = None) -> str | None:
    """Digest of the adapter that the filter's channel points at; None if there is none, or it is `adapter` itself."""
    key = f"channels/{flt.name}/{flt.spec.promotion.channel}.json"
    try:
        channel = parse_json(store.get(key, max_bytes=MAX_DOCUMENT), key)
    except NotFound:
        return None
    current = channel.get("current") if isinstance(channel, dict) else None
    found = current.get("adapter") if isinstance(current, dict) else None
    return found if isinstance(found, str) and found != adapter else None


def benchmark(store: Store, flt: Filter, *, adapter: str, split: str, progress: Progress = quiet) -> StepRecord:
    """Judges adapters/<filter>/<adapter> on the test part of `split`.

    Outputs {"predictions", "benchmark", "test": digests, "key": where benchmark.json lies}. InputError: the adapter's
    dimensions are not the filter's in the same order, a prediction is no number, the test part is not the frozen one.
    """
    incumbent = current_incumbent(store, flt, adapter)

    def work() -> Outcome:
        about = bundle_about(store, flt.name, adapter)
        same_dimensions(flt, about)
        tables = load_split(store, split)
        test = str(tables.meta["test"])
        record = predict(store, flt.name, adapter, test, tables.test, progress=progress)
        predictions = record.outputs["predictions"]
        found = aligned(read_predictions(store, adapter, test, predictions), tables.test)
        result = report(
            flt,
            about,
            test,
            tables.test,
            found.scores,
            baselines(store, flt, split, tables, progress),
            compare_with(store, flt, incumbent, test, tables.test, progress),
            [*_reread(found), *leaked(tables.train, tables.test)],
        )
        data = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1).encode()
        digest = digest_bytes(data)
        key = benchmark_key(adapter, test, digest)
        store.put(key, data)
        progress.note(f"MAE {result['mae']:.3f} on {result['n']:,} articles, {_best_baseline(result)}")
        for alarm in result["alarms"]:
            progress.note(f"alarm: {alarm}")
        outputs = {"predictions": predictions, "benchmark": digest, "test": test, "key": key}
        return Outcome(outputs, [key, *record.keys], {"mae": result["mae"], "n": result["n"]})

    return run_step(store, "benchmark", benchmark_inputs(flt, adapter, split, incumbent), work)


def benchmark_key(adapter: str, test: str, digest: str) -> str:
    return f"judgements/{adapter}/{test}/benchmark/{digest}.json"


def read_benchmark(store: Store, adapter: str, test: str, digest: str) -> dict[str, Any]:
    """benchmark.json, verified against its digest."""
    key = benchmark_key(adapter, test, digest)
    document: dict[str, Any] = parse_json(store.get(key, digest=Digest(digest), max_bytes=MAX_DOCUMENT), key)
    return document


def scalars(store: Store, record: StepRecord) -> dict[str, float]:
    """The figures worth comparing between runs, by dotted name; undefined ones are left out."""
    document = parse_json(store.get(record.outputs["key"], digest=record.outputs["benchmark"]), record.outputs["key"])
    names = ("n", "mae", "rmse", "overall_mae", "spearman", "tier_agreement", "score_compression")
    found = {name: document[name] for name in names}
    found |= {f"dimensions.{name}.mae": row["mae"] for name, row in document["dimensions"].items()}
    found |= {f"baselines.{name}.mae": row["mae"] for name, row in document["baselines"].items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def evaluate(
    flt: Filter,
    student: Student,
    frame: pl.DataFrame,
    train: pl.DataFrame | None = None,
    validation: pl.DataFrame | None = None,
    *,
    about: About,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """The same document for any labelled frame, nothing stored: `distillery benchmark FILTER|ADAPTER --labels FILE`.

    train, validation: parts of the adapter's own split, on which baselines are fitted; without them there are none.
    """
    same_dimensions(flt, about)
    _, final, reread = read(student, frame, about.adapter, progress)
    fitted = fit_baselines(train, validation, frame, flt.dimensions) if train is not None else {}
    alarms = _reread(Predictions(flt.dimensions, final, reread))
    if train is not None:
        alarms += leaked(train, frame)
    return report(flt, about, test_digest(frame), frame, final, fitted, None, alarms)


def bundle_about(store: Store, name: str, adapter: str) -> About:
    """What the stored bundle says of itself, its manifest and both files verified."""
    folder = store.folder(f"adapters/{name}", Digest(adapter))
    return About(adapter, folder.read_json("student.json"), folder.read_json("calibration.json"))


def same_dimensions(flt: Filter, about: About) -> None:
    """InputError unless the adapter gives the filter's dimensions in the filter's order."""
    theirs = list(about.student.get("dimensions") or [])
    if theirs == flt.dimensions:
        return
    same = sorted(theirs) == sorted(flt.dimensions)
    raise InputError(
        f"its dimensions are {', '.join(theirs)}, {'in another order than' if same else 'not'} the filter's",
        where=f"adapter {about.adapter[:12]}",
        mend=f"train one for {', '.join(flt.dimensions)}",
    )


def baselines(store: Store, flt: Filter, split: str, tables: Split, progress: Progress = quiet) -> dict[str, Floats]:
    """Baseline predictions for the test part, (n, D) each; remembered by split."""

    def work() -> Outcome:
        import polars as pl

        progress.note("fitting the baselines")
        fitted = fit_baselines(tables.train, tables.validation, tables.test, flt.dimensions)
        columns = {f"{name}.{d}": values[:, i] for name, values in fitted.items() for i, d in enumerate(flt.dimensions)}
        data = write_frame(pl.DataFrame(columns))
        digest = digest_bytes(data)
        key = f"baselines/{split}/{digest}.parquet"
        store.put(key, data)
        return Outcome({"baselines": digest, "names": list(fitted)}, [key])

    inputs = {"split": split, "dimensions": flt.dimensions, "code": BASELINES_CODE}
    record = run_step(store, "baselines", inputs, work)
    table = read_frame(store.get(record.keys[0], digest=record.outputs["baselines"]))
    return {
        name: np.column_stack([table[f"{name}.{d}"].to_numpy() for d in flt.dimensions])
        for name in record.outputs["names"]
    }


def compare_with(
    store: Store, flt: Filter, incumbent: str | None, test: str, frame: pl.DataFrame, progress: Progress = quiet
) -> Incumbent | None:
    """The incumbent's predictions for the same articles; one that can't be read is named with the reason."""
    if incumbent is None:
        return None
    try:
        about = bundle_about(store, flt.name, incumbent)
        record = predict(store, flt.name, incumbent, test, frame, progress=progress)
        found = aligned(read_predictions(store, incumbent, test, record.outputs["predictions"]), frame)
    except (InputError, NotFound) as error:
        progress.note(f"the incumbent {incumbent[:12]} can't be compared: {error}")
        return Incumbent(incumbent, [], None, None, str(error))
    return Incumbent(incumbent, found.dimensions, found.scores, _seen(store, about, frame))


def _seen(store: Store, about: About, frame: pl.DataFrame) -> int | None:
    """How many articles of `frame` the adapter was trained on; None where its split is gone."""
    try:
        train = load_split(store, about.student["split"]).train
    except (InputError, NotFound, KeyError):
        return None
    return int(frame["article"].is_in(train["article"].implode()).sum())


def leaked(train: pl.DataFrame, frame: pl.DataFrame) -> list[str]:
    """An alarm where articles to be judged on were trained on."""
    seen = int(frame["article"].is_in(train["article"].implode()).sum())
    return [f"{seen:,} of {frame.height:,} articles were trained on: these figures flatter it"] if seen else []


def _reread(found: Predictions) -> list[str]:
    """An alarm where the same article, read again in another place, got another score."""
    if found.reread <= REREAD:
        return []
    return [f"predictor ignores its input: the same articles read in another order differ by up to {found.reread:.2f}"]


def _best_baseline(result: Mapping[str, Any]) -> str:
    rows = {name: row["mae"] for name, row in result["baselines"].items() if row["mae"] is not None}
    if not rows:
        return "no baselines"
    name = min(rows, key=lambda key: rows[key])
    return f"best baseline {name} {rows[name]:.3f}"
