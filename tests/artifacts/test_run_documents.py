"""What runs leave: step records, failures, summaries and claims; older forms, torn bytes and unknown keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.document import Document
from distillery.components.artifacts.run_claim import RunClaim
from distillery.components.artifacts.run_summary import (
    Failure,
    RunSummary,
    put_summary,
    read_adapter_summary,
    read_last_summary,
)
from distillery.components.artifacts.step_record import Outcome, StepRecord, look_up, run_step
from distillery.components.store import Store, StoreError, open_store
from distillery.components.store.layout import adapters_beginning_key, last_summary_key, step_record_key, summary_key

ADAPTER = "a" * 64
RECORD = StepRecord.of("train", {"split": "s"}, {"adapter": ADAPTER}, ["adapters/x"], {"seconds": 2.5})
CALIBRATED = StepRecord.of("calibrate", {}, {"verdict": "PASS"}, [])
GATE = StepRecord.of("gate", {}, {"verdict": "b" * 64, "filter_key": "filters/f/v1/x.yaml"}, [])
FAILURE = Failure(step="train", kind="input", message="NaN loss")
SUMMARY = RunSummary(run="run-1", steps=[CALIBRATED, RECORD, GATE], failure=FAILURE)
CLAIM = RunClaim(run="", name="f-1", at=1.5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.mark.parametrize("document", [RECORD, FAILURE, SUMMARY, CLAIM], ids=lambda each: type(each).__name__)
def test_round_trip_torn_bytes_and_unknown_keys(document: Document) -> None:
    form, data = type(document), document.to_bytes()
    assert form.read(data, "x") == document
    for bad in (data[:-5], b"", b"null", json.dumps({**document.to_json(), "more": 1}).encode()):
        with pytest.raises(StoreError) as error:
            form.read(bad, "file:///s/key.json")
        assert str(error.value).startswith("file:///s/key.json: is not ")
        assert str(error.value).endswith(form.HINT)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("document", [RECORD, FAILURE, CLAIM], ids=lambda each: type(each).__name__)
def test_one_from_before_there_was_a_version_is_read(document: Document) -> None:
    fields = document.to_json()
    del fields["format"]
    assert type(document).read(json.dumps(fields).encode(), "x") == document


def test_a_summary_names_records_and_outputs() -> None:
    assert SUMMARY.records == {"calibrate": CALIBRATED, "train": RECORD, "gate": GATE}
    assert SUMMARY.outputs == {"adapter": ADAPTER, "verdict": "b" * 64, "filter_key": "filters/f/v1/x.yaml"}
    assert (SUMMARY.adapter, SUMMARY.filter_key) == (ADAPTER, "filters/f/v1/x.yaml")
    assert SUMMARY.calibrated == {"verdict": "PASS"}
    assert RECORD.seconds == 2.5
    assert GATE.seconds is None
    bare = RunSummary(run="run-2", steps=[])
    assert (bare.adapter, bare.filter_key, bare.calibrated) == (None, None, None)


def test_a_summary_without_a_version_repeats_the_outputs_and_is_read() -> None:
    records: list[dict[str, Any]] = [record.to_json() for record in SUMMARY.steps]
    for record in records:
        del record["format"]
    old = {
        "run": "run-1",
        "steps": records,
        "failure": {"step": "train", "kind": "input", "message": "NaN loss"},
        "calibrated": {"verdict": "PASS"},
        **SUMMARY.outputs,
    }
    assert RunSummary.read(json.dumps(old).encode(), "x") == SUMMARY
    with pytest.raises(StoreError, match="is not the summary of a run"):
        RunSummary.read(json.dumps({**old, "format": 2}).encode(), "x")
    with pytest.raises(StoreError, match="is not the summary of a run"):
        RunSummary.read(b'{"run": "run-1"}', "x")


def test_summaries_are_found_by_filter_and_by_adapter(store: Store) -> None:
    assert read_last_summary(store, "f") is None
    assert read_adapter_summary(store, ADAPTER) is None
    put_summary(store, SUMMARY, name="f")
    assert read_last_summary(store, "f") == SUMMARY
    assert read_adapter_summary(store, ADAPTER) == SUMMARY
    put_summary(store, RunSummary(run="run-3", steps=[]), name=None)
    assert list(store.keys("summaries")) == sorted(
        [summary_key(ADAPTER), adapters_beginning_key(ADAPTER[:8]), last_summary_key("f")]
    )
    store.put(last_summary_key("f"), SUMMARY.to_bytes()[:-9])
    with pytest.raises(StoreError, match=r"summaries/last/f.json: is not JSON.*the summary is written anew"):
        read_last_summary(store, "f")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": 2}', b'{"step": "count"}'])
def test_a_record_that_cannot_be_read_counts_as_absent_and_is_written_anew(store: Store, data: bytes) -> None:
    done: list[int] = []

    def work() -> Outcome:
        done.append(1)
        return Outcome({"n": 1}, [])

    first = run_step(store, "count", {"a": 1}, work)
    key = step_record_key("count", first.inputs_digest)
    store.put(key, data)
    assert look_up(store, "count", {"a": 1}) is None
    again = run_step(store, "count", {"a": 1}, work)
    assert (again.outputs, again.reused, len(done)) == ({"n": 1}, False, 2)
    assert run_step(store, "count", {"a": 1}, work).reused
    assert len(done) == 2
