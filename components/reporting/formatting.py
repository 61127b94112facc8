"""Numbers and metrics in plain words, shared by the page and the Markdown.

A missing or NaN number is an en dash everywhere: the report never shows a number that nobody measured.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from distillery.components.reporting.context import Context

NONE = "–"


class Metric(NamedTuple):
    title: str
    plain: str
    percent: bool = False


METRICS: dict[str, Metric] = {
    "mae": Metric("Mean error (MAE)", "average distance between student and oracle over all dimensions, in points of 10"),
    "rmse": Metric("Root mean square error", "like the mean error, but large misses weigh more"),
    "overall_mae": Metric("Error of the overall score", "average distance between the two overall scores"),
    "overall_rmse": Metric("RMSE of the overall score", "like its mean error, but large misses weigh more"),
    "bias": Metric("Bias", "how far the student's overall scores lie off the oracle's on average, all in one direction"),
    "spearman": Metric("Rank correlation", "1: student and oracle put the articles in the same order; 0: no relation"),
    "tier_agreement": Metric("Tier agreement", "share of articles that both put in the same tier", True),
    "score_compression": Metric("Spread kept", "spread of the student's scores over the oracle's; low: it hugs the middle"),
    "train_val_gap": Metric("Gap from training to validation", "how much worse it does on articles it did not train on", True),
    "val_test_gap": Metric("Gap from validation to test", "how much worse it does on the frozen test part", True),
    "tier_recall": Metric("Recall of tier", "share of the oracle's articles of this tier that the student finds", True),
    "tier_precision": Metric("Precision of tier", "share of the student's articles of this tier that belong there", True),
    "dimension_mae": Metric("Error of a dimension", "mean error of one dimension; without a name, of the worst one"),
    "dimension_spearman": Metric("Rank correlation of a dimension", "1: same order as the oracle; 0: no relation"),
    "skill": Metric("Skill over a baseline", "how much closer to the oracle than the baseline; 0: no better", True),
    "mae_vs_incumbent": Metric("Change against the adapter in use", "new mean error less the old; negative is better"),
    "mae_vs_noise_floor": Metric("Above the oracle's own noise", "mean error less what the oracle differs from itself"),
    "alarms": Metric("No alarms", "signs that the benchmark itself can't be trusted"),
    "articles": Metric("Test articles", "articles the student is judged on"),
}

BASELINES = {
    "mean": "always the average score",
    "median": "always the median score",
    "source_median": "median of the article's source",
    "tfidf_ridge": "word counts, TF-IDF ridge",
}


def value_of(value: object) -> float | None:
    """A finite number, or None for anything else (null, NaN, text)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def number(value: object, digits: int = 2, *, percent: bool = False, signed: bool = False) -> str:
    """A number for people: `digits` decimals, thousands separated, a true minus sign; NONE where there is none."""
    found = value_of(value)
    if found is None:
        return NONE
    scaled, places = (found * 100, max(digits - 2, 0)) if percent else (found, digits)
    text = f"{scaled:+,.{places}f}" if signed else f"{scaled:,.{places}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−") + ("%" if percent else "")


def count(value: object) -> str:
    return number(value, 0)


def interval_of(value: object) -> tuple[float, float] | None:
    """(low, high) of an interval, None unless both ends are numbers."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = value_of(value[0]), value_of(value[1])
    return None if low is None or high is None else (low, high)


def span(value: object, digits: int = 2, *, percent: bool = False) -> str:
    found = interval_of(value)
    return NONE if found is None else " to ".join(number(end, digits, percent=percent) for end in found)


def words(name: object) -> str:
    """`technology_readiness_level` → `technology readiness level`."""
    return re.sub(r"[_\s]+", " ", str(name)).strip()


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def duration(seconds: object) -> str:
    found = value_of(seconds)
    if found is None:
        return NONE
    if found < 60:
        return f"{found:.1f} s" if found < 10 else f"{found:.0f} s"
    minutes, rest = divmod(round(found), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def metric(rule: Mapping[str, Any]) -> Metric:
    """A gate rule's metric with its argument: `Recall of tier high`."""
    name, argument = str(rule.get("metric") or "rule"), rule.get("argument")
    known = METRICS.get(name, Metric(capital(words(name)), ""))
    dimension = {"dimension_mae": "Error of", "dimension_spearman": "Rank correlation of"}.get(name)
    if dimension:
        return known._replace(title=f"{dimension} {words(argument) if argument else 'the worst dimension'}")
    if not argument:
        return known
    if name == "skill":
        return known._replace(title=f"Skill over: {BASELINES.get(str(argument), words(argument))}")
    return known._replace(title=f"{known.title} {words(argument)}")


def decision(context: Context) -> str:
    """What became of the run: failed, promoted, approve, reject, passed, audited, or unfinished."""
    if context.failure:
        return "failed"
    if context.promoted:
        return "promoted"
    if context.verdict:
        told = str(context.verdict.get("decision") or "")
        return {"approve": "approve", "reject": "reject"}.get(told, "passed" if context.verdict.get("passed") else "reject")
    return "audited" if context.audit and not context.benchmark else "unfinished"


HEADLINES = {
    "promoted": "Promoted",
    "approve": "Waiting for approval",
    "passed": "Passed",
    "reject": "Not promoted",
    "failed": "Stopped",
    "audited": "Data audited",
    "unfinished": "Unfinished",
}


def sorted_baselines(benchmark: Mapping[str, Any] | None) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, figures) of the baselines that have a mean error, nearest to the oracle first."""
    rows = [
        (name, row)
        for name, row in ((benchmark or {}).get("baselines") or {}).items()
        if row and value_of(row.get("mae")) is not None
    ]
    return sorted(rows, key=lambda item: (float(item[1]["mae"]), item[0]))


def best_baseline(benchmark: Mapping[str, Any] | None) -> tuple[str, float] | None:
    """(name, MAE) of the baseline nearest to the oracle."""
    return next(((name, float(row["mae"])) for name, row in sorted_baselines(benchmark)), None)


def gain(mae: object, other: object) -> float | None:
    """How much smaller `mae` is than `other`, as a share of it."""
    ours, theirs = value_of(mae), value_of(other)
    return None if ours is None or not theirs else 1 - ours / theirs


def _evidence(context: Context) -> str:
    benchmark = context.benchmark or {}
    mae = value_of(benchmark.get("mae"))
    if mae is None:
        return ""
    text = (
        f"on {count(benchmark.get('n'))} articles it has never seen, the student is on average "
        f"{number(mae)} points of 10 from the oracle"
    )
    best = best_baseline(benchmark)
    share = gain(mae, best[1]) if best else None
    if best and share is not None:
        side = "closer than" if share >= 0 else "further off than"
        text += (
            f", {number(abs(share), percent=True)} {side} the best simple baseline ({BASELINES.get(best[0], words(best[0]))})"
        )
    return text


def _misses(context: Context) -> str:
    rules = list((context.verdict or {}).get("rules") or [])
    failing = [rule for rule in rules if rule.get("verdict") not in ("pass", "not applicable")]
    if not failing:
        return "the gates say no"
    first = metric(failing[0])
    told = f"{first.title[:1].lower()}{first.title[1:]} is {number(failing[0].get('value'), percent=first.percent)}"
    if failing[0].get("metric") == "alarms":
        told = str(failing[0].get("reason"))[:200]
    more = f", and {len(failing) - 1} more" if len(failing) > 1 else ""
    return f"{len(failing)} of {len(rules)} gates failed ({told}{more})"


def sentence(context: Context) -> str:
    """The verdict in one plain sentence that begins with its headline, for somebody who reads nothing else."""
    state, evidence = decision(context), _evidence(context)
    tail = f": {evidence}." if evidence else "."
    if state == "failed":
        message = str((context.failure or {}).get("message") or "no message").strip().splitlines()[0][:400]
        step = (context.failure or {}).get("step")
        return f"Stopped{f' at step {step}' if step else ''}: {message.rstrip('.')}."
    if state == "promoted":
        return f"Promoted to {(context.promoted or {}).get('channel') or context.flt.spec.promotion.channel}{tail}"
    if state == "approve":
        return f"Waiting for approval, all gates passed{tail}"
    if state == "passed":
        return f"Passed all gates{tail}"
    if state == "reject":
        return f"Not promoted, {_misses(context)}" + (f"; {evidence}." if evidence else ".")
    if state == "audited":
        rows = count((context.audit or {}).get("rows", (context.label_set or {}).get("rows")))
        return f"Data audited: {rows} labelled articles; no student was judged in this run."
    return f"Unfinished, no verdict yet{tail}"
