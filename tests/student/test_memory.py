"""The memory that steps take, worked out from config.json, held against what processes really took."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from distillery.components.runtime.memory_limit import Room
from distillery.components.store import open_store
from distillery.components.student import fit
from distillery.components.student.base_files import parse_config
from distillery.components.student.body import checkpoint_layers
from distillery.components.student.fit import require_room
from distillery.components.student.memory import Body, body_in, needs, numbers, serve_need, train_need
from distillery.components.student.model import build, set_training, trainable
from distillery.components.student.resolve import resolve_base
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora, Student, Training
from tests.student.random_base import random_base
from tests.student.tiny import TINY
from tests.training.conftest import store_split

GIB = 2**30
QWEN = {
    "model_type": "qwen2",
    "hidden_size": 1536,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "intermediate_size": 8960,
    "vocab_size": 151936,
}
LARGE = Body(parse_config(json.dumps(QWEN).encode(), "large"), 7_000_000)
COMMON = {"hidden_size": 512, "num_attention_heads": 8, "vocab_size": 16000}
SIZES: dict[str, dict[str, Any]] = {
    "qwen2": {**COMMON, "num_hidden_layers": 8, "num_key_value_heads": 2, "intermediate_size": 1536},
    "bert": {**COMMON, "num_hidden_layers": 6, "intermediate_size": 2048, "type_vocab_size": 2},
}
# Trains, or opens the adapter and predicts, as the steps do; prints the peak in bytes.
STEP = """
import json, sys, torch
torch.set_num_threads(1)
from pathlib import Path
from distillery.components.store import open_store
from tests.training.conftest import filter_of
step, store, split, folder, precision, quantize, adapter = sys.argv[1:]
flt = filter_of(Path(folder), epochs=1, batchSize=32, precision=precision, quantize=quantize)
student = flt.spec.student.model_copy(update={"maxLength": 24, "precision": "auto" if quantize == "none" else precision})
flt = flt.model_copy(update={"spec": flt.spec.model_copy(update={"student": student})})
if step == "train":
    from distillery.components.training.train import train
    adapter = train(open_store(store), flt, split=split).outputs["adapter"]
else:
    from distillery.components.student.bundle import check_golden, open_bundle
    student = open_bundle(open_store(store), "tiny", adapter)  # in what it was packaged in
    check_golden(student)
    student.predict([("a", "the farm opens with wind " * 20)] * 200)
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([peak, adapter]))
"""


def run(step: str, *arguments: str) -> tuple[int, str]:
    out = subprocess.run([sys.executable, "-c", STEP, step, *arguments], capture_output=True, text=True, check=True).stdout
    peak, adapter = json.loads(out.splitlines()[-1])
    return peak, adapter


@pytest.mark.timeout(900)  # where bf16 is worked out without instructions for it, a training takes minutes
@pytest.mark.parametrize(
    ("kind", "precision", "quantize"),
    [
        ("tiny", "fp32", "none"),
        ("qwen2", "bf16", "none"),
        ("bert", "fp32", "none"),
        pytest.param("qwen2", "bf16", "nf4", marks=pytest.mark.slow),
        pytest.param("bert", "bf16", "nf4", marks=pytest.mark.slow),
    ],
    ids=lambda value: str(value),
)
def test_the_estimate_holds_what_is_measured(
    kind: str, precision: Any, quantize: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / kind
    if kind == "tiny":
        folder = request.getfixturevalue("tiny_decoder")
    else:
        random_base(folder, kind, **SIZES[kind])
    split = store_split(open_store(str(tmp_path / "store")), (64, 20, 20))
    arguments = [str(tmp_path / "store"), split, str(folder), precision, quantize]
    served = precision if quantize == "nf4" else "fp32"  # what training validates and packages in
    wish = {"precision": "bf16"} if served == "bf16" else {}
    student = Student(baseModel=str(folder), maxLength=24, lora=Lora(r=4, alpha=8, dropout=0.1), **wish)
    body = body_in(folder, kind)
    training = Training(batchSize=32, precision=precision, quantize=quantize)
    peak, adapter = run("train", *arguments, "")
    estimate = train_need(body, student, training, 2, checkpointed=False).total
    assert peak <= estimate <= 1.5 * peak, f"train: measured {peak / 2**20:.0f} MiB, estimated {estimate / 2**20:.0f}"
    peak, _ = run("score", *arguments, adapter)
    estimate = serve_need(body, 24, student.lora, 2, precision=served).total
    assert peak <= estimate <= 1.5 * peak, f"score: measured {peak / 2**20:.0f} MiB, estimated {estimate / 2**20:.0f}"


@pytest.mark.parametrize("kind", sorted(TINY))
def test_every_architecture_is_counted(kind: str) -> None:
    body = Body(parse_config(json.dumps({"model_type": kind, **TINY[kind]}).encode(), kind), 1000)
    for need in needs(body, Student(baseModel="x", maxLength=32), Training(), 2):
        assert need.total > need.weights == 4 * numbers(body)
        assert need.activations > 0
    pieces = train_need(body, Student(baseModel="x", maxLength=32), Training(), 2, checkpointed=False)
    assert pieces.adapter > 40 * 32 * 2  # LoRA was found, not the head alone


def test_what_costs_memory_costs_it_in_the_estimate() -> None:
    student, training = Student(baseModel="x"), Training(precision="bf16")

    def total(cut: Student = student, less: Training = training, *, checkpointed: bool = False) -> int:
        return train_need(LARGE, cut, less, 6, checkpointed=checkpointed).total

    assert total() > total(less=training.model_copy(update={"tokensPerBatch": 1024})) > total(checkpointed=True)
    assert total(less=training.model_copy(update={"precision": "fp32"})) > total()
    assert total(student.model_copy(update={"lora": Lora(r=64)})) > total()
    assert total(student.model_copy(update={"maxLength": 2048})) > total()
    assert numbers(LARGE) == 1_543_714_304
    fp32, bf16 = (serve_need(LARGE, 512, Lora(), 6, precision=precision).total for precision in ("fp32", "bf16"))
    assert 6 * GIB < fp32 < 8 * GIB
    assert 3 * GIB < bf16 < 4.5 * GIB


def test_what_does_not_fit_is_refused_at_once_with_what_would() -> None:
    began = time.monotonic()
    student, training = Student(baseModel="org/large"), Training()
    with pytest.raises(InputError) as refused:
        require_room(LARGE, student, training, 6, int(4.5 * GIB), whose="its pod", more="raise limits.memory")
    assert time.monotonic() - began < 2
    assert "takes about" in refused.value.what
    assert "its pod has 4.5 GiB" in refused.value.what
    assert refused.value.where == "student.baseModel org/large"
    assert "training.quantize=nf4, student.precision=bf16, student.maxLength=256 would fit; or raise" in refused.value.hint
    whole = Student(baseModel="org/large", lora=None)
    with pytest.raises(InputError) as refused:
        require_room(LARGE, whole, training, 6, int(4.5 * GIB), whose="its pod", more="raise limits.memory")
    assert refused.value.hint == "raise limits.memory, or name a smaller student.baseModel"
    needed = max(need.total for need in needs(LARGE, student, training, 6))
    assert require_room(LARGE, student, training, 6, needed, whose="", more="")
    assert require_room(LARGE, student, training, 6, None, whose="", more="")


def test_the_settings_that_are_named_would_fit() -> None:
    small = parse_config(json.dumps(QWEN | {"vocab_size": 32000, "num_hidden_layers": 4}).encode(), "small")
    body, student, training = Body(small, 1_000_000), Student(baseModel="org/small", maxLength=4096), Training()
    limit = max(need.total for need in needs(body, student.model_copy(update={"maxLength": 256}), training, 6)) + 2**27
    with pytest.raises(InputError) as refused:
        require_room(body, student, training, 6, limit, whose="this machine", more="take a larger machine")
    named = dict(setting.split("=") for setting in refused.value.hint.split(" would fit")[0].removeprefix("--set ").split(", "))
    values = {key: int(value) if value.isdigit() else value for key, value in named.items()}
    cut, less = (
        section.model_copy(update={key.split(".")[1]: value for key, value in values.items() if key.startswith(name)})
        for name, section in (("student.", student), ("training.", training))
    )
    require_room(body, cut, less, 6, limit, whose="", more="")


def test_this_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for of in ("this machine", "this container"):
        monkeypatch.setattr(fit, "room", lambda of=of: Room(GIB, 2 * GIB, of))
        with pytest.raises(InputError, match=f"{of} has 1.0 GiB"):
            fit.require_room_here(LARGE, Student(baseModel="x"), Training(), 6)
    monkeypatch.setattr(fit, "room", lambda: None)
    assert fit.require_room_here(LARGE, Student(baseModel="x"), Training(), 6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_checkpointed_layers_learn_the_same_to_the_bit(kind: str, precision: Any, request: pytest.FixtureRequest) -> None:
    base, gradients = resolve_base(str(request.getfixturevalue(kind))), []
    for checkpointed in (False, True):
        student = build(base, Lora(r=4, alpha=8, dropout=0.3), 3, precision=precision)
        assert not checkpointed or checkpoint_layers(student.body) == 2
        with torch.no_grad():
            torch.manual_seed(5)
            for parameter in trainable(student).values():
                parameter.normal_()
        set_training(student, True)
        torch.manual_seed(3)
        student(torch.arange(20).view(2, 10), torch.tensor([10, 7])).square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in trainable(student).items()})
    for name, gradient in gradients[0].items():
        assert gradient is not None
        assert torch.equal(gradient, gradients[1][name]), name
