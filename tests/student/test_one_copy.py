"""A base model's weights are in memory once, in the precision in which they are used."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from distillery.components.student import body as bodies
from distillery.components.student import model, weights
from distillery.components.student.body import load_body, put_away
from distillery.components.student.model import build, expected_shapes, merged, set_training, trainable
from distillery.components.student.resolve import resolve_base
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora
from tests.student.random_base import random_base

MEDIUM = {
    "qwen2": {
        "hidden_size": 768,
        "num_hidden_layers": 10,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "intermediate_size": 2048,
        "vocab_size": 24000,
    },
    "bert": {
        "hidden_size": 768,
        "num_hidden_layers": 8,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "vocab_size": 24000,
        "type_vocab_size": 2,
    },
}
# Opens a student, scores an article, and prints the peak before and after in bytes.
OPEN = """
import json, sys, torch
torch.set_num_threads(1)
from distillery.components.student.model import expected_shapes, merged
from distillery.components.student.predict import raw_predictions
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Preprocessing, Tokenizing
from distillery.filters.spec import Lora
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
folder, small, dtype = sys.argv[1:]
def opened(folder):
    base, lora = resolve_base(folder), Lora(r=4, alpha=8)
    tensors = {name: torch.ones(shape) * 0.01 for name, shape in expected_shapes(base, lora, 3).items()}
    model = merged(base, lora, 3, tensors, dtype=getattr(torch, dtype))
    return raw_predictions(model, Tokenizing(base, Preprocessing(64, None))([("w1 w2", "w3 " * 40)]))
opened(small)
floor = peak()
opened(folder)
print(json.dumps([floor, peak()]))
"""


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Path, int]:
    kind, dtype = request.param
    folder = tmp_path_factory.mktemp("medium") / kind
    return folder, random_base(folder, kind, dtype=dtype, **MEDIUM[kind])


@pytest.mark.parametrize(
    ("medium", "dtype", "share"),
    [
        (("qwen2", "BF16"), "bfloat16", 1.0),
        (("qwen2", "BF16"), "float32", 2.0),
        (("bert", "F32"), "bfloat16", 0.5),
    ],
    indirect=["medium"],
)
def test_opening_takes_the_weights_once(medium: tuple[Path, int], tmp_path: Path, dtype: str, share: float) -> None:
    """What libraries and tokenizer take is taken by a small model of the same kind first."""
    folder, size = medium
    small = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 1}
    random_base(tmp_path / "small", folder.name, **MEDIUM[folder.name] | small)
    run = [sys.executable, "-c", OPEN, str(folder), str(tmp_path / "small"), dtype]
    floor, peak = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert peak - floor <= 1.25 * share * size
    assert peak - floor >= 0.9 * share * size  # it was measured, indeed


AWAY = """
import json, sys, torch
torch.set_num_threads(1)
from distillery.components.student.body import put_away
from distillery.components.student.model import build, expected_shapes, merged
from distillery.components.student.resolve import resolve_base
from distillery.filters.spec import Lora
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
def validated(folder):
    base, lora = resolve_base(folder), Lora(r=4, alpha=8)
    tensors = {name: torch.ones(shape) * 0.01 for name, shape in expected_shapes(base, lora, 3).items()}
    student = build(base, lora, 3, precision="bf16")
    for _ in range(2):
        with put_away(student.body, base):
            merged(base, lora, 3, tensors)
validated(sys.argv[2])
floor = peak()
validated(sys.argv[1])
print(json.dumps([floor, peak()]))
"""


@pytest.mark.parametrize("medium", [("qwen2", "BF16")], indirect=True)
def test_memory_that_was_put_away_is_the_systems_again(medium: tuple[Path, int], tmp_path: Path) -> None:
    """Blocks that the C library would keep for itself are no part of the peak."""
    folder, size = medium
    small = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 1}
    random_base(tmp_path / "small", folder.name, **MEDIUM[folder.name] | small)
    run = [sys.executable, "-c", AWAY, str(folder), str(tmp_path / "small")]
    floor, peak = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert peak - floor <= 1.1 * 2 * size


@pytest.mark.parametrize("file", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_tensor_is_what_the_library_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, dtype: torch.dtype
) -> None:
    from safetensors.torch import save_file

    monkeypatch.setattr(weights, "BLOCK", 64)  # several blocks a tensor, and an odd last one
    made = {"a": torch.randn(7, 13), "b": torch.randn(1), "c": torch.randn(3, 2, 5)}
    made = {name: tensor.to(getattr(torch, file)) for name, tensor in made.items()}
    save_file({**made, "head": torch.randn(9)}, tmp_path / "model.safetensors")
    places = {f"body.{name}": ("model.safetensors", name) for name in made}
    read = dict(weights.read_tensors(tmp_path, places, dtype))
    assert read.keys() == places.keys()
    for name, tensor in made.items():
        assert torch.equal(read[f"body.{name}"], tensor.to(dtype))


def test_a_file_that_ends_while_it_is_read_is_no_weights(tmp_path: Path) -> None:
    flat = torch.empty(8)
    (tmp_path / "short").write_bytes(bytes(31))
    with (tmp_path / "short").open("rb") as stream, pytest.raises(InputError, match="cut short"):
        weights._fill(flat, stream, torch.float32, bytearray(16), "short")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_what_was_put_away_comes_back_as_it_was(kind: str, precision: Any, request: pytest.FixtureRequest) -> None:
    base = resolve_base(str(request.getfixturevalue(kind)))
    student = build(base, Lora(r=4, alpha=8), 3, precision=precision)
    with torch.no_grad():
        for parameter in trainable(student).values():
            parameter.normal_()
    set_training(student, False)
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    ids, lengths = torch.arange(12).view(2, 6), torch.tensor([6, 4])
    scores = student(ids, lengths)
    with put_away(student.body, base):
        assert sum(parameter.numel() for parameter in student.body.parameters() if not parameter.requires_grad) == 0
    assert all(torch.equal(parameter, before[name]) for name, parameter in student.named_parameters())
    assert torch.equal(student(ids, lengths), scores)


def test_what_workers_share_out_is_not_put_away(tiny_decoder: Path) -> None:
    base = resolve_base(str(tiny_decoder))
    body: Any = load_body(base)
    shared = next(iter(body.parameters()))
    shared.ds_id = 1
    with put_away(body, base):
        assert [parameter.numel() > 0 for parameter in body.parameters()].count(True) == 1
        assert shared.numel()


def test_a_merged_body_is_rounded_once(tiny_decoder: Path) -> None:
    base, lora = resolve_base(str(tiny_decoder)), Lora(r=4, alpha=8)
    tensors = {name: torch.randn(shape) * 0.1 for name, shape in expected_shapes(base, lora, 2).items()}
    exact, rounded = (
        dict(merged(base, lora, 2, tensors, dtype=dtype).named_parameters()) for dtype in (torch.float32, torch.bfloat16)
    )
    for name, parameter in exact.items():
        if name != "head.weight":
            assert rounded[name].dtype == torch.bfloat16
            assert (rounded[name].float() - parameter).abs().max() <= parameter.abs().max() / 128
    assert torch.equal(rounded["head.weight"], exact["head.weight"])


def test_a_large_layer_is_merged_part_by_part(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, lora = resolve_base(str(tiny_encoder)), Lora(r=4, alpha=8)
    tensors = {name: torch.randn(shape) * 0.1 for name, shape in expected_shapes(base, lora, 2).items()}
    whole = merged(base, lora, 2, tensors)
    monkeypatch.setattr(model, "MERGED", 100)
    parts = merged(base, lora, 2, tensors)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_files_that_changed_since_they_were_digested_are_not_loaded(tiny_decoder: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_decoder, folder)
    base = resolve_base(str(folder))
    body = load_body(base)
    away = put_away(body, base)
    away.__enter__()
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(data))
    with pytest.raises(InputError, match="changed while it was in use"):
        away.__exit__(None, None, None)
    with pytest.raises(InputError, match="changed while it was in use"):
        bodies.load_body(base)


def test_a_weight_that_is_freed_gives_its_memory_back_at_once_whatever_was_allocated_after_it() -> None:
    """On glibc's heap 20 MB below something that is still held stay with the process."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    torch.ones(7_500_000)  # freed at once, which lets glibc put blocks below 30 MB on its heap from now on
    held, before = list[torch.Tensor](), resident()
    freed = []
    for _ in range(8):
        freed.append(weights._own_pages((2_500, 2_000), torch.float32).fill_(1.0))
        held.append(torch.ones(100_000))
    taken = resident() - before
    del freed
    assert taken > 0.9 * 8 * 20 * 10**6
    assert taken - (resident() - before) > 0.95 * 8 * 20 * 10**6


def test_a_model_that_trained_is_gone_at_once_where_nobody_holds_it(tiny_decoder: Path) -> None:
    student = build(resolve_base(str(tiny_decoder)), Lora(r=4, alpha=8), 2, precision="bf16")
    bodies.checkpoint_layers(student.body)
    set_training(student, True)
    student(torch.arange(2, 14).view(2, 6), torch.tensor([6, 6])).sum().backward()
    kept = [weakref.ref(parameter) for parameter in student.parameters()]
    gc.disable()
    try:
        del student
        assert not [parameter for parameter in kept if parameter() is not None]
    finally:
        gc.enable()


HEAP = """
import sys
from distillery.components.student import weights
if sys.argv[1] == "apart":
    weights.keep_blocks_apart()
import torch
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
held, before = [], 0
for layer in range(12):  # each works in blocks of 18 MB, and leaves a small gradient
    blocks = [torch.ones(512, 8960) for _ in range(6)]
    held.append(torch.ones(40_000))
    del blocks
    before = before or resident()
print((resident() - before) // 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc's heap")
def test_gradients_that_stay_leave_no_gaps_in_the_heap_where_blocks_are_kept_apart() -> None:
    run = [sys.executable, "-c", HEAP, "apart"]
    left = int(subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True).stdout)
    assert left < 10


def test_a_weight_is_not_shared_with_a_forked_process() -> None:
    weight = weights._own_pages((1_000, 1_000), torch.float32).fill_(1.0)
    pid = os.fork()
    if pid == 0:
        weight[0, 0] = 2.0
        os._exit(0)
    os.waitpid(pid, 0)
    assert weight[0, 0] == 1.0
