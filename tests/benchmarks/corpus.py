"""A made-up corpus of any size for benchmarks: labelled articles of about 560 words, as JSON Lines; one seed, one file.

    python -m tests.benchmarks.corpus 400000 corpus.jsonl

Words follow Zipf's law, a third of them in phrases that recur, so that word 3-grams are shared as in real text. Of a hundred
articles three are copies, five near-copies with a few words changed, two one consent page under a title of their own, one a
bulletin that shares most of its words with others of its kind; every tenth ends with an invitation that recurs.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

SEED: Final = 15
DIMENSIONS: Final = ("clarity", "depth", "reach")
WORDS: Final = 560  # of an article, on average
VOCABULARY: Final = 80_000
PHRASES: Final = 150_000
COPY, NEAR, CONSENT, BULLETIN = 0.03, 0.08, 0.10, 0.11  # what the kinds of articles add up to
KEPT: Final = 200  # articles that copies are made of
ONSETS: Final = re.findall("[^aeiou ]+", "b br c ch cl d dr f fl g gr h j k l m n p pl pr qv r s sc sh sl st str t th tr v w")
RHYMES: Final = re.findall(
    "[a-z]+",
    "a ab ack ad ain al am an ar ate e ead eal ed een el en ent er est i ice ide il in ing ion is it o oad on or ot ound u ul",
)
FREQUENT: Final = re.findall("[a-z]+", "the of and to in a is that for it on with as was at by from be are this")
INVITATION = "Read more stories like this one in our newsletter of the week."


def words_of(rng: np.random.Generator, count: int) -> list[str]:
    """Return different made-up words, the frequent ones short."""
    made: dict[str, None] = dict.fromkeys(FREQUENT)
    size = 1
    while len(made) < count:
        size = 1 if len(made) < 300 else 2 if len(made) < 20_000 else 3
        onsets, rhymes = rng.integers(len(ONSETS), size=(4096, size)), rng.integers(len(RHYMES), size=(4096, size))
        for row in range(4096):
            made["".join(ONSETS[a] + RHYMES[b] for a, b in zip(onsets[row], rhymes[row], strict=True))] = None
            if len(made) == count or (size == 1 and len(made) >= 300):
                break
    return list(made)


class Zipf:
    """Draws numbers below `size`, each about as often as 1 / (its place + offset)."""

    def __init__(self, size: int, offset: float) -> None:
        self._sums = np.cumsum(1 / (np.arange(size) + offset))

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` of them."""
        return np.searchsorted(self._sums, rng.random(count) * self._sums[-1])


def rows(count: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Yield labelled articles; the first ones are the same for every count."""
    rng = np.random.default_rng(seed)
    vocabulary = words_of(rng, VOCABULARY)
    word, phrase = Zipf(VOCABULARY, 2.7), Zipf(PHRASES, 60.0)
    phrases = [" ".join(vocabulary[at] for at in word.draw(rng, size)) for size in rng.integers(3, 7, PHRASES)]

    def article(length: int) -> str:
        """Return paragraphs of four sentences, `length` words or a few more in all."""
        units = [vocabulary[at] for at in word.draw(rng, length * 3 // 5).tolist()]
        for at, number in zip(
            rng.integers(len(units), size=length // 11), phrase.draw(rng, length // 11).tolist(), strict=True
        ):
            units[at] += " " + phrases[number]
        ends = np.cumsum(rng.integers(5, 18, size=len(units) // 5 + 1)).tolist()
        texts, start = list[str](), 0
        while start < len(units):
            end = ends[len(texts)]
            texts.append(" ".join(units[start:end]).capitalize() + ".")
            start = end
        return "\n\n".join(" ".join(texts[at : at + 4]) for at in range(0, len(texts), 4))

    def changed(text: str) -> str:
        units = text.split(" ")
        for at in rng.integers(len(units), size=max(1, int(len(units) * rng.uniform(0.002, 0.06)))):
            units[at] = vocabulary[int(rng.integers(VOCABULARY))]
        return " ".join(units)

    consent, bulletin = article(250), article(400).split(" ")
    kept = list[tuple[str, str]]()
    for number in range(count):
        kind, title = rng.random(), " ".join(vocabulary[at] for at in word.draw(rng, 9).tolist()).capitalize()
        if kind < COPY and kept:
            title, content = kept[int(rng.integers(len(kept)))]
        elif kind < NEAR and kept:
            title, content = kept[int(rng.integers(len(kept)))]
            content = changed(content)
        elif kind < CONSENT:
            content = consent
        elif kind < BULLETIN:
            units = list(bulletin)
            for at in np.flatnonzero(rng.random(len(units)) < 0.12).tolist():
                units[at] = vocabulary[int(rng.integers(VOCABULARY))]
            content = " ".join(units)
        else:
            content = article(max(40, int(rng.lognormal(np.log(WORDS * 0.92), 0.45))))
            if rng.random() < 0.1:
                content += "\n\n" + INVITATION
            if len(kept) < KEPT:
                kept.append((title, content))
            else:
                kept[int(rng.integers(KEPT))] = (title, content)
        level = rng.normal(4, 1.5)
        scores = np.clip(np.round((level + rng.normal(0, 1.2, len(DIMENSIONS))) * 2) / 2, 0, 10)
        yield {
            "id": f"a{number:07}",
            "title": title,
            "content": content,
            "source": f"paper{int(rng.integers(300))}",
            "language": "en",
            "scores": dict(zip(DIMENSIONS, scores.tolist(), strict=True)),
        }


def write(path: Path, count: int, seed: int = SEED) -> Path:
    """Write a corpus of `count` articles, and return its path."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(count, seed))
    return path


if __name__ == "__main__":
    write(Path(sys.argv[2]), int(sys.argv[1]))
