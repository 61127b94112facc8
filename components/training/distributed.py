"""Data-parallel training: the same steps as one worker takes, each step's articles shared out over processes.

A step's gradients are summed by one flat all-reduce (18.5 M LoRA parameters of Qwen2.5-1.5B: one message of 74 MB), divided
beforehand by the whole batch, so the number of workers changes rounding and the draws of dropout, nothing else. torch's DDP
would average over ranks that hold unequal numbers of articles, and overlaps what takes a few hundredths of a step here.
Every collective has a time limit, and a peer that died ends the others within seconds with one line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed as dist

from distillery.components.training.worker_progress import AGAIN, LostOthers
from distillery.filters.errors import Stopped

T = TypeVar("T")
PEER_SECONDS = "DISTILLERY_PEER_SECONDS"
DEFAULT_SECONDS = 300.0  # longer than a checkpoint's upload, the longest that one worker waits for another
DRIFT = 1e-3  # weights that differ by more were not summed from the same gradients


class Workers:
    """Represent all processes of one training as this one sees them: here a single one, in `Group` several."""

    rank, world = 0, 1

    @property
    def first(self) -> bool:
        """True if this worker is the one that writes checkpoints, the bundle, the record and the log."""
        return self.rank == 0

    def deal(self, rows: NDArray[np.int64], lengths: NDArray[np.int64], rank: int | None = None) -> NDArray[np.int64]:
        """Return one worker's part of a step's articles.

        Together the parts are all of `rows`, and each has about as many tokens: articles are dealt longest first, there and
        back, so that parts differ by one article at most.

        Args:
            rows: row numbers of the step's articles.
            lengths: tokens of every article, by row number.
            rank: the worker whose part is wanted; None for this one.

        Returns:
            Row numbers of the part.
        """
        rank = self.rank if rank is None else rank
        if self.world == 1:
            return rows
        order = rows[np.argsort(-lengths[rows], kind="stable")]
        lap, place = np.divmod(np.arange(len(order)), self.world)
        mine: NDArray[np.int64] = order[np.where(lap % 2 == 0, place, self.world - 1 - place) == rank]
        return mine

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all workers, in place.

        Args:
            tensor: this worker's summand, of the same shape on all of them.

        Returns:
            The same tensor, holding the sum.
        """
        return tensor

    def agree(self, value: T) -> T:
        """Return the first worker's value on all of them, so that a decision is made once.

        Args:
            value: this worker's own value, anything that can be pickled.

        Returns:
            The first worker's value.
        """
        return value

    def sum_gradients(self, parameters: list[torch.nn.Parameter], total: Tensor) -> Tensor:
        """Sum gradients over all workers in place, in one message; a missing gradient counts as zero.

        Args:
            parameters: the trained parameters, in the same order on all workers.
            total: scalar, summed in the same message.

        Returns:
            The sum of `total` over all workers.
        """
        return total

    def keep_together(self, tensors: Iterable[Tensor]) -> None:
        """Take over the first worker's weights.

        Args:
            tensors: this worker's weights, overwritten in place.

        Raises:
            Stopped: this worker's weights have drifted away from the first one's.
        """

    def close(self) -> None:
        """Leave the group."""


ALONE = Workers()


class Group(Workers):
    """Join several processes by torch.distributed; CUDA tensors go through NCCL, all else through gloo.

    Every exchange raises LostOthers where a peer is gone or silent for too long.

    Args:
        rank: number of this worker, from 0.
        world: how many workers there are.
    """

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world

    @contextmanager
    def _together(self, what: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # gloo and NCCL raise its subclasses for a closed connection and for a time limit
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            lost = f"worker {self.rank} of {self.world} lost the others during {what} ({reason})"
            raise LostOthers(lost, hint=AGAIN) from error

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all workers, in place.

        Args:
            tensor: this worker's summand, of the same shape on all of them.

        Returns:
            The same tensor, holding the sum.
        """
        with self._together("a sum"):
            dist.all_reduce(tensor)
        return tensor

    def agree(self, value: T) -> T:
        """Return the first worker's value on all of them.

        Args:
            value: this worker's own value, anything that can be pickled.

        Returns:
            The first worker's value.
        """
        box: list[Any] = [value]
        with self._together("an agreement"):
            dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        out: T = box[0]
        return out

    def sum_gradients(self, parameters: list[torch.nn.Parameter], total: Tensor) -> Tensor:
        """Sum gradients over all workers in place, by one flat all-reduce; a missing gradient counts as zero.

        Args:
            parameters: the trained parameters, in the same order on all workers.
            total: scalar, summed in the same message.

        Returns:
            The sum of `total` over all workers.
        """
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([total.detach().float().reshape(1), *(grad.reshape(-1) for grad in grads)])
        with self._together("the sum of gradients"):
            dist.all_reduce(flat)
        for grad, summed in zip(grads, torch.split(flat[1:], [grad.numel() for grad in grads]), strict=True):
            grad.copy_(summed.view_as(grad))
        return flat[0]

    def keep_together(self, tensors: Iterable[Tensor]) -> None:
        """Take over the first worker's weights.

        Args:
            tensors: this worker's weights, overwritten in place.

        Raises:
            Stopped: a weight differs from the first worker's by more than 0.001.
        """
        with torch.no_grad():
            for tensor in tensors:
                theirs = tensor.detach().clone()
                with self._together("the check of weights"):
                    dist.broadcast(theirs, src=0)
                # Written so that NaN counts as drift.
                if not (tensor - theirs).abs().max().item() <= DRIFT:
                    raise Stopped(f"worker {self.rank} of {self.world} has other weights than the first one", hint=AGAIN)
                tensor.copy_(theirs)

    def close(self) -> None:
        """Leave the group, if it was ever joined."""
        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def join() -> Iterator[Workers]:
    """Join the group that torchrun's environment names (RANK, WORLD_SIZE, MASTER_ADDR …), or work alone without it.

    Every exchange waits at most DISTILLERY_PEER_SECONDS (300) for the other workers.

    Yields:
        The workers of this training; the group is left at the end of the block.

    Raises:
        Stopped: a worker stays away.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local)
    group = Group(rank, world)
    limit = timedelta(seconds=float(os.environ.get(PEER_SECONDS, DEFAULT_SECONDS)))
    try:
        with group._together("the start"):
            dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", rank=rank, world_size=world, timeout=limit)
            group.sum(torch.zeros(1))  # connects now, so that a peer that stays away is found before the work
        yield group
    finally:
        group.close()
