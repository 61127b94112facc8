"""Weights & Biases and Trackio, whose Python interfaces are one: `init`, `log` and `finish` of a module.

Both write to this machine unless the environment asks for more: WANDB_MODE=online, or TRACKIO_SPACE_ID.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

from distillery.components.training.trackers.base import Beat


class Logger:
    """A run of one training.

    Args:
        name: wandb or trackio: the tracker, and its module.
        filter: name of the filter, which is the project.
        inputs: digest of the training's inputs, by which a training that goes on finds its run.
        settings: the environment.
    """

    def __init__(
        self, name: Literal["wandb", "trackio"], filter: str, inputs: str, settings: Mapping[str, str] = os.environ
    ) -> None:
        self.name: str = name
        self._begin: dict[str, Any] = {"project": filter, "name": f"{filter}-{inputs[:8]}", "resume": "allow"}
        if name == "wandb":
            self._begin |= {"id": inputs[:32], "mode": settings.get("WANDB_MODE", "").strip() or "offline"}
        elif space := settings.get("TRACKIO_SPACE_ID", "").strip():
            self._begin["space_id"] = space
        self._module: Any = None

    def report(self, beats: Sequence[Beat]) -> None:
        """Log figures; the first time, begin or find the run.

        Args:
            beats: oldest first.
        """
        if self._module is None:
            module = import_module(self.name)
            module.init(**self._begin)
            self._module = module
        for beat in beats:
            self._module.log(beat.figures, step=beat.done)

    def close(self, *, failed: bool) -> None:
        """End the run.

        Args:
            failed: True where the training did not end well; only wandb keeps that.
        """
        if self._module is not None:
            self._module.finish(**({"exit_code": int(failed)} if self.name == "wandb" else {}))
