"""What a tracker gets and what it must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Beat(NamedTuple):
    """How far a training is, and its figures there.

    Attributes:
        at: Unix time in seconds.
        done: articles that were trained on; the axis of every curve.
        total: articles in all; 0 where that is not known.
        figures: by name, all finite.
        lasting: True for the figures of an epoch, which are never left out for newer ones.
    """

    at: float
    done: int
    total: int
    figures: dict[str, float]
    lasting: bool = False


class Tracker(Protocol):
    """A place that figures are reported to. Its methods are called one at a time, from one thread that is not the training's.

    Attributes:
        name: as in `training.reportTo`.
    """

    name: str

    def report(self, beats: Sequence[Beat]) -> None:
        """Hand over figures; raise anything where that fails, and the same figures are handed over again later.

        Args:
            beats: oldest first.
        """

    def close(self, *, failed: bool) -> None:
        """Say that the training has ended.

        Args:
            failed: True where it did not end well.
        """
