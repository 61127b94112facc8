"""Several workers train as one does: two processes over gloo on a CPU, through the command that a cluster runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distillery.components.artifacts.filter import publish_filter
from distillery.components.store import Store, open_store
from distillery.components.student.bundle import open_bundle
from distillery.components.student.model import TrainableError
from distillery.components.training.distributed import ALONE, Workers
from distillery.components.training.optimizer import whole
from distillery.components.training.train import train
from distillery.components.training.worker import run_workers
from distillery.filters.errors import Stopped
from distillery.filters.filter import Filter
from distillery.filters.loading import with_overrides
from tests.training.conftest import Notes, filter_of, store_split

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def filter_without_dropout(base: Path, **training: Any) -> Filter:
    document = filter_of(base, **training).model_dump()
    document["spec"]["student"]["lora"]["dropout"] = 0.0
    return Filter.model_validate(document)


def arguments(store: Store, flt: Filter, split: str) -> list[str]:
    return ["--store", store.uri, "--filter-key", publish_filter(store, flt), "--split", split]


def adapters(store: Store) -> set[str]:
    return {key.split("/")[2] for key in store.keys("adapters")}


def tensors(store: Store) -> dict[str, torch.Tensor]:
    [adapter] = adapters(store)
    return open_bundle(store, "tiny", adapter).tensors


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture
def stores(tmp_path: Path) -> dict[str, Store]:
    return {name: open_store(str(tmp_path / name)) for name in ("one", "two")}


COUNTED = """
import os
if "RANK" in os.environ:
    from distillery.components.store.file_objects import FileObjects

    def counted(name):
        plain = getattr(FileObjects, name)

        def put(self, key, *rest, **named):
            with open({log!r}, "a") as file:
                file.write(os.environ["RANK"] + " " + key + chr(10))
            return plain(self, key, *rest, **named)

        setattr(FileObjects, name, put)

    counted("put"), counted("put_if")
"""


SHARED = [pytest.param(zero, "attention", marks=pytest.mark.slow) for zero in ("zero2", "zero3")]


@pytest.mark.parametrize(("strategy", "pooling"), [("ddp", None), ("ddp", "attention"), *SHARED])
def test_two_workers_train_what_one_does(
    strategy: str,
    pooling: str | None,
    stores: dict[str, Store],
    tiny_decoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """40 articles in steps of 7: shares are uneven and the last step has five. Only the first worker writes."""
    (tmp_path / "sitecustomize.py").write_text(COUNTED.format(log=str(tmp_path / "puts")))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    flt = filter_without_dropout(tiny_decoder, epochs=2, batchSize=7, strategy=strategy)
    flt = with_overrides(flt, [f"student.pooling={pooling or 'null'}"])
    split = {store_split(store, (40, 15, 5)) for store in stores.values()}.pop()
    alone = train(stores["one"], flt, split=split)
    run_workers(arguments(stores["two"], flt, split), processes=2)
    assert furthest(tensors(stores["one"]), tensors(stores["two"])) < 1e-5
    found = train(stores["two"], flt, split=split)
    assert found.reused
    assert found.inputs_digest == alone.inputs_digest
    assert found.facts["workers"] == 2
    written = [line.split() for line in (tmp_path / "puts").read_text().splitlines()]
    assert {rank for rank, _ in written} == {"0"}
    assert {key.split("/")[0] for _, key in written} == {
        *("adapters", "checkpoints", "steps"),
        *("filters", "summaries"),  # by which the adapter is found by its digest
    }


@pytest.mark.slow
def test_four_workers_train_what_one_does(stores: dict[str, Store], tiny_encoder: Path) -> None:
    flt = filter_without_dropout(tiny_encoder, epochs=2, batchSize=7)
    split = {store_split(store, (40, 15, 5)) for store in stores.values()}.pop()
    train(stores["one"], flt, split=split)
    run_workers(arguments(stores["two"], flt, split), processes=4)
    assert furthest(tensors(stores["one"]), tensors(stores["two"])) < 1e-4


INTERRUPTED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from distillery.components.training import checkpoints
checkpoints.EVERY_SECONDS, checkpoints.COST = 0.0, 0
save, left = checkpoints.StoreCheckpoints.save, [{saves}]

def counted(self, state):
    save(self, state)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoints.StoreCheckpoints.save = counted
"""


@contextmanager
def killed_after(saves: int, folder: Path) -> Iterator[None]:
    """Every worker that writes is killed at its `saves`-th checkpoint."""
    (folder / "sitecustomize.py").write_text("import os\nif 'RANK' in os.environ:\n    import interrupted\n")
    (folder / "interrupted.py").write_text(INTERRUPTED.format(saves=saves))
    before = os.environ["PYTHONPATH"]
    os.environ["PYTHONPATH"] = f"{folder}:{before}"
    try:
        yield
    finally:
        os.environ["PYTHONPATH"] = before


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("zero2", marks=pytest.mark.slow)])
def test_a_training_goes_on_with_another_number_of_workers(
    strategy: str, stores: dict[str, Store], tiny_encoder: Path, tmp_path: Path
) -> None:
    flt = filter_without_dropout(tiny_encoder, epochs=2, strategy=strategy, weightDecay=0.1)
    split = {store_split(store, (40, 12, 5)) for store in stores.values()}.pop()
    train(stores["one"], flt, split=split)
    with (
        killed_after(4, tmp_path),
        pytest.raises(Stopped, match=r"worker 0 failed: killed by SIGKILL; start the training again"),
    ):
        run_workers(arguments(stores["two"], flt, split), processes=2)
    assert not adapters(stores["two"])
    said = Notes()
    train(stores["two"], flt, split=split, progress=said)
    assert any("resumed in epoch 1 after 4 of 5 steps" in note for note in said.notes)
    assert furthest(tensors(stores["one"]), tensors(stores["two"])) < 1e-5


@pytest.mark.slow
def test_a_pod_with_two_gpus_trains_with_two_processes(
    stores: dict[str, Store], tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.components.training import launch as trainer

    monkeypatch.setattr(trainer, "_gpus_here", lambda wanted: 2)
    flt, store = filter_of(tiny_encoder, epochs=1), stores["two"]
    split, said = store_split(store, (24, 8, 4)), Notes()
    record = trainer.launch_training("pod", store, flt, publish_filter(store, flt), split=split, progress=said)
    assert (record.reused, record.facts["workers"]) == (False, 2)
    assert any("trainable parameters" in note for note in said.notes)
    assert (24, 24) in [call[:2] for call in said.calls]  # what comes after it says its own
    assert trainer.launch_training("pod", store, flt, publish_filter(store, flt), split=split).reused


@pytest.mark.slow
def test_one_workers_checkpoint_serves_two(stores: dict[str, Store], tiny_encoder: Path, tmp_path: Path) -> None:
    flt = filter_without_dropout(tiny_encoder, epochs=2)
    split = {store_split(store, (40, 12, 5)) for store in stores.values()}.pop()
    train(stores["one"], flt, split=split)
    with killed_after(7, tmp_path), pytest.raises(Stopped):
        run_workers(arguments(stores["two"], flt, split), processes=1)
    run_workers(arguments(stores["two"], flt, split), processes=2)
    assert furthest(tensors(stores["one"]), tensors(stores["two"])) < 1e-5


def test_bad_input_is_exit_code_two(stores: dict[str, Store], tiny_encoder: Path) -> None:
    given = arguments(stores["two"], filter_of(tiny_encoder / "gone"), "0" * 64)
    env = {**os.environ, "PET_NNODES": "1", "PET_NPROC_PER_NODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "distillery.components.training.worker", *given],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["input"] is True
    assert last["error"]["what"].startswith("no folder")


PEER = """
import sys, time
from distillery.components.training.distributed import join
from distillery.filters.errors import Stopped
import torch
with join() as workers:
    for number in range(1000):
        if workers.rank == {dies} and number == 3:
            import os, signal
            os.kill(os.getpid(), {signal})
        try:
            workers.sum(torch.ones(1000))
        except Stopped as error:
            print(error, flush=True)
            sys.exit(1)
"""


@pytest.mark.parametrize(("how", "limit"), [(signal.SIGKILL, 60), (signal.SIGSTOP, 3)])
def test_a_worker_that_is_gone_ends_the_others_within_seconds(how: signal.Signals, limit: int, tmp_path: Path) -> None:
    """SIGKILL closes the connection, SIGSTOP leaves nothing but the time limit. No torchrun here: each is on its own."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "DISTILLERY_PEER_SECONDS": str(limit)}
    script = PEER.format(dies=1, signal=int(how))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script], env={**os.environ, **place, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        began = time.monotonic()
        said, _ = workers[0].communicate(timeout=60)
        assert workers[0].returncode == 1
        assert said.startswith("worker 0 of 2 lost the others during a sum")
        assert "start the training again" in said
        assert time.monotonic() - began < 30
    finally:
        workers[1].kill()
        workers[1].communicate()


def test_shares_are_all_the_rows_and_weigh_alike() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(10, 500, 1000)
    rows = generator.permutation(1000)[:64]
    shares = [Workers().deal(rows, lengths)]
    assert (shares[0] == rows).all()
    for world in (2, 3, 5, 64, 100):
        workers = Workers()
        workers.world = world
        shares = [workers.deal(rows, lengths, rank) for rank in range(world)]
        assert sorted(np.concatenate(shares)) == sorted(rows)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    workers.world = 4
    tokens = [int(lengths[workers.deal(rows, lengths, rank)].sum()) for rank in range(4)]
    assert max(tokens) - min(tokens) < 0.05 * sum(tokens) / 4


def test_an_adapter_that_is_not_whole_is_not_saved() -> None:
    """Under ZeRO-3 a worker may hold nothing of a tensor but its name."""
    with pytest.raises(TrainableError, match="4 parameters would be saved where the configuration makes 1,234"):
        whole({"a": torch.zeros(4), "b": torch.zeros(0)}, 1234)
    assert ALONE.first


def test_weights_that_drifted_apart_stop_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.training import distributed

    group = distributed.Group(1, 2)
    theirs = torch.ones(3)
    monkeypatch.setattr(distributed.dist, "broadcast", lambda tensor, src: tensor.copy_(theirs))
    mine = torch.ones(3) + 1e-5
    group.keep_together([mine])
    assert torch.equal(mine, theirs)
    for wrong in (torch.ones(3) + 0.1, torch.full((3,), float("nan"))):
        with pytest.raises(Stopped, match="worker 1 of 2 has other weights than the first one"):
            group.keep_together([wrong])
