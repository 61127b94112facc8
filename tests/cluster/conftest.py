"""What tests on a cluster share: the cluster that the environment names, the platform on it, a store of the run's own.

They run on any cluster: KUBECONFIG and KFP_ENDPOINT say which, AWS_* how to reach its object storage, and a kustomization of
ours is applied on it already, or DISTILLERY_OVERLAY names the one to apply. Without a cluster every test here is skipped.

A run on Kubeflow leaves two cores idle for two thirds of its time, so the tests run three at once, on one store; those marked
`alone` stop the store or crowd the control plane, and run after the others.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from filelock import FileLock

from distillery.components.store import Store, open_store
from tests.cluster.harness import KFP_NAMESPACE, ROOT, Cluster, has_trainer, run_distillery
from tests.cluster.logs import what_failed
from tests.cluster.runs import documented, flags
from tests.demo.generator.files import write_files
from tests.pipelines.harness import Ran

HERE = Path(__file__).parent
FIRST = "test_a_run_is_promoted_and_its_adapter_lies_in_object_storage"

# The same in every process of one test run: the first one sets it.
PREFIX = os.environ.setdefault("DISTILLERY_TEST_PREFIX", f"{time.strftime('test-%Y%m%d-%H%M%S')}-{os.getpid()}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the tests in this folder, the promoted run first, what needs it last."""
    places = [place for place, item in enumerate(items) if item.path.is_relative_to(HERE)]
    ours = sorted(
        (items[place] for place in places),
        key=lambda item: 0 if item.name == FIRST else 2 if "promoted" in getattr(item, "fixturenames", ()) else 1,
    )
    for place, item in zip(places, ours, strict=True):
        items[place] = item
        item.add_marker(pytest.mark.cluster)


ran = 0  # tests of this folder; where workers run them, each one's report comes to the process that began


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    global ran
    ran += report.when == "call" and report.nodeid.startswith("tests/cluster/")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The process that began the run removes its store when all workers have ended."""
    if hasattr(session.config, "workerinput") or os.environ.get("DISTILLERY_KEEP") or not ran:
        return
    from distillery.components.store.s3_objects import make_client

    answer = Cluster({}).kubectl("get", "configmap", "distillery", "-n", KFP_NAMESPACE, "-o", "json", check=False)
    if not answer:
        return
    s3, bucket = make_client(), bucket_of(Cluster(json.loads(answer)["data"]))
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX):
        for found in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=found["Key"])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failure comes with pods, events and logs of what failed: whoever reads it can't look at the cluster any more."""
    report: Any = yield
    if report.failed and "cluster" in getattr(item, "fixturenames", ()):
        report.sections.append(("on the cluster", what_failed(KFP_NAMESPACE, "distillery")))
    return report


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def cluster(together: Path) -> Cluster:
    missing = [name for name in ("KUBECONFIG", "KFP_ENDPOINT") if not os.environ.get(name)]
    if missing:
        pytest.skip(f"no cluster at hand: {' and '.join(missing)} not set (`make test-cluster` starts one)")
    if not shutil.which("kubectl"):
        pytest.skip("no cluster at hand: no kubectl on this machine")
    bare = Cluster({})
    if overlay := os.environ.get("DISTILLERY_OVERLAY"):
        with FileLock(together / "overlay.lock"):
            bare.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests/crds"))
            bare.kubectl("apply", "-k", str(ROOT / overlay))
    answer = bare.kubectl("get", "configmap", "distillery", "-n", KFP_NAMESPACE, "-o", "json", check=False)
    if not answer:
        pytest.skip("the cluster has no ConfigMap distillery: apply a kustomization of manifests/overlays, see docs/cluster.md")
    images = {key: value for key, value in os.environ.items() if key.startswith("DISTILLERY_IMAGE_")}
    return Cluster(json.loads(answer)["data"] | images)


def bucket_of(cluster: Cluster) -> str:
    return cluster.settings["DISTILLERY_STORE"].split("/")[2]


@pytest.fixture(scope="session")
def s3(cluster: Cluster, together: Path) -> Any:
    """A client of the cluster's object storage; the bucket of its store is there."""
    from distillery.components.store.s3_objects import make_client

    client, bucket = make_client(), bucket_of(cluster)
    with FileLock(together / "bucket.lock"):
        if bucket not in {found["Name"] for found in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture(scope="session")
def store(cluster: Cluster, s3: Any, together: Path) -> Store:
    """A store of this test run's own, the base model in it: nothing is reused from another day."""
    opened = open_store(f"s3://{bucket_of(cluster)}/{PREFIX}")
    with FileLock(together / "models.lock"):
        run_distillery(*documented("distillery models push")[1:-1], opened.uri, check=True)
    return opened


@pytest.fixture(scope="session")
def kfp(cluster: Cluster) -> Any:
    from distillery.pipelines.cluster.kubeflow import Kubeflow

    return Kubeflow(os.environ["KFP_ENDPOINT"])


@pytest.fixture(scope="session")
def distillery(cluster: Cluster) -> Callable[..., Ran]:
    """`distillery …` as a user of this cluster types it."""

    def run(*arguments: str | Path, **more: Any) -> Ran:
        return run_distillery(*arguments, cluster=cluster, **more)

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo corpus, 300 articles: a folder with articles.jsonl and replies.jsonl."""
    return write_files(tmp_path_factory.mktemp("demo"), n=300).articles.parent


@pytest.fixture(scope="session")
def trainer_here(cluster: Cluster) -> None:
    if not has_trainer(cluster):
        pytest.skip("no TrainingRuntime distillery-torch: install Kubeflow Trainer 2, apply manifests/components/trainer")


@pytest.fixture(scope="session")
def promoted(distillery: Callable[..., Ran], store: Store, demo: Path, together: Path) -> Ran:
    """The undisturbed run that others are compared with; made by whichever worker asks first."""
    kept = together / "promoted.pickle"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            ran = distillery("submit", "distill", *flags(demo), "--store", store.uri, "--watch", "--json")
            kept.write_bytes(pickle.dumps(ran))
    return cast(Ran, pickle.loads(kept.read_bytes()))
