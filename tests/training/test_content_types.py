"""A student that names content types: trained, kept in its bundle, judged, and its scores capped."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.artifacts.bundle import CONTENT_TYPES
from distillery.components.artifacts.content_caps import read_caps
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.scoring.rows import judged
from distillery.components.store import Store
from distillery.components.student.bundle import check_golden, open_bundle
from distillery.components.training.train import train
from tests.training.conftest import Notes
from tests.training.typed import shares, typed_filter, typed_labels, typed_split


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_a_student_that_was_trained_with_the_head_caps_what_it_scores(
    kind: str, request: pytest.FixtureRequest, store: Store
) -> None:
    flt, notes, split = typed_filter(request.getfixturevalue(kind)), Notes(), typed_split(store)
    adapter = str(train(store, flt, split=split, progress=notes).outputs["adapter"])
    student = open_bundle(store, "tiny", adapter, flt=flt)
    check_golden(student)
    assert student.types is not None
    assert student.types.names == ["notice", "rumour"]
    assert any("content type sermon: 0 train and 0 validation articles; it is never named" in note for note in notes.notes)
    labels = typed_labels(60, 9)
    rows = judged(flt, student, [label.article for label in labels]).to_pylist()
    named, wanted = [row["content_type"] for row in rows], [label.content_type for label in labels]
    print([n for n in notes.notes if "content" in n])
    print(kind, shares(named, wanted, "notice"), shares(named, wanted, "rumour"))
    assert min(shares(named, wanted, "notice")) > 0.8
    for row in rows:
        if row["content_type"] == "notice":
            assert row["overall"] <= 1
            assert row["reason"] in (None, "content type notice caps the overall at 1")
    assert any(row["reason"] == "content type notice caps the overall at 1" for row in rows)
    record = benchmark(store, flt, adapter=adapter, split=split)
    figures = read_caps(store, flt, {**record.outputs, "adapter": adapter, "split": split})
    assert figures is not None
    assert figures.head is not None
    assert figures.head.overall_mae < figures.overall_mae
