"""Raw predictions of a merged student: sorted by length, a token budget a pass, order restored.

fp32 with LoRA merged, on CPU and GPU alike, so that a prediction is the same number (to about 1e-5) wherever it is made.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.model import StudentModel
from distillery.components.student.tokens import Tokens, by_length

TOKENS_PER_PASS = {"cpu": 2048, "cuda": 65536}


def raw_predictions(model: StudentModel, tokens: Tokens, progress: Progress = quiet) -> NDArray[np.float64]:
    """Return raw scores of tokenised articles.

    Args:
        model: a merged student.
        tokens: tokens of the articles.
        progress: told how many articles have been scored.

    Returns:
        (n, D) scores in the order of `tokens`.
    """
    device = model.head.weight.device
    out = np.empty((len(tokens), model.head.out_features), dtype=np.float64)
    done = 0
    with torch.inference_mode():
        for rows in by_length(tokens.lengths, TOKENS_PER_PASS.get(device.type, 8192)):
            padded, lengths = tokens.batch(rows)
            ids, sizes = torch.from_numpy(padded).to(device), torch.from_numpy(lengths).to(device)
            out[rows] = model(ids, sizes, full=bool(lengths.min() == lengths.max())).double().cpu().numpy()
            done += len(rows)
            progress(done, len(tokens), "articles")
    return out
