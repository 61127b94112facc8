"""The report as Markdown, for a pull request (`render_markdown`) and for the Kubeflow UI (`render_verdict`).

Written for GitHub's dialect: every text from outside is escaped, so an article's source can neither mention a person nor
draw an image.
"""

from __future__ import annotations

import re

from distillery.components.artifacts.content_caps import caps_told
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import (
    NONE,
    capital,
    count,
    decision,
    losses,
    metric,
    number,
    predictors,
    sentence,
    span,
    words,
)
from distillery.components.reporting.gate_rules import SHOWN, demand
from distillery.components.reporting.judgement import judgement
from distillery.components.reporting.markdown_run import data, drift, learning, speed
from distillery.components.reporting.markdown_text import plain, table

MAX_CHARACTERS = 60_000
MARKED = {"pass": "✅ passes", "review": "⏳ **a person decides**", "fail": "❌ **fails**"}
MARKS = {"promoted": "✅", "passed": "✅", "held": "⏳", "approve": "⏳", "reject": "❌", "failed": "❌"}


def gates_table(context: Context) -> str:
    """Return the table of the gates, failed ones first.

    Args:
        context: the run.

    Returns:
        The table; "" where there is no verdict.
    """
    rows = []
    for rule in context.verdict.rules if context.verdict else []:
        known = metric(rule.metric, rule.argument)
        value = number(rule.value, 3, percent=known.percent)
        if rule.interval:
            value += f" ({span(rule.interval, 3, percent=known.percent)})"
        reason = "" if rule.verdict == "pass" else plain(rule.reason)
        mark = MARKED.get(rule.verdict, SHOWN[rule.verdict])
        rows.append([mark, plain(known.title), value, demand(rule), reason])
    rows.sort(key=lambda row: {"❌": 0, "⏳": 1}.get(row[0][:1], 2))
    return table(["Verdict", "Gate", "Value (95%)", "Must be", "Reason"], rows, right=5) if rows else ""


def render_verdict(context: Context) -> str:
    """Return the verdict as Markdown: one sentence and the gates.

    Args:
        context: the run.

    Returns:
        Markdown, ending with a line break.
    """
    mark = "⚠️" if losses(context) else MARKS.get(decision(context), "")
    parts = (f"{mark} {plain(sentence(context), 700)}".strip(), gates_table(context))
    return "\n\n".join(part for part in parts if part) + "\n"


def render_markdown(context: Context) -> str:
    """Return the report as Markdown: verdict, gates, baselines, dimensions, tiers, training, speed, data, oracle, digests.

    Args:
        context: the run.

    Returns:
        Markdown below MAX_CHARACTERS, ending with a line break.
    """
    name = f"{context.filter.name} v{context.filter.spec.version}" if context.filter else "a filter that could not be read"
    text = f"## {plain(name)}\n\n{sections(context)}"
    if len(text) > MAX_CHARACTERS - 100:
        text = text[: MAX_CHARACTERS - 100].rsplit("\n", 1)[0] + "\n\n… the rest is in the HTML report."
    return text + "\n"


def sections(context: Context) -> str:
    """Return all of the report but its title, for a page that has its own.

    Args:
        context: the run.

    Returns:
        Markdown without a line break at its end.
    """
    parts = [render_verdict(context).strip()]
    parts += [f"> **Not readable:** {plain(problem)}" for problem in context.problems[:10]]
    for title, body in (
        ("What it is good for", _meaning(context)),
        ("Beside simple baselines", _baselines(context)),
        ("Dimensions, worst first", _dimensions(context)),
        ("Tiers", _tiers(context)),
        ("Learning", learning(context)),
        ("How fast it is", speed(context)),
        ("Have the articles changed since?", drift(context)),
        ("The data", data(context)),
        ("The oracle", _oracle(context)),
        ("What people say", _people(context)),
        ("Findings of the data audit", _findings(context)),
        ("Digests", _digests(context)),
    ):
        if body:
            parts.append(f"### {title}\n\n{body}")
    return "\n\n".join(parts)


def _meaning(context: Context) -> str:
    """Return what the figures mean: suitability, strengths, weaknesses, convergence, size."""
    found = judgement(context)
    if found is None:
        return ""
    parts = []
    if found.uses:
        uses = [[capital(use.name), use.fit, use.because, use.rule] for use in found.uses]
        parts.append(table(["Use", "Fit", "Because", "Rule"], uses, right=4))
    for title, remarks in (("Strengths", found.strengths), ("Weaknesses", found.weaknesses)):
        if remarks:
            lines = [
                f"- {plain(capital(one.text))}" + (f". {plain(capital(one.advice))}." if one.advice else "") for one in remarks
            ]
            parts.append(f"**{title}**\n\n" + "\n".join(lines))
    parts.append(" ".join(text for text in (found.convergence, plain(found.size, 600)) if text))
    return "\n\n".join(part for part in parts if part)


def _baselines(context: Context) -> str:
    bench = context.benchmark
    if bench is None or bench.mae is None:
        return ""
    shown = table(
        ["Predictor", "Mean error", "RMSE", "Error of overall score", "Same tier"],
        [
            [
                f"**{row.name}**" if row.kind == "student" else plain(row.name),
                number(row.mae, 3),
                number(row.rmse, 3),
                number(row.overall_mae, 3),
                number(row.tier_agreement, percent=True),
            ]
            for row in predictors(bench)
        ],
    )
    if bench.incumbent and bench.incumbent.difference is not None:
        shown += (
            f"\n\nAgainst the adapter in use, paired: {number(bench.incumbent.difference, 3, signed=True)} "
            f"({span(bench.incumbent.interval, 3)}); below 0 is better."
        )
    return shown + f"\n\nOver {count(bench.n)} test articles, in points of 10."


def _dimensions(context: Context) -> str:
    bench = context.benchmark
    if bench is None or not bench.dimensions:
        return ""
    floor = bench.noise.dimensions if bench.noise else {}
    shown = table(
        ["Dimension", "Mean error", "95%", *(["Oracle's noise"] if floor else []), "Bias", "Rank corr.", "Spread kept"],
        [
            [
                plain(words(name)),
                number(row.mae),
                span(bench.interval(f"dimensions.{name}.mae")),
                *([number(floor.get(name))] if floor else []),
                number(row.bias, signed=True),
                number(row.spearman),
                number(row.compression),
            ]
            for name, row in sorted(context.by_dimension(bench.dimensions), key=lambda item: -(item[1].mae or 0.0))
        ],
    )
    return shown + _languages(context)


def _tiers(context: Context) -> str:
    if context.benchmark is None or not context.benchmark.tiers:
        return ""
    caps = caps_told(context.flt, context.caps, head=context.types is not None)
    shown = table(
        ["Tier", "Recall", "Precision", "Oracle", "Student"],
        [
            [
                plain(words(name)),
                number(row.recall, percent=True),
                number(row.precision, percent=True),
                count(row.labelled),
                count(row.predicted),
            ]
            for name, row in context.by_tier(context.benchmark.tiers)
        ],
    )
    from distillery.components.reporting.sections.student import named_types

    if types := named_types(context):
        rows = [
            [
                plain(name),
                number(found.recall, percent=True),
                number(found.precision, percent=True),
                count(found.labelled),
                count(found.predicted),
            ]
            for name, found in types
        ]
        shown = f"{shown}\n\n{table(['Content type', 'Recall', 'Precision', 'Oracle', 'Student'], rows)}"
    return f"{shown}\n\n{plain(caps[:1].upper() + caps[1:])}." if caps else shown


def _languages(context: Context) -> str:
    rows = context.benchmark.slices.get("language", []) if context.benchmark else []
    shown = [f"{plain(row.value)} {number(row.mae)} ({count(row.n)} articles)" for row in rows]
    return f"\n\nMean error by language: {', '.join(shown)}." if len(shown) > 1 else ""


def _oracle(context: Context) -> str:
    """Return calibration, noise floor, and what was waived."""
    from distillery.components.reporting.sections.oracle import cautions

    parts = ["\n".join(f"- ⚠️ {plain(caution)}" for caution in cautions(context)), _calibration(context)]
    noise = context.benchmark.noise if context.benchmark else None
    if noise and noise.mae is not None:
        parts.append(
            f"Noise floor: the oracle lies {number(noise.mae, 3)} ({span(noise.interval, 3)}) from its own mean, "
            f"asked {count(noise.repeat)} times about {count(noise.n)} articles; the student lies "
            f"{number(noise.difference, 3, signed=True)} above it."
        )
    second = noise.second if noise else None
    if second and second.mae is not None:
        parts.append(
            f"Another oracle ({plain(second.model)}) differs by {number(second.mae)} on average, "
            f"bias {number(second.bias, signed=True)}, over {count(second.n)} articles."
        )
    return "\n\n".join(part for part in parts if part)


def _calibration(context: Context) -> str:
    from distillery.components.reporting.sections.oracle import marked_by, shares

    calibrated = context.calibrated
    if calibrated is None:
        return ""
    verdict = f"Calibration: **{calibrated.verdict}**"
    if calibrated.accepted:
        verdict += f", accepted: {plain(calibrated.accepted.reason)}"
    if marks := calibrated.marks:
        verdict += f"; {count(marks.on)} articles marked on-topic, {count(marks.off)} off-topic, "
        verdict += plain(marked_by(marks))
    if agreement := calibrated.agreement:
        verdict += f"; reviewers agree on {count(agreement.same)} of {count(agreement.n)} articles"
        verdict += f" (95%: {span(agreement.interval, 3, percent=True)})"
    rows = [
        [
            f"{plain(row.what)}, {row.sample}",
            f"{count(row.figures.wrong)} of {count(row.figures.n)}",
            number(row.figures.share, 3, percent=True),
            span(row.figures.interval, 3, percent=True),
            f"below {number(row.limit.good, percent=True)}",
        ]
        for row in shares(calibrated)
    ]
    shown = table(["Oracle against marks", "Articles", "Share", "95% (Wilson)", "Passes"], rows) if rows else ""
    reasons = "\n".join(f"- {plain(reason)}" for reason in calibrated.reasons[:10])
    return "\n\n".join(part for part in (f"{verdict}.", shown, reasons) if part)


def _people(context: Context) -> str:
    """Return how far reviewers, oracle and student agree."""
    review = context.review
    if review is None:
        return ""
    names = ", ".join(f"{plain(one.name)} ({one.articles} articles)" for one in review.reviewers)
    rows = [
        [
            f"{plain(pair.left)} and {plain(pair.right)}",
            number(pair.mae),
            span(pair.interval),
            number(pair.bias, signed=True),
            count(pair.n),
        ]
        for pair in review.pairs
    ]
    text = f"Reviewed by {names}.\n\n{table(['Who', 'Apart', '95%', 'Bias', 'Articles'], rows)}"
    if review.overall.value is not None:
        text += (
            f"\n\nKrippendorff's alpha of the overall score among people: {number(review.overall.value)} "
            f"({span(review.overall.interval)}), over {count(review.overall.n)} articles."
        )
    return text


def _findings(context: Context) -> str:
    findings = context.audit.findings if context.audit else []
    return "\n".join(f"- {finding.level}: {plain(finding.message)}" for finding in findings[:20])


def _digests(context: Context) -> str:
    from distillery.components.reporting.sections.run import digests

    rows = [
        [plain(name), f"`{digest}`" if re.fullmatch(r"[0-9a-f]{64}", digest) else plain(digest) or NONE]
        for name, digest in digests(context)
    ]
    return table(["What", "SHA-256"], rows, right=2) if rows else ""
