"""The section about the oracle: whether a person would agree with it, how far it is from itself, what was waived.

Shares are drawn with their Wilson intervals against the limits, since 0 of 20 alone says little: up to 16% may hide behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from distillery.components.artifacts.rubric_calibration import FAIL, LIMITS, PASS, REVIEW, WORDS
from distillery.components.reporting import svg as figures
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import count, interval_of, number, span, value_of, words
from distillery.components.reporting.sections.student import View, bench

WAIVED = "WAIVED"
MOST = 20
KINDS = {PASS: "good", REVIEW: "warn", FAIL: "bad"}
SAMPLES = {"calibration": "first sample", "fresh": "fresh sample"}
SHARES = {"off": "off_topic_high", "on": "on_topic_low"}
BY = {
    "person": "by a person",
    "reference": "from known true scores",
    "prefilter": "by the prefilter, which knows off-topic ones only",
    "nobody": "by nobody yet",
}


def oracle(context: Context) -> View | None:
    """None for labels that people brought, with nothing known of how they were made."""
    found, noise = context.calibrated or {}, bench(context).get("noise") or {}
    notes = list(cautions(context))
    if not (found or noise or notes):
        return None
    rows = shares(found)
    top = max([0.4, *(high for row in rows if (ends := interval_of(row["interval"])) for high in ends)])
    marks = found.get("marks") or {}
    return {
        "verdict": found.get("verdict"),
        "kind": KINDS.get(str(found.get("verdict")), "plain"),
        "reason": found.get("reason") or (found.get("accepted") or {}).get("reason") or "",
        "accepted": bool(found.get("accepted")),
        "marks": marks,
        "by": BY.get(str(marks.get("by")), str(marks.get("by") or "")),
        "rows": [{**row, "figure": _figure(row, top)} for row in rows],
        "axis": figures.axis(top),
        "redundancy": (found.get("figures") or {}).get("redundancy") or {},
        "reasons": [str(reason) for reason in (found.get("reasons") or [])[:MOST]],
        "notes": notes,
        "noise": noise,
        "mae": bench(context).get("mae"),
        "second": _second(noise),
    }


def shares(found: Mapping[str, Any]) -> list[View]:
    """One row per share and sample of a calibration, in the order of the samples."""
    rows = []
    for sample, title in SAMPLES.items():
        judged = (found.get("figures") or {}).get(sample) or {}
        for kind, limit in LIMITS.items():
            share = judged.get(SHARES[kind]) or {}
            if value_of(share.get("n")) is None:
                continue
            value = value_of(share.get("share"))
            state = "none" if value is None else PASS if value < limit.good else REVIEW if value < limit.bad else FAIL
            rows.append({"sample": title, "what": WORDS[kind], "limit": limit, "state": state, **share})
    return rows


def _figure(row: Mapping[str, Any], top: float) -> object:
    return figures.dot(
        row.get("share"),
        top=top,
        interval=row.get("interval"),
        bound=row["limit"].good,
        kind="bad" if row["state"] == FAIL else "plain",
        title=f"{row['what']}, {row['sample']}: {count(row.get('wrong'))} of {count(row.get('n'))}, "
        f"95% interval {span(row.get('interval'), percent=True)}, below {number(row['limit'].good, percent=True)} passes",
    )


def _second(noise: Mapping[str, Any]) -> View | None:
    """The other oracle beside this one, by dimension."""
    found = noise.get("second") or {}
    if value_of(found.get("mae")) is None:
        return None
    rows = [{"name": words(name), **(row or {})} for name, row in (found.get("dimensions") or {}).items()]
    return {**found, "rows": rows}


def cautions(context: Context) -> Iterator[str]:
    """What a reader should know of how these labels came about; empty where all is well."""
    labels, found = context.label_set or {}, context.calibrated or {}
    if reason := labels.get("without_calibration"):
        yield f"labelled without a calibration that passed: {reason}"
    elif found.get("verdict") == WAIVED and found.get("reason"):
        yield f"not calibrated: {found['reason']}"
    suspicious = value_of(labels.get("suspicious"))
    if suspicious:
        told = "1 article speaks" if suspicious == 1 else f"{count(suspicious)} articles speak"
        yield f"{told} to the oracle instead of to a reader (possible injections): look at their labels"


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [("oracle", "The oracle", oracle)]
