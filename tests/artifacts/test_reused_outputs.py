"""A step is reused only while what it left is there and whole; what is lost or damaged is named, and the step done again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.artifacts.step_record import Outcome, StepRecord, look_up, run_step
from distillery.components.store import Store, StoreError, digest_bytes, open_store
from distillery.components.store.layout import (
    LABEL_SETS,
    adapters_folder,
    baselines_key,
    benchmark_key,
    committed_folder,
    committed_key,
    content_digest,
    duplicates_key,
    frozen_key,
    noise_key,
    predictions_key,
    published_filter_key,
    verdict_key,
)

A, B, C = "a" * 64, "b" * 64, "c" * 64
FILES = {"labels.parquet": b"rows and rows", "dead.jsonl": b"{}\n"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def committed(folder: str) -> Callable[[Store], Outcome]:
    def work(store: Store) -> Outcome:
        digest = store.commit(folder, FILES, {"rows": 2})
        return Outcome({"digest": digest}, [committed_key(folder, digest, name) for name in ("manifest.json", *FILES)])

    return work


def by_digest(key: Callable[[str], str]) -> Callable[[Store], Outcome]:
    def work(store: Store) -> Outcome:
        data = b'{"decision": "promote"}'
        store.put(key(digest_bytes(data)), data)
        return Outcome({"digest": digest_bytes(data)}, [key(digest_bytes(data))])

    return work


def by_name(store: Store) -> Outcome:
    store.put(noise_key("f", A, B), b"{}")
    return Outcome({}, [noise_key("f", A, B)])


STEPS: dict[str, Callable[[Store], Outcome]] = {
    "label": committed(LABEL_SETS),
    "train": committed(adapters_folder("f")),
    "gate": by_digest(lambda digest: verdict_key("f", digest)),
    "benchmark": by_digest(lambda digest: benchmark_key(A, B, digest)),
    "predict": by_digest(lambda digest: predictions_key(A, B, digest)),
    "baselines": by_digest(lambda digest: baselines_key(A, digest)),
}


def path_of(store: Store, key: str) -> Path:
    return Path(store.uri.removeprefix("file://")) / key


def gone(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [gone, cut, flip, empty])
@pytest.mark.parametrize("step", STEPS)
def test_each_object_of_a_step_is_checked_before_it_is_reused(store: Store, step: str, damage: Callable[[Path], None]) -> None:
    notes = list[str]()

    def run() -> StepRecord:
        return run_step(store, step, {"x": 1}, lambda: STEPS[step](store), note=notes.append)

    first = run()
    whole = {key: store.get(key) for key in first.keys}
    assert run().reused
    for key in first.keys:
        damage(path_of(store, key))
        assert look_up(store, step, {"x": 1}) is None
        again = run()
        assert not again.reused
        assert again.outputs == first.outputs
        assert {key: store.get(key) for key in first.keys} == whole
        [note] = notes
        assert key.rsplit("/", 1)[0] in note
        assert note.endswith(f": {step} is done again")
        notes.clear()
        assert run().reused
    assert notes == []


def test_what_has_no_digest_is_reused_while_it_is_there(store: Store) -> None:
    run_step(store, "noise", {}, lambda: by_name(store))
    assert look_up(store, "noise", {})
    gone(path_of(store, noise_key("f", A, B)))
    notes = list[str]()
    assert look_up(store, "noise", {}, note=notes.append) is None
    assert notes == [f"{noise_key('f', A, B)} is gone: noise is done again"]


def test_a_disk_that_fails_is_no_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record = run_step(store, "label", {}, lambda: STEPS["label"](store))
    opened = store._objects.open

    def failing(key: str) -> object:
        if key == record.keys[1]:
            raise StoreError("can't be read: Input/output error", where=key) from OSError(5, "Input/output error")
        return opened(key)

    monkeypatch.setattr(store._objects, "open", failing)
    with pytest.raises(StoreError, match="Input/output error"):
        look_up(store, "label", {})


def test_which_keys_name_their_bytes() -> None:
    named = [verdict_key("f", C), benchmark_key(A, B, C), predictions_key(A, B, C), baselines_key(A, C), duplicates_key(C)]
    assert {content_digest(key) for key in (*named, published_filter_key("f", 1, C))} == {C}
    others = [noise_key("f", A, B), frozen_key("f", C), committed_key(LABEL_SETS, C), f"summaries/{C}.json"]
    assert {content_digest(key) for key in others} == {""}
    assert committed_folder(committed_key(LABEL_SETS, C, "x.parquet")) == (LABEL_SETS, C)
    assert committed_folder(committed_key(adapters_folder("f"), C)) == ("adapters/f", C)
    assert {committed_folder(key) for key in (*named, *others[:2], *others[3:])} == {None}
