"""Labels of other names and scales are imported by a mapping file, and the label set states it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.folder_meta import LabelSetMeta
from distillery.components.labeling.label import label
from distillery.components.store import Digest, Store, open_store
from distillery.components.store.layout import LABEL_SETS
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from tests.pipelines.harness import run_here

MAPPING = """\
columns: {headline: title, demo.points: scores}
dimensions: {Ready: readiness}
scales: {readiness: [1, 5], benefit: [0, 100]}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filter_text: str) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "filter.yaml").write_text(filter_text)
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    rows = [
        {"id": f"a{n}", "headline": "T", "content": f"Text {n}.", "demo": {"points": {"Ready": 1 + n % 5, "benefit": 10 * n}}}
        for n in range(9)
    ]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def run(*command: str) -> dict[str, Any]:
    answer: dict[str, Any] = run_here(*command, "--store", "store", "--json", cwd=Path.cwd()).json
    return answer


def meta(store: Store, digest: str) -> LabelSetMeta:
    return LabelSetMeta.of(store.folder(LABEL_SETS, Digest(digest)))


def test_a_label_set_states_the_names_and_scales_it_was_read_by(here: Path) -> None:
    digest = run("labels", "import", "filter.yaml", "labels.jsonl", "--mapping", "mapping.yaml")["label"]["label_set"]
    mapping = meta(open_store("store"), digest).mapping
    assert mapping is not None
    assert mapping.columns == {"headline": "title", "demo.points": "scores"}
    assert mapping.dimensions == {"Ready": "readiness"}
    assert mapping.scales == {"readiness": [1, 5], "benefit": [0, 100]}
    run("label", "filter.yaml", "--labels", "labels.jsonl", "--mapping", "mapping.yaml", "--out", "ours.jsonl")
    ours = {row["id"]: row["scores"] for row in map(json.loads, Path("ours.jsonl").read_text().splitlines())}
    assert ours["a7"] == {"readiness": 5.0, "benefit": 7.0}


def test_ours_import_to_the_same_table_and_a_manifest_without_a_mapping(here: Path) -> None:
    run("label", "filter.yaml", "--labels", "labels.jsonl", "--mapping", "mapping.yaml", "--out", "ours.jsonl")
    again = run("labels", "import", "filter.yaml", "ours.jsonl")["label"]["label_set"]
    store = open_store("store")
    assert meta(store, again).mapping is None
    assert b"mapping" not in meta(store, again).to_bytes()


def test_another_mapping_is_another_label_set(here: Path) -> None:
    first = run("labels", "import", "filter.yaml", "labels.jsonl", "--mapping", "mapping.yaml")["label"]
    (here / "mapping.yaml").write_text(MAPPING.replace("[1, 5]", "[0, 5]"))
    second = run("labels", "import", "filter.yaml", "labels.jsonl", "--mapping", "mapping.yaml")["label"]
    assert not second["reused"]
    assert first["label_set"] != second["label_set"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("benefit: [0, 100]", "benefit: [0, 50]", "score 80 of 'benefit' is outside 0 to 50"),
        ("Ready: readiness", "Redy: readiness", "lacks dimension 'readiness'"),
        ("demo.points", "demo.point", "has no scores"),
        ("Ready: readiness", "Ready: redines", 'mapping.yaml:2: spec.data.dimensions.Ready: "redines" is no dimension'),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_and_nothing_is_written(here: Path, old: str, new: str, says: str) -> None:
    (here / "mapping.yaml").write_text(MAPPING.replace(old, new))
    error = run("labels", "import", "filter.yaml", "labels.jsonl", "--mapping", "mapping.yaml")["error"]
    assert (error["code"], says in f"{error['where']}: {error['what']}") == (2, True), error
    assert not list(here.glob("store/labelsets/*"))


def test_a_filter_may_state_it_for_good_and_python_reads_by_it(here: Path, filter_text: str, store: Store) -> None:
    flt: Filter = load_filter_text(
        filter_text + "  data:\n" + "".join(f"    {line}\n" for line in MAPPING.splitlines()), "f.yaml"
    )
    record = label(store, flt, labels="labels.jsonl")
    assert meta(store, record.outputs["label_set"]).mapping is not None
