"""An S3 server in this process, a cluster that is played, and a corpus of numbered articles planned for both."""

import json
from pathlib import Path

import pytest

import distillery.components.scoring.cluster_jobs as cluster_jobs
import distillery.components.scoring.job as cluster
from distillery.components.scoring.cluster_plan import plan_on_cluster
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store, open_store
from tests.scoring.played import ADAPTER, PLACE, Jobs, Pods
from tests.scoring.test_score import FILTER
from tests.store.conftest import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    played = Jobs()
    for module in (cluster, cluster_jobs):
        monkeypatch.setattr(module, "batch", lambda: played)
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)
    return played


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> Pods:
    played = Pods()
    monkeypatch.setattr(cluster, "core", lambda: played)
    return played


@pytest.fixture
def store(s3_uri: str) -> Store:
    return open_store(s3_uri)


@pytest.fixture
def plan(store: Store, tmp_path: Path) -> Plan:
    rows = [json.dumps({"id": f"a{n}", "content": f"{n % 10} 5 text {n}"}) for n in range(60)]
    (tmp_path / "a corpus.jsonl").write_text("\n".join(rows))
    return plan_on_cluster(store, FILTER, ADAPTER, str(tmp_path / "a corpus.jsonl"), PLACE, shards=6)
