"""What the mean of several students would have: seeds of one recipe, and the best student of each of the two best recipes.

A mean never has a larger error than its members have on average, since the absolute error is convex, and it gains most where
their errors differ. It takes the work of all of its members, since LoRA differs in every layer and no pass is shared: a gain
below that of a candidate at equal work is no reason to serve one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from distillery.components.benchmarking.intervals import intervals
from distillery.components.choosing.document import EnsembleFigures
from distillery.components.choosing.rule import Recipe

Floats = NDArray[np.float64]


def ensembles(
    recipes: Sequence[Recipe], predictions: Mapping[str, Floats], labels: Floats, *, best: str, seed: str
) -> list[EnsembleFigures]:
    """Return what means of students would have on validation.

    Args:
        recipes: the best first.
        predictions: (n, dimensions) raw scores within 0-10 by candidate.
        labels: (n, dimensions).
        best: name of the candidate that the means are held against.
        seed: hexadecimal, of the resamples.

    Returns:
        The lowest error first. Empty where each recipe has one seed, and there is one recipe.
    """
    groups = [recipe.names for recipe in recipes if len(recipe.names) > 1]
    if len(recipes) > 1:
        groups.append([recipe.names[0] for recipe in recipes[:2]])
    work = {name: recipe.work for recipe in recipes for name in recipe.names}
    single = np.abs(predictions[best] - labels).mean(axis=1)

    def figures(names: list[str]) -> EnsembleFigures:
        errors = np.abs(np.mean([predictions[name] for name in names], axis=0) - labels).mean(axis=1)
        delta = errors - single
        found = intervals(lambda weights: {"mae": weights @ delta / weights.sum(axis=1)}, len(delta), seed)["mae"]
        return EnsembleFigures(
            candidates=names,
            mae=float(errors.mean()),
            difference=float(delta.mean()),
            difference_interval=found,
            work=sum(work[name] for name in names),
        )

    return sorted(map(figures, groups), key=lambda each: (each.mae or 0.0, each.candidates))
