"""Whoever is told of runs is told how a scoring ended, and a webhook that is away changes nothing of it."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.components.runtime.notify import Ended, message
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring import notice
from distillery.components.scoring.notice import announced
from distillery.filters.errors import InputError

OUTPUTS = {"scored": 1200, "prefiltered": 30, "rejected": 2, "tiers": {"high": 200, "low": 1000}, "scores": "s3://b/scores/1"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Ended]:
    found = list[Ended]()

    def tell(ended: Ended, progress: Progress) -> bool:
        found.append(ended)
        return False

    monkeypatch.setattr(notice, "tell", tell)
    return found


def test_a_scoring_that_ended_well_is_told_with_its_scores(told: list[Ended]) -> None:
    with announced("demo", "run-1", quiet) as outputs:
        outputs |= OUTPUTS
    (ended,) = told
    assert (ended.event, ended.verdict, ended.report) == ("scoring.ended", "scored", "s3://b/scores/1")
    assert ended.sentence == "Scored 1,200 articles (200 high, 1,000 low); 30 left out by the prefilter, 2 rejected."
    plain = message(ended, {"DISTILLERY_NOTIFY_LINK": "https://reports/{run}"})
    assert (plain["event"], plain["report"]) == ("scoring.ended", "s3://b/scores/1"), "not the page of a report"
    slack = message(ended, {"DISTILLERY_NOTIFY_FORM": "slack"})["text"]
    assert slack.endswith("\nscores: s3://b/scores/1")


@pytest.mark.parametrize("error", [InputError("there is no such corpus", where="s3://b/corpus"), RuntimeError("two\nlines")])
def test_a_scoring_that_failed_is_told_and_fails_as_it_did(error: Exception, told: list[Ended]) -> None:
    with pytest.raises(type(error)), announced("demo", "run-1", quiet):
        raise error
    (ended,) = told
    assert (ended.event, ended.verdict) == ("scoring.ended", "failed")
    assert ended.sentence.startswith("The scoring failed: ")
    assert "\n" not in ended.sentence
    card: dict[str, Any] = message(ended, {"DISTILLERY_NOTIFY_FORM": "teams"})
    assert card["attachments"][0]["content"]["body"][1]["text"] == "scores: none"


def test_one_that_was_cancelled_is_not_told(told: list[Ended]) -> None:
    with pytest.raises(SystemExit), announced("demo", "run-1", quiet):
        raise SystemExit(143)
    assert told == []
