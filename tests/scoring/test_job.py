"""The Job as Kubernetes gets it, and how it is started once, adopted, gone on with, followed and deleted; the API is played."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import components.scoring.cluster as cluster
import components.scoring.worker as worker
from components.progress import Progress
from components.scoring.cluster import cancel, expand, follow, plan_on_cluster, submit
from components.scoring.manifest import Place, find_place, job_name, manifest
from components.scoring.part import score_part
from components.scoring.plan import Plan, missing, success
from components.store import Store, open_store
from filters.errors import InputError, Stopped
from tests.scoring.test_score import FILTER, Reader

ADAPTER = "a" * 64
PLACE = Place("distillery", "localhost/image:1", "s3://b/main", "", {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})


class Jobs:
    """The part of the Batch API that is used; `pods` says what becomes of an index."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}
        self.created: list[str] = []
        self.on_read: Callable[[Any], None] = lambda job: None

    def create_namespaced_job(self, namespace: str, body: dict[str, Any], **_: Any) -> Any:
        from kubernetes.client.exceptions import ApiException

        name = body["metadata"]["name"]
        if name in self.jobs:
            raise ApiException(status=409, reason="Conflict")
        self.created.append(name)
        status = SimpleNamespace(completed_indexes=None, failed_indexes=None, ready=1, active=1, conditions=[])
        meta = SimpleNamespace(
            name=name,
            labels=body["metadata"]["labels"],
            annotations=body["metadata"]["annotations"],
            deletion_timestamp=None,
            creation_timestamp=len(self.created),
        )
        self.jobs[name] = SimpleNamespace(metadata=meta, status=status, spec=SimpleNamespace(suspend=False), body=body)
        return self.jobs[name]

    def read_namespaced_job(self, name: str, namespace: str, **_: Any) -> Any:
        from kubernetes.client.exceptions import ApiException

        if name not in self.jobs:
            raise ApiException(status=404, reason="Not Found")
        self.on_read(self.jobs[name])
        return self.jobs[name]

    def delete_namespaced_job(self, name: str, namespace: str, **_: Any) -> None:
        self.read_namespaced_job(name, namespace)
        del self.jobs[name]

    def list_namespaced_job(self, namespace: str, label_selector: str, **_: Any) -> Any:
        key, _, value = label_selector.partition("=")
        return SimpleNamespace(items=[job for job in self.jobs.values() if job.metadata.labels.get(key) == value])


class Pods:
    def __init__(self) -> None:
        self.pods: list[Any] = []

    def list_namespaced_pod(self, namespace: str, label_selector: str, limit: int, **_: Any) -> Any:
        return SimpleNamespace(items=self.pods[:limit])


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    played = Jobs()
    monkeypatch.setattr(cluster, "batch", lambda: played)
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


def end(job: Any, kind: str, message: str = "") -> None:
    job.status.conditions = [SimpleNamespace(type=kind, status="True", message=message, reason=kind)]
    job.status.ready = job.status.active = 0


def do(out: Store, plan: Plan, *indexes: int) -> None:
    for index in indexes:
        score_part(out, plan, index, FILTER, Reader)


class Said(Progress):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.done: list[tuple[int, float | str]] = []

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        self.done.append((done, facts["parts"]))

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_local_file_is_put_into_the_store_once(store: Store, plan: Plan, tmp_path: Path) -> None:
    keys = list(store.keys("inputs"))
    assert [key.rpartition("/")[2] for key in keys] == ["a_corpus.jsonl"]
    assert plan.corpus.where.startswith(f"{store.uri}/inputs/")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"is a folder on this machine|has no files"):
        plan_on_cluster(store, FILTER, ADAPTER, str(tmp_path / "folder"), PLACE)
    with pytest.raises(InputError, match="no place that a cluster reaches"):
        plan_on_cluster(open_store(str(tmp_path / "s")), FILTER, ADAPTER, str(tmp_path / "a corpus.jsonl"), PLACE)


def test_the_job_is_what_it_must_be(plan: Plan) -> None:
    body = manifest(plan, PLACE, out="s3://b/out", store="s3://b/main", completions=6, parallelism=3)
    spec, pod = body["spec"], body["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 6, 3)
    assert spec["backoffLimitPerIndex"] == 6
    ignore, fail = spec["podFailurePolicy"]["rules"]
    assert (ignore["action"], ignore["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailIndex", [2])
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "distillery-scoring"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"] == {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}
    assert not any("KEY" in str(each) or "minio" in str(each) for each in container["env"])
    assert "kueue.x-k8s.io/queue-name" not in body["metadata"]["labels"]
    queued = manifest(plan, Place("n", "i", "", "team-a", {}), out="o", store="s", completions=1, parallelism=9)
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    for pods, indexes, least in ((9, 9, "1"), (1, 9, None), (9, 1, None)):  # Kueue refuses a least that is not below
        one = manifest(plan, Place("n", "i", "", "team-a", {}), out="o", store="s", completions=indexes, parallelism=pods)
        assert one["metadata"]["annotations"].get("kueue.x-k8s.io/job-min-parallelism") == least
    assert queued["spec"]["parallelism"] == 1


def test_its_name_is_its_content(plan: Plan) -> None:
    assert job_name(plan) == f"score-demo-{plan.job[:12]}"
    assert job_name(plan, "f" * 64) == f"score-demo-{plan.job[:12]}-ffffff"
    assert len(job_name(plan, "f" * 64)) < 57  # an index and a hyphen go with it in a pod's hostname


def test_where_from_environment_or_config_map(monkeypatch: pytest.MonkeyPatch) -> None:
    import components.scoring.manifest as module

    for name in ("DISTILLERY_NAMESPACE", "DISTILLERY_IMAGE_TORCH", "DISTILLERY_QUEUE", "DISTILLERY_STORE"):
        monkeypatch.delenv(name, raising=False)
    asked: list[str] = []

    def settings(namespace: str) -> dict[str, str]:
        asked.append(namespace)
        return {"DISTILLERY_IMAGE_TORCH": "torch:1", "DISTILLERY_QUEUE": "q", "DISTILLERY_STORE": "s3://b/m"}

    monkeypatch.setattr(module, "cluster_settings", settings)
    found = find_place("mine")
    assert (found.namespace, found.image, found.queue, found.store) == ("mine", "torch:1", "q", "s3://b/m")
    assert found.resources["requests"] == {"cpu": "200m", "memory": "1Gi"}
    monkeypatch.setenv("DISTILLERY_NAMESPACE", "distillery")
    monkeypatch.setenv("DISTILLERY_IMAGE_TORCH", "torch:2")
    monkeypatch.setenv("DISTILLERY_SCORING_RESOURCES", '{"requests": {"cpu": "4"}}')
    found = find_place()
    assert (found.namespace, found.image, asked) == ("distillery", "torch:2", ["mine"])
    assert found.resources["requests"] == {"cpu": "4", "memory": "1Gi"}
    for text in ("[]", "{", '{"requests": 1}'):
        monkeypatch.setenv("DISTILLERY_SCORING_RESOURCES", text)
        with pytest.raises(InputError, match="DISTILLERY_SCORING_RESOURCES"):
            find_place()


def test_submitted_twice_is_one_job(store: Store, plan: Plan, jobs: Jobs) -> None:
    first, second = submit(store, plan, PLACE), submit(store, plan, PLACE)
    assert (first.adopted, second.adopted, jobs.created) == (False, True, [job_name(plan)])
    assert first.out.uri == f"{store.uri}/scores/{plan.job}"


def test_what_is_done_is_not_run_again(store: Store, plan: Plan, jobs: Jobs) -> None:
    first = submit(store, plan, PLACE)
    do(first.out, plan, 0, 1, 4)
    end(jobs.jobs[first.name], "Failed")
    again = submit(store, plan, PLACE)
    assert again.left == [2, 3, 5]
    assert again.name != first.name
    body = jobs.jobs[again.name].body
    assert body["spec"]["completions"] == 3
    todo = next(each for each in body["spec"]["template"]["spec"]["containers"][0]["args"] if each.startswith("--todo="))

    def work(job: Any) -> None:
        do(first.out, plan, 2, 3, 5)
        job.status.completed_indexes = "0-2"
        end(job, "Complete")

    jobs.on_read = work
    said = Said()
    found = follow(again, said)
    assert (found["articles"], said.done[-1]) == (60, (60, "6 of 6"))
    assert todo.partition("=")[2] == jobs.jobs[again.name].metadata.annotations["llm-distillery.io/todo"]
    done = submit(store, plan, PLACE)
    assert (done.name, done.left) == ("", [])
    assert follow(done) == found


def test_a_job_that_ended_makes_room_for_one_of_its_name(store: Store, plan: Plan, jobs: Jobs) -> None:
    first = submit(store, plan, PLACE)
    end(jobs.jobs[first.name], "Failed")
    again = submit(store, plan, PLACE)
    assert (again.name, again.adopted, len(jobs.created)) == (first.name, False, 2)


def test_followed_to_its_end(store: Store, plan: Plan, jobs: Jobs) -> None:
    job = submit(store, plan, PLACE)
    steps = iter([(0,), (1, 2), (3, 4, 5)])
    completed: list[int] = []

    def work(seen: Any) -> None:
        completed.extend(fresh := next(steps))
        do(job.out, plan, *fresh)
        seen.status.completed_indexes = ",".join(map(str, completed))
        if len(completed) == 6:
            end(seen, "Complete")

    jobs.on_read = work
    said = Said()
    found = follow(job, said)
    assert [parts for _, parts in said.done] == ["1 of 6", "3 of 6", "6 of 6"]
    assert said.done[-1][0] == 60
    assert found["articles"] == 60
    assert success(job.out) == found


def dead_pod(code: int, message: str) -> Any:
    ended = SimpleNamespace(exit_code=code, message=message, reason="Error")
    status = SimpleNamespace(container_statuses=[SimpleNamespace(state=SimpleNamespace(terminated=ended, waiting=None))])
    return SimpleNamespace(metadata=SimpleNamespace(creation_timestamp=1), status=status)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [(2, InputError, "part 3: a.gz: is cut short; mend the corpus"), (137, Stopped, r"part 3 failed \(exit code 137\)")],
)
def test_a_part_that_failed(
    store: Store, plan: Plan, jobs: Jobs, pods: Pods, code: int, kind: type[Exception], says: str
) -> None:
    job = submit(store, plan, PLACE)
    pods.pods = [dead_pod(code, "log\nerror: a.gz: is cut short")]

    def work(seen: Any) -> None:
        do(job.out, plan, 0, 1, 2, 4, 5)
        seen.status.completed_indexes, seen.status.failed_indexes = "0-2,4,5", "3"
        end(seen, "Failed")

    jobs.on_read = work
    said = Said()
    with pytest.raises(kind, match=says):
        follow(job, said)
    assert said.notes == ["part 3 failed: a.gz: is cut short"]
    assert success(job.out) is None
    assert missing(job.out, plan) == [3]


def test_a_job_that_is_deleted_and_one_that_failed_without_a_word(store: Store, plan: Plan, jobs: Jobs, pods: Pods) -> None:
    job = submit(store, plan, PLACE)
    jobs.on_read = lambda seen: end(seen, "Failed", "Job has exceeded the specified maximal number of failed indexes")
    with pytest.raises(Stopped, match="maximal number of failed indexes"):
        follow(job)
    jobs.jobs.clear()
    with pytest.raises(Stopped, match="was deleted; the same command goes on"):
        follow(job)
    do(job.out, plan, *range(6))
    assert follow(job)["articles"] == 60  # deleted when all was there


def test_why_nothing_moves_is_said_once(
    store: Store, plan: Plan, jobs: Jobs, pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "STUCK_SECONDS", 0.0)
    job = submit(store, plan, PLACE)
    waiting = SimpleNamespace(reason="ImagePullBackOff", message="not there")
    status = SimpleNamespace(
        container_statuses=[SimpleNamespace(state=SimpleNamespace(terminated=None, waiting=waiting))], conditions=[]
    )
    pods.pods = [SimpleNamespace(status=status)]
    left = iter(range(4))

    def work(seen: Any) -> None:
        seen.status.ready = 0
        seen.spec.suspend = (number := next(left)) == 2
        if number == 3:
            end(seen, "Failed", "x")

    jobs.on_read = work
    said = Said()
    with pytest.raises(Stopped):
        follow(job, said)
    assert said.notes[:2] == ["nothing moves: ImagePullBackOff: not there", "nothing moves: the Job is suspended"]


def test_cancelled(store: Store, plan: Plan, jobs: Jobs) -> None:
    job = submit(store, plan, PLACE)
    do(job.out, plan, 0)
    assert cancel(plan, PLACE) == [job.name]
    assert (jobs.jobs, cancel(plan, PLACE)) == ({}, [])
    assert missing(job.out, plan) == [1, 2, 3, 4, 5]


def test_indexes_in_words() -> None:
    assert list(expand("0-2,5,7-8")) == [0, 1, 2, 5, 7, 8]
    assert list(expand(None)) == list(expand("")) == []


class TestWorker:
    """The process in a pod; the student is the test's."""

    @pytest.fixture(autouse=True)
    def _reader(self, monkeypatch: pytest.MonkeyPatch, store: Store, plan: Plan) -> None:
        import components.student.bundle as bundle
        from components.step import publish_filter

        monkeypatch.setattr(bundle, "open_bundle", lambda *_, **__: Loaded())
        monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
        publish_filter(store, FILTER)
        self.out = submit_only(store, plan)
        self.arguments = [f"--out={self.out.uri}", f"--store={store.uri}", f"--job={plan.job}"]

    def run(self, monkeypatch: pytest.MonkeyPatch, index: int, *more: str) -> int:
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        return worker.main([*self.arguments, *more])

    def test_scores_its_part_and_says_how_fast(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], plan: Plan
    ) -> None:
        assert self.run(monkeypatch, 2) == 0
        assert missing(self.out, plan) == [0, 1, 3, 4, 5]
        assert "/s on" in capsys.readouterr().out
        assert self.run(monkeypatch, 2) == 0
        assert capsys.readouterr().out == "part 2 is there already\n"

    def test_a_place_in_the_list_of_what_is_left(self, monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
        from components.scoring.plan import put_todo

        todo = put_todo(self.out, [1, 5])
        assert self.run(monkeypatch, 1, f"--todo={todo}") == 0
        assert missing(self.out, plan) == [0, 1, 2, 3, 4]

    def test_bad_input_is_2(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Store) -> None:
        (key,) = store.keys("inputs")
        store.put(key, b'{"content": "1 2 other"}\n')
        assert self.run(monkeypatch, 0) == 2
        assert "was changed" in capsys.readouterr().err

    def test_a_store_that_stays_away_is_1(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from components import objects_s3

        monkeypatch.setattr(objects_s3, "FIRST_CONTACT", 0.2)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert self.run(monkeypatch, 0) == 1


class Loaded(Reader):
    def predict(self, texts: Any, *more: Any, **facts: Any) -> Any:
        return super().predict([text for text in texts if text[1] != "a"], *more, **facts)


def submit_only(store: Store, plan: Plan) -> Store:
    from components.scoring.plan import begin

    out = open_store(f"{store.uri}/scores/{plan.job}")
    begin(out, plan)
    return out
