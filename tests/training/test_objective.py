"""Losses, weights and early stops: each against a second implementation, and each acting in a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr
from sklearn.metrics import log_loss, mean_absolute_error
from sklearn.utils.class_weight import compute_sample_weight

from distillery.components.artifacts.bundle import HISTORY, HistoryFile
from distillery.components.store import open_store
from distillery.components.student.model import set_training
from distillery.components.training.head import on_device
from distillery.components.training.loop import Validation, rate_at
from distillery.components.training.objective import EACH, LOSSES, balanced, loss_weights, ordinal, stop_error
from distillery.components.training.optimizer import layer_factors
from distillery.components.training.package import by_dimension
from distillery.components.training.train import train, train_inputs
from distillery.filters.digests import parts
from distillery.filters.spec import Training
from tests.training.conftest import Notes, filter_of, store_split
from tests.training.test_training_loop import case_of

GENERATOR = np.random.default_rng(4)
LABELS = GENERATOR.uniform(0, 10, (60, 2))
RAW = LABELS + GENERATOR.normal(0, 1.5, LABELS.shape)


@pytest.fixture
def encoder(tiny_encoder):
    return case_of(tiny_encoder)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_each_score_sums_to_the_loss(name):
    predictions, labels = torch.tensor(RAW), torch.tensor(LABELS)
    assert EACH[name](predictions, labels).shape == labels.shape
    assert float(EACH[name](predictions, labels).sum()) == pytest.approx(float(LOSSES[name](predictions, labels)))


def test_the_ordinal_loss_is_that_of_scikit_learn():
    predictions, labels = RAW[:, 0], np.rint(LABELS[:, 0])
    thresholds = np.arange(0.5, 10)
    chances = 1 / (1 + np.exp(-(predictions[:, None] - thresholds)))
    above = (labels[:, None] > thresholds).astype(int)
    expected = log_loss(above.ravel(), chances.ravel(), labels=[0, 1])
    assert float(ordinal(torch.tensor(predictions), torch.tensor(labels)).mean()) == pytest.approx(expected)


@pytest.mark.parametrize("label", [2.0, 3.2, 5.0, 8.0])
def test_the_ordinal_loss_is_lowest_near_the_label(label):
    def loss(score):
        return float(ordinal(torch.tensor([score], dtype=torch.float64), torch.tensor([label], dtype=torch.float64)))

    assert minimize_scalar(loss, bounds=(-5, 15), method="bounded").x == pytest.approx(label, abs=0.25)


def test_balanced_weights_are_those_of_scikit_learn_up_to_their_cap():
    labels = np.repeat([[1.0], [4.0], [8.0]], [12, 6, 2], axis=0)
    expected = compute_sample_weight("balanced", labels[:, 0])
    found = balanced(labels)
    assert found / found.mean() == pytest.approx(expected / expected.mean())
    rare = np.repeat([[1.0], [8.0]], [500, 1], axis=0)
    assert balanced(rare).max() / balanced(rare).min() == pytest.approx(10)


def test_weights_have_a_mean_of_one_and_are_none_where_all_count_alike():
    assert loss_weights(Training(), LABELS, [0.3, 0.7]) is None
    found = loss_weights(Training(dimensionWeights="filter", sampleWeights="balanced"), LABELS, [0.3, 0.7])
    assert found.mean() == pytest.approx(1)
    assert found[:, 1] / found[:, 0] == pytest.approx(np.full(60, 0.7 / 0.3))
    by_article = loss_weights(Training(sampleWeights="balanced"), LABELS, [0.3, 0.7])
    assert (by_article[:, 0] == by_article[:, 1]).all()


def test_a_dimension_without_weight_does_not_train(encoder):
    weighted = loss_weights(Training(dimensionWeights="filter"), encoder.labels, [1.0, 0.0])
    loop = encoder.loop(epochs=1, weightDecay=0.0)
    loop.weights = torch.from_numpy(weighted).float()
    loop.state = {"epoch": 0, "step": 0}
    before = loop.model.head.weight.detach().clone()
    loop.optimizer.begin()
    loop._step(np.arange(8), 0.01)
    changed = (loop.model.head.weight.detach() - before).abs().sum(dim=1)
    assert changed[0] > 0
    assert changed[1] == 0


def test_a_heavier_article_pulls_harder(encoder):
    rows = np.arange(8)

    def loss(weights):
        loop = encoder.loop(epochs=1)
        loop.weights = None if weights is None else torch.from_numpy(weights).float()
        ids, lengths, full = on_device(loop.tokens, rows, loop.device)
        set_training(loop.model, False)
        return float(loop._loss(loop.model(ids, lengths, full=full), torch.from_numpy(rows)).detach())

    ones = np.ones_like(encoder.labels)
    first = ones.copy()
    first[0] = 3.0
    assert loss(ones) == pytest.approx(loss(None), rel=1e-5)
    assert loss(first) - loss(ones) == pytest.approx(2 * (encoder.labels[0] ** 2).sum(), rel=1e-4)  # the head begins at zero


def test_warmup_steps_take_precedence_over_the_ratio():
    training = Training(learningRate=1.0, warmupRatio=0.5, warmupSteps=4)
    assert [rate_at(step, 100, training) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert rate_at(4, 100, training) == 1.0
    assert rate_at(0, 100, Training(learningRate=1.0, warmupSteps=0)) == 1.0
    assert rate_at(1, 2, Training(learningRate=1.0, warmupSteps=50)) == 1.0  # no more than there are


def test_lower_layers_learn_more_slowly():
    names = ["base.layer.0.q.lora_A.weight", "base.layer.0.q.lora_B.weight", "base.layer.2.q.lora_A.weight", "head.weight"]
    assert layer_factors(names, 0.5) == [0.25, 0.25, 1.0, 1.0]
    assert layer_factors(names, None) == [1.0, 1.0, 1.0, 1.0]


def test_layer_decay_moves_the_lower_layer_by_less(encoder):
    def moved(**training):
        loop = encoder.loop(epochs=1, weightDecay=0.0, **training)
        loop.state = {"epoch": 0, "step": 0}
        loop.optimizer.begin()
        torch.nn.init.normal_(loop.model.head.weight)  # at zero no gradient reaches the body
        before = {name: value.detach().clone() for name, value in loop.model.named_parameters()}
        loop._step(np.arange(8), 0.01)
        after = dict(loop.model.named_parameters())
        sizes = {}
        for name, value in before.items():
            if "lora_B" in name:
                layer = name.split(".layer.")[1].split(".")[0]
                sizes[layer] = max(sizes.get(layer, 0.0), float((after[name].detach() - value).abs().max()))
        return sizes

    plain, slowed = moved(), moved(layerDecay=0.1)
    assert plain["0"] == pytest.approx(plain["1"], rel=0.05)  # AdamW's first step is the rate
    assert slowed["0"] == pytest.approx(0.1 * slowed["1"], rel=0.05)


def test_a_training_with_layer_decay_goes_on_from_its_state(encoder):
    loop = encoder.loop(epochs=1, layerDecay=0.5)
    loop.state = {"epoch": 0, "step": 0}
    loop.optimizer.begin()
    loop._step(np.arange(8), 0.01)
    again = encoder.loop(epochs=1, layerDecay=0.5)
    again.optimizer.begin(loop.optimizer.state())
    again.optimizer.step(0.01)
    assert [group["lr"] for group in again.optimizer.adamw.param_groups] == [0.005, 0.01]


def test_head_dropout_acts_in_training_alone(encoder):
    loop = encoder.loop(epochs=1, headDropout=0.5)
    torch.nn.init.normal_(loop.model.head.weight)
    ids, lengths, full = on_device(loop.tokens, np.arange(4), loop.device)

    def scores():
        with torch.no_grad():
            return loop.model(ids, lengths, full=full)

    for module in loop.model.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout = torch.nn.ModuleDict({"default": torch.nn.Identity()})
    set_training(loop.model, False)
    assert torch.equal(scores(), scores())
    set_training(loop.model, True)
    assert not torch.equal(scores(), scores())
    loop.model.head_dropout = 0.0
    assert torch.equal(scores(), scores())


def test_an_epoch_is_kept_by_the_error_that_is_asked_for(encoder):
    figures = iter([Validation(1.0, 2.0, stop=2.0), Validation(1.1, 1.5, stop=1.5), Validation(0.9, 1.8, stop=1.8)])
    loop = encoder.loop(epochs=3, patience=3, stopOn="rmse")
    loop.validate, loop.progress = lambda _: next(figures), Notes()
    assert loop.run().history["best_epoch"] == 2
    assert [note.rpartition(", ")[2] for note in loop.progress.notes if note.startswith("epoch ")] == [
        "stopOn rmse 2.0000", "stopOn rmse 1.5000", "stopOn rmse 1.8000",
    ]  # fmt: skip
    maes = iter([Validation(1.0, 2.0), Validation(1.1, 1.5), Validation(0.9, 1.8)])
    loop = encoder.loop(epochs=3, patience=3)
    loop.validate = lambda _: next(maes)
    assert loop.run().history["best_epoch"] == 3


def test_the_errors_that_stop_are_those_of_scikit_learn():
    weights, clipped = np.array([0.2, 0.8]), np.clip(RAW, 0, 10)
    assert stop_error(Training(), RAW, LABELS, weights) is None
    found = stop_error(Training(stopOn="overall"), RAW, LABELS, [0.4, 1.6])
    assert found == pytest.approx(mean_absolute_error(LABELS @ weights, clipped @ weights))
    worst = stop_error(Training(stopOn="dimension"), RAW, LABELS, weights)
    assert worst == pytest.approx(mean_absolute_error(LABELS, clipped, multioutput="raw_values").max())
    rmse = stop_error(Training(stopOn="rmse"), RAW, LABELS, weights)
    assert rmse == pytest.approx(float(np.sqrt(np.mean((clipped - LABELS) ** 2))))


@pytest.mark.parametrize("ties", [False, True])
def test_the_rank_correlation_that_stops_is_that_of_scipy(ties):
    weights = np.array([0.2, 0.8])
    raw, labels = (np.rint(values / 3) * 3 if ties else values for values in (RAW, LABELS))
    found = stop_error(Training(stopOn="spearman"), raw, labels, weights * 2)
    assert found == pytest.approx(1 - spearmanr(np.clip(raw, 0, 10) @ weights, labels @ weights).statistic)
    flat, broken = np.full_like(RAW, 4.2), np.full_like(RAW, np.nan)
    assert stop_error(Training(stopOn="spearman"), flat, LABELS, weights) == 1.0  # all alike rank nothing
    assert np.isnan(stop_error(Training(stopOn="spearman"), broken, LABELS, weights))  # which ends the training


def test_what_a_filter_does_not_say_moves_no_digest(tmp_path):
    plain = filter_of(tmp_path)
    assert not {"warmupSteps", "dimensionWeights", "sampleWeights", "layerDecay", "headDropout", "stopOn", "epochFigures"} & {
        *parts(plain, "train")["training"]
    }
    stated = filter_of(tmp_path, warmupSteps=None, dimensionWeights="equal", headDropout=0.0, stopOn="mae")
    assert parts(plain, "train") == parts(stated, "train")
    assert train_inputs(plain, "a", "b") == train_inputs(stated, "a", "b")


@pytest.mark.parametrize("setting", [{"dimensionWeights": "filter"}, {"stopOn": "overall"}, {"stopOn": "spearman"}])
def test_weights_are_part_of_the_training_where_it_reads_them(tmp_path, setting):
    flt = filter_of(tmp_path, **setting)
    assert parts(flt, "train")["weights"] == [0.5, 0.5] == train_inputs(flt, "a", "b")["weights"]
    assert "weights" not in parts(filter_of(tmp_path), "train")


def test_errors_by_dimension_are_those_of_scikit_learn():
    found = by_dimension(["reach", "proof"], (RAW[:20], LABELS[:20]), (RAW[20:], LABELS[20:]))
    for at, name in enumerate(("reach", "proof")):
        clipped = np.clip(RAW[:, at], 0, 10)
        assert found[name]["train"] == pytest.approx(mean_absolute_error(LABELS[:20, at], clipped[:20]))
        assert found[name]["validation"] == pytest.approx(mean_absolute_error(LABELS[20:, at], clipped[20:]))


def test_the_history_has_errors_by_dimension_where_they_are_asked_for(tmp_path, tiny_encoder):
    store = open_store(str(tmp_path / "store"))
    split = store_split(store, (24, 16, 8))
    histories = []
    for setting in ({}, {"epochFigures": "dimensions"}):
        adapter = train(store, filter_of(tiny_encoder, epochs=2, **setting), split=split).outputs["adapter"]
        folder = store.folder("adapters/tiny", adapter)
        histories.append(HistoryFile.read(folder.read(HISTORY), "history"))
    plain, told = histories
    assert b"dimensions" not in plain.to_bytes()
    assert [epoch.validation_mae for epoch in plain.epochs] == [epoch.validation_mae for epoch in told.epochs]
    for epoch in told.epochs:
        assert set(epoch.dimensions) == {"reach", "proof"}
        assert np.mean([row.validation for row in epoch.dimensions.values()]) == pytest.approx(epoch.validation_mae)
