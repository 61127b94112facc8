"""A checkpoint of another form is none: the training starts afresh instead of failing at every start."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distillery.components.runtime.progress import Progress
from distillery.components.store import Digest, Store, open_store
from distillery.components.store.layout import checkpoint_key
from distillery.components.training.checkpoints import StoreCheckpoints

INPUTS = Digest("a" * 64)


class Notes(Progress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def whole() -> dict[str, Any]:
    """A checkpoint as the first epoch leaves it."""
    place = {
        "epoch": 1,
        "step": 0,
        "loss": 0.0,
        "tokens": 100,
        "best": {"head.weight": torch.ones(2)},
        "best_mae": math.inf,
        "best_epoch": 1,
        "epochs": [{"epoch": 1, "train_loss": 0.5, "steps": 3}],
    }
    return {"weights": {"head.weight": torch.zeros(2)}, "optimizer": {"state": {}}, "precision": "fp32", "loop": place}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def test_a_whole_one_is_read_back_and_an_emptied_one_is_none(store: Store) -> None:
    checkpoints = StoreCheckpoints(store, INPUTS)
    checkpoints.save(whole())
    found = checkpoints.load()
    assert found is not None
    assert found["loop"]["tokens"] == 100
    checkpoints.clear()
    assert checkpoints.load() is None


def test_errors_by_dimension_are_read_back(store: Store) -> None:
    """A training that keeps them for every epoch would otherwise start afresh whenever it was killed."""
    state, checkpoints = whole(), StoreCheckpoints(store, INPUTS)
    state["loop"]["epochs"][0]["dimensions"] = {"reach": {"train": 0.5, "validation": 0.75}}
    checkpoints.save(state)
    found = checkpoints.load()
    assert found is not None
    assert found["loop"]["epochs"] == state["loop"]["epochs"]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("loop"),
        lambda state: state.pop("optimizer"),
        lambda state: state["loop"].pop("best_epoch"),
        lambda state: state["loop"].update(epoch="1"),
        lambda state: state["loop"].update(step=-1),
        lambda state: state["loop"].update(loss=math.nan),
        lambda state: state["loop"].update(best=[torch.ones(2)]),
        lambda state: state.update(precision="fp8"),
        lambda state: state.update(weights={"head.weight": 1.0}),
        lambda state: state.update(unheard_of=1),
    ],
)
def test_one_of_another_form_means_a_fresh_start(store: Store, change: Callable[[dict[str, Any]], object]) -> None:
    state, notes = whole(), Notes()
    change(state)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    store.put(checkpoint_key(INPUTS), buffer.getvalue())
    assert StoreCheckpoints(store, INPUTS, notes).load() is None
    assert notes.notes == ["the checkpoint can't be read; training starts afresh"]


@pytest.mark.parametrize("value", [[1], 7, "text", torch.zeros(3)])
def test_what_is_no_checkpoint_at_all(store: Store, value: object) -> None:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    store.put(checkpoint_key(INPUTS), buffer.getvalue())
    assert StoreCheckpoints(store, INPUTS, Notes()).load() is None
