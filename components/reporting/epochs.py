"""The epochs of a training as tables show them: as many as have room, and the figures of each dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from distillery.components.artifacts.bundle import Epoch, EpochErrors
from distillery.components.reporting.context import Context


class DimensionRow(NamedTuple):
    """A dimension. errors: one for each of the epochs that are shown, None where the training did not keep them."""

    name: str
    errors: list[EpochErrors | None]


def shown_epochs(context: Context, most: int) -> list[Epoch]:
    """Return the epochs that a table has room for: the first, the last, the kept one, and others evenly between.

    Args:
        context: the run.
        most: how many at most, 3 or more.

    Returns:
        Epochs in their order; none where there is no history.
    """
    epochs, best = (context.history.epochs, context.history.best_epoch) if context.history else ([], 0)
    if len(epochs) <= most:
        return list(epochs)
    chosen = {round(at * (len(epochs) - 1) / (most - 2)) for at in range(most - 1)}
    chosen |= {at for at, epoch in enumerate(epochs) if epoch.epoch == best}
    return [epochs[at] for at in sorted(chosen)]


def dimension_rows(context: Context, epochs: Sequence[Epoch]) -> list[DimensionRow]:
    """Return train and validation error of each dimension.

    Args:
        context: the run.
        epochs: those that are shown.

    Returns:
        Rows in the order of the filter's dimensions; none where no epoch has such figures.
    """
    names = {name: None for epoch in epochs for name in epoch.dimensions or {}}
    return [
        DimensionRow(name, [(epoch.dimensions or {}).get(name) for epoch in epochs]) for name, _ in context.by_dimension(names)
    ]
