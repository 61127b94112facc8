"""The whole demo from folders whose names are text to a shell, to kfp.local and to a URL; temporary files there, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ["python3-proj", "o'brien", "a b $HOME 100% {{$}}"]
SMALL = 300


def demo(folder: Path, *more: str, articles: int) -> subprocess.CompletedProcess[str]:
    """`distillery demo` and `distill` as README.md has them, in `folder`."""
    (folder / "tmp").mkdir(parents=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "tmp")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "distillery.pipelines.cli.main", *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    assert run("demo").returncode == 0
    file = folder / ".demo" / "articles.jsonl"
    file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:articles]), encoding="utf-8")
    data = ("--articles", ".demo/articles.jsonl", "--set", "oracle.replies=.demo/replies.jsonl", "--profile", "laptop")
    return run("distill", "sustainability-technology", *data, *more, "--json")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_a_small_demo_comes_to_a_decision_and_leaves_one_store(name: str, tmp_path: Path, tiny_encoder: Path) -> None:
    base = ("--set", f"student.baseModel={tiny_encoder}", "--set", "student.revision=null", "--set", "training.epochs=1")
    done = demo(tmp_path / name, *base, articles=SMALL)
    assert done.returncode in (0, 3), done.stderr
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == [".demo", ".distillery", "tmp"]
    assert [path for path in (tmp_path / name / "tmp").iterdir() if path.name.startswith("distillery-")] == []
    assert len([path for path in tmp_path.rglob(".distillery") if path.is_dir()]) == 1


@pytest.mark.slow
def test_the_whole_demo_is_promoted(tmp_path: Path) -> None:
    more = ("--marks", "reference", "--set", "training.learningRate=0.002")
    done = demo(tmp_path / "o'brien's python3 $HOME 100%", *more, articles=10_000)
    assert done.returncode == 0, done.stderr
