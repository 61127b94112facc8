"""Bundles that come from elsewhere: their files are verified by the manifest, opened as any bundle is, and scored.

What lies beside a bundle is trusted for nothing. Figures and verdicts of another store don't come along: an adapter is judged
here before it is promoted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from distillery.components.artifacts.bundle import MAX_JSON
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.folder_meta import AdapterMeta
from distillery.components.artifacts.run_summary import remember_adapter
from distillery.components.sharing.bundle_copy import BASE, FILTER
from distillery.components.store import MANIFEST, Digest, Store, canonical_json, digest_bytes
from distillery.components.store.folders import manifest_of
from distillery.components.store.layout import adapters_folder
from distillery.components.student.bundle import FILES, MAX_WEIGHTS, OPTIONAL, WEIGHTS, check_golden, open_files
from distillery.components.student.mirror import mirror_name
from distillery.components.student.resolve import NotHere
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter, load_filter_text
from distillery.filters.strict_json import loads

MAX_FILTER: Final = 2**20
NAMES: Final = (*FILES, *OPTIONAL)
HINT: Final = "export the adapter again, or copy its folder whole"


class FoundBundle(NamedTuple):
    """A bundle whose files are those that its manifest names, not opened yet.

    Attributes:
        where: the place it was read from.
        digest: of the manifest, which names the adapter.
        manifest: the manifest's bytes.
        meta: what the manifest says beside the files.
        files: contents by name.
        filter: the filter beside it, as YAML; None where there is none.
    """

    where: str
    digest: Digest
    manifest: bytes
    meta: dict[str, object]
    files: dict[str, bytes]
    filter: bytes | None


def read_files(files: Mapping[str, bytes], where: str) -> FoundBundle:
    """Return the bundle among some files.

    Args:
        files: contents by name; those that no bundle has are left out.
        where: the place they are from, for errors.

    Returns:
        The bundle.

    Raises:
        InputError: the manifest is missing or none, or a file is missing, altered, or none that a bundle has.
    """
    if MANIFEST not in files:
        raise InputError(f"has no {MANIFEST}, so it is no adapter", where=where, hint=HINT)
    try:
        manifest = loads(files[MANIFEST], constants=False)
        named = {name: (entry["sha256"], entry["size"]) for name, entry in manifest["files"].items()}
        meta = dict(manifest["meta"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError("is not a manifest", where=f"{where}/{MANIFEST}", hint=HINT) from error
    AdapterMeta.read(canonical_json(meta), f"{where}/{MANIFEST}")
    if extra := sorted(named.keys() - set(NAMES)):
        raise InputError(f"names {extra[0][:80]!r}, a file that no adapter has", where=f"{where}/{MANIFEST}", hint=HINT)
    if missing := sorted(set(FILES) - named.keys() | named.keys() - files.keys()):
        raise InputError(f"lacks {missing[0]}", where=where, hint=HINT)
    held = {name: files[name] for name in named}
    for name, data in held.items():
        if (digest_bytes(data), len(data)) != named[name]:
            raise InputError("holds other bytes than the manifest says", where=f"{where}/{name}", hint=HINT)
    if manifest_of(held, meta) != files[MANIFEST]:
        raise InputError("is not a manifest as this program writes it", where=f"{where}/{MANIFEST}", hint=HINT)
    return FoundBundle(where, digest_bytes(files[MANIFEST]), files[MANIFEST], meta, held, files.get(FILTER))


def read_bundle_folder(folder: Path) -> FoundBundle:
    """Return the bundle in a folder: an exported one, or that of an adapter in another store.

    Args:
        folder: the folder; what else it holds is not read.

    Returns:
        The bundle.

    Raises:
        InputError: there is none, it is damaged, or a file is larger than a bundle's may be.
    """
    files = {}
    for name in (*NAMES, MANIFEST, FILTER):
        path = folder / name
        if not path.is_file():
            continue
        most = MAX_WEIGHTS if name == WEIGHTS else MAX_FILTER if name == FILTER else MAX_JSON
        if (size := path.stat().st_size) > most:
            raise InputError(f"is {size:,} bytes, more than a bundle may hold", where=str(path), hint=HINT)
        files[name] = path.read_bytes()
    return read_files(files, str(folder))


def open_found(store: Store | None, found: FoundBundle, filter: str = "") -> Filter:
    """Open a bundle as any is opened, and score its golden texts.

    Args:
        store: where a mirrored base model is looked for; None where there is no store yet.
        found: the bundle.
        filter: name or path of the filter that it is for; empty for the one beside it.

    Returns:
        The filter.

    Raises:
        InputError: it is damaged, made for another filter, has another base model, or doesn't give its golden scores.
    """
    flt = _filter_of(found, filter)
    try:
        student = open_files(found.files, found.where, store, flt)
    except NotHere as error:
        raise _without_base(error, found) from error
    if student.facts.filter != flt.name or found.meta["filter"] != flt.name:
        what = f"was made for {student.facts.filter[:80]}, not for {flt.name}"
        raise InputError(what, where=found.where, hint="name its own filter with --filter")
    check_golden(student)
    return flt


def put_bundle(store: Store, found: FoundBundle, flt: Filter) -> bool:
    """Put a bundle that was opened into a store. Nothing is promoted.

    Args:
        store: where it goes.
        found: the bundle.
        flt: its filter.

    Returns:
        Whether it was there already.
    """
    folder = adapters_folder(flt.name)
    there = store.exists(f"{folder}/{found.digest}/{MANIFEST}")
    store.commit(folder, found.files, found.meta)
    remember_adapter(store, publish_filter(store, flt), found.digest)
    return there


def golden_difference(store: Store, found: FoundBundle) -> float:
    """Open a bundle and score its golden texts.

    Args:
        store: where mirrored base models are looked for.
        found: the bundle.

    Returns:
        The largest difference in points.

    Raises:
        InputError: the bundle can't be opened, or gives other scores.
    """
    return check_golden(open_files(found.files, found.where, store))


def _filter_of(found: FoundBundle, filter: str) -> Filter:
    if filter:
        return load_filter(filter)
    if found.filter is None:
        raise InputError("has no filter beside it", where=found.where, hint="name the filter that it is for with --filter")
    try:
        text = found.filter.decode()
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", where=f"{found.where}/{FILTER}", hint=HINT) from error
    return load_filter_text(text, where=f"{found.where}/{FILTER}")


def _without_base(error: NotHere, found: FoundBundle) -> InputError:
    """Return the error where the base model can't be had, with the command that brings it where it lies beside the bundle."""
    beside, ref = Path(found.where) / BASE, str(loads(found.files["student.json"])["base"]["ref"])
    if not beside.is_dir() or not (name := mirror_name(ref)):
        return error
    hint = f"distillery models push {beside} --as {name}, with the same --store; then import again"
    return InputError(error.what, where=error.where, hint=hint)


__all__ = ["FoundBundle", "golden_difference", "open_found", "put_bundle", "read_bundle_folder", "read_files"]
