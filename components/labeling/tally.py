"""The counts of one labeling run: what was asked, answered, given up and paid."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from distillery.components.labeling.oracles.base import NOTHING, Usage

COLLAPSE_AFTER: Final = 20  # articles settled, before which a run is not judged


@dataclass
class Tally:
    """Counts what one run does.

    Attributes:
        total: distinct articles of the file.
        answered: articles with a label, those of earlier runs included.
        dead: articles with a dead letter, those of earlier runs included.
        asked: articles settled by this run.
        calls: requests sent.
        limited: requests that were turned away (429).
        unknown: requests without an answer, which may have been billed.
        repaired: replies that had to be repaired before they could be read.
        suspicious: articles that speak to the oracle instead of to a reader.
        usage: tokens billed.
        usd: US dollars billed.
        unknown_usd: the most that the requests without an answer can have cost, in US dollars.
        seconds: how long this run has asked.
        reasons: why attempts failed, by kind, of articles with a dead letter.
        versions: answers by the version of the model.
    """

    total: int
    answered: int
    dead: int
    asked: int = 0
    calls: int = 0
    limited: int = 0
    unknown: int = 0
    repaired: int = 0
    suspicious: int = 0
    usage: Usage = NOTHING
    usd: float = 0.0
    unknown_usd: float = 0.0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    @property
    def settled(self) -> int:
        """Articles with a label or a dead letter."""
        return self.answered + self.dead

    @property
    def open(self) -> int:
        """Articles with neither."""
        return self.total - self.settled

    @property
    def collapsed(self) -> bool:
        """True if most articles end in a dead letter; earlier runs count, so a second start pays for no more of the same."""
        return self.settled >= COLLAPSE_AFTER and self.dead * 2 > self.settled

    def count_dead(self, reason: str) -> None:
        """Count a dead letter.

        Args:
            reason: why the last attempt failed; what differs from reply to reply is left out of it.
        """
        self.dead += 1
        self.reasons[re.sub(r" is \S+, outside", " is outside", reason).partition(": ")[0]] += 1

    def main_reason(self) -> str:
        """Return the most frequent reason of the dead letters.

        Returns:
            One kind of reason, such as "benefit is missing".
        """
        return self.reasons.most_common(1)[0][0]
