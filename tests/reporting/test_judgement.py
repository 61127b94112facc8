"""Every rule of the report's words: a run in which it fires, and one just short of it in which it doesn't."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from distillery.components.artifacts.benchmark import NoiseFigures, SliceFigures
from distillery.components.artifacts.bundle import EpochErrors, HistoryFile
from distillery.components.reporting import judgement as rules
from distillery.components.reporting.context import Context
from distillery.components.reporting.judgement import Judgement, Remark, judgement

MAE = 0.8
NAME = "technical_performance"


def judged(context: Context) -> Judgement:
    found = judgement(context)
    assert found is not None
    return found


@pytest.fixture
def middling(promoted: Context) -> Context:
    """A run about which there is nothing to say."""
    bench = promoted.benchmark
    assert bench is not None
    rows = {
        name: row.model_copy(update={"mae": MAE, "spearman": 0.7, "compression": 0.9, "bias": 0.1})
        for name, row in bench.dimensions.items()
    }
    tiers = {
        name: row.model_copy(update={"recall": 0.65, "precision": 0.65, "labelled": 50, "predicted": 50})
        for name, row in bench.tiers.items()
    }
    baselines = {"mean": next(iter(bench.baselines.values())).model_copy(update={"mae": 0.85})}
    figures = {
        **{"mae": MAE, "dimensions": rows, "tiers": tiers, "baselines": baselines, "noise": None, "slices": {}},
        **{"train_val_gap": 0.1, "val_test_gap": 0.1},
    }
    return dataclasses.replace(promoted, benchmark=bench.model_copy(update=figures), history=None)


def with_(context: Context, **figures: Any) -> Context:
    """Change figures of the benchmark: dimension=, tier= and baseline= of one of them, everything else as a whole."""
    bench = context.benchmark
    assert bench is not None
    for part, all_of in (("dimension", "dimensions"), ("tier", "tiers"), ("baseline", "baselines")):
        if change := figures.pop(part, None):
            rows = dict(getattr(bench, all_of))
            name = NAME if part == "dimension" else next(iter(rows))
            rows[name] = rows[name].model_copy(update=change)
            bench = bench.model_copy(update={all_of: rows})
    return dataclasses.replace(context, benchmark=bench.model_copy(update=figures))


def noise(mae: float, **dimensions: float) -> NoiseFigures:
    known = {"interval": None, "overall_mae": None, "n": 50, "repeat": 3, "difference": None, "second": None}
    return NoiseFigures(mae=mae, dimensions=dimensions, **known)


def part(by: str, n: int, mae: float) -> dict[str, list[SliceFigures]]:
    return {by: [SliceFigures(value="x", n=n, mae=mae, overall_mae=mae, bias=0.0, interval=None)]}


def test_of_a_middling_run_nothing_is_said(middling: Context) -> None:
    found = judged(middling)
    assert (found.strengths, found.weaknesses, found.convergence) == ([], [], "")


@pytest.mark.parametrize(
    ("fires", "short", "said"),
    [
        ({"baseline": {"mae": MAE / 0.89}}, {"baseline": {"mae": MAE / 0.91}}, "11% closer to the oracle than the best simple"),
        ({"noise": noise(MAE / 1.19)}, {"noise": noise(MAE / 1.21)}, "is near the oracle's own noise"),
        ({"dimension": {"spearman": 0.81}}, {"dimension": {"spearman": 0.79}}, "orders articles well"),
        ({"dimension": {"spearman": 0.9}}, {"dimension": {"spearman": 0.9, "mae": MAE + 0.01}}, "orders articles well"),
        ({"tier": {"recall": 0.8}}, {"tier": {"recall": 0.79}}, "finds 80% of 50 articles"),
        ({"tier": {"recall": 0.9, "labelled": 5}}, {"tier": {"recall": 0.9, "labelled": 4}}, "finds 90% of 5 articles"),
    ],
)
def test_a_strength_follows_from_its_figure(fires: Any, short: Any, said: str, middling: Context) -> None:
    found = judged(with_(middling, **fires))
    assert [bool(re.search(said, one.text)) for one in found.strengths] == [True]
    assert found.weaknesses == []
    assert judged(with_(middling, **short)).strengths == []


@pytest.mark.parametrize(
    ("fires", "short", "said", "advice"),
    [
        ({"baseline": {"mae": MAE}}, {"baseline": {"mae": MAE + 0.01}}, "0% further off than the best simple", "larger base"),
        ({"baseline": {"mae": MAE / 1.5}}, {"baseline": {"mae": MAE * 1.05}}, "50% further off", "label more articles"),
        ({"dimension": {"mae": MAE * 1.26}}, {"dimension": {"mae": MAE * 1.24}}, "beside 0.80 over all", "score high and low"),
        (
            {"dimension": {"mae": 1.2}, "noise": noise(0.1, **{NAME: 0.61})},
            {"noise": noise(0.1, **{NAME: 0.61})},
            "error 1.20",
            "the oracle itself wavers",
        ),
        (
            {"dimension": {"mae": 1.2}, "noise": noise(0.1, **{NAME: 0.59})},
            {"dimension": {"mae": 0.9}, "noise": noise(0.1, **{NAME: 0.59})},
            "error 1.20",
            "label more articles that score",
        ),
        ({"dimension": {"compression": 0.69}}, {"dimension": {"compression": 0.71}}, "keeps 69% of the spread", "both ends"),
        ({"dimension": {"bias": -0.51}}, {"dimension": {"bias": -0.49}}, "leans by −0.51 points", "another time or source"),
        ({"dimension": {"bias": 0.51}}, {"dimension": {"bias": 0.49}}, r"leans by \+0.51 points", "another time or source"),
        ({"tier": {"recall": 0.49}}, {"tier": {"recall": 0.5}}, "finds 49% of 50", "tier_recall"),
        ({"tier": {"recall": 0.1, "labelled": 5}}, {"tier": {"recall": 0.1, "labelled": 4}}, "finds 10% of 5", "tier_recall"),
        ({"tier": {"precision": 0.49}}, {"tier": {"precision": 0.5}}, "of 50 articles put there 49% belong", "tier_precision"),
        (
            {"tier": {"precision": 0.1, "predicted": 5}},
            {"tier": {"precision": 0.1, "predicted": 4}},
            "of 5 articles put there 10%",
            "tier_precision",
        ),
        ({"slices": part("source", 10, 1.21)}, {"slices": part("source", 10, 1.19)}, "source x: error 1.21", "of this source"),
        ({"slices": part("source", 10, 1.3)}, {"slices": part("source", 9, 1.3)}, "over 10 articles", "of this source"),
        ({"slices": part("language", 10, 1.21)}, {"slices": part("language", 10, 1.19)}, "language x", "base model that knows"),
        ({"slices": part("length", 10, 1.21)}, {"slices": part("length", 10, 1.19)}, "length x", "student.maxLength"),
        ({"train_val_gap": 0.31}, {"train_val_gap": 0.29}, "31% higher on validation than on training", "fewer epochs"),
        ({"val_test_gap": 0.21}, {"val_test_gap": 0.19}, "21% higher on the test part", "another time or source"),
    ],
)
def test_a_weakness_follows_from_its_figure_and_has_its_advice(
    fires: Any, short: Any, said: str, advice: str, middling: Context
) -> None:
    found = judged(with_(middling, **fires))
    assert [bool(re.search(said, one.text)) for one in found.weaknesses] == [True]
    assert advice in found.weaknesses[0].advice
    assert found.strengths == []
    assert judged(with_(middling, **short)).weaknesses == []


@pytest.mark.parametrize(("validation", "fires"), [(0.91, True), (0.89, False)])
def test_a_dimension_learnt_by_heart_is_told_by_its_epoch(
    validation: float, fires: bool, middling: Context, promoted: Context
) -> None:
    history = promoted.history
    assert history is not None
    last = {NAME: EpochErrors(train=0.1, validation=9.0)}  # of an epoch that was not kept
    kept = {NAME: EpochErrors(train=0.6, validation=validation)}
    epochs = [
        epoch.model_copy(update={"dimensions": kept if epoch.epoch == history.best_epoch else last}) for epoch in history.epochs
    ]
    context = dataclasses.replace(middling, history=HistoryFile(epochs=epochs, best_epoch=history.best_epoch))
    found = judged(context).weaknesses
    assert [
        one.text.endswith(f"0.60 on training articles, {validation:.2f} on validation: learnt by heart") for one in found
    ] == ([True] if fires else [])


TIERING = "sorting into tiers"


@pytest.mark.parametrize(
    ("figures", "use", "fit"),
    [
        ({"tier_agreement": 0.8, "tier": {"recall": 0.6}}, TIERING, "yes"),
        ({"tier_agreement": 0.79, "tier": {"recall": 0.6}}, TIERING, "with care"),
        ({"tier_agreement": 0.8, "tier": {"recall": 0.59}}, TIERING, "with care"),
        ({"tier_agreement": 0.8, "tier": {"recall": 0.1, "labelled": 4}}, TIERING, "yes"),
        ({"tier_agreement": 0.65}, TIERING, "with care"),
        ({"tier_agreement": 0.64}, TIERING, "no"),
        ({"spearman": 0.8}, "ranking", "yes"),
        ({"spearman": 0.79}, "ranking", "with care"),
        ({"spearman": 0.6}, "ranking", "with care"),
        ({"spearman": 0.59}, "ranking", "no"),
        ({"mae": 0.75, "score_compression": 0.8}, "scores as numbers", "yes"),
        ({"mae": 0.75, "score_compression": 0.79}, "scores as numbers", "with care"),
        ({"mae": 0.76, "score_compression": 0.9}, "scores as numbers", "with care"),
        ({"mae": 1.0, "score_compression": 0.9}, "scores as numbers", "with care"),
        ({"mae": 1.01, "score_compression": 0.9}, "scores as numbers", "no"),
    ],
)
def test_suitability_turns_at_the_stated_bounds(figures: dict[str, Any], use: str, fit: str, middling: Context) -> None:
    assert {each.name: each.fit for each in judged(with_(middling, **figures)).uses}[use] == fit


def test_a_use_whose_figures_are_not_known_is_not_judged(middling: Context) -> None:
    unknown = with_(middling, tier_agreement=None, spearman=None, score_compression=None)
    assert judged(unknown).uses == []


def test_every_bound_stands_in_the_rule_that_is_shown(middling: Context) -> None:
    shown = {use.name: use.rule for use in judged(middling).uses}
    assert shown == {
        TIERING: "80% and a recall of 60%; with care from 65%",
        "ranking": "0.8; with care from 0.6",
        "scores as numbers": "0.75 points and 80%; with care up to 1 point",
    }


def test_a_figure_that_is_not_known_is_no_strength_and_no_weakness(middling: Context) -> None:
    nothing = dict.fromkeys(("mae", "spearman", "compression", "bias"))
    unknown = with_(
        middling, dimension=nothing, tier={"recall": None, "precision": None}, train_val_gap=None, val_test_gap=None
    )
    found = judged(unknown)
    assert (found.strengths, found.weaknesses) == ([], [])


def test_names_from_outside_stay_in_the_remark_as_they_are(middling: Context) -> None:
    slices = part("source", 10, 2.0)
    slices["source"] = [slices["source"][0].model_copy(update={"value": "<b>|x|"})]
    found = judged(with_(middling, slices=slices)).weaknesses
    assert found == [Remark("source <b>|x|: error 2.00 over 10 articles", rules.PARTS["source"])]
