"""Collects what a run left in the store for its report: every artifact verified, none required.

A missing artifact is left out, since a run may stop anywhere; one that is there and can't be read, or holds other bytes
than its digest names, is left out and said so in the report.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from distillery.components.reporting.context import Context
from distillery.components.store import Digest, NotFound, Store, as_digest
from distillery.components.store.layout import (
    AUDITS,
    LABEL_SETS,
    SPLITS,
    adapters_folder,
    benchmark_key,
    predictions_key,
    verdict_key,
)
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

T = TypeVar("T")
Columns = dict[str, tuple[list[float | None], list[float | None]]]

NAMED = ("label_set", "audit", "split", "test", "adapter", "predictions", "benchmark", "verdict")
MAX_DOCUMENT, MAX_TABLE = 64 * 2**20, 256 * 2**20


def gather(store: Store, flt: Filter | None, summary: Mapping[str, Any]) -> Context:
    """The context of one run.

    summary: digests by name (label_set, audit, split, test, adapter, predictions, benchmark, verdict), `calibrated`
    (what the calibrate step put out), `promoted` (a digest or {"channel", "adapter", "previous"}), `steps`, `failure`;
    each may be missing.
    """
    problems: list[str] = []
    digests = {name: found for name in NAMED if (found := _digest(summary.get(name)))}

    def read(what: str, work: Callable[[Digest], T | None]) -> T | None:
        digest = digests.get(what)
        if digest is None:
            return None
        try:
            return work(digest)
        except NotFound:
            problems.append(f"{what} {digest[:12]} is no longer in the store")
        except Exception as error:  # the report must come out whatever a stored object holds
            told = error.what if isinstance(error, InputError) else str(error) or type(error).__name__
            problems.append(f"{what} {digest[:12]}: {told[:300]}")
        return None

    name = flt.name if flt else str(summary.get("name") or "")
    benchmark = read("benchmark", lambda digest: _benchmark(store, digests, digest))
    bundle = read("adapter", lambda digest: store.folder(adapters_folder(name), digest))

    def file(what: str) -> Mapping[str, Any] | None:
        if bundle is None or what not in bundle.files:
            return None
        return read("adapter", lambda _: _mapping(bundle.read_json(what)))

    dimensions = flt.dimensions if flt else []
    return Context(
        filter=flt,
        calibrated=summary["calibrated"] if isinstance(summary.get("calibrated"), Mapping) else None,
        label_set=read("label_set", lambda digest: store.folder(LABEL_SETS, digest).meta),
        audit=read("audit", lambda digest: _audit(store, digest)),
        split=read("split", lambda digest: store.folder(SPLITS, digest).meta),
        student=file("student.json"),
        history=file("training_history.json"),
        calibration=file("calibration.json"),
        benchmark=benchmark,
        predictions=read("predictions", lambda digest: _predictions(store, digests, digest, dimensions)),
        verdict=read(
            "verdict",
            lambda digest: _mapping(store.get_json(verdict_key(name, digest), digest=digest, max_bytes=MAX_DOCUMENT)),
        ),
        promoted=_promoted(summary.get("promoted")),
        steps=_steps(summary.get("steps")),
        failure=summary.get("failure") or None,
        digests=_all_digests(digests, summary),
        problems=list(dict.fromkeys(problems)),
        source=_source(summary),
    )


def _digest(value: object) -> Digest | None:
    try:
        return as_digest(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("is not a JSON object")
    return value


def _benchmark(store: Store, digests: Mapping[str, Digest], digest: Digest) -> Mapping[str, Any] | None:
    if "adapter" not in digests or "test" not in digests:
        return None
    key = benchmark_key(digests["adapter"], digests["test"], digest)
    return _mapping(store.get_json(key, digest=digest, max_bytes=MAX_DOCUMENT))


def _audit(store: Store, digest: Digest) -> Mapping[str, Any]:
    return _mapping(store.folder(AUDITS, digest).read_json("audit.json"))


def _predictions(store: Store, digests: Mapping[str, Digest], digest: Digest, dimensions: Sequence[str]) -> Columns | None:
    """Labels and calibrated predictions by dimension, for the scatter plots."""
    from distillery.components.articles.label_table import read_table

    if "adapter" not in digests or "test" not in digests:
        return None
    key = predictions_key(digests["adapter"], digests["test"], digest)
    frame = read_table(store.get(key, digest=digest, max_bytes=MAX_TABLE))
    return {
        name: (frame[f"score.{name}"].to_pylist(), frame[f"prediction.{name}"].to_pylist())
        for name in dimensions
        if f"score.{name}" in frame.column_names and f"prediction.{name}" in frame.column_names
    }


def _promoted(told: object) -> Mapping[str, Any] | None:
    if isinstance(told, Mapping):
        return told if told.get("adapter") else None
    return {"adapter": told} if isinstance(told, str) and told else None


def _steps(found: object) -> list[dict[str, Any]]:
    steps = [step for step in found if isinstance(step, Mapping)] if isinstance(found, list) else []
    return [
        {
            "step": str(step.get("step")),
            "reused": bool(step.get("reused")),
            "facts": step.get("facts") or {},
            "seconds": (step.get("facts") or {}).get("seconds"),
        }
        for step in steps
    ]


def _all_digests(digests: Mapping[str, Digest], summary: Mapping[str, Any]) -> dict[str, str]:
    key = str(summary.get("filter_key") or "")
    published = _digest(key.rsplit("/", 1)[-1].removesuffix(".yaml"))
    return {**({"filter": published} if published else {}), **digests}


def _source(summary: Mapping[str, Any]) -> str:
    return next(
        (
            f"--{name} {shlex.quote(path)}"
            for name in ("labels", "articles")
            if isinstance(path := summary.get(name), str) and path
        ),
        "",
    )
