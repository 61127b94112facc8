"""Finds what no channel, run, candidate or pin needs, and removes it when it is told to.

Four kinds are ever removed: adapters with what was predicted by them, splits with their baselines, checkpoints of trainings,
and what a killed commit left. Whatever people wrote or paid for stays: labels, calibrations, samples, reviews, channels,
verdicts, reports, scores, mirrored base models.

An adapter or a split is needed if another document names it: its digest is looked for in the bytes of every document but those
that were made from it. So a room that is added tomorrow protects what it names without a line here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from distillery.components.artifacts.folder_meta import AdapterMeta
from distillery.components.store import MANIFEST, Digest, Entry, Store, StoreError
from distillery.components.store.layout import (
    ADAPTERS,
    BASELINES,
    CHECKPOINTS,
    FILTERS,
    JUDGEMENTS,
    LABEL_SETS,
    MODELS,
    RUNS,
    SPLITS,
    SUMMARIES,
    VERDICTS,
    adapters_folder,
    step_records_folder,
)
from distillery.filters.errors import InputError

DAY: Final = 86_400.0
DAYS: Final = 30.0  # what was written since is left alone, unless somebody says otherwise
MAX_DOCUMENT: Final = 64 * 2**20
DIGEST: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
DOCUMENTS: Final = (".json", ".yaml", "_SUCCESS")
STEPS: Final = step_records_folder("x").partition("/")[0]
# Made from adapters and splits, so that what they name is not needed for it; the newest run of a filter is asked all the same.
DERIVED: Final = frozenset(
    {ADAPTERS, BASELINES, CHECKPOINTS, FILTERS, JUDGEMENTS, LABEL_SETS, MODELS, RUNS, SPLITS, STEPS, SUMMARIES, VERDICTS}
)
LAST: Final = "last"  # of SUMMARIES: the newest run of each filter


class Garbage(NamedTuple):
    """Something that nothing needs.

    Attributes:
        kind: adapter, split, checkpoint or leftover.
        name: its digest, or its key.
        filter: name of the filter; "" where it has none.
        size: in bytes.
        modified: when it was last written, in seconds since 1970.
        keys: in the order in which they are removed: a manifest first, so that a half removed folder is none.
    """

    kind: str
    name: str
    filter: str
    size: int
    modified: float
    keys: tuple[str, ...]


class _Listed(NamedTuple):
    """A store, as one listing tells it."""

    folders: dict[tuple[str, str], list[Entry]]  # committed folders by (folder above, digest)
    beside: dict[tuple[str, str], list[Entry]]  # (JUDGEMENTS, adapter) and (BASELINES, split)
    checkpoints: list[Entry]
    roots: list[Entry]  # documents that protect what they name
    runs: dict[str, list[Entry]]


def find_garbage(store: Store, *, now: float, days: float, keep: Iterable[str] = ()) -> list[Garbage]:
    """Return what nothing needs, and nothing has written for some time.

    Args:
        store: the store; it is only read.
        now: seconds since 1970.
        days: what was written since so many days is left alone, and so is what a run names that wrote anything since.
        keep: digests, or beginnings of 8 digits or more, of adapters to leave alone.

    Returns:
        The garbage, the largest first.

    Raises:
        StoreError: a document that may name something can't be read: nothing is known to be garbage then.
    """
    listed, before = _list(store), now - days * DAY
    named = _named(store, chain(listed.roots, _of_live_runs(listed, before)))
    kept = tuple(keep)
    found: list[Garbage] = []
    splits: set[str] = set()
    trains = _young(listed.checkpoints, before)  # some training goes on, and its checkpoint doesn't say on which split
    for (folder, digest), entries in listed.folders.items():
        if not folder.startswith(f"{ADAPTERS}/"):
            continue
        more = listed.beside.get((JUDGEMENTS, digest), [])
        if _is_whole(entries) and not (digest in named or digest.startswith(kept) or _young([*entries, *more], before)):
            found.append(_garbage("adapter", digest, folder.partition("/")[2], [*entries, *more]))
        elif _is_whole(entries):
            splits.add(_split_of(store, folder, digest))
    for (folder, digest), entries in listed.folders.items():
        if not _is_whole(entries) and not _young(entries, before):
            found.append(_garbage("leftover", f"{folder}/{digest}", "", entries))
        elif folder == SPLITS and _is_whole(entries):
            more = listed.beside.get((BASELINES, digest), [])
            if not (trains or digest in named or digest in splits or _young([*entries, *more], before)):
                found.append(_garbage("split", digest, "", [*entries, *more]))
    for entry in listed.checkpoints:
        if not _young([entry], before):
            found.append(_garbage("checkpoint", entry.key, "", [entry]))
    return sorted(found, key=lambda each: (-each.size, each.name))


def remove(store: Store, garbage: Iterable[Garbage], *, now: float, days: float, keep: Iterable[str] = ()) -> Iterator[Garbage]:
    """Remove garbage, as far as nothing has begun to need it since it was found.

    A removal that is killed leaves a store that is consistent: a folder without its manifest is no folder, and is a leftover
    that the next removal finds.

    Args:
        store: the store.
        garbage: what `find_garbage` returned.
        now: as for `find_garbage`.
        days: as for `find_garbage`.
        keep: as for `find_garbage`.

    Yields:
        What was removed.
    """
    wanted = list(garbage)
    still = {each.name: each for each in find_garbage(store, now=now, days=days, keep=keep)}
    for each in wanted:
        if each.name not in still:
            continue
        for key in still[each.name].keys:
            store.delete(key)
        yield still[each.name]


def _list(store: Store) -> _Listed:
    listed = _Listed(defaultdict(list), defaultdict(list), [], [], defaultdict(list))
    for entry in store.entries():
        top, *rest = entry.key.split("/")
        if top == ADAPTERS and len(rest) > 2:
            listed.folders[f"{top}/{rest[0]}", rest[1]].append(entry)
        elif top == SPLITS and len(rest) > 1 and _is_digest(rest[0]):
            listed.folders[top, rest[0]].append(entry)
        elif top in (JUDGEMENTS, BASELINES) and len(rest) > 1:
            listed.beside[top, rest[0]].append(entry)
        elif top == CHECKPOINTS:
            listed.checkpoints.append(entry)
        elif top == RUNS and len(rest) > 1:
            listed.runs[rest[0]].append(entry)
        elif (top not in DERIVED or (top == SUMMARIES and rest[0] == LAST)) and entry.key.endswith(DOCUMENTS):
            listed.roots.append(entry)
    return listed


def _is_digest(name: str) -> bool:
    return DIGEST.fullmatch(name.encode()) is not None


def _of_live_runs(listed: _Listed, before: float) -> Iterator[Entry]:
    """Yield the documents of runs that wrote anything of late: a record, an event, a report."""
    for entries in listed.runs.values():
        if _young(entries, before):
            yield from (entry for entry in entries if entry.key.endswith(DOCUMENTS))


def _named(store: Store, documents: Iterable[Entry]) -> set[str]:
    """Return every digest that a document names."""
    named: set[str] = set()
    for entry in documents:
        if (held := store.current(entry.key, max_bytes=MAX_DOCUMENT)) is not None:
            named.update(digest.decode() for digest in DIGEST.findall(held[0]))
    return named


def _split_of(store: Store, folder: str, digest: str) -> str:
    """Return the split that an adapter which stays was trained on."""
    try:
        return AdapterMeta.of(store.folder(folder, Digest(digest))).split
    except (KeyError, InputError) as error:
        what = "can't be read, so that nothing is known of the split that it needs"
        where = f"{store.uri}/{adapters_folder(folder.partition('/')[2])}/{digest}"
        raise StoreError(what, where=where, hint="restore it from a copy, or delete its folder") from error


def _is_whole(entries: Iterable[Entry]) -> bool:
    return any(entry.key.endswith(f"/{MANIFEST}") for entry in entries)


def _young(entries: Iterable[Entry], before: float) -> bool:
    return any(entry.modified >= before for entry in entries)


def _garbage(kind: str, name: str, filter: str, entries: list[Entry]) -> Garbage:
    keys = sorted((entry.key for entry in entries), key=lambda key: (not key.endswith(f"/{MANIFEST}"), key))
    size, modified = sum(entry.size for entry in entries), max(entry.modified for entry in entries)
    return Garbage(kind, name, filter, size, modified, tuple(keys))
