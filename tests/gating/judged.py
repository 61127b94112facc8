"""What the steps before gating leave in a store, made by hand."""

from __future__ import annotations

import json
from typing import Any

from distillery.components.store import Digest, Store, canonical_json, digest_bytes, digest_json
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from tests.artifacts.made import made_split_meta
from tests.documents import benchmark_json, student_json

TEXT = """\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata: {name: demo}
spec:
  version: 1
  description: A filter for tests.
  scope: {judge: Whether a technology helps.}
  dimensions: [{name: readiness, weight: 1.0, description: How close to everyday use it is.}]
  tiers: [{name: high, when: "overall >= 6"}, {name: low}]
  oracle: {model: recorded}
  student: {baseModel: tiny/base}
  gates: [{metric: mae, below: 0.8}, {metric: mae_vs_incumbent, below: 0.0}]
"""
BUNDLE = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "student.json",
    "calibration.json",
    "golden.json",
    "training_history.json",
)


def make_filter(old: str = "", new: str = "") -> Filter:
    assert old in TEXT
    return load_filter_text(TEXT.replace(old, new), "demo.yaml")


def make_split(store: Store, *, number: int = 0, frozen: bool = True) -> tuple[str, str]:
    """(split digest, test digest), the test part frozen unless told otherwise."""
    policy, lineage, test = {"seed": number}, digest_json(["a", number]), digest_json(["test", number])
    split = store.commit("datasets", {"test.parquet": b"t"}, made_split_meta(policy=policy, frozen=lineage, test=test))
    if frozen:
        store.put(
            f"datasets/frozen/demo/{digest_json(policy)}.json",
            json.dumps({"format": 1, "lineages": [{"test": [digest_json("an article")], "digest": lineage}]}).encode(),
        )
    return split, test


def make_adapter(store: Store, split: str, *, number: int = 0) -> Digest:
    files = dict.fromkeys(BUNDLE, b"{}") | {"student.json": json.dumps(student_json(split=split, steps=number)).encode()}
    return store.commit("adapters/demo", files, {"kind": "adapter"})


def make_benchmark(store: Store, adapter: str, test: str, *, under: str = "", **changes: Any) -> str:
    document = benchmark_json(adapter=adapter, test=test, **changes)
    data = canonical_json(document)
    digest = digest_bytes(data)
    store.put(f"judgements/{adapter}/{under or test}/benchmark/{digest}.json", data)
    return digest


def ready(store: Store, *, number: int = 0, **changes: Any) -> tuple[Digest, str]:
    """(adapter, benchmark) of a student with this number, trained on split 0."""
    split, test = make_split(store)
    adapter = make_adapter(store, split, number=number)
    return adapter, make_benchmark(store, adapter, test, **changes)
