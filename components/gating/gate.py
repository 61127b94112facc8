"""The gate step: holds a benchmark against the filter's gates, and writes a verdict that names all it judged.

A verdict counts for the bytes, test set, policy and incumbent it names, and for nothing else. So before judging, every
link is followed and verified: bundle to split, split to the frozen test part, benchmark to both.
"""

from __future__ import annotations

from distillery.components.artifacts.benchmark import Benchmark, read_benchmark
from distillery.components.artifacts.bundle import STUDENT, StudentFacts
from distillery.components.artifacts.folder_meta import SplitMeta
from distillery.components.artifacts.frozen_tests import read_frozen_tests
from distillery.components.artifacts.measurement import read_measurement
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.artifacts.verdict import AGAIN, Decision, Verdict, read_verdict
from distillery.components.gating.rules import apply_gates, apply_measured, passed
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Json, NotFound, Store, as_digest, digest_bytes, digest_json
from distillery.components.store.layout import SPLITS, adapters_folder, frozen_key, verdict_key
from distillery.filters.digests import parts, step_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.metrics import MEASURED

__all__ = ["frozen_test", "gate", "gate_inputs", "read_verdict"]

CODE = 2


def gate_inputs(store: Store, flt: Filter, adapter: str, benchmark: str) -> dict[str, Json]:
    """Return what a verdict depends on; the benchmark's digest covers test set and incumbent.

    Of what was measured on a machine it is whether each gate on it holds, so that a measurement that agrees reuses the verdict.

    Args:
        store: where the adapter's measurements are; read only where a gate asks for one.
        flt: the filter, of which gates and approval count.
        adapter: digest of the adapter.
        benchmark: digest of its benchmark.

    Returns:
        The inputs of the step.
    """
    inputs: dict[str, Json] = {"filter": flt.name, "adapter": adapter, "benchmark": benchmark}
    if asked := [gate for gate in flt.spec.gates if gate.metric in MEASURED]:
        figures = _measured(store, flt, adapter)[0]
        inputs["measured"] = [apply_measured(gate, figures).verdict if gate.metric in figures else None for gate in asked]
    return {**inputs, "parts": parts(flt, "gate"), "code": CODE}


def _measured(store: Store, flt: Filter, adapter: str) -> tuple[dict[str, float], str]:
    """Return what was measured of an adapter last, in the filter's precision, and where; nothing if no gate asks."""
    if not any(gate.metric in MEASURED for gate in flt.spec.gates):
        return {}, ""
    wish = flt.spec.student.precision
    found = read_measurement(store, flt.name, adapter, precision=None if wish == "auto" else wish)
    if found is None:
        return {}, ""
    where = f"on {found.machine} in {found.plan.precision}, {found.at}"
    return {"latency_ms": found.latency_ms}, f"latency_ms {found.latency_ms:.4g}, measured {where}"


def gate(store: Store, flt: Filter, *, adapter: str, benchmark: str, test: str = "", progress: Progress = quiet) -> StepRecord:
    """Judge a benchmark by the filter's gates, or find that done.

    Args:
        store: where everything is.
        flt: the filter.
        adapter: digest of the adapter.
        benchmark: digest of its benchmark.
        test: the test digest that the caller goes by; "" for none.
        progress: told which rules fail.

    Returns:
        The record, with outputs {"verdict": digest, "decision": "promote" | "approve" | "reject"}.

    Raises:
        InputError: the benchmark is of another adapter, filter or test set than the frozen one.
    """
    measured, said = _measured(store, flt, adapter)
    if said:
        progress.note(said)

    def work() -> Outcome:
        frozen = frozen_test(store, flt, adapter)
        if test and test != frozen:
            raise _other_test(test, frozen)
        document = _benchmark(store, flt, adapter, frozen, benchmark)
        rules = apply_gates(document, flt.spec.gates, measured)
        good = passed(rules)
        decision: Decision = "reject"
        if good:
            asked = flt.spec.promotion.approval == "required" or any(rule.verdict == "review" for rule in rules)
            decision = "approve" if asked else "promote"
        verdict = Verdict(
            filter=flt.name,
            adapter=adapter,
            test=frozen,
            benchmark=benchmark,
            policy=step_digest(flt, "gate"),
            incumbent=document.incumbent.adapter if document.incumbent else None,
            rules=rules,
            passed=good,
            decision=decision,
        )
        data = verdict.to_bytes()
        digest = digest_bytes(data)
        store.put(verdict_key(flt.name, digest), data)
        for rule in rules:
            if found := {"fail": "fails", "review": "is to be reviewed"}.get(rule.verdict):
                progress.note(f"{rule.metric}{f' {rule.argument}' if rule.argument else ''} {found}: {rule.reason}")
        progress.note(f"{sum(rule.verdict == 'pass' for rule in rules)} of {len(rules)} rules pass: {decision}")
        return Outcome({"verdict": digest, "decision": decision}, [verdict_key(flt.name, digest)])

    return run_step(store, "gate", gate_inputs(store, flt, adapter, benchmark), work, note=progress.note)


def frozen_test(store: Store, flt: Filter, adapter: str) -> str:
    """Return the digest of the test set that an adapter must be judged on: that of its own split, if it is a frozen one.

    Args:
        store: where bundle and split are.
        flt: the filter.
        adapter: digest of the adapter.

    Returns:
        A digest.

    Raises:
        InputError: bundle, split or frozen list is missing or altered.
    """
    try:
        bundle = store.folder(adapters_folder(flt.name), as_digest(adapter, "adapter"))
        student = StudentFacts.read(bundle.read(STUDENT), f"{bundle.where}/{STUDENT}")
        split = SplitMeta.of(store.folder(SPLITS, as_digest(student.split, f"split of adapter {adapter[:12]}")))
        policy = digest_json(split.policy)
        frozen = read_frozen_tests(store, flt.name, policy)
        if frozen is None:
            raise NotFound(frozen_key(flt.name, policy))
    except NotFound as error:
        raise InputError(
            f"{error}, so the test set of adapter {adapter[:12]} can't be told", where=store.uri, hint=AGAIN
        ) from error
    if split.frozen not in [lineage.digest for lineage in frozen[0].lineages]:
        raise InputError(
            f"its split has a test set other than any that {flt.name} froze",
            where=f"adapter {adapter[:12]}",
            hint="redo the split in this store",
        )
    return split.test


def _benchmark(store: Store, flt: Filter, adapter: str, test: str, digest: str) -> Benchmark:
    """Return the benchmark, if it is of this adapter, filter and test set; raise InputError otherwise."""
    where = f"benchmark {digest[:12]}"
    try:
        document = read_benchmark(store, adapter, test, digest)
    except NotFound as error:
        raise InputError(
            f"is none of adapter {adapter[:12]} on the frozen test set {test[:12]}", where=where, hint=AGAIN
        ) from error
    for name, actual, expected in (("adapter", document.adapter, adapter), ("filter", document.filter, flt.name)):
        if actual != expected:
            raise InputError(f"judges {name} {actual[:40]}, not {expected[:40]}", where=where, hint=AGAIN)
    if document.test != test:
        raise _other_test(document.test, test)
    return document


def _other_test(other: str, frozen: str) -> InputError:
    return InputError(
        f"the test set {other[:12]}… is other than the frozen one, {frozen[:12]}…",
        hint="benchmark the adapter on its own split",
    )
