"""What a base model's files may say. They are untrusted, and checked before anything is built or paid, without torch.

Only these files are read: config.json, tokenizer.json, and the weights, which are model.safetensors or the complete shards
model-00001-of-0000N.safetensors. So nothing beside them (an adapter_config.json, an index, code) can choose other bytes. The
configuration's keys come from an allowlist (`architectures`), its sizes are bounded, and the headers of the weights must hold
exactly the tensors that the configuration makes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple

from distillery.components.student.architectures import ARCHITECTURES, FIXED, IGNORED, TOKEN_IDS, Architecture
from distillery.filters.errors import InputError, disk_hint
from distillery.filters.strict_json import loads

CONFIG, TOKENIZER, WEIGHTS, INDEX = "config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json"
HINT = "use --profile laptop, a folder with config.json, tokenizer.json and safetensors, or an s3:// prefix with those files"
COPY = "get the model again, or name another one"
MAX_CONFIG, MAX_TOKENIZER, MAX_HEADER = 2**20, 2**28, 2**24  # bytes
ITEM = {"F32": 4, "F16": 2, "BF16": 2}  # bytes of a number
_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
_LAYER_TYPES = ("full_attention", "sliding_attention")
# Largest values of the integers that decide a size.
_LARGEST = {
    "vocab_size": 2**22,
    "max_position_embeddings": 2**25,
    "original_max_position_embeddings": 2**25,
    "num_hidden_layers": 512,
    "n_layers": 512,
    "num_attention_heads": 1024,
    "n_heads": 1024,
}
_LARGEST_OTHER = 2**23
_WHOLE = frozenset(
    {
        "vocab_size",
        "hidden_size",
        "dim",
        "num_hidden_layers",
        "n_layers",
        "num_attention_heads",
        "n_heads",
        "intermediate_size",
        "hidden_dim",
        "head_dim",
        "max_position_embeddings",
        "type_vocab_size",
        "embedding_size",
        "relative_attention_num_buckets",
        "num_key_value_heads",
    }
)
# Tensors of a body that are not used (pooler), or that are worked out rather than read (positions, angles).
_SPARE = re.compile(r"pooler\..+|embeddings\.position_ids|(.+\.)?rotary_emb\.inv_freq|(.+\.)?masked_bias")


class Tensor(NamedTuple):
    """What the header of a safetensors file says of a tensor. size: of its bytes."""

    dtype: str
    shape: tuple[int, ...]
    size: int


def unloadable(what: str, error: Exception, ref: str) -> InputError:
    """Return one line on a base model that can't be read or loaded.

    Args:
        what: what failed.
        error: what the system or a library raised.
        ref: what the filter calls the model.

    Returns:
        What is wrong, and what to do: for an error of the disk that of the disk, else to get the model again.
    """
    where = f"student.baseModel {ref}"
    if isinstance(error, OSError) and error.errno is not None:
        place = f" ({error.filename})" if error.filename else ""
        return InputError(f"{what}: {error.strerror}{place}", where=where, hint=disk_hint(error))
    reason = error.what if isinstance(error, InputError) else (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{what}: {reason[:200]}", where=where, hint=COPY)


def weight_files(names: Iterable[str], ref: str) -> list[str]:
    """Return the files of weights that are loaded.

    Args:
        names: names of the files that are there.
        ref: what the filter calls the model, for the error.

    Returns:
        model.safetensors, or all shards in their order.

    Raises:
        InputError: neither is there, or a shard is missing.
    """
    there, where = set(names), f"student.baseModel {ref}"
    if WEIGHTS in there:
        return [WEIGHTS]
    shards = sorted(name for name in there if _SHARD.fullmatch(name))
    if not shards:
        raise InputError(
            f"the base model has no {WEIGHTS} (other formats can run code and are refused)", where=where, hint=HINT
        )
    count = shards[0].split("-of-")[1]
    wanted = [f"model-{number:05d}-of-{count}" for number in range(1, int(count.split(".")[0]) + 1)]
    if odd := sorted({*shards} ^ {*wanted}):
        raise InputError(f"the base model lacks {odd[0]}" if odd[0] in wanted else f"has {odd[0]}, too", where=where, hint=COPY)
    return wanted


def parse_config(data: bytes, ref: str) -> dict[str, Any]:
    """Return a configuration, checked.

    Args:
        data: config.json.
        ref: what the filter calls the model, for the error.

    Returns:
        All of config.json; `decisive` picks what is built from.

    Raises:
        InputError: it is no JSON object, of an unknown architecture, asks for code of its own or a quantised model, or has a
            key or a value that is not allowed.
    """
    where = f"student.baseModel {ref}"
    if len(data) > MAX_CONFIG:
        raise InputError(f"{CONFIG} is larger than {MAX_CONFIG:,} bytes", where=where, hint=HINT)
    try:
        config = loads(data, constants=False)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{CONFIG} is not JSON ({str(error)[:100]})", where=where, hint=HINT) from error
    if not isinstance(config, dict) or "auto_map" in config or config.get("quantization_config") is not None:
        raise InputError("config.json asks for code of its own or a quantised model", where=where, hint=HINT)
    config.pop("quantization_config", None)
    model_type = config.get("model_type")
    architecture = ARCHITECTURES.get(model_type) if isinstance(model_type, str) else None
    if architecture is None:
        names = ", ".join(ARCHITECTURES)
        raise InputError(f"model_type {str(model_type)[:80]!r} is not one of {names}", where=where, hint=HINT)
    try:
        _check_keys(config, architecture)
        architecture.shapes(config)
    except KeyError as error:
        raise InputError(f"config.json names no {error.args[0]}", where=where, hint=HINT) from None
    except (ValueError, TypeError, ArithmeticError) as error:
        raise InputError(f"config.json: {error}", where=where, hint=COPY) from None
    return config


def _check_keys(config: Mapping[str, Any], architecture: Architecture) -> None:
    """Raise ValueError for a key or a value that is not allowed."""
    for key, value in config.items():
        if key in architecture.keys or key in TOKEN_IDS:
            _check_value(key, value)
        elif key in FIXED:
            if not any(value is same or (value == same and type(value) is type(same)) for same in FIXED[key]):
                raise ValueError(f"{key}: {str(value)[:40]} is another model than {config['model_type']} is here")
        elif key not in IGNORED:
            raise ValueError(f"{key[:80]!r} is not a known key of {config['model_type']}, so it may make another model")
    small = "n_layers" in architecture.keys  # DistilBERT has names of its own
    layers, heads, width = (
        ("n_layers", "n_heads", "dim") if small else ("num_hidden_layers", "num_attention_heads", "hidden_size")
    )
    for key in (layers, heads, width, "vocab_size"):
        if config.get(key) is None:
            raise KeyError(key)
    keys = config.get("num_key_value_heads")
    if config.get("head_dim") is None and config[width] % config[heads]:
        raise ValueError(f"{heads} {config[heads]} does not divide {width} {config[width]}")
    if keys is not None and config[heads] % keys:
        raise ValueError(f"num_key_value_heads {keys} does not divide {heads} {config[heads]}")
    for key in ("layer_types", "no_rope_layers"):
        if config.get(key) is not None and len(config[key]) != config[layers]:
            raise ValueError(f"{key} has {len(config[key])} entries for {config[layers]} layers")


def _check_value(key: str, value: Any) -> None:
    if value is None:
        return
    if key in _WHOLE:
        most = _LARGEST.get(key, _LARGEST_OTHER)
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"{key} {str(value)[:40]} is not an integer from 1 to {most:,}")
    elif key == "layer_types":
        if not isinstance(value, list) or any(each not in _LAYER_TYPES for each in value):
            raise ValueError(f"{key} is not a list of {' and '.join(_LAYER_TYPES)}")
    elif key == "no_rope_layers" or key in TOKEN_IDS:
        if any(type(each) is not int or not -1 <= each < 2**31 for each in (value if isinstance(value, list) else [value])):
            raise ValueError(f"{key} is neither an integer nor a list of them")
    elif key in ("rope_scaling", "rope_parameters"):
        if not isinstance(value, dict):
            raise ValueError(f"{key} is not an object")
    elif not isinstance(value, (bool, str, int, float)) or (isinstance(value, (int, float)) and not abs(value) <= 1e9):
        raise ValueError(f"{key} {str(value)[:40]} is no number of a usual size, and no text")


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a checked configuration that a body is built from.

    Args:
        config: what `parse_config` returned.

    Returns:
        Values by key: those that the architecture reads, and the ids of special tokens.
    """
    keys = ARCHITECTURES[config["model_type"]].keys | TOKEN_IDS
    return {key: value for key, value in config.items() if key in keys}


def read_header(stream: BinaryIO, size: int | None, where: str) -> dict[str, Tensor]:
    """Return what the header of a safetensors file says of its tensors; no more of the file is read.

    Args:
        stream: the file.
        size: of the file, in bytes; None where it isn't known.
        where: which file, for the error.

    Returns:
        Tensors by name.

    Raises:
        InputError: the file isn't safetensors, is cut short, or has bytes that belong to no tensor.
    """
    length = int.from_bytes(stream.read(8), "little")
    if length > MAX_HEADER or (size is not None and length > size - 8):
        raise InputError("is not a safetensors file", where=where, hint=COPY)
    try:
        header = loads(stream.read(length))
        header.pop("__metadata__", None)
        entries = sorted((*map(int, entry["data_offsets"]), name, entry) for name, entry in header.items())
        tensors, end = dict[str, Tensor](), 0
        for begin, after, name, entry in entries:
            dtype, shape = str(entry["dtype"]), tuple(map(int, entry["shape"]))
            if begin != end or any(side < 0 for side in shape):
                raise ValueError(name)
            tensors[name], end = Tensor(dtype, shape, after - begin), after
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError("is not a safetensors file", where=where, hint=COPY) from error
    for name, tensor in tensors.items():
        if tensor.dtype in ITEM and tensor.size != math.prod(tensor.shape) * ITEM[tensor.dtype]:
            raise InputError(f"{name[:200]} is not where its shape says", where=where, hint=COPY)
    if size is not None and size != 8 + length + end:
        raise InputError("is cut short, or holds more than its tensors", where=where, hint=COPY)
    return tensors


def check_tensors(
    headers: Mapping[str, Mapping[str, Tensor]], config: Mapping[str, Any], ref: str
) -> dict[str, tuple[str, str]]:
    """Check that the files hold exactly the body that the configuration makes.

    Heads (a language model's, a classifier's) and the pooler may be there; they are never loaded.

    Args:
        headers: what `read_header` returned, by file.
        config: what `parse_config` returned.
        ref: what the filter calls the model, for the error.

    Returns:
        For each tensor of the body, by its name in the body: the file it lies in, and its name there.

    Raises:
        InputError: a tensor is missing, unknown, there twice, of another shape, or of another type than float32, float16 or
            bfloat16.
    """
    where, architecture = f"student.baseModel {ref}", ARCHITECTURES[config["model_type"]]
    wanted = architecture.shapes(config)
    places = dict[str, tuple[str, str]]()
    for file, tensors in headers.items():
        for name in tensors:
            known = _name(name)
            if known in places:
                raise InputError(f"the base model has {known[:200]} twice", where=where, hint=COPY)
            places[known] = (file, name)
    prefix = "" if any(name in places for name in wanted) else f"{architecture.prefix}."
    body = {name.removeprefix(prefix): place for name, place in places.items() if name.startswith(prefix)}
    for name, shape in wanted.items():
        if name not in body:
            raise InputError(f"the base model lacks the tensor {prefix}{name}", where=where, hint=COPY)
        file, original = body[name]
        dtype, there, _ = headers[file][original]
        if dtype not in ITEM:
            raise InputError(f"the tensor {original} is {dtype[:20]}, not F32, F16 or BF16", where=where, hint=COPY)
        if there != shape:
            raise InputError(f"the tensor {original} has shape {there}, and config.json makes {shape}", where=where, hint=COPY)
    if odd := sorted(name for name in body.keys() - wanted.keys() if not _SPARE.fullmatch(name)):
        raise InputError(
            f"the base model has the tensor {prefix}{odd[0][:200]}, which config.json does not make", where=where, hint=COPY
        )
    return {name: body[name] for name in wanted}


def _name(name: str) -> str:
    """Return today's name of a tensor: the first BERTs called a norm's weight gamma, and its bias beta."""
    return re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name))
