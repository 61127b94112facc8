"""What CI does with a cluster that it finds: up and used, or cut off in its start and taken down first."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = """#!/bin/sh
echo "$(basename "$0") $1" >> "$TOLD"
[ "$1" = status ] && printf '%s' "$STATUS"
exit 0
"""
UP, DOWN = "kube-apiserver             up, pid 1\nkubelet                    {}\n".format, "down"


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (UP("up, pid 2"), ["make test", "cluster status", "make smoke-cluster"]),
        (UP(DOWN), ["make test", "cluster status", "cluster down", "make smoke-cluster", "cluster down"]),
        ("", ["make test", "cluster status", "cluster down", "make smoke-cluster", "cluster down"]),
    ],
    ids=["up", "cut off", "none"],
)
def test_what_a_start_that_was_cut_off_left_is_taken_down_first(status: str, wanted: list[str], tmp_path: Path) -> None:
    """Containerd 1.6.20 takes a layer of a docker archive in under the name that its file has there, not under its digest.

    An import that was cut off leaves what it took under that name ("layer.tar" for many tools), and the import of any other
    image with such a layer fails then: "unexpected commit size". Seen with its ctr, by killing it in the midst of an import.
    """
    for name in ("make", "cluster"):
        (tmp_path / name).write_text(TOOL, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    told = tmp_path / "told"
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CLUSTER": str(tmp_path / "cluster"),
        "TOLD": str(told),
        "STATUS": status,
    }
    done = subprocess.run([ROOT / ".ci" / "run"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert told.read_text(encoding="utf-8").splitlines() == wanted
