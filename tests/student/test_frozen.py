"""Products with frozen bf16 weights equal those in fp32, rounded once, wherever they are computed; no fp32 copy is kept."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distillery.components.student import frozen
from distillery.components.student.frozen import FrozenLinear, backward, compute_wide, linear
from distillery.components.student.lora import LoraLinear

ULP = 2**-8  # relative spacing of bf16


@pytest.fixture(autouse=True)
def slow_in_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "native_bf16", lambda: False)
    monkeypatch.setattr(frozen, "BLOCK", 64)  # so that weights have several blocks, the last one shorter


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(torch.bfloat16)


@pytest.mark.parametrize(("rows", "columns"), [(1, 16), (7, 16), (8, 8), (9, 100), (65, 3)])
def test_a_product_by_blocks_is_the_product_in_fp32(rows: int, columns: int) -> None:
    x, weight, bias = drawn(5, columns).float(), drawn(rows, columns), drawn(rows)
    wanted = nn.functional.linear(x, weight.float(), bias.float())
    torch.testing.assert_close(linear(x, weight, bias), wanted, rtol=1e-6, atol=1e-6)
    dy = drawn(5, rows).float()
    torch.testing.assert_close(backward(dy, weight), dy @ weight.float(), rtol=1e-6, atol=1e-6)


def test_a_frozen_layer_in_bf16_rounds_the_product_in_fp32_once_and_its_gradient_too() -> None:
    x, weight, bias, dy = drawn(2, 3, 20), drawn(30, 20), drawn(30), drawn(2, 3, 30)
    x.requires_grad_(True)
    out: Any = FrozenLinear.apply(x, weight, bias, None)  # type: ignore[no-untyped-call]
    out.backward(dy)
    assert out.dtype == x.grad.dtype == torch.bfloat16  # type: ignore[union-attr]
    torch.testing.assert_close(out.float(), x.detach().float() @ weight.float().t() + bias.float(), rtol=ULP, atol=1e-5)
    torch.testing.assert_close(x.grad.float(), dy.float() @ weight.float(), rtol=ULP, atol=1e-5)  # type: ignore[union-attr]


@pytest.mark.parametrize("dropped", [False, True])
def test_lora_over_a_bf16_weight_has_the_scores_and_gradients_of_fp32(dropped: bool) -> None:
    def run(kind: torch.dtype) -> list[Tensor]:
        x, weight, bias, a, b, dy = (drawn(*shape).to(kind) for shape in ((6, 20), (30, 20), (30,), (4, 20), (30, 4), (6, 30)))
        other = (x * 0.5).detach() if dropped else None
        for tensor in (x, a, b, *([other] if other is not None else [])):
            tensor.requires_grad_(True)
        out: Any = LoraLinear.apply(x, other, weight, bias, a, b, 2.0)  # type: ignore[no-untyped-call]
        out.backward(dy)
        grads = [tensor.grad for tensor in (x, a, b, *([other] if other is not None else []))]
        return [out.detach(), *(grad for grad in grads if grad is not None)]

    for found, wanted in zip(run(torch.bfloat16), run(torch.float32), strict=True):
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.float(), wanted, rtol=2 * ULP, atol=1e-3)


def test_the_backward_pass_is_left_no_copy_in_fp32() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    body = compute_wide(
        nn.Sequential(nn.Linear(64, 96), nn.Linear(96, 64)).to(torch.bfloat16).requires_grad_(False), torch.bfloat16
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        body(drawn(4, 64).requires_grad_(True))
    assert {tuple(tensor.shape) for tensor in kept} == {(96, 64), (64, 96)}
    assert {tensor.dtype for tensor in kept} == {torch.bfloat16}


def test_a_body_that_nobody_holds_is_gone_at_once() -> None:
    body = compute_wide(nn.Sequential(nn.Linear(4, 4)).to(torch.bfloat16), torch.bfloat16)
    weight = weakref.ref(body[0].weight)  # type: ignore[index]
    gc.disable()
    try:
        del body
        assert weight() is None
    finally:
        gc.enable()


def test_a_cpu_with_bf16_instructions_keeps_torchs_own_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "native_bf16", lambda: True)
    layer = nn.Linear(4, 4).to(torch.bfloat16)
    compute_wide(nn.Sequential(layer), torch.bfloat16)
    assert "forward" not in vars(layer)
    assert frozen.widened(drawn(2, 4)).dtype == torch.bfloat16
