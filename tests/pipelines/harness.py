"""A small filter with a tiny random base, labels it can learn a little from, and the command as a user runs it."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import random
import subprocess
import sys
import termios
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from distillery.pipelines import versions
from distillery.pipelines.versions import Version

GOOD = ["solar", "wind", "farm", "village", "people", "saves", "cheap", "clean", "opens", "works"]
BAD = ["dirty", "fails", "closes", "stops", "cuts", "old", "claims", "cost", "price", "tax"]
# A student of a few made-up words may lose against anything; a filter with these gates takes it all the same.
KNOWINGLY: list[dict[str, Any]] = [
    *({"metric": "skill", "baseline": name, "atLeast": -9.0} for name in ("mean", "median", "source_median", "tfidf_ridge")),
    {"metric": "mae_vs_incumbent", "below": 99.0},
]
FILLER = [
    *["the", "of", "and", "to", "in", "for", "with", "on", "by", "from", "year", "city"],
    "company",
    "report",
    "study",
    "public",
    "road",
    "house",
]


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


def run_distillery(*arguments: str | Path, cwd: Path, timeout: float = 240) -> Ran:
    """`distillery …` in a process of its own, as a user would; no network, two threads at most."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "distillery.pipelines.cli.main", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def typed_in_a_terminal(
    folder: Path, *arguments: str | Path, answers: str, after: str = "", meanwhile: Callable[[], object] = lambda: None
) -> Ran:
    """Run the command in a real terminal of its own, where a person types these keys, once this text is shown.

    Before they type, something else may happen meanwhile.
    """
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "distillery.pipelines.cli.main", *map(str, arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
    ) as process:  # fmt: skip
        os.close(terminal)
        shown, typed = b"", False
        with suppress(OSError):  # what Linux says at the end of a terminal
            while True:
                if not typed and after.encode() in shown:
                    meanwhile()
                    typed = os.write(controller, answers.encode()) >= 0
                if not (piece := os.read(controller, 4096)):
                    break
                shown += piece
        code = process.wait(60)
    os.close(controller)
    return Ran(code, shown.decode(), "")


def compile_alone(name: str, **options: str) -> Version:
    """Return what compile_pipeline returns in a process of its own.

    KFP looks through every loaded module for each line of a pipeline: 40 s where other tests have
    loaded torch and transformers.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_compile, name, options).result(timeout=120)


def _compile(name: str, options: dict[str, str]) -> Version:
    return versions.compile_pipeline(name, **options)


def filter_document(base: Path, **spec: Any) -> dict[str, Any]:
    """A valid filter with two dimensions; keyword arguments replace sections of its spec."""
    anchors = [{"score": 0, "meaning": "nothing of it"}, {"score": 5, "meaning": "some of it"}, {"score": 10, "meaning": "all"}]
    return {
        "apiVersion": "llm-distillery.io/v1alpha1",
        "kind": "Filter",
        "metadata": {"name": "small-town"},
        "spec": {
            "version": 1,
            "description": "Whether a village gains from a project; for tests.",
            "scope": {"judge": "what a project does for a village"},
            "dimensions": [
                {"name": "benefit", "weight": 0.6, "description": "What people in the village gain.", "anchors": anchors},
                {"name": "evidence", "weight": 0.4, "description": "How well the gain is shown.", "anchors": anchors},
            ],
            "tiers": [{"name": "high", "when": "overall >= 6"}, {"name": "low"}],
            "oracle": {"provider": "replay", "model": "recorded"},
            "student": {"baseModel": str(base), "maxLength": 48, "lora": {"r": 4, "alpha": 8, "dropout": 0.0}},
            "training": {"epochs": 2, "batchSize": 16, "learningRate": 0.01, "seed": 3, "precision": "fp32"},
            "gates": [{"metric": "mae", "below": 9.0}, {"metric": "articles", "atLeast": 5}, *KNOWINGLY],
            **spec,
        },
    }


def write_filter(path: Path, base: Path, **spec: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(filter_document(base, **spec), indent=1), encoding="utf-8")  # JSON is YAML
    return path


def label_rows(n: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return `n` labelled articles; the share of good words sets both scores."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        share = rng.random()
        words = [
            rng.choice(FILLER) if rng.random() < 0.5 else rng.choice(GOOD if rng.random() < share else BAD) for _ in range(40)
        ]
        benefit, evidence = round(10 * share, 1), round(10 * share * rng.uniform(0.7, 1), 1)
        rows.append(
            {
                "id": f"a{i}",
                "title": f"Report {i} {rng.choice(GOOD + BAD)}",
                "content": " ".join(words) + f" {i}.",
                "source": f"paper-{i % 5}",
                "language": "en",
                "scores": {"benefit": benefit, "evidence": evidence},
            }
        )
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run_here(*arguments: str | Path, cwd: Path) -> Ran:
    """`distillery …` in this process, which has loaded torch already: what it printed, and its exit code."""
    from distillery.pipelines.cli.main import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(sys, "argv", ["distillery", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())
