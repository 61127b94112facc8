"""Who runs what: one run at a time for the same inputs, whoever submits them and however often.

Kubeflow lets two runs have one name, so the store decides: runs/<inputs digest>.json is taken by conditional put before a
run is started, and names the run before it exists. A submitter that dies in between costs the next one 60 s at most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from distillery.components.store import Conflict, Digest, Store
from distillery.components.store.layout import claim_key

GRACE_SECONDS = 60.0
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Claim:
    """run: id of the run. name: its name. mine: whether this call started it."""

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
) -> Claim:
    """The unfinished run of these inputs, or a new one called `name` (which must be nobody else's).

    start: starts a run by name and returns its id. find: the id of the run of that name, None where there is none.
    active: whether a run is unfinished. cancel: ends one.
    """
    key = claim_key(inputs)
    while True:
        held = store.current(key)
        if held:
            theirs = json.loads(held[0])
            run = theirs["run"] or find(theirs["name"])
            if run and active(run):
                return Claim(run, theirs["name"], mine=False)
            if not run and time.time() - theirs["at"] < GRACE_SECONDS:
                time.sleep(POLL_SECONDS)  # being started this moment
                continue
        wanted = {"run": "", "name": name, "at": time.time()}
        try:
            store.put_if(key, json.dumps(wanted).encode(), etag=held[1] if held else None)
        except Conflict:
            continue
        run = start(name)
        now = store.current(key)
        if now is None or json.loads(now[0])["name"] != name:
            cancel(run)  # we slept so long that somebody took over: theirs is the run
            continue
        try:
            store.put_if(key, json.dumps({**wanted, "run": run}).encode(), etag=now[1])
        except Conflict:
            continue  # read again: it is ours still, or theirs
        return Claim(run, name, mine=True)
