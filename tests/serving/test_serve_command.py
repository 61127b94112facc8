"""`distillery serve`, as it is typed: it says where it listens, answers, and a signal ends it with exit code 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipelines.harness import run_here
from tests.serving.made import Client
from tests.store.test_stores_of_the_first_layout import ARCHIVE

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose store has a promoted adapter of village-gain."""
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    begun = list[subprocess.Popen[str]]()

    def begin(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "distillery.pipelines.cli.main", "serve", *words, "--store", "store", "--port", "0"]
        environment = {**os.environ, "DISTILLERY_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        begun.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def test_it_says_where_it_listens_answers_and_is_ended_by_a_signal(folder: Path, start: Start) -> None:
    process = start("filter.yaml")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    address = next(line for line in lines if line.startswith("listening on ")).split()[-1]
    client = Client(int(address.rpartition(":")[2]))
    assert address.startswith("http://127.0.0.1:")
    row = json.loads((folder / "articles.jsonl").read_text("utf-8").splitlines()[0])
    answer = client.score(row)
    assert answer.status == 200
    assert answer.json["filter"] == "village-gain"
    assert answer.json["scores"][0]["tier"]
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0, told
    assert "Traceback" not in told


def test_json_is_one_object_once_it_listens(start: Start) -> None:
    process = start("filter.yaml", "--json")
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("\n}"):
        text += process.stdout.readline()
    found = json.loads(text)
    assert found["listening"].startswith("http://")
    assert [row["filter"] for row in found["serving"]] == ["village-gain"]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "nowhere"),
        (["uplifting"], "nothing is promoted on channel production of uplifting"),
        (["filter.yaml", "filter.yaml"], "two adapters of village-gain are asked for"),
        (["00000000"], "no adapter in this store begins with 00000000"),
        (["00000000", "--channel", "canary"], "an adapter is named already"),
        (["filter.yaml", "--api-key-file", "nowhere"], "the API keys can't be read"),
        (["filter.yaml", "--host", "203.0.113.7"], "can't listen there"),
    ],
)
def test_what_cannot_be_served_is_one_line(folder: Path, words: list[str], told: str) -> None:
    ran = run_here("serve", *words, "--store", "store", "--port", "0", cwd=folder)
    assert ran.code == 2
    assert len(ran.errors) == 1
    assert told in ran.errors[0]


def test_a_key_that_is_too_short_is_refused(folder: Path) -> None:
    (folder / "keys").write_text("secret\n")
    ran = run_here("serve", "filter.yaml", "--store", "store", "--api-key-file", "keys", cwd=folder)
    assert ran.code == 2
    assert "less than 16 characters" in ran.errors[0]
    assert "secret" not in ran.err
