"""The audit step against a store: its document is kept whatever it finds, and a stop stops every time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from distillery.components.articles.articles import Label, Rejects, read_labels
from distillery.components.articles.label_table import label_table, write_table
from distillery.components.artifacts.audit import read_audit
from distillery.components.auditing.audit import audit, audit_inputs
from distillery.components.runtime.progress import Progress
from distillery.components.store import Store, open_store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.artifacts.made import made_label_set_meta

Makes = Callable[..., list[Label]]
Frames = Callable[[Sequence[Label]], pa.Table]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def keep(store: Store, frame: pa.Table) -> str:
    return store.commit("labelsets", {"labels.parquet": write_table(frame)}, made_label_set_meta())


class Notes(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_an_audit_is_kept_and_reused(store: Store, flt: Filter, make_labels: Makes, frame_of: Frames) -> None:
    labels = keep(store, frame_of(make_labels(120)))
    notes = Notes()
    record = audit(store, flt, label_set=labels, progress=notes)
    assert notes.lines == ["warn: 120 distinct articles make a test part of about 12; its intervals will be wide"]
    document = read_audit(store, record.outputs["audit"])
    assert document.label_set == labels
    assert document.findings[0].check == "articles"
    again = audit(store, flt, label_set=labels)
    assert again.reused
    assert again.outputs == record.outputs
    assert again.inputs == audit_inputs(flt, labels)


def test_weights_tiers_and_gates_are_not_read(flt: Filter) -> None:
    spec = flt.spec.model_dump()
    spec["dimensions"][0]["weight"] = 0.9
    spec["tiers"] = [{"name": "high", "when": "overall >= 5"}, {"name": "low"}]
    other = Filter.model_validate({**flt.model_dump(), "spec": spec})
    assert audit_inputs(other, "0" * 64) == audit_inputs(flt, "0" * 64)


def test_a_stop_keeps_the_document_and_stops_every_time(
    store: Store, flt: Filter, make_labels: Makes, frame_of: Frames
) -> None:
    labels = keep(store, frame_of(make_labels(20)))
    for _ in range(2):
        with pytest.raises(InputError, match="20 distinct articles where a split needs at least 30; label more articles"):
            audit(store, flt, label_set=labels)
    kept = [key for key in store.keys("audits") if key.endswith("audit.json")]
    assert len(kept) == 1


def test_the_digest_is_the_same_for_the_same_labels_elsewhere(
    tmp_path: Path, store: Store, flt: Filter, make_labels: Makes, frame_of: Frames
) -> None:
    frame = frame_of(make_labels(60))
    other = open_store(str(tmp_path / "other"))
    one = audit(store, flt, label_set=keep(store, frame))
    two = audit(other, flt, label_set=keep(other, frame))
    assert one.outputs == two.outputs


def test_the_digest_does_not_depend_on_the_process(
    tmp_path: Path, store: Store, flt: Filter, make_labels: Makes, frame_of: Frames
) -> None:
    labels = make_labels(60)
    labels += [
        Label(
            replace(
                label.article,
                id=f"{label.article.id}-b",
                content=f"{label.article.content} Read our terms, our privacy policy and our colophon.",
            ),
            label.scores,
        )
        for label in labels[:9]
    ]
    frame = frame_of(labels)
    expected = audit(store, flt, label_set=keep(store, frame)).outputs
    code = (
        "import sys; from distillery.components.auditing.audit import audit; "
        "from distillery.components.store import open_store; "
        "from distillery.filters.filter import Filter; flt = Filter.model_validate_json(sys.argv[2]); "
        "print(audit(open_store(sys.argv[1]), flt, label_set=sys.argv[3]).outputs['audit'])"
    )
    for seed in ("1", "2"):
        other = open_store(str(tmp_path / seed))
        done = subprocess.run(
            [sys.executable, "-c", code, other.uri, flt.model_dump_json(), keep(other, frame)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == expected["audit"]


def test_real_labels_hold_no_consent_page_and_say_what_is_known_of_them() -> None:
    from distillery.components.auditing.audit import examine, score_matrix

    root = Path(os.environ.get("DISTILLERY_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = root / "sustainability" / "labeled.jsonl.gz"
    if not path.exists():
        pytest.skip("real labels are not at hand")
    dimensions = [
        "climate_impact_potential",
        "technical_credibility",
        "economic_viability",
        "deployment_readiness",
        "systemic_impact",
        "justice_equity",
        "innovation_quality",
        "evidence_strength",
    ]
    frame = label_table(read_labels(path, dimensions, rejects=Rejects()), dimensions)
    document = examine(frame, dimensions, score_matrix(frame, dimensions).mean(axis=1))
    assert document["rows"] == 5324
    assert document["boilerplate"]["pages"] == 0
    assert document["duplicates"]["near_copies"] == 17
    assert document["languages"]["disagree"] < 10
    assert document["sources"]["omega2"] == pytest.approx(0.615, abs=0.005)
