"""From dimension scores to a verdict: clamp to 0–10, weighted mean, content caps, gatekeepers, tier; columns at once.

In caps `overall` is the weighted mean before any cap, in tiers the one after all of them; so caps do not depend on
their order. The overall is rounded to 9 decimals: scores of 6 must meet `overall >= 6`, however they are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.filters.expressions import parse
from distillery.filters.filter import Filter

DECIMALS = 9


class Verdicts(NamedTuple):
    """Hold n verdicts; `reason` says what capped the overall, or is empty."""

    overall: NDArray[np.float64]  # (n,) after caps
    tier: NDArray[np.str_]  # (n,)
    uncapped: NDArray[np.float64]  # (n,) weighted mean before caps
    reason: list[str]  # (n,)


def tier_names(flt: Filter) -> list[str]:
    """Return the names of the tiers.

    Args:
        flt: the filter.

    Returns:
        Names in the order of the file, the best first.
    """
    return [tier.name for tier in flt.spec.tiers]


def weights(flt: Filter) -> NDArray[np.float64]:
    """Return the weights of the dimensions, normalised to sum 1.

    Args:
        flt: the filter.

    Returns:
        (D,) weights in the order of the dimensions.
    """
    raw = np.array([dimension.weight for dimension in flt.spec.dimensions], dtype=np.float64)
    normalised: NDArray[np.float64] = raw / raw.sum()
    return normalised


def weighted_mean(flt: Filter, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the overall scores before any cap.

    Args:
        flt: the filter.
        scores: (n, D) scores in the order of the dimensions.

    Returns:
        (n,) means.

    Raises:
        ValueError: the shape is another one, or a score is NaN or infinite.
    """
    if scores.ndim != 2 or scores.shape[1] != len(flt.spec.dimensions):
        raise ValueError(f"scores of shape {scores.shape}; {flt.name} has {len(flt.spec.dimensions)} dimensions")
    if not np.isfinite(scores).all():
        raise ValueError("a score is NaN or infinite; a missing score is never a number")
    clamped = np.clip(np.asarray(scores, dtype=np.float64), 0.0, 10.0)
    mean: NDArray[np.float64] = np.round((clamped * weights(flt)).sum(axis=1), DECIMALS)
    return mean


def judge(flt: Filter, scores: NDArray[np.float64], content_types: Sequence[str | None] | None = None) -> Verdicts:
    """Turn scores into verdicts.

    Args:
        flt: the filter.
        scores: (n, D) scores in the order of the dimensions.
        content_types: n names, which may be None or unknown to the filter (no cap); None for no content caps at all.

    Returns:
        The verdicts.

    Raises:
        ValueError: a shape is wrong, or a score is NaN or infinite.
    """
    uncapped = weighted_mean(flt, scores)
    names = [*flt.dimensions, "overall"]
    columns = dict(zip(flt.dimensions, np.clip(np.asarray(scores, dtype=np.float64), 0.0, 10.0).T, strict=True))
    values = {**columns, "overall": uncapped}
    overall, reason = uncapped.copy(), np.full(len(uncapped), "", dtype=object)

    def cap(at: float, where: NDArray[np.bool_], because: str) -> None:
        binding = where & (overall > at)
        overall[binding], reason[binding] = at, because

    if content_types is not None:
        if len(content_types) != len(uncapped):
            raise ValueError(f"{len(content_types)} content types for {len(uncapped)} articles")
        types = np.array([kind or "" for kind in content_types], dtype=object)
        for kind in flt.spec.contentTypes:
            where = types == kind.name
            if kind.unless is not None:
                where = where & ~parse(kind.unless, names).holds(values)
            cap(kind.cap, where, f"content type {kind.name} caps the overall at {kind.cap:g}")
    for keeper in flt.spec.gatekeepers:
        cap(
            keeper.cap,
            parse(keeper.when, names).holds(values),
            f"{keeper.because}: {keeper.when} caps the overall at {keeper.cap:g}",
        )

    values["overall"] = overall
    tier = np.full(len(overall), flt.spec.tiers[-1].name, dtype=np.array(tier_names(flt)).dtype)
    left = np.ones(len(overall), dtype=bool)
    for candidate in flt.spec.tiers[:-1]:
        assert candidate.when is not None  # the model holds this
        here = left & parse(candidate.when, names).holds(values)
        tier[here] = candidate.name
        left &= ~here
    return Verdicts(overall, tier, uncapped, reason.tolist())
