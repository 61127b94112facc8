"""The kept store with every kind of document in it, and the commands as they are typed, in this process."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import typer.main

from distillery.components.store import digest_bytes
from tests.pipelines.harness import KNOWINGLY, Ran, run_here

ARCHIVE = Path(__file__).parents[1] / "store" / "store-of-the-first-layout.tar.gz"
SERVING = "4bbd883ec4ec"  # the adapter that the kept store's channel points at
EARLIER = "fd203044ac4e"
WAITING = "61f4b046e87d"

# A command line is built from signatures anew at each call, which takes a third of a short command's time.
_built = functools.cache(typer.main.get_command)

# What is typed, by what it shows; {0} is the folder that holds the store and the inputs.
_ARTICLES = "--articles {0}/articles.jsonl --set oracle.replies={0}/replies.jsonl"
COMMANDS = {
    "history": "history {0}/filter.yaml",
    "history of an adapter": f"history {SERVING}",
    "report": "report {0}/filter.yaml --out {0}/report.html",
    "report of an adapter": f"report {SERVING} --out {{0}}/report.html",
    "plan": f"plan {{0}}/filter.yaml {_ARTICLES}",
    "label": f"label {{0}}/filter.yaml {_ARTICLES}",
    "label to a file": f"label {{0}}/filter.yaml {_ARTICLES} --out {{0}}/labels.out",
    "labels import": "labels import {0}/filter.yaml {0}/same-labels.jsonl",
    "split": f"split {{0}}/filter.yaml {_ARTICLES}",
    "gate": f"gate {{0}}/filter.yaml {_ARTICLES}",
    "calibrate": f"calibrate {{0}}/filter.yaml {_ARTICLES} --out {{0}}/review.html",
    "noise": f"noise {{0}}/filter.yaml {_ARTICLES} --repeat 2",
    "models": "models list",
    "models push": "models push {0}/base --as made-up/other",
    "approve": f"approve {{0}}/filter.yaml {WAITING} --reason reviewed --set oracle.replies={{0}}/replies.jsonl",
    "rollback": f"rollback {{0}}/filter.yaml --to {EARLIER}",
    "benchmark": f"benchmark {SERVING} --labels {{0}}/same-labels.jsonl",
    "benchmark of what serves": "benchmark {0}/filter.yaml --labels {0}/same-labels.jsonl",
    "calibrate another rubric": f"calibrate {{0}}/filter.yaml {_ARTICLES} --set oracle.maxWords=50 --out {{0}}/review.html",
    "score": "score {0}/filter.yaml {0}/corpus.jsonl --out {0}/new-scores",
}


def run(command: str, folder: Path, store: str = "") -> Ran:
    """Run a command of COMMANDS, as `distillery` does, in this process; temporary files lie in folder/tmp."""
    words = [word.format(folder) for word in COMMANDS.get(command, command).split(" ")]
    (folder / "tmp").mkdir(exist_ok=True)
    places = {"DISTILLERY_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "tmp")}
    with (
        mock.patch.object(tempfile, "tempdir", str(folder / "tmp")),
        mock.patch.dict(os.environ, places),
        mock.patch.object(typer.main, "get_command", _built),
    ):
        return run_here(*words, "--store", store or str(folder / "store"), cwd=folder)


def unpack(folder: Path) -> Path:
    """Unpack the kept store, its inputs and a base model into a folder; audit and gates, which see more now, are done.

    Its students lose against a simple baseline; the filter takes that knowingly, so that they are promoted as they were.
    """
    folder.mkdir(parents=True)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    document = json.loads((folder / "filter.yaml").read_text("utf-8"))
    gates = document["spec"]["gates"]
    stated = {(gate["metric"], gate.get("baseline")) for gate in gates}
    gates += [gate for gate in KNOWINGLY if (gate["metric"], gate.get("baseline")) not in stated]
    (folder / "filter.yaml").write_text(json.dumps(document, indent=1), "utf-8")
    done = run("gate", folder)
    assert done.code == 0, done.err
    return folder


@contextlib.contextmanager
def copied(kept: Path, to: Path) -> Iterator[Path]:
    """A copy of the kept folder, gone at the end."""
    shutil.copytree(kept, to, dirs_exist_ok=True)
    try:
        yield to
    finally:
        shutil.rmtree(to)


def objects(folder: Path) -> dict[str, str]:
    """The digest of every object of the store in a folder, by key."""
    root = folder / "store"
    return {
        path.relative_to(root).as_posix(): digest_bytes(path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.relative_to(root).as_posix().startswith(".")
    }
