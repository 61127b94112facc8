"""A journal of labels whose last record is cut, at any byte: the others are kept, and it alone is asked for again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.commands import copied, run

LABEL = (
    "label {0}/filter.yaml --articles {0}/articles.jsonl --set oracle.replies={0}/replies.jsonl"
    " --set oracle.maxWords=59 --without-calibration made-up --json"
)


def segment(folder: Path, known: set[Path]) -> Path:
    (found,) = {path.parent for path in (folder / "store" / "labels").rglob("*.jsonl")} - known
    return sorted(found.glob("*.jsonl"))[-1]


@pytest.fixture(scope="module")
def labelled(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A folder in which a journal was just written, its last segment, and the digest of the labels."""
    folder = tmp_path_factory.mktemp("labelled") / "folder"
    shutil.copytree(kept, folder)
    known = {path.parent for path in (folder / "store" / "labels").rglob("*.jsonl")}
    done = run(LABEL, folder)
    assert done.code == 0, done.err
    shutil.rmtree(folder / "store" / "steps" / "label")
    return folder, segment(folder, known).relative_to(folder), json.loads(done.out)["label_set"]


def check(labelled: tuple[Path, Path, str], to: Path, left: int) -> None:
    """Leave `left` bytes of the last record."""
    kept, last, wanted = labelled
    with copied(kept, to) as folder:
        *before, record = (folder / last).read_bytes().splitlines(keepends=True)
        (folder / last).write_bytes(b"".join(before) + record[:left])
        done = run(LABEL, folder)
        assert done.code == 0, done.err
        assert json.loads(done.out)["label_set"] == wanted
        *same, redone = (line for line in (folder / last).read_bytes().splitlines(keepends=True) if line.strip())
        if left < len(record) - 1:
            assert (same[: len(before)], redone) == (before, record)


@pytest.mark.parametrize("left", [0, 1, 100])
def test_a_record_that_was_cut_is_asked_for_again(labelled: tuple[Path, Path, str], tmp_path: Path, left: int) -> None:
    check(labelled, tmp_path / "folder", left)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_cut_at_every_byte(
    labelled: tuple[Path, Path, str], tmp_path: Path, record_property: Callable[[str, object], None], part: int
) -> None:
    size = len((labelled[0] / labelled[1]).read_bytes().splitlines(keepends=True)[-1])
    for left in range(part, size, 4):
        check(labelled, tmp_path / "folder", left)
    record_property("counted", {"asked for again": len(range(part, size, 4))})
