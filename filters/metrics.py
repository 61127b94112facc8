"""What a gate may ask for: each metric's name, the argument it takes, and what it means.

Data only, so that the filter file is checked against the very table that gating reads.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Argument = Literal["tier", "dimension", "baseline"]


class Metric(NamedTuple):
    """Describe what a gate may ask for.

    Attributes:
        meaning: in a few words.
        argument: which of a gate's tier, dimension and baseline narrows it.
        required: whether that must be set.
        high: whether more is better.
    """

    meaning: str
    argument: Argument | None = None
    required: bool = False
    high: bool = False


BASELINES = ("mean", "median", "source_median", "tfidf_ridge")

METRICS: dict[str, Metric] = {
    "mae": Metric("mean absolute error over all articles and dimensions"),
    "rmse": Metric("root mean squared error over all articles and dimensions"),
    "overall_mae": Metric("mean absolute error of the overall score"),
    "overall_rmse": Metric("root mean squared error of the overall score"),
    "bias": Metric("absolute mean of predicted minus labelled overall score"),
    "spearman": Metric("rank correlation of predicted and labelled overall score", high=True),
    "tier_agreement": Metric("share of articles whose predicted tier is the labelled one", high=True),
    "score_compression": Metric("spread of predicted over spread of labelled overall scores; 1 is no compression", high=True),
    "train_val_gap": Metric("(validation MAE - train MAE) / train MAE"),
    "val_test_gap": Metric("(test MAE - validation MAE) / validation MAE"),
    "tier_recall": Metric("share of the articles of a tier that are predicted in it", "tier", True, high=True),
    "tier_precision": Metric("share of the articles predicted in a tier that belong there", "tier", True, high=True),
    "dimension_mae": Metric("mean absolute error of one dimension; without one, the worst", "dimension"),
    "dimension_spearman": Metric("rank correlation of one dimension; without one, the worst", "dimension", high=True),
    "skill": Metric("1 - MAE / MAE of a baseline; 0 is no better than it", "baseline", True, high=True),
    "mae_vs_incumbent": Metric("MAE minus the incumbent's on the same test set; negative is better"),
    "mae_vs_noise_floor": Metric("MAE minus the oracle's own noise, as `distillery noise` measured it; near 0 is all there is"),
    "articles": Metric("number of test articles", high=True),
    "accuracy": Metric("share of dimension scores within one point of the label", high=True),
    "no_overfitting": Metric("rise of the validation MAE after the kept epoch, in its standard errors; 1 or less is noise"),
    "memory_mb": Metric("memory that scoring with it takes, worked out from its base model, in MB"),
    "latency_ms": Metric("milliseconds from text to scores of an article read alone, as it was measured last"),
}

MEASURED = ("latency_ms",)
"""Metrics of a machine, which no benchmark holds. A verdict says whether they hold, never the number."""

ON_DEMAND = ("accuracy", "memory_mb", "no_overfitting")
"""Metrics that a benchmark holds only where a gate asks for them: benchmarks of other filters keep their digests."""

EXACT = ("articles", "latency_ms", "memory_mb", "no_overfitting", "train_val_gap")
"""Metrics without an interval over test articles: a gate on one of them `by: interval` passes nothing."""
