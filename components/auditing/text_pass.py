"""One pass over the texts of a label table: what the checks of the audit keep of an article is a few numbers.

An article's words are found once: with the ends of its sentences among them they make its fingerprint and the keys of its
sentences. Sentences go to the disk by ranges of their keys, so that memory holds neither words nor texts, however many articles
there are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.near_duplicates import MAX_CHARACTERS, MAX_WORDS, Fingerprinting
from distillery.components.articles.shingle_sets import Hashes, Indices, Spill
from distillery.components.articles.word_counts import word_count
from distillery.components.articles.word_hashes import ENDS, word_hashes, words

Texts: TypeAlias = Callable[[], Iterator[tuple[Sequence[str], Sequence[str]]]]  # titles and contents, some at a time

SENTENCE_END: Final = re.compile(rf"(?<=[{ENDS}])\s*|\n+")
OPENING: Final = 200  # characters
SENTENCE_WORDS: Final = 5
RANGES: Final = 16  # of keys, by their first four bits


def sentence_keys(numbers: Hashes, begins: NDArray[np.bool_]) -> tuple[Hashes, Indices]:
    """Hash the words of each sentence in their order.

    Args:
        numbers: (m,) hashes of words.
        begins: (m,) whether a sentence begins with each, True for the first.

    Returns:
        A key for each sentence, and how many words it has.
    """
    starts = np.flatnonzero(begins)
    counts = np.diff(np.append(starts, len(numbers)))
    place = (np.arange(len(numbers)) - np.repeat(starts, counts)).astype(np.uint64)
    mixed = (numbers ^ (place * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)  # wraps, on purpose
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xA0761D6478BD642F)
    keys = np.add.reduceat(mixed, starts) if len(starts) else np.zeros(0, dtype=np.uint64)
    return keys * np.uint64(0xE7037ED1A0B428DB) ^ (keys >> np.uint64(29)), counts


class TextPass:
    """What is kept of the texts that were passed.

    Attributes:
        fingerprinting: makes their fingerprints.
        word_counts: words of each content.
        total: words of each content, as its sentences have them.
        openings: a key of each content's opening; those of shorter contents are missing.
        opened: the rows that have one.
    """

    def __init__(self) -> None:
        self.fingerprinting = Fingerprinting()
        self.word_counts, self.total = list[int](), list[int]()
        self.openings, self.opened = list[int](), list[int]()
        self._ranges = [(Spill(np.uint64, 2**22), Spill(np.int32, 2**21), Spill(np.int32, 2**21)) for _ in range(RANGES)]

    def add(self, titles: Sequence[str], contents: Sequence[str]) -> None:
        """Pass the next articles.

        Args:
            titles: m titles.
            contents: m contents.
        """
        first, of_titles, found = len(self.total), word_hashes(titles), word_hashes(contents)
        prints = list[Hashes]()
        for row, (head, numbers, content) in enumerate(zip(of_titles.split(), found.split(), contents, strict=True), first):
            whole = len(content) <= MAX_CHARACTERS
            cut = numbers if whole else word_hashes([content[:MAX_CHARACTERS]]).hashes
            prints.append(np.concatenate([head[:MAX_WORDS], cut])[:MAX_WORDS])
            self.word_counts.append(word_count(content))
            self.total.append(len(numbers))
            if len(opening := content[:OPENING]) == OPENING:
                self.openings.append(opening_key(opening))
                self.opened.append(row)
        self.fingerprinting.add_words(prints)
        keys, counts = sentence_keys(found.hashes, found.begins)
        owner = np.repeat(np.arange(first, first + len(contents)), found.counts)[found.begins]
        long = counts >= SENTENCE_WORDS
        keys, counts, owner = keys[long], counts[long], owner[long]
        place = (keys >> np.uint64(60)).astype(np.uint8)
        order, ends = np.argsort(place, kind="stable"), np.cumsum(np.bincount(place, minlength=RANGES)).tolist()
        for spills, start, end in zip(self._ranges, [0, *ends], ends, strict=False):
            for spill, column in zip(spills, (keys, owner, counts), strict=True):
                spill.append(column[order[start:end]])

    def recurring(self, groups: Indices, least: int) -> tuple[dict[int, int], Indices, dict[int, Indices]]:
        """Find the sentences that recur.

        Args:
            groups: (n,) the group of copies of each article; copies count once.
            least: groups in which a sentence must stand to recur.

        Returns:
            In how many groups each key that recurs stands; (n,) words of each article in such sentences; and the rows in which
            each key stands.
        """
        found, rows, repeated = dict[int, int](), dict[int, Indices](), np.zeros(len(groups))
        for spills in self._ranges:
            keys, owner, counts = (spill.read() for spill in spills)
            for spill in spills:
                spill.close()
            order = np.argsort(keys, kind="stable")
            ordered = keys[order]
            ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]) + 1
            starts = np.append(0, ends[:-1])[: len(ends)]
            often = ends - starts >= least
            for start, end in zip(starts[often].tolist(), ends[often].tolist(), strict=True):
                at = order[start:end]
                articles = owner[at].astype(np.int64)
                if (where := len(np.unique(groups[articles]))) >= least:
                    key = int(ordered[start])
                    found[key], rows[key] = where, np.unique(articles)
                    repeated += np.bincount(articles, weights=counts[at], minlength=len(groups))
        return found, repeated.astype(np.int64), rows


def opening_key(head: str) -> int:
    """Hash the words of an opening.

    Args:
        head: the first characters of a content.

    Returns:
        64 bits, the same for the same words.
    """
    text = "\n".join(words(head)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
