"""The head that names content types: logistic rows on the pooled vector that scores come from, so that both take one pass.

The rows stand below those of the scores in one matrix; bias, probabilities and thresholds follow outside, alike for engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.bundle import REDO, ContentTypesFile, StudentFacts
from distillery.components.runtime.progress import Progress, quiet
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

TOLERANCE: Final = 0.01  # of a probability, when golden texts are read again in fp32
REDUCED_TOLERANCE: Final = 0.1  # the same in another precision


class Reading(NamedTuple):
    """What one pass makes of n articles.

    raw: (n, D) raw scores. content_types: the name of each, None where no type is named; None for a student without the head.
    """

    raw: Floats
    content_types: list[str | None] | None


class Scores(Protocol):
    """A student that scores."""

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = ...) -> Floats:
        """Return raw scores.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            (n, D) raw scores in the order of the texts.
        """


@runtime_checkable
class NamesTypes(Protocol):
    """A student that may name content types, too."""

    @property
    def types(self) -> TypeHead | None:
        """Return the head; None for a student without one."""

    def read(self, texts: Sequence[tuple[str, str]], progress: Progress = ...) -> Reading:
        """Return raw scores and content types.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            Both in the order of the texts.
        """


def read_texts(student: Scores, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> Reading:
    """Return what a student makes of texts, whether it names content types or not.

    Args:
        student: the student.
        texts: (title, content) pairs.
        progress: told how many articles have been scored.

    Returns:
        Raw scores, and content types where the student names any.
    """
    if isinstance(student, NamesTypes) and student.types is not None:
        return student.read(texts, progress)
    return Reading(student.predict(texts, progress), None)


def names_types(student: object) -> bool:
    """True if a student names content types.

    Args:
        student: the student.

    Returns:
        False where its bundle has no head for them.
    """
    return isinstance(student, NamesTypes) and student.types is not None


@dataclass(frozen=True)
class TypeHead:
    """The head as its file has it."""

    file: ContentTypesFile

    @property
    def names(self) -> list[str]:
        """Names of the types that have a row, in the order of the rows."""
        return [row.name for row in self.file.types if row.weights]

    @property
    def rows(self) -> Floats:
        """(K, hidden) weights of the types that have a row."""
        return np.array([row.weights for row in self.file.types if row.weights], dtype=np.float64)

    @property
    def bias(self) -> Floats:
        """(K,) what is added to each row's product."""
        return np.array([row.bias for row in self.file.types if row.weights], dtype=np.float64)

    @property
    def thresholds(self) -> list[float | None]:
        """Probability from which on each type is named, in the order of the rows; None where it never is."""
        return [row.threshold for row in self.file.types if row.weights]

    def below(self, tensors: Mapping[str, Tensor], facts: StudentFacts) -> dict[str, Tensor]:
        """Return the tensors of a student with these rows below those of its scores.

        Args:
            tensors: by bundle name.
            facts: the student's facts.

        Returns:
            The tensors; the head has (D + K) rows.
        """
        import torch

        head = head_name(facts)
        rows = torch.from_numpy(self.rows).to(tensors[head].dtype)
        return {**tensors, head: torch.cat([tensors[head], rows])} if len(rows) else dict(tensors)

    def probabilities(self, products: Floats) -> Floats:
        """Return the probability of each type.

        Args:
            products: (n, K) products of rows and pooled vectors.

        Returns:
            (n, K); what is missing to 1 is the probability of none of them.
        """
        return softmax(products + self.bias)

    def named(self, probabilities: Floats) -> list[str | None]:
        """Return the content type of each article: the likeliest one, where it reaches its threshold.

        Args:
            probabilities: (n, K).

        Returns:
            Names; None where no type is named.
        """
        if not self.names:
            return [None] * len(probabilities)
        thresholds = self.thresholds
        found: list[str | None] = []
        for row, at in zip(probabilities, probabilities.argmax(axis=1).tolist(), strict=True):
            threshold = thresholds[at]
            found.append(self.names[at] if threshold is not None and row[at] >= threshold else None)
        return found


def head_name(facts: StudentFacts) -> str:
    """Return the bundle's name of the head that scores.

    Args:
        facts: the student's facts.

    Returns:
        Name of a tensor.
    """
    from distillery.components.student.model import HEAD, WHOLE_HEAD
    from distillery.components.student.pooling import names_of

    return (HEAD if facts.lora else WHOLE_HEAD)[names_of(facts.base.kind, facts.pooling)]


def softmax(logits: Floats) -> Floats:
    """Return the probabilities of rows beside one whose logit is 0.

    Args:
        logits: (n, K).

    Returns:
        (n, K) probabilities.
    """
    whole = np.concatenate([logits, np.zeros((len(logits), 1))], axis=1)
    powers = np.exp(whole - whole.max(axis=1, keepdims=True))
    found: Floats = (powers / powers.sum(axis=1, keepdims=True))[:, :-1]
    return found


def open_types(data: bytes, facts: StudentFacts, texts: int, where: str) -> TypeHead:
    """Return the head that a bundle's file holds.

    Args:
        data: the file.
        facts: the student's facts.
        texts: number of golden texts.
        where: address of the file, for errors.

    Returns:
        The head.

    Raises:
        InputError: it is damaged, or does not fit the student.
    """
    file = ContentTypesFile.read(data, where)
    head = TypeHead(file)
    names = [row.name for row in file.types]
    if len(set(names)) != len(names):
        raise InputError("two content types of one name", where=where, hint=REDO)
    if odd := [row.name for row in file.types if len(row.weights) not in (0, facts.base.hidden)]:
        raise InputError(f"{odd[0]} has no row of {facts.base.hidden} weights", where=where, hint=REDO)
    if odd := [row.name for row in file.types if row.threshold is not None and not row.weights]:
        raise InputError(f"{odd[0]} has a threshold and no weights", where=where, hint=REDO)
    if len(file.golden) != texts or {len(row) for row in file.golden} != {len(head.names)}:
        raise InputError("its probabilities don't match the golden texts and types", where=where, hint=REDO)
    return head
