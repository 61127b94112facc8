"""How fast a GPU trains a student of Qwen2.5-1.5B's shape: tokens a second and MFU, random weights, no file fetched.

    pytest -s -m slow tests/benchmarks/test_training_gpu.py

Skipped without CUDA. No figure of ours stands anywhere yet: this has run on a CPU with a tiny shape only.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distillery.components.runtime.progress import Progress
from distillery.components.student.base import Base, read_base
from distillery.components.student.body import skeleton
from distillery.components.student.model import build, expected_trainable
from distillery.components.student.tokens import Tokens
from distillery.components.training.loop import Loop, Validation, deterministic
from distillery.components.training.train import PEAK
from distillery.filters.spec import Lora, Training

QWEN: dict[str, Any] = {
    "vocab_size": 151_936,
    "hidden_size": 1536,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "intermediate_size": 8960,
    "tie_word_embeddings": True,
}
TINY = {**QWEN, "vocab_size": 500, "hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 64}
ARTICLES, LENGTH, DIMENSIONS = 512, 512, 6


class Clock(Progress):
    """When how many articles were through."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        if unit == "articles":
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seen.append((time.perf_counter(), done))


def random_base(folder: Path, shape: dict[str, Any], device: str) -> Base:
    from transformers import Qwen2Config, Qwen2Model

    with torch.device(device):
        body = Qwen2Model(Qwen2Config(**shape)).to(torch.bfloat16)
    body.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")  # it is in the digest; tokens are drawn here
    return Base(folder, read_base(folder, "random"), "decoder", shape["hidden_size"], "random", None)


def tokens_per_second(folder: Path, shape: dict[str, Any], device: str, *, articles: int, length: int, batch: int) -> float:
    """Of the second half of one epoch, so that start-up doesn't count."""
    base, lora = random_base(folder, shape, device), Lora()
    precision = "bf16" if device == "cuda" else "fp32"
    expected = expected_trainable(base.path, lora, DIMENSIONS)
    if shape is QWEN:
        assert expected == 18_473_984
    model = build(base, lora, DIMENSIONS, precision=precision).to(device)
    generator = np.random.default_rng(0)
    ids = generator.integers(0, shape["vocab_size"], articles * length, dtype=np.int32)
    tokens = Tokens(ids, np.arange(articles + 1, dtype=np.int64) * length, 0)
    labels, clock = generator.uniform(0, 10, (articles, DIMENSIONS)), Clock()
    settings = Training(epochs=1, batchSize=batch, tokensPerBatch=batch * length, precision=precision)
    validate = lambda _: Validation(1.0, 1.0)  # noqa: E731
    with deterministic():
        Loop(model, tokens, labels, settings, expected=expected, validate=validate, progress=clock).run()
    (began, first), (ended, last) = clock.seen[len(clock.seen) // 2], clock.seen[-1]
    return (last - first) * length / (ended - began)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("batch", [8, 16, 32])
def test_a_gpu_trains_qwen(batch: int, tmp_path: Path) -> None:
    torch.cuda.reset_peak_memory_stats()
    speed = tokens_per_second(tmp_path, QWEN, "cuda", articles=ARTICLES, length=LENGTH, batch=batch)
    body = skeleton(tmp_path)
    count = sum(module.weight.numel() for module in body.modules() if isinstance(module, torch.nn.Linear))
    name, memory = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 2**30
    peak = next((flops for key, flops in PEAK.items() if key in name), None)
    mfu = f"{4 * count * speed / peak:.1%}" if peak else "unknown for this GPU"
    print(f"\n{name}, batch {batch} x {LENGTH}: {speed:,.0f} tokens/s, MFU {mfu}, {memory:.1f} GiB")
    assert speed > 0


def test_the_measurement_itself_runs_on_a_cpu(tmp_path: Path) -> None:
    assert tokens_per_second(tmp_path, TINY, "cpu", articles=16, length=16, batch=4) > 0
