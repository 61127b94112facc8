"""What training takes of a GPU: the cards that people have, by arithmetic on the shapes of Qwen2.5."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from distillery.components.student import fit
from distillery.components.student.base_files import parse_config
from distillery.components.student.fit import require_gpu, require_gpu_here, require_room
from distillery.components.student.gpu_memory import gpu_need
from distillery.components.student.memory import Body, numbers
from distillery.components.student.predict import TOKENS_PER_PASS, gpu_budget
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora, Student, Training

GB = 10**9


def qwen(hidden: int, layers: int, heads: int, keys: int, inner: int, vocabulary: int) -> Body:
    config = {"model_type": "qwen2", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    config |= {"num_key_value_heads": keys, "intermediate_size": inner, "vocab_size": vocabulary}
    return Body(parse_config(json.dumps(config).encode(), "qwen"), 7_000_000)


BASES = {
    "1.5B": (qwen(1536, 28, 12, 2, 8960, 151_936), 1_543_714_304, 8),
    "3B": (qwen(2048, 36, 16, 2, 11_008, 151_936), 3_085_938_688, 12),
    "7B": (qwen(3584, 28, 28, 4, 18_944, 152_064), 7_070_619_136, 16),
}
PLAIN, PACKED = Training(), Training(quantize="nf4")
FP32, BF16 = Student(baseModel="org/base"), Student(baseModel="org/base", precision="bf16")


@pytest.mark.parametrize("size", BASES)
def test_over_four_bits_each_size_trains_in_the_card_that_people_have(size: str) -> None:
    """512 tokens, 8 articles a step; a card of 16 GB is taken as 16 × 10⁹ bytes."""
    body, count, card = BASES[size]
    assert numbers(body) == count
    need = require_gpu(body, BF16, PACKED, 8, card * GB)
    assert need.total <= card * GB
    print(f"\n{size}: {need}")


def test_seven_billion_need_bf16_in_validation_too_and_bf16_or_four_bits_in_training() -> None:
    body, _, card = BASES["7B"]
    for student, training in ((FP32, PLAIN), (BF16, PLAIN), (FP32, PACKED)):
        with pytest.raises(InputError) as refused:
            require_gpu(body, student, training, 8, card * GB)
        assert "of a GPU, and the GPU has 14.9 GiB" in refused.value.what
        assert "training.precision=bf16" in refused.value.hint or training is PACKED
        assert "student.precision=bf16" in refused.value.hint or student is BF16
        assert "would fit; or take a GPU with more" in refused.value.hint


@pytest.mark.parametrize("size", BASES)
def test_the_settings_that_a_refusal_names_are_enough(size: str) -> None:
    body, _, _ = BASES[size]
    total = gpu_need(body, BF16, PACKED, 8).total
    with pytest.raises(InputError) as refused:
        require_gpu(body, FP32, PLAIN, 8, total)
    assert refused.value.hint.startswith("--set training.quantize=nf4, student.precision=bf16 would fit")


def test_what_nothing_makes_fit_is_refused_without_settings() -> None:
    with pytest.raises(InputError) as refused:
        require_gpu(BASES["7B"][0], FP32, PLAIN, 8, 8 * GB)
    assert refused.value.hint == "take a GPU with more, or name a smaller student.baseModel"


def test_where_every_weight_trains_or_is_shared_out_four_bits_are_no_way_out() -> None:
    body, _, _ = BASES["3B"]
    for student, training in (
        (Student(baseModel="org/base", lora=None), PLAIN),
        (FP32, Training(strategy="zero3")),
    ):
        with pytest.raises(InputError) as refused:
            require_gpu(body, student, training, 8, 8 * GB)
        assert "quantize" not in refused.value.hint


def test_a_machine_that_has_too_little_is_told_of_bf16() -> None:
    body, _, _ = BASES["1.5B"]
    with pytest.raises(InputError) as refused:
        require_room(body, FP32, PLAIN, 8, int(5.6 * 2**30), whose="this machine", more="take a larger one")
    assert refused.value.hint.startswith("--set training.precision=bf16, student.precision=bf16 would fit")


def test_what_costs_memory_costs_it_in_the_estimate() -> None:
    body, _, _ = BASES["7B"]

    def total(student: Student = BF16, training: Training = PACKED, *, checkpointed: bool = False) -> int:
        return gpu_need(body, student, training, 8, checkpointed=checkpointed).total

    assert total() > total(training=Training(quantize="nf4", tokensPerBatch=1024)) > total(checkpointed=True)
    assert total(training=Training(quantize="nf4", precision="fp32")) > total()
    assert total(training=PLAIN) > total()
    assert total(FP32, checkpointed=True) > total(checkpointed=True)
    assert total(Student(baseModel="x", precision="bf16", lora=Lora(r=64))) > total()
    assert total(Student(baseModel="x", precision="bf16", pooling="attention")) > total()


def test_a_gpu_of_this_machine_is_asked_for_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    body, _, _ = BASES["7B"]
    monkeypatch.setattr(fit, "has_cuda", lambda: True)
    monkeypatch.setattr(fit, "device_for", lambda student: "cpu" if student.device == "cpu" else "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=16 * GB))
    assert require_gpu_here(body, BF16, PACKED, 8) == gpu_need(body, BF16, PACKED, 8)
    assert require_gpu_here(body, Student(baseModel="x", device="cpu"), PLAIN, 8) is None
    with pytest.raises(InputError, match=r"the GPU has 14\.9 GiB"):
        require_gpu_here(body, BF16, PLAIN, 8)


def test_passes_on_a_gpu_are_as_long_as_it_has_room_for(make_student: object, tiny_decoder: object) -> None:
    from distillery.components.student.model import merged

    student = make_student(tiny_decoder)  # type: ignore[operator]
    model = merged(student.base, student.facts.lora, 3, student.tensors)
    held = sum(parameter.numel() * 4 for parameter in model.parameters())
    assert gpu_budget(model, 80 * GB) == TOKENS_PER_PASS["cuda"]
    assert gpu_budget(model, held) == 512
    some = gpu_budget(model, held + 20_000_000)
    assert 512 < some < gpu_budget(model, held + 30_000_000) < TOKENS_PER_PASS["cuda"]
