"""The merged student as a function of ids and mask alone, as OpenVINO's converter and torch's ONNX exporter follow it.

`Masked` gives raw scores; `Corrected` gives final ones beside them, so that score curves and clamp are part of the graph, and
content types where the student names them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from distillery.components.student.content_types import TypeHead
from distillery.components.student.model import StudentModel
from distillery.components.student.pooling import attended
from distillery.components.student.score_curves import ScoreCurves

BELOW: Final = -1e30  # every raw score
NEVER: Final = 2.0  # a threshold that no probability reaches


class Masked(nn.Module):
    """Turn ids and mask into raw scores.

    Args:
        model: a merged student, on the CPU.
    """

    def __init__(self, model: StudentModel) -> None:
        super().__init__()
        self.body, self.head, self.pooling, self.query = model.body, model.head, model.pooling, model.query
        self.eval()  # a new module would train, and who follows it puts its parts back into that state

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return raw scores.

        Args:
            ids: (b, longest) int64 token ids, padded on the right.
            mask: (b, longest) int64, 1 where there is a token.

        Returns:
            (b, D) fp32.
        """
        states: Tensor = self.body(input_ids=ids, attention_mask=mask).last_hidden_state
        share = mask[..., None].float()
        if self.pooling == "last":
            share = share - nn.functional.pad(share, (0, 0, 0, 1))[:, 1:]  # 1 at the last token alone
        if self.query is not None:
            vectors = attended(states, self.query, mask.bool())
        else:
            vectors = states[:, 0] if self.pooling == "cls" else (states * share).sum(1) / share.sum(1)
        out: Tensor = self.head(vectors)
        return out


class Corrected(nn.Module):
    """Turn ids and mask into final and raw scores, and content types.

    A curve is the sum of what each of its segments rises up to a score, which is `numpy.interp` without a search.

    Args:
        model: a merged student, on the CPU; its head has the rows of the content types below those of the scores.
        curves: its score curves.
        types: the head that names content types, with at least one row; None for scores alone.
    """

    start: Tensor
    width: Tensor
    rise: Tensor
    bias: Tensor
    thresholds: Tensor

    def __init__(self, model: StudentModel, curves: ScoreCurves, types: TypeHead | None = None) -> None:
        super().__init__()
        self.raw, self.kept, self.types = Masked(model), curves.kept, 0 if types is None else len(types.names)
        if types is not None:
            thresholds = [NEVER if each is None else each for each in types.thresholds]
            self.register_buffer("bias", torch.from_numpy(types.bias))
            self.register_buffer("thresholds", torch.tensor(thresholds, dtype=torch.float64))
        if curves.kept:
            segments = max(len(x) for x, _ in curves.knots)  # shorter curves go on flat
            # What a curve begins with is a segment that every score has passed: OpenVINO adds a constant to a sum wrongly.
            columns = [([BELOW, *x[:-1]], [1.0, *np.diff(x)], [y[0], *np.diff(y)]) for x, y in curves.knots]
            rests = {"start": 0.0, "width": 1.0, "rise": 0.0}
            for (name, rest), values in zip(rests.items(), zip(*columns, strict=True), strict=True):
                rows = [[*row, *[rest] * (segments - len(row))] for row in values]
                self.register_buffer(name, torch.tensor(rows, dtype=torch.float64))
        self.eval()

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Return final and raw scores, and content types where there is a head that names them.

        Args:
            ids: (b, longest) int64 token ids, padded on the right.
            mask: (b, longest) int64, 1 where there is a token.

        Returns:
            (b, D) scores from 0 to 10, and (b, D) raw ones, fp32. With such a head also (b,) int64 number of the content type,
            -1 where none is named, and (b, K) the probability of each, fp32.
        """
        raw = self.raw(ids, mask)
        typed: tuple[Tensor, ...] = ()
        if self.types:
            raw, typed = raw[:, : -self.types], self._typed(raw[:, -self.types :])
        scores = raw
        if self.kept:
            passed = ((raw.double()[..., None] - self.start) / self.width).clamp(0.0, 1.0)
            scores = (passed * self.rise).sum(-1).float()
        return scores.clamp(0.0, 10.0), raw, *typed

    def _typed(self, products: Tensor) -> tuple[Tensor, Tensor]:
        """Return content types and probabilities, as `TypeHead.named` and `TypeHead.probabilities` do."""
        logits = nn.functional.pad(products.double() + self.bias, (0, 1))  # the logit of none is 0
        probabilities = torch.softmax(logits, dim=1)[:, :-1].float()
        likeliest = probabilities.argmax(dim=1, keepdim=True)
        named = probabilities.gather(1, likeliest).double() >= self.thresholds[likeliest]
        return torch.where(named, likeliest, -1)[:, 0], probabilities


def example() -> tuple[Tensor, Tensor]:
    """Return ids and mask to follow a student with: what a tracer takes for a constant shows on texts of other lengths.

    Returns:
        (2, 7) int64 each; the second article is shorter, so that there is something to mask.
    """
    return torch.ones(2, 7, dtype=torch.long), torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
