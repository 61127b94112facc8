"""Classes of a data set of `datasets` are read by their names, at whatever depth they stand; nothing else is touched."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.components.articles.articles import Rejects, read_labels
from distillery.components.articles.hub_features import features_of, with_names
from distillery.filters.errors import InputError

TYPES = {"names": ["news", "opinion", "advertisement"], "_type": "ClassLabel"}
GRADES = {"names": ["1", "2", "3", "4", "5"], "_type": "ClassLabel"}
TEXT = {"dtype": "string", "_type": "Value"}
FEATURES = {
    "id": TEXT, "title": TEXT, "content": TEXT, "content_type": TYPES, "scores": {"agency": GRADES, "progress": GRADES},
}  # fmt: skip


def schema_of(table: pa.Table, features: Any) -> pa.Table:
    metadata = features if isinstance(features, bytes) else json.dumps({"info": {"features": features}}).encode()
    return table.replace_schema_metadata({b"huggingface": metadata})


def table(**more: Any) -> pa.Table:
    rows = [
        {"id": f"a{n}", "title": f"T{n}", "content": f"Text number {n}.", "content_type": n % 3,
         "scores": {"agency": n % 5, "progress": 4 - n % 5}, **more}
        for n in range(6)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows)


def written(path: Path, made: pa.Table) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(made, path)
    else:
        with pa.ipc.new_stream(str(path), made.schema) as writer:
            writer.write_table(made, max_chunksize=2)
    return path


@pytest.mark.parametrize("name", ["labels.arrow", "labels.parquet"])
def test_classes_are_read_by_their_names(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, schema_of(table(), FEATURES))
    found = list(read_labels(path, ["agency", "progress"], rejects=Rejects()))
    assert [label.content_type for label in found] == ["news", "opinion", "advertisement"] * 2
    assert [label.scores["agency"] for label in found] == [1, 2, 3, 4, 5, 1]  # the names, not the places


@pytest.mark.parametrize("name", ["labels.arrow", "labels.parquet"])
def test_a_class_without_a_name_is_the_fault_of_its_row(tmp_path: Path, name: str) -> None:
    made = table()
    made = made.set_column(3, "content_type", pa.array([0, 1, 2, 7, -1, -5]))
    path = written(tmp_path / name, schema_of(made, FEATURES))
    with pytest.raises(InputError, match="its content_type is class 7, and there are 3"):
        list(read_labels(path, ["agency", "progress"], rejects=Rejects()))


@pytest.mark.parametrize(
    "metadata",
    [b"", b"{", b"[]", b"null", b'{"info": 3}', b'{"info": {"features": []}}', b"\xff\xfe", b'{"info": ' * 5000,
     json.dumps({"info": {"features": {"content_type": {"names": "news", "_type": "ClassLabel"}}}}).encode(),
     json.dumps({"info": {"features": {"content_type": {"names": [1], "_type": "ClassLabel"}, "x": 3}}}).encode()],
)  # fmt: skip
def test_metadata_of_another_form_names_nothing(metadata: bytes) -> None:
    assert features_of({b"huggingface": metadata}) == {}
    assert features_of(None) == {}


def test_lists_and_structs_hold_classes_too() -> None:
    features = features_of({b"huggingface": json.dumps({"info": {"features": {
        "labels": {"feature": GRADES, "_type": "Sequence"}, "old": [TYPES],
        "deep": {"feature": {"kind": TYPES}, "_type": "List"},
        "turned": {"feature": {"kind": TYPES, "n": TEXT}, "_type": "Sequence"}, "title": TEXT,
    }}}).encode()})  # fmt: skip
    assert features.keys() == {"labels", "old", "deep", "turned"}
    row = {"labels": [0, 4], "old": [1, None], "deep": [{"kind": 2}], "turned": {"kind": [0, -1], "n": ["a"]}, "title": "T"}
    assert with_names(row, features) == {
        "labels": [1.0, 5.0], "old": ["opinion", None], "deep": [{"kind": "advertisement"}],
        "turned": {"kind": ["news", None], "n": ["a"]}, "title": "T",
    }  # fmt: skip
    assert with_names({"labels": "as text", "old": 3}, features) == {"labels": "as text", "old": 3}


@pytest.mark.parametrize("count", [30, pytest.param(3000, marks=pytest.mark.slow)])
def test_whatever_features_say_a_row_is_read_or_refused(count: int) -> None:
    rng = random.Random(7)

    def anything(depth: int = 0) -> Any:
        kinds = [None, 3, -1, "x", True, 1.5, TYPES, TEXT, {"_type": "ClassLabel"}, {"feature": TYPES, "_type": "List"}]
        if depth < 4 and rng.random() < 0.5:
            inner = [anything(depth + 1) for _ in range(rng.randrange(3))]
            return inner if rng.random() < 0.5 else {rng.choice(["a", "feature", "_type", "names"]): each for each in inner}
        return rng.choice(kinds)

    for _ in range(count):
        features = features_of({b"huggingface": json.dumps({"info": {"features": {"a": anything()}}}).encode()})
        with suppress(ValueError):
            assert with_names({"a": anything()}, features).keys() == {"a"}
