"""Words found in many texts at once are those that a pattern finds in each, and their hashes go by the word alone."""

from __future__ import annotations

import random

import numpy as np
import pytest

from distillery.components.articles import word_hashes as module
from distillery.components.articles.word_hashes import LONG, word_hashes, words
from distillery.components.auditing.text_pass import SENTENCE_END

ODD = [
    *"aBéße ..!?।。！？؟…\n\n\u00a0\u200b\u00ad\u0301\u0338ﬁﬀİǅΣς中한ㄱ\u1100\u1161\u11a8ไทย\u0e31=<>_-3.²½\ud800",
    "\r\n",
    "\x85",
    "\x1c",
    "\0",
    " the ",
    "Ünder",
    "e\u0301",
    "\u037e",
]
CASES = [*range(60), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(60, 6_000))]


def in_sentences(texts: list[str]) -> list[list[list[str]]]:
    """Return the words of the sentences of each text, each word by its hash."""
    known = {int(word_hashes([word]).hashes[0]): word for text in texts for word in words(text)}
    hashes, counts, begins = word_hashes(texts)
    placed = iter(zip(hashes.tolist(), begins.tolist(), strict=True))
    found: list[list[list[str]]] = []
    for count in counts.tolist():
        found.append([])
        for _ in range(count):
            number, first = next(placed)
            if first:
                found[-1].append([])
            found[-1][-1].append(known[number])
    return found


@pytest.mark.parametrize("seed", CASES)
def test_sentences_are_those_of_each_piece_of_the_text(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(module, "BATCH", rng.choice([1, 100, 2**19]))
    texts = ["".join(rng.choice(ODD) for _ in range(rng.randrange(60))) for _ in range(20)]
    for text, found in zip(texts, in_sentences(texts), strict=True):
        pieces = [words(piece) for piece in SENTENCE_END.split(text)]
        assert found == [piece for piece in pieces if piece], repr(text)
        assert [word for sentence in found for word in sentence] == words(text), repr(text)


def test_no_two_words_of_any_length_have_one_hash() -> None:
    rng = random.Random(2)
    made = {"".join(rng.choices("ab", k=size)) for size in range(1, 3 * LONG) for _ in range(300)}
    made |= {"a" * size for size in range(1, 3 * LONG)} | {"a" * size + "b" for size in range(3 * LONG)}
    made |= {"b" + "a" * size for size in range(3 * LONG)} | {str(number) for number in range(100_000)}
    hashes, counts, _ = word_hashes([" ".join(made)])
    assert counts.tolist() == [len(made)] == [len(np.unique(hashes))]


def test_hashes_are_those_of_every_process_and_release() -> None:
    found = word_hashes([f"one Énergie 中文 {'x' * (LONG + 1)}"]).hashes.tolist()
    assert [f"{number:016x}" for number in found] == [
        "3721697b82a538d8",
        "0d6633755118c0b9",
        "483365cd3393b500",
        "fc0e57151f3e860a",
        "36c9c5df1f7285c0",
    ]


def test_texts_without_words_have_none() -> None:
    assert word_hashes([]).split() == []
    hashes, counts, begins = word_hashes(["", " . ", "one", "…"])
    assert (len(hashes), counts.tolist(), begins.tolist()) == (1, [0, 0, 1, 0], [True])
    assert [each.tolist() for each in word_hashes(["", "one", ""]).split()] == [[], hashes.tolist(), []]
