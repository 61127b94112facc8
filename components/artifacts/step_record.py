"""Step records: a step's outputs, kept under the digest of what it read, so that work is done once.

A record is found by its key alone. It is reused only while every object it points at is there and whole, so a store that was
cleaned up or damaged redoes work instead of failing later. The price is reading what the step left once: some 1 GB/s from a
disk, and from a bucket a download of its label set, split or adapter, some tens of megabytes each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from distillery.components.artifacts.document import MAX_DOCUMENT, CheckedDigest, Document
from distillery.components.store import (
    Conflict,
    Digest,
    Json,
    NotFound,
    Store,
    StoreError,
    TooLarge,
    as_digest,
    digest_json,
    digest_stream,
)
from distillery.components.store.layout import committed_folder, content_digest, step_record_key


@dataclass(frozen=True)
class Outcome:
    """What a step's work yields, before it is recorded.

    Attributes:
        outputs: digests and counts, a function of the inputs alone.
        keys: objects that a later step will read.
        facts: seconds, rates, memory; different each time, part of no digest.
    """

    outputs: dict[str, Json]
    keys: list[str]
    facts: dict[str, Json] = field(default_factory=dict)


class StepRecord(Document):
    """What one step read and left.

    Attributes:
        step: name of the step.
        inputs: everything the outputs depend on.
        inputs_digest: digest of step and inputs, by which the record is found.
        outputs: digests and counts, a function of the inputs alone.
        keys: objects of the store that a later step will read.
        facts: seconds, rates, memory.
        reused: True if this run found the record instead of doing the work.
    """

    KIND = "a step record"

    format: Literal[1] = 1
    step: str
    inputs: dict[str, Json]
    inputs_digest: CheckedDigest
    outputs: dict[str, Json]
    keys: list[str] = Field(default_factory=list)
    facts: dict[str, Json] = Field(default_factory=dict)
    reused: bool = False

    @classmethod
    def of(
        cls,
        step: str,
        inputs: dict[str, Json],
        outputs: dict[str, Json],
        keys: list[str],
        facts: dict[str, Json] | None = None,
        *,
        reused: bool = False,
    ) -> StepRecord:
        """Return the record of a step, with the digest of its inputs.

        Args:
            step: name of the step.
            inputs: everything the outputs depend on.
            outputs: digests and counts, a function of the inputs alone.
            keys: objects of the store that a later step will read.
            facts: seconds, rates, memory; None for none.
            reused: True if the work was not done anew.

        Returns:
            The record.
        """
        return cls(
            step=step,
            inputs=inputs,
            inputs_digest=inputs_digest(step, inputs),
            outputs=outputs,
            keys=keys,
            facts=facts or {},
            reused=reused,
        )

    @property
    def seconds(self) -> float | None:
        """Return how long the work took, in seconds; None where nobody measured it."""
        seconds = self.facts.get("seconds")
        return float(seconds) if isinstance(seconds, int | float) else None


def inputs_digest(step: str, inputs: dict[str, Json]) -> Digest:
    """Return the digest that a step with these inputs is recorded under.

    Args:
        step: name of the step.
        inputs: everything its outputs depend on.

    Returns:
        The digest of both.
    """
    return digest_json({"step": step, "inputs": inputs})


def _silent(text: str) -> None:
    """Tell nobody."""


def look_up(store: Store, step: str, inputs: dict[str, Json], *, note: Callable[[str], None] = _silent) -> StepRecord | None:
    """Return the record of this step with these inputs, or None where the step must run.

    A record that cannot be read (torn, another form, a newer program's) counts as absent. That is safe: outputs are a
    function of the inputs and lie under their own digests, and answers of an oracle are in its journal, so redoing a step
    costs time only.

    Args:
        store: where records are.
        step: name of the step.
        inputs: everything its outputs depend on.
        note: told of what is lost or damaged.

    Returns:
        The record, marked as reused; None where there is none, or an object it points at is gone or damaged.

    Raises:
        StoreError: the store can't be read.
    """
    return _standing(store, step, inputs, note)[0]


def _fault(store: Store, keys: list[str]) -> str:
    """Return which of these objects is gone or has other bytes than its name says; "" where all are whole."""
    verified = set[tuple[str, str]]()
    for key in keys:
        try:
            if digest := content_digest(key):
                with store.open(key) as stream:
                    if digest_stream(stream) != digest:
                        return f"{key} was damaged or altered"
            elif (folder := committed_folder(key)) is None:
                if not store.exists(key):
                    return f"{key} is gone"
            elif folder not in verified:
                store.folder(folder[0], as_digest(folder[1])).verify()
                verified.add(folder)
        except NotFound:
            return f"{key} is gone"
        except StoreError as error:
            if error.__cause__ is not None and not isinstance(error.__cause__, NotFound):
                raise  # the store is at fault, not what it holds
            return f"{error.where.removeprefix(f'{store.uri}/') or key} {error.what}"
    return ""


def _standing(
    store: Store, step: str, inputs: dict[str, Json], note: Callable[[str], None]
) -> tuple[StepRecord | None, str | None]:
    """Return the record that `look_up` finds, and the etag of whatever stands in its place, usable or not."""
    key = step_record_key(step, inputs_digest(step, inputs))
    try:
        present = store.current(key, max_bytes=MAX_DOCUMENT)
    except TooLarge:
        return None, store.etag(key)
    if present is None:
        return None, None
    try:
        record = StepRecord.read(present[0], f"{store.uri}/{key}")
    except StoreError:
        return None, present[1]
    if fault := _fault(store, record.keys):
        note(f"{fault}: {step} is done again")
        return None, present[1]
    return record.model_copy(update={"reused": True}), present[1]


def run_step(
    store: Store,
    step: str,
    inputs: dict[str, Json],
    work: Callable[[], Outcome],
    *,
    again: bool = False,
    note: Callable[[str], None] = _silent,
) -> StepRecord:
    """Return the record for these inputs, or do the work and record it.

    Where two runs do one step at once, the first record stands and is what both return, however long the second took: it is
    written only if what stands there is what stood there before the work.

    Args:
        store: where records are.
        step: name of the step.
        inputs: everything its outputs depend on.
        work: does the work.
        again: do the work even where there is a record.
        note: told of what is lost or damaged of what an earlier run left.

    Returns:
        The record; its field `reused` is True where no work was done.
    """
    standing, etag = _standing(store, step, inputs, note)
    if standing is not None and not again:
        return standing
    began = time.monotonic()
    outcome = work()
    facts = {"seconds": round(time.monotonic() - began, 3), **outcome.facts}
    record = StepRecord.of(step, inputs, outcome.outputs, outcome.keys, facts)
    key = step_record_key(step, record.inputs_digest)
    while True:
        try:
            store.put_if(key, record.to_bytes(), etag=etag)
        except Conflict:
            standing, etag = _standing(store, step, inputs, note)
            if standing is not None:
                return standing
            continue  # what another left there can't be used
        return record
