"""Where a student's base model comes from, and which bytes it is.

A base is a folder with config.json, tokenizer.json and safetensors, whatever its address was. Its digest covers exactly
the bytes that reach the model, so a base that moved keeps its adapters and one that changed loses them. Hashing costs
about 0.1 s for MiniLM and 3 s for 3 GB; it is done once a process.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from distillery.components.store import Digest, NotFound, Store, digest_file, digest_json, open_store
from distillery.components.student.mirror import Mirrored, download, find
from distillery.filters.errors import InputError

Kind = Literal["encoder", "decoder"]

KINDS: dict[str, Kind] = {
    **dict.fromkeys(("bert", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta"), "encoder"),
    **dict.fromkeys(
        ("gemma", "gemma2", "gemma3_text", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3"), "decoder"
    ),
}
CONFIG, TOKENIZER, WEIGHTS, INDEX = "config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json"
SMALL = (CONFIG, TOKENIZER, "tokenizer_config.json", "special_tokens_map.json")
MODELS_VARIABLE = "DISTILLERY_MODELS"
MEND = "use {profile} laptop, a folder with config.json, tokenizer.json and safetensors, or an s3:// prefix with those files"


@dataclass(frozen=True)
class Base:
    """A base model on this machine. `hidden`: width of the vector that the head meets."""

    path: Path
    digest: Digest
    kind: Kind
    hidden: int
    ref: str
    revision: str | None

    def files(self) -> list[Path]:
        """What a copy of it needs: configuration, tokenizer, safetensors and, of a split model, their index."""
        index = [self.path / INDEX] if (self.path / INDEX).is_file() else []
        return [self.path / name for name in _files(self.path, self.ref)[0]] + index

    def facts(self) -> dict[str, Any]:
        """What student.json keeps: nothing about this machine."""
        return {"ref": self.ref, "revision": self.revision, "digest": self.digest, "kind": self.kind, "hidden": self.hidden}


def resolve_base(ref: str, revision: str | None = None, store: Store | None = None, *, mirrors: bool = True) -> Base:
    """The base model `ref` names, on this machine and digested.

    ref: `package://<module>` (weights inside an installed package, which is never imported), a folder, an `s3://` prefix,
    an id on the model hub (at `revision`), or the name of a mirrored model. A mirror, in the store that DISTILLERY_MODELS
    names or in `store`, goes before the hub and stands in for a package that is not installed: the digest is the same.
    `mirrors=False` asks none. InputError if it can't be had, or isn't safetensors with a known architecture and no code of
    its own.
    """
    path = _locate(ref, revision, _mirrors(store) if mirrors else [])
    names, sizes = _files(path, ref)
    digest, config = _digest(path, tuple(names), tuple(sizes))
    kind, hidden = _kind(config, ref)
    return Base(path, digest, kind, hidden, ref, revision)


def _mirrors(store: Store | None) -> list[Store]:
    elsewhere = os.environ.get(MODELS_VARIABLE)
    return [*([open_store(elsewhere, write=False)] if elsewhere else []), *([store] if store is not None else [])]


def _locate(ref: str, revision: str | None, mirrors: list[Store]) -> Path:
    scheme, separator, rest = ref.partition("://")
    if separator and scheme in ("s3", "file"):
        return _fetch(open_store(ref, write=False), "", ref)
    if separator and scheme != "package":
        raise InputError(f"{scheme}:// is no kind of base model", where="student.baseModel", hint=MEND)
    if separator and (inside := _in_package(rest, ref)) is not None:
        return inside
    folder = Path(ref).expanduser()
    if not separator and folder.is_dir():
        return folder.resolve()
    for store in mirrors:
        if (found := find(store, ref, revision)) is not None:
            return _mirrored(store, found)
    if separator:
        raise InputError(
            f"the Python package {rest!r} is not installed{_not_in(mirrors)}",
            where=f"student.baseModel {ref}",
            hint=f"{_push(ref, revision)}, from a machine that has it; or {MEND}",
        )
    if ref.startswith(("/", ".", "~")) or ref.count("/") != 1:
        raise InputError(f"no folder {ref}{_not_in(mirrors)}", where="student.baseModel", hint=MEND)
    return _from_hub(ref, revision)


def _not_in(mirrors: list[Store]) -> str:
    return f", and no such model in {' or '.join(store.uri for store in mirrors)}" if mirrors else ""


def _push(ref: str, revision: str | None) -> str:
    """The command that mirrors a base where it is looked for: without its revision it would be @main."""
    return f"distillery models push {ref}{f' --revision {revision}' if revision else ''} --store STORE"


def _mirrored(store: Store, found: Mirrored) -> Path:
    """Download once per content; the folder's name is the base's digest."""

    def fill(part: Path) -> None:
        download(store, found, part)
        where = f"{store.uri}/{found.prefix}"
        names, sizes = _files(part, where)
        if _digest(part, tuple(names), tuple(sizes))[0] != found.base:
            raise InputError("the mirrored files are not the base model that model.json names", where=where, hint=MEND)

    return _kept(found.base, fill)


def _kept(content: Digest, fill: Callable[[Path], None]) -> Path:
    """The cached folder of `content`. Where there is none yet `fill` makes it, once for all processes of this machine."""
    target, locks = cache_folder() / content, cache_folder().parent / "locks"
    if target.is_dir():
        return target
    for folder in (target.parent, locks):
        folder.mkdir(parents=True, exist_ok=True)
    with (locks / content).open("ab") as lock, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        with suppress(OSError):  # a file system without locks: each fetches its own, and the first to rename wins
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            fill(part := Path(scratch) / "part")
            with suppress(OSError):  # another process was first, with the same bytes
                part.rename(target)
    return target


def _in_package(module: str, ref: str) -> Path | None:
    # find_spec of a top-level name reads the import system's tables and runs none of the package.
    if not module.isidentifier() or (spec := importlib.util.find_spec(module)) is None:
        return None
    for root in spec.submodule_search_locations or ():
        for found in sorted(Path(root).rglob(CONFIG), key=lambda path: (len(path.parts), path)):
            if any(found.parent.glob("*.safetensors")):
                return found.parent
    raise InputError(
        f"the Python package {module!r} carries no {CONFIG} beside safetensors", where=f"student.baseModel {ref}", hint=MEND
    )


def cache_folder() -> Path:
    """Where downloaded base models lie: DISTILLERY_CACHE, or the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distillery"
    return Path(os.environ.get("DISTILLERY_CACHE") or default) / "models"


def _fetch(source: Store, prefix: str, ref: str) -> Path:
    """Download once per content: the cache folder is named by the address and the etags of its files."""
    try:
        names = [name for name in SMALL if name in (CONFIG, TOKENIZER) or source.exists(prefix + name)]
        if source.exists(prefix + INDEX):
            weight_map = source.get_json(prefix + INDEX)["weight_map"]
            names += [INDEX, *sorted({Path(str(name)).name for name in weight_map.values()})]
        else:
            names.append(WEIGHTS)
        etags = {name: source.etag(prefix + name) for name in names}
        if missing := sorted(name for name, etag in etags.items() if etag is None):
            raise NotFound(f"{prefix}{missing[0]}")

        def fill(part: Path) -> None:
            part.mkdir()
            for name in names:
                (part / name).write_bytes(source.get(prefix + name))

        return _kept(digest_json({"ref": ref, "etags": etags}), fill)
    except (NotFound, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"no base model there: {error}", where=f"student.baseModel {ref}", hint=MEND) from error


def _from_hub(ref: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        wanted = [*SMALL, "*.safetensors", INDEX]
        return Path(snapshot_download(ref, revision=revision, allow_patterns=wanted, etag_timeout=10))
    except Exception as error:  # the hub client raises many kinds, also of its HTTP library; none tells the user more
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(
            f"can't fetch the base model {ref} from the model hub ({type(error).__name__}: {reason})",
            where="student.baseModel",
            hint=f"{_push(ref, revision)}, from a machine that reaches the hub; or {MEND}",
        ) from error


def _files(path: Path, ref: str) -> tuple[list[str], list[int]]:
    names = [name for name in SMALL if (path / name).is_file()] + sorted(found.name for found in path.glob("*.safetensors"))
    for wanted in (CONFIG, TOKENIZER):
        if wanted not in names:
            raise InputError(f"the base model lacks {wanted}", where=f"student.baseModel {ref}", hint=MEND)
    if not any(name.endswith(".safetensors") for name in names):
        raise InputError(
            "the base model has no *.safetensors (other formats can run code and are refused)",
            where=f"student.baseModel {ref}",
            hint=MEND,
        )
    stats = [(path / name).stat() for name in names]
    return names, [hash((stat.st_size, stat.st_mtime_ns)) for stat in stats]


@lru_cache(maxsize=32)
def _digest(path: Path, names: Iterable[str], stamps: Iterable[int]) -> tuple[Digest, dict[str, Any]]:
    try:
        config = json.loads((path / CONFIG).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{CONFIG} is not JSON", where=f"student.baseModel {path}", hint=MEND) from error
    return digest_json({name: digest_file(path / name) for name in names}), config


def _kind(config: dict[str, Any], ref: str) -> tuple[Kind, int]:
    where = f"student.baseModel {ref}"
    if not isinstance(config, dict) or "auto_map" in config or "quantization_config" in config:
        raise InputError("config.json asks for code of its own or a quantised model", where=where, hint=MEND)
    kind = KINDS.get(str(config.get("model_type")))
    if kind is None:
        raise InputError(f"model_type {config.get('model_type')!r} is not one of {', '.join(KINDS)}", where=where, hint=MEND)
    hidden = config.get("hidden_size", config.get("dim"))  # DistilBERT calls it dim
    if not isinstance(hidden, int) or hidden < 1:
        raise InputError("config.json names no hidden_size", where=where, hint=MEND)
    return kind, hidden
