"""What both kinds of store promise."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery.components.store import (
    Conflict,
    NotFound,
    Store,
    StoreError,
    as_digest,
    canonical_json,
    digest_bytes,
    digest_file,
    digest_json,
)
from distillery.filters.errors import InputError


def test_put_then_get_returns_the_bytes(store: Store) -> None:
    store.put("a/b.bin", b"one")
    store.put("a/b.bin", b"two")
    assert store.get("a/b.bin") == b"two"
    assert store.exists("a/b.bin")
    assert not store.exists("a/c")


def test_absent_object_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="a/none is not in the store"):
        store.get("a/none")
    assert store.etag("a/none") is None
    assert store.current("a/none") is None


def test_what_is_deleted_is_gone_and_its_neighbours_stay(store: Store) -> None:
    for key in ("a/b/c.json", "a/b/d.json", "a/e.json"):
        store.put(key, b"x")
    for _ in range(2):
        store.delete("a/b/c.json")
    assert list(store.keys("a")) == ["a/b/d.json", "a/e.json"]
    store.delete("a/b/d.json")
    assert list(store.folders("a")) == [], "a folder is gone with its last object, as in a bucket"
    store.put("a/b/c.json", b"again")
    assert store.get("a/b/c.json") == b"again"


def test_altered_bytes_are_refused(store: Store) -> None:
    store.put("x", b"flipped")
    with pytest.raises(StoreError, match="other bytes than its digest names"):
        store.get("x", digest=digest_bytes(b"original"))


def test_object_larger_than_expected_is_refused(store: Store) -> None:
    store.put("x", b"12345")
    assert store.get("x", max_bytes=5) == b"12345"
    with pytest.raises(StoreError, match="larger than the 4 bytes"):
        store.get("x", max_bytes=4)


def test_put_if_absent_happens_once(store: Store) -> None:
    store.put_if("claim", b"first", etag=None)
    with pytest.raises(Conflict, match="another process"):
        store.put_if("claim", b"second", etag=None)
    assert store.get("claim") == b"first"


def test_put_if_unchanged_refuses_a_stale_etag(store: Store) -> None:
    store.put_if("pointer", b"1", etag=None)
    found = store.current("pointer")
    assert found is not None
    assert found == (b"1", store.etag("pointer"))
    store.put_if("pointer", b"2", etag=found[1])
    with pytest.raises(Conflict):
        store.put_if("pointer", b"3", etag=found[1])
    assert store.get("pointer") == b"2"


def test_put_if_unchanged_refuses_an_absent_object(store: Store) -> None:
    with pytest.raises(Conflict):
        store.put_if("gone", b"1", etag='"0123"')
    assert not store.exists("gone")


def test_one_of_many_writers_wins_each_round(store: Store) -> None:
    store.put_if("pointer", b"start", etag=None)
    etag, won, lost = store.etag("pointer"), [], []
    barrier = threading.Barrier(6)

    def write(number: int) -> None:
        barrier.wait()
        try:
            store.put_if("pointer", f"writer {number}".encode(), etag=etag)
            won.append(number)
        except Conflict:
            lost.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 5
    assert store.get("pointer") == f"writer {won[0]}".encode()


def test_what_is_below_a_folder_is_the_same_objects(store: Store) -> None:
    store.put("a/b/x", b"1")
    below = store.below("a/b")
    assert (below.uri, below.get("x"), list(below.keys())) == (f"{store.uri}/a/b", b"1", ["x"])
    below.put_if("new/y", b"2", etag=None)
    assert store.get("a/b/new/y") == b"2"
    with pytest.raises(Conflict):
        store.below("a").put_if("b/new/y", b"3", etag=None)
    assert list(store.below("nowhere").keys()) == []
    for key in ("../c", "", "/a"):
        with pytest.raises(InputError):
            store.below(key)


def test_keys_lists_a_folder_only(store: Store) -> None:
    for key in ("a/x", "a/b/y", "ab/z", "a.txt"):
        store.put(key, b"1")
    store.put_if("a/p", b"1", etag=None)
    assert list(store.keys("a/")) == ["a/b/y", "a/p", "a/x"]
    assert list(store.keys()) == sorted(["a/x", "a/b/y", "ab/z", "a.txt", "a/p"])
    assert list(store.keys("none")) == []


def test_entries_tell_size_and_time_and_folders_tell_what_is_directly_below(store: Store) -> None:
    began = time.time()
    for number in range(3):
        store.put(f"a/{number}/deep/file", b"x" * number)
    store.put("a/file", b"12345")
    store.put("ab/other", b"1")
    assert [(entry.key, entry.size) for entry in store.entries("a")] == [
        ("a/0/deep/file", 0),
        ("a/1/deep/file", 1),
        ("a/2/deep/file", 2),
        ("a/file", 5),
    ]
    assert all(began - 5 < entry.modified < time.time() + 5 for entry in store.entries())
    assert list(store.folders("a")) == ["0", "1", "2"]
    assert list(store.folders("a/1/")) == ["deep"]
    assert list(store.folders("none")) == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/./b",
        ".hidden",
        "a/.locks/x",
        "a b",
        "a\n",
        "ü",
        "a" * 901,
        "a/",
        "C:\\x",
    ],
)
def test_names_that_climb_out_are_refused(store: Store, key: str) -> None:
    with pytest.raises(InputError, match="can't be a name in the store"):
        store.put(key, b"x")
    with pytest.raises(InputError, match="can't be a name in the store"):
        store.get(key)


def test_commit_and_read_back_a_folder(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "weights"
    source.write_bytes(b"\0" * 3_000_000)
    files = {"weights.bin": source, "student.json": b"{}", "sub/more.txt": b""}
    digest = store.commit("adapters/demo", files, {"kind": "adapter"})
    assert store.commit("adapters/demo", files, {"kind": "adapter"}) == digest
    assert store.commit("adapters/demo", files, {"kind": "other"}) != digest
    folder = store.folder("adapters/demo", digest)
    folder.require(files)
    folder.verify()
    assert folder.meta == {"kind": "adapter"}
    assert folder.read("student.json") == b"{}"
    assert folder.read_json("student.json") == {}
    assert folder.files["weights.bin"].sha256 == digest_file(source)
    to = folder.download(tmp_path / "copy")
    assert (to / "weights.bin").read_bytes() == source.read_bytes()
    assert sorted(path.name for path in to.iterdir()) == ["student.json", "sub", "weights.bin"]
    only = folder.download(tmp_path / "part", ["student.json"])
    assert [path.name for path in only.iterdir()] == ["student.json"]


def test_a_flipped_byte_in_a_folder_is_found(store: Store, tmp_path: Path) -> None:
    digest = store.commit("a", {"f": b"good", "g": b"fine"}, {})
    store.put(f"a/{digest}/f", b"goOd")
    folder = store.folder("a", digest)
    for read in (lambda: folder.read("f"), folder.verify, lambda: folder.download(tmp_path / "to")):
        with pytest.raises(StoreError, match="other bytes than its digest names"):
            read()
    assert not (tmp_path / "to" / "f").exists()
    assert folder.read("g") == b"fine"


@pytest.mark.parametrize("longer", [b"good and more", b"goo"])
def test_a_file_of_another_size_is_found(store: Store, longer: bytes) -> None:
    digest = store.commit("a", {"f": b"good"}, {})
    store.put(f"a/{digest}/f", longer)
    with pytest.raises(StoreError):
        store.folder("a", digest).read("f")
    with pytest.raises(StoreError):
        store.folder("a", digest).verify()


def test_an_altered_manifest_is_refused(store: Store) -> None:
    digest = store.commit("a", {"f": b"good"}, {})
    manifest = json.loads(store.get(f"a/{digest}/manifest.json"))
    manifest["files"]["f"]["sha256"] = digest_bytes(b"evil")
    store.put(f"a/{digest}/manifest.json", canonical_json(manifest))
    with pytest.raises(StoreError, match="other bytes"):
        store.folder("a", digest)


def test_a_manifest_whose_names_climb_out_is_refused(store: Store) -> None:
    evil = canonical_json({"format": 1, "meta": {}, "files": {"../../x": {"sha256": "0" * 64, "size": 1}}})
    store.put(f"a/{digest_bytes(evil)}/manifest.json", evil)
    with pytest.raises(StoreError, match="not a manifest"):
        store.folder("a", digest_bytes(evil))


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"{}",
        b"not json",
        b'{"files":{"f":1},"meta":{}}',
        b"[" * 100_000,
        b"\xff",
        b'{"files":{"f":{"sha256":"zz","size":1}},"meta":{}}',
        b'{"files":NaN}',
    ],
)
def test_a_manifest_of_another_shape_is_refused(store: Store, manifest: bytes) -> None:
    store.put(f"a/{digest_bytes(manifest)}/manifest.json", manifest)
    with pytest.raises(StoreError, match="is not"):
        store.folder("a", digest_bytes(manifest))


def test_extra_and_missing_files_are_refused(store: Store) -> None:
    folder = store.folder("a", store.commit("a", {"f": b"1", "run.py": b"2"}, {}))
    folder.require(["f", "run.py"])
    with pytest.raises(StoreError, match=r"'run\.py', a file that doesn't belong"):
        folder.require(["f"])
    with pytest.raises(StoreError, match="lacks 'g'"):
        folder.require(["f", "g", "run.py"])
    with pytest.raises(StoreError, match="lacks 'g'"):
        folder.read("g")


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    from distillery.components.store import open_store

    store = open_store(str(tmp_path))
    digest = store.commit("a", {"f": b"1"}, {})
    (tmp_path / "a" / digest / "f").unlink()
    with pytest.raises(StoreError, match="lacks 'f', which its manifest names"):
        store.folder("a", digest).read("f")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), st.binary(max_size=200), max_size=4))
def test_any_folder_comes_back_as_it_was(store: Store, files: dict[str, bytes]) -> None:
    folder = store.folder("any", store.commit("any", files, {"n": len(files)}))
    assert {name: folder.read(name) for name in folder.files} == files


def test_digest_of_json_ignores_key_order_and_refuses_nan() -> None:
    assert digest_json({"a": 1, "b": "é"}) == digest_json({"b": "é", "a": 1})
    assert canonical_json({"b": "é", "a": [1, 2.5]}) == '{"a":[1,2.5],"b":"é"}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_json({"mae": float("nan")})


@pytest.mark.parametrize("text", ["", "abc", "G" * 64, "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n"])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a sha256 digest"):
        as_digest(text)
