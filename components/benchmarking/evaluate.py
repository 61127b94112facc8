"""Judges any adapter on any labelled set, with the same document as the benchmark step; nothing is stored.

Baselines are still fitted on the adapter's own training part, so that student and baseline have learnt from the same
articles; gaps compare with the bundle's own train and validation MAE.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distillery.components.articles.articles import Rejects, read_labels
from distillery.components.articles.label_table import label_table, scores
from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.bundle import CurvesFile, require_dimensions
from distillery.components.artifacts.content_caps import cap_figures
from distillery.components.artifacts.split import load_split, test_digest
from distillery.components.benchmarking.alarms import reread_differs, trained_on
from distillery.components.benchmarking.baselines import fit_baselines
from distillery.components.benchmarking.document import benchmark_document
from distillery.components.benchmarking.predict import About, Seen, read
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import NotFound, Store, not_read
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from distillery.components.student.student import Student
    from distillery.filters.filter import Filter

    Floats = NDArray[np.float64]


def evaluate(
    flt: Filter,
    student: Student,
    frame: pa.Table,
    train: pa.Table | None = None,
    validation: pa.Table | None = None,
    *,
    adapter: str = "",
    progress: Progress = quiet,
) -> Benchmark:
    """Return the benchmark of an opened student on a labelled table.

    Args:
        flt: the filter.
        student: the student.
        frame: labelled articles, with columns as in `articles/label_table.py`.
        train: training part of the adapter's own split, on which baselines are fitted; None for no baselines.
        validation: validation part of that split.
        adapter: digest of the adapter, for the document.
        progress: told how far it is.

    Returns:
        The document; nothing is stored.

    Raises:
        InputError: the student's dimensions are not the filter's, a prediction is not a number, or there are no articles.
    """
    return _judged(flt, student, frame, train, validation, adapter, progress)[0]


def _judged(
    flt: Filter,
    student: Student,
    frame: pa.Table,
    train: pa.Table | None,
    validation: pa.Table | None,
    adapter: str,
    progress: Progress,
) -> tuple[Benchmark, Seen]:
    """Return the benchmark and the predictions it is about."""
    curves = student.score_curves
    about = About(
        adapter,
        student.facts,
        CurvesFile(
            kept=curves.kept,
            dimensions={},
            validation_mae_raw=curves.mae_raw,
            validation_mae_calibrated=curves.mae_corrected,
        ),
    )
    require_dimensions(student.dimensions, flt, about.where)
    seen = read(student, frame, adapter, progress)
    fitted = fit_baselines(train, validation, frame, flt.dimensions) if train is not None else {}
    alarms = reread_differs(seen.reread) + (trained_on(train, frame) if train is not None else [])
    digest = test_digest(frame)
    return benchmark_document(flt, about, digest, frame, seen.final, fitted, None, alarms, types=seen.types), seen


def with_caps(
    flt: Filter, document: Benchmark, frame: pa.Table, final: Floats, types: list[str | None] | None = None
) -> Benchmark:
    """Return a benchmark with what caps of content types do, or cost where they are missing, which no stored one holds.

    Args:
        flt: the filter.
        document: the benchmark.
        frame: the labelled articles.
        final: (n, D) predictions, after the score curves.
        types: the content type that the student names of each; None for a student that names none.

    Returns:
        The benchmark; the same one for a filter without content types.
    """
    caps = cap_figures(flt, scores(frame, flt.dimensions), final, frame["content_type"].to_pylist(), types)
    return document if caps is None else document.model_copy(update={"caps": caps})


def evaluate_file(
    store: Store, flt: Filter, adapter: str, path: Path, *, max_rejects: str = "0", progress: Progress = quiet
) -> Benchmark:
    """Return the benchmark of an adapter on a file of labels; without its split in the store there are no baselines.

    Args:
        store: where the adapter is.
        flt: the filter.
        adapter: digest of the adapter.
        path: file of labels.
        max_rejects: bad rows to go on without, "20" or "1%".
        progress: told how far it is.

    Returns:
        The document; nothing is stored.

    Raises:
        InputError: too many rows are bad, the bundle is damaged, or it can't be judged (see `evaluate`).
    """
    from distillery.components.student.bundle import check_golden, open_bundle
    from distillery.components.student.devices import serving_plan

    rejects = Rejects()
    frame = label_table(
        read_labels(
            path,
            flt.dimensions,
            rejects=rejects,
            max_rejects=max_rejects,
            content_types=flt.content_types,
            columns=flt.columns,
            form=flt.score_form,
        ),
        flt.dimensions,
    )
    for note in rejects.notes():
        progress.note(note)
    if rejects.count:
        progress.note(f"{rejects.count:,} of {rejects.rows:,} rows were bad and are left out")
    plan = serving_plan(store, flt.name, adapter, flt.spec.student, progress)
    student = open_bundle(store, flt.name, adapter, flt=flt, plan=plan)
    check_golden(student)
    train, validation = None, None
    try:
        train, validation, *_ = load_split(store, student.facts.split)
    except (InputError, NotFound) as error:
        if not_read(error):
            raise
        progress.note(f"no baselines: the split the adapter was trained on can't be read ({error})")
    document, seen = _judged(flt, student, frame, train, validation, adapter, progress)
    return with_caps(flt, document, frame, seen.final, seen.types)
