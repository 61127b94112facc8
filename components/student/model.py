"""The student: a base model, frozen with LoRA on its linear layers or trained whole; pooled vectors into a bias-free fp32 head.

Raw predictions need nothing beside the weights – no scale, no centre – so plain peft + transformers give the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from distillery.components.student.architectures import ARCHITECTURES, Kind
from distillery.components.student.base import Base, check_base
from distillery.components.student.body import load_body, load_quantized, serving_body, skeleton
from distillery.components.student.lora import ADAPTER, fuse
from distillery.components.student.pooling import QUERY, attended, names_of, pooling_of
from distillery.components.student.targets import lora_layers, target_names
from distillery.filters.spec import Lora, Pooling, Quantize

Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MERGED = 2**20  # numbers of a weight that LoRA is added to at once: 12 MB beside the model, whatever its size
# By `pooling.names_of`.
HEAD = {"encoder": "head.weight", "decoder": "base_model.model.score.weight"}
LORA_BODY = {"encoder": "base_model.model.", "decoder": "base_model.model.model."}
# Where every weight trains, tensors have transformers' own names, as plain models load them.
WHOLE_HEAD = {"encoder": "head.weight", "decoder": "score.weight"}
WHOLE_BODY = {"encoder": "", "decoder": "model."}


class TrainableError(RuntimeError):
    """What would be trained isn't what the configuration says; training must not start."""


def _lora_shapes(layers: Mapping[str, tuple[int, ...]], r: int, names: Kind) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs) in layers.items():
        shapes[f"{LORA_BODY[names]}{name}.lora_A.weight"] = (r, inputs)
        shapes[f"{LORA_BODY[names]}{name}.lora_B.weight"] = (outputs, r)
    return shapes


def expected_shapes(base: Base, lora: Lora | None, dims: int, pooling: Pooling | None = None) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of every tensor that a bundle must hold, worked out without transformers.

    Args:
        base: the base model.
        lora: the filter's LoRA settings; None where every weight trains.
        dims: number of dimensions.
        pooling: of the student; None for its kind's own.

    Returns:
        Shapes by name in adapter_model.safetensors.
    """
    pooling = pooling_of(pooling, base.kind)
    names = names_of(base.kind, pooling)
    shapes: dict[str, tuple[int, ...]] = {QUERY: (base.hidden,)} if pooling == "attention" else {}
    if lora is None:
        config, _ = check_base(base.path, base.ref)
        body = ARCHITECTURES[config["model_type"]].shapes(config)
        shapes |= {f"{WHOLE_BODY[names]}{name}": shape for name, shape in body.items()}
        return shapes | {WHOLE_HEAD[names]: (dims, base.hidden)}
    return shapes | _lora_shapes(lora_layers(base, lora), lora.r, names) | {HEAD[names]: (dims, base.hidden)}


def expected_trainable(config: Any, lora: Lora | None, dims: int, pooling: Pooling | None = None) -> int:
    """Return how many parameters train, by arithmetic over shapes: r·(in + out) for each target, hidden for each dimension.

    Without LoRA the whole body trains; attention pooling has one more row of the head's width.

    Qwen2.5-1.5B with r 16 and 6 dimensions has 18,473,984.

    Args:
        config: a model's folder, or a transformers configuration.
        lora: the filter's LoRA settings; None where every weight trains.
        dims: number of dimensions.
        pooling: of the student; None for its kind's own.

    Returns:
        The number of parameters.
    """
    body = skeleton(config)
    settings: Any = body.config
    rows = (dims + (pooling == "attention")) * int(settings.hidden_size)
    if lora is None:
        return sum(parameter.numel() for parameter in body.parameters()) + rows
    modules: dict[str, Any] = dict(body.named_modules())
    layers = {name: tuple(modules[name].weight.shape) for name in target_names(body, lora.targets)}
    return rows + sum(math.prod(shape) for shape in _lora_shapes(layers, lora.r, "encoder").values())


class StudentModel(nn.Module):
    """Turn token ids into raw scores; the body may be bf16, head and result are fp32.

    Args:
        body: the base model's body.
        head: bias-free layer from pooled vectors to scores.
        kind: encoder or decoder.
        whole: True if every weight of the body trains.
        mixed: True if the body's products are computed in bf16 and its weights are fp32, since steps are too small for bf16.
        pooling: from token states to one vector; None for the kind's own.
    """

    query: nn.Parameter | None

    def __init__(
        self,
        body: nn.Module,
        head: nn.Linear,
        kind: Kind,
        *,
        whole: bool = False,
        mixed: bool = False,
        pooling: Pooling | None = None,
    ) -> None:
        super().__init__()
        self.pooling = pooling_of(pooling, kind)
        # Attention begins as the mean, which the head is fitted on.
        attends = self.pooling == "attention"
        self.register_parameter("query", nn.Parameter(torch.zeros(head.in_features)) if attends else None)
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
        mask = None if full else torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        # Of a decoder a token never sees what comes after it, so padding on the right needs no mask there.
        states = self._states(ids, None if self.kind == "decoder" else mask)
        if self.pooling == "last":
            return states[torch.arange(len(ids), device=ids.device), lengths - 1].float()
        if self.pooling == "cls":
            return states[:, 0].float()
        states = states.float()
        if self.query is not None:
            return attended(states, self.query, mask)
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
    pooling: Pooling | None = None,
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
        pooling: of the student; None for its kind's own.

    Returns:
        The model.

    Raises:
        InputError: bitsandbytes is not installed, and 4 bits are asked for.
        TrainableError: the number of trainable parameters is not the one the settings make.
    """
    if lora is None:
        body, head = load_body(base), nn.Linear(base.hidden, dims, bias=False)
        nn.init.zeros_(head.weight)
        body.requires_grad_(True)
        model = StudentModel(body, head, base.kind, whole=True, mixed=precision == "bf16", pooling=pooling)
        assert_trainable(model, expected_trainable(base.path, None, dims, pooling))
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
    model = StudentModel(body, head, base.kind, pooling=pooling)
    assert_trainable(model, expected_trainable(base.path, lora, dims, pooling))
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
    names = names_of(model.kind, model.pooling)
    for name, parameter in model.body.named_parameters():
        if model.whole:
            parameters[WHOLE_BODY[names] + name] = parameter
        elif ".lora_" in name:
            parameters[LORA_BODY[names] + name.replace(f".{ADAPTER}.", ".")] = parameter
    parameters[(WHOLE_HEAD if model.whole else HEAD)[names]] = model.head.weight
    return parameters if model.query is None else {**parameters, QUERY: model.query}


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
    *,
    pooling: Pooling | None = None,
) -> StudentModel:
    """Make the student for serving: LoRA added into the base weights in place, or those replaced; nothing to train.

    Args:
        base: the base model.
        lora: the filter's LoRA settings; None where every weight was trained.
        dims: number of dimensions.
        tensors: as `weights` returns them.
        device: cpu or cuda.
        dtype: of the body; LoRA is added in fp32 and rounded once, head and query stay fp32.
        pooling: of the student; None for its kind's own.

    Returns:
        The model in eval mode.
    """
    body = serving_body(base, dtype).to(device)
    if lora is None:
        served = StudentModel(body, nn.Linear(base.hidden, dims, bias=False), base.kind, whole=True, pooling=pooling).to(device)
        set_weights(served, tensors)
        return served.requires_grad_(False).eval()
    served = StudentModel(body, nn.Linear(base.hidden, dims, bias=False), base.kind, pooling=pooling).to(device)
    names = names_of(base.kind, served.pooling)
    modules = dict(body.named_modules())
    with torch.no_grad():
        for name in target_names(body, lora.targets):
            layer = modules[name]
            assert isinstance(layer, nn.Linear)
            a, b = (tensors[f"{LORA_BODY[names]}{name}.lora_{part}.weight"].to(device) for part in "AB")
            rows = max(1, MERGED // layer.in_features)
            for weight, part in zip(torch.split(layer.weight, rows), torch.split(b, rows), strict=True):
                weight += (part @ a).mul_(lora.alpha / lora.r)
        served.head.weight.copy_(tensors[HEAD[names]])
        if served.query is not None:
            served.query.copy_(tensors[QUERY])
    return served.requires_grad_(False).eval()
