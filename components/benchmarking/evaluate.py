"""Any adapter on any labelled set: the same document as the benchmark step's, nothing stored.

Baselines are still fitted on the adapter's own training part, so that student and baseline have learnt from the same
articles; gaps compare with the bundle's own train and validation MAE.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from distillery.components.articles.articles import Rejects, read_labels
from distillery.components.articles.label_table import label_table
from distillery.components.artifacts.split import load_split, test_digest
from distillery.components.benchmarking.alarms import reread_differs, trained_on
from distillery.components.benchmarking.baselines import fit_baselines
from distillery.components.benchmarking.document import benchmark_document
from distillery.components.benchmarking.predict import About, read, same_dimensions
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import NotFound, Store
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.components.student.bundle import Student
    from distillery.filters.filter import Filter


def evaluate(
    flt: Filter,
    student: Student,
    frame: pa.Table,
    train: pa.Table | None = None,
    validation: pa.Table | None = None,
    *,
    adapter: str = "",
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Judges an opened student on a labelled table (columns as in distillery.components.articles.articles).

    train, validation: parts of the adapter's own split, on which baselines are fitted; without train there are none.
    adapter: its digest, for the document. InputError as in the benchmark step.
    """
    calibration = {
        "kept": student.calibration.kept,
        "validation_mae_raw": student.calibration.mae_raw,
        "validation_mae_calibrated": student.calibration.mae_calibrated,
    }
    about = About(adapter, student.facts.model_dump(), calibration)
    same_dimensions(flt, about)
    _, final, reread = read(student, frame, adapter, progress)
    fitted = fit_baselines(train, validation, frame, flt.dimensions) if train is not None else {}
    alarms = reread_differs(reread) + (trained_on(train, frame) if train is not None else [])
    return benchmark_document(flt, about, test_digest(frame), frame, final, fitted, None, alarms)


def evaluate_file(
    store: Store, flt: Filter, adapter: str, path: Path, *, max_rejects: str = "0", progress: Progress = quiet
) -> dict[str, Any]:
    """Judges adapters/<filter>/<adapter> on a file of labels; without its split in the store there are no baselines.

    max_rejects: bad rows to go on without, "20" or "1%". InputError for bad rows beyond that, or a damaged bundle.
    """
    from distillery.components.student.bundle import check_golden, open_bundle

    rejects = Rejects()
    frame = label_table(read_labels(path, flt.dimensions, rejects=rejects, max_rejects=max_rejects), flt.dimensions)
    if rejects.count:
        progress.note(f"{rejects.count:,} of {rejects.rows:,} rows were bad and are left out")
    student = open_bundle(store, flt.name, adapter, flt=flt)
    check_golden(student)
    train, validation = None, None
    try:
        train, validation, *_ = load_split(store, student.facts.split)
    except (InputError, NotFound) as error:
        progress.note(f"no baselines: the split the adapter was trained on can't be read ({error})")
    return evaluate(flt, student, frame, train, validation, adapter=adapter, progress=progress)
