"""Figures that a benchmark holds only where a gate asks for them, held against scipy and scikit-learn."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score

from distillery.components.artifacts.bundle import Epoch, HistoryFile
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.on_demand import figures_asked_for, rise
from distillery.components.benchmarking.predict import about_bundle, read_predictions
from distillery.components.student import memory
from distillery.components.student.resolve import resolve_base
from distillery.filters.digests import parts, step_digest


def epoch(number: int, mae: float, rmse: float = 1.0) -> Epoch:
    figures = {"train_loss": 1.0, "validation_mae": mae, "validation_rmse": rmse, "learning_rate": 0.001}
    return Epoch(epoch=number, steps=number, tokens=number, **figures)


def history(*maes: float, best: int, rmse: float = 1.0) -> HistoryFile:
    return HistoryFile(epochs=[epoch(at, mae, rmse) for at, mae in enumerate(maes, start=1)], best_epoch=best)


def asking(changed: Any, gate: str) -> Any:
    return changed("gates: [{metric: mae, below: 0.8}]", f"gates: [{{metric: mae, below: 0.8}}, {gate}]")


def test_accuracy_is_that_of_scikit_learn_and_its_interval_holds_that_of_wilson(house, changed, readers):
    flt = asking(changed, "{metric: accuracy, atLeast: 0.8}")
    split = house.split()
    adapter = house.adapter(readers.noisy(2.0), split)
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    found = json.loads(house.store.get(record.outputs["key"]))
    table = read_predictions(house.store, adapter, record.outputs["test"], record.outputs["predictions"])
    errors = np.column_stack([table[f"prediction.{d}"].to_numpy() - table[f"score.{d}"].to_numpy() for d in flt.dimensions])
    near = np.abs(errors).ravel() <= 1
    assert found["accuracy"] == pytest.approx(accuracy_score(np.ones(near.size, bool), near), abs=1e-9)
    assert 0.3 < found["accuracy"] < 0.7
    wilson = stats.binomtest(int(near.sum()), near.size).proportion_ci(method="wilson")
    low, high = found["intervals"]["accuracy"]
    assert low <= wilson.low + 1e-9  # benchmarks round
    assert high >= wilson.high - 1e-9


def test_an_error_of_one_point_counts_as_accurate_whatever_rounding_adds(house, changed, readers):
    flt = asking(changed, "{metric: accuracy, atLeast: 0.8}")
    split = house.split()
    adapter = house.adapter(lambda texts: readers.exact(texts) + (0.1 + 0.9), split)
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    assert json.loads(house.store.get(record.outputs["key"]))["accuracy"] == 1


def test_a_filter_whose_gates_ask_for_none_has_the_benchmark_that_it_had(house, flt, changed, readers):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    plain = benchmark(house.store, flt, adapter=adapter, split=split)
    asked = benchmark(house.store, asking(changed, "{metric: accuracy, atLeast: 0.8}"), adapter=adapter, split=split)
    before, after = (json.loads(house.store.get(record.outputs["key"])) for record in (plain, asked))
    assert "figures" not in parts(flt, "benchmark")
    assert not {"accuracy", "no_overfitting", "memory_mb"} & {*before, *before["intervals"]}
    del after["accuracy"], after["intervals"]["accuracy"]
    assert before == after
    assert asked.outputs["predictions"] == plain.outputs["predictions"]
    assert step_digest(flt, "benchmark") == step_digest(changed("below: 0.8", "below: 0.7"), "benchmark")


def test_a_rise_is_measured_in_the_standard_error_of_scipy():
    errors = np.random.default_rng(2).exponential(0.8, 150)
    mae, rmse = float(errors.mean()), float(np.sqrt((errors**2).mean()))
    found = rise(history(1.5, mae, mae + 0.1, mae + 0.2, best=2, rmse=rmse), 150)
    assert found == pytest.approx(0.15 / stats.sem(errors, ddof=0))


@pytest.mark.parametrize(
    ("maes", "best", "expected"),
    [
        ((0.9, 0.8, 0.7), 3, 0.0),  # still falling
        ((0.9, 0.6, 0.7), 2, (0.1 / 0.08)),  # one epoch after
        ((0.9, 0.6, 5.0, 0.7, 0.7), 2, (0.1 / 0.08)),  # the last two
        ((0.9, 0.6, 0.6, 0.6), 2, 0.0),
        ((0.9, 0.6), 7, None),  # the kept epoch is not there
    ],
)
def test_no_overfitting_counts_what_followed_the_kept_epoch(maes, best, expected):
    found = rise(history(*maes, best=best), 100)  # MAE 0.6 and RMSE 1.0: errors spread by 0.8
    assert found == (None if expected is None else pytest.approx(expected))


def test_errors_that_are_all_alike_tell_no_noise():
    assert rise(history(0.6, 0.7, best=1, rmse=0.6), 100) is None
    assert rise(history(0.6, best=1, rmse=0.6), 100) == 0.0


def test_the_history_of_the_bundle_is_read(house, changed, readers):
    flt = asking(changed, "{metric: no_overfitting, below: 1.0}")
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    assert json.loads(house.store.get(record.outputs["key"]))["no_overfitting"] is None  # bundles of others have no history
    files = {name: house.store.folder("adapters/demo", adapter).read(name) for name in ("student.json", "calibration.json")}
    files["training_history.json"] = history(0.9, 0.6, 0.7, best=2).to_bytes()
    with_history = house.store.commit("adapters/demo", files, {"kind": "adapter"})
    found = figures_asked_for(house.store, flt, about_bundle(house.store, "demo", with_history), 30)
    assert found == {"no_overfitting": pytest.approx(0.1 / (0.8 / 30**0.5))}


def test_memory_is_what_a_second_implementation_counts(house, changed, tiny_encoder):
    """Weights by transformers, LoRA by its definition, activations by hooks on torch's own linear layers."""
    import torch
    from transformers import AutoModel

    flt = asking(changed, "{metric: memory_mb, below: 1000}")
    base = resolve_base(str(tiny_encoder))
    lora = flt.spec.student.lora.model_copy(update={"r": 4, "targets": "all-linear"})
    facts = {"base": base, "maxLength": 64, "lora": lora, "dimensions": list(flt.dimensions)}
    found = figures_asked_for(house.store, flt, SimpleNamespace(where="x", student=SimpleNamespace(**facts)), 30)["memory_mb"]
    model = AutoModel.from_pretrained(tiny_encoder, add_pooling_layer=False).eval()
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    width, dims = model.config.hidden_size, len(flt.dimensions)
    rank_4 = sum(4 * (module.in_features + module.out_features) for module in linear) + dims * width
    written = []
    layer = [module for module in model.encoder.layer[0].modules() if isinstance(module, torch.nn.Linear)]
    for module in layer:
        module.register_forward_hook(lambda module, given, out: written.append(out.shape[-1]))
    with torch.no_grad():
        model(torch.ones((1, 8), dtype=torch.long))
    live = (5 * sum(written) // 2 + 8 * width) * 4 + 8 * width
    expected = memory.PLAIN + memory.TOKENIZER * (tiny_encoder / "tokenizer.json").stat().st_size
    expected += weights + 2 * 4 * rank_4 + memory.MERGE + memory.PASS * live
    assert found == pytest.approx(expected / 1e6, rel=1e-9)
