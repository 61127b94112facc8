"""The body of a base model: built from the allowed part of its configuration, filled from exactly its tensors."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distillery.components.student.base import Base, check_base, read_base
from distillery.components.student.base_files import CONFIG, COPY, decisive, parse_config, unloadable
from distillery.components.student.bert import plain_bert
from distillery.components.student.frozen import compute_wide
from distillery.components.student.quantized import pack, quantizable, type_of
from distillery.components.student.weights import read_tensors
from distillery.filters.errors import InputError


@contextmanager
def _silent() -> Iterator[None]:
    """Silence transformers: no progress bar, no table of unused weights (the pooler, the language-model head)."""
    from transformers.utils import logging as transformers_logging

    bars: Any = transformers_logging
    logger = logging.getLogger("transformers")
    level = logger.level
    bars.disable_progress_bar()
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        bars.enable_progress_bar()


def load_body(base: Base, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Load the base model's body (no language-model head, no pooler) in eval mode, with every weight frozen.

    transformers sees a configuration and tensors, never the folder: there it would also look for adapters, generation settings
    and other files of weights, and fill what is missing with random numbers.

    Args:
        base: the base model.
        dtype: type of its weights, in which they are read: no copy in another one is made.

    Returns:
        The body, on the CPU.

    Raises:
        InputError: its files can't be loaded, were changed since they were digested, or lack a tensor.
    """
    where = f"student.baseModel {base.ref}"
    config, places = _places(base)
    try:
        settings = settings_of(config)
        kind = _class(settings)
        with _silent():
            body, loaded = kind.from_pretrained(
                None,
                config=settings,
                state_dict=dict(read_tensors(base.path, places, dtype)),
                dtype=dtype,
                attn_implementation=_attention(kind),
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise unloadable("the base model can't be loaded", error, base.ref) from error
    body = _strip(body)
    left_out = sorted(name for name in loaded["missing_keys"] if not name.startswith("pooler."))
    if odd := [*left_out, *sorted(map(str, loaded["mismatched_keys"])), *sorted(loaded["unexpected_keys"])]:
        raise InputError(f"the tensor {odd[0]} was not loaded as it is in the file", where=where, hint=COPY)
    return compute_wide(body, dtype)


def load_quantized(base: Base, dtype: torch.dtype, device: str = "cpu") -> nn.Module:
    """Load the base model's body with its linear weights in 4 bits, tensor by tensor, onto the device where it trains.

    Args:
        base: the base model.
        dtype: type of all that is not packed, and of the products.
        device: cpu or cuda.

    Returns:
        The body in eval mode, with every weight frozen.

    Raises:
        InputError: bitsandbytes is not installed, or the files can't be loaded or were changed since they were digested.
    """
    from accelerate import init_empty_weights

    config, places = _places(base)
    try:
        with init_empty_weights(include_buffers=False):
            body = random_body(settings_of(config))
        layers = quantizable(body)
        modules: dict[str, Any] = dict(body.named_modules())
        for name, tensor in read_tensors(base.path, places, dtype):
            module, _, leaf = name.rpartition(".")
            if module in layers and leaf == "weight":
                pack(layers[module].weight, tensor.to(device))
            else:
                setattr(modules[module], leaf, nn.Parameter(tensor.to(device), requires_grad=False))
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise unloadable("the base model can't be loaded", error, base.ref) from error
    if left := [name for name, parameter in body.named_parameters() if parameter.is_meta or not parameter.numel()]:
        where = f"student.baseModel {base.ref}"
        raise InputError(f"the tensor {left[0]} was not loaded as it is in the file", where=where, hint=COPY)
    return body.to(device).requires_grad_(False).eval()


def serving_body(base: Base, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Load the base model's body for serving: BERT in plain torch, without importing transformers, others as `load_body` does.

    Args:
        base: the base model.
        dtype: type of its weights, in which they are read.

    Returns:
        The body, on the CPU, in eval mode, with every weight frozen.

    Raises:
        InputError: as `load_body`.
    """
    config, places = _places(base)
    body = plain_bert(config)
    if body is None:
        return load_body(base, dtype)
    body.load_state_dict(dict(read_tensors(base.path, places, dtype)), strict=True, assign=True)
    return compute_wide(body.requires_grad_(False), dtype)


def _places(base: Base) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Return what `check_base` does, and raise InputError if the files are no longer those that were digested."""
    if read_base(base.path, base.ref) != base.digest:
        raise InputError("its files were changed while it was in use", where=f"student.baseModel {base.ref}", hint=COPY)
    return check_base(base.path, base.ref)


@contextmanager
def put_away(body: nn.Module, base: Base) -> Iterator[None]:
    """Free the frozen weights of a loaded body while another one is in use, and read them again afterwards.

    What DeepSpeed has shared out among workers stays. After an exception nothing is read again: whoever trained has ended.

    Args:
        body: from `load_body`, with or without LoRA; of no use within the block.
        base: the base model.

    Yields:
        Nothing.

    Raises:
        InputError: the files of the base model were changed meanwhile.
    """
    frozen: dict[str, Any] = {
        name.replace(".base_layer.", "."): parameter
        for name, parameter in body.named_parameters()
        if not parameter.requires_grad and not hasattr(parameter, "ds_id")
    }
    types = {name: type_of(parameter) for name, parameter in frozen.items()}
    for parameter in frozen.values():
        parameter.data = parameter.data.new_empty(0)
        if hasattr(parameter, "quant_state"):
            parameter.quant_state = None
    yield
    places = _places(base)[1]
    for dtype in set(types.values()):
        wanted = {name: places[name] for name, its in types.items() if its == dtype}
        for name, tensor in read_tensors(base.path, wanted, dtype):
            parameter = frozen[name]
            if hasattr(parameter, "quant_state"):
                pack(parameter, tensor.to(parameter.device))
            else:
                parameter.data = tensor.to(parameter.device)


def checkpoint_layers(body: nn.Module) -> int:
    """Let training keep each layer's input alone, and work out the rest again when gradients need it.

    The numbers are the same to the bit, dropout included; a step takes about a third longer.

    Args:
        body: from `load_body`, with or without LoRA; changed in place.

    Returns:
        The number of layers.
    """
    layers = max((module for module in body.modules() if isinstance(module, nn.ModuleList)), key=len)
    for layer in layers:
        again: Any = partial(_checkpointed, weakref.ref(layer))  # as in `frozen.compute_frozen`
        layer.forward = again
    return len(layers)


def _checkpointed(held: Callable[[], Any], *given: Any, **named: Any) -> Any:
    from torch.utils.checkpoint import checkpoint

    layer = held()
    return checkpoint(partial(type(layer).forward, layer), *given, use_reentrant=False, **named)


def skeleton(config: Any) -> nn.Module:
    """Make the body on the meta device: names and shapes, no weights.

    Args:
        config: a model's folder, or a transformers configuration.

    Returns:
        The body.
    """
    from transformers import PretrainedConfig

    if not isinstance(config, PretrainedConfig):
        config = settings_of(parse_config((Path(config) / CONFIG).read_bytes(), str(config)))
    with torch.device("meta"):
        return random_body(config)


def random_body(settings: Any) -> nn.Module:
    """Make a body with random weights.

    Args:
        settings: a transformers configuration.

    Returns:
        The body.
    """
    from transformers import AutoModel

    maker: Any = AutoModel
    with _silent():
        return _strip(maker.from_config(settings, attn_implementation=_attention(_class(settings)), trust_remote_code=False))


def settings_of(config: Mapping[str, Any]) -> Any:
    """Return the transformers configuration of a checked config.json.

    Args:
        config: what `parse_config` returned.

    Returns:
        The configuration, made of nothing but the allowed keys that decide something.
    """
    from transformers import AutoConfig

    return AutoConfig.for_model(config["model_type"], **decisive(config))


def _class(settings: Any) -> Any:
    from transformers import MODEL_MAPPING

    return MODEL_MAPPING[type(settings)]


def _attention(kind: Any) -> str:
    """Return torch's own attention, or the plain one for architectures that transformers has not taught it (MPNet, Gemma 2)."""
    return "sdpa" if kind._supports_sdpa else "eager"


def _strip(body: Any) -> nn.Module:
    if getattr(body, "pooler", None) is not None:
        body.pooler = None  # unused by mean pooling: LoRA on it would never learn
    body.config.use_cache = False
    out: nn.Module = body.requires_grad_(False).eval()
    return out
