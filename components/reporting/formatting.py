"""Numbers, metrics and the verdict in plain words, shared by the page and the Markdown.

A missing number is an en dash everywhere: the report never shows a number that nobody measured.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from distillery.components.artifacts.benchmark import BaselineFigures, Benchmark, IncumbentFigures
from distillery.components.artifacts.run_summary import Failure
from distillery.components.reporting.context import Context, Held

NONE = "–"


class Metric(NamedTuple):
    """A metric in plain words.

    Attributes:
        title: what it is called.
        plain: what it measures.
        percent: True if it is shown in percent.
    """

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
    "accuracy": Metric("Scores within one point", "share of dimension scores that lie within one point of the oracle's", True),
    "no_overfitting": Metric("No overfitting", "rise of the validation error after the kept epoch, in standard errors"),
    "memory_mb": Metric("Memory to score", "worked out from the base model, in MB"),
    "latency_ms": Metric("Time for one article", "from text to scores, as measured on a machine, in milliseconds"),
    "alarms": Metric("No alarms", "signs that the benchmark itself can't be trusted"),
    "articles": Metric("Test articles", "articles the student is judged on"),
}

BASELINES = {
    "mean": "always the average score",
    "median": "always the median score",
    "source_median": "median of the article's source",
    "tfidf_ridge": "word counts, TF-IDF ridge",
}


def number(value: float | None, digits: int = 2, *, percent: bool = False, signed: bool = False) -> str:
    """Return a number for people: thousands separated, with a true minus sign.

    Args:
        value: any finite number; None where nobody measured it.
        digits: decimals of the value itself; in percent, two fewer are shown.
        percent: True if it is shown in percent.
        signed: True if a number above 0 gets a plus.

    Returns:
        The number; an en dash for None.
    """
    if value is None:
        return NONE
    scaled, places = (value * 100, max(digits - 2, 0)) if percent else (float(value), digits)
    text = f"{scaled:+,.{places}f}" if signed else f"{scaled:,.{places}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−") + ("%" if percent else "")


def count(value: float | None) -> str:
    """Return a number as a whole one, thousands separated.

    Args:
        value: the number; None where nobody counted.

    Returns:
        The number; an en dash for None.
    """
    return number(value, 0)


def span(interval: tuple[float, float] | None, digits: int = 2, *, percent: bool = False) -> str:
    """Return an interval for people, such as "0.71 to 0.86".

    Args:
        interval: its lower and upper end; None where there is none.
        digits: decimals, as in `number`.
        percent: True if it is shown in percent.

    Returns:
        Both ends; an en dash for None.
    """
    return NONE if interval is None else " to ".join(number(end, digits, percent=percent) for end in interval)


def words(name: str) -> str:
    """Return a name as words: `technology_readiness_level` as "technology readiness level".

    Args:
        name: of a dimension, tier, metric or field.

    Returns:
        The name with spaces in place of underscores.
    """
    return re.sub(r"[_\s]+", " ", name).strip()


def capital(text: str) -> str:
    """Return a text with a capital first letter.

    Args:
        text: the text.

    Returns:
        The text, the rest of it as it was.
    """
    return text[:1].upper() + text[1:]


def duration(seconds: float | None) -> str:
    """Return a time for people, such as "9.5 s", "4 min 32 s" or "2 h 05 min".

    Args:
        seconds: the time; None where nobody measured it.

    Returns:
        The time; an en dash for None.
    """
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def metric(name: str, argument: str | None) -> Metric:
    """Return a gate's metric in plain words, such as "Recall of tier high".

    Args:
        name: of the metric.
        argument: the tier, dimension or baseline that narrows it; None for none.

    Returns:
        The metric; one that has no words here is shown by its name.
    """
    known = METRICS.get(name, Metric(capital(words(name)), ""))
    dimension = {"dimension_mae": "Error of", "dimension_spearman": "Rank correlation of"}.get(name)
    if dimension:
        return known._replace(title=f"{dimension} {words(argument) if argument else 'the worst dimension'}")
    if not argument:
        return known
    if name == "skill":
        return known._replace(title=f"Skill over: {baseline_words(argument)}")
    return known._replace(title=f"{known.title} {words(argument)}")


def baseline_words(name: str) -> str:
    """Return a baseline in plain words.

    Args:
        name: of the baseline.

    Returns:
        What it does; its name where there are no words for it.
    """
    return BASELINES.get(name, words(name))


class Predictor(NamedTuple):
    """The student, the adapter in use or a baseline, as one row of a table.

    Attributes:
        name: in plain words.
        kind: "student", "incumbent", or "" for a baseline.
        path: dotted path of its figures in the benchmark, below which their intervals lie.
        mae: mean error over all dimensions, in points of 10.
        overall_mae: mean error of the overall score.
        rmse: root mean square error; None where it was not measured.
        tier_agreement: share of articles in the same tier; None where it was not measured.
    """

    name: str
    kind: str
    path: str
    mae: float | None
    overall_mae: float | None
    rmse: float | None
    tier_agreement: float | None


def predictors(benchmark: Benchmark) -> list[Predictor]:
    """Return the rows of the table that shows the student beside baselines.

    Args:
        benchmark: of the student.

    Returns:
        The student, the adapter in use where there is one, and the baselines that have a mean error, lowest first.
    """
    rows = [_predictor("This student", "student", "", benchmark)]
    if benchmark.incumbent:
        rows.append(_predictor("Adapter in use", "incumbent", "incumbent.", benchmark.incumbent))
    return rows + [
        _predictor(capital(baseline_words(name)), "", f"baselines.{name}.", row) for name, row in benchmark.ranked_baselines()
    ]


def _predictor(name: str, kind: str, path: str, figures: Benchmark | IncumbentFigures | BaselineFigures) -> Predictor:
    rmse, agreement = (None, None) if isinstance(figures, IncumbentFigures) else (figures.rmse, figures.tier_agreement)
    return Predictor(name, kind, path, figures.mae, figures.overall_mae, rmse, agreement)


def decision(context: Context) -> str:
    """Return what became of the run.

    Args:
        context: the run.

    Returns:
        A key of `HEADLINES`.
    """
    if context.failure:
        return "failed"
    if context.promoted:
        return "promoted"
    if context.held:
        return "held"
    if context.verdict:
        if context.verdict.decision != "promote":
            return context.verdict.decision
        return "passed" if context.verdict.passed else "reject"
    return "audited" if context.audit and not context.benchmark else "unfinished"


HEADLINES = {
    "promoted": "Promoted",
    "held": "Held back",
    "approve": "Waiting for approval",
    "passed": "Passed",
    "reject": "Not promoted",
    "failed": "Stopped",
    "audited": "Data audited",
    "unfinished": "Unfinished",
}


def stopped(failure: Failure) -> str:
    """Return why a run stopped, as one sentence.

    Args:
        failure: that ended it.

    Returns:
        The step, where it is known, and the first line of its message.
    """
    message = (failure.message.strip() or "no message").splitlines()[0][:400]
    return f"Stopped{f' at step {failure.step}' if failure.step else ''}: {message.rstrip('.')}."


def goes_on(again: str) -> str:
    """Return what becomes of the finished steps of a run that stopped.

    Args:
        again: What goes on with it: "command", "submission".

    Returns:
        A hint, without a full stop.
    """
    return f"nothing is lost: the same {again} goes on from the last finished step"


def gain(mae: float | None, other: float | None) -> float | None:
    """Return how much smaller a mean error is than another.

    Args:
        mae: the one, in points.
        other: the other, in points.

    Returns:
        The difference as a share of the other; None where either is not known or the other is 0.
    """
    return None if mae is None or not other else 1 - mae / other


def _evidence(benchmark: Benchmark | None) -> str:
    if benchmark is None or benchmark.mae is None:
        return ""
    text = (
        f"on {count(benchmark.n)} articles it has never seen, the student is on average "
        f"{number(benchmark.mae)} points of 10 from the oracle"
    )
    best = benchmark.best_baseline()
    share = gain(benchmark.mae, best[1]) if best else None
    if best and share is not None:
        side = "closer than" if share >= 0 else "further off than"
        text += f", {number(abs(share), percent=True)} {side} the best simple baseline ({baseline_words(best[0])})"
    return text


def _misses(context: Context) -> str:
    rules = context.verdict.rules if context.verdict else []
    failing = [rule for rule in rules if rule.verdict == "fail"]
    if not failing:
        return "the gates say no"
    first, known = failing[0], metric(failing[0].metric, failing[0].argument)
    reason = f"{known.title[:1].lower()}{known.title[1:]} is {number(first.value, percent=known.percent)}"
    if first.metric == "alarms":
        reason = first.reason[:200]
    more = f", and {len(failing) - 1} more" if len(failing) > 1 else ""
    return f"{len(failing)} of {len(rules)} gates failed ({reason}{more})"


def _doubts(context: Context) -> str:
    """Return which gates a person must decide on; "" for none."""
    rules = context.verdict.reviews if context.verdict else []
    names = [metric(rule.metric, rule.argument).title for rule in rules]
    named = ", ".join(name[:1].lower() + name[1:] for name in names[:3])
    named += f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"no gate failed, and a person must decide on {named}" if names else ""


def _word(held: Held) -> str:
    """Return the person's word that holds an adapter back."""
    channel, reason = held.channel or "its channel", f" ({held.reason})" if held.reason else ""
    words = {"blocked": f"{channel} was rolled back from this adapter", "refused": f"this adapter was refused for {channel}"}
    words["superseded"] = f"{channel} is to have something else by now"
    return f"since {words.get(held.why, f'{channel} is pinned')}, by {held.by or 'somebody'} at {held.at}{reason}"


def losses(context: Context) -> list[str]:
    """Return in what a student that passed its gates is not shown to be better.

    Args:
        context: the run.

    Returns:
        Parts of a sentence; none for one that didn't pass, or is ahead.
    """
    passed = decision(context) in ("promoted", "held", "approve", "passed")
    return context.benchmark.losses() if passed and context.benchmark else []


def sentence(context: Context) -> str:
    """Return the verdict in one plain sentence, for somebody who reads nothing else.

    Args:
        context: the run.

    Returns:
        One sentence that begins with its headline.
    """
    state, evidence = decision(context), _evidence(context.benchmark)
    tail = f": {evidence}." if evidence else "."
    if context.failure:
        return stopped(context.failure)
    if lost := losses(context):
        tail = f", though it is {' and '.join(lost)}{tail}"
    if context.promoted:
        return f"Promoted to {context.promoted.channel or context.flt.spec.promotion.channel}{tail}"
    if context.held:
        return f"Held back, {_word(context.held)}; all gates passed{tail}"
    if state == "approve":
        return f"Waiting for approval, {_doubts(context) or 'all gates passed'}{tail}"
    if state == "passed":
        return f"Passed all gates{tail}"
    if state == "reject":
        return f"Not promoted, {_misses(context)}" + (f"; {evidence}." if evidence else ".")
    if state == "audited" and context.audit:
        return f"Data audited: {count(context.audit.rows)} labelled articles; no student was judged in this run."
    return f"Unfinished, no verdict yet{tail}"
