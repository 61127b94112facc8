"""The Job as Kubernetes gets it, and how it is started once, adopted, gone on with, followed and deleted; the API is played."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import distillery.components.scoring.job as cluster
from distillery.components.scoring.cluster_jobs import cancel
from distillery.components.scoring.cluster_plan import plan_on_cluster
from distillery.components.scoring.completion import missing, success
from distillery.components.scoring.job import expand, follow, submit
from distillery.components.scoring.job_manifest import RESOURCES, Place, find_place, job_manifest, job_name
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store, open_store
from distillery.filters.errors import InputError, Stopped
from tests.scoring.played import ADAPTER, PLACE, Jobs, Pods, Said, dead_pod, do, end
from tests.scoring.test_score import FILTER


def test_a_local_file_is_put_into_the_store_once(store: Store, plan: Plan, tmp_path: Path) -> None:
    keys = list(store.keys("inputs"))
    assert [key.rpartition("/")[2] for key in keys] == ["a-corpus.jsonl"]
    assert plan.corpus.where.startswith(f"{store.uri}/inputs/")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"is a folder on this machine|has no files"):
        plan_on_cluster(store, FILTER, ADAPTER, str(tmp_path / "folder"), PLACE)
    with pytest.raises(InputError, match="no place that a cluster reaches"):
        plan_on_cluster(open_store(str(tmp_path / "s")), FILTER, ADAPTER, str(tmp_path / "a corpus.jsonl"), PLACE)


def test_the_job_is_what_it_must_be(plan: Plan) -> None:
    body = job_manifest(plan, PLACE, out="s3://b/out", store="s3://b/main", completions=6, parallelism=3)
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
    queued = job_manifest(plan, Place("n", "i", "", "team-a", {}), out="o", store="s", completions=1, parallelism=9)
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    for pods, indexes, least in ((9, 9, "1"), (1, 9, None), (9, 1, None)):  # Kueue refuses a least that is not below
        one = job_manifest(plan, Place("n", "i", "", "team-a", {}), out="o", store="s", completions=indexes, parallelism=pods)
        assert one["metadata"]["annotations"].get("kueue.x-k8s.io/job-min-parallelism") == least
    assert queued["spec"]["parallelism"] == 1


def test_its_name_is_its_content(plan: Plan) -> None:
    name = job_name(plan, "s3://b/out")
    assert re.fullmatch(rf"score-demo-{plan.job[:12]}-[0-9a-f]{{6}}", name)
    assert job_name(plan, "s3://b/out", "f" * 64) == f"{name}-ffffff"
    assert job_name(plan, "s3://b/elsewhere") != name
    longest = replace(plan, filter="f" * 63)
    assert len(f"{job_name(longest, 's3://b/out', 'f' * 64)}-99999") <= 63  # a pod's hostname: its index goes with it


def test_where_from_environment_or_config_map(monkeypatch: pytest.MonkeyPatch) -> None:
    import distillery.components.scoring.job_manifest as module

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
    assert (first.adopted, second.adopted, jobs.created) == (False, True, [job_name(plan, first.out.uri)])
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
    assert (found.articles, said.done[-1]) == (60, (60, "6 of 6"))
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
    assert found.articles == 60
    assert success(job.out, plan.job) == found


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [(2, InputError, "part 3: a.gz: is cut short; fix that"), (137, Stopped, r"part 3 failed \(exit code 137\)")],
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
    assert success(job.out, plan.job) is None
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
    assert follow(job).articles == 60  # deleted when all was there


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
    assert cancel(PLACE, job.out.uri, plan) == [job.name]
    assert (jobs.jobs, cancel(PLACE, job.out.uri, plan)) == ({}, [])
    assert missing(job.out, plan) == [1, 2, 3, 4, 5]


def test_indexes_in_words() -> None:
    assert list(expand("0-2,5,7-8")) == [0, 1, 2, 5, 7, 8]
    assert list(expand(None)) == list(expand("")) == []


def test_a_pod_gets_the_memory_that_its_student_takes() -> None:
    plain = Place("n", "i", "", "", RESOURCES)
    assert plain.for_student(0) is plain
    assert plain.for_student(2**30).resources["limits"] == {"cpu": "1", "memory": "2Gi"}
    grown = plain.for_student(5 * 2**30)
    assert (grown.resources["requests"]["memory"], grown.resources["limits"]["memory"]) == ("5120Mi", "5120Mi")
    stated = replace(plain, given={"limits": {"memory": "8Gi"}})
    assert stated.for_student(5 * 2**30).resources["limits"]["memory"] == "8Gi"
    with pytest.raises(InputError, match=r"limits.memory is 8Gi, and scoring takes about 9\.0 GiB"):
        stated.for_student(9 * 2**30)


def test_a_pod_that_was_killed_for_memory_says_so(plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended = SimpleNamespace(exit_code=137, reason="OOMKilled", message="some last line of its log")
    pod = SimpleNamespace(
        metadata=SimpleNamespace(creation_timestamp=1),
        status=SimpleNamespace(container_statuses=[SimpleNamespace(state=SimpleNamespace(terminated=ended))], conditions=[]),
    )
    place = Place("n", "i", "", "", RESOURCES)
    submitted = cluster.Submitted(plan, open_store(str(tmp_path / "o")), place, "job", [0], False)
    follower = cluster._Follower(submitted, Said())
    follower.order = [0]
    monkeypatch.setattr(follower, "pods", lambda *_: [pod])
    code, words = follower.last_words(0)
    assert code == 137
    assert words.startswith("killed for memory, it took more than 2Gi: raise limits.memory of DISTILLERY_SCORING_RESOURCES")
    ended.reason = "Error"
    assert follower.last_words(0) == (137, "some last line of its log")
