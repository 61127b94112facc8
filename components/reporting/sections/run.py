"""The sections about what went in and what was set: data, the run's steps, settings, digests, how to do it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from distillery.components.reporting import svg as figures
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import NONE, count, duration, number, value_of, words

View = dict[str, Any]
ROWS = 12
MOST = 200
"""No list is longer than this: the page has a size to keep."""
CHIPS = {"stop": "bad", "warn": "warn"}
COUNTS = {
    "train": "training articles",
    "validation": "validation articles",
    "test": "test articles, frozen",
    "withheld": "withheld, near a test article",
    "copies": "copies left out",
    "conflicting": "copies labelled differently",
    "rows": "labelled articles",
    "dead": "without a usable reply",
    "rejected": "bad rows left out",
}


def data(context: Context) -> View | None:
    audit = context.audit or {}
    if not (audit or context.label_set or context.split):
        return None
    tables = (
        ("language", (audit.get("languages") or {}).get("table")),
        ("source", (audit.get("sources") or {}).get("table")),
        ("content type", audit.get("content_types")),
    )
    return {
        "facts": _facts(context),
        "findings": [finding(item) for item in (audit.get("findings") or [])[:MOST]],
        "histograms": _histograms(audit),
        "redundancy": _redundancy(audit),
        "tables": [_tally(title, rows) for title, rows in tables if rows and any(row.get("value") for row in rows)],
        "audited": bool(audit),
    }


def _facts(context: Context) -> list[tuple[str, list[tuple[str, str]]]]:
    """What label set, split and audit count: (group, [(name, value)])."""
    audit = context.audit or {}
    copies, walls, sources = (audit.get(key) or {} for key in ("duplicates", "boilerplate", "sources"))
    lengths, spoken = audit.get("lengths") or {}, audit.get("languages") or {}
    labels = context.label_set or {}
    told = {"oracle": labels["oracle"]} if labels.get("oracle") else {}
    groups: list[tuple[str, list[tuple[str, str]]]] = [
        ("Labels", [*_counts(context.label_set), *flatten(told)]),
        ("Split", _counts((context.split or {}).get("rows"))),
    ]
    groups += [
        (
            "Copies",
            [
                (told, count(copies.get(key)))
                for key, told in (
                    ("distinct_near", "distinct articles"),
                    ("exact_copies", "exact copies"),
                    ("near_copies", "copies, near ones too"),
                    ("groups", "groups"),
                    ("largest", "largest group"),
                    ("conflicts", "copies labelled differently"),
                )
                if copies
            ],
        ),
        (
            "Texts",
            [
                (
                    "consent walls and boilerplate",
                    f"{count(walls.get('pages'))} ({number(walls.get('share'), 3, percent=True)})",
                ),
                ("words, median", count((lengths.get("quantiles") or {}).get("p50"))),
                ("words, longest", count(lengths.get("max"))),
                ("under 50 words", count(lengths.get("short"))),
                ("other language than declared", count(spoken.get("disagree"))),
                ("variance explained by source", number(sources.get("omega2"), percent=True)),
            ]
            if audit
            else [],
        ),
    ]
    return [(title, rows) for title, rows in groups if rows]


def _counts(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    return [(told, count(found[key])) for key, told in COUNTS.items() if found and value_of(found.get(key)) is not None]


def finding(found: Mapping[str, Any]) -> View:
    """One finding of the audit, with the kind of its chip."""
    level = str(found.get("level") or "info")
    return {
        "level": level,
        "kind": CHIPS.get(level, "plain"),
        "text": found.get("message") or "",
        "mend": found.get("mend") or "",
    }


def _histograms(audit: Mapping[str, Any]) -> list[View]:
    found = []
    for name, row in (audit.get("dimensions") or {}).items():
        facts = [(told, number(row.get(key), 1)) for key, told in (("mean", "mean"), ("std", "spread"))]
        counts = ", ".join(f"{score}: {count(n)}" for score, n in enumerate(row.get("histogram") or []))
        found.append(
            {
                "name": words(name),
                "facts": facts,
                "figure": figures.histogram(row.get("histogram") or [], f"{words(name)}, articles by score; {counts}"),
            }
        )
    return found


def _redundancy(audit: Mapping[str, Any]) -> View | None:
    found = audit.get("redundancy") or {}
    matrix: Mapping[str, Mapping[str, object]] = found.get("correlations") or {}
    rows = [
        (words(a), [{"r": row.get(b), "shade": abs(value_of(row.get(b)) or 0.0), "same": a == b} for b in matrix])
        for a, row in matrix.items()
    ]
    return {"names": [words(name) for name in matrix], "rows": rows, "pc1": found.get("pc1_share")} if rows else None


def _tally(title: str, rows: Sequence[Mapping[str, Any]]) -> View:
    """Values with their count and mean score, the most frequent first."""
    total = sum(value_of(row.get("n")) or 0.0 for row in rows)
    most = max((value_of(row.get("n")) or 0.0 for row in rows), default=1.0) or 1.0
    return {
        "title": title,
        "more": len(rows) - ROWS,
        "rows": [
            {
                **row,
                "share": (value_of(row.get("n")) or 0.0) / total if total else None,
                "figure": figures.bar(
                    row.get("n"), top=most, title=f"{row.get('value') or 'unknown'}: {count(row.get('n'))} articles"
                ),
            }
            for row in rows[:ROWS]
        ],
    }


def flatten(value: object, prefix: str = "", skip: frozenset[str] | set[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """A nested JSON value as (dotted name, text); lists of plain values become one text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in skip:
                yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key), skip)
    elif isinstance(value, list | tuple):
        if all(not isinstance(item, Mapping | list | tuple) for item in value):
            yield prefix, ", ".join(plain(item) for item in value) or "none"
        else:
            for i, item in enumerate(value):
                yield from flatten(item, f"{prefix}[{i}]", skip)
    elif value is not None or prefix:
        yield prefix, plain(value)


def plain(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, float) and value_of(value) is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def run(context: Context) -> View | None:
    failed = str((context.failure or {}).get("step") or "")
    rows = [
        {
            "step": step.get("step"),
            "did": "reused" if step.get("reused") else "ran",
            "seconds": duration((step.get("facts") or {}).get("seconds", step.get("seconds"))),
            "facts": [(words(k), v) for k, v in flatten(step.get("facts") or {}, skip={"seconds"})][:8],
        }
        for step in context.steps[:MOST]
        if step.get("step") != failed
    ]
    if failed:
        rows.append({"step": failed, "did": "failed", "seconds": "", "facts": []})
    if not rows and not context.problems:
        return None
    return {"rows": rows, "failure": context.failure}


def settings(context: Context) -> View:
    spec = context.flt.spec
    student = {k: v for k, v in (context.student or {}).items() if k not in ("dimensions", "filter", "format")}
    groups: list[tuple[str, object]] = [("Student and training, as resolved in the adapter", student)] if student else []
    if not student:
        groups += [("Student", spec.student.model_dump()), ("Training", spec.training.model_dump())]
    groups += [
        (title, part.model_dump())
        for title, part in (
            ("Split", spec.split),
            ("Oracle", spec.oracle),
            ("Prefilter", spec.prefilter),
            ("Promotion", spec.promotion),
            ("Scope", spec.scope),
        )
    ]
    verdict = {
        "dimensions": [f"{d.name} (weight {d.weight:g})" for d in spec.dimensions],
        "tiers": [f"{t.name}: {t.when or 'everything else'}" for t in spec.tiers],
        "gatekeepers": [f"{g.when}: at most {g.cap:g}, {g.because}" for g in spec.gatekeepers],
        "contentTypes": [
            f"{c.name}: at most {c.cap:g}" + (f" unless {c.unless}" if c.unless else "") for c in spec.contentTypes
        ],
    }
    groups.append(("From scores to tier", {k: "\n".join(v) or "none" for k, v in verdict.items()}))
    found = [{"title": title, "rows": list(islice(flatten(part), MOST))} for title, part in groups]
    return {"groups": [group for group in found if group["rows"]], "digests": digests(context), "commands": commands(context)}


def digests(context: Context) -> list[tuple[str, str]]:
    """(name, digest) of everything the report speaks of, each once."""
    bench, student = context.benchmark or {}, context.student or {}
    found = {words(name): str(digest) for name, digest in context.digests.items() if digest}
    more = (
        ("adapter", bench.get("adapter")),
        ("test part", bench.get("test")),
        ("split", student.get("split")),
        ("adapter in use", (bench.get("incumbent") or {}).get("adapter")),
        ("promoted adapter", (context.promoted or {}).get("adapter")),
        ("adapter before", (context.promoted or {}).get("previous")),
        ("base model", (student.get("base") or {}).get("digest")),
        ("preprocessing", (student.get("preprocessing") or {}).get("digest")),
    )
    for name, digest in more:
        if digest and str(digest) not in found.values():
            found[name] = str(digest)
    return list(found.items())


def commands(context: Context) -> list[tuple[str, str]]:
    """(what for, what to type), with this run's own names."""
    flt = context.flt
    name = f"{flt.name}/v{flt.spec.version}"
    adapter = context.digests.get("adapter") or (context.benchmark or {}).get("adapter")
    source = context.source or f"--labels {flt.spec.data.labels or 'labels.jsonl'}"
    rows = [
        (
            "The whole run again; steps whose inputs are unchanged are reused",
            f"distillery distill {name} {source}",
        ),
        ("What a change would redo, without running it", f"distillery plan {name} {source}"),
        ("Score articles", f"distillery score {name} articles.jsonl --out scores/"),
    ]
    if adapter:
        rows.append(("This adapter on other labelled articles", f"distillery benchmark {adapter} --labels other.jsonl"))
    rows.append(("What was promoted, and back to the one before", f"distillery history {name}\ndistillery rollback {name}"))
    return rows


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [
    ("data", "The data", data),
    ("run", "The run", run),
    ("settings", "Settings and digests", settings),
]
