"""The head before the first step: a ridge regression on the base model's own vectors, at which epoch one begins."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.model import StudentModel, set_training
from distillery.components.student.tokens import Tokens, by_length
from distillery.components.training.distributed import ALONE, Workers

PROBE_ARTICLES = 2048
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # shares of the mean eigenvalue, tried in turn


def on_device(tokens: Tokens, rows: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor, bool]:
    """Return a padded batch on a device.

    Args:
        tokens: tokens of all articles.
        rows: row numbers of the batch.
        device: where the batch goes.

    Returns:
        Token ids (articles, tokens), lengths (articles), and whether no row is padded.
    """
    padded, lengths = tokens.batch(rows)
    full = bool(lengths.min() == lengths.max())
    return torch.from_numpy(padded).to(device), torch.from_numpy(lengths).to(device), full


def ridge(x: Tensor, y: Tensor) -> Tensor:
    """Solve a ridge regression whose strength is chosen on every fifth row.

    Args:
        x: (n, hidden) inputs, fp64.
        y: (n, D) targets, fp64.

    Returns:
        (hidden, D) weights without a bias, fp64.
    """
    held = torch.arange(len(x)) % 5 == 4
    values, vectors = torch.linalg.eigh(x[~held].t() @ x[~held])
    moment = vectors.t() @ (x[~held].t() @ y[~held])
    best, strength = math.inf, RIDGES[0]
    for share in RIDGES:
        weight = vectors @ (moment / (values + share * values.mean())[:, None])
        error = float((x[held] @ weight - y[held]).square().mean()) if held.any() else 0.0
        if error < best:
            best, strength = error, share
    gram = x.t() @ x
    solved: Tensor = torch.linalg.solve(
        gram + torch.eye(len(gram), dtype=x.dtype) * (strength * gram.diagonal().mean()), x.t() @ y
    )
    return solved


def fit_head(
    model: StudentModel,
    tokens: Tokens,
    labels: Tensor,
    budget: int,
    seed: int,
    progress: Progress = quiet,
    workers: Workers = ALONE,
) -> None:
    """Set the bias-free head by ridge regression of labels on the base model's pooled vectors, at the cost of one forward pass.

    Args:
        model: the student; its head is overwritten.
        tokens: tokens of all training articles; at most 2,048 of them are used.
        labels: (n, D) scores, fp32, on the model's device.
        budget: most tokens of one forward pass, padding included.
        seed: decides which articles are used.
        progress: told how many articles have been read.
        workers: share the passes out among themselves.
    """
    rows = np.random.default_rng([seed, 0]).permutation(len(tokens))[:PROBE_ARTICLES].astype(np.int64)
    device = model.head.weight.device
    vectors = torch.zeros(len(rows), model.head.in_features, dtype=torch.float64)
    done = 0
    set_training(model, False)
    with torch.no_grad():
        for batch in list(by_length(tokens.lengths[rows], budget))[workers.rank :: workers.world]:
            ids, lengths, full = on_device(tokens, rows[batch], device)
            vectors[torch.from_numpy(batch)] = model.pooled(ids, lengths, full=full).double().cpu()
            done += len(batch)
            progress(min(done * workers.world, len(rows)), len(rows), "articles read")
        workers.sum(vectors)
        model.head.weight.copy_(ridge(vectors, labels[torch.from_numpy(rows).to(device)].double().cpu()).t())
