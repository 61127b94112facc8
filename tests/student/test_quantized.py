"""A frozen body in 4 bits: what it holds, what it computes, and that LoRA over it learns as over the weights that come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from distillery.components.student import frozen
from distillery.components.student.architectures import ARCHITECTURES
from distillery.components.student.body import checkpoint_layers, load_body, put_away
from distillery.components.student.model import build, set_training, target_names, trainable
from distillery.components.student.quantized import pack, quantizable
from distillery.components.student.resolve import resolve_base
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora
from tests.student.random_base import random_base
from tests.student.tiny import TINY

LORA = Lora(r=4, alpha=8, dropout=0.1)


def packed(student: Any) -> dict[str, Any]:
    """Return the layers in 4 bits by name, LoRA's wrappers taken away."""
    found = {}
    for name, module in student.body.named_modules():
        if hasattr(getattr(module, "weight", None), "quant_state"):
            found[name.removesuffix(".base_layer")] = module
    return found


def made_dense(folder: Path, student: Any, lora: Lora, precision: Any) -> Any:
    """Return a student with plain layers that hold what comes out of the 4 bits, and with the same LoRA and head."""
    dense = build(resolve_base(str(folder)), lora, 3, precision=precision)
    modules = dict(dense.body.named_modules())
    with torch.no_grad():
        for name, layer in packed(student).items():
            plain = modules.get(f"{name}.base_layer", modules.get(name))
            plain.weight.copy_(frozen.dense(layer.weight, layer.weight.quant_state))
        for one, other in zip(trainable(dense).values(), trainable(student).values(), strict=True):
            one.copy_(other)
    return dense


@pytest.mark.parametrize("targets", ["all-linear", ["v_proj", "value"]], ids=["all", "some"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_lora_over_four_bits_has_the_gradients_of_the_weights_that_come_out(
    kind: str, precision: Any, targets: Any, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    lora = LORA
    if targets != "all-linear":
        lora = Lora(r=4, alpha=8, dropout=0.1, targets=["v_proj" if kind == "tiny_decoder" else "value"])
    student = build(resolve_base(str(folder)), lora, 3, precision=precision, quantize="nf4")
    with torch.no_grad():
        for parameter in trainable(student).values():
            parameter.normal_(std=0.1)
    dense = made_dense(folder, student, lora, precision)
    ids, lengths = torch.arange(2, 14).view(2, 6), torch.tensor([6, 4])
    results = []
    for model in (student, dense):
        set_training(model, True)
        torch.manual_seed(3)
        out = model(ids, lengths)
        out.square().sum().backward()
        results.append((out.detach(), {name: parameter.grad for name, parameter in trainable(model).items()}))
    assert torch.equal(results[0][0], results[1][0])
    for name, gradient in results[0][1].items():
        assert gradient.abs().max() > 0, name
        assert torch.equal(gradient, results[1][1][name]), name


@pytest.mark.parametrize("kind", sorted(TINY))
def test_every_architecture_has_its_linear_weights_in_four_bits_and_all_else_as_it_was(kind: str, tmp_path: Path) -> None:
    random_base(tmp_path / kind, kind, **TINY[kind])
    base = resolve_base(str(tmp_path / kind))
    student, plain = build(base, LORA, 2, quantize="nf4"), load_body(base)
    layers, dense = packed(student), dict(plain.named_parameters())
    linears = ARCHITECTURES[kind].linears(plain.config.to_dict())
    assert sorted(layers) == sorted(linears) == sorted(target_names(plain, "all-linear"))
    for name, layer in layers.items():
        weight = dense.pop(f"{name}.weight")
        came_out = frozen.dense(layer.weight, layer.weight.quant_state)
        assert came_out.shape == weight.shape
        assert (came_out - weight).abs().max() <= 0.16 * weight.abs().max()  # half of NF4's widest gap, and the scales' own
        assert layer.weight.numel() == -(-weight.numel() // 2)
    rest = {name.replace(".base_layer.", "."): parameter for name, parameter in student.body.named_parameters()}
    assert all(torch.equal(rest[name], parameter) for name, parameter in dense.items())
    buffers = dict(student.body.named_buffers())
    assert buffers.keys() == dict(plain.named_buffers()).keys()
    assert all(torch.equal(buffers[name], buffer) for name, buffer in plain.named_buffers())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(64, 48), (64, 96), (3, 48), (8, 64), (5, 10), (1, 2)])
def test_each_block_of_a_weight_gets_its_own_scale_whatever_its_rows(shape: tuple[int, int], dtype: torch.dtype) -> None:
    """With AVX-512 bitsandbytes 0.50.2 unpacks rows of 48 or 96 numbers, in blocks of 64, with the scales of other blocks."""
    size = shape[0] * shape[1]
    factors = 1.0 + 4 * (torch.arange(size) // 64 % 2)  # no block has a scale like its neighbours'
    weight = (torch.randn(size, generator=torch.Generator().manual_seed(1)) * factors).view(shape).to(dtype)
    layer = quantizable(torch.nn.Sequential(torch.nn.Linear(shape[1], shape[0], device="meta")))["0"]
    pack(layer.weight, weight)
    out = frozen.dense(layer.weight, layer.weight.quant_state)
    assert out.shape == shape
    assert out.dtype == dtype
    flat = weight.flatten().float()
    for error, block in zip((out.flatten().float() - flat).split(64), flat.split(64), strict=True):
        assert error.abs().max() <= 0.2 * block.abs().max()  # half of NF4's widest gap, 0.152, and the scale's own in 8 bits


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_was_put_away_comes_back_in_four_bits(precision: Any, tiny_decoder: Path) -> None:
    base = resolve_base(str(tiny_decoder))
    student = build(base, LORA, 3, precision=precision, quantize="nf4")
    set_training(student, False)
    ids, lengths = torch.arange(2, 14).view(2, 6), torch.tensor([6, 4])
    before = {name: layer.weight.detach().clone() for name, layer in packed(student).items()}
    scores = student.pooled(ids, lengths)
    with put_away(student.body, base):
        held = [parameter.numel() for parameter in student.body.parameters() if not parameter.requires_grad]
        assert sum(held) == 0
        assert all(layer.weight.quant_state is None for layer in packed(student).values())
    assert all(torch.equal(layer.weight, before[name]) for name, layer in packed(student).items())
    assert torch.equal(student.pooled(ids, lengths), scores)


def test_checkpointed_layers_have_the_same_gradients(tiny_decoder: Path) -> None:
    gradients = []
    for by_layer in (False, True):
        student = build(resolve_base(str(tiny_decoder)), LORA, 3, quantize="nf4")
        with torch.no_grad():
            for parameter in trainable(student).values():
                parameter.fill_(0.05)
        if by_layer:
            checkpoint_layers(student.body)
        set_training(student, True)
        torch.manual_seed(1)
        student(torch.arange(2, 14).view(2, 6), torch.tensor([6, 4])).sum().backward()
        gradients.append({name: parameter.grad for name, parameter in trainable(student).items()})
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


def test_a_base_that_lacks_a_tensor_is_not_trained(tiny_decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.student import body

    read = body.read_tensors
    monkeypatch.setattr(body, "read_tensors", lambda *given: list(read(*given))[1:])
    with pytest.raises(InputError, match="was not loaded as it is in the file"):
        build(resolve_base(str(tiny_decoder)), LORA, 3, quantize="nf4")
