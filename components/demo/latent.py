"""What is true of a project before a word is written: a level per dimension, drawn around a few causes.

An archetype is a cause (a star, a failed pilot, a mature technology that does harm). It sets six means, so dimensions
correlate without being one and the same; readiness can be high where the environment is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from components.demo.bank import DIMENSIONS, LEVELS

READINESS, PERFORMANCE, ECONOMICS = DIMENSIONS[:3]

# weight, then the means in the order of DIMENSIONS
ARCHETYPES: dict[str, tuple[float, tuple[float, ...]]] = {
    "star": (0.18, (8.4, 7.9, 7.4, 7.9, 7.0, 6.8)),
    "solid": (0.20, (7.4, 6.4, 5.4, 5.6, 4.8, 4.8)),
    "promise": (0.13, (2.2, 4.8, 3.0, 6.4, 3.6, 3.4)),
    "failed pilot": (0.14, (3.0, 1.8, 1.8, 3.2, 2.6, 2.4)),
    "costly": (0.10, (6.2, 5.6, 2.0, 6.0, 3.8, 5.6)),
    "harmful": (0.12, (7.6, 6.0, 6.2, 1.8, 2.0, 2.6)),
    "unlawful": (0.06, (5.2, 5.0, 4.2, 4.6, 3.2, 1.4)),
    "plan": (0.07, (2.0, 3.2, 4.2, 4.6, 4.6, 4.2)),
}
# What a reader concludes from a sentence, by the level of its clause.
CENTRE = {1: 0.8, 3: 2.8, 5: 4.9, 7: 6.9, 9: 8.8}
_NAMES = tuple(ARCHETYPES)
_WEIGHTS = tuple(weight for weight, _ in ARCHETYPES.values())


@dataclass(frozen=True)
class State:
    """`latent`: dimension -> position on 0-10 before rounding to a level."""

    archetype: str
    latent: dict[str, float]

    def level(self, dimension: str) -> int:
        return min(LEVELS, key=lambda level: abs(level - self.latent[dimension]))


def draw_state(rng: Random, tilt: float) -> State:
    """One project; `tilt` is the outlet's habit of covering better or worse ones."""
    archetype = rng.choices(_NAMES, _WEIGHTS)[0]
    common = rng.gauss(tilt, 0.5)
    latent = {
        dimension: min(9.9, max(0.1, mean + common + rng.gauss(0.0, 1.2)))
        for dimension, mean in zip(DIMENSIONS, ARCHETYPES[archetype][1], strict=True)
    }
    return State(archetype, latent)


def fill(told: dict[str, float]) -> dict[str, float]:
    """Scores for all dimensions: one the text says nothing of is inferred from the rest, drawn towards the low end."""
    inferred = 0.75 * sum(told.values()) / len(told) + 0.25 * 2.5
    return {dimension: round(min(10.0, max(0.0, told.get(dimension, inferred))), 1) for dimension in DIMENSIONS}
