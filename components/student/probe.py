"""Measures the machine, then chooses fp32 or bf16 for the frozen body in training.

On a CPU with AVX-512 BF16 a bf16 product is 2–4× as fast as fp32; on one with AVX2 only it is 3–5× slower. Measuring takes 50
ms at the start; the result goes into the log and into every checkpoint.
"""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

import torch
from torch.nn import functional

from distillery.components.student.model import Precision

CLEARLY = 1.3
ROWS, WIDTH = 1024, 512
TRIES = 8


class Speed(NamedTuple):
    """Billion floating-point operations a second of one linear layer, the best of several tries."""

    fp32: float
    bf16: float


def measure() -> Speed:
    """Measure this machine's CPU as torch uses it, in about 50 ms.

    Returns:
        The speed in both precisions.
    """
    rates = []
    for dtype in (torch.float32, torch.bfloat16):
        x, weight = torch.ones(ROWS, WIDTH, dtype=dtype), torch.ones(WIDTH, WIDTH, dtype=dtype)
        best = float("inf")
        for _ in range(TRIES):
            began = time.perf_counter()
            functional.linear(x, weight)
            best = min(best, time.perf_counter() - began)
        rates.append(2 * ROWS * WIDTH * WIDTH / best / 1e9)
    return Speed(*rates)


def choose_precision(wanted: Literal["auto", "fp32", "bf16"], device: str, speed: Speed | None = None) -> tuple[Precision, str]:
    """Choose the precision of the frozen body in training.

    Args:
        wanted: the filter's training.precision.
        device: cpu or cuda.
        speed: measured speed of the CPU; None to measure it if needed.

    Returns:
        The precision, and one line for the log that says why.
    """
    if wanted != "auto":
        return wanted, f"precision {wanted}: set in training.precision"
    if device == "cuda":
        supported = torch.cuda.is_bf16_supported()
        return ("bf16" if supported else "fp32"), f"precision {'bf16' if supported else 'fp32'}: what this GPU supports"
    speed = speed or measure()
    ratio = speed.bf16 / speed.fp32
    precision: Precision = "bf16" if ratio >= CLEARLY else "fp32"
    rates = f"{speed.bf16:,.0f} against {speed.fp32:,.0f} GFLOPS"
    return precision, f"precision {precision}: bf16 is {ratio:.1f}x fp32 here ({rates})"
