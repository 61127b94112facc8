"""Recorded replies: the promised faults at their rates, and what the labeling step makes of them."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path

import pytest

from distillery.components.labeling.replies import parse
from tests.demo.generator.bank import DIMENSIONS
from tests.demo.generator.corpus import DemoArticle, generate
from tests.demo.generator.files import write_files
from tests.demo.generator.replies import ATTEMPTS, record

N = 4000


@pytest.fixture(scope="module")
def articles() -> dict[str, DemoArticle]:
    return {article.id: article for article in generate(N)}


@pytest.fixture(scope="module")
def replies(articles: dict[str, DemoArticle]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in record(articles.values()):
        assert row["attempt"] == len(found[row["id"]]) + 1
        found[row["id"]].append(row["reply"])
    return dict(found)


def readable(reply: str) -> dict[str, float] | None:
    try:
        return parse(reply, DIMENSIONS).scores
    except ValueError:
        return None


def test_every_article_has_a_reply(articles: dict[str, DemoArticle], replies: dict[str, list[str]]) -> None:
    assert set(replies) == set(articles)


def test_rates_of_dress_and_faults(replies: dict[str, list[str]]) -> None:
    first = [attempts[0] for attempts in replies.values()]
    share = {
        "fenced": sum("```" in reply for reply in first) / N,
        "bad escape": sum(r"\m" in reply or r"\'" in reply or r"\%" in reply or r"\d" in reply for reply in first) / N,
        "asked again": sum(len(attempts) > 1 for attempts in replies.values()) / N,
        "prose": sum(reply.rstrip()[-1] not in "}`" for reply in first) / N,
    }
    assert 0.50 <= share["fenced"] <= 0.60
    assert 0.02 <= share["bad escape"] <= 0.045
    assert 0.015 <= share["asked again"] <= 0.04
    assert 0.03 <= share["prose"] <= 0.10


def test_the_parser_reads_what_it_should_and_only_that(replies: dict[str, list[str]]) -> None:
    """A reply with mendable faults is read at once; one that was asked again is refused until its last attempt."""
    dead = 0
    for attempts in replies.values():
        assert len(attempts) <= ATTEMPTS
        assert all(readable(reply) is None for reply in attempts[:-1])
        dead += readable(attempts[-1]) is None
    assert 0.001 <= dead / N <= 0.007


def test_scores_are_true_up_to_noise(articles: dict[str, DemoArticle], replies: dict[str, list[str]]) -> None:
    errors = []
    for identity, attempts in replies.items():
        scores = readable(attempts[-1])
        if scores is not None:
            errors += [scores[name] - articles[identity].reference[name] for name in DIMENSIONS]
    mean = sum(errors) / len(errors)
    spread = (sum((error - mean) ** 2 for error in errors) / len(errors)) ** 0.5
    assert abs(mean) < 0.15
    assert 0.40 <= spread <= 0.65


def test_another_article_changes_no_other_reply() -> None:
    few = list(generate(30))
    assert list(record(few[:10])) == [row for row in record(few) if row["id"] in {article.id for article in few[:10]}]


def test_files_are_the_same_bytes(tmp_path: Path) -> None:
    def digests(folder: Path) -> list[str]:
        files = write_files(folder, n=120, seed=9)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in (files.articles, files.replies)]

    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_files_hold_what_was_generated(tmp_path: Path) -> None:
    files = write_files(tmp_path, n=80)
    rows = [json.loads(line) for line in files.articles.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [article.id for article in generate(80)]
    assert len(rows) == files.n_articles == 80
    assert len(files.replies.read_text(encoding="utf-8").splitlines()) == files.n_replies
    assert sorted(path.name for path in tmp_path.iterdir()) == ["articles.jsonl", "replies.jsonl"]
