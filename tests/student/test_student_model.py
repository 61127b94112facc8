"""The model: counts, the fused LoRA operation, pooling by mask, and the guard on what trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distillery.components.student.attention import ArticleAttention, attend_by_article
from distillery.components.student.lora import dropout
from distillery.components.student.model import (
    StudentModel,
    TrainableError,
    assert_trainable,
    build,
    expected_trainable,
    merged,
    set_training,
    set_weights,
    trainable,
    weights,
)
from distillery.components.student.probe import Speed, choose_precision, measure
from distillery.components.student.resolve import resolve_base
from distillery.components.student.targets import target_names
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora

LORA = Lora(r=4, alpha=8, dropout=0.0)


def model_of(folder: Path, **settings: object) -> StudentModel:
    model = build(resolve_base(str(folder)), LORA, 3, seed=1, **settings)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([9, 4, 7])
    ids = torch.randint(5, 300, (3, 9), generator=torch.Generator().manual_seed(3))
    for row, length in enumerate(lengths):
        ids[row, length:] = 0
    return ids, lengths


@pytest.mark.parametrize(("dims", "count"), [(6, 18_473_984), (8, 18_477_056)])
def test_parameter_count_of_qwen2_5_1_5b(dims: int, count: int) -> None:
    from transformers import Qwen2Config

    config = Qwen2Config(
        hidden_size=1536,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        intermediate_size=8960,
        vocab_size=151_936,
        tie_word_embeddings=True,
    )
    assert expected_trainable(config, Lora(r=16, alpha=32), dims) == count


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_count_of_a_built_model(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    model = build(resolve_base(str(folder)), LORA, 3)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected_trainable(folder, LORA, 3)


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_fused_lora_is_what_peft_computes(kind: str, request: pytest.FixtureRequest) -> None:
    model = model_of(request.getfixturevalue(kind))
    ids, lengths = batch()

    def gradients() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        out = model(ids, lengths)
        out.square().sum().backward()
        return out.detach(), [parameter.grad.clone() for parameter in trainable(model).values() if parameter.grad is not None]

    ours, our_gradients = gradients()
    for layer in model.modules():
        if hasattr(layer, "lora_A"):
            del layer.forward
    theirs, their_gradients = gradients()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert len(our_gradients) == len(trainable(model))
    for ours_one, theirs_one in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(ours_one, theirs_one, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(401, 333)
    out = dropout(x, rate)
    assert (out == 0).float().mean() == pytest.approx(rate, abs=0.004)
    assert out.mean() == pytest.approx(1, abs=0.01)
    assert (out == 0).float().mean(0).std() < 0.04
    torch.manual_seed(0)
    assert torch.equal(out, dropout(x, rate))


def test_dropout_only_in_training(tiny_encoder: Path) -> None:
    model = build(resolve_base(str(tiny_encoder)), Lora(r=4, alpha=8, dropout=0.5), 3)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.fill_(0.1)
    ids, lengths = batch()
    set_training(model, True)
    torch.manual_seed(1)
    first = model(ids, lengths)
    assert not torch.equal(first, model(ids, lengths))
    torch.manual_seed(1)
    assert torch.equal(first, model(ids, lengths))
    first.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trainable(model).values())
    set_training(model, False)
    assert torch.equal(model(ids, lengths), model(ids, lengths))


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_padding_changes_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    model = model_of(request.getfixturevalue(kind))
    ids, lengths = batch()
    together = model(ids, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(ids[row : row + 1, :length], lengths[row : row + 1], full=True)
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_merged_is_unmerged(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    model = model_of(folder)
    ids, lengths = batch()
    serving = merged(resolve_base(str(folder)), LORA, 3, weights(model))
    torch.testing.assert_close(model(ids, lengths), serving(ids, lengths), atol=1e-5, rtol=1e-5)
    assert not any(parameter.requires_grad for parameter in serving.parameters())


def test_bf16_body_keeps_fp32_adapter_and_head(tiny_encoder: Path) -> None:
    model = model_of(tiny_encoder, precision="bf16")
    assert {parameter.dtype for parameter in trainable(model).values()} == {torch.float32}
    assert model.body.get_input_embeddings().weight.dtype == torch.bfloat16  # type: ignore[operator, union-attr]
    ids, lengths = batch()
    out = model(ids, lengths)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, model_of(tiny_encoder)(ids, lengths), atol=0.3, rtol=0.05)


def test_lora_frozen_by_accident_stops_the_start(tiny_encoder: Path) -> None:
    model, expected = model_of(tiny_encoder), expected_trainable(tiny_encoder, LORA, 3)
    assert_trainable(model, expected)
    for name, parameter in trainable(model).items():
        if "lora_" in name:
            parameter.requires_grad_(False)
    with pytest.raises(TrainableError, match="are frozen"):
        assert_trainable(model, expected)


def test_base_weights_that_would_train_stop_the_start(tiny_encoder: Path) -> None:
    model = model_of(tiny_encoder)
    next(iter(model.body.parameters())).requires_grad_(True)
    with pytest.raises(TrainableError, match="tensors of the base model"):
        assert_trainable(model, expected_trainable(tiny_encoder, LORA, 3))


def test_other_rank_than_configured_stops_the_start(tiny_encoder: Path) -> None:
    with pytest.raises(TrainableError, match="the configuration makes"):
        assert_trainable(model_of(tiny_encoder), expected_trainable(tiny_encoder, Lora(r=8, alpha=8), 3))


def test_weights_of_another_model_are_refused(tiny_encoder: Path) -> None:
    model = model_of(tiny_encoder)
    tensors = weights(model)
    tensors.pop("head.weight")
    with pytest.raises(TrainableError, match=r"head\.weight"):
        set_weights(model, tensors)
    with pytest.raises(TrainableError, match="has shape"):
        set_weights(model, {**tensors, "head.weight": torch.zeros(4, 32)})


def test_targets_by_name(tiny_decoder: Path) -> None:
    model = build(resolve_base(str(tiny_decoder)), Lora(r=4, targets=["q_proj", "v_proj"]), 3)
    assert len(trainable(model)) == 2 * 2 * 2 + 1
    with pytest.raises(InputError, match="no linear layer 'query'"):
        target_names(model.body, ["query"])


@pytest.mark.parametrize(
    ("wanted", "speed", "precision"),
    [
        ("auto", Speed(200, 800), "bf16"),
        ("auto", Speed(200, 250), "fp32"),
        ("auto", Speed(200, 50), "fp32"),
        ("fp32", Speed(200, 800), "fp32"),
        ("bf16", Speed(200, 50), "bf16"),
    ],
)
def test_precision_follows_the_probe(wanted: str, speed: Speed, precision: str) -> None:
    assert choose_precision(wanted, "cpu", speed)[0] == precision  # type: ignore[arg-type]


def test_probe_measures_something() -> None:
    assert min(measure()) > 0


def test_attention_by_article_is_attention(tiny_encoder: Path, tiny_decoder: Path) -> None:
    model, ids_lengths = model_of(tiny_encoder), batch()

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        out = model(*ids_lengths)
        out.square().sum().backward()
        grads = [parameter.grad for parameter in trainable(model).values()]
        return [out.detach(), *(grad.clone() for grad in grads if grad is not None)]

    plain = gradients()
    assert attend_by_article(model.body)
    calls: list[list[int]] = []
    forward = ArticleAttention.forward

    def counted(ctx: object, *args: object) -> torch.Tensor:
        calls.append(args[3])  # type: ignore[arg-type]
        return forward(ctx, *args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArticleAttention, "forward", staticmethod(counted))
        ours = gradients()
    assert calls == [[9, 4, 7]] * 2
    for one, other in zip(plain, ours, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert not attend_by_article(model_of(tiny_decoder).body)
