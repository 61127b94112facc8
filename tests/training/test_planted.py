"""A loss, a pooling and a mode each win and lose where the labels are made so that they must; random bases, no luck needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from distillery.components.student.model import StudentModel, build, set_training, trainable
from distillery.components.student.predict import raw_predictions
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Preprocessing, Tokenizing
from distillery.components.training.loop import Loop, Validation
from distillery.filters.spec import Lora, Pooling, Training

Floats = NDArray[np.float64]
Texts = Sequence[tuple[str, str]]
LORA = Lora(r=4, alpha=8, dropout=0.0)
FILLER = ["the", "year", "city", "team", "people", "soil", "price", "bank", "rule", "court", "train", "study"]
TRAIN = 240  # articles; the rest is held out


def held_out(read: Tokenizing, texts: Texts, labels: Floats, *, model: StudentModel, **training: Any) -> Floats:
    """Predictions of the articles after the first TRAIN, by a student that was trained on those."""
    settings = Training(
        **{"epochs": 6, "patience": 6, "batchSize": 16, "learningRate": 1e-2, "precision": "fp32", "loss": "mse"} | training
    )
    loop = Loop(
        model,
        read(texts[:TRAIN]),
        labels[:TRAIN],
        settings,
        expected=sum(each.numel() for each in trainable(model).values()),
        validate=lambda _: Validation(1.0, 1.0),
    )
    loop.run()
    set_training(model, False)
    return np.clip(raw_predictions(model, read(texts[TRAIN:])), 0, 10)


def words(rng: np.random.Generator, count: int) -> list[str]:
    return [str(word) for word in rng.choice(FILLER, count)]


def test_mae_finds_the_median_and_mse_the_mean_of_labels_with_outliers(tiny_encoder: Path) -> None:
    """Three in ten labels say 10, whatever the article: mae must not follow them, and mse must."""
    rng = np.random.default_rng(1)
    counts = rng.integers(0, 6, 340)
    texts = [("t", " ".join(rng.permutation([*["wind"] * 3 * n, *words(rng, 20 - 3 * n)]))) for n in counts]
    truth = 1.0 + counts[:, None] * 0.8
    labels = np.where(rng.random(truth.shape) < 0.3, 10.0, truth)
    base = resolve_base(str(tiny_encoder))
    read = Tokenizing(base, Preprocessing(48, None))
    found = {loss: held_out(read, texts, labels, model=build(base, LORA, 1, seed=3), loss=loss) for loss in ("mae", "mse")}
    of_truth, of_labels = truth[TRAIN:], labels[TRAIN:]
    ours, theirs = (mean_absolute_error(of_truth, found[loss]) for loss in ("mae", "mse"))
    assert ours < 0.6 * theirs
    assert mean_absolute_error(of_labels, found["mae"]) < mean_absolute_error(of_labels, found["mse"])
    assert root_mean_squared_error(of_labels, found["mse"]) < root_mean_squared_error(of_labels, found["mae"])


class Embedding(torch.nn.Module):
    """A body that mixes no tokens, so that nothing but the pooling can find the one that decides."""

    def __init__(self, words: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.words = torch.nn.Embedding(words, 32)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.words(input_ids))


def test_attention_finds_the_word_that_the_mean_dilutes(tiny_encoder: Path) -> None:
    """One word of 10 to 110, anywhere, decides. A mean has 1/n of it, so no weight of it fits short and long articles alike."""
    base, rng = resolve_base(str(tiny_encoder)), np.random.default_rng(2)
    good = rng.random(340) < 0.5
    texts = []
    for each in good:
        said = words(rng, int(rng.integers(10, 110)))
        said.insert(int(rng.integers(0, len(said))), "solar" if each else "steel")
        texts.append(("t", " ".join(said)))
    labels, read = np.where(good, 8.0, 2.0)[:, None], Tokenizing(base, Preprocessing(192, None))
    error: dict[str, float] = {}
    ways: tuple[Pooling, ...] = ("attention", "mean")
    for pooling in ways:
        model = StudentModel(Embedding(600), torch.nn.Linear(32, 1, bias=False), "encoder", whole=True, pooling=pooling)
        found = held_out(read, texts, labels, model=model, epochs=40, patience=40, learningRate=5e-2)
        error[pooling] = mean_absolute_error(labels[TRAIN:], found)
    assert error["mean"] > 1.2
    assert error["attention"] < 0.6


def test_an_instruction_loses_where_it_takes_the_articles_end_and_not_at_equal_tokens(tiny_encoder: Path) -> None:
    """What decides stands at the end of an article that just fits: a fair comparison gives the article as many tokens."""
    base, rng = resolve_base(str(tiny_encoder)), np.random.default_rng(4)
    good = rng.random(340) < 0.5
    texts = [("t", " ".join([*words(rng, 30), *["solar" if each else "steel"] * 6])) for each in good]
    labels = np.where(good, 8.0, 2.0)[:, None]
    plain = Preprocessing(int(Tokenizing(base, Preprocessing(512, None))(texts).lengths.max()), None)
    text = "Score how much good it does."
    cost = Tokenizing(base, Preprocessing(512, None, text)).instruction_tokens
    same, equal = (Preprocessing(plain.maxLength + more, None, text) for more in (0, cost))
    errors = []
    for each in (plain, same, equal):
        found = held_out(Tokenizing(base, each), texts, labels, model=build(base, LORA, 1, seed=3))
        errors.append(mean_absolute_error(labels[TRAIN:], found))
    assert errors[0] < 0.5
    assert errors[1] > 2.0
    assert errors[2] < 0.5
