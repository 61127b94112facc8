"""Start one run at a time for the same inputs, whoever submits them and however often.

Kubeflow lets two runs have one name, so the store decides: runs/<inputs digest>.json is taken by conditional put before a
run is started, and names the run before it exists. A submitter that dies in between costs the next one 60 s: whoever waits
measures by its own clock how long a claim has stood unchanged, so no two machines' clocks are compared. Who decides by what it
saw of an earlier run (the operator) says so, and starts nothing where another has come since.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from distillery.components.artifacts.run_claim import RunClaim
from distillery.components.store import Conflict, Digest, Store
from distillery.components.store.layout import claim_key

GRACE_SECONDS = 60.0
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Claim:
    """The run of these inputs.

    Attributes:
        run: its id.
        name: its name.
        mine: True if this call started it.
    """

    run: str
    name: str
    mine: bool


def claim(
    store: Store,
    inputs: Digest,
    *,
    name: str,
    start: Callable[[str], str],
    find: Callable[[str], str | None],
    active: Callable[[str], bool],
    cancel: Callable[[str], object],
    seen_end: str | None = None,
    grace: float | None = None,
) -> Claim:
    """Return the unfinished run of these inputs, or start a new one.

    Args:
        store: where claims are.
        inputs: digest of the run's inputs.
        name: of a new run; nobody else's.
        start: starts a run by name and returns its id.
        find: returns the id of the run of that name, None where there is none.
        active: True if a run is unfinished.
        cancel: ends a run.
        seen_end: id of the run whose end the caller has seen, "" where it saw no claim: the run of any other claim is returned,
            also where it has ended. None to start a run wherever none goes on.
        grace: seconds after which a claim whose run has not begun is another's to take; None for GRACE_SECONDS.

    Returns:
        The run, and whether this call started it.

    Raises:
        StoreError: the claim in the store cannot be read.
    """
    key = claim_key(inputs)
    seen, since = "", 0.0  # the claim that is waited for, and when it was first seen
    attempt = 0
    while True:
        held = RunClaim.versioned(store, key)
        if held:
            theirs = held[0]
            run = theirs.run or find(theirs.name)
            if run and not theirs.run:  # whoever started it died before it could say so
                with contextlib.suppress(Conflict):
                    store.put_if(key, theirs.model_copy(update={"run": run}).to_bytes(), etag=held[1])
                continue
            if run and (seen_end not in (None, run) or active(run)):
                return Claim(run, theirs.name, mine=False)
            attempt = theirs.attempt + (1 if run else 0)
            if not run:
                if seen != held[1]:
                    seen, since = held[1], time.monotonic()
                if time.monotonic() - since < (GRACE_SECONDS if grace is None else grace):
                    time.sleep(POLL_SECONDS)  # being started this moment
                    continue
        wanted = RunClaim(run="", name=name, at=time.time(), attempt=attempt)
        try:
            store.put_if(key, wanted.to_bytes(), etag=held[1] if held else None)
        except Conflict:
            continue
        run = start(name)
        now = RunClaim.versioned(store, key)
        if now is None or now[0].name != name:
            cancel(run)  # our claim expired and another submitter took over; follow their run
            continue
        try:
            store.put_if(key, wanted.model_copy(update={"run": run}).to_bytes(), etag=now[1])
        except Conflict:
            continue  # read again: it is ours still, or theirs
        return Claim(run, name, mine=True)
