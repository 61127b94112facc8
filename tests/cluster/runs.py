"""Runs that the tests share: what is submitted, and `distillery submit` as a process of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster.harness import ROOT, Cluster, environment, wait_for

FILTER = "sustainability-technology"
LENIENT = (
    "gates=[{metric: articles, atLeast: 10}, {metric: mae, below: 4.0}, {metric: mae_vs_incumbent, below: 99.0}, "
    + ", ".join(
        f"{{metric: skill, baseline: {name}, atLeast: -9.0}}" for name in ("mean", "median", "source_median", "tfidf_ridge")
    )
    + "]"
)
HOPELESS = "gates=[{metric: mae, below: 0.01}]"
QUICK = {"training.epochs": "2", "training.learningRate": "0.002", "training.precision": "fp32"}


def documented(beginning: str) -> list[str]:
    """The words of the command that docs/cluster.md shows and that begins so."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "docs" / "cluster.md").read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    (found,) = [line for block in blocks for line in block.splitlines() if line.startswith(beginning)]
    return shlex.split(found, comments=True)


def flags(demo: Path, gates: str = LENIENT) -> list[str]:
    """The same for `distill` here and `submit distill` there: what the page says, a short training, and these gates."""
    shown = [word.replace(".demo/", f"{demo}/") for word in documented("distillery submit distill")[3:] if word != "--watch"]
    settings = [*(f"{key}={value}" for key, value in QUICK.items()), gates]
    return shown + [word for setting in settings for word in ("--set", setting)]


class Submitted:
    """`distillery submit …` in the background, its words read as they come."""

    def __init__(self, cluster: Cluster, *arguments: str, **changed: str) -> None:
        command = [sys.executable, "-m", "distillery.pipelines.cli.main", "submit", *arguments]
        self.words = Path(tempfile.mkstemp(prefix="submit-")[1])
        with self.words.open("w") as stderr:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment(cluster) | changed, stdout=subprocess.PIPE, stderr=stderr, text=True
            )

    @property
    def said(self) -> str:
        return self.words.read_text("utf-8")

    def wait_for(self, text: str, seconds: float = 300) -> str:
        return str(wait_for(f'"{text}" in what submit says', lambda: text in self.said and self.said, seconds, 0.5))

    @property
    def run(self) -> str:
        return self.wait_for("run ").split("run ", 1)[1].split()[0]

    def end(self, seconds: float = 1200) -> int:
        code = self.process.wait(seconds)
        print(self.said)
        return code
