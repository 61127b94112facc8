"""Kind `Scoring`: what it takes, what it refuses with which sentence, and cron expressions that fall due."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from distillery.filters.cluster_object import load_scoring_object
from distillery.filters.cron import NAMED, following, latest
from distillery.filters.document import read_document
from distillery.filters.errors import InputError
from distillery.filters.scoring import scoring_of
from tests.pipelines.harness import run_here

TEXT = """\
apiVersion: llm-distillery.io/v1alpha1
kind: Scoring
metadata: {name: news}
spec:
  filters: [{name: uplifting}, {name: investment-risk, channel: canary}]
  corpus: s3://bucket/incoming/news
  out: s3://bucket/scores/news
"""


def test_a_scoring_is_read_with_its_defaults() -> None:
    scoring = scoring_of(read_document(TEXT, "news.yaml"))
    assert (scoring.name, scoring.spec.schedule, scoring.spec.onPromotion) == ("news", "0 * * * *", "rescore")
    assert [(each.name, each.channel) for each in scoring.spec.filters] == [
        ("uplifting", "production"),
        ("investment-risk", "canary"),
    ]
    assert not scoring.spec.suspend


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("corpus:", "korpus:", r'news.yaml:6: spec.korpus: unknown key "korpus" .and 1 more.; did you mean "corpus"'),
        ("s3://bucket/incoming/news", "/data/news", r"news.yaml:6: spec.corpus: .* is not a valid name here; use s3://"),
        ("s3://bucket/incoming/news", "s3://bucket", r"news.yaml:6: spec.corpus: .*use s3://bucket/prefix"),
        ("s3://bucket/scores/news", "s3://bucket/incoming/news/scores", r"news.yaml:7: spec.out: lies within the corpus"),
        ("investment-risk", "uplifting", r'news.yaml:5: spec.filters\[1\].name: "uplifting" stands there twice'),
        ("  out:", "  schedule: 0 25 * * *\n  out:", r"news.yaml:7: spec.schedule: hour '25' is out of range"),
        ("  out:", "  schedule: 0 0 30 2 *\n  out:", r"news.yaml:7: spec.schedule: falls due on no day"),
        ("  out:", "  onPromotion: always\n  out:", r"news.yaml:7: spec.onPromotion: expects 'rescore' or 'new-only'"),
        ("kind: Scoring", "kind: Filter", r"news.yaml:2: kind: expects 'Scoring'"),
        ("  out: s3://bucket/scores/news\n", "", r"spec.out: is missing"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(old: str, new: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        scoring_of(read_document(TEXT.replace(old, new), "news.yaml"))


def test_lint_takes_scorings_and_tells_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(TEXT, "utf-8")
    assert run_here("filters", "lint", "good.yaml", cwd=tmp_path).out == "no findings\n"
    (tmp_path / "bad.yaml").write_text(TEXT.replace("corpus:", "korpus:").replace("canary}", "CANARY}"), "utf-8")
    ran = run_here("filters", "lint", "bad.yaml", "--json", cwd=tmp_path)
    assert ran.code == 2
    findings = json.loads(ran.out)["findings"]
    assert [(found["line"], found["message"].partition(":")[0]) for found in findings] == [
        (5, "spec.filters[1].channel"),
        (6, "spec.korpus"),
        (4, "spec.corpus"),
    ]


def test_an_object_of_a_cluster_is_read_alike() -> None:
    value: dict[str, Any] = {
        "apiVersion": "llm-distillery.io/v1alpha1",
        "kind": "Scoring",
        "metadata": {"name": "news", "namespace": "distillery", "uid": "x", "managedFields": [{}]},
        "spec": {"filters": [{"name": "uplifting"}], "corpus": "s3://b/in", "out": "s3://b/out"},
        "status": "torn",
    }
    assert load_scoring_object(value, "distillery/news").metadata.namespace == "distillery"
    value["spec"]["parallelism"] = 1.5
    with pytest.raises(InputError, match=r"distillery/news: spec.parallelism: expects a whole number"):
        load_scoring_object(value, "distillery/news")
    with pytest.raises(InputError, match="distillery/news"):
        load_scoring_object({"metadata": 3, "spec": None}, "distillery/news")


NOW = datetime(2027, 3, 10, 14, 37, 20, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("* * * * *", "2027-03-10 14:37"),
        ("0 * * * *", "2027-03-10 14:00"),
        ("*/15 * * * *", "2027-03-10 14:30"),
        ("40 * * * *", "2027-03-10 13:40"),
        ("0 3 * * *", "2027-03-10 03:00"),
        ("0 15 * * *", "2027-03-09 15:00"),
        ("0 0 * * SUN", "2027-03-07 00:00"),
        ("0 0 * * 7", "2027-03-07 00:00"),
        ("0 6 1 * *", "2027-03-01 06:00"),
        ("0 6 1 * MON", "2027-03-08 06:00"),
        ("30 4 29 FEB *", "2024-02-29 04:30"),
        ("5,50 8-10/2 * * *", "2027-03-10 10:50"),
        ("@daily", "2027-03-10 00:00"),
        ("0 0 30 2 *", None),
    ],
)
def test_when_an_expression_last_fell_due(text: str, last: str | None) -> None:
    found = latest(text, NOW)
    assert (found and f"{found:%Y-%m-%d %H:%M}") == last


@pytest.mark.parametrize(
    ("text", "next"),
    [
        ("* * * * *", "2027-03-10 14:38"),
        ("0 3 * * *", "2027-03-11 03:00"),
        ("37 14 * * *", "2027-03-11 14:37"),
        ("0 0 * * 7", "2027-03-14 00:00"),
        ("30 4 29 FEB *", "2028-02-29 04:30"),
        ("50,5 16-20/2 * * *", "2027-03-10 16:05"),
        ("0 0 30 2 *", None),
    ],
)
def test_when_an_expression_falls_due_next(text: str, next: str | None) -> None:
    found = following(text, NOW)
    assert (found and f"{found:%Y-%m-%d %H:%M}") == next
    assert found is None or latest(text, found) == found


def test_the_last_time_is_never_later_than_now_and_falls_due_again_at_itself() -> None:
    for hours in range(0, 24 * 40, 7):
        now = NOW + timedelta(hours=hours)
        for text in (*NAMED, "*/7 */5 * * *", "0 12 * * MON-FRI", "0 0 1,15 * 3"):
            found = latest(text, now)
            assert found is not None
            assert found <= now
            assert latest(text, found) == found
