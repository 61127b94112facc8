"""A cached base model that lost a file, or has other bytes, is fetched again; a whole one is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.store import Store, open_store
from distillery.components.student import base, resolve
from distillery.components.student.mirror import push
from distillery.components.student.resolve import cache_folder, resolve_base


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLERY_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=["mirror", "prefix"])
def found(request: pytest.FixtureRequest, tmp_path: Path, tiny_encoder: Path) -> Callable[[], base.Base]:
    """Finds the tiny encoder in a mirror, or at an address of its own."""
    if request.param == "prefix":
        shutil.copytree(tiny_encoder, tmp_path / "there")
        return lambda: resolve_base(f"file://{tmp_path / 'there'}", None)
    store: Store = open_store(str(tmp_path / "mirror"))
    push(store, resolve_base(str(tiny_encoder)), "org/tiny", None)
    return lambda: resolve_base("org/tiny", None, store)


def lose(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [lose, cut, flip])
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_is_damaged_is_fetched_again(
    found: Callable[[], base.Base], damage: Callable[[Path], None], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = found()
    assert first.path.parent == cache_folder()
    whole = (first.path / file).read_bytes()
    damage(first.path / file)
    base._digest.cache_clear()  # as another process
    again = found()
    assert (again.path, again.digest) == (first.path, first.digest)
    assert (again.path / file).read_bytes() == whole
    assert "is damaged: it was fetched again" in capsys.readouterr().err


def test_a_whole_one_is_not_fetched_again(found: Callable[[], base.Base], monkeypatch: pytest.MonkeyPatch) -> None:
    first = found()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr(resolve, "download", never)
    monkeypatch.setattr(shutil, "copyfileobj", never)
    assert found().digest == first.digest


def test_a_copy_that_nobody_noted_stays(found: Callable[[], base.Base]) -> None:
    first = found()
    for note in (cache_folder().parent / "digests").iterdir():
        note.write_text("torn")
    assert found().digest == first.digest
