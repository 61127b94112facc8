"""A student that was opened: it reads texts, and predicts by the plan in which it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.bundle import StudentFacts
from distillery.components.artifacts.serving import ParityFile, Plan
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.base import Base
from distillery.components.student.content_types import Reading, TypeHead
from distillery.components.student.engines import engine
from distillery.components.student.score_curves import ScoreCurves
from distillery.components.student.tokens import Preprocessing, Tokenizing, Tokens

if TYPE_CHECKING:
    import torch

    from distillery.components.student.predict import Forward

FP32 = Plan()


def preprocessing_of(facts: StudentFacts) -> Preprocessing:
    """Return how a student reads texts.

    Args:
        facts: student.json.

    Returns:
        The preprocessing.
    """
    return Preprocessing(facts.maxLength, facts.headTail, facts.instruction)


@dataclass
class Student:
    """Hold an opened student.

    Attributes:
        facts: student.json.
        base: the base model.
        tensors: LoRA (or the body) and head by bundle name, fp32.
        score_curves: the score curves.
        golden: texts, and the (n, D) raw predictions that training made of them.
        history: figures of each epoch.
        plan: where it runs, in which precision, by which engine.
        parity: how other plans compare with fp32; None where that was not measured.
        types: the head that names content types; None where the bundle has none.
    """

    facts: StudentFacts
    base: Base
    tensors: Mapping[str, torch.Tensor]
    score_curves: ScoreCurves
    golden: tuple[list[tuple[str, str]], NDArray[np.float64]]
    history: dict[str, Any]
    plan: Plan = FP32
    parity: ParityFile | None = None
    types: TypeHead | None = None
    _forward: Forward | None = field(default=None, repr=False)
    _tokenizing: Tokenizing | None = field(default=None, repr=False)

    @property
    def dimensions(self) -> list[str]:
        """Names of the dimensions, in the order of the columns of every prediction."""
        return self.facts.dimensions

    @property
    def preprocessing(self) -> Preprocessing:
        """How texts are cut and cleaned."""
        return preprocessing_of(self.facts)

    @property
    def forward(self) -> Forward:
        """What computes a batch by the plan, built when it is first needed."""
        if self._forward is None:
            tensors = self.tensors if self.types is None else self.types.below(self.tensors, self.facts)
            self._forward = engine(self.plan, self.base, self.facts.lora, self._width, tensors, self.facts.pooling)
        return self._forward

    @property
    def _width(self) -> int:
        """Rows of the head: a score for each dimension, and a product for each content type."""
        return len(self.dimensions) + (len(self.types.names) if self.types is not None else 0)

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
        """Return raw scores, neither corrected nor clamped.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            (n, D) scores in the order of the texts.
        """
        return self.predict_tokens(self.tokens(texts), progress)

    def tokens(self, texts: Sequence[tuple[str, str]]) -> Tokens:
        """Return texts as the student reads them.

        Args:
            texts: (title, content) pairs.

        Returns:
            Their tokens.
        """
        if self._tokenizing is None:
            self._tokenizing = Tokenizing(self.base, self.preprocessing)
        return self._tokenizing(texts)

    def read(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> Reading:
        """Return raw scores and content types, from one pass.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            Both in the order of the texts; no types for a student without the head.
        """
        return self.read_tokens(self.tokens(texts), progress)

    def read_tokens(self, tokens: Tokens, progress: Progress = quiet, *, tight: bool = False) -> Reading:
        """Return raw scores and content types of tokenised texts.

        Args:
            tokens: their tokens, by the student's own preprocessing.
            progress: told how many articles have been scored.
            tight: True for few articles, which have less padding in passes that are not filled.

        Returns:
            Both in the order of `tokens`; no types for a student without the head.
        """
        raw, probabilities = self.with_probabilities(tokens, progress, tight=tight)
        return Reading(raw, None if self.types is None else self.types.named(probabilities))

    def with_probabilities(
        self, tokens: Tokens, progress: Progress = quiet, *, tight: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return raw scores, and the probability of each content type that has a row.

        Args:
            tokens: their tokens, by the student's own preprocessing.
            progress: told how many articles have been scored.
            tight: True for few articles, which have less padding in passes that are not filled.

        Returns:
            (n, D) scores and (n, K) probabilities in the order of `tokens`; K is 0 without the head.
        """
        from distillery.components.student.predict import predictions, tight_passes
        from distillery.components.student.tokens import by_length

        cut = tight_passes if tight else by_length
        found, dims = predictions(self.forward, tokens, self._width, progress, cut), len(self.dimensions)
        rest = found[:, dims:]
        return found[:, :dims], rest if self.types is None else self.types.probabilities(rest)

    def predict_tokens(self, tokens: Tokens, progress: Progress = quiet, *, tight: bool = False) -> NDArray[np.float64]:
        """Return raw scores of tokenised texts.

        Args:
            tokens: their tokens, by the student's own preprocessing.
            progress: told how many articles have been scored.
            tight: True for few articles, which have less padding in passes that are not filled.

        Returns:
            (n, D) scores in the order of `tokens`.
        """
        return self.with_probabilities(tokens, progress, tight=tight)[0]

    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores from raw ones: corrected by the score curves where they helped, and clamped to 0–10.

        Args:
            raw: (n, D) raw scores from `predict`.

        Returns:
            (n, D) scores.
        """
        return self.score_curves.apply(raw)
