"""What a student's base model is: a folder with config.json, tokenizer.json and safetensors, and which bytes it has.

Its digest covers exactly the bytes that reach the model, so a base that moved keeps its adapters and one that changed loses
them. Hashing costs about 0.1 s for MiniLM and 3 s for 3 GB; it is done once a process. `distillery.components.student.resolve`
finds the folder that a filter's baseModel names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from distillery.components.store import Digest, digest_file, digest_json
from distillery.components.student.architectures import ARCHITECTURES, Kind
from distillery.components.student.base_files import (
    CONFIG,
    HINT,
    INDEX,
    MAX_TOKENIZER,
    TOKENIZER,
    check_tensors,
    parse_config,
    read_header,
    weight_files,
)
from distillery.filters.errors import InputError

SMALL = (CONFIG, TOKENIZER, "tokenizer_config.json", "special_tokens_map.json")


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
        InputError: the folder lacks a file, the weights aren't safetensors or not those that config.json makes, or config.json
            has a key or a value that is not allowed.
    """
    digest = read_base(path, ref)
    config, _ = check_base(path, ref)
    return Base(path, digest, ARCHITECTURES[config["model_type"]].kind, _hidden(config), ref, revision)


def check_base(path: Path, ref: str) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Return configuration and places of the tensors of the base model in a folder, after all that can be checked unloaded.

    Args:
        path: the folder.
        ref: what the filter calls the model, for errors.

    Returns:
        config.json, and for each tensor of the body, by its name in the body: the file it lies in, and its name there.

    Raises:
        InputError: as `open_base`.
    """
    config = parse_config((path / CONFIG).read_bytes(), ref)
    headers = {}
    for name in weight_files((file.name for file in path.glob("*.safetensors")), ref):
        with (path / name).open("rb") as stream:
            headers[name] = read_header(stream, (path / name).stat().st_size, f"student.baseModel {ref}, {name}")
    return config, check_tensors(headers, config, ref)


def _hidden(config: dict[str, Any]) -> int:
    return int(config["dim"] if "dim" in config else config["hidden_size"])  # DistilBERT calls it dim


def read_base(path: Path, ref: str) -> Digest:
    """Return the digest of the base model in a folder, whatever its architecture.

    Args:
        path: the folder.
        ref: what the filter calls the model, for errors.

    Returns:
        The digest of configuration, tokenizer and every file of weights.

    Raises:
        InputError: the folder lacks a file, the weights aren't safetensors, or the tokenizer is too large.
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
    if (size := (path / TOKENIZER).stat().st_size) > MAX_TOKENIZER:
        raise InputError(
            f"{TOKENIZER} is {size:,} bytes, more than {MAX_TOKENIZER:,}", where=f"student.baseModel {ref}", hint=HINT
        )
    stats = [(path / name).stat() for name in names]
    return names, [hash((stat.st_size, stat.st_mtime_ns)) for stat in stats]


@lru_cache(maxsize=32)
def _digest(path: Path, names: Iterable[str], stamps: Iterable[int]) -> Digest:
    return digest_json({name: digest_file(path / name) for name in names})
