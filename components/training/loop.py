"""The training loop: one file, no framework in between.

An optimizer step is a random sample of `batchSize` articles, cut into forward passes of like length, so almost nothing is
padding and the step's gradient is what one padded batch would give. The head starts from a ridge regression on the base
model's own vectors: epoch one then begins where a linear probe ends. Validation uses the merged fp32 student that serving
uses, so what is selected is what is served. Everything that decides the result is in the checkpoint.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.model import StudentModel, assert_trainable, set_training, set_weights
from distillery.components.student.tokens import Tokens, epoch_order
from distillery.components.training.checkpoints import Checkpoints, NoCheckpoints
from distillery.components.training.distributed import ALONE, Workers
from distillery.components.training.head import fit_head, on_device
from distillery.components.training.objective import EACH, LOSSES
from distillery.components.training.optimizer import make_optimizer
from distillery.components.training.tracked import figures_of
from distillery.filters.errors import InputError
from distillery.filters.spec import Training

SPARE = {"cpu": 96, "cuda": 4096}  # padding tokens that cost about as much as one more forward pass


class Validation(NamedTuple):
    """Errors on validation articles, in points of 10.

    raw: the (n, D) predictions behind them, where they are kept. stop: the error by which an epoch is kept; None for the MAE.
    dimensions: train and validation error of each, where they are wanted.
    """

    mae: float
    rmse: float
    raw: NDArray[np.float64] | None = None
    stop: float | None = None
    dimensions: dict[str, dict[str, float]] | None = None

    @property
    def decides(self) -> float:
        """Return the error by which an epoch is kept."""
        return self.mae if self.stop is None else self.stop


@dataclass
class Fitted:
    """What a training leaves.

    Attributes:
        best: trained tensors of the best epoch, by bundle name.
        history: figures of each epoch.
        steps: optimizer steps taken.
        tokens: tokens trained on, padding not counted.
        tokens_here: those of this process alone, which may have resumed from a checkpoint.
        seconds: time this process trained for.
        raw: (n, D) raw predictions of the best epoch on the validation part; None where an earlier process made them.
    """

    best: dict[str, Tensor]
    history: dict[str, Any]
    steps: int
    tokens: int
    tokens_here: int
    seconds: float
    raw: NDArray[np.float64] | None = None


def rate_at(step: int, steps: int, training: Training) -> float:
    """Return the learning rate of one optimizer step: linear warmup, then half a cosine to zero.

    Args:
        step: number of the step, from 0.
        steps: steps in all.
        training: the filter's training section.

    Returns:
        The learning rate.
    """
    stated = training.warmupSteps
    warmup = round(training.warmupRatio * steps) if stated is None else min(stated, steps)
    if step < warmup:
        return training.learningRate * (step + 1) / warmup
    return training.learningRate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@contextmanager
def deterministic() -> Iterator[None]:
    """Use deterministic kernels where torch has them, without the cost of filling fresh memory; warn where it has none.

    Yields:
        Nothing; the former settings come back at the end of the block.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the GPU library starts
    settings: Any = torch.utils.deterministic
    fills, before = settings.fill_uninitialized_memory, torch.are_deterministic_algorithms_enabled()
    settings.fill_uninitialized_memory = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        settings.fill_uninitialized_memory = fills


class Loop:
    """Train a student once.

    Args:
        model: the student with LoRA and head.
        tokens: tokens of the training articles.
        labels: (n, D) scores of the training articles, 0-10.
        training: the filter's training section.
        expected: how many parameters must be trainable.
        validate: gets the trained tensors by bundle name and returns the errors on the validation part.
        precision: fp32 or bf16.
        checkpoints: where the state is kept; None for nowhere.
        progress: told of each step and epoch.
        workers: those of this training.
        aside: frees the body while validation has one of its own, so that memory never holds two.
        weights: (n, D) weights of the scores in the loss; None where all count alike.
    """

    def __init__(
        self,
        model: StudentModel,
        tokens: Tokens,
        labels: NDArray[np.float64],
        training: Training,
        *,
        expected: int,
        validate: Callable[[dict[str, Tensor]], Validation],
        precision: str = "fp32",
        checkpoints: Checkpoints | None = None,
        progress: Progress = quiet,
        workers: Workers = ALONE,
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.aside = aside
        model.head_dropout = training.headDropout
        self.model, self.tokens, self.training = model, tokens, training
        self.validate, self.progress, self.expected, self.precision = validate, progress, expected, precision
        self.checkpoints = checkpoints or NoCheckpoints()
        self.device = model.head.weight.device
        self.labels = torch.from_numpy(labels).float().to(self.device)
        self.weights = None if weights is None else torch.from_numpy(weights).float().to(self.device)
        self.per_epoch = math.ceil(len(tokens) / training.batchSize)
        self.steps = self.per_epoch * training.epochs
        self.workers, self.optimizer = workers, make_optimizer(model, training, workers)
        self.state: dict[str, Any] = {}
        self.best_raw: NDArray[np.float64] | None = None

    def run(self, state: dict[str, Any] | None = None) -> Fitted:
        """Train until the epochs are done or validation stops gaining.

        Args:
            state: a checkpoint's state to resume from; None to start afresh.

        Returns:
            The best epoch's tensors, and what it took to get there.

        Raises:
            InputError: the loss is no longer a number.
        """
        assert_trainable(self.model, self.expected)
        if state:
            self._restore(state)
        else:
            budget, seed = self.training.tokensPerBatch, self.training.seed
            fit_head(self.model, self.tokens, self.labels, budget, seed, self.progress, self.workers)
            self.state = {
                "epoch": 0,
                "step": 0,
                "loss": 0.0,
                "tokens": 0,
                "best": {},
                "best_mae": math.inf,
                "best_epoch": 0,
                "epochs": [],
            }
        assert_trainable(self.model, self.expected)
        self.optimizer.begin(state["optimizer"] if state else None)
        began, before = time.monotonic(), int(self.state["tokens"])
        while self.state["epoch"] < self.training.epochs and not self._waited_enough():
            self._epoch(began, before)
            self._close_epoch()
            self.checkpoints.save(self._snapshot())
        done = self.state
        history = {"epochs": done["epochs"], "best_epoch": done["best_epoch"]}
        return Fitted(
            done["best"],
            history,
            sum(epoch["steps"] for epoch in done["epochs"]),
            done["tokens"],
            done["tokens"] - before,
            time.monotonic() - began,
            self.best_raw,
        )

    def _waited_enough(self) -> bool:
        return bool(self.state["epoch"] - self.state["best_epoch"] >= self.training.patience and self.state["epochs"])

    def _epoch(self, began: float, before: int) -> None:
        state, size = self.state, self.training.batchSize
        order = epoch_order(len(self.tokens), self.training.seed, state["epoch"])
        set_training(self.model, True)
        while state["step"] < self.per_epoch:
            step = state["step"]
            rows = order[step * size : (step + 1) * size]
            loss = self._step(rows, rate_at(state["epoch"] * self.per_epoch + step, self.steps, self.training))
            state["loss"] += loss * len(rows)
            state["tokens"] += int(self.tokens.lengths[rows].sum())
            state["step"] += 1
            seen = state["epoch"] * len(self.tokens) + min(state["step"] * size, len(self.tokens))
            speed = (state["tokens"] - before) / max(time.monotonic() - began, 1e-9)
            self.progress(
                seen,
                self.training.epochs * len(self.tokens),
                "articles",
                epoch=f"{state['epoch'] + 1}/{self.training.epochs}",
                tokens_per_s=round(speed),
                loss=state["loss"] / min(state["step"] * size, len(self.tokens)),
            )
            if self._due():
                self.checkpoints.save(self._snapshot())

    def _due(self) -> bool:
        """True if a checkpoint is due.

        Workers that share out the state decide together, since each must then give its part.
        """
        due = self.checkpoints.due()
        return self.workers.agree(due) if self.optimizer.shared else due

    def _step(self, rows: NDArray[np.int64], rate: float) -> float:
        """Make one optimizer step; return the mean loss over its articles and dimensions."""
        training = self.training
        scale = 1.0 / (len(rows) * self.labels.shape[1])
        total = torch.zeros((), device=self.device)
        spare = SPARE.get(self.device.type, 1024)
        # Dropout is drawn from the place in the training, so a checkpoint needs no generator and fits any number of workers.
        torch.manual_seed(self._seed())
        passes = self.optimizer.passes(rows, self.tokens.lengths, spare)
        for number, (micro, share) in enumerate(passes, start=1):
            ids, lengths, full = on_device(self.tokens, micro, self.device)
            loss = self._loss(self.model(ids, lengths, full=full), torch.from_numpy(micro).to(self.device)) * (scale * share)
            self.optimizer.backward(loss, last=number == len(passes))
            total += loss.detach()
        value, norm = self.optimizer.measure(total)
        # Written so that NaN stops it, before the weights are touched.
        if not (math.isfinite(value) and math.isfinite(norm)):
            place = f"epoch {self.state['epoch'] + 1}, step {self.state['step'] + 1}"
            mend = f"lower learningRate (now {training.learningRate:g})"
            raise InputError(
                f"the loss is not a number any more ({place})",
                where="training",
                hint=mend if self.precision == "fp32" else f"{mend} or set precision to fp32",
            )
        self.optimizer.step(rate)
        return value

    def _loss(self, predictions: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of a pass, summed over its articles and dimensions."""
        labels = self.labels[rows]
        if self.weights is None:
            return LOSSES[self.training.loss](predictions, labels)
        return (EACH[self.training.loss](predictions, labels) * self.weights[rows]).sum()

    def _seed(self) -> int:
        place = self.state["epoch"] * self.per_epoch + self.state["step"]
        return int(np.random.SeedSequence([self.training.seed, place, self.workers.rank]).generate_state(1)[0])

    def _close_epoch(self) -> None:
        state = self.state
        self.optimizer.keep_together()
        tensors = self.optimizer.weights(self.expected)
        with self.aside():
            found = self.workers.agree(self.validate(tensors))
        if not math.isfinite(found.decides):
            raise InputError(
                f"the validation error of epoch {state['epoch'] + 1} is not a number",
                where="training",
                hint=f"lower learningRate (now {self.training.learningRate:g})",
            )
        state["epochs"].append(
            {
                "epoch": state["epoch"] + 1,
                "train_loss": state["loss"] / len(self.tokens),
                "validation_mae": found.mae,
                "validation_rmse": found.rmse,
                "steps": state["step"],
                "tokens": int(self.tokens.lengths.sum()),
                "learning_rate": rate_at((state["epoch"] + 1) * self.per_epoch - 1, self.steps, self.training),
                **({"dimensions": found.dimensions} if found.dimensions else {}),
            }
        )
        self.progress.figures((state["epoch"] + 1) * len(self.tokens), figures_of(state["epochs"][-1]))
        self.progress.note(
            f"epoch {state['epoch'] + 1} of {self.training.epochs}: "
            f"loss {state['loss'] / len(self.tokens):.4f}, validation MAE {found.mae:.4f}"
            + ("" if found.stop is None else f", stopOn {self.training.stopOn} {found.stop:.4f}")
        )
        state["epoch"] += 1
        if found.decides < state["best_mae"]:
            state |= {"best": tensors, "best_mae": found.decides, "best_epoch": state["epoch"]}
            self.best_raw = found.raw
        state |= {"step": 0, "loss": 0.0}

    def _snapshot(self) -> dict[str, Any]:
        return {
            "weights": self.optimizer.weights(self.expected),
            "optimizer": self.optimizer.state(),
            "precision": self.precision,
            "loop": self.state,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        set_weights(self.model, state["weights"])
        self.state = state["loop"]
        self.progress.note(f"resumed in epoch {self.state['epoch'] + 1} after {self.state['step']} of {self.per_epoch} steps")
