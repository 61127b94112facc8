"""What tests on a cluster share: the cluster that the environment names, the platform on it, a store of the run's own.

They run on any cluster: KUBECONFIG and KFP_ENDPOINT say which, AWS_* how to reach its object storage, and a kustomization of
ours is applied on it already, or DISTILLERY_OVERLAY names the one to apply. Without a cluster every test here is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.store import Store, open_store
from tests.cluster.harness import KFP_NAMESPACE, ROOT, Cluster, run_distillery
from tests.cluster.logs import what_failed
from tests.cluster.runs import documented, flags
from tests.pipelines.harness import Ran


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
    images = {key: value for key, value in os.environ.items() if key.startswith("DISTILLERY_IMAGE_")}
    return Cluster(json.loads(answer)["data"] | images)


@pytest.fixture(scope="session")
def s3(cluster: Cluster) -> Any:
    """A client of the cluster's object storage; the bucket of its store is there."""
    from components.objects_s3 import make_client

    client, bucket = make_client(), cluster.settings["DISTILLERY_STORE"].split("/")[2]
    if bucket not in {found["Name"] for found in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture(scope="session")
def store(cluster: Cluster, s3: Any) -> Iterator[Store]:
    """A store of this session's own, the base model in it: nothing is reused from another day."""
    bucket = cluster.settings["DISTILLERY_STORE"].split("/")[2]
    prefix = f"test-{time.strftime('%Y%m%d-%H%M%S')}"
    opened = open_store(f"s3://{bucket}/{prefix}")
    run_distillery(*documented("distillery models push")[1:-1], opened.uri, check=True)
    yield opened
    if not os.environ.get("DISTILLERY_KEEP"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=found["Key"])


@pytest.fixture(scope="session")
def kfp(cluster: Cluster) -> Any:
    from pipelines.kubeflow import Kubeflow

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
    folder = tmp_path_factory.mktemp("demo")
    run_distillery("demo", "--out", folder, "--articles", "300", check=True)
    return folder


@pytest.fixture(scope="session")
def promoted(distillery: Callable[..., Ran], store: Store, demo: Path) -> Ran:
    """The undisturbed run that others are compared with."""
    return distillery("submit", "distill", *flags(demo), "--store", store.uri, "--watch", "--json")
