"""The report of a run as one HTML page: no script, no outside resource, nothing wider than a phone.

A section that can't be drawn says so in its place, since the page must exist exactly when something went wrong.
All text passes through autoescape; a content security policy makes scripts inert a second time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from distillery.components.reporting.context import MAX_BYTES, Context
from distillery.components.reporting.formatting import (
    HEADLINES,
    best_baseline,
    capital,
    count,
    decision,
    gain,
    number,
    sentence,
    span,
    value_of,
    words,
)
from distillery.components.reporting.markdown import render_markdown, render_verdict

__all__ = ["render_html", "render_markdown", "render_verdict", "sentence"]

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

CLIPS = (1_500, 300, 60)
"""Longest text shown, in characters; the next is taken where the page is still too large."""

ICONS = {"promoted": "✓", "passed": "✓", "approve": "◔", "reject": "✕", "failed": "!", "audited": "i", "unfinished": "…"}
TONES = {"promoted": "good", "passed": "good", "approve": "warn", "reject": "bad", "failed": "bad"}


def render_html(context: Context) -> str:
    """The page, UTF-8 encodable, at most MAX_BYTES. Never raises for a part of the context that is missing or odd."""
    page, context = "", context.in_filter_order()
    for clip in CLIPS:
        page = _page(context, clip)
        if len(page.encode()) <= MAX_BYTES:
            break
    return page


def _page(context: Context, clip: int) -> str:
    from distillery.components.reporting.sections import articles as examples
    from distillery.components.reporting.sections import oracle
    from distillery.components.reporting.sections import run as recorded
    from distillery.components.reporting.sections import student as judged

    env = _environment(clip)
    drawn, absent = [], []
    scores, lessons = judged.SECTIONS[:-2], judged.SECTIONS[-2:]
    for key, title, build in (*scores, *examples.SECTIONS, *lessons, *oracle.SECTIONS, *recorded.SECTIONS):
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
    return _clean(
        env.get_template("report.html.j2").render(
            context=context,
            flt=context.filter,
            state=state,
            headline=HEADLINES[state],
            icon=ICONS[state],
            tone=TONES.get(state, "plain"),
            rest=sentence(context).removeprefix(HEADLINES[state]),
            figures=key_figures(context),
            sections=drawn,
            absent=[title for title in absent if title not in OPTIONAL],
        )
    )


OPTIONAL = ("Against the true scores", "The oracle", "The run")
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


def key_figures(context: Context) -> list[dict[str, Any]]:
    """The few numbers under the verdict: value, interval, what it means."""
    bench = context.benchmark or {}
    intervals = bench.get("intervals") or {}
    if value_of(bench.get("mae")) is None:
        return []
    best = best_baseline(bench)
    share = gain(bench.get("mae"), best[1]) if best else None
    shown = [
        {
            "label": "Mean error",
            "value": bench.get("mae"),
            "interval": intervals.get("mae"),
            "note": f"points of 10; best baseline {number(best[1])}" if best else "points of 10",
        }
    ]
    if share is not None:
        shown.append({"label": "Closer than best baseline", "value": share, "percent": True, "note": "0% would be no better"})
    shown.append(
        {
            "label": "Error of overall score",
            "value": bench.get("overall_mae"),
            "interval": intervals.get("overall_mae"),
            "note": "points of 10",
        }
    )
    top = next(iter(bench.get("tiers") or {}), None)
    if top:
        row = bench["tiers"][top]
        shown.append(
            {
                "label": f"Found in tier {words(top)}",
                "value": row.get("recall"),
                "percent": True,
                "interval": intervals.get(f"tiers.{top}.recall"),
                "note": f"{number(row.get('precision'), percent=True)} of its finds are right",
            }
        )
    shown.append(
        {
            "label": "Same tier",
            "value": bench.get("tier_agreement"),
            "percent": True,
            "interval": intervals.get("tier_agreement"),
            "note": f"of {count(bench.get('n'))} test articles",
        }
    )
    return shown


def _clean(page: str) -> str:
    """Control characters and lone surrogates shown as �, so that any article can be written as UTF-8."""
    odd = {
        code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160), 0xFFFE, 0xFFFF) if code not in (9, 10, 13)
    }
    return page.translate(odd).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@cache
def _environment(clip: int) -> Environment:
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup, escape

    def exact(value: object, digits: int = 2, percent: bool = False, signed: bool = False) -> Markup:
        """The rounded number for the eye, the exact one in the markup."""
        text, found = number(value, digits, percent=percent, signed=signed), value_of(value)
        return escape(text) if found is None else Markup('<data value="{}">{}</data>').format(repr(found), text)

    def shorten(text: object, longest: int = clip) -> str:
        told, most = str(text or ""), min(longest, clip)
        return told if len(told) <= most else told[:most].rstrip() + " …"

    env = Environment(loader=PackageLoader("distillery.components.reporting"), autoescape=True, lstrip_blocks=True)
    env.filters.update(num=exact, span=span, words=words, capital=capital, clip=shorten, whole=count)
    return env
