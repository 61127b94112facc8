"""Scoring over a cluster: every article once, whatever is killed meanwhile, and the same scores as here.

The big corpus goes through a student of two tiny layers: MiniLM scores some 40 demo articles a second on a core of the test
machine, so 20,000 would take it 8 minutes of both cores. What is tested is the same; MiniLM scores a few hundred.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.store import Store, open_store
from tests.cluster.harness import BASE_MODEL, ROOT, Cluster, environment, wait_for
from tests.cluster.scoring import DIMENSIONS, TOOL, Promoted, part, promote_student, table, write_corpus
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(1200)
NAMESPACE = "distillery"
ARTICLES, SHARDS = 20_000, 16
SESSION = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module", autouse=True)
def no_jobs_left(cluster: Cluster) -> Iterator[None]:
    yield
    for job in jobs(cluster):
        cluster.kubectl("delete", "job", job["metadata"]["name"], "-n", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def tiny(store: Store, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Promoted:
    """A student on a base model of two small layers that lies in the store."""
    for file in sorted(tiny_encoder.iterdir()):
        store.put(f"models/tiny/{file.name}", file)
    return promote_student(store, tmp_path_factory.mktemp("filter"), "scoring-test", f"{store.uri}/models/tiny")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "articles.jsonl"
    write_corpus(path, ARTICLES)
    return path


@pytest.fixture(scope="module")
def few(corpus: Path) -> Path:
    path = corpus.with_name("few.jsonl")
    with corpus.open() as source:
        path.write_text("".join(itertools.islice(source, 300)))
    return path


def same(here: Any, there: Any) -> None:
    """The same rows in the same order, scores within 1e-4."""
    assert there["id"].to_pylist() == here["id"].to_pylist()
    assert there["article"].equals(here["article"])
    for name in ("overall", *(f"score.{each}" for each in DIMENSIONS)):
        assert there[name].is_null().equals(here[name].is_null())
        assert np.nanmax(np.abs(there[name].to_numpy() - here[name].to_numpy())) <= 1e-4


def jobs(cluster: Cluster) -> list[dict[str, Any]]:
    """Those of this session."""
    found = cluster.get("jobs", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=scoring")["items"]
    began = SESSION.timestamp()
    return [job for job in found if datetime.fromisoformat(job["metadata"]["creationTimestamp"]).timestamp() >= began]


def active(cluster: Cluster, completions: int) -> str:
    """The name of the unfinished Job of so many indexes, empty where there is none. A queue adds conditions of its own."""
    found = [job for job in jobs(cluster) if job["spec"]["completions"] == completions]
    ended = {"Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"}
    names = [
        job["metadata"]["name"] for job in found if not ended & {each["type"] for each in job["status"].get("conditions", [])}
    ]
    return next(iter(names), "")


def pods(cluster: Cluster, job: str) -> list[dict[str, Any]]:
    return list(cluster.get("pods", "-n", NAMESPACE, "-l", f"batch.kubernetes.io/job-name={job}")["items"])


def running(cluster: Cluster, job: str) -> list[str]:
    """Names of its pods that run and aren't being deleted."""
    found = [pod for pod in pods(cluster, job) if pod["status"]["phase"] == "Running"]
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


class Command:
    """`distillery score … --on cluster` in the background."""

    def __init__(self, cluster: Cluster, *arguments: str | Path) -> None:
        command = [
            sys.executable,
            "-m",
            "distillery.pipelines.cli.main",
            "score",
            *map(str, arguments),
            "--on",
            "cluster",
            "--json",
        ]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment(cluster), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self, seconds: float = 900) -> Ran:
        out, err = self.process.communicate(timeout=seconds)
        return Ran(self.process.returncode, out, err)


@pytest.mark.smoke
def test_a_small_corpus_is_scored(
    cluster: Cluster, distillery: Callable[..., Ran], store: Store, tiny: Promoted, few: Path, tmp_path: Path
) -> None:
    flags = ["score", tiny.path, few, "--store", store.uri, "--shards", "3", "--json"]
    there, here = distillery(*flags, "--on", "cluster"), distillery(*flags, "--out", tmp_path / "here")
    assert there.code == 0, there.err
    found = there.json
    assert found["out"].startswith(f"{store.uri}/scores/")
    assert (found["articles"], found["reused"], len(found["parts"])) == (300, False, 3)
    assert found["prefiltered"] > 0
    same(table(open_store(str(tmp_path / "here")), here.json["parts"]), table(open_store(found["out"]), found["parts"]))
    again = distillery(*flags, "--on", "cluster")
    assert (again.json["reused"], again.json["tiers"]) == (True, found["tiers"])


@pytest.mark.alone
def test_a_corpus_with_pods_deleted_and_the_store_away(
    cluster: Cluster, distillery: Callable[..., Ran], store: Store, tiny: Promoted, corpus: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    flags = [tiny.path, corpus, "--store", store.uri, "--shards", str(SHARDS), "--parallelism", "4"]
    command = Command(cluster, *flags)
    job = wait_for("the Job", lambda: active(cluster, SHARDS), 120)
    deleted: list[str] = []
    for _ in range(3):
        first = wait_for("a pod that runs", lambda: running(cluster, job), 240)[0]
        cluster.kubectl("delete", "pod", "-n", NAMESPACE, first, "--wait=false")
        deleted.append(first)
        time.sleep(3)
    if TOOL.exists():
        wait_for("a pod that runs", lambda: running(cluster, job), 240)
        part("stop", "s3")
        time.sleep(20)
        part("start", "s3")
    ran = command.end()
    print(ran.err, f"{time.monotonic() - began:.0f} s", deleted)
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["articles"] + found["rejected"], len(found["parts"])) == (ARTICLES, SHARDS)
    there = table(open_store(found["out"]), found["parts"])
    assert there["id"].to_pylist() == [f"article-{n}" for n in range(ARTICLES)], "every article once, none missing"
    here = distillery("score", tiny.path, corpus, "--store", store.uri, "--out", tmp_path / "here", "--json")
    assert here.code == 0, here.err
    same(table(open_store(str(tmp_path / "here")), here.json["parts"]), there)
    failed = cluster.get("job", job, "-n", NAMESPACE)["status"].get("failed", 0)
    assert failed >= len(deleted), "the pods were deleted while they worked"


def test_ctrl_c_leaves_it_going_cancel_ends_it_and_the_same_command_does_the_rest(
    cluster: Cluster, distillery: Callable[..., Ran], store: Store, tiny: Promoted, few: Path
) -> None:
    from distillery.components.scoring.plan import read_plan
    from distillery.components.scoring.whole import look_at_all
    from distillery.components.store.layout import SCORING_PLAN

    flags = [tiny.path, few, "--store", store.uri, "--shards", "5", "--parallelism", "1"]
    command = Command(cluster, *flags)
    job = wait_for("the Job", lambda: active(cluster, 5), 120)
    command.process.send_signal(signal.SIGINT)
    ended = command.end(60)
    assert ended.code == 130
    assert "the Job goes on" in ended.err
    where = open_store(cluster.get("job", job, "-n", NAMESPACE)["metadata"]["annotations"]["llm-distillery.io/scores"])
    plan = read_plan(where, where.get_json(SCORING_PLAN)["job"])
    wait_for("a first part", lambda: any(part.done for part in look_at_all(where, plan, range(5))), 240)
    cancelled = distillery("score", *flags, "--on", "cluster", "--cancel")
    assert f"deleted {job}" in cancelled.out, cancelled.err
    wait_for("no pod", lambda: not pods(cluster, job), 60)
    done = [part for part in look_at_all(where, plan, range(5)) if part.done]
    assert 0 < len(done) < 5
    rest = distillery("score", *flags, "--on", "cluster", "--json")
    assert rest.code == 0, rest.err
    assert f"{5 - len(done)} of 5 parts to score" in rest.err
    assert rest.json["articles"] == 300


def test_bad_input_fails_its_index_once(
    cluster: Cluster, distillery: Callable[..., Ran], store: Store, tiny: Promoted, few: Path, s3: Any
) -> None:
    import gzip

    prefix = f"{store.uri}/inputs/broken"
    store.put("inputs/broken/a.jsonl", few)
    store.put("inputs/broken/b.jsonl.gz", gzip.compress(few.read_bytes())[:-500])
    ran = distillery("score", tiny.path, prefix, "--store", store.uri, "--shards", "2", "--on", "cluster")
    assert ran.code == 2, ran.err
    assert "cut short" in ran.err.splitlines()[-1]
    (job,) = [each for each in jobs(cluster) if each["status"].get("failedIndexes")]
    assert (job["status"]["failedIndexes"], job["status"]["failed"]) == ("1", 1)


def test_minilm_on_the_cluster_is_minilm_here(
    cluster: Cluster, distillery: Callable[..., Ran], store: Store, few: Path, tmp_path: Path
) -> None:
    real = promote_student(store, tmp_path, "scoring-minilm", BASE_MODEL)
    flags = ["score", real.path, few, "--store", store.uri, "--shards", "2", "--json"]
    there, here = distillery(*flags, "--on", "cluster"), distillery(*flags, "--out", tmp_path / "here")
    assert there.code == 0, there.err
    for pod in pods(cluster, there.json["job_name"]):
        print(cluster.kubectl("logs", "-n", NAMESPACE, pod["metadata"]["name"]))
    same(
        table(open_store(str(tmp_path / "here")), here.json["parts"]), table(open_store(there.json["out"]), there.json["parts"])
    )


@pytest.fixture
def start(cluster: Cluster, kfp: Any, store: Store, tiny: Promoted, few: Path) -> Callable[..., str]:
    """Starts a run of the pipeline `score`; returns its id."""
    store.put("inputs/few/few.jsonl", few)
    images = {"light": cluster.settings["DISTILLERY_IMAGE_LIGHT"], "torch": cluster.settings["DISTILLERY_IMAGE_TORCH"]}
    version = kfp.published("score", **images)
    given = {"adapter": tiny.filter.name, "articles": f"{store.uri}/inputs/few", "store": store.uri}
    return lambda **more: kfp.start(version, f"score-{os.getpid()}-{time.time_ns()}", given | more, experiment="tests")


def test_the_pipeline_of_kubeflow(store: Store, kfp: Any, start: Callable[..., str]) -> None:
    run = start(shards=2)
    wait_for("the run's end", lambda: kfp.get(run).state in ("SUCCEEDED", "FAILED"), 600, every=3)
    assert kfp.get(run).state == "SUCCEEDED"
    record = json.loads(store.get(f"runs/{run}/score.json"))
    assert record["outputs"]["articles"] == 300
    assert open_store(record["outputs"]["scores"]).exists("_SUCCESS")


def test_a_run_that_is_terminated_deletes_its_job(cluster: Cluster, kfp: Any, start: Callable[..., str]) -> None:
    run = start(shards=7, parallelism=1)
    job = wait_for("the Job", lambda: active(cluster, 7), 300)
    kfp.cancel(run)
    wait_for("no Job", lambda: job not in [each["metadata"]["name"] for each in jobs(cluster)], 120)
