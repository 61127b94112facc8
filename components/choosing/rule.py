"""The choice: by the errors on validation, and by the rule that the user gave. Pure arithmetic.

Candidates that differ in the seed alone are one recipe and count by their mean, so that a lucky seed is no better recipe.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from distillery.filters.errors import InputError

RULE: Final = "cheapest within 0.02 of the best"
_WITHIN: Final = re.compile(r"cheapest within ([0-9]{1,2}(?:\.[0-9]{1,6})?) of the best")


class Rule(NamedTuple):
    """What is chosen. within: points of validation MAE that a cheaper recipe may be behind the best; 0 for the best itself."""

    within: float

    def __str__(self) -> str:
        return f"cheapest within {self.within:g} of the best" if self.within else "best"


class Measured(NamedTuple):
    """A candidate that was trained to the end.

    Attributes:
        name: of the candidate.
        recipe: what it shares with others that differ in the seed alone.
        mae: on validation, in points.
        work: of one article, in GFLOP.
        memory: that scoring takes, in MB.
    """

    name: str
    recipe: str
    mae: float
    work: float
    memory: float


class Recipe(NamedTuple):
    """Candidates that differ in the seed alone.

    Attributes:
        names: of its candidates, the best first.
        mae: mean of theirs.
        spread: standard deviation of their MAE; None for a single one.
        work: of one article, in GFLOP.
        memory: that scoring takes, in MB.
    """

    names: list[str]
    mae: float
    spread: float | None
    work: float
    memory: float


class Choice(NamedTuple):
    """What a rule chose.

    Attributes:
        recipes: the best first.
        best: the recipe of the lowest mean error.
        chosen: the recipe that the rule chose.
    """

    recipes: list[Recipe]
    best: Recipe
    chosen: Recipe


def parse_rule(text: str) -> Rule:
    """Return the rule that a text states.

    Args:
        text: "best", or "cheapest within 0.02 of the best".

    Returns:
        The rule.

    Raises:
        InputError: it states neither.
    """
    if text == "best":
        return Rule(0.0)
    match = _WITHIN.fullmatch(" ".join(text.split()))
    if match is None:
        hint = f'write "{RULE}" (points of validation MAE), or best'
        raise InputError(f"no rule {text[:80]!r}", parameter="rule", hint=hint)
    return Rule(float(match[1]))


def choose(measured: Sequence[Measured], rule: Rule) -> Choice:
    """Return what the rule chooses of candidates.

    Args:
        measured: one or more.
        rule: the user's.

    Returns:
        The choice: of the recipes near enough to the best, the one with the least work an article, then the least memory,
        then the lowest error.
    """
    groups: dict[str, list[Measured]] = {}
    for each in sorted(measured, key=lambda each: (each.mae, each.name)):
        groups.setdefault(each.recipe, []).append(each)
    recipes = sorted(map(_recipe, groups.values()), key=lambda recipe: (recipe.mae, recipe.names))
    best = recipes[0]
    near = [recipe for recipe in recipes if recipe.mae <= best.mae + rule.within + 1e-12]
    chosen = min(near, key=lambda recipe: (round(recipe.work, 6), round(recipe.memory, 1), recipe.mae)) if rule.within else best
    return Choice(recipes, best, chosen)


def _recipe(group: Sequence[Measured]) -> Recipe:
    errors = [each.mae for each in group]
    spread = statistics.stdev(errors) if len(errors) > 1 else None
    return Recipe([each.name for each in group], statistics.mean(errors), spread, group[0].work, group[0].memory)


def rungs(epochs: int) -> list[int]:
    """Return the epochs of successive halving: a quarter, half, and all of them.

    Args:
        epochs: of the longest training.

    Returns:
        One to three numbers that rise to `epochs`.
    """
    return sorted({max(1, -(-epochs // 4)), max(1, -(-epochs // 2)), epochs})


def survivors(errors: Mapping[str, float]) -> list[str]:
    """Return which candidates go on: the better half, and two at least.

    Args:
        errors: validation MAE by name.

    Returns:
        Names, the best first.
    """
    ranked = sorted(errors, key=lambda name: (errors[name], name))
    return ranked[: max(2, -(-len(ranked) // 2))]
