"""Pooling: each way gives the same vector everywhere, is in the bundle, and is refused where it makes no sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, load_file, save

from distillery.components.artifacts.serving import Plan
from distillery.components.sharing import onnx_file, snippet
from distillery.components.store import open_store
from distillery.components.student.architectures import Kind
from distillery.components.student.bundle import Student, bundle_files, check_golden, open_bundle, save_bundle
from distillery.components.student.fit import require_room
from distillery.components.student.memory import body_in, needs, train_need
from distillery.components.student.model import build, expected_trainable, merged, trainable, weights
from distillery.components.student.pooling import OWN, attended, pooling_of
from distillery.components.student.predict import raw_predictions
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Tokens
from distillery.components.training.train import train, train_inputs
from distillery.filters.errors import InputError
from distillery.filters.loading import with_overrides
from distillery.filters.spec import Lora, Pooling, Training
from distillery.filters.spec import Student as StudentSpec
from tests.student.test_bundle import TEXTS, padded, stored, write
from tests.training.conftest import filter_of, store_split
from tests.training.typed import typed_filter, typed_split

Make = Callable[..., Student]
ADAPTER = Lora(r=4, alpha=8, dropout=0.0)
WAYS: list[tuple[str, Pooling]] = [
    ("tiny_encoder", "mean"),
    ("tiny_encoder", "cls"),
    ("tiny_encoder", "attention"),
    ("tiny_decoder", "last"),
    ("tiny_decoder", "mean"),
    ("tiny_decoder", "attention"),
]
NEW = [way for way in WAYS if way not in [("tiny_encoder", "mean"), ("tiny_decoder", "last")]]


@pytest.fixture(params=[ADAPTER, None], ids=["lora", "whole"])
def lora(request: pytest.FixtureRequest) -> Lora | None:
    found: Lora | None = request.param
    return found


def pooled(states: np.ndarray[Any, Any], how: Pooling, query: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    """One article's (tokens, hidden) as one vector, the way a textbook has it."""
    if query is not None:
        powers = np.exp(states @ query - (states @ query).max())
        return (powers[:, None] * states).sum(0) / powers.sum()  # type: ignore[no-any-return]
    return {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[how]


@pytest.mark.parametrize(("kind", "how"), WAYS)
def test_a_vector_is_what_its_name_says_alone_and_in_any_batch(
    kind: str, how: Pooling, lora: Lora | None, request: pytest.FixtureRequest
) -> None:
    base = resolve_base(str(request.getfixturevalue(kind)))
    model = build(base, lora, 3, seed=1, pooling=how)
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)) * 0.1
    query = None if model.query is None else model.query.detach().double().numpy()
    ids, lengths = torch.randint(5, 300, (4, 11), generator=torch.Generator().manual_seed(3)), torch.tensor([11, 1, 7, 3])
    for filler in (0, 9, 250):
        for row, length in enumerate(lengths.tolist()):
            ids[row, length:] = filler
        together = model.pooled(ids, lengths).detach()
        for row, length in enumerate(lengths.tolist()):
            one = ids[row : row + 1, :length]
            states = model._states(one, None)[0].detach().double().numpy()
            np.testing.assert_allclose(together[row].numpy(), pooled(states, how, query), atol=1e-5)
            alone = model.pooled(one, lengths[row : row + 1], full=True).detach()
            np.testing.assert_allclose(together[row].numpy(), alone[0].numpy(), atol=1e-5)
    served = merged(base, lora, 3, weights(model), pooling=how)
    torch.testing.assert_close(served(ids, lengths), model(ids, lengths), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_attention_begins_as_the_mean_and_its_query_gets_gradients(
    kind: str, lora: Lora | None, request: pytest.FixtureRequest
) -> None:
    base = resolve_base(str(request.getfixturevalue(kind)))
    ours, mean = (build(base, lora, 3, seed=1, pooling=how) for how in ("attention", "mean"))
    ids, lengths = torch.randint(5, 300, (2, 9), generator=torch.Generator().manual_seed(3)), torch.tensor([9, 4])
    torch.testing.assert_close(ours.pooled(ids, lengths), mean.pooled(ids, lengths), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        ours.head.weight.normal_(generator=torch.Generator().manual_seed(4))
    ours(ids, lengths).square().sum().backward()
    assert ours.query is not None
    assert ours.query.grad is not None
    assert ours.query.grad.abs().max() > 1e-3
    assert ours.query.dtype == torch.float32
    counts = [sum(each.numel() for each in trainable(model).values()) for model in (ours, mean)]
    assert counts[0] == counts[1] + base.hidden == expected_trainable(base.path, lora, 3, "attention")


def test_a_query_picks_the_tokens_it_points_at() -> None:
    states = torch.eye(4)[None] * 3
    query = torch.tensor([0.0, 0.0, 30.0, 30.0])
    found = attended(states, query, None)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0, 1.5, 1.5]]))
    hidden = attended(states, query, torch.tensor([[True, True, True, False]]))
    torch.testing.assert_close(hidden, torch.tensor([[0.0, 0.0, 3.0, 0.0]]))


@pytest.mark.parametrize(("kind", "how"), NEW)
def test_a_bundle_comes_back_and_every_engine_gives_its_scores(
    kind: str, how: Pooling, lora: Lora | None, make_student: Make, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    student = make_student(request.getfixturevalue(kind), lora, how)
    store = open_store(str(tmp_path / "store"))
    opened = open_bundle(store, "tiny", save_bundle(store, "tiny", student))
    assert opened.facts.pooling == how
    assert check_golden(opened) < 1e-5
    ours = opened.predict(TEXTS)
    np.testing.assert_allclose(np.concatenate([opened.predict([text]) for text in TEXTS]), ours, atol=1e-4)
    bundle = write(bundle_files(student), tmp_path / "bundle")
    (bundle / "tokenizer.json").write_bytes((student.base.path / "tokenizer.json").read_bytes())
    at, folder = repr(str(student.base.path)), repr(str(bundle))
    code = snippet.snippet(student.facts, student.base, at=at, folder=folder, use=False)
    raw, final = snippet.run(code, TEXTS)
    assert np.abs(raw - ours).max() < 1e-4
    assert np.abs(final - student.scores(ours)).max() < 1e-4
    onnx_file.write_graph(student, bundle / "model.onnx", {})
    found = onnx_file.check(student, bundle)
    assert onnx_file.apart(found.scores, student.scores(student.golden[1])).max() < 1e-3


@pytest.mark.parametrize(("kind", "how"), NEW)
def test_openvino_pools_as_torch_does(kind: str, how: Pooling, make_student: Make, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("openvino")
    student = make_student(request.getfixturevalue(kind), ADAPTER, how)
    fast = replace(student, plan=Plan(engine="openvino"), _forward=None)
    ours = student.predict(TEXTS)
    np.testing.assert_allclose(fast.predict(TEXTS), ours, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([fast.predict([text]) for text in TEXTS]), ours, atol=1e-4)


def test_plain_transformers_pool_a_padded_batch_of_a_decoder_by_attention(
    tiny_decoder: Path, make_student: Make, tmp_path: Path
) -> None:
    """As the README of the student has it."""
    from peft import PeftModel
    from transformers import AutoModel

    student = make_student(tiny_decoder, ADAPTER, "attention")
    bundle = write(bundle_files(student), tmp_path / "bundle")
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_decoder), bundle).eval()
    tensors, batch = load_file(bundle / "adapter_model.safetensors"), padded(student)
    head, query = tensors["head.weight"], tensors["pooling.query"]
    with torch.no_grad():
        states = model(**batch).last_hidden_state
        logits = (states @ query).masked_fill(batch["attention_mask"] == 0, float("-inf"))
        raw = (torch.softmax(logits, dim=1)[..., None] * states).sum(1) @ head.T
    np.testing.assert_allclose(raw.numpy(), student.predict(TEXTS), atol=1e-5)


def test_a_decoder_on_its_mean_does_not_pass_for_a_sequence_classifier(
    tiny_decoder: Path, make_student: Make, tmp_path: Path
) -> None:
    """Loaded as one it would give the last token's scores."""
    bundle = bundle_files(make_student(tiny_decoder, ADAPTER, "mean"))
    assert b'"FEATURE_EXTRACTION"' in bundle["adapter_config.json"]
    assert "head.weight" in load(bundle["adapter_model.safetensors"])
    with pytest.raises(InputError, match=r"is not what student\.json says"):
        stored(bundle | {"student.json": bundle["student.json"].replace(b'"mean"', b'"last"')}, tmp_path)


@pytest.mark.parametrize(
    ("true", "told", "said"),
    [
        ("mean", "attention", r"pooling\.query is missing"),
        ("attention", "mean", r"pooling\.query is unknown"),
        ("mean", "last", "pooling or preprocessing is not what this version does"),
        ("mean", "max", "pooling"),
        ("mean", "cls", "golden"),
    ],
)
def test_a_bundle_that_says_another_pooling_is_refused(
    true: Pooling, told: str, said: str, tiny_encoder: Path, make_student: Make, tmp_path: Path
) -> None:
    files = bundle_files(make_student(tiny_encoder, ADAPTER, true))
    facts = files["student.json"].replace(f'"pooling": "{true}"'.encode(), f'"pooling": "{told}"'.encode())
    with pytest.raises(InputError, match=said):
        check_golden(stored(files | {"student.json": facts}, tmp_path))


def test_a_query_of_another_width_is_refused(tiny_encoder: Path, make_student: Make, tmp_path: Path) -> None:
    files = bundle_files(make_student(tiny_encoder, ADAPTER, "attention"))
    tensors = load(files["adapter_model.safetensors"]) | {"pooling.query": torch.zeros(31)}
    odd = save(tensors, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"pooling\.query is not a float32 tensor of shape \(32,\)"):
        stored(files | {"adapter_model.safetensors": odd}, tmp_path)


@pytest.mark.parametrize(
    ("stated", "kind", "said"),
    [
        ("last", "encoder", "last makes no sense: the base model is an encoder, whose last token is but the end of the text"),
        (
            "cls",
            "decoder",
            "cls makes no sense: the base model is a decoder, whose first token has not seen the article",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(stated: Pooling, kind: Kind, said: str) -> None:
    with pytest.raises(InputError) as error:
        pooling_of(stated, kind)
    assert error.value.what == said
    assert error.value.where == "spec.student.pooling"
    assert "attention or null" in error.value.hint
    assert pooling_of(None, kind) == OWN[kind]


def test_what_makes_no_sense_is_refused_before_anything_is_paid(tiny_encoder: Path, tiny_decoder: Path, tmp_path: Path) -> None:
    for folder, stated in ((tiny_encoder, "last"), (tiny_decoder, "cls")):
        flt = with_overrides(filter_of(folder), [f"student.pooling={stated}"])
        with pytest.raises(InputError, match=f"{stated} makes no sense"):
            require_room(body_in(folder, "x"), flt.spec.student, flt.spec.training, 2, None, whose="", more="")
        store = open_store(str(tmp_path / stated))
        with pytest.raises(InputError, match=f"{stated} makes no sense"):
            train(store, flt, split=store_split(store))
        assert not list(store.keys("adapters"))


def test_a_name_that_is_no_pooling_is_refused_with_its_place(tiny_encoder: Path) -> None:
    with pytest.raises(InputError, match=r"mean.*cls.*last.*attention"):
        with_overrides(filter_of(tiny_encoder), ["student.pooling=max"])


def test_what_is_not_stated_moves_no_digest(tiny_encoder: Path) -> None:
    plain = filter_of(tiny_encoder)
    assert "pooling" not in str(train_inputs(plain, "s", "b"))
    stated = with_overrides(plain, ["student.pooling=null"])
    assert train_inputs(stated, "s", "b") == train_inputs(plain, "s", "b")
    assert train_inputs(with_overrides(plain, ["student.pooling=cls"]), "s", "b") != train_inputs(plain, "s", "b")


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_attention_is_trained_kept_and_named_types_are_read_from_it(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The whole step: ridge head, validation, bundle; and the head that names content types, on the same vectors."""
    store = open_store(str(tmp_path))
    flt = with_overrides(typed_filter(request.getfixturevalue(kind), epochs=1), ["student.pooling=attention"])
    record = train(store, flt, split=typed_split(store, (60, 30, 10)))
    student = open_bundle(store, "tiny", str(record.outputs["adapter"]), flt=flt)
    assert student.facts.pooling == "attention"
    assert student.tensors["pooling.query"].abs().max() > 1e-3
    assert student.types is not None
    check_golden(student)
    served = merged(student.base, student.facts.lora, 2, student.tensors, pooling="attention")
    tokens: Tokens = student.tokens(TEXTS)
    np.testing.assert_allclose(raw_predictions(served, tokens), student.predict(TEXTS), atol=1e-5)


def test_attention_takes_more_memory(tiny_encoder: Path) -> None:
    body, student, training = body_in(tiny_encoder, "x"), StudentSpec(baseModel="x"), Training()
    plain, ours = (
        train_need(body, student.model_copy(update={"pooling": how}), training, 2, checkpointed=False)
        for how in (None, "attention")
    )
    assert ours.activations > plain.activations
    assert ours.adapter == plain.adapter + 4 * 10 * 32
    assert needs(body, student, training, 2)


def test_the_bundle_of_a_pooling_that_is_the_kinds_own_is_the_one_of_none(tiny_encoder: Path, make_student: Make) -> None:
    files: Mapping[str, bytes] = bundle_files(make_student(tiny_encoder, ADAPTER, "mean"))
    assert files == bundle_files(make_student(tiny_encoder, ADAPTER))
