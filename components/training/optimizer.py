"""From gradients to new weights: AdamW on every worker's copy, or DeepSpeed's ZeRO with its state shared out.

Only LoRA and head train, so copies are cheap: 8 bytes of AdamW state a parameter are 148 MB for Qwen2.5-1.5B, where the bf16
base takes 3.1 GB. ZeRO-2 shares those 148 MB out, ZeRO-3 the frozen base too; both pay in messages at every pass. Hence `ddp`
is the default and the others are for bases that leave no room. Checkpoints are the same for all three, so that a training
may go on under another number of workers or another strategy.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distillery.components.student.model import StudentModel, TrainableError, trainable, weights
from distillery.components.student.tokens import micro_batches
from distillery.components.training.distributed import Workers
from distillery.filters.errors import InputError
from distillery.filters.spec import Training

Rows = NDArray[np.int64]
MOMENTS = ("exp_avg", "exp_avg_sq")


class Optimizer:
    """Take steps by AdamW on whole copies of the model; gradients are summed by one flat all-reduce.

    Args:
        model: this worker's student.
        training: the filter's training section.
        workers: those of this training.
    """

    shared = False  # whether every worker is needed to read the weights and the optimizer's state

    def __init__(self, model: StudentModel, training: Training, workers: Workers) -> None:
        self.model, self.training, self.workers = model, training, workers
        self.parameters = list(trainable(model).values())
        self.shapes = [parameter.shape for parameter in self.parameters]  # ZeRO-3 empties what it shares out
        factors = layer_factors(list(trainable(model)), training.layerDecay)
        self.factors = list(dict.fromkeys(factors))  # of the rate, one for each group of parameters
        groups = [
            {"params": [each for each, its in zip(self.parameters, factors, strict=True) if its == factor]}
            for factor in self.factors
        ]
        self.adamw = torch.optim.AdamW(groups, lr=training.learningRate, weight_decay=training.weightDecay)

    def begin(self, state: dict[str, Any] | None = None) -> None:
        """Start from the model's weights as they are.

        Args:
            state: the optimizer's state from a checkpoint; None to start afresh.
        """
        if state:
            self.adamw.load_state_dict(state)
            for group in self.adamw.param_groups:  # a checkpoint's groups, of whichever strategy, decide nothing
                group["weight_decay"] = self.training.weightDecay

    def passes(self, rows: Rows, lengths: Rows, spare: int) -> list[tuple[Rows, float]]:
        """Cut one step's articles into this worker's forward passes.

        Args:
            rows: row numbers of the step's articles, of all workers.
            lengths: tokens of every article, by row number.
            spare: padding tokens that cost about as much as one more pass.

        Returns:
            Row numbers of each pass, with the factor of its loss.
        """
        return [(part, 1.0) for part in self._cut(self.workers.deal(rows, lengths), lengths, spare)]

    def _cut(self, rows: Rows, lengths: Rows, spare: int) -> list[Rows]:
        return list(micro_batches(rows, lengths, self.training.tokensPerBatch, spare)) if len(rows) else []

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Add the gradients of one pass.

        Args:
            loss: the pass's loss, divided by the whole batch.
            last: whether this is the step's last pass.
        """
        loss.backward()  # type: ignore[no-untyped-call]

    def measure(self, total: Tensor) -> tuple[float, float]:
        """Sum gradients over all workers, and clip them.

        Args:
            total: sum of this worker's losses.

        Returns:
            Loss and gradient norm of the step over all workers.
        """
        total = self.workers.sum_gradients(self.parameters, total)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.training.maxGradNorm)
        return total.item(), norm.item()

    def step(self, rate: float) -> None:
        """Move the weights along the gradients, and clear those.

        Args:
            rate: the learning rate.
        """
        for group, factor in zip(self.adamw.param_groups, self.factors, strict=True):
            group["lr"] = rate * factor
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)

    def keep_together(self) -> None:
        """Take over the first worker's weights; see `Workers.keep_together`."""
        self.workers.keep_together(self.parameters)

    def weights(self, expected: int) -> dict[str, Tensor]:
        """Return copies of the trained tensors.

        Args:
            expected: how many numbers they must hold together.

        Returns:
            Tensors by bundle name.

        Raises:
            TrainableError: numbers are missing.
        """
        return whole(weights(self.model), expected)

    def state(self) -> dict[str, Any]:
        """Return the optimizer's state in the form of torch's AdamW.

        Returns:
            What `begin` takes.
        """
        return self.adamw.state_dict()


def layer_factors(names: Sequence[str], decay: float | None) -> list[float]:
    """Return the factor of each parameter's learning rate: 1 for the top layer and the head, and each layer below has less.

    Embeddings lie below the lowest layer.

    Args:
        names: of the parameters; the layer is the first number in one.
        decay: factor from each layer to the one below; None for one rate for all.

    Returns:
        A factor for each name.
    """
    layers = [int(found[1]) if (found := re.search(r"\.(\d+)\.", name)) else None for name in names]
    top = max((layer for layer in layers if layer is not None), default=0)
    below = [-1 if layer is None and "embed" in name else layer for name, layer in zip(names, layers, strict=True)]
    return [1.0 if decay is None or layer is None else decay ** (top - layer) for layer in below]


def whole(tensors: dict[str, Tensor], expected: int) -> dict[str, Tensor]:
    """Return tensors after counting their numbers, so that an adapter is never saved from one worker's share of the weights.

    Args:
        tensors: trained tensors by bundle name.
        expected: how many numbers they must hold together.

    Returns:
        The same tensors.

    Raises:
        TrainableError: the count differs.
    """
    count = sum(tensor.numel() for tensor in tensors.values())
    if count != expected:
        raise TrainableError(f"{count:,} parameters would be saved where the configuration makes {expected:,}")
    return tensors


class ZeroOptimizer(Optimizer):
    """Take the same steps by DeepSpeed's ZeRO.

    Every worker makes as many passes as the busiest, since each pass exchanges messages. ZeRO-3 keeps the adapter's own tensors
    whole (they are the smallest) and shares out the base's large ones.

    Args:
        model: this worker's student.
        training: the filter's training section; its strategy is zero2 or zero3.
        workers: those of this training.
    """

    shared = True

    def __init__(self, model: StudentModel, training: Training, workers: Workers) -> None:
        super().__init__(model, training, workers)
        self.engine: Any = None

    def begin(self, state: dict[str, Any] | None = None) -> None:
        """Hand model and optimizer over to DeepSpeed.

        Args:
            state: the optimizer's state from a checkpoint; None to start afresh.

        Raises:
            InputError: deepspeed is not installed.
        """
        stage = int(self.training.strategy[-1])
        config: dict[str, Any] = {
            "train_micro_batch_size_per_gpu": 1,  # counted in passes, as we do; articles per step are ours to say
            "gradient_accumulation_steps": 1,
            "gradient_clipping": self.training.maxGradNorm,
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "zero_optimization": {"stage": stage, "overlap_comm": False},
        }
        if stage == 3:
            largest = max(parameter.numel() for parameter in self.parameters)
            config["zero_optimization"] |= {
                "stage3_param_persistence_threshold": largest + 1,
                "stage3_model_persistence_threshold": 10**12,
            }
            for module in self.model.modules():
                if hasattr(module, "lora_A"):
                    module.__dict__.pop("forward", None)  # peft's own: ZeRO-3 gathers a layer where the layer is called
        self.engine = _deepspeed().initialize(model=self.model, optimizer=self.adamw, config=config)[0]
        if state:
            self._load(state)

    def passes(self, rows: Rows, lengths: Rows, spare: int) -> list[tuple[Rows, float]]:
        """Cut one step's articles into this worker's forward passes, as many as the busiest worker has.

        Args:
            rows: row numbers of the step's articles, of all workers.
            lengths: tokens of every article, by row number.
            spare: padding tokens that cost about as much as one more pass.

        Returns:
            Row numbers of each pass, with the factor of its loss: 0 for a pass that only exchanges messages.
        """
        mine = super().passes(rows, lengths, spare)
        shares = (self.workers.deal(rows, lengths, rank) for rank in range(self.workers.world))
        most = max(len(self._cut(share, lengths, spare)) for share in shares)
        return mine + [(rows[:1], 0.0)] * (most - len(mine))

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Add the gradients of one pass.

        Args:
            loss: the pass's loss, divided by the whole batch.
            last: whether this is the step's last pass.
        """
        self.engine.set_gradient_accumulation_boundary(last)
        self.engine.backward(loss * self.workers.world)  # DeepSpeed takes the mean over workers

    def measure(self, total: Tensor) -> tuple[float, float]:
        """Return the loss of the step over all workers.

        Args:
            total: sum of this worker's losses.

        Returns:
            The loss, twice: DeepSpeed takes the norm itself, and a gradient that is no number shows in the next loss.
        """
        value = self.workers.sum(total.detach().clone()).item()
        return value, value  # the norm is DeepSpeed's to take; a gradient that is no number shows in the next loss

    def step(self, rate: float) -> None:
        """Move the weights along the gradients, and clear those.

        Args:
            rate: the learning rate.
        """
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        self.engine.step()

    def keep_together(self) -> None:
        """Do nothing: what is shared out is gathered from one owner."""

    def weights(self, expected: int) -> dict[str, Tensor]:
        """Return copies of the trained tensors, gathered from all workers.

        Args:
            expected: how many numbers they must hold together.

        Returns:
            Tensors by bundle name.

        Raises:
            TrainableError: numbers are missing.
        """
        import deepspeed

        with deepspeed.zero.GatheredParameters(self.parameters, enabled=self.training.strategy == "zero3"):
            return super().weights(expected)

    def state(self) -> dict[str, Any]:
        """Return the optimizer's state in the form of torch's AdamW, gathered from all workers.

        Returns:
            What `begin` takes; empty before the first step.
        """
        from deepspeed.utils import safe_get_full_optimizer_state

        count = torch.tensor(float(max((part["step"] for part in self._parts()), default=0.0)))
        if not count:
            return {}
        found = {}
        for index, parameter in enumerate(self.parameters):
            moments = {key: safe_get_full_optimizer_state(parameter, key).detach().cpu().clone() for key in MOMENTS}
            found[index] = {"step": count.clone(), **{key: value.view(self.shapes[index]) for key, value in moments.items()}}
        plain = torch.optim.AdamW(self.parameters, weight_decay=self.training.weightDecay)
        return {"state": found, "param_groups": plain.state_dict()["param_groups"]}

    def _parts(self) -> list[dict[str, Any]]:
        """Return this worker's share of the optimizer's state."""
        return [part for part in self.adamw.state.values() if "step" in part]

    def _load(self, state: dict[str, Any]) -> None:
        """Restore the state of the optimizer.

        One idle step makes DeepSpeed allocate its state, which is then overwritten.
        """
        from deepspeed.utils import safe_set_full_optimizer_state

        device = self.model.head.weight.device
        ids = torch.zeros(1, 1, dtype=torch.int64, device=device)
        self.backward(self.model(ids, torch.ones(1, dtype=torch.int64, device=device), full=True).sum() * 0.0, last=True)
        self.step(0.0)
        for index, parameter in enumerate(self.parameters):
            for key in MOMENTS:
                safe_set_full_optimizer_state(parameter, state["state"][index][key].to(device), key)
        for part in self._parts():
            part["step"] = torch.tensor(float(state["state"][0]["step"]))


def _deepspeed() -> Any:
    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    try:
        import deepspeed
    except ImportError as error:
        raise InputError("deepspeed is not installed", where="training.strategy", hint="install it, or use ddp") from error
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    if not torch.cuda.is_available():
        # It would compile C++ on the spot to exchange messages through shared memory; the images carry no compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def make_optimizer(model: StudentModel, training: Training, workers: Workers) -> Optimizer:
    """Return the optimizer of the filter's strategy, or the plain one if there is a single worker.

    Args:
        model: this worker's student.
        training: the filter's training section.
        workers: those of this training.

    Returns:
        An optimizer that has not begun.
    """
    return (
        Optimizer(model, training, workers)
        if workers.world == 1 or training.strategy == "ddp"
        else ZeroOptimizer(model, training, workers)
    )
