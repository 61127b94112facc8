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

from distillery.components.articles.near_duplicates import (
    MAX_CHARACTERS,
    MAX_WORDS,
    WORD,
    Fingerprinting,
    WordHashes,
    normal,
    words,
)
from distillery.components.articles.shingle_sets import Hashes, Indices, Spill
from distillery.components.articles.word_counts import word_count

Texts: TypeAlias = Callable[[], Iterator[tuple[Sequence[str], Sequence[str]]]]  # titles and contents, some at a time

ENDS: Final = ".!?؟۔।。！？"
SENTENCE_END: Final = re.compile(rf"(?<=[{ENDS}])\s*|\n+")
_WORD_OR_END = re.compile(rf"{WORD}|[{ENDS}\n]")
OPENING: Final = 200  # characters
SENTENCE_WORDS: Final = 5
RANGES: Final = 16  # of keys, by their first four bits


def sentences(text: str, hashes: WordHashes) -> tuple[Hashes, NDArray[np.bool_]]:
    """Find the words of a text and the ends of its sentences.

    Args:
        text: any text.
        hashes: those of words, with 0 for each of ENDS and a line break.

    Returns:
        (m,) hashes of the words, and for each whether a sentence begins with it.
    """
    if normal(text) == text:
        tokens = _WORD_OR_END.findall(text.casefold())
    else:  # a text's form may change what ends a sentence: "…" is one sign here, and three in another form
        tokens = [token for sentence in SENTENCE_END.split(text) for token in (*words(sentence), "\n")]
    numbers = hashes.of(tokens)
    end = numbers == 0
    sentence = np.cumsum(end)[~end]
    begins = np.ones(len(sentence), dtype=bool)
    begins[1:] = sentence[1:] != sentence[:-1]
    return numbers[~end], begins


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
        self.fingerprinting.hashes.ends = frozenset((*ENDS, "\n"))
        self.word_counts, self.total = list[int](), list[int]()
        self.openings, self.opened = list[int](), list[int]()
        self._ranges = [(Spill(np.uint64, 2**22), Spill(np.int32, 2**21), Spill(np.int32, 2**21)) for _ in range(RANGES)]

    def add(self, titles: Sequence[str], contents: Sequence[str]) -> None:
        """Pass the next articles.

        Args:
            titles: m titles.
            contents: m contents.
        """
        hashes, first = self.fingerprinting.hashes, len(self.total)
        prints, flat, begins = list[Hashes](), list[Hashes](), list[NDArray[np.bool_]]()
        for row, (title, content) in enumerate(zip(titles, contents, strict=True), first):
            numbers, starts = sentences(content, hashes)
            flat.append(numbers)
            begins.append(starts)
            cut = numbers if len(content) <= MAX_CHARACTERS else hashes.of(words(content[:MAX_CHARACTERS]))
            prints.append(np.concatenate([hashes.of(words(title)[:MAX_WORDS]), cut])[:MAX_WORDS])
            self.word_counts.append(word_count(content))
            self.total.append(len(numbers))
            if len(head := content[:OPENING]) == OPENING:
                self.openings.append(opening_key(head))
                self.opened.append(row)
        self.fingerprinting.add_words(prints)
        keys, counts = sentence_keys(np.concatenate(flat), np.concatenate(begins))
        owner = np.repeat(np.arange(first, first + len(flat)), [int(each.sum()) for each in begins])
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
