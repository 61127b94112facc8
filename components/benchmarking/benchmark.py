"""The benchmark step: predictions and baselines are stored, so a new tier or weight redoes the arithmetic alone.

Predictions are keyed by adapter and test part, baselines by split, so a changed tier costs a second. The incumbent is what the
filter's channel points at when the step begins; its digest is part of the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import read_table, write_table
from distillery.components.artifacts.benchmark import Benchmark, read_benchmark
from distillery.components.artifacts.bundle import require_dimensions
from distillery.components.artifacts.noise_floor import noise_of
from distillery.components.artifacts.serving import Plan
from distillery.components.artifacts.split import Split, StoredSplit
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.benchmarking.alarms import reread_differs, trained_on
from distillery.components.benchmarking.baselines import fit_baselines
from distillery.components.benchmarking.document import benchmark_document
from distillery.components.benchmarking.incumbent import compare_with, current_incumbent
from distillery.components.benchmarking.on_demand import figures_asked_for
from distillery.components.benchmarking.predict import CODE as PREDICT_CODE
from distillery.components.benchmarking.predict import about_bundle, aligned, predict, predict_inputs, read_predictions
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import NotFound, Store, digest_bytes, digest_json, not_read
from distillery.components.store.layout import baselines_key, benchmark_key
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
    """Return what a benchmark depends on; predictions follow from adapter and split.

    Args:
        flt: the filter, of which what decides overall score and tier counts.
        adapter: digest of the adapter.
        split: digest of the split.
        incumbent: digest of the adapter in use; None where there is none.
        noise: what `measured_noise` returned.

    Returns:
        The inputs of the step, of which the record is keyed by the digest.
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
    """Judge an adapter on the test part of a split, or find that done.

    Args:
        store: where everything is.
        flt: the filter.
        adapter: digest of the adapter.
        split: digest of the split.
        progress: told how far it is.

    Returns:
        The record, with outputs {"predictions", "benchmark", "test": digests, "key": where benchmark.json lies}.

    Raises:
        InputError: the adapter's dimensions are not the filter's in their order, a prediction is not a number, or the test part
            is not the frozen one.
    """
    about = about_bundle(store, flt.name, adapter)
    require_dimensions(about.student.dimensions, flt, about.where)
    stored = StoredSplit(store, split)
    test = stored.test
    predicted = predict(store, flt, adapter, test, lambda: stored.tables().test, progress=progress)
    incumbent = current_incumbent(store, flt, adapter)
    noise = measured_noise(store, flt, stored.label_set)

    def work() -> Outcome:
        tables = stored.tables()
        predictions = aligned(read_predictions(store, adapter, test, predicted.outputs["predictions"]), tables.test)
        document = benchmark_document(
            flt,
            about,
            test,
            tables.test,
            predictions.scores,
            baselines(store, flt, split, tables, progress),
            compare_with(store, flt, incumbent, test, tables.test, progress),
            [*reread_differs(predictions.reread), *trained_on(tables.train, tables.test)],
            noise,
            figures_asked_for(store, flt, about, tables.meta.rows.validation, predicted.outputs.get("served")),
            predictions.types,
        )
        if served := predicted.outputs.get("served"):
            document = document.model_copy(update={"served": Plan.model_validate(served)})
        data = document.to_bytes()
        digest = digest_bytes(data)
        key = benchmark_key(adapter, test, digest)
        store.put(key, data)
        progress.note(_in_brief(document))
        for alarm in document.alarms:
            progress.note(f"alarm: {alarm}")
        outputs = {"predictions": predicted.outputs["predictions"], "benchmark": digest, "test": test, "key": key}
        return Outcome(outputs, [key, *predicted.keys], {"mae": document.mae, "n": document.n})

    return run_step(store, "benchmark", benchmark_inputs(flt, adapter, split, incumbent, noise), work, note=progress.note)


def measured_noise(store: Store, flt: Filter, label_set: str) -> dict[str, Any] | None:
    """Return the noise of the oracle that gave these labels, {"floor", "second"}.

    Args:
        store: where it was noted.
        flt: the filter.
        label_set: digest of the labels.

    Returns:
        None where nobody measured it, or the label set is gone.

    Raises:
        StoreError: the store can't be read.
    """
    try:
        noise = noise_of(store, flt.name, label_set)
    except (NotFound, InputError) as error:  # a label set that was cleaned away, or labels without one
        if not_read(error):
            raise
        return None
    return noise.measured() if noise else None


def scalars(store: Store, record: StepRecord) -> dict[str, float]:
    """Return the figures worth comparing between runs, by dotted name; undefined ones are left out.

    Args:
        store: where the benchmark is.
        record: of the benchmark step.

    Returns:
        Numbers by name ("dimensions.agency.mae").
    """
    document = Benchmark.load(store, record.outputs["key"], digest=record.outputs["benchmark"])
    figures: dict[str, float | None] = {
        "n": document.n,
        "mae": document.mae,
        "rmse": document.rmse,
        "overall_mae": document.overall_mae,
        "spearman": document.spearman,
        "tier_agreement": document.tier_agreement,
        "score_compression": document.score_compression,
    }
    figures |= {f"dimensions.{name}.mae": row.mae for name, row in document.dimensions.items()}
    figures |= {f"baselines.{name}.mae": row.mae for name, row in document.baselines.items()}
    return {name: float(value) for name, value in figures.items() if value is not None}


def baselines(store: Store, flt: Filter, split: str, tables: Split, progress: Progress = quiet) -> dict[str, Floats]:
    """Return the baselines' predictions for the test part of a split, fitted once and then stored.

    Args:
        store: where they are.
        flt: the filter.
        split: digest of the split.
        tables: its tables.
        progress: told when they are fitted.

    Returns:
        (n, D) scores by baseline.
    """

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
    record = run_step(store, "baselines", inputs, work, note=progress.note)
    table = read_table(store.get(record.keys[0], digest=record.outputs["baselines"]))
    return {
        name: np.column_stack([table[f"{name}.{d}"].to_numpy() for d in flt.dimensions]) for name in record.outputs["names"]
    }


def _in_brief(document: Benchmark) -> str:
    best = document.best_baseline()
    beside = f", best baseline {best[0]} {best[1]:.3f}" if best else ""
    return f"MAE {document.mae:.3f} on {document.n:,} articles{beside}"


__all__ = [
    "benchmark",
    "benchmark_inputs",
    "current_incumbent",
    "measured_noise",
    "predict_inputs",
    "read_benchmark",
    "scalars",
]
