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
    """

    facts: StudentFacts
    base: Base
    tensors: Mapping[str, torch.Tensor]
    score_curves: ScoreCurves
    golden: tuple[list[tuple[str, str]], NDArray[np.float64]]
    history: dict[str, Any]
    plan: Plan = FP32
    parity: ParityFile | None = None
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
            self._forward = engine(self.plan, self.base, self.facts.lora, len(self.dimensions), self.tensors)
        return self._forward

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
        """Return raw scores, neither corrected nor clamped.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            (n, D) scores in the order of the texts.
        """
        if self._tokenizing is None:
            self._tokenizing = Tokenizing(self.base, self.preprocessing)
        return self.predict_tokens(self._tokenizing(texts), progress)

    def predict_tokens(self, tokens: Tokens, progress: Progress = quiet, *, tight: bool = False) -> NDArray[np.float64]:
        """Return raw scores of tokenised texts.

        Args:
            tokens: their tokens, by the student's own preprocessing.
            progress: told how many articles have been scored.
            tight: True for few articles, which have less padding in passes that are not filled.

        Returns:
            (n, D) scores in the order of `tokens`.
        """
        from distillery.components.student.predict import predictions, tight_passes
        from distillery.components.student.tokens import by_length

        cut = tight_passes if tight else by_length
        return predictions(self.forward, tokens, len(self.dimensions), progress, cut)

    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores from raw ones: corrected by the score curves where they helped, and clamped to 0–10.

        Args:
            raw: (n, D) raw scores from `predict`.

        Returns:
            (n, D) scores.
        """
        return self.score_curves.apply(raw)
