"""Versions of a run's data: what a listing tells is what asking for each object told."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.artifacts.listing import Listing, data_version, holds_rows, place_of, read_listing
from distillery.components.store import NotFound, Store, StoreError, open_store
from distillery.components.store.layout import listing_key
from distillery.components.store.s3_objects import S3Objects
from tests.store.conftest import s3_server, s3_uri

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
    names = holds_rows(f"{s3_uri}/in/", list(found))
    assert [place_of(f"{s3_uri}/in/", name) for name in names] == [
        f"{s3_uri}/in/{name}" for name in ("a.jsonl", "b c.jsonl", "sub/d.parquet")
    ]


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
    assert Path(place_of(str(tmp_path / "in"), "sub/a.jsonl").removeprefix("file://")).read_text() == "a"


def test_what_has_come_or_changed_is_told_and_what_went_is_not() -> None:
    before, now = Listing(files={"a": "1", "b": "1", "c": "1"}), Listing(files={"a": "1", "b": "2", "d": "1"})
    assert now.since(before) == ["b", "d"]
    assert now.digest != before.digest
    assert Listing(files={"b": "1", "a": "1"}).digest == Listing(files={"a": "1", "b": "1"}).digest


def test_a_listing_is_found_by_its_digest_and_verified(tmp_path: Path) -> None:
    store: Store = open_store(str(tmp_path))
    listing = Listing(files={"a": "1"})
    digest = listing.keep(store, "demo")
    assert read_listing(store, "demo", digest) == listing
    with pytest.raises(NotFound):
        read_listing(store, "demo", "f" * 64)
    store.put(listing_key("demo", digest), Listing(files={"a": "2"}).to_bytes())
    with pytest.raises(StoreError, match="other bytes"):
        read_listing(store, "demo", digest)
