"""Filters of one Scoring object share a Job where they score the same files: each is read once, and none waits for another."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import distillery.components.scoring.job as job_module
import distillery.components.scoring.worker as worker
import distillery.components.student.bundle as bundle
import distillery.components.student.token_cache as token_cache
from distillery.components.scoring.corpus import Corpus
from distillery.components.scoring.job_manifest import Place
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store
from distillery.components.student.memory import Need
from distillery.filters.errors import InputError
from distillery.pipelines.operator.decide import FOLLOW
from tests.operator.test_scoring import NEW, OLD, Town, town, wanted
from tests.scoring.played import end
from tests.scoring.test_score import FILTER, Reader
from tests.scoring.test_several_filters import OTHER

__all__ = ["town"]

MIB = 2**20
BOTH = [{"name": "demo"}, {"name": "other"}]


class Student(Reader):
    """A student that a worker opens, and asks for a first text."""

    def predict(self, texts: Any, *more: Any, **facts: Any) -> Any:
        return super().predict([text for text in texts if text[1] != "a"], *more, **facts)


def needs(weights: int) -> Need:
    """What a student takes of a pod of 1 GiB; libraries and activations are needed once."""
    return Need("score", libraries=500 * MIB, weights=weights * MIB, adapter=10 * MIB, activations=200 * MIB)


@pytest.fixture
def both(town: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
    """Two filters that serve, and pods with room for two students."""
    town.promote(OLD, OTHER)
    limits = {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    town.world.place = lambda: Place("distillery", "localhost/image:1", town.store.uri, "", limits, limits)
    monkeypatch.setattr(job_module, "memory_need", lambda *_: needs(100))
    return town


def pods(town: Town, monkeypatch: pytest.MonkeyPatch, *, opened: Any = lambda *_, **__: Student()) -> list[int]:
    """Run the worker of each index of every Job that goes on; return the exit codes."""
    monkeypatch.setattr(bundle, "open_bundle", opened)
    monkeypatch.setattr(token_cache, "Sharing", lambda student, cache: student)
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    codes = list[int]()
    for job in [one for one in town.jobs.jobs.values() if not one.status.conditions]:
        arguments = job.body["spec"]["template"]["spec"]["containers"][0]["args"]
        of_job = list[int]()
        for index in range(job.body["spec"]["completions"]):
            monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
            try:
                of_job.append(worker.main(arguments))
            except RuntimeError:  # as a process it ends with 1
                of_job.append(1)
        end(job, "Failed" if any(of_job) else "Complete")
        job.status.start_time = job.status.conditions[0].last_transition_time = datetime.fromtimestamp(town.at, UTC)
        codes += of_job
    return codes


def files(store: Store, name: str) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.keys(f"out/{name}") if "/part-" in key}


def test_two_filters_over_the_same_files_are_one_job_that_reads_them_once(both: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    both.add("a", "b")
    both.apply(filters=BOTH)
    passed = both.look()
    assert passed.done == ("Look demo", "Look other", "Submit demo", "Submit other")
    assert passed.seconds == FOLLOW
    assert len(both.jobs.created) == 1
    assert both.condition("Ready") == ("False", "Running")
    assert both.look().done == ()

    read, real = list[int](), Corpus.open
    monkeypatch.setattr(Corpus, "open", lambda self, file: (read.append(file), real(self, file))[1])
    assert pods(both, monkeypatch) == [0, 0]
    assert sorted(read) == [0, 1]
    assert both.look().done == ("Finish demo", "Finish other")
    assert both.ids("demo") == both.ids("other") == wanted("a", "b")
    assert [row["articles"] for row in both.status["filters"]] == [8, 8]
    assert both.condition("Ready") == ("True", "UpToDate")


def test_the_parts_are_the_bytes_of_jobs_of_their_own(both: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    both.add("a", "b")
    both.apply(filters=BOTH)
    both.look()
    pods(both, monkeypatch)
    together = [files(both.store, name) for name in ("demo", "other")]
    for key in [*both.store.keys("out")]:
        both.store.delete(key)
    both.jobs.jobs.clear()
    monkeypatch.setattr(job_module, "memory_need", lambda *_: None)
    both.world.looked.clear()
    assert both.look().done == ("Look demo", "Look other", "Submit demo", "Submit other")
    assert len(both.jobs.jobs) == 2
    pods(both, monkeypatch)
    assert all(together)
    assert [files(both.store, name) for name in ("demo", "other")] == together


@pytest.mark.parametrize("need", [None, needs(250)], ids=["unknown", "too much for one pod"])
def test_what_does_not_fit_one_pod_has_a_job_of_its_own(both: Town, monkeypatch: pytest.MonkeyPatch, need: Need | None) -> None:
    monkeypatch.setattr(job_module, "memory_need", lambda *_: need)
    both.add("a")
    both.apply(filters=BOTH)
    both.look()
    assert len(both.jobs.created) == 2


def test_a_filter_that_begins_again_after_a_promotion_has_other_files_and_its_own_job(
    both: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.add("a")
    both.apply(filters=BOTH)
    both.look()
    pods(both, monkeypatch)
    both.look()
    both.promote(NEW, OTHER)
    both.add("b")
    assert both.look().done == ("Look other", "Submit other")
    (job,) = [one for one in both.jobs.jobs.values() if not one.status.conditions]
    assert job.body["spec"]["completions"] == 2, "all files again"
    pods(both, monkeypatch)
    both.look()
    both.at += 3600
    both.look()
    pods(both, monkeypatch)
    both.look()
    assert both.ids("demo") == both.ids("other") == wanted("a", "b")


@pytest.mark.parametrize("first", [True, False], ids=["the first", "another"])
@pytest.mark.parametrize(("fault", "code"), [(InputError("is damaged", where="adapter"), 2), (RuntimeError("shapes"), 1)])
def test_a_student_that_cant_be_opened_stops_no_other(
    both: Town, monkeypatch: pytest.MonkeyPatch, first: bool, fault: Exception, code: int
) -> None:
    bad, good = ("demo", "other") if first else ("other", "demo")

    def opened(store: Store, name: str, *_: Any, **__: Any) -> Student:
        if name == bad:
            raise fault
        return Student()

    both.add("a", "b")
    both.apply(filters=BOTH)
    both.look()
    assert pods(both, monkeypatch, opened=opened) == [code, code]
    assert both.look().done == (f"Finish {good}",)
    assert both.ids(good) == wanted("a", "b")
    assert both.condition("Ready") == ("False", "Retrying")


@pytest.mark.parametrize("name", ["demo", "other"])
def test_a_plan_that_is_gone_stops_no_other(both: Town, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    both.add("a")
    both.apply(filters=BOTH)
    both.look()
    (key,) = [key for key in both.store.keys(f"out/{name}") if key.endswith("_job/plan.json")]
    both.store.delete(key)
    assert pods(both, monkeypatch) == [2]
    (other,) = {"demo", "other"} - {name}
    assert files(both.store, other)
    assert not files(both.store, name)


def test_a_job_that_is_refused_for_both_is_tried_for_each(both: Town) -> None:
    real = both.jobs.create_namespaced_job

    def create(namespace: str, body: dict[str, Any], **more: Any) -> Any:
        if any(name.startswith("also.") for name in body["metadata"]["labels"]):
            raise InputError("no quota", where="Job")
        return real(namespace, body, **more)

    both.jobs.create_namespaced_job = create  # type: ignore[method-assign]
    both.add("a")
    both.apply(filters=BOTH)
    assert both.look().done == ("Look demo", "Look other", "Submit demo", "Submit other")
    assert len(both.jobs.created) == 2


def test_an_operator_that_dies_after_the_job_was_made_finds_it_for_both(both: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    both.add("a", "b")
    both.apply(filters=BOTH)
    both.look()
    place = both.world.place
    both.world = replace(both.fresh(), place=place)
    assert both.look().done == ()
    assert len(both.jobs.created) == 1
    both.jobs.jobs.clear()
    assert both.look().done == ("Submit demo", "Submit other")
    assert pods(both, monkeypatch) == [0, 0]
    both.look()
    assert both.ids("demo") == both.ids("other") == wanted("a", "b")


def test_filters_share_a_job_only_over_the_same_parts(both: Town) -> None:
    both.add("a")
    both.apply(filters=BOTH)
    both.look()
    (job,) = both.jobs.jobs.values()
    assert job.metadata.annotations["also.llm-distillery.io/other"].startswith(f"{both.store.uri}/out/other/")
    plan = _plan()
    assert plan.same_parts(replace(plan, filter="other"))
    for other in ({"shards": 2}, {"code": "localhost/image:2"}, {"file_bytes": 7}):
        assert not plan.same_parts(replace(plan, filter="other", **other)), other
    assert not plan.same_parts(plan)


def _plan() -> Plan:
    return Plan(FILTER.name, 3, "key", FILTER.dimensions, OLD, Corpus("s3://b/in", []), 1, "parquet", "localhost/image:1")


def test_the_label_names_the_job_that_also_works_for_a_filter(both: Town) -> None:
    both.add("a")
    both.apply(filters=BOTH)
    both.look()
    (job,) = both.jobs.jobs.values()
    labels = job.body["metadata"]["labels"]
    assert labels["llm-distillery.io/filter"] == "demo"
    assert len(labels["also.llm-distillery.io/other"]) == 40
    assert json.dumps(job.body), "a plain object"
