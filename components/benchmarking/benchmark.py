"""The benchmark step: stored predictions, stored baselines, then arithmetic that a new tier or weight alone redoes.

Predictions are remembered by adapter and test part, baselines by split, so a changed tier costs a second. The incumbent
is what the filter's channel points at when the step begins; its digest is part of the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import read_table, write_table
from distillery.components.artifacts.noise_floor import noise_of
from distillery.components.artifacts.split import Split, load_split
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.benchmarking.alarms import reread_differs, trained_on
from distillery.components.benchmarking.baselines import fit_baselines
from distillery.components.benchmarking.document import benchmark_document
from distillery.components.benchmarking.incumbent import compare_with, current_incumbent
from distillery.components.benchmarking.predict import CODE as PREDICT_CODE
from distillery.components.benchmarking.predict import (
    MAX_JSON,
    about_bundle,
    aligned,
    predict,
    predict_inputs,
    read_predictions,
    same_dimensions,
)
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, NotFound, Store, digest_bytes, digest_json
from distillery.components.store.layout import SPLITS, baselines_key, benchmark_key
from distillery.filters.digests import parts
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]

CODE = 2
BASELINES_CODE = 1


def benchmark_inputs(
    flt: Filter, adapter: str, split: str, incumbent: str | None, noise: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a benchmark depends on: adapter, split (and so predictions), incumbent, the filter's way to a verdict.

    noise: what `measured_noise` found; None where the labels' noise was never measured.
    """
    measured = {"noise": digest_json(noise)} if noise is not None else {}
    return {
        **measured,
        "filter": flt.name,
        "adapter": adapter,
        "split": split,
        "incumbent": incumbent,
        "parts": parts(flt, "benchmark"),
        "code": [CODE, PREDICT_CODE, BASELINES_CODE],
    }


def benchmark(store: Store, flt: Filter, *, adapter: str, split: str, progress: Progress = quiet) -> StepRecord:
    """Judges adapters/<filter>/<adapter> on the test part of `split`.

    Outputs {"predictions", "benchmark", "test": digests, "key": where benchmark.json lies}. InputError: the adapter's
    dimensions are not the filter's in the same order, a prediction is no number, the test part is not the frozen one.
    """
    about = about_bundle(store, flt.name, adapter)
    same_dimensions(flt, about)
    test = str(store.folder(SPLITS, Digest(split)).meta.get("test"))
    record = predict(
        store, flt.name, adapter, test, lambda: load_split(store, split, expected_test=test).test, progress=progress
    )
    predictions = record.outputs["predictions"]
    incumbent = current_incumbent(store, flt, adapter)
    noise = measured_noise(store, flt, split)

    def work() -> Outcome:
        tables = load_split(store, split, expected_test=test)
        found = aligned(read_predictions(store, adapter, test, predictions), tables.test)
        result = benchmark_document(
            flt,
            about,
            test,
            tables.test,
            found.scores,
            baselines(store, flt, split, tables, progress),
            compare_with(store, flt, incumbent, test, tables.test, progress),
            [*reread_differs(found.reread), *trained_on(tables.train, tables.test)],
            noise,
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

    return run_step(store, "benchmark", benchmark_inputs(flt, adapter, split, incumbent, noise), work)


def measured_noise(store: Store, flt: Filter, split: str) -> dict[str, Any] | None:
    """The noise of the oracle that gave this split's labels, {"floor", "second"}; None where nobody measured it."""
    label_set = store.folder(SPLITS, Digest(split)).meta.get("label_set")
    try:
        found = noise_of(store, flt.name, str(label_set))
    except (NotFound, InputError):  # a label set that was cleaned away, or labels without one
        return None
    return found.measured() if found else None


def read_benchmark(store: Store, adapter: str, test: str, digest: str) -> dict[str, Any]:
    """benchmark.json, verified against its digest."""
    key = benchmark_key(adapter, test, digest)
    document: dict[str, Any] = store.get_json(key, digest=Digest(digest), max_bytes=MAX_JSON)
    return document


def scalars(store: Store, record: StepRecord) -> dict[str, float]:
    """The figures worth comparing between runs, by dotted name; undefined ones are left out."""
    document = store.get_json(record.outputs["key"], digest=record.outputs["benchmark"], max_bytes=MAX_JSON)
    names = ("n", "mae", "rmse", "overall_mae", "spearman", "tier_agreement", "score_compression")
    found = {name: document[name] for name in names}
    found |= {f"dimensions.{name}.mae": row["mae"] for name, row in document["dimensions"].items()}
    found |= {f"baselines.{name}.mae": row["mae"] for name, row in document["baselines"].items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def baselines(store: Store, flt: Filter, split: str, tables: Split, progress: Progress = quiet) -> dict[str, Floats]:
    """Baseline predictions for the test part, (n, D) each; remembered by split."""

    def work() -> Outcome:
        import pyarrow as pa

        progress.note("fitting the baselines")
        fitted = fit_baselines(tables.train, tables.validation, tables.test, flt.dimensions)
        columns = {f"{name}.{d}": values[:, i] for name, values in fitted.items() for i, d in enumerate(flt.dimensions)}
        data = write_table(pa.table(columns))
        digest = digest_bytes(data)
        key = baselines_key(split, digest)
        store.put(key, data)
        return Outcome({"baselines": digest, "names": list(fitted)}, [key])

    inputs = {"split": split, "dimensions": flt.dimensions, "code": BASELINES_CODE}
    record = run_step(store, "baselines", inputs, work)
    table = read_table(store.get(record.keys[0], digest=record.outputs["baselines"]))
    return {
        name: np.column_stack([table[f"{name}.{d}"].to_numpy() for d in flt.dimensions]) for name in record.outputs["names"]
    }


def _best_baseline(result: Mapping[str, Any]) -> str:
    name = min(result["baselines"], key=lambda key: result["baselines"][key]["mae"])
    return f"best baseline {name} {result['baselines'][name]['mae']:.3f}"


__all__ = [
    "benchmark",
    "benchmark_inputs",
    "current_incumbent",
    "measured_noise",
    "predict_inputs",
    "read_benchmark",
    "scalars",
]
