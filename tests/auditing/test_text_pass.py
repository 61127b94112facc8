"""The one pass over texts: words and sentences are those that separate passes would find, and memory does not hold them."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pytest

from distillery.components.articles.near_duplicates import Fingerprinting, WordHashes, fingerprint, words
from distillery.components.auditing.text_pass import ENDS, SENTENCE_END, TextPass, sentence_keys, sentences

ODD = [
    *"aBéße ..!?।。！？؟…\n\n\u00a0\u200b\u00ad\u0301\u0338ﬁﬀİǅΣς中한ㄱ\u1100\u1161\u11a8ไทย=<>_-3.",
    "\r\n",
    " the ",
    "Ünder",
    "e\u0301",
    "\u037e",
]
CASES = [*range(60), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(60, 6_000))]


def hashes() -> WordHashes:
    made = WordHashes()
    made.ends = frozenset((*ENDS, "\n"))
    return made


def in_sentences(text: str) -> list[list[str]]:
    its, known = hashes(), {}
    for word in words(text):
        known[int(its.of([word])[0])] = word
    found: list[list[str]] = []
    for number, begins in zip(*(each.tolist() for each in sentences(text, its)), strict=True):
        if begins:
            found.append([])
        found[-1].append(known[number])
    return found


@pytest.mark.parametrize("seed", CASES)
def test_sentences_are_those_of_each_piece_of_the_text(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        text = "".join(rng.choice(ODD) for _ in range(rng.randrange(60)))
        pieces = [words(piece) for piece in SENTENCE_END.split(text)]
        assert in_sentences(text) == [piece for piece in pieces if piece], repr(text)
        assert [word for sentence in in_sentences(text) for word in sentence] == words(text), repr(text)


def test_a_pass_makes_the_fingerprints_that_articles_alone_have() -> None:
    rng = random.Random(3)
    titles = ["", "A title. Of two", *("".join(rng.choice(ODD) for _ in range(30)) for _ in range(40))]
    contents = ["", "one", *("".join(rng.choice(ODD) for _ in range(300)) for _ in range(40))]
    contents[3], contents[4] = "ab " * 300_000, "w. " * 30_000
    passed = TextPass()
    for start in range(0, 42, 5):
        passed.add(titles[start : start + 5], contents[start : start + 5])
    found, expected = passed.fingerprinting.prints(), fingerprint(titles, contents)
    assert found.sequence.tolist() == expected.sequence.tolist()
    assert all(np.array_equal(one, other) for one, other in zip(found.shingles, expected.shingles, strict=True))


def test_the_key_of_a_sentence_goes_by_its_words_and_their_order() -> None:
    texts = [
        "One two three four five.",
        "ONE two, three: four five!",
        "two one three four five",
        "one two three four",
        "One one",
    ]
    keys = [sentence_keys(*sentences(text, hashes()))[0].tolist() for text in texts]
    assert keys[0] == keys[1]
    assert len({tuple(each) for each in keys}) == 4
    assert sentence_keys(*sentences("", hashes()))[0].tolist() == []


def test_words_that_are_forgotten_get_the_same_hashes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = WordHashes().of(["a", "b", "c"]).tolist()
    monkeypatch.setattr("distillery.components.articles.near_duplicates.KNOWN_WORDS", 1)
    few = WordHashes()
    assert [int(few.of([word])[0]) for word in "abcabc"] == before * 2
    assert len(few) <= 2


def test_what_is_kept_of_an_article_is_a_tenth_of_its_text() -> None:
    rng = random.Random(1)
    vocabulary = [f"word{number}" for number in range(2_000)]
    batches = [[" ".join(rng.choices(vocabulary, k=400)) + "." for _ in range(100)] for _ in range(40)]
    size = sum(len(content) for batch in batches for content in batch)
    passed = TextPass()
    passed.fingerprinting = Fingerprinting()
    passed.fingerprinting.hashes.ends = frozenset((*ENDS, "\n"))
    passed.add([""] * 100, batches[0])
    passed.fingerprinting._shingles._spill._file.rollover()  # as it is once there are many
    tracemalloc.start()
    for batch in batches[1:]:
        passed.add([""] * 100, batch)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < size / 10
