"""Collects what a run left in the store for its report: every artifact verified, none required.

A missing artifact is None, since a run may stop anywhere. One that is gone, altered or of another form is None as well, and
the report names it.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from distillery.components.artifacts.audit import read_audit
from distillery.components.artifacts.benchmark import Benchmark, read_benchmark
from distillery.components.artifacts.bundle import (
    CONTENT_TYPES,
    CURVES,
    HISTORY,
    STUDENT,
    BaseFacts,
    BundleFile,
    ContentTypesFile,
    CurvesFile,
    HistoryFile,
    StudentFacts,
)
from distillery.components.artifacts.content_caps import read_caps
from distillery.components.artifacts.drift import read_drift_log
from distillery.components.artifacts.folder_meta import FolderMeta, LabelSetMeta, SplitMeta
from distillery.components.artifacts.measurement import read_measurements
from distillery.components.artifacts.review import read_review
from distillery.components.artifacts.rubric_calibration import CalibrationOutputs
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.artifacts.verdict import Verdict
from distillery.components.reporting.context import Columns, Context, Held, Promoted
from distillery.components.store import Digest, Json, NotFound, Store, as_digest, canonical_json
from distillery.components.store.layout import LABEL_SETS, SPLITS, adapters_folder, predictions_key, verdict_key
from distillery.components.student.resolve import base_numbers
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
M = TypeVar("M", bound=FolderMeta)
F = TypeVar("F", bound=BundleFile)

NAMED = ("label_set", "audit", "split", "test", "adapter", "predictions", "benchmark", "verdict")
MAX_TABLE = 256 * 2**20


class _Reader:
    """Reads artifacts one by one and keeps a line for each that could not be read."""

    def __init__(self, store: Store, digests: Mapping[str, Digest]) -> None:
        self.store, self.digests = store, digests
        self._problems: dict[str, None] = {}

    @property
    def problems(self) -> list[str]:
        return list(self._problems)

    def artifact(self, name: str, work: Callable[[Digest], T | None], what: str = "") -> T | None:
        """Return what `work` makes of the artifact's digest; None where the run left none or it can't be read."""
        digest = self.digests.get(name)
        return None if digest is None else self.attempt(f"{what or name} {digest[:12]}", lambda: work(digest))

    def attempt(self, subject: str, work: Callable[[], T | None]) -> T | None:
        """Return what `work` returns; None where it fails, with a line that names the subject."""
        try:
            return work()
        except NotFound:
            self._problems[f"{subject} is no longer in the store"] = None
        except Exception as error:  # the report must come out whatever a stored object holds
            reason = error.what if isinstance(error, InputError) else str(error) or type(error).__name__
            self._problems[f"{subject}: {reason[:300]}"] = None
        return None

    def meta(self, name: str, form: type[M], prefix: str) -> M | None:
        """Return what the manifest of a folder says beside its files."""
        return self.artifact(name, lambda digest: form.of(self.store.folder(prefix, digest)))


def gather(store: Store, flt: Filter | None, summary: RunSummary) -> Context:
    """Return what the report of a run is drawn from. It never fails for an artifact that can't be read.

    Args:
        store: where the run's artifacts are.
        flt: the filter; None where the run stopped before it was read.
        summary: the run; any of its outputs may be missing.

    Returns:
        The documents of the run, and a line for each that could not be read.
    """
    outputs = summary.outputs
    digests = {name: digest for name in NAMED if (digest := _digest(outputs.get(name)))}
    reader = _Reader(store, digests)
    name = flt.name if flt else str(outputs.get("name") or "")
    bundle = reader.artifact("adapter", lambda digest: store.folder(adapters_folder(name), digest))

    def bundle_file(form: type[F], file: str) -> F | None:
        if bundle is None or file not in bundle.files:
            return None
        return reader.artifact("adapter", lambda _: form.read(bundle.read(file), f"{bundle.where}/{file}"))

    dimensions = flt.dimensions if flt else []
    student = bundle_file(StudentFacts, STUDENT)
    asked = _asked(summary)
    return Context(
        filter=flt,
        calibrated=reader.attempt("calibration", lambda: _calibrated(summary.calibrated)),
        label_set=reader.meta("label_set", LabelSetMeta, LABEL_SETS),
        audit=reader.artifact("audit", lambda digest: read_audit(store, digest)),
        split=reader.meta("split", SplitMeta, SPLITS),
        student=student,
        history=bundle_file(HistoryFile, HISTORY),
        score_curves=bundle_file(CurvesFile, CURVES),
        benchmark=reader.artifact("benchmark", lambda digest: _benchmark(store, digests, digest)),
        predictions=reader.artifact("predictions", lambda digest: _predictions(store, digests, digest, dimensions)),
        types=bundle_file(ContentTypesFile, CONTENT_TYPES),
        caps=reader.attempt("caps of content types", lambda: read_caps(store, flt, outputs) if flt else None),
        verdict=reader.artifact("verdict", lambda digest: Verdict.load(store, verdict_key(name, digest), digest=digest)),
        review=reader.artifact("adapter", lambda digest: read_review(store, name, digest), "review of adapter"),
        measurements=tuple(
            reader.artifact("adapter", lambda digest: read_measurements(store, name, digest), "measurements of adapter") or ()
        ),
        looks=tuple(
            reader.artifact("adapter", lambda digest: read_drift_log(store, name, digest).looks, "looks at adapter") or ()
        ),
        base_numbers=_base_numbers(reader, student.base) if student else None,
        promoted=_promoted(outputs.get("promoted")),
        held=_held(outputs.get("held"), outputs.get("channel")),
        steps=summary.steps,
        failure=summary.failure,
        digests=_all_digests(digests, outputs),
        problems=reader.problems,
        source=_source(outputs),
        request=asked.get("request"),
        on_cluster=asked.get("on") == "cluster",
    )


def _base_numbers(reader: _Reader, base: BaseFacts) -> int | None:
    return reader.attempt(f"size of {base.ref}", lambda: base_numbers(base.ref, base.revision, reader.store))


def _digest(value: Json) -> Digest | None:
    try:
        return as_digest(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _calibrated(outputs: dict[str, Json] | None) -> CalibrationOutputs | None:
    return None if outputs is None else CalibrationOutputs.read(canonical_json(outputs), "the calibrate step")


def _benchmark(store: Store, digests: Mapping[str, Digest], digest: Digest) -> Benchmark | None:
    if "adapter" not in digests or "test" not in digests:
        return None
    return read_benchmark(store, digests["adapter"], digests["test"], digest)


def _predictions(store: Store, digests: Mapping[str, Digest], digest: Digest, dimensions: Sequence[str]) -> Columns | None:
    """Return labels and predictions (after the score curves) by dimension, for the scatter plots."""
    from distillery.components.articles.label_table import read_table

    if "adapter" not in digests or "test" not in digests:
        return None
    key = predictions_key(digests["adapter"], digests["test"], digest)
    table = read_table(store.get(key, digest=digest, max_bytes=MAX_TABLE))
    return {
        name: (_scores(table, f"score.{name}"), _scores(table, f"prediction.{name}"))
        for name in dimensions
        if f"score.{name}" in table.column_names and f"prediction.{name}" in table.column_names
    }


def _scores(table: pa.Table, column: str) -> list[float | None]:
    scores: list[float | None] = table[column].cast("float64").to_pylist()
    if not all(score is None or math.isfinite(score) for score in scores):
        raise ValueError(f"column {column} holds a score that is not finite")
    return scores


def _promoted(output: Json) -> Promoted | None:
    """Return what the promote step put out; runs from before it named channel and previous adapter have a digest alone."""
    if isinstance(output, Mapping) and output.get("adapter"):
        return Promoted(*(str(output.get(name) or "") for name in Promoted._fields))
    return Promoted(output) if isinstance(output, str) and output else None


def _held(output: Json, channel: Json) -> Held | None:
    """Return the person's word for which the promote or the hold step promoted nothing; None where there is none."""
    if not (isinstance(output, Mapping) and output.get("why")):
        return None
    word = {name: str(output.get(name) or "") for name in ("why", "by", "at", "reason")}
    return Held(channel=str(channel or ""), **word)


def _asked(summary: RunSummary) -> Mapping[str, Json]:
    """Return what the run was asked for: {"request", "on"}, from the record of its first step; empty where it has none."""
    record = summary.records.get("preflight")
    return record.facts if record and isinstance(record.facts.get("request"), Mapping) else {}


def _all_digests(digests: Mapping[str, Digest], outputs: Mapping[str, Json]) -> dict[str, str]:
    key = str(outputs.get("filter_key") or "")
    published = _digest(key.rsplit("/", 1)[-1].removesuffix(".yaml"))
    return {**({"filter": published} if published else {}), **digests}


def _source(outputs: Mapping[str, Json]) -> str:
    """Return the option that named the run's data, as typed; "" where none did."""
    for name in ("labels", "articles"):
        path = outputs.get(name)
        if isinstance(path, str) and path:
            return f"--{name} {shlex.quote(path)}"
    return ""
