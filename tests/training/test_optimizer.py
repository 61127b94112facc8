"""A checkpoint of one strategy, resumed by another: rate and weight decay stay the training's."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from distillery.components.student.model import StudentModel, build
from distillery.components.student.resolve import resolve_base
from distillery.components.training.distributed import ALONE
from distillery.components.training.optimizer import Optimizer, ZeroOptimizer
from distillery.filters.spec import Lora, Training
from tests.training.conftest import NAMES

TRAINING = Training(weightDecay=0.1)


@pytest.fixture
def model(tiny_encoder: Path) -> StudentModel:
    return build(resolve_base(str(tiny_encoder)), Lora(r=4, alpha=8), len(NAMES))


def stepped(descent: Optimizer) -> Optimizer:
    """After one step of torch's own AdamW, as DeepSpeed takes it on each worker's share."""
    for parameter in descent.parameters:
        parameter.grad = torch.ones_like(parameter)
    Optimizer.step(descent, 1e-3)
    return descent


def decay_of(groups: list[dict[str, Any]]) -> list[float]:
    return [group["weight_decay"] for group in groups]


def test_zeros_checkpoint_carries_the_trainings_decay(model: StudentModel, monkeypatch: pytest.MonkeyPatch) -> None:
    zero = stepped(ZeroOptimizer(model, TRAINING, ALONE))
    utils = ModuleType("deepspeed.utils")
    utils.safe_get_full_optimizer_state = lambda one, key: zero.adamw.state[one][key]  # type: ignore[attr-defined]
    for name, module in (("deepspeed", ModuleType("deepspeed")), ("deepspeed.utils", utils)):
        monkeypatch.setitem(sys.modules, name, module)
    state = zero.state()
    assert decay_of(state["param_groups"]) == [0.1]
    assert state["param_groups"][0].keys() == zero.adamw.state_dict()["param_groups"][0].keys()
    plain = Optimizer(model, TRAINING, ALONE)
    plain.begin(state)
    assert decay_of(plain.adamw.param_groups) == [0.1]


def test_a_checkpoint_with_another_decay_changes_nothing(model: StudentModel) -> None:
    """Those that ZeRO wrote before carried AdamW's default."""
    state = stepped(Optimizer(model, TRAINING, ALONE)).state()
    state["param_groups"][0]["weight_decay"] = 0.01
    resumed = Optimizer(model, TRAINING, ALONE)
    resumed.begin(state)
    assert decay_of(resumed.adamw.param_groups) == [0.1]
    assert len(resumed.adamw.state) == len(resumed.parameters)
