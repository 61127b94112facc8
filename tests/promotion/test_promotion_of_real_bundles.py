"""Promotion with a student that is really loaded: what can't be served is never pointed at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.artifacts.channel import current
from distillery.components.gating.gate import gate
from distillery.components.promotion.by_hand import rollback
from distillery.components.promotion.promote import promote
from distillery.components.store import Digest, Store, open_store
from distillery.components.student.bundle import Student, save_bundle
from distillery.filters.errors import InputError
from tests.documents import incumbent_json
from tests.gating.judged import make_benchmark, make_filter, make_split
from tests.student.conftest import make_student

__all__ = ["make_student"]
FILTER = make_filter()


def judged(store: Store, student: Student) -> tuple[Digest, str]:
    """(adapter, passing verdict) of this student, as if it had been trained on a frozen split."""
    split, test = make_split(store)
    now = current(store, "demo", "production")
    incumbent = incumbent_json(adapter=now.adapter, difference=-0.1, interval=[-0.2, -0.01]) if now else None
    facts = student.facts.model_copy(update={"filter": "demo", "split": split})
    adapter = save_bundle(store, "demo", dataclasses.replace(student, facts=facts))
    benchmark = make_benchmark(store, adapter, test, incumbent=incumbent)
    return adapter, gate(store, FILTER, adapter=adapter, benchmark=benchmark).outputs["verdict"]


def altered(student: Student, factor: float) -> Student:
    """Other weights beside the golden predictions of the old ones."""
    tensors = {name: tensor * factor for name, tensor in student.tensors.items()}
    return dataclasses.replace(student, tensors=tensors, _forward=None)


def test_a_bundle_is_loaded_and_reproduced_before_it_serves(
    tmp_path: Path, tiny_encoder: Path, make_student: Callable[[Path], Student]
) -> None:
    store, student = open_store(str(tmp_path)), make_student(tiny_encoder)
    adapter, verdict = judged(store, student)
    assert promote(store, FILTER, verdict=verdict).outputs["adapter"] == adapter

    _, wrong = judged(store, altered(student, 2.0))
    with pytest.raises(InputError, match="golden predictions"):
        promote(store, FILTER, verdict=wrong)

    second = altered(student, 0.5)
    second.golden = (student.golden[0], second.predict(student.golden[0]))
    newer, verdict = judged(store, second)
    weights = f"adapters/demo/{newer}/adapter_model.safetensors"
    whole = store.get(weights)
    store.put(weights, whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match="other bytes than its digest names"):
        promote(store, FILTER, verdict=verdict)
    pointer = current(store, "demo", "production")
    assert pointer is not None
    assert pointer.adapter == adapter

    store.put(weights, whole)
    assert promote(store, FILTER, verdict=verdict).outputs["promoted"]["previous"] == adapter
    assert rollback(store, "demo", "production").adapter == adapter
