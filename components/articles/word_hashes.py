"""Words as 64-bit hashes, found in many texts at once: numpy looks for their edges and mixes eight bytes of each at a time.

A pattern and a dictionary take ten times as long for texts in ASCII, and four times for those with an é for each e
(tests/benchmarks/test_words.py), which are first rewritten, so that a byte alone says whether it belongs to a word.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.shingle_sets import Hashes, Indices

ENDS: Final = ".!?؟۔।。！？"  # of sentences; a line break is another
BATCH: Final = 2**19  # bytes of texts that are hashed together
LONG: Final = 64  # bytes, above which a word is hashed by itself

_INVISIBLES = {chr(code) for code in (0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065))}
_INVISIBLE = re.compile(f"[{''.join(_INVISIBLES)}]+")
_SINGLE = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_WORD = re.compile(rf"{_SINGLE}|[^\W_]+")
_HAS_SINGLE = re.compile(_SINGLE)
_END = re.compile(f"[{ENDS}]")
_ODD = re.compile(r"[^\x00-\x7f\w]")

_APART, _IN_WORD, _AT_END = range(3)
_KINDS = bytes(
    _IN_WORD if code >= 0x80 or chr(code).isalnum() else _AT_END if chr(code) in f"{ENDS}\n" else _APART for code in range(256)
)
_FIRST = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)  # masks of the first bytes of eight
_TURN, _MORE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


class Words(NamedTuple):
    """The words of n texts, one text after the other.

    Attributes:
        hashes: (m,) of the words; they depend on neither process, machine nor what else is hashed.
        counts: (n,) words of each text.
        begins: (m,) whether a sentence begins with each.
    """

    hashes: Hashes
    counts: Indices
    begins: NDArray[np.bool_]

    def split(self) -> list[Hashes]:
        """Return the hashes of each text.

        Returns:
            n arrays.
        """
        return np.split(self.hashes, np.cumsum(self.counts)[:-1]) if len(self.counts) else []


def words(text: str) -> list[str]:
    """Split a text into words.

    Args:
        text: any text.

    Returns:
        The words, compatibility-normalised and case-folded, without punctuation and invisible direction marks.
    """
    return _WORD.findall(_normal(text).casefold())


def word_hashes(texts: Iterable[str]) -> Words:
    """Hash the words of texts, and find the ends of their sentences.

    Args:
        texts: n texts.

    Returns:
        The hashes of what `words` returns for each, and where its sentences begin: behind one of ENDS or a line break.
    """
    hashed = [_hash_batch(batch) for batch in _batches(map(_bytes_of, texts))]
    return Words(
        np.concatenate([np.zeros(0, np.uint64), *(each.hashes for each in hashed)]),
        np.concatenate([np.zeros(0, np.int64), *(each.counts for each in hashed)]),
        np.concatenate([np.zeros(0, np.bool_), *(each.begins for each in hashed)]),
    )


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))


def _bytes_of(text: str) -> bytes:
    """Return a text as bytes, each of which says by itself whether it is part of a word, ends a sentence, or neither."""
    if text.isascii():
        return text.lower().encode()
    lines = text.casefold()
    odd = set(_ODD.findall(lines))
    if not (unicodedata.is_normalized("NFKC", text) and odd.isdisjoint(_INVISIBLES)):
        # The form may make ends that are none, such as the three of "…": only those that are there by now end a sentence.
        lines = _END.sub(" ", _normal(_END.sub("\n", text)).casefold())
        odd = set(_ODD.findall(lines))
    if _HAS_SINGLE.search(lines):
        lines = "\n".join(" ".join(_WORD.findall(line)) for line in _END.sub("\n", lines).split("\n"))
    else:
        for character in odd:
            lines = lines.replace(character, "\n" if character in ENDS else " ")
    return lines.encode("utf-8", "surrogatepass")


def _batches(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch, size = list[bytes](), 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _hash_batch(texts: Sequence[bytes]) -> Words:
    data = b"\n".join([b"", *texts, bytes(8)])  # behind the last word, eight bytes can be read
    kinds = np.frombuffer(data.translate(_KINDS), np.uint8)
    inside = kinds == _IN_WORD
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, sizes = edges[::2], edges[1::2] - edges[::2]
    begins = np.zeros(len(starts) + 1, dtype=np.bool_)
    begins[np.searchsorted(starts, np.flatnonzero(kinds == _AT_END))] = True  # the word behind each end
    text_ends = np.cumsum([len(text) + 1 for text in texts])
    return Words(
        _hash_words(data, starts, sizes), np.diff(np.searchsorted(starts, text_ends, side="right"), prepend=0), begins[:-1]
    )


def _hash_words(data: bytes, starts: Indices, sizes: Indices) -> Hashes:
    """Return the hash of each word: eight bytes after eight are mixed in. Two words of one length up to eight never collide."""
    eights = np.ndarray(len(data) - 7, dtype="<u8", buffer=data, strides=(1,))
    mixed, left = sizes.astype(np.uint64) * _MORE, np.arange(len(starts))
    for done in range(0, LONG, 8):
        rest = sizes[left] - done
        block = eights[starts[left] + done] & _FIRST[np.minimum(rest, 8)]
        block = (mixed[left] ^ block) * _TURN  # wraps, on purpose
        block ^= block >> np.uint64(32)
        block *= _MORE
        mixed[left] = block ^ (block >> np.uint64(29))
        left = left[rest > 8]
        if not len(left):
            break
    for row in left.tolist():
        word = data[starts[row] : starts[row] + sizes[row]]
        mixed[row] = int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")
    return mixed
