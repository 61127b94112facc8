"""Words as 64-bit hashes, found in many texts at once: numpy looks for their edges and mixes eight bytes of each at a time.

A regular expression and a dictionary of words take five times as long, for made-up articles and for real ones, a fifth of which
are not in ASCII. Those are first rewritten, so that a byte alone says whether it belongs to a word.
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
AT_ONCE: Final = 2**19  # characters, so that what is worked with stays in the cache
LONG: Final = 64  # bytes, above which a word is hashed by itself

_INVISIBLE = re.compile("[\u00ad\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u2064]+")
_SINGLE = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_WORD = re.compile(rf"{_SINGLE}|[^\W_]+")
_HAS_SINGLE = re.compile(_SINGLE)
_END = re.compile(f"[{ENDS}]")
_NO_WORD = re.compile(rf"[^\w\x00-\x7f]+|{_END.pattern}")

_APART, _IN_WORD, _AT_END = range(3)
_KINDS = bytes(
    _IN_WORD if code >= 0x80 or chr(code).isalnum() else _AT_END if chr(code) in f"{ENDS}\n" else _APART for code in range(256)
)
_FIRST = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)  # masks of the first bytes of eight
_ODD, _MORE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


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
        """Return the hashes of each text, n arrays."""
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
    found = [_hashed(some) for some in _some(map(_plain, texts))]
    return Words(
        np.concatenate([np.zeros(0, np.uint64), *(each.hashes for each in found)]),
        np.concatenate([np.zeros(0, np.int64), *(each.counts for each in found)]),
        np.concatenate([np.zeros(0, np.bool_), *(each.begins for each in found)]),
    )


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))


def _plain(text: str) -> bytes:
    """Return a text in which ASCII letters, digits and all other bytes from 0x80 are words, and .!? or a line break an end."""
    if text.isascii():
        return text.lower().encode()
    lines = _normal(_END.sub("\n", text)).casefold()  # its form may make ends that are none: "…" becomes three
    if _HAS_SINGLE.search(lines):
        lines = "\n".join(" ".join(_WORD.findall(line)) for line in lines.split("\n"))
    else:
        lines = _NO_WORD.sub(" ", lines)
    return lines.encode("utf-8", "surrogatepass")


def _some(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    held, size = list[bytes](), 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= AT_ONCE:
            yield held
            held, size = [], 0
    if held:
        yield held


def _hashed(texts: Sequence[bytes]) -> Words:
    data = b"\n".join([b"", *texts, bytes(8)])  # behind the last word, eight bytes can be read
    kinds = np.frombuffer(data.translate(_KINDS), np.uint8)
    inside = kinds == _IN_WORD
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, sizes = edges[::2], edges[1::2] - edges[::2]
    begins = np.zeros(len(starts) + 1, dtype=np.bool_)
    begins[np.searchsorted(starts, np.flatnonzero(kinds == _AT_END))] = True  # the word behind each end
    text_ends = np.cumsum([len(text) + 1 for text in texts])
    return Words(_mixed(data, starts, sizes), np.diff(np.searchsorted(starts, text_ends, side="right"), prepend=0), begins[:-1])


def _mixed(data: bytes, starts: Indices, sizes: Indices) -> Hashes:
    """Return the hash of each word: eight bytes after eight are mixed in. Two words of one length up to eight never collide."""
    eights = np.ndarray(len(data) - 7, dtype="<u8", buffer=data, strides=(1,))
    mixed, left = sizes.astype(np.uint64) * _MORE, np.arange(len(starts))
    for done in range(0, LONG, 8):
        rest = sizes[left] - done
        block = eights[starts[left] + done] & _FIRST[np.minimum(rest, 8)]
        block = (mixed[left] ^ block) * _ODD  # wraps, on purpose
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
