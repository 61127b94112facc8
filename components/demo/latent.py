"""What is true of a project before a word is written: a level per dimension, drawn around a few causes.

An archetype is a cause (a star, a failed pilot, a mature technology that does harm). It sets six means, so dimensions
correlate without being one and the same; readiness can be high where the environment is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from components.demo.bank import DIMENSIONS, LEVELS

READINESS, PERFORMANCE, ECONOMICS, ENVIRONMENT = DIMENSIONS[:4]

# weight, then the means in the order of DIMENSIONS
ARCHETYPES: dict[str, tuple[float, tuple[float, ...]]] = {
    "star": (0.21, (8.6, 8.0, 7.8, 8.4, 7.2, 7.0)),
    "solid": (0.16, (7.8, 6.4, 6.0, 5.0, 3.8, 4.2)),
    "promise": (0.13, (1.8, 5.4, 3.4, 7.2, 4.4, 3.8)),
    "failed pilot": (0.12, (3.4, 1.6, 1.8, 3.4, 3.6, 3.0)),
    "costly": (0.10, (6.8, 6.0, 1.4, 6.8, 4.2, 6.0)),
    "harmful": (0.12, (8.2, 7.0, 7.4, 1.4, 1.6, 2.4)),
    "unlawful": (0.06, (6.4, 5.6, 5.4, 4.6, 3.2, 1.2)),
    "neighbourly": (0.10, (3.6, 3.0, 2.6, 5.8, 8.0, 7.0)),
}
# What a reader concludes from a sentence, by the level of its clause.
CENTRE = {1: 1.3, 3: 3.0, 5: 4.7, 7: 6.5, 9: 8.1}
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
    common = rng.gauss(tilt, 0.4)
    latent = {
        dimension: min(9.9, max(0.1, mean + common + rng.gauss(0.0, 1.0)))
        for dimension, mean in zip(DIMENSIONS, ARCHETYPES[archetype][1], strict=True)
    }
    return State(archetype, latent)


def fill(told: dict[str, float]) -> dict[str, float]:
    """Scores for all dimensions: one the text says nothing of is inferred from the rest, drawn towards the low end."""
    inferred = 0.4 * sum(told.values()) / len(told) + 0.6 * 2.6
    return {dimension: round(min(10.0, max(0.0, told.get(dimension, inferred))), 1) for dimension in DIMENSIONS}
