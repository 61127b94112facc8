"""The verdict names what it judged, and each link to it is verified."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.components.artifacts.measurement import note_measurement
from distillery.components.artifacts.serving import Plan
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.verdict import Rule
from distillery.components.gating.gate import gate, gate_inputs, read_verdict
from distillery.components.runtime.progress import Progress
from distillery.components.store import Digest, Store, StoreError, canonical_json, digest_bytes, digest_json
from distillery.filters.digests import step_digest
from distillery.filters.errors import InputError
from distillery.filters.loading import with_overrides
from tests.artifacts.made import made_measurement
from tests.documents import incumbent_json
from tests.gating.judged import make_adapter, make_benchmark, make_filter, make_split, ready

FILTER = make_filter()


class Heard(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_a_verdict_names_bytes_test_policy_and_incumbent(store: Store) -> None:
    incumbent = incumbent_json(adapter="b" * 64, difference=-0.1, interval=[-0.2, -0.01])
    adapter, benchmark = ready(store, incumbent=incumbent)
    record = gate(store, FILTER, adapter=adapter, benchmark=benchmark)
    verdict = read_verdict(store, "demo", record.outputs["verdict"])
    _, test = make_split(store)
    assert verdict.model_dump(exclude={"format", "rules", "decision"}) == {
        "filter": "demo",
        "adapter": adapter,
        "test": test,
        "benchmark": benchmark,
        "policy": step_digest(FILTER, "gate"),
        "incumbent": "b" * 64,
        "passed": True,
    }
    assert [(rule.metric, rule.value, rule.bound, rule.verdict) for rule in verdict.rules] == [
        ("mae", 0.7, 0.8, "pass"),
        ("mae_vs_incumbent", -0.1, 0.0, "pass"),
    ]
    assert all(rule.reason for rule in verdict.rules)
    assert record.outputs["decision"] == verdict.decision == "promote"
    assert gate(store, FILTER, adapter=adapter, benchmark=benchmark, test=test).reused


def test_decisions(store: Store) -> None:
    adapter, good = ready(store)
    _, bad = ready(store, mae=0.9)
    _, none = ready(store, mae=None)
    _, alarmed = ready(store, alarms=["predictor ignores its input"])
    held = make_filter("  oracle:", "  promotion: {approval: required}\n  oracle:")
    assert gate(store, FILTER, adapter=adapter, benchmark=good).outputs["decision"] == "promote"
    assert gate(store, held, adapter=adapter, benchmark=good).outputs["decision"] == "approve"
    for benchmark in (bad, none, alarmed):
        for flt in (FILTER, held):
            assert gate(store, flt, adapter=adapter, benchmark=benchmark).outputs["decision"] == "reject"


def test_between_bound_and_review_the_adapter_waits_for_a_person(store: Store) -> None:
    adapter, doubtful = ready(store, mae=0.85)
    _, bad = ready(store, mae=0.95)
    reviewing = make_filter("below: 0.8", "below: 0.8, review: 0.9")
    heard = Heard()
    record = gate(store, reviewing, adapter=adapter, benchmark=doubtful, progress=heard)
    assert record.outputs["decision"] == "approve"
    verdict = read_verdict(store, "demo", record.outputs["verdict"])
    assert (verdict.passed, [rule.metric for rule in verdict.reviews]) == (True, ["mae"])
    assert "mae is to be reviewed: 0.85 is not below 0.8, and below 0.9: a person decides" in heard.lines
    assert gate(store, reviewing, adapter=adapter, benchmark=bad).outputs["decision"] == "reject"
    assert gate(store, FILTER, adapter=adapter, benchmark=doubtful).outputs["decision"] == "reject"


def test_a_gate_on_latency_goes_by_the_measurement_and_the_verdict_holds_no_time(store: Store) -> None:
    adapter, benchmark = ready(store)
    quick = make_filter("{metric: mae, below: 0.8}", "{metric: mae, below: 0.8}, {metric: latency_ms, below: 50, review: 80}")

    def judged(**figures: Any) -> tuple[StepRecord, Rule, list[str]]:
        if figures:
            note_measurement(store, "demo", adapter, made_measurement(**figures))
        heard = Heard()
        record = gate(store, quick, adapter=adapter, benchmark=benchmark, progress=heard)
        (rule,) = [rule for rule in read_verdict(store, "demo", record.outputs["verdict"]).rules if rule.metric == "latency_ms"]
        return record, rule, heard.lines

    record, rule, lines = judged()
    assert (record.outputs["decision"], rule.verdict) == ("reject", "fail")
    assert rule.reason.startswith("latency_ms has no value: measure the adapter where it is to serve with `distillery measure`")
    passes, rule, lines = judged(latency_ms=25.0)
    assert (passes.outputs["decision"], rule.verdict, rule.value) == ("promote", "pass", None)
    assert rule.reason == "what was measured is below 50"
    assert "latency_ms 25, measured on made-up processor, 2 threads in fp32, 2026-01-01T00:00:00Z" in lines
    again, _, _ = judged(latency_ms=26.5)
    assert again.reused
    assert again.outputs == passes.outputs
    doubtful, rule, _ = judged(latency_ms=60.0)
    assert (doubtful.outputs["decision"], rule.verdict) == ("approve", "review")
    slow, rule, _ = judged(latency_ms=90.0)
    assert (slow.outputs["decision"], rule.reason) == ("reject", "what was measured is not below 50")
    assert b"90" not in store.get(slow.keys[0]).replace(adapter.encode(), b"").split(b'"rules"')[1]
    elsewhere, rule, _ = judged(latency_ms=10.0, machine="another")
    assert rule.verdict == "pass"  # the latest counts, whichever machine
    assert elsewhere.outputs["verdict"] == passes.outputs["verdict"]


def test_a_measurement_in_another_precision_than_the_filter_asks_for_is_none(store: Store) -> None:
    adapter, benchmark = ready(store)
    quick = make_filter("{metric: mae, below: 0.8}", "{metric: mae, below: 0.8}, {metric: latency_ms, below: 50}")
    asks = with_overrides(quick, ["student.precision=bf16"])
    note_measurement(store, "demo", adapter, made_measurement(latency_ms=25.0))
    assert gate(store, asks, adapter=adapter, benchmark=benchmark).outputs["decision"] == "reject"
    note_measurement(store, "demo", adapter, made_measurement(latency_ms=25.0, plan=Plan(precision="bf16")))
    assert gate(store, asks, adapter=adapter, benchmark=benchmark).outputs["decision"] == "promote"


def test_a_filter_without_such_a_gate_reads_no_measurement(store: Store) -> None:
    adapter, benchmark = ready(store)
    before = gate_inputs(store, FILTER, adapter, benchmark)
    note_measurement(store, "demo", adapter, made_measurement(latency_ms=25.0))
    assert gate_inputs(store, FILTER, adapter, benchmark) == before
    assert before.keys() == {"filter", "adapter", "benchmark", "parts", "code"}


def test_a_failure_beside_a_review_is_a_rejection(store: Store) -> None:
    adapter, benchmark = ready(store, mae=0.85, alarms=["predictor ignores its input"])
    reviewing = make_filter("below: 0.8", "below: 0.8, review: 0.9")
    assert gate(store, reviewing, adapter=adapter, benchmark=benchmark).outputs["decision"] == "reject"


def test_other_gates_are_another_verdict(store: Store) -> None:
    adapter, benchmark = ready(store)
    strict = make_filter("below: 0.8", "below: 0.6")
    assert gate(store, FILTER, adapter=adapter, benchmark=benchmark).outputs["decision"] == "promote"
    assert gate(store, strict, adapter=adapter, benchmark=benchmark).outputs["decision"] == "reject"


def test_a_benchmark_of_another_adapter_is_refused(store: Store) -> None:
    adapter, benchmark = ready(store)
    other, _ = ready(store, number=1)
    with pytest.raises(InputError, match="is none of adapter"):
        gate(store, FILTER, adapter=other, benchmark=benchmark)
    _, test = make_split(store)
    smuggled = make_benchmark(store, other, test)
    store.put(
        f"judgements/{adapter}/{test}/benchmark/{smuggled}.json",
        store.get(f"judgements/{other}/{test}/benchmark/{smuggled}.json"),
    )
    with pytest.raises(InputError, match=f"judges adapter {other[:20]}"):
        gate(store, FILTER, adapter=adapter, benchmark=smuggled)


def test_a_test_set_other_than_the_frozen_one_is_refused(store: Store) -> None:
    adapter, _ = ready(store)
    _, test = make_split(store)
    _, other = make_split(store, number=1)
    elsewhere = make_benchmark(store, adapter, other)
    with pytest.raises(InputError, match="on the frozen test set"):
        gate(store, FILTER, adapter=adapter, benchmark=elsewhere)
    with pytest.raises(InputError, match="is other than the frozen one"):
        gate(store, FILTER, adapter=adapter, benchmark=elsewhere, test=other)
    moved = make_benchmark(store, adapter, other, under=test)
    with pytest.raises(InputError, match="is other than the frozen one"):
        gate(store, FILTER, adapter=adapter, benchmark=moved)


def test_a_split_that_was_never_frozen_is_refused(store: Store) -> None:
    split, test = make_split(store, number=5, frozen=False)
    adapter = make_adapter(store, split)
    benchmark = make_benchmark(store, adapter, test)
    with pytest.raises(InputError, match=r"datasets/frozen/demo/.* is not in the store"):
        gate(store, FILTER, adapter=adapter, benchmark=benchmark)
    other = canonical_json({"lineages": [{"test": ["f" * 64], "digest": "0" * 64}]})
    store.put(f"datasets/frozen/demo/{digest_json({'seed': 5})}.json", other)
    with pytest.raises(InputError, match="other than any that demo froze"):
        gate(store, FILTER, adapter=adapter, benchmark=benchmark)


def test_an_altered_benchmark_is_refused(store: Store) -> None:
    adapter, benchmark = ready(store, mae=0.9)
    _, test = make_split(store)
    key = f"judgements/{adapter}/{test}/benchmark/{benchmark}.json"
    store.put(key, store.get(key).replace(b"0.9", b"0.1"))
    with pytest.raises(StoreError, match="other bytes than its digest names"):
        gate(store, FILTER, adapter=adapter, benchmark=benchmark)


def test_an_altered_verdict_is_refused(store: Store) -> None:
    adapter, benchmark = ready(store, mae=0.9)
    digest = gate(store, FILTER, adapter=adapter, benchmark=benchmark).outputs["verdict"]
    key = f"verdicts/demo/{digest}.json"
    store.put(key, store.get(key).replace(b'"passed":false', b'"passed":true'))
    with pytest.raises(StoreError, match="other bytes"):
        read_verdict(store, "demo", digest)


@pytest.mark.parametrize("name", ["adapter", "benchmark"])
def test_what_is_no_digest_or_is_not_there(store: Store, name: str) -> None:
    adapter, benchmark = ready(store)
    for bad, says in (("../../etc", "is not a sha256 digest"), (Digest(digest_bytes(b"none")), "in the store|is none of")):
        chosen = {"adapter": adapter, "benchmark": benchmark} | {name: bad}
        with pytest.raises(InputError, match=says):
            gate(store, FILTER, **chosen)
    with pytest.raises(InputError, match="there is no verdict"):
        read_verdict(store, "demo", digest_bytes(b"none"))


def test_a_benchmark_of_another_form_is_refused(store: Store) -> None:
    adapter, _ = ready(store)
    _, test = make_split(store)
    for changes, says in (({"mae": "0.1"}, "mae: Value error, is not a number"), ({"more": 1}, "more: Extra inputs")):
        with pytest.raises(StoreError, match=f"is not a benchmark: {says}"):
            gate(store, FILTER, adapter=adapter, benchmark=make_benchmark(store, adapter, test, **changes))
