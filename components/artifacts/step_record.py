"""What has been done before: a step's outputs, kept under the digest of what it read.

A record is found by its key alone. It is reused only while every object it points at is still there, so a store that was
cleaned up redoes work instead of failing later. The price is one small read and one existence check an object, a step.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from distillery.components.store import Conflict, Digest, Json, NotFound, Store, digest_json
from distillery.components.store.layout import step_record_key


@dataclass(frozen=True)
class Outcome:
    """outputs: digests and counts, a function of the inputs alone. keys: objects a later step will read.

    facts: seconds, rates, memory – different each time, part of no digest.
    """

    outputs: dict[str, Json]
    keys: list[str]
    facts: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class StepRecord:
    step: str
    inputs: dict[str, Json]
    inputs_digest: Digest
    outputs: dict[str, Json]
    keys: list[str] = field(default_factory=list)
    facts: dict[str, Json] = field(default_factory=dict)
    reused: bool = False

    def to_json(self) -> dict[str, Json]:
        return {
            "step": self.step,
            "inputs": self.inputs,
            "inputs_digest": self.inputs_digest,
            "outputs": self.outputs,
            "keys": self.keys,
            "facts": self.facts,
            "reused": self.reused,
        }


def look_up(store: Store, step: str, inputs: dict[str, Json]) -> StepRecord | None:
    """The record of this step with these inputs, or None where it must run."""
    inputs_digest = digest_json({"step": step, "inputs": inputs})
    try:
        found = json.loads(store.get(step_record_key(step, inputs_digest)))
    except NotFound:
        return None
    if not all(store.exists(key) for key in found["keys"]):
        return None
    return StepRecord(step, inputs, inputs_digest, found["outputs"], found["keys"], found["facts"], reused=True)


def run_step(
    store: Store, step: str, inputs: dict[str, Json], work: Callable[[], Outcome], *, again: bool = False
) -> StepRecord:
    """Reuses the record for these inputs or does the work and records it; a second writer's record is the first's.

    again: do the work even where there is a record.
    """
    if not again and (found := look_up(store, step, inputs)):
        return found
    began = time.monotonic()
    outcome = work()
    facts = {"seconds": round(time.monotonic() - began, 3), **outcome.facts}
    inputs_digest = digest_json({"step": step, "inputs": inputs})
    record = StepRecord(step, inputs, inputs_digest, outcome.outputs, outcome.keys, facts)
    key = step_record_key(step, inputs_digest)
    data = json.dumps(record.to_json(), sort_keys=True, indent=1).encode()
    try:
        store.put_if(key, data, etag=store.etag(key))
    except Conflict:
        # Someone did the same work meanwhile; what is addressed by content needs no winner.
        return look_up(store, step, inputs) or record
    return record
