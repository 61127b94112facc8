"""The step: a split in, a bundle out; killed and started again it ends with the same digest."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distillery.components.artifacts.split import load_split
from distillery.components.runtime.memory_limit import Room
from distillery.components.store import Store, open_store
from distillery.components.student.bundle import Student, check_golden, open_bundle
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Tokens
from distillery.components.training.distributed import Workers
from distillery.components.training.loop import Loop
from distillery.components.training.objective import LOSSES
from distillery.components.training.package import alarms
from distillery.components.training.train import train, train_inputs
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.tables import with_columns
from tests.training.conftest import Notes, articles, filter_of, store_split

Make = Callable[..., Filter]


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_a_split_becomes_a_bundle(kind: str, request: pytest.FixtureRequest, store: Store, split: str) -> None:
    flt, notes = filter_of(request.getfixturevalue(kind)), Notes()
    record = train(store, flt, split=split, progress=notes)
    adapter = record.outputs["adapter"]
    student = open_bundle(store, "tiny", adapter, flt=flt)
    assert check_golden(student) < 1e-4
    facts = student.facts
    assert facts.split == split
    assert facts.steps == 3 * 12
    assert 0 < facts.train_mae < 3
    assert facts.trainable_parameters == sum(tensor.numel() for tensor in student.tensors.values())
    assert [epoch["epoch"] for epoch in student.history["epochs"]] == [1, 2, 3]
    assert facts.validation_mae == pytest.approx(min(epoch["validation_mae"] for epoch in student.history["epochs"]), abs=1e-5)
    assert any("trainable parameters" in note for note in notes.notes)
    assert any("precision fp32" in note for note in notes.notes)
    assert (288, 288, "articles") in [call[:3] for call in notes.calls]
    assert record.facts["tokens_per_second"] > 0
    assert record.facts["peak_memory_mb"] > 0


def test_done_once_it_is_found(store: Store, split: str, tiny_filter: Make) -> None:
    first = train(store, tiny_filter(epochs=1), split=split)
    again = train(store, tiny_filter(epochs=1), split=split)
    assert (first.reused, again.reused) == (False, True)
    assert again.outputs == first.outputs
    assert not train(store, tiny_filter(epochs=1, seed=7), split=split).reused


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_only_the_first_worker_writes_where_it_is_found(
    store: Store, split: str, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    flt, written = tiny_filter(epochs=1), list[str]()
    first = train(store, flt, split=split)

    class Several(Workers):
        def agree(self, value: Any) -> Any:
            assert (value is not None) == self.first
            return value or first

    workers = Several()
    workers.rank, workers.world = rank, 3
    for name in ("put", "put_if", "update", "commit"):
        monkeypatch.setattr(store, name, lambda *arguments, name=name, **more: written.append(name))
    record = train(store, flt, split=split, workers=workers)
    assert bool(written) == (rank == 0)
    assert record.outputs == (first.outputs if rank == 0 else {})


def test_what_the_adapter_depends_on(tiny_filter: Make, tiny_encoder: Path) -> None:
    base = resolve_base(str(tiny_encoder)).digest
    inputs = train_inputs(tiny_filter(), "s", base)
    assert inputs == train_inputs(tiny_filter(), "s", base)
    document = tiny_filter().model_dump()
    document["spec"]["tiers"] = [{"name": "high", "when": "overall >= 5"}, {"name": "low"}]
    document["spec"]["gates"] = [{"metric": "mae", "below": 0.1}]
    assert train_inputs(Filter.model_validate(document), "s", base) == inputs
    document["spec"]["dimensions"].reverse()
    assert train_inputs(Filter.model_validate(document), "s", base) != inputs
    assert train_inputs(tiny_filter(epochs=1), "s", base) != inputs
    assert train_inputs(tiny_filter(), "s", "other") != inputs


KILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
sys.path[:0] = [{root!r}]
from distillery.components.store import open_store
from distillery.components.training import checkpoints
from distillery.components.training.train import train
from tests.training.conftest import filter_of
checkpoints.EVERY_SECONDS, checkpoints.COST = 0.0, 0
save, left = checkpoints.StoreCheckpoints.save, [{saves}]

def counted(self, state):
    save(self, state)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoints.StoreCheckpoints.save = counted
from pathlib import Path
train(open_store({store!r}), filter_of(Path({base!r})), split={split!r})
"""


def test_killed_and_started_again_it_ends_with_the_same_digest(tmp_path: Path, tiny_encoder: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        stores = [open_store(str(tmp_path / name)) for name in ("whole", "killed")]
        split = {store_split(store) for store in stores}.pop()
        whole = train(stores[0], filter_of(tiny_encoder), split=split)
        root = str(Path(__file__).resolve().parents[2])
        script = KILLED.format(root=root, saves=18, store=str(tmp_path / "killed"), base=str(tiny_encoder), split=split)
        child = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
        assert child.returncode == -signal.SIGKILL, child.stderr
        notes = Notes()
        resumed = train(stores[1], filter_of(tiny_encoder), split=split, progress=notes)
        assert any("resumed in epoch 2 after 5 of 12 steps" in note for note in notes.notes)
        assert not resumed.reused
        assert resumed.outputs == whole.outputs
    finally:
        torch.set_num_threads(threads)


def test_the_best_epochs_validation_is_predicted_once_and_again_only_where_another_process_did_it(
    store: Store, split: str, tiny_filter: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted: list[int] = []
    predict, run = Student.predict_tokens, Loop.run

    def counted(self: Student, tokens: Tokens, *more: Any) -> Any:
        predicted.append(len(tokens))
        return predict(self, tokens, *more)

    monkeypatch.setattr(Student, "predict_tokens", counted)
    articles = len(load_split(store, split).validation)
    first = train(store, tiny_filter(epochs=1), split=split)
    assert predicted.count(articles) == 1  # the train part's sample, which is as large
    predicted.clear()
    monkeypatch.setattr(Loop, "run", lambda self, state: replace(run(self, state), raw=None))
    elsewhere = open_store(str(tmp_path / "elsewhere"))
    second = train(elsewhere, tiny_filter(epochs=1), split=store_split(elsewhere))
    assert predicted.count(articles) == 2
    assert second.outputs == first.outputs


def test_the_checkpoint_is_emptied_when_the_bundle_is_stored(store: Store, split: str, tiny_filter: Make) -> None:
    record = train(store, tiny_filter(epochs=1), split=split)
    key = f"checkpoints/{record.inputs_digest}/state.pt"
    assert torch.load(io.BytesIO(store.get(key)), weights_only=True) == {}


def test_a_torn_checkpoint_means_a_fresh_start(store: Store, split: str, tiny_filter: Make) -> None:
    flt = tiny_filter(epochs=1)
    whole = train(store, flt, split=split)
    store.put(f"checkpoints/{whole.inputs_digest}/state.pt", b"torn")
    store.put(f"steps/train/{whole.inputs_digest}.json", b'{"keys": ["gone"], "outputs": {}, "facts": {}}')
    notes = Notes()
    assert train(store, flt, split=split, progress=notes).outputs == whole.outputs
    assert any("starts afresh" in note for note in notes.notes)


def test_inputs_all_the_same_train_nothing(store: Store, tmp_path: Path, tiny_encoder: Path) -> None:
    split = store_split(store, text="prompt " * 200)
    document = filter_of(tiny_encoder).model_dump()
    document["spec"]["student"]["maxLength"] = 16
    flt = Filter.model_validate(document)
    from distillery.components.articles.label_table import read_table, write_table
    from distillery.components.artifacts.split import FILES, test_digest
    from distillery.components.store import Digest, digest_json
    from tests.artifacts.made import made_split_meta

    folder = store.folder("datasets", Digest(split))
    frames = {name: read_table(folder.read(name)) for name in FILES.values()}
    frames = {
        name: with_columns(frame, {"title": ["prompt " * 90 + title for title in frame["title"].to_pylist()]})
        for name, frame in frames.items()
    }
    test = frames["test.parquet"]
    same = store.commit(
        "datasets",
        {name: write_table(frame) for name, frame in frames.items()},
        made_split_meta(test=test_digest(test), frozen=digest_json(sorted(test["article"].to_pylist()))),
    )
    with pytest.raises(InputError, match="every input is the same text after truncation"):
        train(store, flt, split=same)
    assert not list(store.keys("adapters"))


def test_a_training_that_explodes_leaves_no_bundle(
    store: Store, split: str, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOSSES, "mse", lambda predicted, labels: (predicted - labels).sum() * float("inf"))
    with pytest.raises(InputError, match="not a number"):
        train(store, tiny_filter(), split=split)
    assert not list(store.keys("adapters"))


def test_dimensions_in_another_order_are_refused(store: Store, split: str, tiny_filter: Make) -> None:
    flt = tiny_filter(epochs=1)
    adapter = train(store, flt, split=split).outputs["adapter"]
    document = flt.model_dump()
    document["spec"]["dimensions"].reverse()
    with pytest.raises(InputError, match="not the filter's dimensions in their order"):
        open_bundle(store, "tiny", adapter, flt=Filter.model_validate(document))
    document["spec"]["dimensions"][0]["name"] = "other"
    with pytest.raises(InputError, match="not the filter's"):
        open_bundle(store, "tiny", adapter, flt=Filter.model_validate(document))


def test_alarms() -> None:
    _, labels = articles(200, 1)
    generator = np.random.default_rng(0)
    good = labels + generator.normal(0, 0.5, labels.shape)
    assert alarms(good, labels) == []
    mean = np.tile(labels.mean(axis=0), (200, 1)) + generator.normal(0, 0.01, labels.shape)
    assert [alarm.split(":")[1].strip() for alarm in alarms(mean, labels)] == ["nothing was learned", "the input is ignored"]
    noise = labels[generator.permutation(200)]
    assert len(alarms(noise, labels)) == 1


def test_a_student_that_learned_nothing_says_so(store: Store, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distillery.components.training.loop.fit_head", lambda *_: None)
    notes = Notes()
    split = store_split(store)
    adapter = train(store, tiny_filter(epochs=1, learningRate=1e-9), split=split, progress=notes).outputs["adapter"]
    found = open_bundle(store, "tiny", adapter).facts.alarms
    assert any("nothing was learned" in alarm for alarm in found)
    assert any("nearly constant" in alarm for alarm in found)
    assert any(note.startswith("alarm: ") for note in notes.notes)


def test_memory_holds_one_body_at_a_time(store: Store, split: str, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """While validation and packaging have the merged body, no other one has weights; nor is there one of an earlier epoch."""
    import gc

    from distillery.components.student import model as module

    bodies, held = list[weakref.ref[torch.nn.Module]](), list[int]()

    def watched(plain: Callable[..., torch.nn.Module]) -> Callable[..., torch.nn.Module]:
        def load(*arguments: Any, **more: Any) -> torch.nn.Module:
            gc.disable()  # whoever frees a body must not need the collector
            alive = [body for known in bodies if (body := known()) is not None]
            weights = [weight for body in alive for name, weight in body.named_parameters() if ".lora_" not in name]
            held.append(sum(weight.numel() for weight in weights))
            bodies.append(weakref.ref(body := plain(*arguments, **more)))
            return body

        return load

    for name in ("load_body", "serving_body"):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    try:
        train(store, tiny_filter(epochs=2), split=split)
    finally:
        gc.enable()
    assert held == [0, 0, 0, 0]  # training, two validations, packaging


def test_a_training_that_has_no_room_for_all_activations_says_what_takes_less(
    store: Store, split: str, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    flt = tiny_filter(epochs=1)
    monkeypatch.setattr("distillery.components.training.train.room", lambda: Room(2**20, 2**30, "this container"))
    train(store, flt, split=split, progress=notes)
    (note,) = (text for text in notes.notes if text.startswith("gradient checkpointing over"))
    assert "this container has" in note
    assert note.endswith(f"a smaller training.tokensPerBatch (now {flt.spec.training.tokensPerBatch:,}) takes less")
