"""Checkpoints from which a killed training goes on and ends with the same bytes.

One object per training, named by the digest of its inputs and replaced atomically, so there is never a choice between
several. It holds no wall-clock time; when it is written changes nothing in the result.
"""

from __future__ import annotations

import io
import time
from typing import Any, Protocol

import torch

from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, NotFound, Store
from distillery.components.store.layout import checkpoint_key

EVERY_SECONDS = 30.0
COST = 20  # a save may take one part in this of the time between saves


class Checkpoints(Protocol):
    def load(self) -> dict[str, Any] | None: ...
    def due(self) -> bool: ...
    def save(self, state: dict[str, Any]) -> None: ...
    def clear(self) -> None: ...


class StoreCheckpoints:
    """checkpoints/<digest of the training's inputs>/state.pt"""

    def __init__(self, store: Store, inputs: Digest, progress: Progress = quiet) -> None:
        self._store, self._key, self._progress = store, checkpoint_key(inputs), progress
        self._every, self._saved = EVERY_SECONDS, time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The last state, or None where there is none that can be read. Never runs code from the file."""
        try:
            data = self._store.get(self._key)
        except NotFound:
            return None
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except Exception:  # torch raises whatever its reader stumbles over
            self._progress.note("the checkpoint can't be read; training starts afresh")
            return None
        return state or None

    def due(self) -> bool:
        return time.monotonic() - self._saved >= self._every

    def save(self, state: dict[str, Any]) -> None:
        began = time.monotonic()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self._store.put(self._key, buffer.getvalue())
        self._saved = time.monotonic()
        self._every = max(EVERY_SECONDS, COST * (self._saved - began))

    def clear(self) -> None:
        """The bundle is committed: an empty state takes the place of the last one (a store deletes nothing)."""
        buffer = io.BytesIO()
        torch.save({}, buffer)
        self._store.put(self._key, buffer.getvalue())


class NoCheckpoints:
    """For tests, notebooks, and the workers that don't write."""

    def load(self) -> dict[str, Any] | None:
        return None

    def due(self) -> bool:
        return False

    def save(self, state: dict[str, Any]) -> None:
        pass

    def clear(self) -> None:
        pass
