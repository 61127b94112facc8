"""The sections about what went in and what was set: data, the run's steps, settings, digests, how to do it again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from distillery.components.artifacts.audit import Audit, Tally
from distillery.components.reporting import svg as figures
from distillery.components.reporting.again import filter_of, place, run_command
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import NONE, count, duration, number, words
from distillery.components.store import Json
from distillery.components.store.layout import published_filter_key

View = dict[str, Any]
Facts = list[tuple[str, str]]
ASKED = ("request", "on")  # facts of the first step that the commands are made from
ROWS = 12
MOST = 200
"""No list is longer than this: the page has a size to keep."""
CHIPS = {"stop": "bad", "warn": "warn", "info": "plain"}


def data(context: Context) -> View | None:
    """Return what is known of the labels: counts, the audit's findings, how the oracle scored.

    Args:
        context: the run.

    Returns:
        What the template shows; None where the run has no labels.
    """
    audit = context.audit
    if not (audit or context.label_set or context.split):
        return None
    facts = [("Labels", _label_facts(context)), ("Split", split_facts(context)), *(_audit_facts(audit) if audit else [])]
    view: View = {"facts": [(title, rows) for title, rows in facts if rows], "audited": audit is not None}
    if audit is None:
        return view
    tables = (("language", audit.languages.table), ("source", audit.sources.table), ("content type", audit.content_types))
    return {
        **view,
        "findings": [{"finding": finding, "kind": CHIPS[finding.level]} for finding in audit.findings[:MOST]],
        "histograms": _histograms(context, audit),
        "redundancy": _redundancy(context, audit),
        "tables": [_tally(title, rows) for title, rows in tables if any(row.value for row in rows)],
    }


def _label_facts(context: Context) -> Facts:
    labels = context.label_set
    if labels is None:
        return []
    counts = [
        ("labelled articles", count(labels.rows)),
        ("without a usable reply", count(labels.dead)),
        ("bad rows left out", count(labels.rejected)),
    ]
    return [*counts, *flatten({"oracle": labels.oracle} if labels.oracle else {})]


def split_facts(context: Context) -> Facts:
    """Return how many articles train, validate and test, and what share of the three that is.

    Args:
        context: the run.

    Returns:
        Names and texts; none where there was no split.
    """
    if context.split is None:
        return []
    rows = context.split.rows
    all_parts = rows.train + rows.validation + rows.test

    def part(articles: int) -> str:
        share = f" ({number(articles / all_parts, percent=True)})" if all_parts else ""
        return f"{count(articles)}{share}"

    return [
        ("training articles", part(rows.train)),
        ("validation articles", part(rows.validation)),
        ("test articles, frozen", part(rows.test)),
        ("withheld, near a test article", count(rows.withheld)),
        ("copies left out", count(rows.copies)),
        ("copies labelled differently", count(rows.conflicting)),
    ]


def _audit_facts(audit: Audit) -> list[tuple[str, Facts]]:
    copies, lengths = audit.duplicates, audit.lengths
    pages = f"{count(audit.boilerplate.pages)} ({number(audit.boilerplate.share, 3, percent=True)})"
    return [
        (
            "Copies",
            [
                ("distinct articles", count(copies.distinct_near)),
                ("exact copies", count(copies.exact_copies)),
                ("copies, near ones too", count(copies.near_copies)),
                ("groups", count(copies.groups)),
                ("largest group", count(copies.largest)),
                ("copies labelled differently", count(copies.conflicts)),
            ],
        ),
        (
            "Texts",
            [
                ("consent walls and boilerplate", pages),
                ("words, median", count(lengths.quantiles.get("p50"))),
                ("words, longest", count(lengths.max)),
                ("under 50 words", count(lengths.short)),
                ("other language than declared", count(audit.languages.disagree)),
                ("variance explained by source", number(audit.sources.omega2, percent=True)),
            ],
        ),
    ]


def _histograms(context: Context, audit: Audit) -> list[View]:
    rows = []
    for name, scores in context.by_dimension(audit.dimensions):
        counts = ", ".join(f"{score}: {count(n)}" for score, n in enumerate(scores.histogram))
        rows.append(
            {
                "name": words(name),
                "facts": [("mean", number(scores.mean, 1)), ("spread", number(scores.std, 1))],
                "figure": figures.histogram(scores.histogram, f"{words(name)}, articles by score; {counts}"),
            }
        )
    return rows


def _redundancy(context: Context, audit: Audit) -> View | None:
    """Return the matrix of correlations; None where fewer than two dimensions vary."""
    matrix = context.by_dimension(audit.redundancy.correlations)
    names = [name for name, _ in matrix]
    rows = [
        (words(name), [{"r": row.get(other), "shade": abs(row.get(other) or 0.0), "same": name == other} for other in names])
        for name, row in matrix
    ]
    return {"names": [words(name) for name in names], "rows": rows, "pc1": audit.redundancy.pc1_share} if rows else None


def _tally(title: str, rows: Sequence[Tally]) -> View:
    """Return values with their count and mean score, the most frequent first."""
    total, most = sum(row.n for row in rows), max((row.n for row in rows), default=1) or 1
    return {
        "title": title,
        "more": len(rows) - ROWS,
        "rows": [
            {
                "tally": row,
                "share": row.n / total if total else None,
                "figure": figures.bar(row.n, top=most, title=f"{row.value or 'unknown'}: {count(row.n)} articles"),
            }
            for row in rows[:ROWS]
        ],
    }


def flatten(value: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield a nested JSON value as flat settings.

    Args:
        value: the value.
        prefix: name of what it belongs to.

    Yields:
        Dotted name and text; a list of plain values is one text.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple):
        if all(not isinstance(item, Mapping | list | tuple) for item in value):
            yield prefix, ", ".join(plain(item) for item in value) or "none"
        else:
            for i, item in enumerate(value):
                yield from flatten(item, f"{prefix}[{i}]")
    elif value is not None or prefix:
        yield prefix, plain(value)


def plain(value: Json) -> str:
    """Return a plain JSON value as text.

    Args:
        value: no list and no object.

    Returns:
        The text; "not set" for null.
    """
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else NONE
    return str(value)


def run(context: Context) -> View | None:
    """Return the steps of the run: reused or not, how long they took, what they measured.

    Args:
        context: the run.

    Returns:
        What the template shows; None where no step left a record.
    """
    failed = context.failure.step if context.failure else ""
    rows = [
        {
            "step": record.step,
            "did": "reused" if record.reused else "ran",
            "seconds": duration(record.seconds),
            "facts": [
                (words(name), text)
                for name, text in flatten(record.facts)
                if name.split(".")[-1] != "seconds" and name.split(".")[0] not in ASKED
            ][:8],
        }
        for record in context.steps[:MOST]
        if record.step != failed
    ]
    if failed:
        rows.append({"step": failed, "did": "failed", "seconds": "", "facts": []})
    if not rows and not context.problems:
        return None
    return {"rows": rows, "failure": context.failure}


def settings(context: Context) -> View:
    """Return the settings of the run, its digests, and the commands that do it again.

    Args:
        context: the run.

    Returns:
        What the template shows.
    """
    spec = context.flt.spec
    if context.student:
        facts = context.student.model_dump(mode="json", exclude={"dimensions", "filter", "format"})
        groups = [("Student and training, as resolved in the adapter", sorted(flatten(facts)))]
    else:
        groups = [("Student", _settings(spec.student)), ("Training", _settings(spec.training))]
    groups += [
        ("Split", _settings(spec.split)),
        ("Oracle", _settings(spec.oracle)),
        ("Prefilter", _settings(spec.prefilter)),
        ("Promotion", _settings(spec.promotion)),
        ("Scope", _settings(spec.scope)),
    ]
    verdict = {
        "dimensions": [f"{d.name} (weight {d.weight:g})" for d in spec.dimensions],
        "tiers": [f"{t.name}: {t.when or 'everything else'}" for t in spec.tiers],
        "gatekeepers": [f"{g.when}: at most {g.cap:g}, {g.because}" for g in spec.gatekeepers],
        "contentTypes": [
            f"{c.name}: at most {c.cap:g}" + (f" unless {c.unless}" if c.unless else "") for c in spec.contentTypes
        ],
    }
    groups.append(("From scores to tier", list(flatten({name: "\n".join(lines) or "none" for name, lines in verdict.items()}))))
    shown = [{"title": title, "rows": rows[:MOST]} for title, rows in groups if rows]
    return {"groups": shown, "digests": digests(context), "commands": commands(context)}


def _settings(part: BaseModel) -> Facts:
    return list(flatten(part.model_dump()))


def digests(context: Context) -> list[tuple[str, str]]:
    """Return the digest of everything the report speaks of, each once.

    Args:
        context: the run.

    Returns:
        Names, in words, and digests.
    """
    bench, student, promoted = context.benchmark, context.student, context.promoted
    named = {words(name): digest for name, digest in context.digests.items()}
    more: list[tuple[str, object]] = []
    if bench:
        more += [("adapter", bench.adapter), ("test part", bench.test)]
    if student:
        more.append(("split", student.split))
    if bench and bench.incumbent:
        more.append(("adapter in use", bench.incumbent.adapter))
    if promoted:
        more += [("promoted adapter", promoted.adapter), ("adapter before", promoted.previous)]
    if student:
        more += [("base model", student.base.digest), ("preprocessing", student.preprocessing.get("digest"))]
    for name, digest in more:
        if digest and str(digest) not in named.values():
            named[name] = str(digest)
    return list(named.items())


def commands(context: Context) -> list[tuple[str, str]]:
    """Return the commands that go on from this run.

    Args:
        context: the run.

    Returns:
        What each is for, and what to type, with this run's own names.
    """
    flt, request = context.flt, context.request
    name, where = f"{flt.name}/v{flt.spec.version}", ""
    adapter = context.digests.get("adapter") or (context.benchmark.adapter if context.benchmark else None)
    source = context.source or f"--labels {flt.spec.data.labels or 'labels.jsonl'}"
    again, plan = f"distillery distill {name} {source}", f"distillery plan {name} {source}"
    if request:
        key = published_filter_key(flt.name, flt.spec.version, context.digests.get("filter", ""))
        again = run_command("submit distill" if context.on_cluster else "distill", request, key)
        plan = run_command("plan", request, key)
        name = shlex.quote(filter_of(request, key))
        where = f" --store {shlex.quote(place(str(request.get('store') or '')))}"
    rows = [
        ("The whole run again; steps whose inputs are unchanged are reused", again),
        ("What a change would redo, without running it", plan),
        ("Score articles", f"distillery score {adapter or name} articles.jsonl --out scores/{where}"),
    ]
    if adapter:
        rows.append(("This adapter on other labelled articles", f"distillery benchmark {adapter} --labels other.jsonl{where}"))
    back = f"distillery history {adapter or name}{where}\ndistillery rollback {name}{where}"
    rows.append(("What was promoted, and back to the one before", back))
    return rows


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [
    ("data", "The data", data),
    ("run", "The run", run),
    ("settings", "Settings and digests", settings),
]
