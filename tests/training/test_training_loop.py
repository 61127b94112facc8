"""What trains, what it depends on, and what stops it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from distillery.components.student.base import Base
from distillery.components.student.model import StudentModel, TrainableError, build, expected_trainable, trainable, weights
from distillery.components.student.predict import raw_predictions
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Preprocessing, Tokenizing, Tokens
from distillery.components.training.head import ridge
from distillery.components.training.loop import SPARE, Loop, Validation, rate_at
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora, Training

LORA = Lora(r=4, alpha=8, dropout=0.1)


@dataclass
class Case:
    base: Base
    tokens: Tokens
    labels: NDArray[np.float64]
    maes: list[float] = field(default_factory=list)

    def loop(self, *, lora: Lora | None = LORA, model: StudentModel | None = None, **training: Any) -> Loop:
        model = model or build(self.base, lora, 2, seed=3)
        settings = Training(**{"epochs": 2, "batchSize": 8, "learningRate": 5e-3, "precision": "fp32"} | training)
        maes = iter(self.maes)
        return Loop(
            model,
            self.tokens,
            self.labels,
            settings,
            expected=expected_trainable(self.base.path, lora, 2),
            validate=lambda _: Validation(next(maes, 1.0), 1.0),
        )


@pytest.fixture(params=["tiny_encoder", "tiny_decoder"])
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.getfixturevalue(request.param))


@pytest.fixture
def encoder(tiny_encoder: Path) -> Case:
    return case_of(tiny_encoder)


def case_of(folder: Path, articles: int = 40) -> Case:
    base = resolve_base(str(folder))
    generator = np.random.default_rng(0)
    texts = [("t", "sun " * int(n) + "wind " * int(m)) for n, m in generator.integers(1, 30, (articles, 2))]
    labels = np.array([[content.count("sun"), content.count("wind")] for _, content in texts], float) / 3
    return Case(base, Tokenizing(base, Preprocessing(48, None))(texts), labels)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 0.0) -> bool:
    return all(torch.allclose(one[name], other[name], atol=tolerance, rtol=0) for name in one) and one.keys() == other.keys()


def test_what_should_train_changes_and_nothing_else(case: Case) -> None:
    loop = case.loop(epochs=1)
    before = {name: parameter.detach().clone() for name, parameter in loop.model.named_parameters()}
    loop.run()
    ours = {id(parameter) for parameter in trainable(loop.model).values()}
    assert len(ours) == 2 * len([name for name in before if "lora_A" in name]) + 1
    for name, parameter in loop.model.named_parameters():
        assert torch.equal(before[name], parameter) != (id(parameter) in ours), name


def test_the_loss_falls_below_what_the_mean_would_give(case: Case) -> None:
    fitted = case.loop(epochs=8, patience=8, learningRate=1e-2, lora=Lora(r=4, alpha=8, dropout=0)).run()
    losses = [epoch["train_loss"] for epoch in fitted.history["epochs"]]
    assert losses[-1] < losses[0]
    assert losses[-1] < 0.5 * case.labels.var(axis=0).mean()


def first(tokens: Tokens, count: int) -> Tokens:
    return Tokens(tokens.ids[: tokens.offsets[count]], tokens.offsets[: count + 1], tokens.pad)


def held_out_error(case: Case, labels: NDArray[np.float64]) -> float:
    """Mean squared error on the last 60 articles, as a share of the labels' variance, after a training on the others."""
    part = Case(case.base, first(case.tokens, len(labels) - 60), labels[:-60])
    loop = part.loop(epochs=4, patience=4, learningRate=5e-3, lora=Lora(r=4, alpha=8, dropout=0))
    loop.run()
    predicted = raw_predictions(loop.model.eval(), case.tokens)[-60:]
    return float(((predicted - labels[-60:]) ** 2).mean() / labels[-60:].var(axis=0).mean())


def test_shuffled_labels_teach_nothing(tiny_encoder: Path) -> None:
    """What a student seems to learn from labels that have nothing to do with the articles would be a leak."""
    case = case_of(tiny_encoder, 260)
    assert held_out_error(case, case.labels) < 0.5
    shuffled = np.random.default_rng(5).permutation(case.labels)
    assert 0.9 < held_out_error(case, shuffled) < 1.3


def test_one_article_is_learned_by_heart(case: Case) -> None:
    alone = Case(case.base, first(case.tokens, 1), case.labels[:1])
    fitted = alone.loop(epochs=60, patience=60, learningRate=2e-2, lora=Lora(r=4, alpha=8, dropout=0)).run()
    assert fitted.history["epochs"][-1]["train_loss"] < 1e-3


def step_once(case: Case, **settings: Any) -> dict[str, torch.Tensor]:
    return weights_after_step(case.loop(lora=Lora(r=4, alpha=8, dropout=0), **settings))


def weights_after_step(loop: Loop) -> dict[str, torch.Tensor]:
    loop.state = {"epoch": 0, "step": 0}
    with torch.no_grad():
        for parameter in trainable(loop.model).values():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.1)
    loop._step(np.arange(8), 1e-3)
    return weights(loop.model)


def test_accumulating_eight_is_a_batch_of_eight(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPARE, "cpu", 10_000)
    padded = step_once(case, tokensPerBatch=8192)
    one_by_one = step_once(case, tokensPerBatch=64)
    monkeypatch.setitem(SPARE, "cpu", 0)
    bucketed = step_once(case, tokensPerBatch=8192)
    assert same(padded, one_by_one, 2e-5)
    assert same(padded, bucketed, 2e-5)


def test_the_same_seed_gives_the_same_bytes(case: Case) -> None:
    first, second, other = case.loop().run(), case.loop().run(), case.loop(seed=7).run()
    assert same(first.best, second.best)
    assert not same(first.best, other.best)


class Stop(Exception):
    pass


class StopAfter:
    """Keeps the state of each step, and stops the process's stand-in after `steps` of them."""

    def __init__(self, steps: int) -> None:
        self.steps, self.state = steps, {}

    def load(self) -> dict[str, Any] | None:
        return None

    def due(self) -> bool:
        return True

    def save(self, state: dict[str, Any]) -> None:
        import io

        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.state = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
        self.steps -= 1
        if not self.steps:
            raise Stop


@pytest.mark.parametrize("steps", [1, 3, 6, 8])
def test_resumed_is_uninterrupted(case: Case, steps: int) -> None:
    case.maes = [1.0, 0.9]
    whole = case.loop().run()
    case.maes = [1.0, 0.9]
    loop = case.loop()
    loop.checkpoints = checkpoints = StopAfter(steps)
    with pytest.raises(Stop):
        loop.run()
    case.maes = [1.0, 0.9][len(checkpoints.state["loop"]["epochs"]) :]
    torch.manual_seed(999)
    resumed = case.loop().run(checkpoints.state)
    assert same(whole.best, resumed.best)
    assert whole.history == resumed.history
    assert (whole.steps, whole.tokens) == (resumed.steps, resumed.tokens)
    assert resumed.tokens_here < whole.tokens_here


def test_lora_frozen_by_accident_stops_a_resumed_training(encoder: Case) -> None:
    loop = encoder.loop()
    loop.checkpoints = checkpoints = StopAfter(2)
    with pytest.raises(Stop):
        loop.run()
    model = build(encoder.base, LORA, 2)
    for name, parameter in trainable(model).items():
        parameter.requires_grad_("lora" not in name)
    with pytest.raises(TrainableError, match="are frozen"):
        encoder.loop(model=model).run(checkpoints.state)


def test_a_checkpoint_of_another_model_is_refused(encoder: Case) -> None:
    loop = encoder.loop()
    loop.checkpoints = checkpoints = StopAfter(1)
    with pytest.raises(Stop):
        loop.run()
    checkpoints.state["weights"].pop("head.weight")
    with pytest.raises(TrainableError, match="missing or unknown"):
        encoder.loop().run(checkpoints.state)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda loop: loop.labels.fill_(math.nan),
        lambda loop: loop.labels.fill_(3e38),
    ],
)
def test_a_loss_that_is_no_number_stops_the_training(
    encoder: Case, break_it: Callable[[Loop], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillery.components.training.loop.fit_head", lambda *_: None)
    loop = encoder.loop(loss="mse")
    break_it(loop)
    before = weights(loop.model)
    with pytest.raises(InputError, match=r"not a number any more \(epoch 1, step 1\).*lower learningRate \(now [0-9e.-]+\)$"):
        loop.run()
    assert same(before, weights(loop.model))
    loop.precision = "bf16"  # only then another one is a mend
    with pytest.raises(InputError, match=r"lower learningRate .* or set precision to fp32"):
        loop.run()


def test_a_validation_error_that_is_no_number_stops_it_too(encoder: Case) -> None:
    encoder.maes = [math.nan]
    with pytest.raises(InputError, match="validation error of epoch 1"):
        encoder.loop().run()


def test_the_best_epoch_is_kept_and_patience_ends_it(encoder: Case) -> None:
    encoder.maes = [0.9, 0.7, 0.8, 0.75, 0.1]
    seen: list[dict[str, torch.Tensor]] = []
    loop = encoder.loop(epochs=5, patience=2)
    inner = loop.validate

    def validate(tensors: dict[str, torch.Tensor]) -> Validation:
        seen.append(tensors)
        return inner(tensors)

    loop.validate = validate
    fitted = loop.run()
    assert fitted.history["best_epoch"] == 2
    assert len(fitted.history["epochs"]) == 4
    assert same(fitted.best, seen[1])
    assert not same(fitted.best, seen[3])


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    training = Training(learningRate=1.0, warmupRatio=0.1)
    rates = [rate_at(step, 100, training) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[9:]))
    assert rates[-1] < 0.01
    assert rate_at(0, 3, Training(learningRate=1.0, warmupRatio=0)) == 1.0


def test_ridge_finds_a_linear_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    x, truth = torch.randn(200, 10, generator=generator).double(), torch.randn(10, 2, generator=generator).double()
    noisy = x @ truth + 0.01 * torch.randn(200, 2, generator=generator)
    torch.testing.assert_close(ridge(x, noisy), truth, atol=0.01, rtol=0.01)


def test_the_head_starts_from_the_base_models_own_vectors(encoder: Case) -> None:
    loop = encoder.loop(epochs=1, learningRate=1e-9)
    first = loop.run().history["epochs"][0]["train_loss"]
    assert first < encoder.labels.var(axis=0).mean()
