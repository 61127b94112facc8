"""Training over a frozen body in 4 bits: what it leaves is a bundle like any other, and serves where bitsandbytes is not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distillery.components.artifacts.serving import ParityFile, Plan
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.promotion.move import reproduce
from distillery.components.runtime import extras
from distillery.components.sharing.bundle_copy import copy_bundle
from distillery.components.sharing.folder import export_folder
from distillery.components.sharing.onnx_file import export_onnx
from distillery.components.store import Digest, Store, StoreError, open_store
from distillery.components.student import model
from distillery.components.student.bundle import check_golden, open_bundle
from distillery.components.student.devices import cluster_plan, read_parity, serving_plan
from distillery.components.student.resolve import resolve_base
from distillery.components.training.train import train, train_inputs
from distillery.components.training.worker import run_workers
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.training.conftest import Notes, filter_of, store_split
from tests.training.test_distributed import adapters, arguments, filter_without_dropout, furthest, tensors
from tests.training.test_train_step import KILLED

ROOT = Path(__file__).resolve().parents[2]
# Opens the adapter where the package can't be imported, checks its golden predictions, and says what was imported.
SERVED = """
import json, sys
sys.modules["bitsandbytes"] = None
from distillery.components.store import open_store
from distillery.components.student.bundle import check_golden, open_bundle
student = open_bundle(open_store(sys.argv[1]), "tiny", sys.argv[2])
off = check_golden(student)
print(json.dumps([off, str(student.plan)]))
"""


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_what_was_trained_in_four_bits_serves_in_fp32_without_them(
    kind: str, request: pytest.FixtureRequest, store: Store, split: str
) -> None:
    folder, notes = request.getfixturevalue(kind), Notes()
    record = train(store, filter_of(folder, quantize="nf4"), split=split, progress=notes)
    adapter = str(record.outputs["adapter"])
    run = [sys.executable, "-c", SERVED, store.uri, adapter]
    off, plan = json.loads(subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()[-1])
    assert off < 1e-4
    assert plan == "fp32 on cpu by torch"
    student = open_bundle(store, "tiny", adapter)
    plain = open_bundle(store, "tiny", str(train(store, filter_of(folder), split=split).outputs["adapter"]))
    assert student.tensors.keys() == plain.tensors.keys()
    assert {name: tensor.shape for name, tensor in student.tensors.items()} == {n: t.shape for n, t in plain.tensors.items()}
    assert student.facts.training["quantize"] == "nf4"
    assert "quantize" not in plain.facts.training
    assert student.facts.validation_mae == pytest.approx(plain.facts.validation_mae, abs=0.3)
    assert any("in 4 bits (nf4)" in note for note in notes.notes)
    errors = [epoch["validation_mae"] for epoch in student.history["epochs"]]
    assert student.facts.validation_mae == pytest.approx(min(errors), abs=1e-5)  # both by the body that serves


def test_killed_and_started_again_it_ends_with_the_same_digest(tmp_path: Path, tiny_decoder: Path) -> None:
    stores = [open_store(str(tmp_path / name)) for name in ("whole", "killed")]
    split = {store_split(store) for store in stores}.pop()
    flt = filter_of(tiny_decoder, epochs=2, quantize="nf4")
    whole = train(stores[0], flt, split=split)
    script = KILLED.format(root=str(ROOT), saves=18, store=str(tmp_path / "killed"), base=str(tiny_decoder), split=split)
    script = script.replace(f"Path({str(tiny_decoder)!r})", f"Path({str(tiny_decoder)!r}), epochs=2, quantize='nf4'")
    child = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    notes = Notes()
    resumed = train(stores[1], flt, split=split, progress=notes)
    assert any("resumed in epoch 2 after 5 of 12 steps" in note for note in notes.notes)
    assert resumed.outputs == whole.outputs


def test_two_workers_train_what_one_does(tmp_path: Path, tiny_decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stores = [open_store(str(tmp_path / name)) for name in ("one", "two")]
    flt = filter_without_dropout(tiny_decoder, epochs=1, batchSize=7, quantize="nf4")
    split = {store_split(store, (40, 15, 5)) for store in stores}.pop()
    train(stores[0], flt, split=split)
    run_workers(arguments(stores[1], flt, split), processes=2)
    assert len(adapters(stores[1])) == 1
    assert furthest(tensors(stores[0]), tensors(stores[1])) < 1e-5


def test_without_the_package_nothing_is_read_and_one_line_says_what_to_install(
    store: Store, split: str, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda module: None if module == "bitsandbytes" else there(module))
    notes = Notes()
    with pytest.raises(InputError, match="needs the package bitsandbytes") as refused:
        train(store, filter_of(tiny_encoder, quantize="nf4"), split=split, progress=notes)
    assert refused.value.hint.startswith("pip install '.[qlora]'")
    assert notes.notes == []
    assert train(store, filter_of(tiny_encoder, epochs=1), split=split).outputs["adapter"]  # needs none


def in_bf16(folder: Path, **training: object) -> Filter:
    """Return a filter that says bf16 serves."""
    document = filter_of(folder, **training).model_dump()
    document["spec"]["student"]["precision"] = "bf16"
    return Filter.model_validate(document)


@pytest.mark.parametrize("quantize", ["none", "nf4"])
def test_where_bf16_serves_it_is_validated_packaged_and_judged_in_bf16(
    quantize: str, store: Store, split: str, tiny_decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, plain = list[torch.dtype](), model.merged

    def noted(*given: Any, **more: Any) -> Any:
        made = plain(*given, **more)
        opened.append(next(made.body.parameters()).dtype)
        return made

    monkeypatch.setattr(model, "merged", noted)
    flt = in_bf16(tiny_decoder, epochs=2, quantize=quantize, precision="bf16")
    adapter = str(train(store, flt, split=split).outputs["adapter"])
    assert set(opened) == {torch.bfloat16}
    found = read_parity(store, "tiny", adapter)
    assert found is not None
    assert (found.reference, found.candidates) == ("bf16", [])
    plan = serving_plan(store, "tiny", adapter, flt.spec.student)
    assert plan == Plan(precision="bf16")
    student = open_bundle(store, "tiny", adapter, flt=flt, plan=plan)
    assert np.array_equal(student.predict(student.golden[0]), student.golden[1])
    assert check_golden(student) < 0.05  # each alone, too
    judged = benchmark(store, flt, adapter=adapter, split=split)
    assert store.get_json(judged.outputs["key"])["served"] == plan.to_json()
    assert cluster_plan(store, "tiny", adapter, flt.spec.student) == plan
    assert reproduce(store, "tiny", Digest(adapter)) < 0.05
    assert open_bundle(store, "tiny", adapter).plan == plan  # whoever asks for fp32 has what was judged
    with pytest.raises(InputError, match="does not let bf16 on cpu by openvino serve"):
        open_bundle(store, "tiny", adapter, plan=Plan(precision="bf16", engine="openvino"))
    exported = copy_bundle(store, adapter)
    for export in (export_folder, export_onnx):  # which compute in fp32
        with pytest.raises(InputError, match=r"gives other scores than the adapter .* judged in bf16, .* export oci or kserve"):
            export(store, exported, tmp_path / export.__name__)
        assert not (tmp_path / export.__name__).exists()


@pytest.mark.parametrize("held", [{"precision": "auto"}, {"precision": "fp32"}])
def test_a_student_that_is_validated_in_fp32_does_not_depend_on_what_else_may_serve(
    tiny_encoder: Path, held: dict[str, str]
) -> None:
    base = resolve_base(str(tiny_encoder)).digest
    assert train_inputs(in_bf16(tiny_encoder, **held), "s", base) == train_inputs(filter_of(tiny_encoder, **held), "s", base)


@pytest.mark.parametrize("held", [{"quantize": "nf4"}, {"precision": "bf16"}])
def test_a_student_depends_on_the_lower_precision_in_which_it_is_packaged(tiny_encoder: Path, held: dict[str, str]) -> None:
    base = resolve_base(str(tiny_encoder)).digest
    less = train_inputs(in_bf16(tiny_encoder, **held), "s", base)
    assert less != train_inputs(filter_of(tiny_encoder, **held), "s", base)
    assert less["reference"] == "bf16"
    whole = filter_of(tiny_encoder, precision="bf16").model_dump()
    whole["spec"]["student"] |= {"precision": "bf16", "lora": None}  # its weights are fp32 while they train
    assert "reference" not in train_inputs(Filter.model_validate(whole), "s", base)


@pytest.mark.parametrize(
    "fields",
    [
        {"articles": 300, "candidates": []},
        {"articles": 12, "candidates": [], "reference": "fp32"},
        {"articles": 12, "candidates": [], "reference": "fp16"},
    ],
)
def test_a_record_without_candidates_is_one_of_another_precision(fields: dict[str, object]) -> None:
    with pytest.raises(StoreError, match=r"parity\.json of a bundle"):
        ParityFile.read(json.dumps(fields).encode(), "there")


def test_the_setting_is_part_of_what_an_adapter_depends_on(tiny_encoder: Path) -> None:
    base = resolve_base(str(tiny_encoder)).digest
    plain = train_inputs(filter_of(tiny_encoder), "s", base)
    assert train_inputs(filter_of(tiny_encoder, quantize="none"), "s", base) == plain
    assert train_inputs(filter_of(tiny_encoder, quantize="nf4"), "s", base) != plain


def test_the_body_is_in_four_bits_while_it_trains(
    store: Store, split: str, tiny_decoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.components.training.loop import Loop

    held, step = list[int](), Loop._step

    def measured(self: Loop, *given: object) -> float:
        held.append(sum(p.numel() * p.element_size() for p in self.model.body.parameters() if p.dtype == torch.uint8))
        return step(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Loop, "_step", measured)
    train(store, filter_of(tiny_decoder, epochs=2, quantize="nf4"), split=split)
    assert len(set(held)) == 1  # after the first validation, too
    assert held[0] > 0
