"""The audit's arithmetic: each function takes columns and returns plain JSON, rounded so that machines agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.languages import language_code, same_language
from distillery.components.artifacts.near_groups import NearGroups
from distillery.components.store import Json

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
DEAD_STD = 0.05
DEAD_SHARE = 0.98
SAME_RANKING = 0.85  # |r| of two dimensions
LANGUAGE_CHARS = 500
LANGUAGE_MIN_CHARS = 40  # below, a guess at the language is worth nothing
LANGUAGE_SAMPLE = 20_000  # articles, at 0.15 ms each
SHORT_WORDS = 50
EXAMPLES = 5


def rounded(value: float | np.floating | None) -> float | None:
    """Return a number at six decimals, so that machines agree.

    Args:
        value: the number; None where it could not be worked out.

    Returns:
        The number; None where it is not finite.
    """
    return None if value is None or not np.isfinite(value) else round(float(value), 6)


def quantiles(values: Floats) -> dict[str, float | None]:
    """Return the quantiles of a column.

    Args:
        values: (n,) finite numbers, one or more.

    Returns:
        Values by name: "p5", "p25", "p50", "p75", "p95".
    """
    return {f"p{round(share * 100)}": rounded(np.quantile(values, share)) for share in QUANTILES}


def distribution(values: Floats) -> dict[str, Json]:
    """Return how the scores of one dimension are distributed.

    Args:
        values: (n,) scores 0-10, NaN where one is missing.

    Returns:
        Fields of `Distribution`: range, moments, quantiles, histogram of the nearest whole score, mode, and whether nearly
        all scores are the same.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return {"n": 0, "missing": len(values), "dead": True, "histogram": [0] * 11}
    scores, counts = np.unique(known, return_counts=True)
    share = float(counts.max() / len(known))
    deviation = float(known.std())
    return {
        "n": len(known),
        "missing": len(values) - len(known),
        "min": rounded(known.min()),
        "max": rounded(known.max()),
        "mean": rounded(known.mean()),
        "std": rounded(deviation),
        "quantiles": quantiles(known),
        "histogram": np.bincount(np.floor(np.clip(known, 0, 10) + 0.5).astype(int), minlength=11).tolist(),
        "mode": rounded(scores[counts.argmax()]),
        "mode_share": rounded(share),
        "dead": deviation < DEAD_STD or share >= DEAD_SHARE,
    }


def redundancy(values: Floats, dimensions: Sequence[str]) -> dict[str, Json]:
    """Return how far dimensions say the same: variance on one principal component, and pairs that rank articles alike.

    Args:
        values: (n, D) scores, NaN where one is missing.
        dimensions: D names.

    Returns:
        Fields of `Redundancy`; the share of the standardised scores' variance is None where fewer than two dimensions vary.
    """
    complete = values[np.isfinite(values).all(axis=1)]
    vary = [at for at in range(len(dimensions)) if len(complete) > 2 and complete[:, at].std() >= DEAD_STD]
    if len(vary) < 2:
        return {"pc1_share": None, "pairs": [], "correlations": {}}
    matrix: Floats = np.atleast_2d(np.corrcoef(complete[:, vary], rowvar=False))
    names = [dimensions[at] for at in vary]
    pairs: list[dict[str, Json]] = [
        {"left": names[a], "right": names[b], "r": rounded(matrix[a, b])}
        for a in range(len(names))
        for b in range(a + 1, len(names))
        if abs(matrix[a, b]) > SAME_RANKING
    ]
    return {
        "pc1_share": rounded(np.linalg.eigvalsh(matrix)[-1] / len(names)),
        "pairs": sorted(pairs, key=lambda pair: (-abs(pair["r"]), pair["left"], pair["right"])),
        "correlations": {
            name: dict(zip(names, map(rounded, row), strict=True)) for name, row in zip(names, matrix, strict=True)
        },
    }


def duplicates(groups: NearGroups, values: Floats, ids: Sequence[str], threshold: float) -> dict[str, Json]:
    """Return exact copies and groups of near-duplicates, and how far the labels of exact copies lie apart.

    Args:
        groups: copies and near-duplicates among the n articles.
        values: (n, D) scores, NaN where one is missing.
        ids: n ids.
        threshold: Jaccard similarity from which two articles are near-duplicates.

    Returns:
        Fields of `Duplicates`; a conflict is a group of exact copies whose scores differ.
    """
    exact, near = groups
    conflicts: list[dict[str, Json]] = []
    for group in _several(exact):
        spread = np.ptp(values[group], axis=0).mean()
        if spread > 0:
            conflicts.append({"ids": [ids[at] for at in group[:EXAMPLES].tolist()], "difference": rounded(spread)})
    conflicts.sort(key=lambda each: (-each["difference"], each["ids"]))
    several = sorted(_several(near), key=lambda group: (-len(group), [ids[at] for at in group.tolist()]))
    return {
        "threshold": threshold,
        "distinct": len(np.unique(exact)),
        "distinct_near": len(np.unique(near)),
        "exact_copies": len(ids) - len(np.unique(exact)),
        "near_copies": len(ids) - len(np.unique(near)),
        "groups": len(several),
        "largest": max(map(len, several), default=1),
        "examples": [
            {"size": len(group), "ids": [ids[at] for at in group[:EXAMPLES].tolist()]} for group in several[:EXAMPLES]
        ],
        "conflicts": len(conflicts),
        "conflict_examples": conflicts[:EXAMPLES],
    }


def _several(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each group that has more than one."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]


def table(values: Sequence[str | None], overall: Floats) -> list[dict[str, Json]]:
    """Return for each value how many articles have it, with mean and deviation of their overall score.

    Args:
        values: n values, None where one is not known.
        overall: (n,) overall scores, NaN where one is missing.

    Returns:
        Fields of `Tally`, the most frequent value first; what is not known is "".
    """
    names, number = np.unique(np.array([value or "" for value in values], dtype=object), return_inverse=True)
    order, rows = np.argsort(number, kind="stable"), list[dict[str, Json]]()
    ends = np.cumsum(np.bincount(number, minlength=len(names))).tolist()
    for name, start, end in zip(names.tolist(), [0, *ends], ends, strict=False):
        of = overall[order[start:end]]
        known = of[np.isfinite(of)]
        rows.append(
            {
                "value": name,
                "n": len(of),
                "mean": rounded(known.mean()) if len(known) else None,
                "std": rounded(known.std()) if len(known) else None,
            }
        )
    return sorted(rows, key=lambda row: (-row["n"], row["value"]))


def sources(values: Sequence[str | None], overall: Floats) -> dict[str, Json]:
    """Return the table of sources, and how much of the overall score's variance the source alone explains.

    Args:
        values: source of each of n articles, None where it is not known.
        overall: (n,) overall scores, NaN where one is missing.

    Returns:
        Fields of `Sources`. eta2 is the raw share (between-source over total sum of squares), omega2 the share beyond what as
        many sources drawn by chance would explain; both None with a single source.
    """
    known = np.isfinite(overall)
    names, inverse = np.unique([value or "" for value in values], return_inverse=True)
    inverse, score = inverse[known], overall[known]
    total = float(((score - score.mean()) ** 2).sum()) if len(score) else 0.0
    explained = beyond = None
    if len(names) > 1 and len(score) > len(names) and total > 0:
        counts = np.bincount(inverse, minlength=len(names))
        means = np.bincount(inverse, weights=score, minlength=len(names)) / np.maximum(counts, 1)
        between = float((counts * (means - score.mean()) ** 2).sum())
        within = (total - between) / (len(score) - len(names))
        explained = between / total
        beyond = max(0.0, (between - (len(names) - 1) * within) / (total + within))
    rows = table(values, overall)
    return {
        "n": len(names),
        "eta2": rounded(explained),
        "omega2": rounded(beyond),
        "table": rows[:200],
        "largest_share": rounded(max(row["n"] for row in rows) / len(values)) if rows else None,
    }


def lengths(counts: Sequence[int], overall: Floats) -> dict[str, Json]:
    """Return how long articles are, and how the overall score goes with length.

    Args:
        counts: words of each of n texts.
        overall: (n,) overall scores, NaN where one is missing.

    Returns:
        Fields of `Lengths`, with a rank correlation; empty where there are no articles.
    """
    from scipy.stats import spearmanr

    words = np.array(counts, dtype=np.float64)
    known = np.isfinite(overall)
    varies = known.sum() > 2 and np.ptp(words[known]) > 0 and np.ptp(overall[known]) > 0
    return (
        {
            "min": rounded(words.min()),
            "max": rounded(words.max()),
            "mean": rounded(words.mean()),
            "quantiles": quantiles(words),
            "short": int((words < SHORT_WORDS).sum()),
            "spearman_overall": rounded(spearmanr(words[known], overall[known]).statistic) if varies else None,
        }
        if len(words)
        else {}
    )


class Languages:
    """Detects the language of articles by their first 500 characters, of at most 20,000 (of the least digests)."""

    def __init__(self, frame: pa.Table) -> None:
        """Choose the articles.

        Args:
            frame: a label table of n rows; its texts are not read.
        """
        ids, articles = frame["id"].to_pylist(), frame["article"].to_pylist()
        self.declared = [language_code(language) for language in frame["language"].fill_null("").to_pylist()]
        self.detected = [""] * len(ids)
        self._ids, self._next = ids, 0
        self._wanted = np.zeros(len(ids), dtype=bool)
        self._wanted[sorted(range(len(ids)), key=lambda row: (articles[row], ids[row]))[:LANGUAGE_SAMPLE]] = True

    def add(self, titles: Sequence[str], contents: Sequence[str]) -> None:
        """Look at the next articles.

        Args:
            titles: m titles.
            contents: m contents.
        """
        from py3langid import classify

        for at in np.flatnonzero(self._wanted[self._next : self._next + len(contents)]).tolist():
            head = f"{titles[at]}\n{contents[at][:LANGUAGE_CHARS]}"[:LANGUAGE_CHARS]
            if len(head.strip()) >= LANGUAGE_MIN_CHARS:
                self.detected[self._next + at] = str(classify(head)[0])
        self._next += len(contents)

    def table(self, overall: Floats) -> dict[str, Json]:
        """Return the table of languages as declared, or as detected where none is, and where the two disagree.

        Args:
            overall: (n,) overall scores, NaN where one is missing.

        Returns:
            Fields of `Languages`.
        """
        return _languages(self._ids, self.declared, self.detected, overall)


def _languages(ids: list[str], declared: list[str], detected: list[str], overall: Floats) -> dict[str, Json]:
    odd = [at for at in range(len(ids)) if declared[at] and detected[at] and not same_language(declared[at], detected[at])]
    pairs = Counter((declared[at], detected[at]) for at in odd)
    return {
        "table": table([ours or theirs for ours, theirs in zip(declared, detected, strict=True)], overall),
        "undeclared": sum(not language for language in declared),
        "compared": sum(bool(a and b) for a, b in zip(declared, detected, strict=True)),
        "disagree": len(odd),
        "disagreements": [
            {"declared": ours, "detected": theirs, "n": count}
            for (ours, theirs), count in sorted(pairs.items(), key=lambda each: (-each[1], each[0]))[:10]
        ],
        "examples": sorted(ids[at] for at in odd)[:EXAMPLES],
    }
