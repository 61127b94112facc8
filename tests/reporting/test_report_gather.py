"""Gathering: every artifact verified, none required, an altered one said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import METRICS, metric
from distillery.components.reporting.gate_rules import demand
from distillery.components.reporting.gather import gather
from distillery.components.reporting.render import render_html
from distillery.components.store import Store, canonical_json, digest_bytes, open_store
from distillery.filters.filter import Filter
from distillery.filters.metrics import METRICS as GATE_METRICS


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def summary(store: Store, rejected: Context, flt: Filter) -> dict[str, Any]:
    """A whole run as its steps leave it in the store, and the summary that names its digests."""
    import pyarrow as pa

    from distillery.components.articles.label_table import write_table

    labels = {f"score.{name}": columns[0] for name, columns in (rejected.predictions or {}).items()}
    found = {f"prediction.{name}": columns[1] for name, columns in (rejected.predictions or {}).items()}
    table = write_table(pa.table({"article": [str(i) for i in range(150)], **labels, **found}))
    adapter = store.commit(
        f"adapters/{flt.name}",
        {
            "student.json": canonical_json(rejected.student),
            "training_history.json": canonical_json(rejected.history),
            "calibration.json": canonical_json(rejected.calibration),
        },
        {"kind": "adapter"},
    )
    test = (rejected.benchmark or {})["test"]
    documents = {
        "benchmark": canonical_json(rejected.benchmark),
        "verdict": canonical_json(rejected.verdict),
        "predictions": table,
    }
    digests = {name: digest_bytes(data) for name, data in documents.items()}
    store.put(f"judgements/{adapter}/{test}/benchmark/{digests['benchmark']}.json", documents["benchmark"])
    store.put(f"judgements/{adapter}/{test}/predictions/{digests['predictions']}.parquet", table)
    store.put(f"verdicts/{flt.name}/{digests['verdict']}.json", documents["verdict"])
    return {
        "label_set": store.commit("labelsets", {"labels.parquet": table}, dict(rejected.label_set or {})),
        "audit": store.commit("audits", {"audit.json": canonical_json(rejected.audit)}, {"kind": "audit"}),
        "split": store.commit("datasets", {"test.parquet": table}, dict(rejected.split or {})),
        "adapter": adapter,
        "test": test,
        **digests,
        "filter_key": f"filters/{flt.name}/v2/{'a' * 64}.yaml",
        "labels": "my labels.jsonl",
        "steps": [{"step": "audit", "reused": True, "outputs": {}, "facts": {"seconds": 1.5}}],
        "failure": None,
        "promoted": {"channel": "production", "adapter": adapter, "previous": None},
    }


def test_a_whole_run_comes_back_as_it_was(store: Store, flt: Filter, summary: dict[str, Any], rejected: Context) -> None:
    context = gather(store, flt, summary)
    for name in ("label_set", "split", "audit", "student", "history", "calibration", "benchmark", "verdict"):
        assert getattr(context, name) == json.loads(json.dumps(getattr(rejected, name))), name
    assert context.predictions == rejected.predictions
    assert context.problems == []
    assert context.promoted == summary["promoted"]
    assert context.steps == [{"step": "audit", "reused": True, "facts": {"seconds": 1.5}, "seconds": 1.5}]
    assert context.digests["filter"] == "a" * 64
    assert context.source == "--labels 'my labels.jsonl'"
    assert "distillery distill sustainability-technology/v2 --labels &#39;my labels.jsonl&#39;" in render_html(context)


@pytest.mark.parametrize("name", ["label_set", "audit", "split", "adapter", "benchmark", "predictions", "verdict", "test"])
def test_any_digest_may_be_missing_or_nonsense(store: Store, flt: Filter, summary: dict[str, Any], name: str) -> None:
    for odd in (None, "", "../../etc", 7, {"a": 1}):
        context = gather(store, flt, {**summary, name: odd})
        assert name not in context.digests
        assert "could not be drawn" not in render_html(context)


def test_an_object_that_is_gone_is_said(store: Store, flt: Filter, summary: dict[str, Any]) -> None:
    context = gather(store, flt, {**summary, "verdict": "b" * 64, "audit": "c" * 64})
    assert context.verdict is None
    assert context.audit is None
    assert sorted(context.problems) == [
        "audit cccccccccccc is no longer in the store",
        "verdict bbbbbbbbbbbb is no longer in the store",
    ]


@pytest.mark.parametrize("name", ["benchmark", "predictions", "verdict"])
def test_altered_bytes_are_never_shown(store: Store, flt: Filter, summary: dict[str, Any], name: str) -> None:
    key = next(key for key in store.keys("") if summary[name] in key)
    store.put(key, store.get(key).replace(b"0", b"1", 1))
    context = gather(store, flt, summary)
    assert getattr(context, name) is None
    assert len(context.problems) == 1
    assert "holds other bytes than its digest names" in context.problems[0]
    assert "Not readable" in render_html(context)


def test_an_altered_bundle_keeps_its_settings_out(store: Store, flt: Filter, summary: dict[str, Any]) -> None:
    key = f"adapters/{flt.name}/{summary['adapter']}/student.json"
    store.put(key, store.get(key).replace(b"192", b"193"))
    context = gather(store, flt, summary)
    assert context.student is None
    assert context.history is not None
    assert "holds other bytes" in context.problems[0]


def test_json_that_is_no_object_is_a_problem_and_no_crash(store: Store, flt: Filter, summary: dict[str, Any]) -> None:
    data = b"[1, 2]"
    store.put(f"verdicts/{flt.name}/{digest_bytes(data)}.json", data)
    context = gather(store, flt, {**summary, "verdict": digest_bytes(data)})
    assert context.verdict is None
    assert "is not a JSON object" in context.problems[0]


def test_nothing_at_all(store: Store) -> None:
    context = gather(store, None, {"failure": {"step": "preflight", "message": "no filter"}})
    assert context == dataclasses.replace(Context(filter=None, steps=[], problems=[]), failure=context.failure)
    assert "Stopped" in render_html(context)


def test_every_metric_a_gate_may_ask_for_has_plain_words() -> None:
    assert set(GATE_METRICS) <= set(METRICS)
    for name, known in GATE_METRICS.items():
        argument = "high" if known.argument else None
        told = metric({"metric": name, "argument": argument})
        assert told.title
        assert told.plain
        assert "_" not in told.title


def test_bounds_are_told_in_the_metrics_own_unit() -> None:
    assert demand({"bound": 0.6, "direction": "atLeast"}, percent=True) == "at least 60.0%"
    assert demand({"bound": 0.8, "direction": "below"}, percent=False) == "below 0.80"
    assert demand({"bound": None, "direction": "below"}, percent=False) == "below –"
