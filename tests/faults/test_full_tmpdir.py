"""No room for temporary files: whoever writes there, Python, Arrow or SQLite, is told as TMPDIR, and nothing is left."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from distillery.components.articles.scratch import HINT, delete_folder, lasting_folder, room_in, scratch_folder
from distillery.components.labeling.scratch_file import ScratchFile
from distillery.filters.errors import InputError
from tests.faults.commands import objects, run
from tests.faults.disk import Disk, failing

WRITERS = {
    "python": "(folder / 'x').write_bytes(bytes(1_000_000))",
    "copy": "shutil.copyfileobj(io.BytesIO(bytes(1_000_000)), open(folder / 'x', 'wb'))",
    "arrow": "pq.write_table(pa.table({'x': [str(n) * 30 for n in range(100_000)]}), folder / 'x')",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_finds_no_room(tmp_path: Path, writer: str) -> None:
    code = (
        "import io, shutil\nimport pyarrow as pa, pyarrow.parquet as pq\n"
        "from distillery.components.articles.scratch import scratch_folder\n"
        f"with scratch_folder('made-up-') as folder:\n    {WRITERS[writer]}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536)),
    )
    assert "InputError: TMPDIR: no room for temporary files: " in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_sqlites_own_file_that_finds_no_room() -> None:
    file = ScratchFile("CREATE TABLE kept (line BLOB)", "PRAGMA max_page_count = 20")
    insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO kept SELECT ? FROM n"
    with pytest.raises(InputError, match=r"TMPDIR: no room for temporary files: database or disk is full; free some space"):
        file.change(insert, bytes(4096))


def test_no_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    for make in (lambda: scratch_folder("x").__enter__(), lambda: lasting_folder("x")):
        with pytest.raises(InputError, match="TMPDIR: no temporary folder can be made: No such file or directory; free some"):
            make()


@pytest.mark.parametrize("kind", ["open", "unlink"])
@pytest.mark.parametrize("way", ["scratch", "lasting"])
def test_a_folder_goes_although_a_call_fails_while_it_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with failing(Disk(tmp_path, kind, 0)) as disk:
        if way == "scratch":
            with scratch_folder("made-up-") as folder:
                (folder / "file").touch()
                disk.at = disk.seen[kind] + 1
        else:
            folder = lasting_folder("made-up-")
            (folder / "file").touch()
            disk.at = disk.seen[kind] + 1
            delete_folder(folder)
    assert disk.failed
    assert list(tmp_path.iterdir()) == []


def test_what_lies_elsewhere_is_not_taken_for_a_temporary_file(tmp_path: Path) -> None:
    elsewhere = OSError(errno.ENOSPC, "No space left on device", "/elsewhere/file")
    with pytest.raises(OSError, match="/elsewhere/file"), room_in(tmp_path):
        raise elsewhere
    refused = PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(PermissionError), room_in(tmp_path):
        raise refused


def test_a_command_that_can_make_no_temporary_folder(folder: Path) -> None:
    before = objects(folder)
    with failing(Disk(folder / "tmp", "mkdir", 2, errno.ENOSPC)) as disk:  # the first is the folder itself
        ran = run("noise", folder)
    assert disk.failed
    assert ran.code == 2
    (line,) = ran.errors
    assert line == f"error: TMPDIR: no temporary folder can be made: {os.strerror(errno.ENOSPC)}; {HINT}"
    assert before.items() <= objects(folder).items()
