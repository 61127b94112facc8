"""The queue: turns by token budget, oldest first, none starves, a bad request fails alone, what is cancelled is not done."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from distillery.components.articles.articles import Article
from distillery.components.serving.batching import Answers, Batcher, Closed, Full, turn_tokens


class Played:
    """A model that notes each turn, and waits for a person's word before it answers."""

    def __init__(self, budget: int = 10, *, held: bool = False) -> None:
        self.budget, self.turns = budget, list[list[str]]()
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.held = held

    def weight(self, article: Article) -> int:
        return len(article.content)

    def judge(self, articles: Sequence[Article]) -> Answers:
        self.turns.append([article.id for article in articles])
        self.begun.release()
        if self.held:
            assert self.go.acquire(timeout=10)
        if any(article.content == "poison" for article in articles):
            raise ValueError("no number")
        return [{"id": article.id} for article in articles]


def made(*names: str, content: str = "x") -> list[Article]:
    return [Article(name, "", content) for name in names]


def ids(answers: Answers) -> list[str]:
    return [answer["id"] for answer in answers]


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    made = Batcher(wait=0.0)
    yield made
    made.close()


def model(**more: Any) -> Any:
    return Played(**more)


def test_what_waits_while_a_turn_runs_shares_the_next(batcher: Batcher) -> None:
    held = model(held=True)
    first = batcher.submit(held, made("a"))
    assert held.begun.acquire(timeout=10)
    others = [batcher.submit(held, made(name)) for name in "bcd"]
    held.go.release(2)
    assert [ids(each.result(10)) for each in (first, *others)] == [["a"], ["b"], ["c"], ["d"]]
    assert held.turns == [["a"], ["b", "c", "d"]]


def test_a_turn_is_bounded_by_tokens_and_a_large_request_goes_behind(batcher: Batcher) -> None:
    held = model(held=True, budget=512)
    first = batcher.submit(held, made("a"))
    assert held.begun.acquire(timeout=10)
    many = batcher.submit(held, made(*(f"m{n}" for n in range(9)), content="x" * held.budget))
    small = batcher.submit(held, made("s"))
    held.go.release(9)
    assert ids(many.result(10)) == [f"m{n}" for n in range(9)]
    assert (ids(first.result(10)), ids(small.result(10))) == (["a"], ["s"])
    assert held.turns[1] == ["m0", "m1"]
    assert held.turns[2][0] == "s"
    assert all(len(turn) <= 3 for turn in held.turns)


def test_a_turn_has_fewer_passes_the_larger_the_model_is() -> None:
    assert [turn_tokens(budget) // budget for budget in (1, 512, 1024, 2048, 65536)] == [1, 2, 4, 8, 8]


def test_two_models_never_share_a_turn(batcher: Batcher) -> None:
    held, other = model(held=True), model()
    batcher.submit(held, made("a"))
    assert held.begun.acquire(timeout=10)
    answers = [batcher.submit(which, made(name)) for name, which in (("b", held), ("o", other), ("c", held), ("p", other))]
    held.go.release(3)
    assert [ids(each.result(10)) for each in answers] == [["b"], ["o"], ["c"], ["p"]]
    assert held.turns[1:] == [["b", "c"]]
    assert other.turns == [["o", "p"]]


def test_a_request_that_fails_fails_alone(batcher: Batcher) -> None:
    held = model(held=True, budget=100)
    batcher.submit(held, made("a"))
    assert held.begun.acquire(timeout=10)
    good, bad, fine = (
        batcher.submit(held, made(name, content=text)) for name, text in (("g", "x"), ("b", "poison"), ("f", "x"))
    )
    held.go.release(9)
    assert (ids(good.result(10)), ids(fine.result(10))) == (["g"], ["f"])
    with pytest.raises(ValueError, match="no number"):
        bad.result(10)
    assert batcher.waiting == 0


def test_a_large_request_that_fails_is_taken_out(batcher: Batcher) -> None:
    held = model(budget=1)
    bad = batcher.submit(held, [*made("p", content="poison"), *made("q", "r", content="x" * 50)])
    with pytest.raises(ValueError, match="no number"):
        bad.result(10)
    assert ids(batcher.submit(held, made("a")).result(10)) == ["a"]
    assert batcher.waiting == 0


def test_what_is_cancelled_before_its_turn_is_not_scored(batcher: Batcher) -> None:
    held = model(held=True)
    batcher.submit(held, made("a"))
    assert held.begun.acquire(timeout=10)
    gone, stays = batcher.submit(held, made("g", "h")), batcher.submit(held, made("s"))
    assert gone.cancel()
    held.go.release(9)
    assert ids(stays.result(10)) == ["s"]
    assert held.turns == [["a"], ["s"]]
    assert batcher.waiting == 0


def test_a_full_queue_refuses_and_says_when_there_is_room() -> None:
    batcher, held = Batcher(wait=0.0, queued=3), model(held=True)
    batcher.submit(held, made("a"))
    assert held.begun.acquire(timeout=10)
    kept = [batcher.submit(held, made("b", "c")), batcher.submit(held, made("d", "e"))]
    with pytest.raises(Full, match="try again in 1 s") as caught:
        batcher.submit(held, made("f"))
    assert caught.value.seconds == 1
    held.go.release(9)
    assert [ids(each.result(10)) for each in kept] == [["b", "c"], ["d", "e"]]
    assert ids(batcher.submit(held, made("g")).result(10)) == ["g"]
    batcher.close()


def test_closing_finishes_what_waits_and_takes_no_more() -> None:
    batcher, held = Batcher(wait=5.0), model(held=True, budget=1000)
    waits = batcher.submit(held, made("a"))
    held.go.release(1)
    batcher.close()
    assert ids(waits.result(0)) == ["a"]
    with pytest.raises(Closed):
        batcher.submit(held, made("b"))


def test_a_turn_that_is_not_full_waits_for_company() -> None:
    batcher, played = Batcher(wait=0.3), model(budget=3)
    answers = [batcher.submit(played, made(name)) for name in "ab"]
    assert [ids(each.result(10)) for each in answers] == [["a"], ["b"]]
    full = [batcher.submit(played, made(name)) for name in "cde"]
    assert [ids(each.result(10)) for each in full] == [["c"], ["d"], ["e"]]
    assert played.turns == [["a", "b"], ["c", "d", "e"]]
    batcher.close()
