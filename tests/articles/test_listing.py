"""Versions of a run's data: what a listing tells is what asking for each object told."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from distillery.components.articles.folders import input_digest
from distillery.components.articles.input_files import local_input, require_input
from distillery.components.articles.listing import Listing, data_version, read_listing
from distillery.components.store import NotFound, Store, StoreError, digest_bytes, open_store, s3_objects
from distillery.components.store.layout import listing_key
from distillery.components.store.s3_objects import S3Objects
from distillery.filters.errors import InputError
from tests.store.conftest import s3_server, s3_uri
from tests.store.memory_s3 import MemoryS3

__all__ = ["s3_server", "s3_uri"]


def test_a_prefix_is_one_listing_whose_etags_are_those_of_its_objects(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(s3_uri)
    for name in ("a.jsonl", "b c.jsonl", "sub/d.parquet", "README.md"):
        store._objects.put(f"in/{name}", name.encode())
    store.put("in-2/e.jsonl", b"e")
    asked = []
    monkeypatch.setattr(S3Objects, "stat", _told(S3Objects.stat, asked))
    found = data_version(f"{s3_uri}/in/")
    assert asked == []
    assert isinstance(found, dict)
    keys = {key.removeprefix("some/prefix/"): etag for key, etag in found.items()}
    assert keys == {
        f"in/{name}": store._objects.etag(f"in/{name}") for name in ("a.jsonl", "b c.jsonl", "sub/d.parquet", "README.md")
    }
    asked.clear()
    assert data_version(f"{s3_uri}/in") == found
    assert asked == ["some/prefix/in"], "it might be an object"
    assert data_version(f"{s3_uri}/in/a.jsonl") == store.etag("in/a.jsonl")
    assert data_version(f"{s3_uri}/nothing/") is None
    listing = Listing(of=f"{s3_uri}/in/", files=found)
    assert {name: str(listing.place(key)) for name, key in listing.rows().items()} == {
        name: f"{s3_uri}/in/{name}" for name in ("a.jsonl", "b c.jsonl", "sub/d.parquet")
    }


def _told(stat: object, asked: list[str]) -> object:
    def told(self: S3Objects, key: str) -> tuple[int, str]:
        asked.append(key)
        return stat(self, key)  # type: ignore[operator, no-any-return]

    return told


def test_a_folder_of_this_machine_has_versions_by_name(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.jsonl").write_text("a")
    (tmp_path / "in" / "_SUCCESS").write_text("")
    found = data_version(str(tmp_path / "in"))
    assert isinstance(found, dict)
    assert list(found) == ["sub/a.jsonl"]
    listing = Listing(of=str(tmp_path / "in"), files=found)
    assert listing.place(listing.rows()["sub/a.jsonl"]).local.read_text() == "a"


def test_what_has_come_or_changed_is_told_and_what_went_is_not() -> None:
    before = Listing(of="s3://b/in", files={"a": "1", "b": "1", "c": "1"})
    now = Listing(of="s3://b/in", files={"a": "1", "b": "2", "d": "1"})
    assert now.since(before) == ["b", "d"]
    assert now.digest != before.digest
    assert Listing(of="s3://b/in", files={"c": "1", "b": "1", "a": "1"}).digest == before.digest


def test_a_listing_is_found_by_its_digest_and_verified(tmp_path: Path) -> None:
    store: Store = open_store(str(tmp_path))
    listing = Listing(of="s3://b/in", files={"a": "1"})
    assert listing.keep(store, "demo") == f"{store.uri}/{listing_key('demo', listing.digest)}"
    assert read_listing(store, "demo", listing.digest) == listing
    with pytest.raises(NotFound):
        read_listing(store, "demo", "f" * 64)
    for damage in (Listing(of="s3://b/in", files={"a": "2"}).to_bytes(), b"{"):
        store.put(listing_key("demo", listing.digest), damage)
        with pytest.raises(StoreError, match="other bytes"):
            read_listing(store, "demo", listing.digest)
    store.put(listing_key("demo", digest_bytes(b"[]")), b"[]")
    with pytest.raises(StoreError, match="no listing"):
        read_listing(store, "demo", digest_bytes(b"[]"))


# ---- read in place of its prefix ---------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "bucket"])
def prefix(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prefix:
    if request.param == "folder":
        (tmp_path / "in").mkdir()
        return Prefix(str(tmp_path / "in"), None)
    client = MemoryS3()
    monkeypatch.setattr(s3_objects, "make_client", lambda: client)
    return Prefix(f"s3://bucket-{uuid.uuid4().hex}/in/", client)


@dataclass
class Prefix:
    uri: str
    client: MemoryS3 | None

    def put(self, name: str, text: str) -> None:
        if self.client:
            bucket, _, key = self.uri.removeprefix("s3://").partition("/")
            self.client.put_object(Bucket=bucket, Key=f"{key}{name}", Body=text.encode())
        else:
            (Path(self.uri) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(self.uri) / name).write_text(text)

    def listing(self, store: Store) -> str:
        files = data_version(self.uri)
        assert isinstance(files, dict)
        return Listing(of=self.uri, files=files).keep(store, "demo")


def test_a_listing_stands_for_its_files_whatever_comes_beside_them(prefix: Prefix, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    for name in ("language=en/a.jsonl", "b.jsonl", "README.md"):
        prefix.put(name, name)
    with local_input(prefix.uri, parameter="articles") as path:
        before = input_digest(path)
    address = prefix.listing(store)
    prefix.put("c.jsonl", "c")
    require_input(address, parameter="articles")
    with local_input(address, parameter="articles") as path:
        assert input_digest(path) == before, "the label step finds its labels again"
        assert sorted(file.relative_to(path).as_posix() for file in path.rglob("*.jsonl")) == ["b.jsonl", "language=en/a.jsonl"]
    with local_input(prefix.uri, parameter="articles") as path:
        assert input_digest(path) != before


def test_a_file_of_a_listing_that_was_changed_or_is_gone_is_told_by_its_address(prefix: Prefix, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    prefix.put("a.jsonl", "a")
    address = prefix.listing(store)
    prefix.put("a.jsonl", "b")
    with pytest.raises(InputError, match=r"in/a\.jsonl: was changed since .*/listings/demo/"), _read(address):
        pass
    if prefix.client:
        prefix.client.objects.clear()
    else:
        (Path(prefix.uri) / "a.jsonl").unlink()
    with pytest.raises(InputError, match=r"in/a\.jsonl: is gone since"), _read(address):
        pass


def test_a_listing_that_was_damaged_is_no_input(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    address = Listing(of=str(tmp_path), files={"../../etc/passwd": "1"}).keep(store, "demo")
    with _read(address) as path:
        assert list(path.iterdir()) == [], "a name that climbs is none"
    Path(address.removeprefix("file://")).write_text("{}")
    with pytest.raises(InputError, match="other bytes"), _read(address):
        pass


def test_a_listing_in_a_bucket_names_no_files_of_the_machine_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MemoryS3()
    monkeypatch.setattr(s3_objects, "make_client", lambda: client)
    (tmp_path / "a.jsonl").write_text("a")
    files = data_version(str(tmp_path))
    assert isinstance(files, dict)
    address = Listing(of=str(tmp_path), files=files).keep(open_store(f"s3://bucket-{uuid.uuid4().hex}/store"), "demo")
    with pytest.raises(InputError, match="lists files of another machine"), _read(address):
        pass


def _read(address: str) -> AbstractContextManager[Path]:
    return local_input(address, parameter="articles")
