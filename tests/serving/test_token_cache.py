"""Filters with one tokenizer tokenise an article once, and score it as they would by themselves."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.student import tokens
from distillery.components.student.bundle import Student
from distillery.components.student.token_cache import Sharing, TokenCache
from tests.conftest import WORDS
from tests.serving.made import changed

TEXTS = [(f"title {n}", " ".join(random.Random(n).choices(WORDS.split(), k=n + 1))) for n in range(40)]


@pytest.fixture
def tokenised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each call tokenised."""
    counts, call = list[int](), tokens.Tokenizing.__call__

    def counted(self: Any, texts: Any) -> Any:
        texts = list(texts)
        counts.append(len(texts))
        return call(self, texts)

    monkeypatch.setattr(tokens.Tokenizing, "__call__", counted)
    return counts


def test_two_filters_of_one_base_tokenise_an_article_once(student: Student, tokenised: list[int]) -> None:
    cache, other = TokenCache(), changed(student, 0.5)
    first, second = Sharing(student, cache), Sharing(other, cache)
    tokenised.clear()
    one, two = first.predict(TEXTS), second.predict([*TEXTS[10:], TEXTS[3], TEXTS[3], ("new", "text")])
    assert tokenised == [40, 1]
    assert np.abs(one - student.predict(TEXTS)).max() < 1e-4
    assert np.abs(two[30] - other.predict([TEXTS[3]])[0]).max() < 1e-4
    assert np.abs(two[30] - two[31]).max() < 1e-4


def test_other_preprocessing_shares_nothing(
    student: Student, tiny_decoder: Path, make_student: Callable[[Path], Student], tokenised: list[int]
) -> None:
    cache, decoder = TokenCache(), make_student(tiny_decoder)
    tokenised.clear()
    Sharing(student, cache).predict(TEXTS[:5])
    got = Sharing(decoder, cache).predict(TEXTS[:5])
    assert tokenised == [5, 5]
    assert np.abs(got - decoder.predict(TEXTS[:5])).max() < 1e-4


def test_the_cache_is_bounded_and_right_when_it_is_too_small(student: Student) -> None:
    cache = TokenCache(most=60)
    shared = Sharing(student, cache)
    for _ in range(2):
        assert np.abs(shared.predict(TEXTS) - student.predict(TEXTS)).max() < 1e-4
    assert cache._kept <= 60
    assert cache._kept == sum(map(len, cache._ids.values()))


def test_title_and_content_are_told_apart(student: Student, tokenised: list[int]) -> None:
    shared = Sharing(student, TokenCache())
    tokenised.clear()
    shared.predict([("a b", "c"), ("a", " bc"), ("", "a bc")])
    assert tokenised == [3]


def test_a_server_cuts_few_articles_tightly_and_a_corpus_as_without_a_cache(student: Student) -> None:
    def passes(predicting: Any) -> list[int]:
        rows, real = list[int](), student.forward

        def counted(ids: Any, lengths: Any) -> Any:
            rows.append(len(lengths))
            return real(ids, lengths)

        counted.budget = 128  # type: ignore[attr-defined]
        student._forward = counted  # type: ignore[assignment]
        try:
            predicting(TEXTS[:12])
        finally:
            student._forward = real
        return rows

    alone = passes(student.predict)
    assert passes(Sharing(student, TokenCache()).predict) == alone
    assert passes(Sharing(student, TokenCache(), tight=True).predict) != alone
