"""A student made by hand (no training): random adapter, real golden predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from distillery.components.artifacts.bundle import BaseFacts, StudentFacts
from distillery.components.student.bundle import Student, golden_texts
from distillery.components.student.pooling import pooling_of
from distillery.components.student.score_curves import ScoreCurves
from distillery.filters.spec import Lora, Pooling

NAMES = ["reach", "proof", "cost"]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny matrices gain nothing from a second thread, and lose much where another process wants it."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


LORA = Lora(r=4, alpha=8)


@pytest.fixture(scope="session")
def make_student() -> Callable[..., Student]:
    def make(folder: Path, lora: Lora | None = LORA, pooling: Pooling | None = None) -> Student:
        import torch

        from distillery.components.student.model import expected_shapes
        from distillery.components.student.resolve import resolve_base
        from distillery.components.student.tokens import Preprocessing

        base, preprocessing = resolve_base(str(folder)), Preprocessing(48, None)
        generator = torch.Generator().manual_seed(11)
        shapes = expected_shapes(base, lora, len(NAMES), pooling)
        tensors = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
        facts = StudentFacts(
            format=1,
            filter="tiny",
            dimensions=NAMES,
            base=BaseFacts(**base.facts()),
            maxLength=48,
            headTail=None,
            pooling=pooling_of(pooling, base.kind),
            preprocessing=preprocessing.facts(),
            lora=lora,
            training={"epochs": 1, "precision": "fp32"},
            split="0" * 64,
            trainable_parameters=1,
            train_mae=0.5,
            validation_mae=0.6,
            label_variance=4.0,
            steps=1,
            tokens=1,
            alarms=[],
        )
        curves = [([0.0, 5.0, 10.0], [1.0, 5.0, 9.0])] * 3
        history = {"epochs": [], "best_epoch": 0}
        student = Student(facts, base, tensors, ScoreCurves(True, curves, 0.6, 0.5), ([], np.zeros((0, 3))), history)
        student.golden = (golden_texts(), student.predict(golden_texts()))
        return student

    return make
