"""Raw predictions of a merged student: sorted by length, a token budget a pass, order restored.

LoRA is merged, on CPU and GPU alike, so that in fp32 a prediction is the same number (to about 1e-5) wherever it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.model import StudentModel
from distillery.components.student.tokens import Tokens, by_length

TOKENS_PER_PASS = {"cpu": 2048, "cuda": 65536}
SHARES = 64  # of a pass's budget: one is what a pass takes besides its tokens, 5 ms or 32 tokens of MiniLM on a CPU
GPU_SPARE = 6  # one part in so many is left to CUDA's context, and to what a training keeps while it validates
WEIGHTS_TIMES_TOKENS = 10**12  # of a pass on a CPU: 2 TFLOP, 10 s at the worst


def cpu_budget(weights: int) -> int:
    """Return the tokens of a pass on a CPU: so few that one takes seconds, since progress is told between passes.

    Args:
        weights: parameters of the model. From some 500 tokens on a large model's products gain nothing by more.

    Returns:
        At most 2,048 tokens, and at least 512.
    """
    return max(512, min(TOKENS_PER_PASS["cpu"], WEIGHTS_TIMES_TOKENS // max(weights, 1)))


def gpu_budget(model: StudentModel, memory: int) -> int:
    """Return the tokens of a pass on a GPU: as many as are worth it, and no more than there is room for beside the model.

    It is worked out from the GPU's size, not from what is free at the moment, so that a part scored again has the same passes.

    Args:
        model: the student.
        memory: what the GPU has, in bytes.

    Returns:
        At most 65,536 tokens, and at least 512.
    """
    blocks = max((len(each) for each in model.body.modules() if isinstance(each, torch.nn.ModuleList)), default=1)
    rows = sum(each.out_features for each in model.body.modules() if isinstance(each, torch.nn.Linear)) // blocks
    width, item = model.head.in_features, next(model.body.parameters()).element_size()
    each_token = (5 * rows // 2 + 8 * width) * item + 8 * width  # as memory.py counts it
    held = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return max(512, min(TOKENS_PER_PASS["cuda"], (memory - memory // GPU_SPARE - held) // each_token))


Cut = Callable[[NDArray[np.int64], int], Iterator[NDArray[np.int64]]]


def tight_passes(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Cut articles into the passes that cost least, padding and what each pass takes besides.

    Some sixty articles, which is what a server has at once, have 9% of padding in passes that are filled, and 3% in these. It
    is the shortest way through the articles by length; thousands are better filled, which is quicker to work out.

    Args:
        lengths: (n,) tokens of each article.
        budget: most tokens of a pass, padding counted; a pass has one row at least.

    Yields:
        Row numbers of each pass, the longest articles first.
    """
    order = np.argsort(-lengths, kind="stable")
    longest, count = lengths[order], len(order)
    cost, begin = np.zeros(count + 1), np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        starts = np.arange(max(0, end - max(1, budget // int(longest[end - 1]))), end)
        size = longest[starts] * (end - starts)
        whole = np.where((size <= budget) | (starts == end - 1), cost[starts] + size + budget / SHARES, np.inf)
        best = int(whole.argmin())
        cost[end], begin[end] = whole[best], starts[best]
    ends = [count]
    while ends[-1]:
        ends.append(int(begin[ends[-1]]))
    for start, end in pairwise(reversed(ends)):
        yield order[start:end]


class Forward(Protocol):
    """Compute raw scores of one batch; each engine has one."""

    @property
    def budget(self) -> int:
        """Return the most tokens of a pass, padding counted."""

    def __call__(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return raw scores.

        Args:
            ids: (b, longest) token ids, padded on the right.
            lengths: (b,) tokens of each article.

        Returns:
            (b, D) scores.
        """


class TorchForward:
    """Compute by torch, in the precision and on the device of a merged student.

    Args:
        model: the student.
    """

    def __init__(self, model: StudentModel) -> None:
        self.model, self.device = model, model.head.weight.device
        weights = sum(parameter.numel() for parameter in model.parameters())
        self.budget = TOKENS_PER_PASS.get(self.device.type, 8192)
        if self.device.type == "cpu":
            self.budget = cpu_budget(weights)
        elif self.device.type == "cuda":
            self.budget = gpu_budget(model, torch.cuda.get_device_properties(self.device).total_memory)

    def __call__(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the raw scores (b, D) of one batch."""
        padded, sizes = torch.from_numpy(ids).to(self.device), torch.from_numpy(lengths).to(self.device)
        with torch.inference_mode():
            scores = self.model(padded, sizes, full=bool(lengths.min() == lengths.max()))
            out: NDArray[np.float64] = scores.double().cpu().numpy()
        return out


def predictions(
    forward: Forward, tokens: Tokens, dims: int, progress: Progress = quiet, cut: Cut = by_length
) -> NDArray[np.float64]:
    """Return raw scores of tokenised articles.

    Args:
        forward: computes one batch.
        tokens: tokens of the articles.
        dims: number of dimensions.
        progress: told how many articles have been scored.
        cut: cuts articles of these lengths into passes of so many tokens.

    Returns:
        (n, D) scores in the order of `tokens`.
    """
    out = np.empty((len(tokens), dims), dtype=np.float64)
    done = 0
    for rows in cut(tokens.lengths, forward.budget):
        out[rows] = forward(*tokens.batch(rows))
        done += len(rows)
        progress(done, len(tokens), "articles")
    return out


def raw_predictions(model: StudentModel, tokens: Tokens, progress: Progress = quiet) -> NDArray[np.float64]:
    """Return raw scores of tokenised articles by torch.

    Args:
        model: a merged student.
        tokens: tokens of the articles.
        progress: told how many articles have been scored.

    Returns:
        (n, D) scores in the order of `tokens`.
    """
    return predictions(TorchForward(model), tokens, model.head.out_features, progress)
