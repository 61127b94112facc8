"""Scoring objects: each file is scored once, whatever stops the operator, and the status says how far that is."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import distillery.components.scoring.cluster_jobs as cluster_jobs
import distillery.components.scoring.job as job_module
from distillery.components.articles.label_table import read_table
from distillery.components.artifacts.channel import Channel, Entry, serving
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.passes import Pass as Scored
from distillery.components.artifacts.passes import Passes
from distillery.components.artifacts.scores import ScoringPlan
from distillery.components.scoring.new_files import JobState
from distillery.components.scoring.passes import Begun
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store, open_store, s3_objects
from distillery.components.store.layout import PASSES, SCORING_PLAN, channel_key
from distillery.filters.filter import Filter
from distillery.filters.scoring import ScoringSpec
from distillery.pipelines.operator.decide import FOLLOW, IDLE, Wait
from distillery.pipelines.operator.reconcile import Pass
from distillery.pipelines.operator.scoring import ScoringWorld, reconcile_scoring
from distillery.pipelines.operator.scoring_decide import RETRY, Finish, Look, ScoringFacts, Submit, decide_scoring
from tests.drift.made import drawn, put_test
from tests.operator.world import START, Killed, Objects
from tests.scoring.played import PLACE, Jobs, do, end
from tests.scoring.test_score import FILTER
from tests.store.memory_s3 import MemoryS3

OLD, NEW = "a" * 64, "b" * 64


class Town:
    """A store with a promoted adapter, a corpus, a cluster that is played, and a clock."""

    def __init__(self, store: Store, jobs: Jobs) -> None:
        self.store, self.jobs, self.objects, self.at = store, jobs, Objects(), START
        self.world = self.fresh()

    def fresh(self) -> ScoringWorld:
        """A process that remembers nothing."""
        return ScoringWorld(self.store, self.objects, lambda: replace(PLACE, store=self.store.uri), clock=lambda: self.at)

    def promote(self, adapter: str, flt: Filter = FILTER) -> None:
        entry = Entry(adapter=adapter, verdict="c" * 64, filter=publish_filter(self.store, flt), action="promote", at="now")
        Channel(current=serving(entry), history=[entry]).put(self.store, channel_key(flt.name, "production"))

    def add(self, *names: str, rows: int = 4, shifted: float = 0) -> None:
        for seed, name in enumerate(names):
            scores = drawn(seed + len(name), rows, shifted=shifted).tolist()
            lines = [json.dumps({"id": f"{name} {n}", "content": f"{a} {b} text of {name}"}) for n, (a, b) in enumerate(scores)]
            self.store.put(f"in/{name}.jsonl", "\n".join(lines).encode())

    def apply(self, **spec: Any) -> None:
        given = {"filters": [{"name": "demo"}], "corpus": f"{self.store.uri}/in", "out": f"{self.store.uri}/out", **spec}
        head = {"apiVersion": "llm-distillery.io/v1alpha1", "kind": "Scoring", "metadata": {"name": "news"}}
        self.objects.apply(json.dumps({**head, "spec": given}))

    def look(self) -> Pass:
        value = self.objects.get("distillery", "news")
        assert value
        return reconcile_scoring(self.world, value)

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.objects.objects["distillery", "news"]["status"]
        return status

    def condition(self, kind: str) -> tuple[str, str] | None:
        rows = {row["type"]: (row["status"], row["reason"]) for row in self.status["conditions"]}
        return rows.get(kind)

    def work(self, *parts: int, ends: str = "Complete") -> None:
        """Pods do parts of the only Job that goes on, all by default; then it ends."""
        (job,) = [one for one in self.jobs.jobs.values() if not one.status.conditions]
        out = open_store(job.metadata.annotations["llm-distillery.io/scores"])
        plan = Plan.of(ScoringPlan.load(out, SCORING_PLAN))
        do(out, plan, *(parts or range(plan.shards)))
        end(job, ends, "too many indexes failed" if ends == "Failed" else "")
        job.status.start_time = datetime.fromtimestamp(self.at - 10, UTC)
        job.status.conditions[0].last_transition_time = datetime.fromtimestamp(self.at, UTC)

    def ids(self, name: str = "demo") -> Counter[str]:
        """Ids of the articles of the passes that count."""
        out = open_store(f"{self.store.uri}/out/{name}")
        now = Passes.load(out, PASSES).now
        assert now
        keys = [key for each in now.ended for key in out.keys(each.folder) if "/part-" in key and key.endswith(".parquet")]
        return Counter(id for key in keys for id in read_table(out.get(key))["id"].to_pylist())


@pytest.fixture
def town(monkeypatch: pytest.MonkeyPatch) -> Town:
    jobs, bucket = Jobs(), f"bucket-{uuid.uuid4().hex}"  # a name of its own: open_bucket keeps those that it has opened
    client = MemoryS3()
    monkeypatch.setattr(s3_objects, "make_client", lambda: client)
    for module in (job_module, cluster_jobs):
        monkeypatch.setattr(module, "batch", lambda: jobs)
    found = Town(open_store(f"s3://{bucket}/some/prefix"), jobs)
    found.promote(OLD)
    return found


def wanted(*names: str, rows: int = 4) -> Counter[str]:
    return Counter(f"{name} {n}" for name in names for n in range(rows))


def test_files_that_come_are_scored_once_when_the_schedule_says(town: Town) -> None:
    town.add("a", "b")
    town.apply(schedule="0 * * * *")
    first = town.look()
    assert (first.done, first.seconds) == (("Look demo", "Submit demo"), FOLLOW)
    assert town.condition("Ready") == ("False", "Running")
    assert town.condition("Reconciling") == ("True", "Running")
    assert town.look().done == ()
    assert len(town.jobs.created) == 1
    town.work()
    assert town.look().done == ("Finish demo",)
    assert town.condition("Ready") == ("True", "UpToDate")
    assert town.condition("Reconciling") is None
    status = town.status
    assert (status["articles"], status["phase"]) == (8, "UpToDate")
    (row,), (scored,) = status["filters"], status["history"]
    assert (row["name"], row["articles"], row["passes"], row["adapter"]) == ("demo", 8, 1, OLD)
    assert (scored["files"], scored["articles"], scored["perSecond"], scored["number"]) == (2, 8, 0.8, 1)
    assert sum(scored["tiers"].values()) == 8
    town.add("c", "d", "e")
    assert town.look().done == (), "the hour is not full"
    town.at += 3600
    assert town.look().done == ("Look demo", "Submit demo")
    (job,) = [one for one in town.jobs.jobs.values() if not one.status.conditions]
    assert job.body["spec"]["completions"] == 3, "three files are three parts"
    town.work()
    town.look()
    assert town.ids() == wanted("a", "b", "c", "d", "e")
    assert (town.status["articles"], len(town.status["history"]), town.status["history"][0]["number"]) == (20, 2, 2)
    assert len(town.jobs.created) == 2
    before = town.objects.writes
    town.at += 3600
    assert town.look().done == ("Look demo",)
    assert town.objects.writes == before, "a status that says the same is not written"


def test_another_process_goes_on_where_the_first_one_was(town: Town) -> None:
    town.add("a", "b")
    town.apply()
    for stop in ("put_status", "", ""):
        if stop:
            town.objects.before = _dies
            with pytest.raises(Killed):
                town.look()
            town.objects.before = lambda what: None
        town.world = town.fresh()
        town.look()
    assert len(town.jobs.created) == 1
    town.work(0, ends="Failed")
    town.world = town.fresh()
    town.look()
    assert town.condition("Ready") == ("False", "Retrying")
    town.at += RETRY + 1
    assert town.look().done == ("Submit demo",)
    assert len(town.jobs.created) == 2
    (job,) = [one for one in town.jobs.jobs.values() if not one.status.conditions]
    assert job.body["spec"]["completions"] == 1, "the part that is there stays"
    out = open_store(job.metadata.annotations["llm-distillery.io/scores"])
    do(out, Plan.of(ScoringPlan.load(out, SCORING_PLAN)), 1)
    end(job, "Complete")
    town.look()
    assert town.ids() == wanted("a", "b")


def _dies(what: str) -> None:
    raise Killed


def test_a_job_that_somebody_deletes_is_started_again_for_what_is_left(town: Town) -> None:
    town.add("a", "b")
    town.apply()
    town.look()
    town.jobs.jobs.clear()
    assert town.look().done == ("Submit demo",)
    assert len(town.jobs.created) == 2
    town.work()
    town.look()
    assert town.ids() == wanted("a", "b")


def test_after_a_promotion_all_is_scored_again_at_once_and_counts_when_done(town: Town) -> None:
    town.add("a")
    town.apply()
    town.look()
    town.work()
    town.look()
    town.promote(NEW)
    assert town.look().done == ("Look demo", "Submit demo")
    assert town.status["filters"][0]["adapter"] == OLD
    town.work()
    town.look()
    assert (town.status["filters"][0]["adapter"], town.status["articles"]) == (NEW, 4)
    assert town.status["filters"][0]["current"].endswith(f"/out/demo/{NEW[:12]}")


def test_suspended_begins_nothing_and_ends_what_goes_on(town: Town) -> None:
    town.add("a")
    town.apply(suspend=True)
    assert town.look().done == ()
    assert town.condition("Ready") == ("True", "Suspended")
    town.apply()
    town.look()
    town.apply(suspend=True)
    town.work()
    assert town.look().done == ("Finish demo",)
    town.add("b")
    town.at += 7200
    assert town.look().done == ()
    assert town.ids() == wanted("a")


def test_a_filter_that_cant_be_scored_stops_no_other(town: Town) -> None:
    town.add("a")
    town.apply(filters=[{"name": "nobody"}, {"name": "demo"}])
    assert town.look().done == ("Look demo", "Submit demo")
    town.work()
    town.look()
    assert town.ids() == wanted("a")
    assert town.condition("Ready") == ("False", "NothingPromoted")
    assert town.condition("Stalled") == ("True", "NothingPromoted")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"corpus": "/data"}, "spec.corpus"),
        ({"schedule": "at noon"}, "spec.schedule: has 2 fields"),
        ({"filters": []}, "spec.filters: is empty"),
        ({"shards": 3}, 'spec: unknown key "shards"'),
    ],
)
def test_an_object_that_is_wrong_says_so_and_does_nothing(town: Town, spec: dict[str, Any], says: str) -> None:
    town.apply(**spec)
    town.objects.objects["distillery", "news"]["status"] = {"conditions": "poison", "articles": 7}
    passed = town.look()
    assert passed.trouble
    assert says.rpartition(": ")[2] in passed.trouble.message
    assert town.condition("Valid") == ("False", "Invalid")
    assert town.condition("Stalled") == ("True", "Invalid")
    assert town.jobs.created == []


def test_a_corpus_that_is_not_there_is_told_and_looked_for_again(town: Town) -> None:
    town.apply()
    passed = town.look()
    assert passed.trouble
    assert (passed.trouble.reason, passed.seconds) == ("BadInput", IDLE)
    assert "no such object" in passed.trouble.message
    town.add("a")
    assert town.look().done == ("Look demo", "Submit demo")


def test_a_corpus_of_shifted_topics_is_drifted(town: Town) -> None:
    put_test(town.store, drawn(1, 200))
    town.add("monday", rows=300)
    town.apply()
    town.look()
    town.work()
    town.look()
    assert town.condition("Drifted") == ("False", "ScoresSteady")
    town.add("tuesday", rows=300, shifted=3)
    town.at += 3600
    town.look()
    town.work()
    town.look()
    assert town.condition("Drifted") == ("True", "ScoresDrifted")
    assert any("benefit" in row["message"] for row in town.status["conditions"] if row["type"] == "Drifted")


# ---- the decision alone ------------------------------------------------------------------------------------------------

SPEC = ScoringSpec.model_validate({"filters": [{"name": "demo"}], "corpus": "s3://b/in", "out": "s3://b/out"})
LISTED = Passes(filter="demo", corpus="s3://b/in")
BEGUN: Any = Begun("a", Scored(number=1, folder="a/1", job="a" * 64, adapter=OLD, files=1), None)  # type: ignore[arg-type]
NOW = datetime(2027, 3, 10, 14, 37, tzinfo=UTC).timestamp()
FAILED = JobState("failed", datetime.fromtimestamp(NOW - 60, UTC))


def facts(**more: Any) -> ScoringFacts:
    return ScoringFacts(**{"name": "demo", "channel": "production", "adapter": OLD, "listed": LISTED, **more})


@pytest.mark.parametrize(
    ("schedule", "seconds"), [("* * * * *", 30.0), ("38,40 * * * *", 30.0), ("41 * * * *", 210.0), ("0 * * * *", IDLE)]
)
def test_it_looks_again_when_the_schedule_says(schedule: str, seconds: float) -> None:
    spec = SPEC.model_copy(update={"schedule": schedule})
    assert decide_scoring(facts(looked=NOW + 20, looked_for=OLD), spec, NOW + 30) == Wait(seconds)


@pytest.mark.parametrize(
    ("known", "suspend", "action"),
    [
        ({}, False, Look()),
        ({}, True, Wait(IDLE)),
        ({"adapter": ""}, False, Wait(IDLE)),
        ({"looked": NOW - 60, "looked_for": OLD}, False, Wait(IDLE)),
        ({"looked": NOW - 3600, "looked_for": OLD}, False, Look()),
        ({"looked": NOW - 60, "looked_for": NEW}, False, Look()),
        ({"begun": BEGUN, "left": 1}, False, Submit()),
        ({"begun": BEGUN, "left": 1}, True, Submit()),
        ({"begun": BEGUN, "left": 0}, False, Finish()),
        ({"begun": BEGUN, "left": 0, "job": FAILED}, False, Finish()),
        ({"begun": BEGUN, "job": JobState("running")}, False, Wait(FOLLOW)),
        ({"begun": BEGUN, "left": 1, "job": FAILED}, False, Wait(IDLE)),
        ({"begun": BEGUN, "left": 1, "job": FAILED._replace(at=datetime.fromtimestamp(NOW - RETRY, UTC))}, False, Submit()),
        ({"begun": BEGUN, "left": 1, "job": JobState("ended")}, False, Submit()),
    ],
)
def test_what_is_done_next(known: dict[str, Any], suspend: bool, action: object) -> None:
    spec = SPEC.model_copy(update={"suspend": suspend})
    assert decide_scoring(facts(**known), spec, NOW) == action
