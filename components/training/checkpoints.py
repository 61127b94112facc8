"""Checkpoints from which a killed training goes on and ends with the same bytes.

One object per training, named by the digest of its inputs and replaced atomically, so there is never a choice between
several. It holds no wall-clock time; when it is written changes nothing in the result.
"""

from __future__ import annotations

import io
import time
from typing import Any, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field

from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, NotFound, Store
from distillery.components.store.layout import checkpoint_key

EVERY_SECONDS = 30.0
COST = 20  # a save may take one part in this of the time between saves


class _Place(BaseModel):
    """Where a training stands: `Loop.state`."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)

    epoch: int = Field(ge=0)
    step: int = Field(ge=0)
    loss: float = Field(allow_inf_nan=False)
    tokens: int = Field(ge=0)
    best: dict[str, torch.Tensor]
    best_mae: float
    best_epoch: int = Field(ge=0)
    epochs: list[dict[str, int | float | dict[str, dict[str, float]]]]


class _State(BaseModel):
    """A checkpoint as `Loop` makes it. The optimizer's part is checked by the optimizer."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)

    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    precision: Literal["fp32", "bf16"]
    loop: _Place


class Checkpoints(Protocol):
    """Where a training keeps its state, and when."""

    def load(self) -> dict[str, Any] | None:
        """Return the last state.

        Returns:
            The state, or None if there is none.
        """

    def due(self) -> bool:
        """Return whether it is time to save again.

        Returns:
            True if the last save is long enough ago.
        """

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state in place of the last one.

        Args:
            state: tensors, numbers and strings, as `Loop` makes it.
        """

    def clear(self) -> None:
        """Forget the state: the training is complete."""


class StoreCheckpoints:
    """Keep the state in one object of the store, named by the digest of the training's inputs.

    Args:
        store: the store that the bundle goes to.
        inputs: digest of the training's inputs.
        progress: told where a checkpoint cannot be read.
    """

    def __init__(self, store: Store, inputs: Digest, progress: Progress = quiet) -> None:
        self._store, self._key, self._progress = store, checkpoint_key(inputs), progress
        self._every, self._saved = EVERY_SECONDS, time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the last state; no code from the file is ever run.

        Returns:
            The state, or None if there is none that can be read.
        """
        try:
            data = self._store.get(self._key)
        except NotFound:
            return None
        try:
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            if state == {}:  # what `clear` left
                return None
            _State.model_validate(state)
        except Exception:  # torch raises whatever its reader stumbles over
            self._progress.note("the checkpoint can't be read; training starts afresh")
            return None
        found: dict[str, Any] = state
        return found

    def due(self) -> bool:
        """Return whether it is time to save again.

        Returns:
            True if 30 s have passed since the last save, or 20 times what that save took if it took longer.
        """
        return time.monotonic() - self._saved >= self._every

    def save(self, state: dict[str, Any]) -> None:
        """Replace the last state atomically.

        Args:
            state: tensors, numbers and strings, as `Loop` makes it.
        """
        began = time.monotonic()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self._store.put(self._key, buffer.getvalue())
        self._saved = time.monotonic()
        self._every = max(EVERY_SECONDS, COST * (self._saved - began))

    def clear(self) -> None:
        """Replace the last state by an empty one, since a store deletes nothing."""
        buffer = io.BytesIO()
        torch.save({}, buffer)
        self._store.put(self._key, buffer.getvalue())


class NoCheckpoints:
    """Keep nothing: for tests, notebooks, and the workers that don't write."""

    def load(self) -> dict[str, Any] | None:
        """Return no state.

        Returns:
            None.
        """
        return None

    def due(self) -> bool:
        """Return that it is never time to save.

        Returns:
            False.
        """
        return False

    def save(self, state: dict[str, Any]) -> None:
        """Do nothing.

        Args:
            state: ignored.
        """

    def clear(self) -> None:
        """Do nothing."""
