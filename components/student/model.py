"""The student: a base model, frozen with LoRA on its linear layers or trained whole; pooled vectors into a bias-free fp32 head.

Raw predictions need nothing beside the weights – no scale, no centre – so plain peft + transformers give the same numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from distillery.components.student.architectures import ARCHITECTURES, Kind
from distillery.components.student.base import Base, check_base
from distillery.components.student.body import load_body, load_quantized, serving_body, skeleton
from distillery.components.student.lora import ADAPTER, fuse
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora, Quantize

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MERGED = 2**20  # numbers of a weight that LoRA is added to at once: 12 MB beside the model, whatever its size
HEAD = {"encoder": "head.weight", "decoder": "base_model.model.score.weight"}
# Where every weight trains, tensors have transformers' own names, as plain models load them.
WHOLE_HEAD = {"encoder": "head.weight", "decoder": "score.weight"}
WHOLE_BODY = {"encoder": "", "decoder": "model."}


class TrainableError(RuntimeError):
    """What would be trained isn't what the configuration says; training must not start."""


def target_names(body: nn.Module, targets: str | list[str]) -> list[str]:
    """Return the full names of the linear layers that get LoRA, in the model's order.

    Args:
        body: the base model's body.
        targets: ends of names, or "all-linear".

    Returns:
        The names.

    Raises:
        InputError: no layer's name ends in one of the targets.
    """
    return _chosen([name for name, module in body.named_modules() if isinstance(module, nn.Linear)], targets)


def _chosen(linear: list[str], targets: str | list[str]) -> list[str]:
    if targets == "all-linear":
        return linear
    ends = {target: [name for name in linear if name == target or name.endswith(f".{target}")] for target in targets}
    if missing := sorted(target for target, names in ends.items() if not names):
        raise InputError(
            f"the base model has no linear layer {missing[0]!r}",
            where="student.lora.targets",
            hint="name ends of its layers' names, or all-linear",
        )
    chosen = {name for names in ends.values() for name in names}
    return [name for name in linear if name in chosen]


def target_suffixes(names: list[str]) -> list[str]:
    """Return what adapter_config.json names: the layers without their index ("self_attn.q_proj"), so no pooler is caught.

    Args:
        names: full names from `target_names`.

    Returns:
        Each suffix once, sorted.
    """
    return sorted({re.split(r"\.\d+\.", name, maxsplit=1)[-1] for name in names})


def lora_layers(base: Base, lora: Lora) -> dict[str, tuple[int, ...]]:
    """Return the linear layers that get LoRA, worked out from the configuration alone.

    Args:
        base: the base model.
        lora: the filter's LoRA settings.

    Returns:
        (outputs, inputs) by full name.

    Raises:
        InputError: no layer's name ends in one of the targets.
    """
    config, _ = check_base(base.path, base.ref)
    linear = ARCHITECTURES[config["model_type"]].linears(config)
    return {name: linear[name] for name in _chosen(list(linear), lora.targets)}


def _shapes(layers: Mapping[str, tuple[int, ...]], r: int, kind: Kind, hidden: int, dims: int) -> dict[str, tuple[int, int]]:
    prefix = "base_model.model." if kind == "encoder" else "base_model.model.model."
    shapes: dict[str, tuple[int, int]] = {}
    for name, (outputs, inputs) in layers.items():
        shapes[f"{prefix}{name}.lora_A.weight"] = (r, inputs)
        shapes[f"{prefix}{name}.lora_B.weight"] = (outputs, r)
    return shapes | {HEAD[kind]: (dims, hidden)}


def expected_shapes(base: Base, lora: Lora | None, dims: int) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of every tensor that a bundle must hold, worked out without transformers.

    Args:
        base: the base model.
        lora: the filter's LoRA settings; None where every weight trains.
        dims: number of dimensions.

    Returns:
        Shapes by name in adapter_model.safetensors.
    """
    if lora is None:
        config, _ = check_base(base.path, base.ref)
        shapes = ARCHITECTURES[config["model_type"]].shapes(config)
        body = {f"{WHOLE_BODY[base.kind]}{name}": shape for name, shape in shapes.items()}
        return body | {WHOLE_HEAD[base.kind]: (dims, base.hidden)}
    return _shapes(lora_layers(base, lora), lora.r, base.kind, base.hidden, dims)


def expected_trainable(config: Any, lora: Lora | None, dims: int) -> int:
    """Return how many parameters train, by arithmetic over shapes: r·(in + out) for each target, hidden for each dimension.

    Without LoRA the whole body trains.

    Qwen2.5-1.5B with r 16 and 6 dimensions has 18,473,984.

    Args:
        config: a model's folder, or a transformers configuration.
        lora: the filter's LoRA settings; None where every weight trains.
        dims: number of dimensions.

    Returns:
        The number of parameters.
    """
    body = skeleton(config)
    settings: Any = body.config
    if lora is None:
        return sum(parameter.numel() for parameter in body.parameters()) + dims * int(settings.hidden_size)
    modules: dict[str, Any] = dict(body.named_modules())
    layers = {name: tuple(modules[name].weight.shape) for name in target_names(body, lora.targets)}
    shapes = _shapes(layers, lora.r, "encoder", settings.hidden_size, dims)
    return sum(rows * columns for rows, columns in shapes.values())


class StudentModel(nn.Module):
    """Turn token ids into raw scores; the body may be bf16, head and result are fp32.

    Args:
        body: the base model's body.
        head: bias-free layer from pooled vectors to scores.
        kind: encoder (mean pooling) or decoder (last token).
        whole: True if every weight of the body trains.
        mixed: True if the body's products are computed in bf16 and its weights are fp32, since steps are too small for bf16.
    """

    def __init__(self, body: nn.Module, head: nn.Linear, kind: Kind, *, whole: bool = False, mixed: bool = False) -> None:
        super().__init__()
        self.body, self.head, self.kind = body, head, kind
        self.whole, self.mixed = whole, mixed
        self.head_dropout, self.dropping = 0.0, False

    def pooled(self, ids: Tensor, lengths: Tensor, *, full: bool = False) -> Tensor:
        """Return one vector for each article.

        Args:
            ids: (b, longest) int64 token ids, padded on the right.
            lengths: (b,) tokens of each article.
            full: whether no row is padded.

        Returns:
            (b, hidden) fp32.
        """
        states: Tensor
        if self.kind == "decoder":
            # A token never sees what comes after it, so padding on the right needs no mask.
            states = self._states(ids, None)
            return states[torch.arange(len(ids), device=ids.device), lengths - 1].float()
        mask = None if full else torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        states = self._states(ids, mask).float()
        if mask is None:
            return states.mean(1)
        return (states * mask[..., None]).sum(1) / lengths[:, None]

    def _states(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.mixed):
            given = {} if self.kind == "decoder" else {"attention_mask": None if mask is None else mask.long()}
            states: Tensor = self.body(input_ids=ids, **given).last_hidden_state
        return states

    def forward(self, ids: Tensor, lengths: Tensor, *, full: bool = False) -> Tensor:
        """Return raw scores.

        Args:
            ids: (b, longest) int64 token ids, padded on the right.
            lengths: (b,) tokens of each article.
            full: whether no row is padded.

        Returns:
            (b, dimensions) fp32.
        """
        vectors = self.pooled(ids, lengths, full=full)
        if self.dropping and self.head_dropout:
            vectors = nn.functional.dropout(vectors, self.head_dropout)
        out: Tensor = self.head(vectors)
        return out


def build(
    base: Base,
    lora: Lora | None,
    dims: int,
    *,
    precision: Precision = "fp32",
    seed: int = 0,
    quantize: Quantize = "none",
    device: str = "cpu",
) -> StudentModel:
    """Make a student that is ready to train: LoRA A random, LoRA B and head zero.

    Dropout is the LoRA layers' own; the body runs in eval mode, as in serving.

    Args:
        base: the base model.
        lora: the filter's LoRA settings; None to train every weight.
        dims: number of dimensions.
        precision: of the frozen body, or of the products of one that trains.
        seed: decides LoRA A.
        quantize: nf4 holds the linear weights of the frozen body in 4 bits.
        device: cpu or cuda.

    Returns:
        The model.

    Raises:
        InputError: bitsandbytes is not installed, and 4 bits are asked for.
        TrainableError: the number of trainable parameters is not the one the settings make.
    """
    if lora is None:
        body, head = load_body(base), nn.Linear(base.hidden, dims, bias=False)
        nn.init.zeros_(head.weight)
        model = StudentModel(body.requires_grad_(True), head, base.kind, whole=True, mixed=precision == "bf16")
        assert_trainable(model, expected_trainable(base.path, None, dims))
        return model.to(device)
    from peft import LoraConfig, inject_adapter_in_model

    body = load_body(base, DTYPES[precision]) if quantize == "none" else load_quantized(base, DTYPES[precision], device)
    names = target_names(body, lora.targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names, bias="none")
        inject_adapter_in_model(config, body, adapter_name=ADAPTER)
        head = nn.Linear(base.hidden, dims, bias=False)
        nn.init.zeros_(head.weight)
    modules = dict(body.named_modules())
    for name in names:
        layer: Any = modules[name]
        layer.lora_A[ADAPTER].float()
        layer.lora_B[ADAPTER].float()
        fuse(layer)
    model = StudentModel(body, head, base.kind)
    assert_trainable(model, expected_trainable(base.path, lora, dims))
    return model.to(device)


def set_training(model: StudentModel, training: bool) -> None:
    """Switch the dropout of LoRA and of the head on or off.

    The frozen body stays in eval mode: its own dropout doubles a CPU step and gained nothing.

    Args:
        model: the student.
        training: True for on.
    """
    model.eval()
    for module in model.modules():
        if hasattr(module, "lora_dropout"):
            module.training = training
    model.dropping = training


def trainable(model: StudentModel) -> dict[str, nn.Parameter]:
    """Return the parameters to train.

    Args:
        model: the student.

    Returns:
        Parameters by their name in the bundle's safetensors, in the model's order.
    """
    parameters: dict[str, Any] = {}
    parameter: Any
    if model.whole:
        parameters |= {f"{WHOLE_BODY[model.kind]}{name}": parameter for name, parameter in model.body.named_parameters()}
        parameters[WHOLE_HEAD[model.kind]] = model.head.weight
        return parameters
    prefix = "base_model.model." if model.kind == "encoder" else "base_model.model.model."
    for name, parameter in model.body.named_parameters():
        if ".lora_" in name:
            parameters[prefix + name.replace(f".{ADAPTER}.", ".")] = parameter
    parameters[HEAD[model.kind]] = model.head.weight
    return parameters


def assert_trainable(model: StudentModel, expected: int) -> None:
    """Check at every start and resume that exactly LoRA and head train.

    A resume that froze LoRA once trained 12,288 head parameters for six epochs, and nobody saw it.

    Args:
        model: the student.
        expected: how many parameters must train.

    Raises:
        TrainableError: a tensor is frozen, one of the base would be trained, or the number is another one.
    """
    ours = {id(parameter) for parameter in trainable(model).values()}
    frozen = sorted(name for name, parameter in trainable(model).items() if not parameter.requires_grad)
    if frozen:
        raise TrainableError(f"{len(frozen)} adapter tensors are frozen, the first {frozen[0]}")
    training = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    stray = sorted(name for name, parameter in training if id(parameter) not in ours)
    if stray:
        raise TrainableError(f"{len(stray)} tensors of the base model would be trained, the first {stray[0]}")
    count = sum(parameter.numel() for _, parameter in training)
    if count != expected:
        raise TrainableError(f"{count:,} parameters would be trained where the configuration makes {expected:,}")


def set_weights(model: StudentModel, tensors: Mapping[str, Tensor]) -> None:
    """Copy trained tensors into a student.

    Args:
        model: the student, changed in place.
        tensors: by bundle name.

    Raises:
        TrainableError: names or shapes are not exactly the model's.
    """
    parameters = trainable(model)
    if parameters.keys() != tensors.keys():
        odd = sorted(parameters.keys() ^ tensors.keys())
        raise TrainableError(f"{len(odd)} adapter tensors are missing or unknown, the first {odd[0]}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            if parameter.shape != tensors[name].shape:
                raise TrainableError(f"{name} has shape {tuple(tensors[name].shape)}, expected {tuple(parameter.shape)}")
            parameter.copy_(tensors[name])


def weights(model: StudentModel) -> dict[str, Tensor]:
    """Return copies of the trained tensors.

    Args:
        model: the student.

    Returns:
        Tensors by bundle name, fp32 on the CPU.
    """
    return {name: parameter.detach().float().cpu().clone() for name, parameter in trainable(model).items()}


def merged(
    base: Base,
    lora: Lora | None,
    dims: int,
    tensors: Mapping[str, Tensor],
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> StudentModel:
    """Make the student for serving: LoRA added into the base weights in place, or those replaced; nothing to train.

    Args:
        base: the base model.
        lora: the filter's LoRA settings; None where every weight was trained.
        dims: number of dimensions.
        tensors: as `weights` returns them.
        device: cpu or cuda.
        dtype: of the body; LoRA is added in fp32 and rounded once, the head stays fp32.

    Returns:
        The model in eval mode.
    """
    body = serving_body(base, dtype).to(device)
    if lora is None:
        served = StudentModel(body, nn.Linear(base.hidden, dims, bias=False).to(device), base.kind, whole=True)
        set_weights(served, tensors)
        return served.requires_grad_(False).eval()
    prefix = "base_model.model." if base.kind == "encoder" else "base_model.model.model."
    modules = dict(body.named_modules())
    head = nn.Linear(base.hidden, dims, bias=False)
    with torch.no_grad():
        for name in target_names(body, lora.targets):
            layer = modules[name]
            assert isinstance(layer, nn.Linear)
            a, b = (tensors[f"{prefix}{name}.lora_{part}.weight"].to(device) for part in "AB")
            rows = max(1, MERGED // layer.in_features)
            for weight, part in zip(torch.split(layer.weight, rows), torch.split(b, rows), strict=True):
                weight += (part @ a).mul_(lora.alpha / lora.r)
        head.weight.copy_(tensors[HEAD[base.kind]])
    return StudentModel(body, head.to(device), base.kind).requires_grad_(False).eval()
