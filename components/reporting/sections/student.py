"""The sections about the student: gates, errors, tiers, baselines, truth, learning, calibration.

Each function takes the context and returns what its template shows, or None where the run left nothing to show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distillery.components.reporting import svg as figures
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import (
    BASELINES,
    capital,
    gain,
    interval_of,
    metric,
    number,
    sorted_baselines,
    span,
    value_of,
    words,
)
from distillery.components.reporting.gate_rules import SHOWN, above, demand, state

View = dict[str, Any]
ALARMS = 20


def bench(context: Context) -> Mapping[str, Any]:
    return context.benchmark or {}


def _intervals(context: Context) -> Mapping[str, Any]:
    return bench(context).get("intervals") or {}


def top_of(rows: Sequence[tuple[object, object]], *more: object) -> float:
    """The end of a shared axis: the largest value or interval end, with some room."""
    ends = [high for _, interval in rows if (found := interval_of(interval)) for high in found]
    known = [x for x in (*(value for value, _ in rows), *ends, *more) if value_of(x) is not None]
    return max((float(x) for x in known), default=1.0) * 1.06 or 1.0  # type: ignore[arg-type]


def gates(context: Context) -> View | None:
    rules = (context.verdict or {}).get("rules")
    if not rules:
        return None
    rows = []
    for rule in rules:
        told, found = metric(rule), state(rule)
        interval, needed = rule.get("interval"), demand(rule, percent=told.percent)
        digits = 3  # at two a value of 0.797 would read as the bound 0.80 it stays below
        value = number(rule.get("value"), digits, percent=told.percent)
        figure = figures.bullet(
            rule.get("value"),
            rule.get("bound"),
            above=above(rule),
            interval=interval,
            good=found != "fail",
            title=f"{told.title}: {value}, 95% interval {span(interval, digits, percent=told.percent)}, "
            f"must be {needed}: {SHOWN[found]}",
        )
        rows.append(
            {
                **rule,
                **told._asdict(),
                "digits": digits,
                "demand": needed,
                "state": found,
                "shown": SHOWN[found],
                "order": ("fail", "pass", "not applicable").index(found),
                "figure": "" if rule.get("metric") == "alarms" else figure,
            }
        )
    failing = sum(row["state"] == "fail" for row in rows)
    return {"rows": rows, "failing": failing, "total": len(rows), "alarms": (bench(context).get("alarms") or [])[:ALARMS]}


def errors(context: Context) -> View | None:
    found = bench(context).get("dimensions")
    if not found:
        return None
    intervals = _intervals(context)
    gate = next((g.below for g in context.flt.spec.gates if g.metric == "dimension_mae" and g.dimension is None), None)
    spec = {dimension.name: dimension for dimension in context.flt.spec.dimensions}
    names = [name for name in spec if name in found] + [name for name in found if name not in spec]
    ends = [((found[name] or {}).get("mae"), intervals.get(f"dimensions.{name}.mae")) for name in names]
    floor = (bench(context).get("noise") or {}).get("dimensions") or {}
    top = top_of(ends, gate, *floor.values())
    rows = []
    for name, (mae, interval) in zip(names, ends, strict=True):
        row, noise = found[name] or {}, floor.get(name)
        told = f", oracle against itself {number(noise)}" if value_of(noise) is not None else ""
        rows.append(
            {
                "name": words(name),
                "weight": spec[name].weight if name in spec else None,
                "description": spec[name].description if name in spec else "",
                "interval": interval,
                "noise": noise,
                **row,
                "figure": figures.dot(
                    mae,
                    top=top,
                    interval=interval,
                    bound=gate,
                    other=noise,
                    title=f"{words(name)}: mean error {number(mae)}, 95% interval {span(interval)}{told}",
                ),
            }
        )
    return {
        "rows": rows,
        "axis": figures.axis(top),
        "gate": gate,
        "noise": bench(context).get("noise"),
        "n": bench(context).get("n"),
        "scatters": _scatters(context),
        "dense": _dense(context),
    }


def _scatters(context: Context) -> list[View]:
    return [
        {
            "name": words(name),
            "figure": figures.scatter(
                labels, predictions, f"{words(name)}: oracle's score across, student's score up, {len(labels)} articles"
            ),
        }
        for name, (labels, predictions) in (context.predictions or {}).items()
    ]


def _dense(context: Context) -> bool:
    return any(len(labels) >= figures.HEX_FROM for labels, _ in (context.predictions or {}).values())


def tiers(context: Context) -> View | None:
    found, confusion = bench(context).get("tiers"), bench(context).get("confusion") or {}
    if not found and not confusion:
        return None
    intervals = _intervals(context)
    rows = []
    for name, row in (found or {}).items():
        shown = {}
        for kind in ("recall", "precision"):
            interval = intervals.get(f"tiers.{name}.{kind}")
            shown[kind] = {
                "value": row.get(kind),
                "interval": interval,
                "figure": figures.dot(
                    row.get(kind),
                    top=1.0,
                    interval=interval,
                    title=f"{kind} of {words(name)}: {number(row.get(kind), percent=True)}, "
                    f"95% interval {span(interval, percent=True)}",
                ),
            }
        rows.append({"name": words(name), "labelled": row.get("labelled"), "predicted": row.get("predicted"), **shown})
    matrix = confusion.get("matrix") or []
    names = [words(name) for name in confusion.get("tiers") or []]
    heat = [
        [
            {"n": n, "share": share, "shade": round(share or 0.0, 3), "same": i == j}
            for j, n in enumerate(row)
            for share in [_share(n, row)]
        ]
        for i, row in enumerate(matrix)
    ]
    return {
        "rows": rows,
        "names": names,
        "heat": list(zip(names, heat, strict=False)),
        "axis": figures.axis(1.0),
        "agreement": bench(context).get("tier_agreement"),
        "interval": intervals.get("tier_agreement"),
    }


def _share(n: object, row: Sequence[object]) -> float | None:
    total = sum(value_of(x) or 0.0 for x in row)
    found = value_of(n)
    return None if found is None or not total else found / total


def baselines(context: Context) -> View | None:
    found, incumbent = bench(context).get("baselines") or {}, bench(context).get("incumbent")
    ours = bench(context).get("mae")
    if not found or value_of(ours) is None:
        return None
    intervals = _intervals(context)
    entries: list[tuple[str, str, Mapping[str, Any], object, object]] = [
        ("This student", "student", bench(context), intervals.get("mae"), None)
    ]
    if incumbent and value_of(incumbent.get("mae")) is not None:
        entries.append(("Adapter in use", "incumbent", incumbent, intervals.get("incumbent.mae"), None))
    entries += [
        (
            capital(BASELINES.get(name, words(name))),
            "",
            row,
            intervals.get(f"baselines.{name}.mae"),
            intervals.get(f"baselines.{name}.skill"),
        )
        for name, row in sorted_baselines(bench(context))
    ]
    top = top_of([(row.get("mae"), interval) for _, _, row, interval, _ in entries])
    rows = [
        {
            "name": name,
            "kind": kind,
            "row": row,
            "interval": interval,
            "gain": None if kind == "student" else gain(ours, row.get("mae")),
            "gain_interval": skill,
            "figure": figures.bar(
                row.get("mae"),
                top=top,
                interval=interval,
                kind=kind,
                title=f"{name}: mean error {number(row.get('mae'))}, 95% interval {span(interval)}",
            ),
        }
        for name, kind, row, interval, skill in entries
    ]
    return {"rows": rows, "axis": figures.axis(top), "incumbent": _incumbent(incumbent)}


def _incumbent(incumbent: Mapping[str, Any] | None) -> View | None:
    if not incumbent:
        return None
    difference, interval = incumbent.get("difference"), interval_of(incumbent.get("interval"))
    reach = max((abs(x) for x in (value_of(difference), *(interval or ())) if x is not None), default=0.1) * 1.15 or 0.1
    sign = "better" if interval and interval[1] < 0 else "worse" if interval and interval[0] > 0 else "even"
    return {
        **incumbent,
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
    found = bench(context).get("reference")
    if not found:
        return None
    dimensions = found.get("dimensions") or {}
    both = [(row.get("student_mae"), None) for row in dimensions.values()]
    top = top_of(both, *(row.get("label_mae") for row in dimensions.values()))
    rows = [
        {
            "name": words(name),
            **row,
            "figure": figures.dot(
                row.get("student_mae"),
                other=row.get("label_mae"),
                top=top,
                title=f"{words(name)}: student {number(row.get('student_mae'))}, oracle {number(row.get('label_mae'))} off",
            ),
        }
        for name, row in dimensions.items()
    ]
    return {**found, "rows": rows, "axis": figures.axis(top)}


def learning(context: Context) -> View | None:
    epochs = (context.history or {}).get("epochs")
    if not epochs:
        return None
    best, xs = (context.history or {}).get("best_epoch"), [epoch.get("epoch") for epoch in epochs]

    def column(name: str) -> list[object]:
        return [epoch.get(name) for epoch in epochs]

    return {
        "best": best,
        "epochs": epochs,
        "loss": figures.lines([("", column("train_loss"), "student")], xs, "training loss by epoch", across="epoch", best=best),
        "error": figures.lines(
            [("RMSE", column("validation_rmse"), "other"), ("MAE", column("validation_mae"), "student")],
            xs,
            "validation error by epoch",
            across="epoch",
            best=best,
        ),
        "parts": [
            (name, bench(context).get(key, (context.student or {}).get(key)), note)
            for name, key, note in (
                ("Training", "train_mae", "articles it learned from"),
                ("Validation", "validation_mae", "articles that chose the epoch"),
                ("Test", "mae", "frozen, never seen"),
            )
        ],
        "train_val_gap": bench(context).get("train_val_gap"),
        "val_test_gap": bench(context).get("val_test_gap"),
    }


def calibration(context: Context) -> View | None:
    curves, told = (context.calibration or {}).get("dimensions") or {}, bench(context).get("calibration") or {}
    merged = {**told, **{k: v for k, v in (context.calibration or {}).items() if k != "dimensions"}}
    if not curves and not merged:
        return None
    return {
        **merged,
        "curves": [
            {
                "name": words(name),
                "figure": figures.correction(
                    (curve or {}).get("x") or [],
                    (curve or {}).get("y") or [],
                    f"{words(name)}: the student's raw score across, the corrected score up",
                ),
            }
            for name, curve in curves.items()
        ],
    }


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [
    ("gates", "Gates", gates),
    ("errors", "Error by dimension", errors),
    ("tiers", "Tiers", tiers),
    ("baselines", "Beside simple baselines", baselines),
    ("truth", "Against the true scores", truth),
    ("learning", "Learning", learning),
    ("calibration", "Correction of the student", calibration),
]
