"""Tokens that several students share: each article is tokenised once where base model and preprocessing are the same.

Students are served as they are: what is shared are the token ids alone, so predictions are those of each student by itself.
The price is a look-up by the text of each article, and the ids of the last few thousand articles in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery.components.store import Digest, digest_file
from distillery.components.student.base_files import CONFIG, TOKENIZER
from distillery.components.student.bundle import Student
from distillery.components.student.tokens import Tokenize, Tokens

KEPT: Final = 4096  # articles whose tokens are kept: twice what is scored at once


class TokensOnce:
    """Tokenise an article that was tokenised lately by looking it up.

    Args:
        tokenize: makes the tokens of other articles.
        kept: articles that are kept.
    """

    def __init__(self, tokenize: Tokenize, kept: int = KEPT) -> None:
        self._tokenize, self._kept = tokenize, kept
        self._rows = OrderedDict[tuple[str, str], NDArray[np.int32]]()

    @property
    def pad(self) -> int:
        """Return the id that fills a batch."""
        return self._tokenize.pad

    def __call__(self, texts: Iterable[tuple[str, str]]) -> Tokens:
        """Return the tokens of texts.

        Args:
            texts: (title, content) pairs.

        Returns:
            Their tokens, in the order of the texts.
        """
        wanted = list(texts)
        fresh = list(dict.fromkeys(text for text in wanted if text not in self._rows))
        if fresh:
            made = self._tokenize(fresh)
            self._rows.update((text, made[row]) for row, text in enumerate(fresh))
        rows = [self._rows[text] for text in wanted]
        while len(self._rows) > self._kept:
            self._rows.popitem(last=False)
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64)
        return Tokens(np.concatenate(rows) if rows else np.empty(0, np.int32), offsets, self.pad)


class Sharing:
    """Let students share their tokens as they are opened."""

    def __init__(self) -> None:
        self._by_key = dict[tuple[Digest, Digest, Digest], TokensOnce]()

    def join(self, student: Student) -> Student:
        """Let a student take its tokens from the others that have the same tokenizer and preprocessing.

        Args:
            student: an opened student, of this machine.

        Returns:
            The same student.
        """
        base = student.base.path
        key = (digest_file(base / TOKENIZER), digest_file(base / CONFIG), student.preprocessing.digest)
        if key not in self._by_key:
            self._by_key[key] = TokensOnce(student.tokenize)
        student.tokenize_by(self._by_key[key])
        return student
