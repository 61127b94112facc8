"""What is true of a project before a word is written: a level per dimension, drawn around a few causes.

Two causes stand behind the six dimensions: whether it works and pays, and what it does to nature, people and rules. An
archetype (a star, a failed pilot, a mature technology that does harm) sets both, so that the dimensions of a side go
together and the sides need not.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from components.demo.bank import DIMENSIONS, LEVELS

READINESS, PERFORMANCE, ECONOMICS, ENVIRONMENT = DIMENSIONS[:4]
SIDES = {"works": DIMENSIONS[:3], "world": DIMENSIONS[3:]}
SIDE = {name: side for side, names in SIDES.items() for name in names}

# weight, then the means in the order of DIMENSIONS
ARCHETYPES: dict[str, tuple[float, tuple[float, ...]]] = {
    "star": (0.21, (8.4, 8.0, 7.6, 8.4, 7.4, 7.2)),
    "solid": (0.18, (7.4, 6.0, 5.6, 5.0, 4.0, 4.4)),
    "promise": (0.13, (1.8, 4.2, 2.8, 7.0, 5.2, 4.6)),
    "failed pilot": (0.12, (3.4, 1.6, 1.8, 3.0, 3.2, 2.6)),
    "costly": (0.10, (6.2, 5.0, 1.8, 6.0, 4.2, 5.6)),
    "harmful": (0.13, (7.6, 6.4, 7.0, 1.8, 1.8, 2.8)),
    "unlawful": (0.07, (6.0, 5.2, 4.8, 4.2, 3.4, 1.4)),
    "neighbourly": (0.10, (3.8, 3.0, 2.4, 5.6, 7.6, 6.6)),
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
    common = {side: rng.gauss(tilt, 0.6) for side in SIDES}
    latent = {
        dimension: min(9.9, max(0.1, mean + common[SIDE[dimension]] + rng.gauss(0.0, 1.5)))
        for dimension, mean in zip(DIMENSIONS, ARCHETYPES[archetype][1], strict=True)
    }
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
