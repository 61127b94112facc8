"""What a student's base model is: a folder with config.json, tokenizer.json and safetensors, and which bytes it has.

Its digest covers exactly the bytes that reach the model, so a base that moved keeps its adapters and one that changed loses
them. Hashing costs about 0.1 s for MiniLM and 3 s for 3 GB; it is done once a process. `distillery.components.student.resolve`
finds the folder that a filter's baseModel names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from distillery.components.store import Digest, digest_file, digest_json
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
HINT = "use --profile laptop, a folder with config.json, tokenizer.json and safetensors, or an s3:// prefix with those files"


@dataclass(frozen=True)
class Base:
    """A base model on this machine.

    Attributes:
        path: folder of its files.
        digest: of its configuration, tokenizer and weights.
        kind: which way it reads: "encoder" sees the whole text at once, "decoder" what came before.
        hidden: width of the vector that the head meets.
        ref: what the filter calls it.
        revision: on the model hub; None for its main one, and for what is no hub model.
    """

    path: Path
    digest: Digest
    kind: Kind
    hidden: int
    ref: str
    revision: str | None

    def files(self) -> list[Path]:
        """Return what a copy of the model needs.

        Returns:
            Paths of configuration, tokenizer, safetensors and, of a split model, their index.
        """
        index = [self.path / INDEX] if (self.path / INDEX).is_file() else []
        return [self.path / name for name in _files(self.path, self.ref)[0]] + index

    def facts(self) -> dict[str, Any]:
        """Return what student.json keeps of the model.

        Returns:
            Its name, revision, digest, kind and width; nothing about this machine.
        """
        return {"ref": self.ref, "revision": self.revision, "digest": self.digest, "kind": self.kind, "hidden": self.hidden}


def open_base(path: Path, ref: str, revision: str | None) -> Base:
    """Digest the base model in a folder and find out what it is.

    Args:
        path: the folder.
        ref: what the filter calls the model, for `Base` and for errors.
        revision: on the model hub, for `Base`.

    Returns:
        The model; its weights have been hashed, not loaded.

    Raises:
        InputError: the folder lacks a file, the weights aren't safetensors, or config.json is no JSON, is of an unknown
            architecture, or asks for code of its own.
    """
    digest, config = read_base(path, ref)
    kind, hidden = _kind(config, ref)
    return Base(path, digest, kind, hidden, ref, revision)


def read_base(path: Path, ref: str) -> tuple[Digest, dict[str, Any]]:
    """Return digest and configuration of the base model in a folder, whatever its architecture.

    Args:
        path: the folder.
        ref: what the filter calls the model, for errors.

    Returns:
        The digest, and config.json parsed.

    Raises:
        InputError: the folder lacks a file, the weights aren't safetensors, or config.json is no JSON.
    """
    names, sizes = _files(path, ref)
    return _digest(path, tuple(names), tuple(sizes))


def _files(path: Path, ref: str) -> tuple[list[str], list[int]]:
    names = [name for name in SMALL if (path / name).is_file()] + sorted(file.name for file in path.glob("*.safetensors"))
    for wanted in (CONFIG, TOKENIZER):
        if wanted not in names:
            raise InputError(f"the base model lacks {wanted}", where=f"student.baseModel {ref}", hint=HINT)
    if not any(name.endswith(".safetensors") for name in names):
        raise InputError(
            "the base model has no *.safetensors (other formats can run code and are refused)",
            where=f"student.baseModel {ref}",
            hint=HINT,
        )
    stats = [(path / name).stat() for name in names]
    return names, [hash((stat.st_size, stat.st_mtime_ns)) for stat in stats]


@lru_cache(maxsize=32)
def _digest(path: Path, names: Iterable[str], stamps: Iterable[int]) -> tuple[Digest, dict[str, Any]]:
    try:
        config = json.loads((path / CONFIG).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{CONFIG} is not JSON", where=f"student.baseModel {path}", hint=HINT) from error
    return digest_json({name: digest_file(path / name) for name in names}), config


def _kind(config: dict[str, Any], ref: str) -> tuple[Kind, int]:
    where = f"student.baseModel {ref}"
    if not isinstance(config, dict) or "auto_map" in config or "quantization_config" in config:
        raise InputError("config.json asks for code of its own or a quantised model", where=where, hint=HINT)
    kind = KINDS.get(str(config.get("model_type")))
    if kind is None:
        raise InputError(f"model_type {config.get('model_type')!r} is not one of {', '.join(KINDS)}", where=where, hint=HINT)
    hidden = config.get("hidden_size", config.get("dim"))  # DistilBERT calls it dim
    if not isinstance(hidden, int) or hidden < 1:
        raise InputError("config.json names no hidden_size", where=where, hint=HINT)
    return kind, hidden
