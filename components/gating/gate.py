"""The gate step: a benchmark held against the filter's gates, and a verdict that names all it judged.

A verdict counts for the bytes, test set, policy and incumbent it names, and for nothing else. So before judging, every
link is followed and verified: bundle to split, split to the frozen test part, benchmark to both.
"""

from __future__ import annotations

from typing import Any

from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.artifacts.verdict import AGAIN, read_verdict
from distillery.components.gating.rules import apply_gates, passed
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Json, NotFound, Store, as_digest, canonical_json, digest_bytes, digest_json
from distillery.components.store.layout import SPLITS, adapters_folder, benchmark_key, frozen_key, verdict_key
from distillery.filters.digests import parts, step_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

__all__ = ["frozen_test", "gate", "gate_inputs", "read_verdict"]

CODE = 1


def gate_inputs(flt: Filter, adapter: str, benchmark: str) -> dict[str, Json]:
    """What a verdict depends on. The benchmark's digest covers test set and incumbent."""
    return {"filter": flt.name, "adapter": adapter, "benchmark": benchmark, "parts": parts(flt, "gate"), "code": CODE}


def gate(store: Store, flt: Filter, *, adapter: str, benchmark: str, test: str = "", progress: Progress = quiet) -> StepRecord:
    """Judges a benchmark; outputs {"verdict": digest, "decision": "promote" | "approve" | "reject"}.

    test: the test digest the caller believes in; checked if given. InputError where the benchmark is of another adapter,
    filter or test set than the frozen one.
    """

    def work() -> Outcome:
        frozen = frozen_test(store, flt, adapter)
        if test and test != frozen:
            raise _other_test(test, frozen)
        document = _benchmark(store, flt, adapter, frozen, benchmark)
        results = apply_gates(document, flt.spec.gates)
        good = passed(results)
        decision = ("approve" if flt.spec.promotion.approval == "required" else "promote") if good else "reject"
        incumbent = document.get("incumbent")
        verdict = canonical_json(
            {
                "format": 1,
                "filter": flt.name,
                "adapter": adapter,
                "test": frozen,
                "benchmark": benchmark,
                "policy": step_digest(flt, "gate"),
                "incumbent": incumbent["adapter"] if incumbent else None,
                "rules": [result.to_json() for result in results],
                "passed": good,
                "decision": decision,
            }
        )
        digest = digest_bytes(verdict)
        store.put(verdict_key(flt.name, digest), verdict)
        for result in results:
            if result.verdict == "fail":
                progress.note(f"{result.metric}{f' {result.argument}' if result.argument else ''} fails: {result.reason}")
        progress.note(f"{sum(r.verdict == 'pass' for r in results)} of {len(results)} rules pass: {decision}")
        return Outcome({"verdict": digest, "decision": decision}, [verdict_key(flt.name, digest)])

    return run_step(store, "gate", gate_inputs(flt, adapter, benchmark), work)


def frozen_test(store: Store, flt: Filter, adapter: str) -> str:
    """Digest of the test set this adapter must be judged on: that of its own split, if it is a frozen one.

    InputError where bundle, split or frozen list is missing or altered.
    """
    try:
        student = store.folder(adapters_folder(flt.name), as_digest(adapter, "adapter")).read_json("student.json")
        split = store.folder(SPLITS, as_digest(str(student["split"]), f"split of adapter {adapter[:12]}"))
        policy, frozen, test = split.meta["policy"], split.meta["frozen"], str(split.meta["test"])
        listed = store.get_json(frozen_key(flt.name, digest_json(policy)))
        known = [entry["digest"] for entry in listed["lineages"]]
    except NotFound as error:
        raise InputError(
            f"{error}, so the test set of adapter {adapter[:12]} can't be told", where=store.uri, hint=AGAIN
        ) from error
    except (KeyError, TypeError) as error:
        raise InputError(
            f"its manifests don't name what it was made from: {error!r}", where=f"adapter {adapter[:12]}", hint="train again"
        ) from error
    if frozen not in known:
        raise InputError(
            f"its split has a test set other than any that {flt.name} froze",
            where=f"adapter {adapter[:12]}",
            hint="redo the split in this store",
        )
    return test


def _benchmark(store: Store, flt: Filter, adapter: str, test: str, digest: str) -> dict[str, Any]:
    key = benchmark_key(adapter, test, as_digest(digest, "benchmark"))
    where = f"benchmark {digest[:12]}"
    try:
        document: dict[str, Any] = store.get_json(key, digest=as_digest(digest))
    except NotFound as error:
        raise InputError(
            f"is none of adapter {adapter[:12]} on the frozen test set {test[:12]}", where=where, hint=AGAIN
        ) from error
    for name, expected in (("adapter", adapter), ("filter", flt.name)):
        if document.get(name) != expected:
            raise InputError(f"judges {name} {str(document.get(name))[:40]}, not {expected[:40]}", where=where, hint=AGAIN)
    if document.get("test") != test:
        raise _other_test(str(document.get("test")), test)
    return document


def _other_test(found: str, frozen: str) -> InputError:
    return InputError(
        f"the test set {found[:12]}… is other than the frozen one, {frozen[:12]}…",
        hint="benchmark the adapter on its own split",
    )
