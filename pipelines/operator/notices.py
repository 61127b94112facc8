"""What of an object's transitions is told to the webhook that is told of runs.

A notice goes out before the status is written, as an event does. So a restart loses none, and may repeat those of the last
pass; while the process lives, what was told is not told again. A webhook that takes none of three tries is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from distillery.components.runtime.notify import Ended, tell
from distillery.components.runtime.progress import Progress, reporter
from distillery.pipelines.operator.kubernetes import event
from distillery.pipelines.operator.status import Told

TRIES: Final = 3
KEPT: Final = 2_000
# Reasons of events, and what is told as.
WORDS: Final[Mapping[str, str]] = {
    "Promoted": "promoted",
    "Rejected": "rejected",
    "AwaitingApproval": "awaiting_approval",
    "ApprovalRefused": "approval_refused",
    "ScoresDrifted": "drifted",
    **dict.fromkeys(("Failed", "Stopped", "BadInput", "Fault", "NoBudget", "Invalid"), "failed"),
}


@dataclass
class Notices:
    """What the webhook was told.

    Attributes:
        progress: told, without its address, where the webhook was not reached.
        send: sends one notice.
        sent: names of the events that were told, in order.
    """

    progress: Progress = field(default_factory=lambda: reporter("operator"))
    send: Callable[..., bool] = tell
    sent: dict[str, None] = field(default_factory=dict)

    def tell(self, value: Mapping[str, Any], transitions: Sequence[Told], status: Mapping[str, Any], at: str) -> None:
        """Tell of transitions that people wait for; raises nothing.

        Args:
            value: the object.
            transitions: what its status tells now, and did not before.
            status: as it is to be.
            at: the time, as documents show it.
        """
        said = set[str]()
        for told in transitions:
            word, name = WORDS.get(told.reason, ""), event(value, told, at)["metadata"]["name"]
            known = word in said or name in self.sent
            said.add(word)
            if not word or known:
                continue
            self.sent[name] = None
            while len(self.sent) > KEPT:
                del self.sent[next(iter(self.sent))]
            self.send(_ended(value, told, word, status), self.progress, tries=TRIES)


def _ended(value: Mapping[str, Any], told: Told, word: str, status: Mapping[str, Any]) -> Ended:
    run = status.get("run")
    return Ended(
        filter=str(value["metadata"]["name"]),
        run=str(run.get("id") or "") if isinstance(run, Mapping) else "",
        verdict=word,
        sentence=f"{told.reason}: {told.message}" if told.message else told.reason,
        adapter=str(status.get("adapter") or status.get("digest") or ""),
        report=str(status.get("report") or ""),
        event=f"{str(value.get('kind') or 'Filter').lower()}.{word}",
    )
