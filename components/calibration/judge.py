"""Judge an oracle's scores by people's marks: PASS, REVIEW or FAIL, each with its reasons. Pure arithmetic.

A share counts as good only where its interval excludes a bad one, so a handful of marks never passes: 16 off-topic and 10
on-topic ones are the least, without one mistake among them. The price is some 60 articles to look at instead of 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.rubric_calibration import (
    FAIL,
    LIMITS,
    MIDDLE,
    PASS,
    REVIEW,
    WORDS,
    Pair,
    ReasonFigures,
    Redundancy,
    SampleFigures,
    ShareFigures,
    Verdict,
)
from distillery.components.auditing.checks import distribution, redundancy

VARIANCE: Final = 1.0  # of each dimension, over all articles of a sample
PC1: Final = 0.70
CHANCE: Final = 0.025  # of calling a fresh sample worse that isn't, for each of the two shares
DEAD_SHARE: Final = 0.05  # articles without a usable reply, above which a person should look
ENOUGH: Final = 20  # articles that redundancy is judged on, at least
ORDER: Final[dict[Verdict, int]] = {PASS: 0, REVIEW: 1, FAIL: 2}


class Reason(NamedTuple):
    """What keeps a sample from PASS: how grave it is, and one line for people."""

    level: Verdict
    text: str


@dataclass(frozen=True)
class Share:
    """How many of n marks the oracle contradicts, with Wilson's interval (95%)."""

    wrong: int
    n: int

    @property
    def value(self) -> float | None:
        """Return the share of marks that the oracle contradicts; None where there is no mark."""
        return self.wrong / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95% interval of the share; (0, 1) where there is no mark."""
        if not self.n:
            return 0.0, 1.0
        from scipy.stats import binomtest

        found = binomtest(self.wrong, self.n).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    def figures(self) -> ShareFigures:
        """Return the share as it is stored, to six decimals.

        Returns:
            Counts, share and interval.
        """
        value, (low, high) = self.value, self.interval
        return ShareFigures(
            wrong=self.wrong,
            n=self.n,
            share=None if value is None else round(value, 6),
            interval=(round(low, 6), round(high, 6)),
        )

    def __str__(self) -> str:
        """Return the share as people read it: "2 of 40 (95%: 1%–17%)"."""
        low, high = self.interval
        return f"{self.wrong} of {self.n} (95%: {low:.0%}–{high:.0%})"


@dataclass(frozen=True)
class Judged:
    """One judged sample.

    Attributes:
        n: articles that got a label.
        dead: articles that got none.
        shares: of contradicted marks, "off" and "on".
        variance: of each dimension's scores, in points squared.
        constant: dimensions in which nearly every article has the same score.
        reasons: what keeps the sample from PASS.
    """

    n: int
    dead: int
    shares: dict[str, Share]
    variance: dict[str, float]
    constant: list[str]
    reasons: list[Reason]

    @property
    def verdict(self) -> Verdict:
        """Return the gravest level of its reasons."""
        return worst(reason.level for reason in self.reasons)

    def figures(self) -> SampleFigures:
        """Return the judged sample as it is stored.

        Returns:
            The figures, without the articles.
        """
        return SampleFigures(
            verdict=self.verdict,
            n=self.n,
            dead=self.dead,
            off_topic_high=self.shares["off"].figures(),
            on_topic_low=self.shares["on"].figures(),
            variance={name: round(value, 6) for name, value in self.variance.items()},
            dead_dimensions=self.constant,
            reasons=[ReasonFigures(level=reason.level, text=reason.text) for reason in self.reasons],
        )


def worst(levels: Iterable[Verdict]) -> Verdict:
    """Return the gravest of these levels; PASS where there is none.

    Args:
        levels: of the reasons.

    Returns:
        PASS, REVIEW or FAIL.
    """
    return max([PASS, *levels], key=lambda level: ORDER[level])


def judge_sample(
    scores: NDArray[np.float64],
    overall: NDArray[np.float64],
    marks: Sequence[str | None],
    dimensions: Sequence[str],
    dead: int = 0,
) -> Judged:
    """Judge one sample.

    Args:
        scores: (n, D) of the oracle, in points.
        overall: (n,) overall scores.
        marks: n times "on", "off" or None.
        dimensions: the D names.
        dead: articles without a usable reply.

    Returns:
        The judged sample.
    """
    opinions = np.array([mark or "" for mark in marks])
    high = overall >= MIDDLE
    shares = {
        "off": Share(int((high & (opinions == "off")).sum()), int((opinions == "off").sum())),
        "on": Share(int((~high & (opinions == "on")).sum()), int((opinions == "on").sum())),
    }
    reasons = [reason for kind, share in shares.items() if (reason := _of_share(kind, share))]
    columns = {name: scores[:, at] for at, name in enumerate(dimensions)}
    variance = {name: float(np.var(column)) if len(column) else 0.0 for name, column in columns.items()}
    constant = [name for name, column in columns.items() if distribution(column)["dead"]]
    reasons += [Reason(FAIL, f"{name} is a dead dimension: nearly every article has the same score") for name in constant]
    flat = [name for name, value in variance.items() if value <= VARIANCE and name not in constant]
    reasons += [
        Reason(REVIEW, f"{name} hardly varies (variance {variance[name]:.2f}, wanted above {VARIANCE:g})") for name in flat
    ]
    if dead > DEAD_SHARE * (len(overall) + dead):
        reasons.append(Reason(REVIEW, f"{dead} of {len(overall) + dead} articles got no usable reply"))
    return Judged(len(overall), dead, shares, variance, constant, reasons)


def _of_share(kind: str, share: Share) -> Reason | None:
    """Return why a share does not pass; None where it is below the good limit, surely below the bad one, from enough marks."""
    limit, words = LIMITS[kind], WORDS[kind]
    low, high = share.interval
    if share.value is None:
        return Reason(REVIEW, f"no article is marked {kind}-topic, so {words} can't be counted")
    enough = share.n >= limit.least
    if share.value >= limit.bad and (enough or low > limit.good):
        return Reason(FAIL, f"{words}: {share}, at most {limit.good:.0%} would do")
    if not enough:
        return Reason(REVIEW, f"{words}: {share}; only {share.n} are marked, {limit.least} are the least")
    if share.value >= limit.good:
        return Reason(REVIEW, f"{words}: {share}, wanted below {limit.good:.0%}")
    if high >= limit.bad:
        return Reason(REVIEW, f"{words}: {share}; the interval still reaches {limit.bad:.0%}, mark more articles")
    return None


def worse_than_chance(first: Judged, fresh: Judged) -> list[Reason]:
    """Return FAIL for each share in which the fresh sample is worse than the first, by Fisher's exact test, one-sided.

    Args:
        first: the calibration sample.
        fresh: the sample that nobody tuned the rubric on.

    Returns:
        One reason for each share that is worse; none where the samples agree.
    """
    from scipy.stats import fisher_exact

    found = []
    for kind, before in first.shares.items():
        after = fresh.shares[kind]
        if before.n and after.n:
            table = [[after.wrong, after.n - after.wrong], [before.wrong, before.n - before.wrong]]
            chance = float(fisher_exact(table, alternative="greater").pvalue)
            if chance < CHANCE:
                found.append(
                    Reason(
                        FAIL,
                        f"{WORDS[kind]}: {before.wrong} of {before.n} on the calibration sample, but "
                        f"{after.wrong} of {after.n} on a fresh one (p = {chance:.4f}): the rubric fits the "
                        "articles it was written on",
                    )
                )
    return found


def judge_redundancy(
    scores: NDArray[np.float64], marks: Sequence[str | None], dimensions: Sequence[str]
) -> tuple[Redundancy, list[Reason]]:
    """Judge whether dimensions say the same, over the articles not marked off-topic; at worst REVIEW.

    Off-topic articles are near zero on everything and would make any dimensions look alike. What remains may still go
    together because it does so in the world, which no rubric mends; so a person decides.

    Args:
        scores: (n, D) of the oracle, in points.
        marks: n times "on", "off" or None.
        dimensions: the D names.

    Returns:
        The figures, and what keeps the rubric from PASS.
    """
    rows = [at for at, mark in enumerate(marks) if mark != "off"]
    over = "articles not marked off-topic"
    if len(rows) < ENOUGH:
        rows, over = list(range(len(marks))), "all articles"
    found = redundancy(scores[rows], dimensions)
    reasons = []
    if found["pc1_share"] is not None and found["pc1_share"] >= PC1:
        reasons.append(
            Reason(
                REVIEW,
                f"one component carries {found['pc1_share']:.0%} of the variance of all dimensions "
                f"(over {over}; below {PC1:.0%} is wanted)",
            )
        )
    reasons += [
        Reason(REVIEW, f"{pair['left']} and {pair['right']} say nearly the same (r = {pair['r']:.2f} over {over})")
        for pair in found["pairs"]
    ]
    pairs = [Pair(**pair) for pair in found["pairs"]]
    return Redundancy(n=len(rows), over=over, pc1_share=found["pc1_share"], pairs=pairs), reasons


def summary(judged: Mapping[str, Judged]) -> str:
    """Return the shares in one line, for people.

    Args:
        judged: samples by name.

    Returns:
        Text for people.
    """
    return "; ".join(f"{name}: {WORDS[kind]} {share}" for name, one in judged.items() for kind, share in one.shares.items())
