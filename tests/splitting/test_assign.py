"""Where each article goes: shares, strata, groups kept whole, independence of row order, the frozen test part."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.components.articles.articles import Article, Label, article_digest
from distillery.components.splitting.assign import WITHHELD, assign, counts_by_stratum, distinct, strata_edges
from distillery.components.splitting.leaks import cross_part_pairs
from distillery.filters.errors import InputError
from distillery.filters.spec import Split
from tests.tables import with_columns

Labels = list[Label]
Frames = Callable[[Labels], pa.Table]
Makes = Callable[..., Labels]


def overall(frame: pa.Table) -> np.ndarray:
    mean: np.ndarray = np.mean([frame[name] for name in frame.column_names if name.startswith("score.")], axis=0)
    return mean


def parts(frame: pa.Table, policy: Split, frozen: list[str] | None = None) -> dict[str, str]:
    found = assign(frame, overall(frame), policy, frozen)
    return dict(zip(frame["article"].to_pylist(), found.part.tolist(), strict=True))


def in_part(placed: dict[str, str], part: str) -> list[str]:
    return sorted(article for article, its in placed.items() if its == part)


def near(label: Label, word: str = "zeppelin") -> Label:
    article = label.article
    copy = Article(id=f"{article.id}-{word}", title=article.title, content=f"{article.content} {word}")
    return Label(copy, label.scores)


def test_shares_and_strata_are_as_asked(make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(400))
    found = assign(frame, overall(frame), Split())
    assert found.rows() == {"train": 320, "validation": 40, "test": 40, "withheld": 0}
    strata = counts_by_stratum(found)
    assert len(strata) == 10
    assert all(2 <= stratum["test"] <= 6 for stratum in strata)  # type: ignore[operator]
    means = [overall(frame)[found.part == part].mean() for part in ("train", "validation", "test")]
    assert max(means) - min(means) < 0.35


def test_another_seed_is_another_split(make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(60))
    assert in_part(parts(frame, Split()), "test") != in_part(parts(frame, Split(seed=43)), "test")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_row_order_does_not_matter_and_groups_stay_whole(seed: int) -> None:
    rng = random.Random(seed)
    contents = [" ".join(f"w{rng.randrange(400)}" for _ in range(30)) for _ in range(45)]
    for _ in range(rng.randrange(25)):
        contents.append(rng.choice(contents) + f" more{rng.randrange(9)}")
    contents = sorted(set(contents))
    frame = pa.table(
        {
            "article": [article_digest("", each) for each in contents],
            "title": [""] * len(contents),
            "content": contents,
            "score.d": [float(rng.randrange(11)) for _ in contents],
        }
    )
    policy = Split(seed=seed)
    found = assign(frame, overall(frame), policy)
    for group in set(found.group.tolist()):
        assert len(set(found.part[found.group == group].tolist())) == 1
    train, validation, test = (frame.filter(found.part == part) for part in ("train", "validation", "test"))
    assert cross_part_pairs(train, validation, test, policy.duplicateJaccard) == []
    shuffled = frame.take(rng.sample(range(frame.num_rows), frame.num_rows))
    assert parts(shuffled, policy) == parts(frame, policy)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 60), st.integers(0, 10**6))
def test_new_labels_never_move_an_article_into_or_out_of_the_test_part(added: int, seed: int) -> None:
    def rows(count: int, salt: int) -> list[tuple[str, float]]:
        rng = np.random.default_rng([salt, seed])
        return [(" ".join(f"w{w}" for w in rng.integers(0, 500, 25)), float(rng.integers(0, 11))) for _ in range(count)]

    def table(pairs: list[tuple[str, float]]) -> pa.Table:
        return pa.table(
            {
                "article": [article_digest("", text) for text, _ in pairs],
                "title": [""] * len(pairs),
                "content": [text for text, _ in pairs],
                "score.d": [score for _, score in pairs],
            }
        )

    old = rows(80, 0)
    before = parts(table(old), Split())
    test = in_part(before, "test")
    near_test = [(text + " again", score) for text, score in old if article_digest("", text) in test[:3]]
    after = parts(table(old + rows(added, 1) + near_test), Split(), test)
    assert in_part(after, "test") == test
    assert in_part(after, WITHHELD) == sorted(article_digest("", text) for text, _ in near_test)
    assert not set(in_part(after, "train")) & set(test)


def test_most_validation_articles_stay_when_labels_arrive(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(500)
    before = parts(frame_of(labels[:400]), Split())
    after = parts(frame_of(labels), Split(), in_part(before, "test"))
    kept = [article for article in in_part(before, "validation") if after[article] == "validation"]
    assert len(kept) >= 0.8 * len(in_part(before, "validation"))


def test_a_near_duplicate_of_a_test_article_is_withheld_and_of_others_follows_its_group(
    make_labels: Makes, frame_of: Frames
) -> None:
    labels = make_labels(60)
    before = parts(frame_of(labels), Split())
    copies = [near(label) for label in labels]
    after = parts(frame_of(labels + copies), Split(), in_part(before, "test"))
    for label, copy in zip(labels, copies, strict=True):
        expected = WITHHELD if before[label.article.digest] == "test" else after[label.article.digest]
        assert after[copy.article.digest] == expected


def test_a_large_group_is_never_the_test_or_validation_part(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(60)
    wall = [near(labels[0], f"wall{at}") for at in range(40)]
    for seed in range(8):
        placed = parts(frame_of(labels + wall), Split(seed=seed))
        assert {placed[label.article.digest] for label in wall} == {"train"}


def test_copies_appear_once_with_the_scores_of_the_first_id(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(3)
    twin = Label(
        Article(id="a-first", title=labels[0].article.title, content=labels[0].article.content), {"clarity": 9.5, "depth": 9.5}
    )
    second = labels[1].article
    again = Label(Article(id="z-last", title=second.title, content=second.content), labels[1].scores)
    frame, counts = distinct(frame_of([*labels, again, twin]))
    assert counts == {"copies": 2, "conflicting": 1}
    assert frame["article"].to_pylist() == sorted(label.article.digest for label in labels)
    row = frame.filter(pc.field("article") == twin.article.digest)
    assert row["id"].to_pylist() == ["a-first"]
    assert row["score.clarity"].to_pylist() == [9.5]


@pytest.mark.parametrize("scores", [[0.0] * 95 + [5.0] * 5, [10.0] * 99 + [1.0], [1.0, 2.0] * 50])
def test_skewed_scores_still_make_two_strata(scores: list[float]) -> None:
    values = np.array(scores)
    stratum = np.searchsorted(strata_edges(values, 10), values, side="left")
    assert len(set(stratum.tolist())) >= 2


def test_too_few_articles_are_refused_with_the_numbers(make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(20))
    with pytest.raises(InputError, match="20 distinct articles where a split needs at least 30"):
        assign(frame, overall(frame), Split())
    labels = make_labels(20)
    frame = frame_of(labels + [near(label) for label in labels])
    with pytest.raises(InputError, match=r"20 distinct articles .*20 more are copies"):
        assign(frame, overall(frame), Split())


def test_constant_scores_are_refused_since_one_stratum_is_a_misread_key(make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(50))
    with pytest.raises(InputError, match="same overall score, 3"):
        assign(frame, np.full(50, 3.0), Split())
    with pytest.raises(ValueError, match="missing"):
        assign(frame, np.full(50, np.nan), Split())


def test_shares_that_leave_nothing_are_refused(make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(50))
    with pytest.raises(InputError, match="nothing to train on"):
        assign(frame, overall(frame), Split(validation=0.5, test=0.5))
    with pytest.raises(InputError, match="test part would have 1 of 50"):
        assign(frame, overall(frame), Split(test=0.02))


def test_the_leak_check_fires(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(6)
    leaked = near(labels[0])
    train, validation, test = frame_of(labels[:2]), frame_of(labels[2:4]), frame_of([*labels[4:], leaked])
    (pair,) = cross_part_pairs(train, validation, test, 0.7)
    assert (pair.left, pair.left_part) == (labels[0].article.digest, "train")
    assert (pair.right, pair.right_part) == (leaked.article.digest, "test")
    assert pair.jaccard > 0.9
    assert cross_part_pairs(train, validation, frame_of(labels[4:]), 0.7) == []


def test_only_a_plain_random_draw_is_judged_on(make_labels: Makes, frame_of: Frames) -> None:
    rules = ["random", "stratified", "enrich", "random", "random"]
    frame = with_columns(frame_of(make_labels(200)), {"drawn_by": [rules[at % 5] for at in range(200)]})
    found = assign(frame, overall(frame), Split())
    assert found.rows()["test"] == 20  # the whole policy's share, of the 120 plain rows
    assert set(frame.filter(found.part == "test")["drawn_by"].to_pylist()) == {"random"}
    assert set(frame.filter(found.part == "validation")["drawn_by"].to_pylist()) == {"random", "stratified", "enrich"}


def test_what_was_chosen_and_resembles_a_test_article_is_withheld(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(60)
    chosen = [near(label) for label in labels]
    frame = frame_of([*labels, *chosen])
    enriched = {label.article.digest for label in chosen}
    frame = with_columns(frame, {"drawn_by": ["enrich" if a in enriched else "random" for a in frame["article"].to_pylist()]})
    found = assign(frame, overall(frame), Split())
    assert found.rows()["test"] == found.rows()[WITHHELD] == 12
    assert not enriched & set(frame.filter(found.part == "test")["article"].to_pylist())


def test_rows_of_no_rule_are_plain(make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(200))
    plain = with_columns(frame, {"drawn_by": [None, "random"] * 100})
    assert parts(plain, Split()) == parts(frame, Split())
