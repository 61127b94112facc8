"""The split step against a store: frozen test parts, restarts, reuse, and the guards around what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import distillery.components.splitting.split as module
from distillery.components.articles.articles import Article, Label
from distillery.components.articles.label_table import scores, write_table
from distillery.components.artifacts.split import FILES, load_split, test_digest
from distillery.components.runtime.progress import Progress
from distillery.components.splitting import assign as assigning
from distillery.components.splitting.frozen import freeze, read_frozen
from distillery.components.splitting.leaks import Leak
from distillery.components.splitting.split import frozen_test, split, split_inputs
from distillery.components.store import Conflict, Store, StoreError, digest_json
from distillery.components.store.layout import frozen_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.tables import with_columns

Labels = list[Label]
Makes = Callable[..., Labels]
Keeps = Callable[[Labels], str]
Frames = Callable[[Labels], pa.Table]


def frozen_list(flt: Filter) -> str:
    """Return the key of the filter's frozen test parts."""
    return frozen_key(flt.name, digest_json(flt.spec.split.model_dump()))


class Notes(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_a_split_is_kept_and_reused(store: Store, flt: Filter, make_labels: Makes, keep: Keeps) -> None:
    labels = keep(make_labels(100))
    first = split(store, flt, label_set=labels)
    assert first.outputs["rows"] == {"train": 80, "validation": 10, "test": 10, "withheld": 0, "copies": 0, "conflicting": 0}
    second = split(store, flt, label_set=labels)
    assert second.reused
    assert second.outputs == first.outputs
    found = load_split(store, first.outputs["split"], expected_test=first.outputs["test"])
    assert [found.train.num_rows, found.validation.num_rows, found.test.num_rows] == [80, 10, 10]
    assert scores(found.train, flt.dimensions).shape == (80, 2)
    assert found.meta.label_set == labels
    assert frozen_test(store, flt, labels) == found.meta.frozen == first.inputs["frozen"]
    assert split_inputs(flt, labels, found.meta.frozen) == first.inputs


def test_new_labels_leave_the_test_part_as_it_is(store: Store, flt: Filter, make_labels: Makes, keep: Keeps) -> None:
    labels = make_labels(160)
    old = split(store, flt, label_set=keep(labels[:100]))
    new = split(store, flt, label_set=keep(labels))
    before, after = load_split(store, old.outputs["split"]), load_split(store, new.outputs["split"])
    assert before.test["article"].to_pylist() == after.test["article"].to_pylist()
    assert new.outputs["test"] == old.outputs["test"]
    assert new.outputs["split"] != old.outputs["split"]


def test_labels_that_lack_some_of_the_test_part_are_refused(
    store: Store, flt: Filter, make_labels: Makes, keep: Keeps, with_policy: Callable[..., Filter]
) -> None:
    labels = make_labels(200)
    first = load_split(store, split(store, flt, label_set=keep(labels)).outputs["split"])
    gone = set(first.test["article"].to_pylist()[:7])
    fewer = keep([label for label in labels if label.article.digest not in gone])
    frozen = store.get(frozen_list(flt))
    with pytest.raises(InputError, match=r"lack 7 of the 20 articles of the frozen test part .*split\.seed=43"):
        split(store, flt, label_set=fewer)
    assert store.get(frozen_list(flt)) == frozen
    other = split(store, with_policy(seed=43), label_set=fewer)
    assert other.outputs["rows"]["test"] == 19


def test_other_labels_begin_a_test_part_of_their_own_and_both_stay(
    store: Store, flt: Filter, make_labels: Makes, keep: Keeps
) -> None:
    first = split(store, flt, label_set=keep(make_labels(60)))
    second = split(store, flt, label_set=keep(make_labels(60, seed=1)))
    assert len(read_frozen(store, flt).lineages) == 2
    again = split(store, flt, label_set=keep(make_labels(70)))
    assert again.outputs["test"] == first.outputs["test"]
    assert second.outputs["test"] != first.outputs["test"]


def test_a_test_part_frozen_from_few_labels_is_remarked_on(store: Store, flt: Filter, make_labels: Makes, keep: Keeps) -> None:
    notes = Notes()
    split(store, flt, label_set=keep(make_labels(40)), progress=notes)
    assert not any("larger" in line for line in notes.lines)
    split(store, flt, label_set=keep(make_labels(120)), progress=notes)
    assert any("holds 4 of 120 articles" in line and "split.seed=43" in line for line in notes.lines)


def test_row_order_and_policy_of_the_label_set_do_not_reach_the_tables(
    store: Store, flt: Filter, make_labels: Makes, keep: Keeps
) -> None:
    labels = make_labels(50)
    one = split(store, flt, label_set=keep(labels))
    two = split(store, flt, label_set=keep(labels[::-1]))
    assert two.outputs["test"] == one.outputs["test"]
    left, right = load_split(store, one.outputs["split"]), load_split(store, two.outputs["split"])
    assert all(a.equals(b) for a, b in zip(left[:3], right[:3], strict=True))


def test_killed_between_freezing_and_committing_it_ends_the_same(
    tmp_path: Path, store: Store, flt: Filter, make_labels: Makes, keep: Keeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.components.store import open_store

    labels = make_labels(90)
    whole = open_store(str(tmp_path / "whole"))
    digest = keep(labels)
    whole.put(f"labelsets/{digest}/manifest.json", store.get(f"labelsets/{digest}/manifest.json"))
    whole.put(f"labelsets/{digest}/labels.parquet", store.get(f"labelsets/{digest}/labels.parquet"))
    expected = split(whole, flt, label_set=digest)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            split(store, flt, label_set=digest)
    assert len(read_frozen(store, flt).lineages) == 1
    resumed = split(store, flt, label_set=digest)
    assert not resumed.reused
    assert (resumed.outputs, resumed.inputs_digest) == (expected.outputs, expected.inputs_digest)


def test_two_splits_at_once_freeze_one_test_part(
    store: Store, flt: Filter, make_labels: Makes, keep: Keeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = keep(make_labels(60))
    original = freeze
    rivals: list[str] = []

    def late(*args):  # type: ignore[no-untyped-def]
        if not rivals:  # another process freezes between our reading and our writing
            rivals.append("one")
            rivals.append(split(store, flt, label_set=labels).outputs["test"])
        return original(*args)

    monkeypatch.setattr(module, "freeze", late)
    assert split(store, flt, label_set=labels).outputs["test"] == rivals[1]
    assert len(read_frozen(store, flt).lineages) == 1


def test_a_document_that_never_holds_still_is_a_conflict_not_an_endless_loop(
    store: Store, flt: Filter, make_labels: Makes, keep: Keeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_):  # type: ignore[no-untyped-def]
        raise Conflict("changed")

    monkeypatch.setattr(module, "freeze", lost)
    with pytest.raises(Conflict, match="changed 5 times"):
        split(store, flt, label_set=keep(make_labels(40)))


def test_an_altered_frozen_document_is_refused(store: Store, flt: Filter, make_labels: Makes, keep: Keeps) -> None:
    labels = keep(make_labels(40))
    split(store, flt, label_set=labels)
    document = json.loads(store.get(frozen_list(flt)))
    document["lineages"][0]["test"].pop()
    store.put(frozen_list(flt), json.dumps(document).encode())
    with pytest.raises(StoreError, match="other than the frozen one"):
        split(store, flt, label_set=labels)
    store.put(frozen_list(flt), b"[]")
    with pytest.raises(StoreError, match="not a list of frozen test parts"):
        split(store, flt, label_set=labels)


def test_a_placing_that_leaks_stops_the_step(
    store: Store, flt: Filter, make_labels: Makes, keep: Keeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = make_labels(60)
    labels += [
        Label(
            Article(id=f"{label.article.id}-b", title=label.article.title, content=label.article.content + " extra"),
            label.scores,
        )
        for label in labels
    ]
    monkeypatch.setattr(assigning, "group_rows", lambda frame, _: np.arange(frame.num_rows))
    with pytest.raises(Leak, match="near-duplicates lie across the split"):
        split(store, flt, label_set=keep(labels))
    assert not [key for key in store.keys("datasets") if key.endswith("parquet")]


def test_a_single_stratum_stops_the_step(
    store: Store, flt: Filter, make_labels: Makes, keep: Keeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = keep(make_labels(60))
    monkeypatch.setattr(assigning, "strata_edges", lambda *_: np.array([99.0]))
    with pytest.raises(RuntimeError, match="one stratum"):
        split(store, flt, label_set=labels)


@pytest.mark.parametrize("count", [1, 20, 29])
def test_too_few_labels_freeze_nothing(store: Store, flt: Filter, make_labels: Makes, keep: Keeps, count: int) -> None:
    with pytest.raises(InputError, match=f"{count} distinct articles where a split needs at least 30"):
        split(store, flt, label_set=keep(make_labels(count)))
    assert store.etag(frozen_list(flt)) is None


def test_labels_of_other_dimensions_freeze_nothing(store: Store, flt: Filter, make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(40)).rename_columns({"score.depth": "score.width"})
    labels = store.commit("labelsets", {"labels.parquet": write_table(frame)}, {})
    with pytest.raises(InputError, match="lacks dimension 'depth'"):
        split(store, flt, label_set=labels)
    assert store.etag(frozen_list(flt)) is None


def test_the_test_digest_goes_by_articles_and_scores_alone(make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(12))
    digest = test_digest(frame)
    assert test_digest(frame.take(list(range(12))[::-1]).select(sorted(frame.column_names)).drop_columns("title")) == digest
    depth = frame["score.depth"].to_pylist()
    changed = with_columns(frame, {"score.depth": [*depth[:3], 0.25, *depth[4:]]})
    assert test_digest(changed) != digest
    assert test_digest(frame.slice(0, 11)) != digest
    with pytest.raises(ValueError, match="without scores"):
        test_digest(frame.select(["article"]))


def test_a_test_set_other_than_the_frozen_one_is_refused(store: Store, flt: Filter, make_labels: Makes, keep: Keeps) -> None:
    first = split(store, flt, label_set=keep(make_labels(60)))
    other = split(store, flt, label_set=keep(make_labels(60, seed=1)))
    with pytest.raises(InputError, match="other than the frozen one"):
        load_split(store, first.outputs["split"], expected_test=other.outputs["test"])


def test_a_split_whose_test_table_was_swapped_is_refused(store: Store, flt: Filter, make_labels: Makes, keep: Keeps) -> None:
    record = split(store, flt, label_set=keep(make_labels(60)))
    found = load_split(store, record.outputs["split"])
    tables = {"train.parquet": found.test, "val.parquet": found.validation, "test.parquet": found.train}
    forged = store.commit("datasets", {name: write_table(table) for name, table in tables.items()}, found.meta.to_json())
    with pytest.raises(StoreError, match="not the frozen one"):
        load_split(store, forged)
    store.put(f"datasets/{record.outputs['split']}/{FILES['test']}", write_table(found.train))
    with pytest.raises(StoreError):
        load_split(store, record.outputs["split"])


@pytest.mark.parametrize(
    "package",
    [
        "distillery.components.splitting",
        "distillery.components.auditing",
        "distillery.components.splitting.split",
        "distillery.components.auditing.audit",
        "distillery.components.artifacts.split",
    ],
)
def test_importing_a_step_loads_no_heavy_library(package: str) -> None:
    heavy = {"torch", "kfp", "transformers", "scipy", "sklearn", "pyarrow", "boto3", "numpy"}
    code = f"import {package}, sys; print(*sorted({heavy!r} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout.strip() == ""
