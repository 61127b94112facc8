"""What a store and what was written beside it say, with all that two runs of the same commands may differ in left out.

Left out are times, facts of a step (seconds, rates, what was found done before), the order of a journal's records, how they are
cut into segments, and what was measured of a machine. All else counts: of a channel each entry of its history, of a lock how
many calls it leaves in doubt.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from distillery.components.labeling.run_lock import State
from distillery.components.store import Store, digest_bytes

JOURNAL = re.compile(r"(labels/[^/]+/[0-9a-f]{64})/\d{6}\.jsonl")
LOCK = re.compile(r"labels/.*/run\.json")
SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def results(store: Store) -> dict[str, Any]:
    """What each object of a store says, by key; a journal's segments are one."""
    found: dict[str, Any] = {}
    for key in store.keys(""):
        data = store.get(key)
        if journal := JOURNAL.fullmatch(key):
            records = {line for line in data.decode().splitlines() if line}
            found.setdefault(journal[1], set()).update(filter(_answers, records))
        elif LOCK.fullmatch(key):
            found[key] = State.read(data, key).in_doubt(_settled(store, key))
        elif key.startswith("channels/"):
            found[key] = _without("at", json.loads(data))
        elif key.endswith("/measured.json"):
            rows = json.loads(data)
            rows["measurements"] = [
                {name: row[name] for name in ("machine", "plan", "articles", "words")} for row in rows["measurements"]
            ]
            found[key] = rows
        elif key.startswith(("steps/", "summaries/")):
            found[key] = _without("facts", json.loads(data))
        else:
            found[key] = digest_bytes(data)
    return found


def outside(folder: Path) -> dict[str, str]:
    """The digest of each file beside the store that a command reads or writes; temporary files and caches are none."""
    return {
        path.relative_to(folder).as_posix(): digest_bytes(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in ("store", "tmp", "cache")
    }


def neither_old_nor_new(there: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return the keys of `there` whose value is neither the old nor the new one, and those of `old` that are gone.

    A journal may have some of the new records. A lock is written before, while and after its run asks, so any is right.
    """
    wrong = [key for key in old if key not in there and key in new]
    for key, value in there.items():
        if isinstance(value, set):
            right = old.get(key, set()) <= value <= new[key]
        else:
            right = bool(LOCK.fullmatch(key)) or value in (old.get(key), new.get(key))
        if not right:
            wrong.append(key)
    return wrong


def timeless(said: str) -> str:
    """What a command printed, without times."""
    return SECONDS.sub("N s", TIME.sub("TIME", said))


def _answers(line: str) -> bool:
    """True for an article's answer, or that it has none; not for the tries before, of which a broken run leaves more."""
    record = json.loads(line)
    return "scores" in record or "attempts" in record


def _settled(store: Store, lock: str) -> int:
    """How often the journal beside a lock has settled an article."""
    journal = (store.get(key) for key in store.keys(lock.rpartition("/")[0]) if JOURNAL.fullmatch(key))
    return sum(_answers(line) for segment in journal for line in segment.decode().splitlines() if line)


def _without(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(name, below) for key, below in value.items() if key != name}
    return [_without(name, below) for below in value] if isinstance(value, list) else value
