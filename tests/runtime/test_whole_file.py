"""A file that a user named appears whole, or what was there before stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from distillery.components.demo.write import write_demo
from distillery.components.runtime.whole_file import whole_file, write_whole
from tests.faults.disk import Disk, failing

WRITERS = {
    "text": lambda path: write_whole(path, "new"),
    "bytes": lambda path: write_whole(path, b"new"),
}


@pytest.mark.parametrize("kind", ["open", "write", "rename"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, writer: str, kind: str) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with failing(Disk(tmp_path, kind, 1, errno.ENOSPC)) as disk, pytest.raises(OSError, match="No space left") as failed:
        WRITERS[writer](path)
    assert disk.failed
    assert failed.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    WRITERS[writer](path)
    assert path.read_text() == "new"


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def interrupted() -> None:
        with whole_file(path) as file:
            file.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_of_a_link_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text() == "new"


def test_what_is_no_file_is_written_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", "new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)


def test_the_demos_articles_are_whole_or_as_before(tmp_path: Path) -> None:
    (tmp_path / "articles.jsonl").write_text("old")
    with failing(Disk(tmp_path, "write", 1, errno.ENOSPC)), pytest.raises(OSError, match="No space left"):
        write_demo(tmp_path)
    assert (tmp_path / "articles.jsonl").read_text() == "old"
