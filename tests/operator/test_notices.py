"""The webhook is told of each transition that people wait for: once, before the status, and again only after a restart."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.components.runtime.notify import Ended, message
from distillery.components.runtime.progress import Progress, quiet
from distillery.pipelines.operator.notices import TRIES, Notices
from distillery.pipelines.operator.reconcile import reconcile
from distillery.pipelines.operator.status import Told
from tests.gating.judged import TEXT
from tests.operator.world import Town
from tests.promotion.made import promoted

VALUE: dict[str, Any] = {"kind": "Filter", "metadata": {"name": "demo", "namespace": "news", "uid": "u", "generation": 3}}
AT = "2027-01-15T08:00:00Z"
STATUS = {"run": {"id": "run-7"}, "report": "s3://b/runs/run-7/report.html", "adapter": "a" * 64}


class Sent:
    def __init__(self) -> None:
        self.ended: list[Ended] = []

    def __call__(self, ended: Ended, progress: Progress, *, tries: int) -> bool:
        assert tries == TRIES
        self.ended.append(ended)
        return True

    @property
    def events(self) -> list[str]:
        return [ended.event for ended in self.ended]


def notices() -> tuple[Notices, Sent]:
    sent = Sent()
    return Notices(quiet, sent), sent


@pytest.mark.parametrize(
    ("told", "event"),
    [
        (Told("Normal", "Promoted", "a serves"), "filter.promoted"),
        (Told("Warning", "Rejected", "mae: 0.9"), "filter.rejected"),
        (Told("Normal", "AwaitingApproval", "a waits"), "filter.awaiting_approval"),
        (Told("Warning", "ApprovalRefused", "it fails"), "filter.approval_refused"),
        (Told("Warning", "ScoresDrifted", "overall"), "filter.drifted"),
        (Told("Warning", "BadInput", "no labels"), "filter.failed"),
        (Told("Warning", "Stopped", "killed"), "filter.failed"),
    ],
)
def test_what_people_wait_for_is_told(told: Told, event: str) -> None:
    teller, sent = notices()
    teller.tell(VALUE, [told], STATUS, AT)
    (ended,) = sent.ended
    assert (ended.event, ended.filter, ended.run, ended.report) == (event, "demo", "run-7", STATUS["report"])
    plain = message(ended, {"DISTILLERY_NOTIFY_LINK": "https://reports/{run}"})
    assert (plain["event"], plain["report"]) == (event, "https://reports/run-7")
    assert plain["text"] == f"demo: {told.reason}: {told.message}"


@pytest.mark.parametrize("reason", ["Ready", "Labeled", "Trained", "ReadyRunning", "PromotedNotYet", "DriftedScoresSteady"])
def test_what_nobody_waits_for_is_not_told(reason: str) -> None:
    teller, sent = notices()
    teller.tell(VALUE, [Told("Normal", reason, "x")], STATUS, AT)
    assert sent.ended == []


def test_two_conditions_that_say_the_same_are_one_notice_and_none_is_repeated() -> None:
    teller, sent = notices()
    both = [Told("Warning", "Rejected", "mae: 0.9"), Told("Warning", "Rejected", "mae: 0.9 (ready)")]
    for _ in range(3):  # the API server took no status meanwhile
        teller.tell(VALUE, both[:1], STATUS, AT)
    teller.tell(VALUE, both, {**STATUS}, AT)
    assert sent.events == ["filter.rejected"]
    again, more = notices()  # after a restart that came before the status was written
    again.tell(VALUE, both, STATUS, AT)
    assert more.events == ["filter.rejected"]


def test_a_scoring_tells_of_drift_in_its_own_name() -> None:
    teller, sent = notices()
    teller.tell({**VALUE, "kind": "Scoring"}, [Told("Warning", "ScoresDrifted", "overall")], {}, AT)
    assert sent.events == ["scoring.drifted"]
    assert message(sent.ended[0], {"DISTILLERY_NOTIFY_FORM": "slack"})["text"].endswith("report: none")


def test_a_promotion_is_told_once_however_often_the_object_is_looked_at(town: Town) -> None:
    promoted(town.store, 1)
    world = town.world()
    world.notices, sent = notices()
    labels = f"  data: {{labels: {town.labels}}}\n  oracle:"
    value = town.objects.apply(TEXT.replace("  oracle:", labels, 1))
    for _ in range(3):
        reconcile(world, value)  # the object as it was: its status is not seen
    reconcile(world, town.objects.list()[0])
    assert sent.events == ["filter.promoted"]
