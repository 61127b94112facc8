"""README's table of exit codes is made from the code, and every row of it is how some command ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.articles.articles import Article
from distillery.components.runtime.exit_codes import MEANINGS, ExitCode, table
from tests.calibration.conftest import FILTER, rows, truth
from tests.labeling.oracles.servers import OpenAIServer
from tests.pipelines.harness import label_rows, write_filter, write_rows

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_has_the_table_that_is_made_from_the_code() -> None:
    assert table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_code_has_one_meaning() -> None:
    assert list(MEANINGS) == list(ExitCode)
    assert len(set(MEANINGS.values())) == len(ExitCode)


def test_no_command_ends_with_a_number_of_its_own() -> None:
    pattern = re.compile(r"(?:typer\.Exit|sys\.exit|SystemExit)\([0-9]")
    for path in sorted((ROOT / "pipelines").rglob("*.py")):
        assert not pattern.search(path.read_text(encoding="utf-8")), path


def test_agents_are_told_every_code() -> None:
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    rules = text.partition("**exit code** first")[2].partition("\n- ")[0]
    assert {int(number) for number in re.findall(r"\b\d+\b", rules)} == set(ExitCode)


WORDS = "--articles articles.jsonl --without-calibration test --yes --set oracle.provider=openai --set oracle.model=gpt-4o-mini"
RECORDED = "--articles articles.jsonl --set oracle.replies=replies.jsonl"
TYPED = {
    ExitCode.DONE: "filters lint uplifting",
    ExitCode.FAILED: f"label filter.yaml {WORDS} --budget 0.0000001",
    ExitCode.INPUT: "filters lint nowhere",
    ExitCode.REJECTED: f"calibrate filter.yaml {RECORDED} --marks wrong.json",
    ExitCode.WAITING: f"calibrate filter.yaml {RECORDED}",
    ExitCode.DUE: "plan student.yaml --labels labels.jsonl --exit-code",
    **dict.fromkeys((ExitCode.HANGUP, ExitCode.INTERRUPTED, ExitCode.TERMINATED), f"label filter.yaml {WORDS}"),
}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts a command, as a shell does, in a folder with what the commands of `TYPED` read."""
    (tmp_path / "filter.yaml").write_text(FILTER, encoding="utf-8")
    write_filter(tmp_path / "student.yaml", Path("somebody/some-model"))
    write_rows(tmp_path / "labels.jsonl", label_rows(40))
    articles = rows(300)
    write_rows(tmp_path / "articles.jsonl", articles)
    replies = [(row["id"], truth(Article(row["id"], row["title"], row["content"]))) for row in articles]
    write_rows(tmp_path / "replies.jsonl", [{"id": name, "reply": json.dumps(scores)} for name, scores in replies])
    wrong = {row["id"]: "off" if row["reference"]["benefit"] > 5 else "on" for row in articles}
    (tmp_path / "wrong.json").write_text(json.dumps(wrong), encoding="utf-8")

    def begin(line: str, *more: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "distillery.pipelines.cli.main", *line.split(), *more]
        environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "HF_HOME": str(tmp_path / "hub"), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True)

    return begin


@pytest.mark.parametrize("code", list(MEANINGS), ids=lambda code: f"{code:d}")
def test_every_row_of_the_table_is_how_a_command_ends(code: ExitCode, start: Callable[..., subprocess.Popen[str]]) -> None:
    hang = code > 128
    with OpenAIServer(storm={"hang": 1.0} if hang else {}) as server:
        oracle = ("--set", f"oracle.baseUrl={server.url}") if "label" in TYPED[code] else ()
        process = start(TYPED[code], *oracle)
        while hang and not server.counters.calls and process.poll() is None:
            time.sleep(0.02)
        if hang:
            process.send_signal(signal.Signals(code - 128))
        out, err = process.communicate(timeout=240)
    assert process.returncode == code, f"{out}\n{err}"
    assert "Traceback" not in err
