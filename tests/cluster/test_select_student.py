"""`distillery submit select-student` on a real Kubeflow: a pod for each candidate, and the choice of this machine."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from distillery.components.store import Store
from tests.cluster.harness import KFP_NAMESPACE, Cluster, run_distillery, wait_for
from tests.cluster.runs import FILTER, documented
from tests.demo.generator.files import write_files
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(1800)
THREE = """\
candidates:
  - name: one epoch
  - name: another seed
    set: {training.seed: 7}
  - name: higher rank
    set: {student.lora.r: 8}
"""
QUICK = ["--profile", "laptop"]
for setting in ("training.epochs=1", "training.learningRate=0.002", "training.precision=fp32", "student.maxLength=128"):
    QUICK += ["--set", setting]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the page says, for 200 labels of the demo and three candidates."""
    folder = tmp_path_factory.mktemp("selection")
    made, labels, candidates = write_files(folder, n=200), folder / "labels.jsonl", folder / "candidates.yaml"
    given = ["--set", f"oracle.replies={made.replies}", "--without-calibration", "a test", "--yes", "--out", labels]
    run_distillery("label", FILTER, "--articles", made.articles, *given, "--store", folder / "store", check=True)
    candidates.write_text(THREE, encoding="utf-8")
    places = {"candidates.yaml": str(candidates), "labels.jsonl": str(labels)}
    words = [places.get(word, word) for word in documented("distillery submit select-student")[2:] if word != "--watch"]
    return [*words, *QUICK]


@pytest.fixture
def told(cluster: Cluster) -> Iterator[list[dict[str, Any]] | None]:
    """What the last step of a run told a webhook of this machine; None where pods don't reach this machine."""
    found: list[dict[str, Any]] = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    secret = ("distillery-notify", "-n", KFP_NAMESPACE)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    try:  # pods reach the object storage: are we where that is?
        server = ThreadingHTTPServer((urlsplit(endpoint or "").hostname or "nowhere.invalid", 0), Takes)
    except OSError:
        yield None
        return
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"DISTILLERY_NOTIFY_URL=http://{server.server_address[0]!s}:{server.server_port}/told"
    made = ("generic", *secret, f"--from-literal={address}", "--dry-run=client", "-o", "json")
    try:
        before = cluster.kubectl("get", "secret", *secret, "-o", "json", "--ignore-not-found")
        cluster.kubectl("apply", "-f", "-", stdin=cluster.kubectl("create", "secret", *made))
        try:
            yield found
        finally:
            cluster.kubectl("delete", "secret", *secret)
            if before.strip():  # the cluster's own
                cluster.kubectl("create", "-f", "-", stdin=json.dumps(fresh(json.loads(before))))
    finally:
        server.shutdown()
        server.server_close()


def fresh(found: dict[str, Any]) -> dict[str, Any]:
    """An object as it can be made again."""
    own = {key: value for key, value in found["metadata"].items() if key not in {"resourceVersion", "uid", "creationTimestamp"}}
    return {**found, "metadata": own}


def notice(told: list[dict[str, Any]] | None, err: str) -> dict[str, Any]:
    """What was told; where nobody could be, what the last step said."""
    (said,) = [
        line.removeprefix("report: ") for line in err.splitlines() if line.startswith(("report: Chosen", "report: Stop"))
    ]
    print(said)
    if told is None:
        return {"sentence": said}
    (one,) = told
    print(one)
    assert one["event"] == "run.ended"
    assert one["sentence"] == said
    return one


def test_candidates_side_by_side_come_to_the_choice_of_this_machine(
    distillery: Callable[..., Ran],
    cluster: Cluster,
    store: Store,
    kfp: Any,
    typed: list[str],
    told: list[dict[str, Any]] | None,
    tmp_path: Path,
) -> None:
    there = distillery("submit", *typed, "--store", store.uri, "--watch", "--json")
    print(there.err)
    assert there.code == 0, there.err
    found = there.json
    assert kfp.get(found["run"]).state == "SUCCEEDED"
    assert sorted(each["name"] for each in found["candidates"]) == ["another seed", "higher rank", "one epoch"]
    assert store.exists(f"selections/{FILTER}/{found['selection']}.json")
    for at in (1, 2, 3):
        record = json.loads(store.get(f"runs/{found['run']}/candidate-0{at}.json"))
        assert record["outputs"]["adapter"] in {each["adapter"] for each in found["candidates"]}
    page = f"runs/{found['run']}/report.html"
    assert found["report"] == f"{store.uri}/{page}"
    ended = notice(told, there.err)
    assert ended["sentence"].startswith(f"Chosen: {found['chosen']}, ")
    assert "3 of 3 candidates are trained: " in ended["sentence"]
    assert f"{store.uri}/selections/{FILTER}/{found['selection']}.json" in ended["sentence"]
    assert ended["sentence"] in distillery("logs", found["run"], "report").out
    if told:
        assert (ended["verdict"], ended["run"], ended["filter"]) == ("selected", found["run"], FILTER)
        assert ended["report"] == found["report"]
    row = listed(distillery, store, found["run"])
    assert (row["outcome"], row["reason"], row["report"]) == ("selected", found["chosen"], found["report"])
    out = tmp_path / "selection.html"
    here = run_distillery(*typed, "--store", tmp_path / "store", "--json")
    assert here.code == 0, here.err
    run_distillery(*typed, "--store", tmp_path / "store", "--out", out, check=True)
    assert titles(store.get(page).decode()) == titles(out.read_text("utf-8"))
    assert here.json["split"] == found["split"]
    for each in here.json["candidates"]:
        other = next(row for row in found["candidates"] if row["name"] == each["name"])
        assert other["mae"] == pytest.approx(each["mae"], abs=0.02)
        assert (other["work"], other["memory_mb"]) == (each["work"], each["memory_mb"])
    again = distillery("submit", *typed, "--store", store.uri, "--watch", "--json")
    assert again.code == 0, again.err
    assert again.json["selection"] == found["selection"]
    assert again.json["run"] != found["run"]
    assert all(json.loads(store.get(f"runs/{again.json['run']}/candidate-0{at}.json"))["reused"] for at in (1, 2, 3)), (
        "nothing is trained twice"
    )


def listed(distillery: Callable[..., Ran], store: Store, run: str) -> dict[str, Any]:
    rows = distillery("get", "runs", FILTER, "--store", store.uri, "--json").json["items"]
    (row,) = [each for each in rows if each["name"] == run]
    return dict(row)


def titles(page: str) -> list[str]:
    return re.findall(r"<h[12][^>]*>(.*?)</h[12]>|<figcaption>(.*?)</figcaption>", page)


def test_a_candidate_that_cant_be_trained_ends_the_run_with_words(
    distillery: Callable[..., Ran], store: Store, kfp: Any, typed: list[str], told: list[dict[str, Any]] | None, tmp_path: Path
) -> None:
    candidates = tmp_path / "candidates.yaml"
    candidates.write_text(
        THREE.replace("{student.lora.r: 8}", "{training.learningRate: 1.0e+6, training.weightDecay: 10.0}"), encoding="utf-8"
    )
    words = [str(candidates) if word.endswith("candidates.yaml") else word for word in typed]
    ran = distillery("submit", *words, "--store", store.uri, "--watch")
    print(ran.err, ran.out)
    assert ran.code == 2, ran.err
    run = ran.err.partition("submitted run ")[2].split()[0]
    assert kfp.get(run).state == "FAILED"
    ended = notice(told, ran.err)
    failure = json.loads(store.get(f"runs/{run}/failure.json"))
    assert f"error: {failure['step']}: {failure['message']}" in ran.err
    assert f"report: {store.uri}/runs/{run}/report.html" in ran.err
    assert "nothing is lost: the same submission goes on" in ran.err
    assert ended["sentence"].startswith(f"Stopped at step {failure['step']} (higher rank): {failure['message'][:60]}")
    assert re.search(r"2 of 3 candidates are trained: [a-z, ]+\. None was chosen\.$", ended["sentence"])
    if told:
        assert (ended["verdict"], ended["run"], ended["filter"], ended["adapter"]) == ("failed", run, FILTER, "")
    assert ended["sentence"] in distillery("logs", run, "report").out
    page = store.get(f"runs/{run}/report.md").decode()
    states = [line.split(" | ")[2] for line in page.splitlines() if "| candidate-0" in line]
    assert sum(state in {"**reused**", "**trained**"} for state in states) == 2, states
    assert sum(state.startswith("**failed: ") for state in states) == 1, states
    assert not store.exists(f"runs/{run}/select-student.json")
    row = listed(distillery, store, run)
    assert (row["outcome"], row["reason"]) == ("failed", f"{failure['step']}: {failure['message']}")
    assert row["report"] == f"{store.uri}/runs/{run}/report.html"


def test_a_base_model_that_no_pod_has_is_told_before_anything_is_trained(
    distillery: Callable[..., Ran], store: Store, kfp: Any, typed: list[str], tmp_path: Path
) -> None:
    candidates = tmp_path / "candidates.yaml"
    candidates.write_text(THREE.replace("{training.seed: 7}", "{student.baseModel: nobody/has-it}"), encoding="utf-8")
    words = [str(candidates) if word.endswith("candidates.yaml") else word for word in typed]
    ran = distillery("submit", *words, "--store", store.uri, "--watch")
    assert ran.code == 2, ran.err
    assert "candidate 'another seed': student.baseModel nobody/has-it: is not mirrored" in ran.err
    run = ran.err.partition("submitted run ")[2].split()[0] if "submitted run " in ran.err else ""
    assert not run or wait_for("the run's end", lambda: not kfp.active(run), 120)
