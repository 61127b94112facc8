"""The sections about the student: gates, errors, tiers, baselines, truth, learning, score curves.

Each function takes the run and returns what its template shows, or None where the run left nothing to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distillery.components.artifacts.benchmark import Confusion, IncumbentFigures
from distillery.components.artifacts.content_caps import Found, caps_told
from distillery.components.reporting import svg as figures
from distillery.components.reporting.context import Context
from distillery.components.reporting.epochs import dimension_rows, shown_epochs
from distillery.components.reporting.formatting import gain, metric, number, predictors, span, words
from distillery.components.reporting.gate_rules import SHOWN, above, demand

View = dict[str, Any]
ALARMS = 20
COLUMNS = 40  # epochs in the table of dimensions


def top_of(values: Sequence[float | None], intervals: Sequence[tuple[float, float] | None] = ()) -> float:
    """Return the end of an axis that figures share.

    Args:
        values: what is drawn on it, None for what is not known.
        intervals: drawn on it, too.

    Returns:
        The largest value or interval end, with some room.
    """
    ends = [end for interval in intervals if interval for end in interval]
    return max((x for x in (*values, *ends) if x is not None), default=1.0) * 1.06 or 1.0


def gates(context: Context) -> View | None:
    """Return the rules of the filter with the student's values, failed ones first.

    Args:
        context: the run.

    Returns:
        What the template shows; None where there is no verdict.
    """
    if context.verdict is None or not context.verdict.rules:
        return None
    rows = []
    for rule in context.verdict.rules:
        known, needed = metric(rule.metric, rule.argument), demand(rule)
        digits = 3  # at two a value of 0.797 would read as the bound 0.80 it stays below
        figure = figures.bullet(
            rule.value,
            rule.bound,
            above=above(rule),
            interval=rule.interval,
            good=rule.verdict != "fail",
            title=f"{known.title}: {number(rule.value, digits, percent=known.percent)}, "
            f"95% interval {span(rule.interval, digits, percent=known.percent)}, must be {needed}: {SHOWN[rule.verdict]}",
        )
        rows.append(
            {
                "rule": rule,
                "metric": known,
                "digits": digits,
                "demand": needed,
                "shown": SHOWN[rule.verdict],
                "order": [*SHOWN].index(rule.verdict),
                "figure": "" if rule.metric == "alarms" else figure,
            }
        )
    failing = sum(rule.verdict == "fail" for rule in context.verdict.rules)
    alarms = context.benchmark.alarms[:ALARMS] if context.benchmark else []
    return {
        "rows": rows,
        "failing": failing,
        "doubtful": len(context.verdict.reviews),
        "total": len(rows),
        "alarms": alarms,
    }


def errors(context: Context) -> View | None:
    """Return the errors of each dimension, with the gate and the oracle's own noise, and the scatter plots.

    Args:
        context: the run.

    Returns:
        What the template shows; None where no student was judged.
    """
    bench = context.benchmark
    if bench is None or not bench.dimensions:
        return None
    gate = next((g.below for g in context.flt.spec.gates if g.metric == "dimension_mae" and g.dimension is None), None)
    weights = {dimension.name: dimension.weight for dimension in context.flt.spec.dimensions}
    floor = bench.noise.dimensions if bench.noise else {}
    intervals = {name: bench.interval(f"dimensions.{name}.mae") for name in bench.dimensions}
    maes = [row.mae for row in bench.dimensions.values()]
    top = top_of([*maes, gate, *floor.values()], list(intervals.values()))
    rows = []
    for name, row in context.by_dimension(bench.dimensions):
        interval, noise = intervals[name], floor.get(name)
        against_itself = "" if noise is None else f", oracle against itself {number(noise)}"
        title = f"{words(name)}: mean error {number(row.mae)}, 95% interval {span(interval)}{against_itself}"
        rows.append(
            {
                "name": words(name),
                "weight": weights.get(name),
                "errors": row,
                "interval": interval,
                "noise": noise,
                "figure": figures.dot(row.mae, top=top, interval=interval, bound=gate, other=noise, title=title),
            }
        )
    return {
        "rows": rows,
        "axis": figures.axis(top),
        "gate": gate,
        "noise": bench.noise,
        "n": bench.n,
        "scatters": _scatters(context),
        "dense": any(len(labels) >= figures.HEX_FROM for labels, _ in (context.predictions or {}).values()),
    }


def _scatters(context: Context) -> list[View]:
    return [
        {
            "name": words(name),
            "figure": figures.scatter(
                labels, predictions, f"{words(name)}: oracle's score across, student's score up, {len(labels)} articles"
            ),
        }
        for name, (labels, predictions) in context.by_dimension(context.predictions or {})
    ]


def tiers(context: Context) -> View | None:
    """Return recall and precision of each tier, and which tier was taken for which.

    Args:
        context: the run.

    Returns:
        What the template shows; None where no student was judged.
    """
    bench = context.benchmark
    if bench is None:
        return None
    rows = []
    for name, row in context.by_tier(bench.tiers):
        shares = {}
        for kind, value in (("recall", row.recall), ("precision", row.precision)):
            interval = bench.interval(f"tiers.{name}.{kind}")
            title = f"{kind} of {words(name)}: {number(value, percent=True)}, 95% interval {span(interval, percent=True)}"
            figure = figures.dot(value, top=1.0, interval=interval, title=title)
            shares[kind] = {"value": value, "interval": interval, "figure": figure}
        rows.append({"name": words(name), "labelled": row.labelled, "predicted": row.predicted, **shares})
    return {
        "rows": rows,
        "names": [words(name) for name in bench.confusion.tiers],
        "heat": _heat(bench.confusion),
        "axis": figures.axis(1.0),
        "caps": caps_told(context.flt, context.caps, head=context.types is not None),
        "types": named_types(context),
        "agreement": bench.tier_agreement,
        "interval": bench.interval("tier_agreement"),
    }


def named_types(context: Context) -> list[tuple[str, Found]]:
    """Return how well the student names content types, and finds what they cap.

    Args:
        context: the run.

    Returns:
        (words, figures) pairs; none for a student that names no types.
    """
    head = context.caps.head if context.caps else None
    return [] if head is None else [*((words(name), found) for name, found in head.types.items()), ("capped", head.capped)]


def _heat(confusion: Confusion) -> list[tuple[str, list[View]]]:
    """Return the rows of the confusion matrix, each cell with its share of the row."""
    rows = []
    for i, (name, counts) in enumerate(zip(confusion.tiers, confusion.matrix, strict=False)):
        shares = [n / sum(counts) if sum(counts) else None for n in counts]
        cells = [
            {"n": n, "share": share, "shade": round(share or 0.0, 3), "same": i == j}
            for j, (n, share) in enumerate(zip(counts, shares, strict=True))
        ]
        rows.append((words(name), cells))
    return rows


def baselines(context: Context) -> View | None:
    """Return the student beside simple baselines and the adapter in use.

    Args:
        context: the run.

    Returns:
        What the template shows; None where no baseline was measured.
    """
    bench = context.benchmark
    if bench is None or bench.mae is None or not bench.baselines:
        return None
    entries = [
        (row, bench.interval(f"{row.path}mae")) for row in predictors(bench) if row.kind != "incumbent" or row.mae is not None
    ]
    top = top_of([row.mae for row, _ in entries], [interval for _, interval in entries])
    rows = [
        {
            "predictor": row,
            "interval": interval,
            "gain": None if row.kind == "student" else gain(bench.mae, row.mae),
            "gain_interval": bench.interval(f"{row.path}skill"),
            "figure": figures.bar(
                row.mae,
                top=top,
                interval=interval,
                kind=row.kind,
                title=f"{row.name}: mean error {number(row.mae)}, 95% interval {span(interval)}",
            ),
        }
        for row, interval in entries
    ]
    return {"rows": rows, "axis": figures.axis(top), "incumbent": _incumbent(bench.incumbent)}


def _incumbent(incumbent: IncumbentFigures | None) -> View | None:
    if incumbent is None:
        return None
    difference, interval = incumbent.difference, incumbent.interval
    reach = max((abs(x) for x in (difference, *(interval or ())) if x is not None), default=0.1) * 1.15 or 0.1
    sign = "better" if interval and interval[1] < 0 else "worse" if interval and interval[0] > 0 else "even"
    return {
        "figures": incumbent,
        "sign": sign,
        "axis": figures.axis(reach, -reach),
        "figure": figures.dot(
            difference,
            top=reach,
            bottom=-reach,
            interval=interval,
            kind="bad" if sign == "worse" else "plain",
            title=f"change in mean error {number(difference, 3, signed=True)}, interval {span(interval, 3)}; below 0 is better",
        ),
    }


def truth(context: Context) -> View | None:
    """Return how far student and oracle are from the true scores.

    Args:
        context: the run.

    Returns:
        What the template shows; None where nobody knows a true score.
    """
    reference = context.benchmark.reference if context.benchmark else None
    if reference is None:
        return None
    dimensions = context.by_dimension(reference.dimensions)
    top = top_of([mae for _, row in dimensions for mae in (row.student_mae, row.label_mae)])
    rows = [
        {
            "name": words(name),
            "errors": row,
            "figure": figures.dot(
                row.student_mae,
                other=row.label_mae,
                top=top,
                title=f"{words(name)}: student {number(row.student_mae)}, oracle {number(row.label_mae)} off",
            ),
        }
        for name, row in dimensions
    ]
    return {"reference": reference, "rows": rows, "axis": figures.axis(top)}


def learning(context: Context) -> View | None:
    """Return loss and error by epoch, and the error on the three parts of the labels.

    Args:
        context: the run.

    Returns:
        What the template shows; None where there is no history.
    """
    if context.history is None or not context.history.epochs:
        return None
    epochs, best = context.history.epochs, context.history.best_epoch
    xs, maes = [epoch.epoch for epoch in epochs], [epoch.validation_mae for epoch in epochs]
    losses, rmses = [epoch.train_loss for epoch in epochs], [epoch.validation_rmse for epoch in epochs]
    error = [("RMSE", rmses, "other"), ("MAE", maes, "student")]
    return {
        "best": best,
        "epochs": epochs,
        "loss": figures.lines([("", losses, "student")], xs, "training loss by epoch", across="epoch", best=best),
        "error": figures.lines(error, xs, "validation error by epoch", across="epoch", best=best),
        "parts": _parts(context),
        "dimensions": _learning_by_dimension(context),
        "columns": (columns := shown_epochs(context, COLUMNS)),
        "errors": [{"name": words(row.name), "errors": row.errors} for row in dimension_rows(context, columns)],
    }


def _learning_by_dimension(context: Context) -> list[View]:
    """Return train and validation error of each dimension by epoch; none where the training did not keep them."""
    history = context.history
    kept = [epoch for epoch in history.epochs if epoch.dimensions] if history else []
    if history is None or not kept:
        return []
    rows = []
    for name, _ in context.by_dimension(kept[-1].dimensions or {}):
        known = [(epoch.epoch, epoch.dimensions[name]) for epoch in kept if epoch.dimensions and name in epoch.dimensions]
        series = [
            ("validation", [row.validation for _, row in known], "other"),
            ("train", [row.train for _, row in known], "student"),
        ]
        title = f"{words(name)}: train and validation error by epoch"
        xs = [float(epoch) for epoch, _ in known]
        rows.append({"name": words(name), "figure": figures.lines(series, xs, title, across="epoch", best=history.best_epoch)})
    return rows


def _parts(context: Context) -> list[tuple[str, float | None, float | None, str]]:
    """Return the error on each part of the labels: (name, error, change from the row above, what it is).

    The student serves with its score curves where they were kept, so the test error stands beside the corrected validation's.
    """
    benchmark, student = context.benchmark, context.student
    judged, curves = benchmark or student, context.score_curves or (benchmark.score_curves if benchmark else None)
    rows = [
        ("Training", judged.train_mae if judged else None, "articles it learned from"),
        ("Validation", judged.validation_mae if judged else None, "articles that chose the epoch"),
        ("Test", benchmark.mae if benchmark else None, "frozen, never seen"),
    ]
    if curves and curves.kept:
        rows.insert(2, ("Validation, corrected", curves.validation_mae_calibrated, "the same, through the score curves"))
    parts = list[tuple[str, float | None, float | None, str]]()
    above: float | None = None
    for name, error, note in rows:
        parts.append((name, error, error / above - 1 if error is not None and above else None, note))
        above = error
    return parts


def score_curves(context: Context) -> View | None:
    """Return the score curves, whether they were kept, and the validation error with and without them.

    Args:
        context: the run.

    Returns:
        What the template shows; None where neither bundle nor benchmark says anything of them.
    """
    judged = context.score_curves or (context.benchmark.score_curves if context.benchmark else None)
    if judged is None or judged.kept is None:
        return None
    curves = context.score_curves.dimensions if context.score_curves else {}
    return {
        "kept": judged.kept,
        "without": judged.validation_mae_raw,
        "with_curves": judged.validation_mae_calibrated,
        "curves": [
            {
                "name": words(name),
                "figure": figures.score_curve(
                    curve.x, curve.y, f"{words(name)}: the student's raw score across, the corrected score up"
                ),
            }
            for name, curve in context.by_dimension(curves)
        ],
    }


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [
    ("gates", "Gates", gates),
    ("errors", "Error by dimension", errors),
    ("tiers", "Tiers", tiers),
    ("baselines", "Beside simple baselines", baselines),
    ("truth", "Against the true scores", truth),
    ("learning", "Learning", learning),
    ("score_curves", "Score curves", score_curves),
]
