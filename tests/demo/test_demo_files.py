"""What `distillery demo` writes: always the same bytes, and those that the generator makes."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
from pathlib import Path

import pytest

from distillery.components.demo.write import write_demo
from distillery.components.runtime import whole_file
from tests.demo.generator.files import PACKAGE, write_files

ARTICLES = "6bc4cbb84415175e92724fa646f36751f8ccdf27a5073e865a0d6dfb4a7a5e51"
REPLIES = "1f42b87864108b62af94d8da2d4353a2514a7e894c76d4e383acab04613c502b"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_demo_is_the_same_bytes_everywhere(tmp_path: Path) -> None:
    files = write_demo(tmp_path / "new" / "folder")
    assert [digest(files.articles), digest(files.replies)] == [ARTICLES, REPLIES]
    assert files.n_articles == len(files.articles.read_text("utf-8").splitlines()) == 1500
    assert sorted(path.name for path in files.articles.parent.iterdir()) == ["articles.jsonl", "replies.jsonl"]


def test_the_generator_makes_what_is_packaged(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    for path in (files.articles, files.replies):
        assert gzip.decompress((PACKAGE / f"{path.name}.gz").read_bytes()) == path.read_bytes()


def test_the_packaged_files_are_small_and_hold_no_time() -> None:
    for name in ("articles", "replies"):
        data = (PACKAGE / f"{name}.jsonl.gz").read_bytes()
        assert len(data) < 700_000
        assert data[4:8] == bytes(4)  # the header's time


def test_writing_again_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "articles.jsonl").write_text(json.dumps({"title": "another"}))
    assert digest(write_demo(tmp_path).articles) == ARTICLES


def test_a_file_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(whole_file.os, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        write_demo(tmp_path)
    assert list(tmp_path.iterdir()) == []
