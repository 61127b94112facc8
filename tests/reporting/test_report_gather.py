"""Gathering: every artifact verified, none required; one that can't be read is named, and the report still comes out."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.document import Document
from distillery.components.artifacts.drift import DriftLog, Look
from distillery.components.artifacts.measurement import note_measurement
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.verdict import Rule
from distillery.components.reporting.context import Context, Promoted
from distillery.components.reporting.formatting import METRICS, metric
from distillery.components.reporting.gate_rules import demand
from distillery.components.reporting.gather import gather
from distillery.components.reporting.render import render_html, render_markdown
from distillery.components.store import Store, digest_bytes, open_store
from distillery.components.store.layout import drift_key, measured_key
from distillery.filters.filter import Filter
from distillery.filters.metrics import METRICS as GATE_METRICS
from tests.artifacts.made import made_measurement
from tests.reporting.documents import failure, judged, read, replaced, rule
from tests.reporting.made_up import label_set_meta, split_meta

DOCUMENTS = ("label_set", "audit", "split", "student", "history", "score_curves", "benchmark", "verdict")
NUMBERS = (None, math.nan, math.inf, 0, 0.5, -1e300, "7", [7])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def stored(store: Store, flt: Filter, context: Context, **data: bytes) -> dict[str, Any]:
    """Write a whole run as its steps leave it, and return their outputs. data: other bytes or meta of some documents."""
    import pyarrow as pa

    from distillery.components.articles.label_table import write_table

    documents = {name: document.to_bytes() for name in DOCUMENTS if isinstance(document := getattr(context, name), Document)}
    documents |= {"label_set": json.dumps(label_set_meta()).encode(), "split": json.dumps(split_meta(150)).encode(), **data}
    labels = {f"score.{name}": columns[0] for name, columns in (context.predictions or {}).items()}
    predictions = {f"prediction.{name}": columns[1] for name, columns in (context.predictions or {}).items()}
    table = write_table(pa.table({"article": [str(i) for i in range(150)], **labels, **predictions}))
    adapter = store.commit(
        f"adapters/{flt.name}",
        {
            "student.json": documents["student"],
            "training_history.json": documents["history"],
            "calibration.json": documents["score_curves"],
        },
        {"kind": "adapter"},
    )
    test = judged(context).test
    files = {"benchmark": documents["benchmark"], "verdict": documents["verdict"], "predictions": table}
    digests = {name: digest_bytes(data) for name, data in files.items()}
    store.put(f"judgements/{adapter}/{test}/benchmark/{digests['benchmark']}.json", files["benchmark"])
    store.put(f"judgements/{adapter}/{test}/predictions/{digests['predictions']}.parquet", table)
    store.put(f"verdicts/{flt.name}/{digests['verdict']}.json", files["verdict"])
    return {
        "label_set": store.commit("labelsets", {"labels.parquet": table}, json.loads(documents["label_set"])),
        "audit": store.commit("audits", {"audit.json": documents["audit"]}, {"kind": "audit"}),
        "split": store.commit("datasets", {"test.parquet": table}, json.loads(documents["split"])),
        "adapter": adapter,
        "test": test,
        **digests,
        "filter_key": f"filters/{flt.name}/v2/{'a' * 64}.yaml",
        "labels": "my labels.jsonl",
        "promoted": {"channel": "production", "adapter": adapter, "previous": None},
    }


@pytest.fixture
def outputs(store: Store, rejected: Context, flt: Filter) -> dict[str, Any]:
    return stored(store, flt, rejected)


def run_of(outputs: dict[str, Any]) -> RunSummary:
    return RunSummary(run="r", steps=[StepRecord.of("audit", {}, outputs, [], {"seconds": 1.5}, reused=True)])


def test_a_whole_run_comes_back_as_it_was(store: Store, flt: Filter, outputs: dict[str, Any], rejected: Context) -> None:
    summary = run_of(outputs)
    context = gather(store, flt, summary)
    for name in DOCUMENTS:
        assert getattr(context, name) == getattr(rejected, name), name
    assert context.predictions == rejected.predictions
    assert context.problems == []
    assert context.promoted == Promoted(outputs["adapter"], "production")
    assert context.steps == summary.steps
    assert context.digests["filter"] == "a" * 64
    assert context.source == "--labels 'my labels.jsonl'"
    assert "distillery distill sustainability-technology/v2 --labels &#39;my labels.jsonl&#39;" in render_html(context)


def test_a_run_that_only_names_the_promoted_adapter(store: Store, flt: Filter, outputs: dict[str, Any]) -> None:
    """Runs from before the promote step named channel and previous adapter."""
    context = gather(store, flt, run_of({**outputs, "promoted": outputs["adapter"]}))
    assert context.promoted == Promoted(outputs["adapter"])
    assert "Promoted to production" in render_markdown(context)


@pytest.mark.parametrize("name", ["label_set", "audit", "split", "adapter", "benchmark", "predictions", "verdict", "test"])
def test_any_digest_may_be_missing_or_nonsense(store: Store, flt: Filter, outputs: dict[str, Any], name: str) -> None:
    for odd in (None, "", "../../etc", 7, {"a": 1}):
        context = gather(store, flt, run_of({**outputs, name: odd}))
        assert name not in context.digests
        assert "could not be drawn" not in render_html(context)


def test_an_object_that_is_gone_is_said(store: Store, flt: Filter, outputs: dict[str, Any]) -> None:
    context = gather(store, flt, run_of({**outputs, "verdict": "b" * 64, "audit": "c" * 64}))
    assert context.verdict is None
    assert context.audit is None
    assert sorted(context.problems) == [
        "audit cccccccccccc is no longer in the store",
        "verdict bbbbbbbbbbbb is no longer in the store",
    ]


@pytest.mark.parametrize("name", ["benchmark", "predictions", "verdict"])
def test_altered_bytes_are_never_shown(store: Store, flt: Filter, outputs: dict[str, Any], name: str) -> None:
    key = next(key for key in store.keys("") if outputs[name] in key)
    store.put(key, store.get(key).replace(b"0", b"1", 1))
    context = gather(store, flt, run_of(outputs))
    assert getattr(context, name) is None
    assert len(context.problems) == 1
    assert "holds other bytes than its digest names" in context.problems[0]
    assert "Not readable" in render_html(context)


def test_an_altered_bundle_keeps_its_settings_out(store: Store, flt: Filter, outputs: dict[str, Any]) -> None:
    key = f"adapters/{flt.name}/{outputs['adapter']}/student.json"
    store.put(key, store.get(key).replace(b"192", b"193"))
    context = gather(store, flt, run_of(outputs))
    assert context.student is None
    assert context.history is not None
    assert "holds other bytes" in context.problems[0]


@pytest.mark.parametrize("data", [b"[1, 2]", b"null", b"{}", b"{", b"\xff", b'{"rules": 7}', b'{"format": 2}'])
@pytest.mark.parametrize("name", ["audit", "student", "history", "score_curves", "benchmark", "verdict"])
def test_a_document_of_another_form_is_named(store: Store, flt: Filter, rejected: Context, name: str, data: bytes) -> None:
    context = gather(store, flt, run_of(stored(store, flt, rejected, **{name: data})))
    assert getattr(context, name) is None
    subject = "adapter" if name in ("student", "history", "score_curves") else name
    assert [problem.split()[0] for problem in context.problems] == [subject]
    assert_the_report_comes_out(context)


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_whose_numbers_are_odd_is_read_or_named(
    store: Store, flt: Filter, rejected: Context, name: str, number: Any
) -> None:
    metas = {"label_set": label_set_meta(), "split": split_meta(150)}
    fields = metas.get(name) or json.loads(getattr(rejected, name).to_bytes())
    versioned = {key: value for key, value in fields.items() if key == "format"}
    odd = json.dumps({**replaced(fields, number, int, float), **versioned}).encode()
    if name in metas and number in (math.nan, math.inf):
        return  # no manifest can hold them
    context = gather(store, flt, run_of(stored(store, flt, rejected, **{name: odd})))
    assert (getattr(context, name) is None) == (len(context.problems) == 1)
    if number == 0:
        assert (getattr(context, name) is None) == (name == "student")  # a base model has a width
    assert_the_report_comes_out(context)


def assert_the_report_comes_out(context: Context) -> None:
    text = render_html(context)
    assert "could not be drawn" not in text
    assert not re.search(r"\b(nan|inf|None)\b", text[text.index("<main>") :])
    assert ("Not readable" in text) == bool(context.problems)
    assert ("Not readable" in render_markdown(context)) == bool(context.problems)


def test_a_score_that_is_no_number_keeps_the_scatter_plots_out(
    store: Store, flt: Filter, outputs: dict[str, Any], rejected: Context
) -> None:
    import pyarrow as pa

    from distillery.components.articles.label_table import write_table

    for odd in (math.nan, math.inf, "much"):
        columns = {f"{kind}.{name}": [odd] for name in rejected.predictions or {} for kind in ("score", "prediction")}
        data = write_table(pa.table({"article": ["a"], **columns}))
        digest = digest_bytes(data)
        store.put(f"judgements/{outputs['adapter']}/{outputs['test']}/predictions/{digest}.parquet", data)
        context = gather(store, flt, run_of({**outputs, "predictions": digest}))
        assert context.predictions is None
        assert [problem.split()[0] for problem in context.problems] == ["predictions"]
        assert_the_report_comes_out(context)


def test_what_was_measured_of_the_adapter_is_read_and_a_torn_document_named(
    store: Store, flt: Filter, outputs: dict[str, Any]
) -> None:
    summary = run_of(outputs)
    assert gather(store, flt, summary).measurements == ()
    note_measurement(store, flt.name, outputs["adapter"], made_measurement())
    assert gather(store, flt, summary).measurements == (made_measurement(),)
    store.put(measured_key(outputs["adapter"]), b"torn")
    context = gather(store, flt, summary)
    assert context.measurements == ()
    assert [problem.split(":")[0] for problem in context.problems] == [f"measurements of adapter {outputs['adapter'][:12]}"]


def test_the_looks_at_what_the_adapter_scored_are_read_and_a_torn_document_named(
    store: Store, flt: Filter, outputs: dict[str, Any]
) -> None:
    summary, adapter = run_of(outputs), outputs["adapter"]
    assert gather(store, flt, summary).looks == ()
    look = Look(job="7" * 64, scores="s", at="2027-01-01T03:00:00Z", n=1, number=1, reference="test", drifted=[], psi=0.1)
    DriftLog(filter=flt.name, adapter=adapter, looks=[look]).put(store, drift_key(flt.name, adapter))
    assert gather(store, flt, summary).looks == (look,)
    store.put(drift_key(flt.name, adapter), b"torn")
    context = gather(store, flt, summary)
    assert context.looks == ()
    assert [problem.split(":")[0] for problem in context.problems] == [f"looks at adapter {adapter[:12]}"]


def test_nothing_at_all(store: Store) -> None:
    stopped = failure("preflight", "no filter")
    context = gather(store, None, RunSummary(run="r", steps=[], failure=stopped))
    assert context == Context(filter=None, steps=[], problems=[], failure=stopped)
    assert "Stopped" in render_html(context)


def test_every_metric_a_gate_may_ask_for_has_plain_words() -> None:
    assert set(GATE_METRICS) <= set(METRICS)
    for name, known in GATE_METRICS.items():
        shown = metric(name, "high" if known.argument else None)
        assert shown.title
        assert shown.plain
        assert "_" not in shown.title


def test_bounds_are_told_in_the_metrics_own_unit() -> None:
    share = rule(metric="tier_recall", argument="high", bound=0.6, direction="atLeast")
    assert demand(read(Rule, share)) == "at least 60.0%"
    assert demand(read(Rule, rule(bound=0.8))) == "below 0.80"
