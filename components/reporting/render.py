"""The report of a run as one HTML page: no script, no outside resource, nothing wider than a phone.

A section that can't be drawn says so in its place, since the page must exist exactly when something went wrong.
All text passes through autoescape; a content security policy makes scripts inert a second time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.components.reporting.context import MAX_BYTES, Context
from distillery.components.reporting.formatting import (
    HEADLINES,
    capital,
    count,
    decision,
    gain,
    losses,
    number,
    sentence,
    span,
    words,
)
from distillery.components.reporting.markdown import render_markdown, render_verdict

__all__ = ["render_html", "render_markdown", "render_verdict", "sentence"]

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

CLIPS = (1_500, 300, 60)
"""Longest text shown, in characters; the next is taken where the page is still too large."""

ICONS = {
    "promoted": "✓",
    "passed": "✓",
    "held": "◔",
    "approve": "◔",
    "reject": "✕",
    "failed": "!",
    "audited": "i",
    "unfinished": "…",
}
TONES = {"promoted": "good", "passed": "good", "held": "warn", "approve": "warn", "reject": "bad", "failed": "bad"}


class KeyFigure(NamedTuple):
    """One of the numbers under the verdict.

    Attributes:
        label: what it is.
        value: None where it could not be worked out.
        note: what it means.
        interval: of the value, 95%; None where there is none.
        percent: True if it is shown in percent.
    """

    label: str
    value: float | None
    note: str
    interval: tuple[float, float] | None = None
    percent: bool = False


def render_html(context: Context) -> str:
    """Return the report as one HTML page. A section that can't be drawn says so in its place.

    Args:
        context: the run.

    Returns:
        The page, UTF-8 encodable, at most MAX_BYTES.
    """
    page = ""
    for clip in CLIPS:
        page = _page(context, clip)
        if len(page.encode()) <= MAX_BYTES:
            break
    return page


def _page(context: Context, clip: int) -> str:
    from distillery.components.reporting.sections import articles, drift, meaning, oracle, people, run, speed, student

    env = environment(clip)
    drawn, absent = [], []
    scores, lessons = student.SECTIONS[:-2], student.SECTIONS[-2:]
    for key, title, build in (
        *meaning.SECTIONS,
        *scores,
        *articles.SECTIONS,
        *lessons,
        *speed.SECTIONS,
        *drift.SECTIONS,
        *oracle.SECTIONS,
        *people.SECTIONS,
        *run.SECTIONS,
    ):
        if context.filter is None and key != "run":
            continue
        body = _draw(env, key, build, context)
        if body is None:
            absent.append(title)
        else:
            drawn.append({"id": f"report-{key}", "key": key, "title": title, "body": body})
    state = decision(context)
    if state == "failed":
        drawn.sort(key=lambda section: section["key"] != "run")
    return clean(
        env.get_template("report.html.j2").render(
            context=context,
            flt=context.filter,
            state=state,
            headline=HEADLINES[state],
            icon="!" if losses(context) else ICONS[state],
            tone="warn" if losses(context) else TONES.get(state, "plain"),
            rest=sentence(context).removeprefix(HEADLINES[state]),
            figures=key_figures(context),
            sections=drawn,
            absent=[title for title in absent if title not in OPTIONAL],
        )
    )


OPTIONAL = (
    *("Against the true scores", "The oracle", "What people say", "The run", "What it is good for", "How fast it is"),
    "Have the articles changed since?",
)
"""Left out without a word where a run has none."""


def _draw(env: Environment, key: str, build: Any, context: Context) -> Markup | None:
    from markupsafe import Markup

    try:
        view = build(context)
        return None if view is None else Markup(env.get_template(f"{key}.html.j2").render(**view))
    except Exception as error:  # whatever a stored document holds, the other sections are still wanted
        return Markup('<p class="broken">This section could not be drawn: {}.</p>').format(
            f"{type(error).__name__}: {error}"[:300]
        )


def key_figures(context: Context) -> list[KeyFigure]:
    """Return the few numbers under the verdict.

    Args:
        context: the run.

    Returns:
        The numbers; none where no student was judged.
    """
    bench = context.benchmark
    if bench is None or bench.mae is None:
        return []
    best = bench.best_baseline()
    share = gain(bench.mae, best[1]) if best else None
    note = f"points of 10; best baseline {number(best[1])}" if best else "points of 10"
    shown = [KeyFigure("Mean error", bench.mae, note, bench.interval("mae"))]
    if share is not None:
        shown.append(KeyFigure("Closer than best baseline", share, "0% would be no better", percent=True))
    shown.append(KeyFigure("Error of overall score", bench.overall_mae, "points of 10", bench.interval("overall_mae")))
    for tier, row in context.by_tier(bench.tiers)[:1]:
        note, interval = f"{number(row.precision, percent=True)} of its finds are right", bench.interval(f"tiers.{tier}.recall")
        shown.append(KeyFigure(f"Found in tier {words(tier)}", row.recall, note, interval, percent=True))
    note, interval = f"of {count(bench.n)} test articles", bench.interval("tier_agreement")
    return [*shown, KeyFigure("Same tier", bench.tier_agreement, note, interval, percent=True)]


def clean(page: str) -> str:
    """Return the page with control characters and lone surrogates as �, so that any article can be written as UTF-8.

    Args:
        page: HTML.

    Returns:
        HTML.
    """
    odd = {
        code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160), 0xFFFE, 0xFFFF) if code not in (9, 10, 13)
    }
    return page.translate(odd).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@cache
def environment(clip: int) -> Environment:
    """Return what draws the templates of this folder.

    Args:
        clip: longest text shown, in characters.

    Returns:
        The environment, which escapes every text.
    """
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup, escape

    def exact(value: float | None, digits: int = 2, percent: bool = False, signed: bool = False) -> Markup:
        """Return the rounded number for the eye, the exact one in the markup."""
        text = number(value, digits, percent=percent, signed=signed)
        return escape(text) if value is None else Markup('<data value="{}">{}</data>').format(repr(float(value)), text)

    def shorten(text: str, longest: int = clip) -> str:
        most = min(longest, clip)
        return text if len(text) <= most else text[:most].rstrip() + " …"

    env = Environment(loader=PackageLoader("distillery.components.reporting"), autoescape=True, lstrip_blocks=True)
    env.filters.update(num=exact, span=span, words=words, capital=capital, clip=shorten, whole=count)
    return env
