"""What gc removes, what protects, and what is left where a removal is killed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.artifacts.channel import read_channel
from distillery.components.artifacts.measurement import note_measurement
from distillery.components.artifacts.split import load_split
from distillery.components.collecting import garbage
from distillery.components.collecting.garbage import Garbage, find_garbage, remove
from distillery.components.store import Digest, Store, StoreError, open_store
from distillery.components.store.layout import (
    SPLITS,
    adapters_folder,
    baselines_key,
    channel_key,
    checkpoint_key,
    committed_key,
    events_key,
    last_summary_key,
    measured_key,
    predictions_key,
    reviewed_key,
    run_record_key,
)
from tests.artifacts.made import made_measurement
from tests.pipelines.harness import Ran, run_here
from tests.sharing.test_documented_commands import type_page
from tests.store.test_stores_of_the_first_layout import NAME

OLD = time.time() - 90 * 86_400
LOST = "4a775b7e0aee"  # the one adapter of the store that no channel and no last run names


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    """A folder with a store whose every object is ninety days old."""
    shutil.copytree(home / ".distillery", tmp_path / "work" / ".distillery")
    age(tmp_path / "work" / ".distillery")
    return tmp_path / "work"


def age(store: Path) -> None:
    for path in store.rglob("*"):
        if path.is_file():
            os.utime(path, (OLD, OLD))


@pytest.fixture
def store(folder: Path) -> Store:
    return open_store(str(folder / ".distillery"))


def found(store: Store, kind: str = "adapter", **more: object) -> list[Garbage]:
    listed = find_garbage(store, now=time.time(), days=30, **more)  # type: ignore[arg-type]
    return [each for each in listed if each.kind == kind]


def lost(store: Store) -> str:
    (adapter,) = [digest for digest in store.folders(adapters_folder(NAME)) if digest.startswith(LOST)]
    return adapter


def gc(folder: Path, *words: object) -> Ran:
    return run_here("gc", *map(str, words), "--json", cwd=folder)


# ---- what is removed --------------------------------------------------------------------------------------------------


def test_by_default_it_is_only_told(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    ran = gc(folder)
    assert ran.code == 0, ran.err
    assert ran.json["deleted"] is False
    assert {item["kind"] for item in ran.json["items"]} == {"adapter", "checkpoint"}
    assert ran.json["bytes"] == sum(item["size"] for item in ran.json["items"]) > 0
    assert sorted(folder.rglob("*")) == before
    shown = run_here("gc", "--dry-run", cwd=folder).out
    assert LOST in shown
    assert "could be removed: distillery gc --delete" in shown
    assert sorted(folder.rglob("*")) == before


def test_what_nothing_names_is_removed_and_all_else_stays(folder: Path, store: Store) -> None:
    adapter = lost(store)
    expected = {key for each in find_garbage(store, now=time.time(), days=30) for key in each.keys}
    before = set(store.keys())
    ran = gc(folder, "--delete")
    assert ran.code == 0, ran.err
    assert ran.json["deleted"] is True
    assert before - set(store.keys()) == expected
    assert all(adapter in key or key.startswith("checkpoints/") for key in expected)
    assert any(key.startswith("judgements/") for key in expected)
    channel = read_channel(store, NAME, "production").channel
    for entry in channel.history:
        store.folder(adapters_folder(NAME), Digest(entry.adapter)).verify()
    rows = run_here("get", "adapters", "--json", cwd=folder).json["items"]
    assert adapter not in [row["name"] for row in rows]
    assert [row["error"] for row in rows] == [None] * len(rows)
    assert gc(folder, "--delete").json["items"] == []


def test_get_tells_what_would_go(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = lost(store)
    rows = run_here("get", "adapters", "--json", cwd=folder).json["items"]
    assert [row["name"] for row in rows if row["garbage"]] == [adapter]
    wide = run_here("get", "adapters", "-o", "wide", cwd=folder).out.splitlines()
    assert [line[:12] for line in wide if "would go" in line] == [LOST]
    assert "GC" not in run_here("get", "adapters", cwd=folder).out
    monkeypatch.setattr(garbage, "MAX_DOCUMENT", 10)
    assert {row["garbage"] for row in run_here("get", "adapters", "--json", cwd=folder).json["items"]} == {None}


def test_a_split_goes_when_the_last_adapter_that_was_trained_on_it_has_gone(store: Store, folder: Path) -> None:
    meta = json.loads(store.get(committed_key(adapters_folder(NAME), lost(store))))["meta"]
    other = "5" * 64
    for name in ("train.parquet", "manifest.json"):
        store.put(committed_key(SPLITS, other, name), b"{}")
    store.put(baselines_key(other, "6" * 64), b"x")
    age(folder / ".distillery")
    (split,) = found(store, "split")
    assert (split.name, len(split.keys)) == (other, 3)
    assert split.keys[0].endswith("manifest.json"), "first, so that what is half removed is no split"
    assert meta["split"] not in [each.name for each in found(store, "split")]
    load_split(store, meta["split"])


def test_what_was_measured_of_an_adapter_goes_with_it(store: Store, folder: Path) -> None:
    adapter = lost(store)
    note_measurement(store, NAME, adapter, made_measurement())
    assert found(store) == [], "who measures an adapter of late has a use for it"
    age(folder / ".distillery")
    (item,) = found(store)
    assert measured_key(adapter) in item.keys


# ---- what protects ----------------------------------------------------------------------------------------------------

Protect = Callable[[Store, str], None]


def _named_at(key: Callable[[str], str]) -> Protect:
    return lambda store, adapter: store.put(key(adapter), json.dumps({"of": {"adapter": adapter}}).encode())


PROTECT: dict[str, Protect] = {
    "a channel": _named_at(lambda _: channel_key("other", "production")),
    "a candidate": _named_at(lambda _: channel_key("other", "staging")),
    "the last run of a filter": _named_at(lambda _: last_summary_key("other")),
    "a review": _named_at(lambda adapter: reviewed_key(NAME, adapter)),
    "a selection": _named_at(lambda _: f"selections/{NAME}/{'1' * 64}.json"),
    "a record of drift": _named_at(lambda adapter: f"drift/{NAME}/{adapter}.json"),
    "what a cluster asks for": _named_at(lambda _: f"intents/{NAME}/production.json"),
    "a scored corpus": _named_at(lambda _: f"scores/{'2' * 64}/_SUCCESS"),
    "a scoring job": _named_at(lambda _: f"scores/{'2' * 64}/_job/plan.json"),
    "a room that is not there yet": _named_at(lambda _: "tomorrow/x.json"),
}


@pytest.mark.parametrize("name", sorted(PROTECT))
def test_what_names_an_adapter_protects_it_however_old(name: str, store: Store, folder: Path) -> None:
    adapter = lost(store)
    assert [each.name for each in found(store)] == [adapter]
    PROTECT[name](store, adapter)
    age(folder / ".distillery")
    assert found(store) == []


def test_a_live_run_protects_what_it_names_and_an_ended_one_does_not(store: Store, folder: Path) -> None:
    adapter = lost(store)
    store.put(run_record_key("r1", "train"), json.dumps({"outputs": {"adapter": adapter}}).encode())
    store.put(events_key("r1", "score"), b"{}\n")
    age(folder / ".distillery")
    assert [each.name for each in found(store)] == [adapter], "a run that ended long ago needs nothing"
    os.utime(folder / ".distillery" / events_key("r1", "score"))  # its heartbeat
    assert found(store) == []


@pytest.mark.parametrize("key", ["manifest.json", "judgement"])
def test_what_was_written_of_late_is_left_alone(key: str, store: Store, folder: Path) -> None:
    adapter = lost(store)
    if key == "judgement":
        key = predictions_key(adapter, "7" * 64, "8" * 64)
        store.put(key, b"x")
    else:
        key = committed_key(adapters_folder(NAME), adapter)
    os.utime(folder / ".distillery" / key)
    assert found(store) == []


def test_a_checkpoint_that_a_training_writes_stays(store: Store, folder: Path) -> None:
    store.put(checkpoint_key("9" * 64), b"state")
    assert checkpoint_key("9" * 64) not in [each.name for each in found(store, "checkpoint")]


def test_while_a_training_writes_checkpoints_every_split_stays(store: Store, folder: Path) -> None:
    split = "5" * 64
    store.put(committed_key(SPLITS, split, "manifest.json"), b"{}")
    store.put(checkpoint_key("9" * 64), b"state")
    age(folder / ".distillery")
    assert split in [each.name for each in found(store, "split")]
    os.utime(folder / ".distillery" / checkpoint_key("9" * 64))
    assert found(store, "split") == []


def test_a_live_run_protects_the_split_that_it_reads(store: Store, folder: Path) -> None:
    split = "5" * 64
    store.put(committed_key(SPLITS, split, "manifest.json"), b"{}")
    store.put(run_record_key("r1", "split"), json.dumps({"outputs": {"split": split}}).encode())
    age(folder / ".distillery")
    assert split in [each.name for each in found(store, "split")]
    store.put(events_key("r1", "train"), b"{}\n")
    assert found(store, "split") == []


def test_what_a_person_names_stays(folder: Path, store: Store) -> None:
    assert found(store, keep=[LOST]) == []
    assert LOST not in str([item["name"] for item in gc(folder, "--delete", "--keep", LOST).json["items"]])
    assert lost(store)


def test_what_is_needed_since_it_was_found_stays(store: Store) -> None:
    before = find_garbage(store, now=time.time(), days=30)
    PROTECT["a channel"](store, lost(store))
    removed = list(remove(store, before, now=time.time(), days=30))
    assert {each.kind for each in removed} == {"checkpoint"}
    assert lost(store)


# ---- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(1, 9))
def test_a_killed_removal_leaves_a_consistent_store(
    after: int, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, real, done = lost(store), Store.delete, list[str]()

    def killed(self: Store, key: str) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(key)
        real(self, key)

    monkeypatch.setattr(Store, "delete", killed)
    assert gc(folder, "--delete").code == 130
    monkeypatch.setattr(Store, "delete", real)
    rows = run_here("get", "adapters", "--json", cwd=folder).json["items"]
    assert adapter not in [row["name"] for row in rows], "its manifest went first"
    assert [row["error"] for row in rows] == [None] * len(rows)
    for path in (folder / ".distillery").rglob("*"):
        os.utime(path, (OLD, OLD))
    assert gc(folder, "--delete").code == 0
    assert gc(folder).json["items"] == []
    assert adapter not in store.folders(adapters_folder(NAME))


def test_what_can_not_be_read_protects_everything(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(store.keys())
    monkeypatch.setattr(garbage, "MAX_DOCUMENT", 10)
    ran = gc(folder, "--delete")
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "is larger than the 10 bytes expected" in ran.err
    assert sorted(store.keys()) == before


def test_an_adapter_that_can_not_be_read_protects_every_split(store: Store, folder: Path) -> None:
    serving = read_channel(store, NAME, "production").channel.adapter
    path = folder / ".distillery" / committed_key(adapters_folder(NAME), str(serving))
    path.write_bytes(b"{}")
    with pytest.raises(StoreError, match="nothing is known of the split that it needs"):
        find_garbage(store, now=time.time(), days=30)


@pytest.mark.parametrize(
    ("words", "said"), [(["--keep", "xyz"], "--keep xyz: is no adapter's digest"), (["--older-than", "0"], "--older-than")]
)
def test_bad_usage_removes_nothing(words: list[str], said: str, folder: Path, store: Store) -> None:
    before = sorted(store.keys())
    ran = gc(folder, "--delete", *words)
    assert ran.code == 2
    assert said in ran.err
    assert sorted(store.keys()) == before


def test_every_command_of_the_page(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    type_page("components/collecting/README.md", home, tmp_path, monkeypatch)
