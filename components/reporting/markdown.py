"""The report as Markdown, for a pull request (`render_markdown`) and for the Kubeflow UI (`render_verdict`).

Written for GitHub's dialect: every text from outside is escaped, so an article's source can neither mention a person nor
draw an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import (
    BASELINES,
    NONE,
    capital,
    count,
    decision,
    interval_of,
    metric,
    number,
    sentence,
    sorted_baselines,
    span,
    value_of,
    words,
)
from distillery.components.reporting.gate_rules import SHOWN, demand, state

MAX_CHARACTERS = 60_000
MARKS = {"promoted": "✅", "passed": "✅", "approve": "⏳", "reject": "❌", "failed": "❌"}


def plain(text: object, longest: int = 300) -> str:
    """Text on one line with no meaning to Markdown or HTML, cut at `longest` characters."""
    told = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", " ", str(text)).split())
    told = told if len(told) <= longest else told[:longest].rstrip() + " …"
    told = (
        told.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;").replace("://", ":&#8203;//")
    )
    return re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", told)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: int = 1) -> str:
    """A Markdown table; columns from `right` on are right-aligned."""
    rule = ["---" if i < right else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def gates_table(context: Context) -> str:
    """The gates, failed ones first; empty where there is no verdict."""
    rows = []
    for rule in (context.verdict or {}).get("rules") or []:
        told, found = metric(rule), state(rule)
        value = number(rule.get("value"), 3, percent=told.percent)
        if interval_of(rule.get("interval")):
            value += f" ({span(rule.get('interval'), 3, percent=told.percent)})"
        reason = "" if found == "pass" else plain(rule.get("reason") or "")
        mark = {"pass": "✅ passes", "fail": "❌ **fails**"}.get(found, SHOWN[found])
        rows.append([mark, plain(told.title), value, demand(rule, percent=told.percent), reason])
    rows.sort(key=lambda row: not row[0].startswith("❌"))
    return table(["Verdict", "Gate", "Value (95%)", "Must be", "Reason"], rows, right=5) if rows else ""


def render_verdict(context: Context) -> str:
    """The verdict sentence and the gates."""
    mark = MARKS.get(decision(context), "")
    return (
        "\n\n".join(part for part in (f"{mark} {plain(sentence(context), 700)}".strip(), gates_table(context)) if part) + "\n"
    )


def render_markdown(context: Context) -> str:
    """Verdict, gates, the student beside baselines, dimensions worst first, tiers, digests; below MAX_CHARACTERS."""
    context = context.in_filter_order()
    name = f"{context.filter.name} v{context.filter.spec.version}" if context.filter else "a filter that could not be read"
    parts = [f"## {plain(name)}", render_verdict(context).strip()]
    parts += [f"> **Not readable:** {plain(problem)}" for problem in context.problems[:10]]
    for title, body in (
        ("Beside simple baselines", _baselines(context)),
        ("Dimensions, worst first", _dimensions(context)),
        ("Tiers", _tiers(context)),
        ("The oracle", _oracle(context)),
        ("Findings of the data audit", _findings(context)),
        ("Digests", _digests(context)),
    ):
        if body:
            parts.append(f"### {title}\n\n{body}")
    text = "\n\n".join(parts)
    if len(text) > MAX_CHARACTERS - 100:
        text = text[: MAX_CHARACTERS - 100].rsplit("\n", 1)[0] + "\n\n… the rest is in the HTML report."
    return text + "\n"


def _baselines(context: Context) -> str:
    bench = context.benchmark or {}
    if value_of(bench.get("mae")) is None:
        return ""
    entries = [("**This student**", bench)]
    if bench.get("incumbent"):
        entries.append(("Adapter in use", bench["incumbent"]))
    entries += [(plain(capital(BASELINES.get(name, words(name)))), row) for name, row in sorted_baselines(bench)]
    shown = table(
        ["Predictor", "Mean error", "RMSE", "Error of overall score", "Same tier"],
        [
            [
                name,
                number(row.get("mae"), 3),
                number(row.get("rmse"), 3),
                number(row.get("overall_mae"), 3),
                number(row.get("tier_agreement"), percent=True),
            ]
            for name, row in entries
        ],
    )
    incumbent = bench.get("incumbent") or {}
    if value_of(incumbent.get("difference")) is not None:
        shown += (
            f"\n\nAgainst the adapter in use, paired: {number(incumbent['difference'], 3, signed=True)} "
            f"({span(incumbent.get('interval'), 3)}); below 0 is better."
        )
    return shown + f"\n\nOver {count(bench.get('n'))} test articles, in points of 10."


def _dimensions(context: Context) -> str:
    bench = context.benchmark or {}
    intervals = bench.get("intervals") or {}
    floor = (bench.get("noise") or {}).get("dimensions") or {}
    rows = sorted((bench.get("dimensions") or {}).items(), key=lambda item: -(value_of((item[1] or {}).get("mae")) or 0.0))
    return (
        table(
            ["Dimension", "Mean error", "95%", *(["Oracle's noise"] if floor else []), "Bias", "Rank corr.", "Spread kept"],
            [
                [
                    plain(words(name)),
                    number(row.get("mae")),
                    span(intervals.get(f"dimensions.{name}.mae")),
                    *([number(floor.get(name))] if floor else []),
                    number(row.get("bias"), signed=True),
                    number(row.get("spearman")),
                    number(row.get("compression")),
                ]
                for name, row in rows
            ],
        )
        if rows
        else ""
    )


def _tiers(context: Context) -> str:
    rows = ((context.benchmark or {}).get("tiers") or {}).items()
    return (
        table(
            ["Tier", "Recall", "Precision", "Oracle", "Student"],
            [
                [
                    plain(words(name)),
                    number(row.get("recall"), percent=True),
                    number(row.get("precision"), percent=True),
                    count(row.get("labelled")),
                    count(row.get("predicted")),
                ]
                for name, row in rows
            ],
        )
        if rows
        else ""
    )


def _oracle(context: Context) -> str:
    """Calibration, noise floor, and what was waived."""
    from distillery.components.reporting.sections.oracle import BY, cautions, shares

    found, noise = context.calibrated or {}, (context.benchmark or {}).get("noise") or {}
    parts = ["\n".join(f"- ⚠️ {plain(caution)}" for caution in cautions(context))]
    if found.get("verdict"):
        marks = found.get("marks") or {}
        accepted = (found.get("accepted") or {}).get("reason")
        told = f"Calibration: **{plain(found['verdict'])}**" + (f", accepted: {plain(accepted)}" if accepted else "")
        if marks:
            told += f"; {count(marks.get('on'))} articles marked on-topic, {count(marks.get('off'))} off-topic, "
            told += plain(BY.get(str(marks.get("by")), marks.get("by")))
        parts.append(f"{told}.")
    rows = [
        [
            f"{plain(row['what'])}, {row['sample']}",
            f"{count(row.get('wrong'))} of {count(row.get('n'))}",
            number(row.get("share"), 3, percent=True),
            span(row.get("interval"), 3, percent=True),
            f"below {number(row['limit'].good, percent=True)}",
        ]
        for row in shares(found)
    ]
    parts.append(table(["Oracle against marks", "Articles", "Share", "95% (Wilson)", "Passes"], rows) if rows else "")
    parts.append("\n".join(f"- {plain(reason)}" for reason in (found.get("reasons") or [])[:10]))
    if value_of(noise.get("mae")) is not None:
        parts.append(
            f"Noise floor: the oracle lies {number(noise['mae'], 3)} ({span(noise.get('interval'), 3)}) from its own mean, "
            f"asked {count(noise.get('repeat'))} times about {count(noise.get('n'))} articles; the student lies "
            f"{number(noise.get('difference'), 3, signed=True)} above it."
        )
    second = noise.get("second") or {}
    if value_of(second.get("mae")) is not None:
        parts.append(
            f"Another oracle ({plain(second.get('model') or NONE)}) differs by {number(second['mae'])} on average, "
            f"bias {number(second.get('bias'), signed=True)}, over {count(second.get('n'))} articles."
        )
    return "\n\n".join(part for part in parts if part)


def _findings(context: Context) -> str:
    from distillery.components.reporting.sections.run import finding

    found = [finding(item) for item in (context.audit or {}).get("findings") or []]
    return "\n".join(f"- {plain(item['level'])}: {plain(item['text'])}" for item in found[:20])


def _digests(context: Context) -> str:
    from distillery.components.reporting.sections.run import digests

    rows = [
        [plain(name), f"`{digest}`" if re.fullmatch(r"[0-9a-f]{64}", digest) else plain(digest) or NONE]
        for name, digest in digests(context)
    ]
    return table(["What", "SHA-256"], rows, right=2) if rows else ""
