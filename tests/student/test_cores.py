"""Threads follow the neighbours: fewer where they wait for a core, more where cores are idle, and none for nothing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from distillery.components.student.cores import EVERY, PATIENCE, Look, SharedCores, look

STEP = EVERY + 0.1


class Machine:
    """Cores that our threads share with busy neighbours, each runnable task getting the same share."""

    def __init__(self, cores: int) -> None:
        self.cores, self.neighbours, self.now, self.waited, self.idle = cores, 0.0, 0.0, 0.0, 0.0
        self.shared = SharedCores(cores, lambda: Look(self.now, self.waited, self.idle), lambda _: None, lambda: self.now)

    def work(self, seconds: float) -> list[int]:
        """Return the number of threads after each look."""
        seen = []
        for _ in range(round(seconds / STEP)):
            ours = self.shared.threads
            share = min(1.0, self.cores / (ours + self.neighbours))
            self.now += STEP
            self.waited += STEP * ours * (1 - share)
            self.idle += STEP * max(0.0, self.cores - ours - self.neighbours)
            self.shared.settle()
            seen.append(self.shared.threads)
        return seen


@pytest.mark.parametrize(("cores", "neighbours", "left"), [(2, 1, 1), (4, 1, 3), (8, 3, 5), (8, 8, 1), (16, 2, 14)])
def test_busy_neighbours_get_their_cores_and_give_them_back(cores: int, neighbours: int, left: int) -> None:
    machine = Machine(cores)
    assert set(machine.work(10)) == {cores}
    machine.neighbours = neighbours
    assert abs(machine.work(5)[-1] - left) <= 1
    machine.neighbours = 0
    assert machine.work(60)[-1] == cores


def test_a_neighbour_that_only_blinks_takes_no_thread() -> None:
    machine = Machine(2)
    machine.neighbours = 0.1
    assert set(machine.work(30)) == {2}


def test_a_thread_that_is_started_in_vain_is_started_less_and_less_often() -> None:
    """A neighbour that works only while two of ours do looks like room each time."""
    machine, changes, before = Machine(2), [], 2
    for _ in range(1000):
        machine.neighbours = 1.0 if machine.shared.threads == 2 else 0.0
        (threads,) = machine.work(STEP)
        if threads > before:
            changes.append(machine.now)
        before = threads
    gaps = [round(later - earlier, 3) for earlier, later in pairwise(changes)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= PATIENCE[1]


def test_a_system_without_counts_changes_nothing(tmp_path: Path) -> None:
    assert look(tmp_path) is None
    changes: list[int] = []
    cores = SharedCores(4, lambda: None, changes.append)
    cores.settle()
    assert (cores.threads, changes) == (4, [])


def test_one_thread_is_never_looked_after() -> None:
    def fail() -> Look:
        raise AssertionError("looked")

    SharedCores(1, fail).settle()


def test_the_kernels_counts_are_read(tmp_path: Path) -> None:
    for task, waited in ((1, 2_000_000_000), (2, 500_000_000)):
        (tmp_path / f"self/task/{task}").mkdir(parents=True)
        (tmp_path / f"self/task/{task}/schedstat").write_text(f"9000000000 {waited} 12\n")
    (tmp_path / "stat").write_text(
        "cpu  9 9 9 900 90 9 9 9 0 0\n" + "".join(f"cpu{n} 1 1 1 100 10 1 1 1 0 0\n" for n in range(4096))
    )
    found = look(tmp_path)
    assert found is not None
    assert found.waited == 2.5
    assert found.idle > 0


def test_products_and_their_gradients_do_not_depend_on_the_number_of_threads() -> None:
    """What makes it free to change that number in the middle of a training: its bytes stay the same."""

    def step(threads: int) -> list[torch.Tensor]:
        torch.set_num_threads(threads)
        numbers = torch.Generator().manual_seed(1)
        x, down, up, weight = (
            torch.randn(size, generator=numbers) for size in ((16, 130, 384), (16, 384), (384, 16), (384, 384))
        )
        for tensor in (x, down, up):
            tensor.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = torch.nn.functional.linear(x, weight) + torch.nn.functional.linear(torch.nn.functional.linear(x, down), up)
            y = torch.nn.functional.dropout(torch.nn.functional.gelu(y), 0.1)
            heads = y.reshape(16, 130, 12, 32).transpose(1, 2)
            y = torch.nn.functional.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).reshape(16, 130, 384)
            y = torch.nn.functional.layer_norm(y + x, (384,))
        y[:, 0].float().square().mean().backward()
        return [y.detach(), *(tensor.grad for tensor in (x, down, up) if tensor.grad is not None)]

    before = torch.get_num_threads()
    try:
        torch.manual_seed(7)
        one = step(1)
        torch.manual_seed(7)
        two = step(2)
    finally:
        torch.set_num_threads(before)
    assert len(one) == len(two) == 4
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
