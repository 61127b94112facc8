"""Registries follow the channel of each Filter object, whoever moved it: the operator looks when it moves, and once an hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from distillery.components.registries.follow import follow_channel
from distillery.components.runtime.progress import Progress, reporter
from distillery.components.store import Store
from distillery.pipelines.operator.facts import Facts

AGAIN: Final = 3600.0  # seconds after which a registry that held what the channel says is asked again
SOON: Final = 60.0  # and one that was behind
KEPT: Final = 1_000  # objects


@dataclass
class Following:
    """What the registries of each object were last found to hold; forgotten by a restart, after which each is asked once.

    Attributes:
        asked: by object, what the channel and the filter said, and when to ask again.
        progress: told of each registry that was changed or is behind.
    """

    asked: dict[str, tuple[object, float]] = field(default_factory=dict)
    progress: Progress = field(default_factory=lambda: reporter("registries"))

    def follow(self, store: Store, facts: Facts | None, now: float) -> None:
        """Let an object's registries follow its channel, where it is time; raises nothing.

        Args:
            store: the store.
            facts: of the object; None where the pass did not come so far.
            now: seconds since 1970.
        """
        if facts is None or facts.other or not facts.channel.adapter:
            return
        wanted = facts.wanted
        registries = wanted.filter.spec.promotion.registries
        if not registries:
            return
        said = (facts.channel.revision, tuple(registries))
        before, due = self.asked.get(wanted.object, (None, 0.0))
        if before == said and now < due:
            return
        found = follow_channel(store, wanted.filter, progress=self.progress)
        if len(self.asked) >= KEPT:
            self.asked.clear()
        behind = any(each.state == "behind" for each in found)
        self.asked[wanted.object] = (said, now + (SOON if behind else AGAIN))
