"""Tokens of articles seen lately, so that filters with one tokenizer tokenise an article once, and so does one sent again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.content_types import Reading, TypeHead

if TYPE_CHECKING:
    from distillery.components.student.student import Student
    from distillery.components.student.tokens import Tokenizing, Tokens

MOST_TOKENS = 4_000_000  # 16 MB
Kind = tuple[str, str]  # digests of the base model and of the preprocessing: what decides the tokens


class TokenCache:
    """Tokenises for students, and keeps the tokens. One thread uses it.

    Args:
        most: tokens that are kept.
    """

    def __init__(self, most: int = MOST_TOKENS) -> None:
        self._most, self._kept = most, 0
        self._ids = OrderedDict[tuple[Kind, bytes], NDArray[np.int32]]()
        self._tokenizing = dict[Kind, "Tokenizing"]()

    def tokens(self, student: Student, texts: Sequence[tuple[str, str]]) -> Tokens:
        """Return the tokens of texts by a student's tokenizer and preprocessing.

        Args:
            student: the student.
            texts: (title, content) pairs.

        Returns:
            Their tokens, in order.
        """
        from distillery.components.student.tokens import Tokenizing, Tokens

        kind = (student.base.digest, student.preprocessing.digest)
        if kind not in self._tokenizing:
            self._tokenizing[kind] = Tokenizing(student.base, student.preprocessing)
        tokenizing = self._tokenizing[kind]
        keys = [(kind, _digest(*text)) for text in texts]
        missing = {key: row for row, key in enumerate(keys) if key not in self._ids}
        fresh = dict[tuple[Kind, bytes], NDArray[np.int32]]()
        if missing:
            made = tokenizing([texts[row] for row in missing.values()])
            fresh = {key: made[number].copy() for number, key in enumerate(missing)}
        rows = [fresh[key] if key in fresh else self._again(key) for key in keys]
        self._keep(fresh)
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64)
        return Tokens(np.concatenate(rows) if rows else np.empty(0, np.int32), offsets, tokenizing.pad)

    def _again(self, key: tuple[Kind, bytes]) -> NDArray[np.int32]:
        self._ids.move_to_end(key)
        return self._ids[key]

    def _keep(self, fresh: dict[tuple[Kind, bytes], NDArray[np.int32]]) -> None:
        self._ids.update(fresh)
        self._kept += sum(map(len, fresh.values()))
        while self._kept > self._most:
            _, ids = self._ids.popitem(last=False)
            self._kept -= len(ids)


class Sharing:
    """A student whose texts are tokenised by a cache.

    Args:
        student: the student.
        cache: tokenises.
        tight: True where few articles come at a time, as to a server. Parts of a corpus are cut as without a cache, so that
            they are the same bytes.
    """

    def __init__(self, student: Student, cache: TokenCache, *, tight: bool = False) -> None:
        self._student, self._cache, self._tight = student, cache, tight
        self.dimensions = student.dimensions

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
        """Return raw scores.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            (n, D) raw scores in the order of the texts.
        """
        return self._student.predict_tokens(self._cache.tokens(self._student, texts), progress, tight=self._tight)

    @property
    def types(self) -> TypeHead | None:
        """The head that names content types; None for a student without one."""
        return self._student.types

    def read(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> Reading:
        """Return raw scores and content types, from one pass.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            Both in the order of the texts.
        """
        return self._student.read_tokens(self._cache.tokens(self._student, texts), progress, tight=self._tight)

    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores from raw ones.

        Args:
            raw: (n, D) raw scores.

        Returns:
            (n, D) scores from 0 to 10.
        """
        return self._student.scores(raw)


def _digest(title: str, content: str) -> bytes:
    told = f"{len(title)}:{title}{content}"
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).digest()
