"""What the audit's pass over the texts costs beside the plain ways: words by a pattern and a dictionary, phrases one by one.

    pytest -s -m slow tests/benchmarks/test_words.py

Processor time on one thread, in turn, the median of five rounds, on articles of `tests.benchmarks.corpus`: as they are, which
is in ASCII, and with an é for each e.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest

from distillery.components.articles.word_hashes import word_hashes, words
from distillery.components.auditing import boilerplate
from distillery.components.auditing.boilerplate import HEAD, phrases_found
from distillery.components.auditing.wall_phrases import PHRASES
from distillery.filters.normal_form import normal_texts
from distillery.filters.patterns import matching
from tests.benchmarks import corpus

ARTICLES, ROUNDS = 2_000, 5

pytestmark = pytest.mark.slow


class Known(dict[str, int]):
    """Hashes of words by the word."""

    def __missing__(self, word: str) -> int:
        value = self[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        return value


def by_dictionary(texts: list[str]) -> list[np.ndarray]:
    known = Known()
    found = [words(text) for text in texts]
    return [np.fromiter(map(known.__getitem__, each), np.uint64, len(each)) for each in found]


def times(plain: Callable[[], object], ours: Callable[[], object]) -> float:
    """How many times as long the plain way takes."""
    spent: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(ROUNDS):
        for number, way in enumerate((plain, ours)):
            began = time.process_time()
            way()
            spent[number].append(time.process_time() - began)
    return statistics.median(spent[0]) / statistics.median(spent[1])


def test_words_and_phrases_beside_the_plain_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [row["content"] for row in islice(corpus.rows(ARTICLES), ARTICLES)]
    accented = [text.replace("e", "é") for text in texts]
    for name, some in (("in ASCII", texts), ("with é", accented)):
        faster = times(lambda some=some: by_dictionary(some), lambda some=some: word_hashes(some))  # type: ignore[misc]
        print(f"\nwords {name}: {faster:.1f} times as fast as by a pattern and a dictionary", end="")
        assert faster > 3
    heads = normal_texts([text[:HEAD] for text in texts])
    for together in (8, boilerplate.AT_ONCE):
        monkeypatch.setattr(boilerplate, "AT_ONCE", together)
        faster = times(lambda: [matching(heads, phrase) for phrase in PHRASES], lambda: phrases_found(heads))
        print(f"\nphrases, {together} together: {faster:.1f} times as fast as one by one", end="")
    assert faster > 2
