"""Products of a bf16 weight on a CPU without bf16 instructions: torch's own, the whole weight in fp32, ours by blocks.

    pytest -s -m slow tests/benchmarks/test_frozen.py

GFLOPS on all cores, the best of three, for both shapes of the widest layers of Qwen2.5-1.5B. A CPU that has the instructions
keeps torch's own product, so nothing is asserted there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from distillery.components.student import frozen
from distillery.components.student.devices import native_bf16

SHAPES = [(8960, 1536), (1536, 8960)]
TOKENS = (64, 128, 512, 2048)
BLOCKS = (2**20, 2**18)


def fastest(run: Callable[[], object], tries: int = 3) -> float:
    """Return the seconds of the fastest try, after one that does not count."""
    run()
    seconds = []
    for _ in range(tries):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def by_blocks(x: Tensor, weight: Tensor) -> Tensor:
    return frozen.linear(x.float(), weight).to(x.dtype)


def whole(x: Tensor, weight: Tensor) -> Tensor:
    return functional.linear(x.float(), weight.float()).to(x.dtype)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_blocks_are_faster_than_torchs_own_product(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(shape).to(torch.bfloat16)
    for tokens in TOKENS:
        x = torch.randn(tokens, shape[1]).to(torch.bfloat16)
        ways: dict[str, Callable[[], object]] = {
            "fp32": partial(functional.linear, x.float(), weight.float()),
            "torch's bf16": partial(functional.linear, x, weight),
            "whole weight": partial(whole, x, weight),
        }
        rates = {name: 2e-9 * x.numel() * shape[0] / fastest(run) for name, run in ways.items()}
        for block in BLOCKS:
            monkeypatch.setattr(frozen, "BLOCK", block)
            rates[f"blocks of {block:,}"] = 2e-9 * x.numel() * shape[0] / fastest(partial(by_blocks, x, weight))
        print(f"\n{shape} {tokens:5d} tokens: " + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()), end="")
        if not native_bf16():
            assert rates[f"blocks of {BLOCKS[0]:,}"] > 2 * rates["torch's bf16"]
