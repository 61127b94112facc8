"""A student of which every weight trains: what trains, its bundle, and how plain transformers load it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from distillery.components.sharing import snippet
from distillery.components.store import open_store
from distillery.components.student.attention import attend_by_article
from distillery.components.student.bundle import Student, bundle_files, check_golden, open_bundle, save_bundle
from distillery.components.student.memory import body_in, serve_need, train_need
from distillery.components.student.model import TrainableError, assert_trainable, build, expected_trainable, merged, weights
from distillery.components.student.predict import raw_predictions
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Tokens
from distillery.components.training.head import on_device
from distillery.components.training.optimizer import layer_factors
from distillery.components.training.train import train
from distillery.filters.errors import InputError
from distillery.filters.loading import with_overrides
from distillery.filters.spec import Lora, Training
from distillery.filters.spec import Student as StudentSpec
from tests.student.test_bundle import TEXTS, changed, padded, stored, write
from tests.training.conftest import filter_of, store_split
from tests.training.test_training_loop import Case, case_of

Make = Callable[..., Student]
KINDS = ["tiny_encoder", "tiny_decoder"]


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def student(folder: Path, make_student: Make) -> Student:
    return make_student(folder, None)


def test_a_bundle_of_all_weights_comes_back_as_it_went(student: Student, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    opened = open_bundle(store, "tiny", save_bundle(store, "tiny", student))
    check_golden(opened)
    assert opened.facts.lora is None
    np.testing.assert_array_equal(opened.predict(TEXTS), student.predict(TEXTS))


def test_plain_transformers_load_an_encoder(tiny_encoder: Path, make_student: Make, tmp_path: Path) -> None:
    from transformers import AutoModel

    student = make_student(tiny_encoder, None)
    bundle = write(bundle_files(student), tmp_path / "bundle")
    model = AutoModel.from_pretrained(tiny_encoder).eval()
    tensors = load_file(bundle / "adapter_model.safetensors")
    head = tensors.pop("head.weight")
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert all(name.startswith("pooler.") for name in missing)
    batch = padded(student)
    with torch.no_grad():
        states, mask = model(**batch).last_hidden_state, batch["attention_mask"][..., None]
        raw = ((states * mask).sum(1) / mask.sum(1)) @ head.T
    np.testing.assert_allclose(raw.numpy(), student.predict(TEXTS), atol=1e-5)


def test_plain_transformers_load_a_decoder(tiny_decoder: Path, make_student: Make, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    student = make_student(tiny_decoder, None)
    bundle = write(bundle_files(student), tmp_path / "bundle")
    model = AutoModelForSequenceClassification.from_pretrained(tiny_decoder, num_labels=3).eval()
    model.load_state_dict(load_file(bundle / "adapter_model.safetensors"))
    with torch.no_grad():
        raw = model(**padded(student)).logits
    np.testing.assert_allclose(raw.numpy(), student.predict(TEXTS), atol=1e-5)


def test_the_code_of_the_card_gives_the_same_scores(student: Student, tmp_path: Path) -> None:
    write(bundle_files(student), tmp_path / "bundle")
    (tmp_path / "bundle" / "tokenizer.json").write_bytes((student.base.path / "tokenizer.json").read_bytes())
    at, folder = repr(str(student.base.path)), repr(str(tmp_path / "bundle"))
    code = snippet.snippet(student.facts, student.base, at=at, folder=folder, use=False)
    assert "peft" not in code
    raw, final = snippet.run(code, TEXTS)
    ours = student.predict(TEXTS)
    assert np.abs(raw - ours).max() < 1e-4
    assert np.abs(final - student.scores(ours)).max() < 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(peft_type="LORA"), "is a key nobody needs"),
        (lambda c: c.update(revision="other"), "is not what student.json says"),
    ],
)
def test_an_altered_configuration_is_refused(
    tiny_encoder: Path, make_student: Make, tmp_path: Path, change: Callable[..., None], message: str
) -> None:
    files = bundle_files(make_student(tiny_encoder, None))
    with pytest.raises(InputError, match=message):
        stored(changed(files, "adapter_config.json", change), tmp_path)


def test_a_bundle_of_an_adapter_that_claims_all_weights_is_refused(
    tiny_encoder: Path, make_student: Make, tmp_path: Path
) -> None:
    adapter, whole = bundle_files(make_student(tiny_encoder)), bundle_files(make_student(tiny_encoder, None))
    with pytest.raises(InputError, match=r"is (unknown|missing)"):
        stored(whole | {"adapter_model.safetensors": adapter["adapter_model.safetensors"]}, tmp_path)


def test_every_weight_trains_and_a_frozen_one_is_seen(folder: Path) -> None:
    base = resolve_base(str(folder))
    expected = expected_trainable(base.path, None, 3)
    model = build(base, None, 3)
    assert sum(tensor.numel() for tensor in weights(model).values()) == expected
    next(model.body.parameters()).requires_grad_(False)
    with pytest.raises(TrainableError, match="frozen"):
        assert_trainable(model, expected)


def test_untrained_it_is_the_base_model(folder: Path) -> None:
    case = case_of(folder)
    model = build(case.base, None, 2)
    torch.nn.init.normal_(model.head.weight)
    served = merged(case.base, None, 2, weights(model))
    np.testing.assert_allclose(raw_predictions(model, case.tokens), raw_predictions(served, case.tokens), atol=1e-5)


def test_products_in_bf16_give_nearly_the_gradients_of_fp32(folder: Path) -> None:
    """Weights, gradients and steps are fp32: a step of AdamW is smaller than what bf16 tells apart."""
    case, gradients = case_of(folder), []
    for precision in ("fp32", "bf16"):
        model = build(case.base, None, 2, precision=precision)  # type: ignore[arg-type]
        if precision == "bf16":
            attend_by_article(model.body)
        with torch.random.fork_rng():
            torch.manual_seed(2)
            torch.nn.init.normal_(model.head.weight)
        ids, lengths, full = on_device(case.tokens, np.arange(8), torch.device("cpu"))
        model(ids, lengths, full=full).square().sum().backward()
        parameters = list(model.parameters())
        assert {each.dtype for each in parameters} == {torch.float32}
        gradients.append(torch.cat([each.grad.flatten() for each in parameters if each.grad is not None]))
    assert not torch.equal(*gradients)
    assert float(torch.nn.functional.cosine_similarity(*gradients, dim=0)) > 0.99


def test_embeddings_learn_more_slowly_than_the_lowest_layer() -> None:
    names = ["embeddings.word_embeddings.weight", "encoder.layer.0.x.weight", "encoder.layer.2.x.weight", "head.weight"]
    assert layer_factors(names, 0.5) == [0.125, 0.25, 1.0, 1.0]


def test_all_weights_tell_words_apart_that_the_base_model_takes_for_one(tiny_encoder: Path) -> None:
    """An adapter leaves the embeddings as they are, so two words of one embedding stay one to it."""
    base, losses = resolve_base(str(tiny_encoder)), []
    words = Tokens(np.tile([[7], [8]], (8, 6)).ravel().astype(np.int32), np.arange(17, dtype=np.int64) * 6, 0)
    case = Case(base, words, np.tile([[0.0, 0.0], [10.0, 10.0]], (8, 1)))
    for lora in (Lora(r=4, alpha=8, dropout=0), None):
        model = build(base, lora, 2)
        table: torch.Tensor = model.body.get_input_embeddings().weight  # type: ignore[operator]
        with torch.no_grad():
            table[8] = table[7]
        fitted = case.loop(model=model, lora=lora, epochs=40, patience=40, learningRate=5e-3).run()
        losses.append(fitted.history["epochs"][-1]["train_loss"])
    assert losses[0] > 24  # the variance is 25
    assert losses[1] < 5


def test_at_the_rate_of_an_adapter_all_weights_forget_what_the_base_model_knows(tiny_encoder: Path) -> None:
    case, losses = case_of(tiny_encoder), {}
    for lora, rate in ((Lora(r=4, alpha=8, dropout=0), 5e-3), (None, 5e-3), (None, 3e-4)):
        (epoch,) = case.loop(lora=lora, epochs=1, learningRate=rate).run().history["epochs"]
        losses[lora is None, rate] = epoch["train_loss"]
    assert losses[True, 5e-3] > 3 * losses[False, 5e-3] > 3 * losses[True, 3e-4]


def test_a_training_of_all_weights_ends_in_a_bundle_that_predicts(tiny_encoder: Path, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    flt = with_overrides(filter_of(tiny_encoder, epochs=1), ["student.lora=null"])
    adapter = train(store, flt, split=store_split(store, (24, 16, 8))).outputs["adapter"]
    student = open_bundle(store, "tiny", str(adapter), flt=flt)
    check_golden(student)
    assert student.facts.trainable_parameters == expected_trainable(student.base.path, None, 2)
    assert train(store, flt, split=student.facts.split).outputs["adapter"] == adapter


def test_all_weights_take_more_memory_to_train_and_as_much_to_serve(tiny_encoder: Path) -> None:
    body = body_in(tiny_encoder, "tiny")
    for_lora = train_need(body, StudentSpec(baseModel="tiny"), Training(), 3)
    for_all = train_need(body, StudentSpec(baseModel="tiny", lora=None), Training(), 3)
    count = expected_trainable(tiny_encoder, None, 3)
    assert for_all.adapter == 40 * count > for_lora.adapter
    assert serve_need(body, 64, None, 3).weights == serve_need(body, 64, Lora(), 3).weights
