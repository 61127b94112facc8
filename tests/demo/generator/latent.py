"""What is true of a project before a word is written: a level per dimension, drawn around a few causes.

An archetype sets how good a project is; two sides vary around it: whether it works and pays, and what it does to nature,
people and rules. The dimensions of a side go together closely, since 1,200 labels must be enough to learn all six.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.demo.generator.bank import DIMENSIONS, LEVELS

READINESS, PERFORMANCE, ECONOMICS, ENVIRONMENT = DIMENSIONS[:4]
SIDES = {"works": DIMENSIONS[:3], "world": DIMENSIONS[3:]}
SIDE = {name: side for side, names in SIDES.items() for name in names}

# weight, then the mean of all dimensions: few projects are good at everything
ARCHETYPES: dict[str, tuple[float, float]] = {
    "failure": (0.26, 1.3),
    "poor": (0.24, 3.2),
    "middling": (0.20, 5.2),
    "solid": (0.18, 7.2),
    "star": (0.12, 8.6),
}
# What a reader concludes from a sentence, by its level.
CENTRE = {1: 1.4, 3: 2.9, 5: 4.6, 7: 6.4, 9: 7.9}
_NAMES = tuple(ARCHETYPES)
_WEIGHTS = tuple(weight for weight, _ in ARCHETYPES.values())


@dataclass(frozen=True)
class State:
    """`latent`: dimension -> position on 0-10 before rounding to a level."""

    archetype: str
    latent: dict[str, float]

    def level(self, dimension: str) -> int:
        return nearest(self.latent[dimension])


def nearest(value: float) -> int:
    """The level closest to a position on 0-10."""
    return min(LEVELS, key=lambda level: abs(level - value))


def draw_state(rng: Random, tilt: float) -> State:
    """One project; `tilt` is the outlet's habit of covering better or worse ones."""
    archetype = rng.choices(_NAMES, _WEIGHTS)[0]
    common = ARCHETYPES[archetype][1] + rng.gauss(0.75 * tilt, 0.5)
    side = {name: common + rng.gauss(0.0, 1.1) for name in SIDES}
    latent = {name: min(9.9, max(0.1, side[SIDE[name]] + rng.gauss(0.0, 0.55))) for name in DIMENSIONS}
    return State(archetype, latent)


def conclude(told: dict[str, float], gist: dict[str, float]) -> dict[str, float]:
    """What a careful reader scores: the facts told, coloured by the gist of their side; the rest inferred from it.

    told: dimension -> score of its sentence. gist: side -> score of its summary, empty where the text has none; then
    the rest is inferred from what is told, and drawn towards the low end.
    """
    scores: dict[str, float] = {}
    for dimension in DIMENSIONS:
        side = SIDE[dimension]
        if side in gist:
            score = 0.8 * told[dimension] + 0.2 * gist[side] if dimension in told else 0.7 * gist[side] + 0.3 * 2.4
        elif dimension in told:
            score = told[dimension]
        else:
            near = [told[name] for name in SIDES[side] if name in told] or list(told.values())
            score = 0.75 * sum(near) / len(near) + 0.25 * 2.6
        scores[dimension] = round(min(10.0, max(0.0, score)), 1)
    return scores
