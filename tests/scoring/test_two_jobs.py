"""Two Jobs of one filter: each keeps to its own place, is adopted and ended by its address; the second is told of the first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import distillery.components.scoring.job as cluster
from distillery.components.artifacts.filter import read_filter
from distillery.components.scoring.cluster_jobs import cancel, unfinished
from distillery.components.scoring.cluster_plan import plan_on_cluster
from distillery.components.scoring.job import follow, submit
from distillery.components.scoring.job_manifest import Also, job_name
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store, digest_bytes
from distillery.filters.errors import InputError
from distillery.filters.loading import dump_filter
from tests.scoring.played import ADAPTER, PLACE, Jobs, Said, do, end
from tests.scoring.test_score import FILTER


def elsewhere(store: Store) -> str:
    return f"{store.uri}/elsewhere"


def test_the_same_inputs_into_another_place_are_another_job(store: Store, plan: Plan, jobs: Jobs) -> None:
    first, second = submit(store, plan, PLACE), submit(store, plan, PLACE, out=f"{elsewhere(store)}/")
    assert (second.adopted, len(jobs.created)) == (False, 2)
    assert [job_name(plan, each.out.uri) for each in (first, second)] == jobs.created
    assert submit(store, plan, PLACE, out=elsewhere(store)).adopted

    def work(job: Any) -> None:
        do(second.out, plan, *range(6))
        job.status.completed_indexes = "0-5"
        end(job, "Complete")

    jobs.on_read = work
    assert follow(second).articles == 60
    assert not first.out.exists("_SUCCESS")


def test_each_is_ended_by_its_own_address(store: Store, plan: Plan, jobs: Jobs) -> None:
    first, second = submit(store, plan, PLACE), submit(store, plan, PLACE, out=elsewhere(store))
    assert cancel(PLACE, second.out.uri, replace(plan, adapter="b" * 64)) == []
    assert cancel(PLACE, second.out.uri, plan) == [second.name]
    assert list(jobs.jobs) == [first.name]
    third = submit(store, replace(plan, adapter="b" * 64), PLACE, out=f"{store.uri}/third")
    assert cancel(PLACE, third.out.uri) == [third.name], "whatever its inputs"


def test_one_that_ended_or_is_being_deleted_is_no_match(store: Store, plan: Plan, jobs: Jobs) -> None:
    job = submit(store, plan, PLACE)
    jobs.jobs[job.name].metadata.deletion_timestamp = "now"
    assert (unfinished(PLACE), cancel(PLACE, job.out.uri)) == ([], [])
    jobs.jobs[job.name].metadata.deletion_timestamp = None
    end(jobs.jobs[job.name], "Failed")
    assert (unfinished(PLACE, "demo"), cancel(PLACE, job.out.uri)) == ([], [])
    assert jobs.jobs.keys() == {job.name}, "its pods' logs stay"


def test_one_of_this_name_that_scores_elsewhere_is_not_adopted(
    store: Store, plan: Plan, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another submitter starts it in the same moment, where six digits of its place are the same."""
    job = submit(store, plan, PLACE)
    jobs.jobs[job.name].metadata.annotations["llm-distillery.io/scores"] = "s3://b/other"
    monkeypatch.setattr(cluster, "unfinished", lambda *_: [])
    with pytest.raises(InputError, match=rf"Job {job.name}: scores into s3://b/other; .*--cancel --out s3://b/other"):
        submit(store, plan, PLACE)
    jobs.jobs[job.name].metadata.annotations["llm-distillery.io/scores"] = job.out.uri
    assert submit(store, plan, PLACE).adopted


def test_another_unfinished_one_of_the_filter_is_named(store: Store, plan: Plan, jobs: Jobs) -> None:
    """As after a promotion, or with another image: the same command is another job then."""
    first = submit(store, plan, PLACE, progress=(said := Said()))
    assert said.notes == []
    submit(store, replace(plan, adapter="b" * 64), PLACE, progress=said)
    (note,) = said.notes
    assert first.name in note
    assert note.endswith(f"--cancel --out {first.out.uri} ends it")
    submit(store, replace(plan, filter="other"), PLACE, progress=(other := Said()))
    assert other.notes == []


def test_a_job_for_several_filters_is_named_and_ended_by_the_address_of_each(store: Store, plan: Plan, jobs: Jobs) -> None:
    other, out = replace(plan, filter="other"), elsewhere(store)
    first = submit(store, plan, PLACE, also=[Also(other, out)])
    assert submit(store, other, PLACE, out=out).name == first.name, "it is at it already"
    submit(store, replace(other, adapter="b" * 64), PLACE, progress=(said := Said()))
    assert said.notes[0].endswith(f"into {out}; --cancel --out {out} ends it")
    assert cancel(PLACE, out, plan) == [], "which is scored into another place"
    assert cancel(PLACE, out, other) == [first.name]


def test_a_job_whose_list_is_gone_is_said(store: Store, plan: Plan, jobs: Jobs) -> None:
    """Somebody has deleted the folder below a Job that does the rest of an earlier one."""
    first = submit(store, plan, PLACE)
    do(first.out, plan, 0)
    end(jobs.jobs[first.name], "Failed")
    second = submit(store, plan, PLACE)
    jobs.jobs[second.name].metadata.annotations["llm-distillery.io/todo"] = "0" * 64
    with pytest.raises(InputError, match=r"todo-0{64}.json: is there no more; end its Job"):
        follow(submit(store, plan, PLACE))


def test_the_filter_is_published_as_this_version_writes_it(store: Store, plan: Plan) -> None:
    """A filter that an earlier version published has another digest once a field has been added."""
    old = "".join(line for line in dump_filter(FILTER).splitlines(keepends=True) if "patience:" not in line)
    key = f"filters/demo/v3/{digest_bytes(old.encode())}.yaml"
    store.put(key, old.encode())
    flt = read_filter(store, key)
    (where,) = [f"{store.uri}/{each}" for each in store.keys("inputs")]
    planned = plan_on_cluster(store, flt, ADAPTER, where, PLACE)
    assert planned.filter_key != key
    assert read_filter(store, planned.filter_key) == flt


def test_who_cancels_writes_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text('{"content": "1 2 text"}\n')
    plan_on_cluster(store, FILTER, ADAPTER, str(tmp_path / "new.jsonl"), PLACE, upload=False)
    assert not list(store.keys())
