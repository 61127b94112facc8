"""The one pass over texts: it finds what separate passes would find, and memory does not hold them."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np

from distillery.components.articles.near_duplicates import fingerprint
from distillery.components.articles.word_hashes import word_hashes
from distillery.components.auditing.text_pass import TextPass, sentence_keys
from tests.articles.test_word_hashes import ODD


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


def keys_of(text: str) -> list[int]:
    found = word_hashes([text])
    return sentence_keys(found.hashes, found.begins)[0].tolist()


def test_the_key_of_a_sentence_goes_by_its_words_and_their_order() -> None:
    texts = [
        "One two three four five.",
        "ONE two, three: four five!",
        "two one three four five",
        "one two three four",
        "One one",
    ]
    keys = [keys_of(text) for text in texts]
    assert keys[0] == keys[1]
    assert len({tuple(each) for each in keys}) == 4
    assert keys_of("") == []


def test_what_is_kept_of_an_article_is_a_tenth_of_its_text() -> None:
    rng = random.Random(1)
    vocabulary = [f"word{number}" for number in range(2_000)]
    batches = [[" ".join(rng.choices(vocabulary, k=400)) + "." for _ in range(100)] for _ in range(40)]
    size = sum(len(content) for batch in batches for content in batch)
    passed = TextPass()
    passed.add([""] * 100, batches[0])
    passed.fingerprinting._shingles._spill._file.rollover()  # as it is once there are many
    tracemalloc.start()
    for batch in batches[1:]:
        passed.add([""] * 100, batch)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < size / 10
