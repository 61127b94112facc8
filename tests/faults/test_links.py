"""A link in place of an object: it is read as what its digest says or not at all, and nothing is ever written through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.store import StoreError, digest_bytes, open_store


def test_an_object_that_became_a_link_is_verified_as_any(tmp_path: Path) -> None:
    store, outside = open_store(str(tmp_path / "store")), tmp_path / "outside"
    outside.write_bytes(b"other bytes")
    folder = store.commit("adapters/demo", {"weights": b"weights"}, {})
    path = tmp_path / "store" / "adapters" / "demo" / folder / "weights"
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(StoreError, match="delete its folder and redo the step"):
        store.folder("adapters/demo", folder).read("weights")


def test_a_write_replaces_a_link_and_leaves_what_it_leads_to(tmp_path: Path) -> None:
    store, outside = open_store(str(tmp_path / "store")), tmp_path / "outside"
    outside.write_bytes(b"a user's own file")
    (tmp_path / "store" / "pointer").symlink_to(outside)
    etag = store.etag("pointer")
    store.put_if("pointer", b"new", etag=etag)
    assert outside.read_bytes() == b"a user's own file"
    assert not (tmp_path / "store" / "pointer").is_symlink()
    assert store.get("pointer", digest=digest_bytes(b"new")) == b"new"


@pytest.mark.parametrize("broken", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_no_object_or_one_line(tmp_path: Path, broken: str) -> None:
    store = open_store(str(tmp_path / "store"))
    (tmp_path / "store" / "pointer").symlink_to(tmp_path / ("store/pointer" if broken == "itself" else broken))
    if broken == "nowhere":
        assert store.current("pointer") is None
        return
    with pytest.raises(StoreError, match="can't be read: Too many levels of symbolic links; choose another place"):
        store.current("pointer")
