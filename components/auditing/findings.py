"""Turns the audit's figures into findings: stop (nothing can be learned), warn (it can, but look), info; each with a hint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from distillery.components.artifacts.split import MIN_ARTICLES
from distillery.components.store import Json

LEVELS = ("stop", "warn", "info")
FEW_ARTICLES = 300
PC1 = 0.70
MODE_SHARE = 0.6
BOILERPLATE = 0.02
NEAR_COPIES = 0.05
LARGEST_GROUP = 0.05
CONFLICT = 1.0  # mean difference of the scores of one text
DISAGREE = 0.05
SOURCE_EXPLAINS = 0.5
SOURCE_SHARE = 0.5
SHORT_SHARE = 0.3
SCALE = 10.0  # of all scores
SMALL_SCALE = 1.0  # where no score passes it, labels are most likely on another
SMALLER = {(low, top) for low in (0, 1) for top in (3, 4, 5, 6, 7)}  # scales of surveys; by chance no set of labels ends so
RANGES = 2.0  # of other dimensions, beside which one of 0 to 1 is odd


class Finding(NamedTuple):
    """What a figure means.

    Attributes:
        level: one of LEVELS.
        check: name of the check.
        message: what was found.
        hint: what to do about it; its key in the document is "mend".
    """

    level: str
    check: str
    message: str
    hint: str

    def to_json(self) -> dict[str, str]:
        """Return the finding as the audit document has it.

        Returns:
            A JSON object.
        """
        return {"level": self.level, "check": self.check, "message": self.message, "mend": self.hint}


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun, such as "1 copy" or "1,200 copies".

    Args:
        number: how many.
        noun: in the singular.
        plural: of the noun; "" for the noun with an s.

    Returns:
        The words.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def findings(document: dict[str, Json]) -> list[dict[str, str]]:
    """Return what the figures of an audit mean.

    Args:
        document: the fields of `Audit` that the checks yield.

    Returns:
        Findings as JSON objects, the gravest first.
    """
    every = [
        *_columns(document),
        *_amount(document),
        *_scores(document),
        *_redundancy(document),
        *_text(document),
        *_provenance(document),
    ]
    return [finding.to_json() for finding in sorted(every, key=lambda each: LEVELS.index(each.level))]


def _columns(document: dict[str, Json]) -> Iterator[Finding]:
    """Say what was not read of the file, and what was made up in its place."""
    rows = document["rows"]
    unread = document.get("unread", ())
    for each in unread:
        yield Finding("warn", "columns", each.told(rows), f"read it: {each.mend}")
    if (unnamed := document.get("unnamed", 0)) and not any(each.column == "id" for each in unread):
        what = f"{unnamed:,} of {counted(rows, 'article')} have no id and are named by their text"
        yield Finding("info", "columns", what, "give each an id, to find it again")


def _amount(document: dict[str, Json]) -> Iterator[Finding]:
    rows, copies = document["rows"], document["duplicates"]
    distinct = copies["distinct_near"]
    if rows > 1 and copies["distinct"] == 1:
        yield Finding("stop", "articles", f"all {rows:,} articles are one text", "check what was read as the content")
    elif distinct < MIN_ARTICLES:
        yield Finding(
            "stop",
            "articles",
            f"{counted(distinct, 'distinct article')} where a split needs at least {MIN_ARTICLES}",
            "label more articles",
        )
    elif distinct < FEW_ARTICLES:
        yield Finding(
            "warn",
            "articles",
            f"{distinct:,} distinct articles make a test part of about {distinct // 10}; its intervals will be wide",
            f"label {FEW_ARTICLES:,} or more",
        )


def _scores(document: dict[str, Json]) -> Iterator[Finding]:
    dimensions = document["dimensions"]
    if missing := {name: its["missing"] for name, its in dimensions.items() if its["missing"]}:
        name, count = next(iter(missing.items()))
        yield Finding(
            "stop",
            "missing",
            f"{count:,} of {document['rows']:,} rows lack {name}"
            + (f" (and {len(missing) - 1} other dimensions lack rows)" if len(missing) > 1 else ""),
            "label these articles again, or leave them out",
        )
    constant = [name for name, its in dimensions.items() if its["n"] and its["min"] == its["max"]]
    if len(constant) == len(dimensions):
        yield Finding(
            "stop",
            "constant",
            "the scores are constant in every dimension: there is nothing to learn",
            "check the labels, or what the oracle was shown",
        )
        return
    yield from _scale(dimensions)
    for name, its in dimensions.items():
        if its["dead"]:
            yield Finding(
                "warn",
                "dead dimension",
                f"{name} is nearly constant: {its.get('mode_share') or 1:.0%} of its scores are {its.get('mode') or 0:g}",
                "sharpen its anchors, or give it weight 0",
            )
        elif its["mode_share"] >= MODE_SHARE:
            yield Finding(
                "warn",
                "mode",
                f"{its['mode_share']:.0%} of the scores of {name} are {its['mode']:g}",
                "check that its anchors tell articles apart",
            )
    overall = document["overall"]
    if overall.get("max") is not None and overall["max"] < 6:
        yield Finding(
            "info",
            "range",
            f"no article has an overall mean above {overall['max']:.1f}: a student can't learn scores it never sees",
            "add articles that deserve more",
        )


def _scale(dimensions: dict[str, Json]) -> Iterator[Finding]:
    """Call out labels on a smaller scale, as 0 to 1 or 1 to 5: gates on the mean absolute error would pass by scale alone."""
    tops = {name: its["max"] for name, its in dimensions.items() if its["n"]}
    ends = {(its["min"], its["max"]) for its in dimensions.values() if its["n"]}
    small = [name for name, top in tops.items() if top <= SMALL_SCALE and not dimensions[name]["dead"]]
    hint = f"multiply them by {SCALE:g}, or see that so low scores are meant"
    if tops and max(tops.values()) <= SMALL_SCALE:
        yield Finding(
            "warn",
            "scale",
            f"NO SCORE IS ABOVE {max(tops.values()):g}: these labels look like a scale of 0 to 1, and scores go "
            f"from 0 to {SCALE:g}; "
            "gates on errors in points pass by scale alone",
            hint,
        )
    elif small and max(tops.values()) > RANGES:
        yield Finding(
            "warn",
            "scale",
            f"{', '.join(small)} never passes {max(tops[name] for name in small):g} where other dimensions reach "
            f"{max(tops.values()):g}: a scale of 0 to 1 beside one of 0 to {SCALE:g}?",
            hint,
        )
    elif len(tops) > 1 and len(ends) == 1 and ends <= SMALLER:
        low, top = ends.pop()
        yield Finding(
            "warn",
            "scale",
            f"THE SCORES OF EVERY DIMENSION GO FROM {low:g} TO {top:g}: these labels look like a scale that ends there, and "
            f"scores go from 0 to {SCALE:g}; gates on errors in points pass more easily",
            f"say which scale they have: data.scale: [{low:g}, {top:g}], or see that so low scores are meant",
        )


def _redundancy(document: dict[str, Json]) -> Iterator[Finding]:
    redundancy = document["redundancy"]
    if redundancy["pc1_share"] is not None and redundancy["pc1_share"] >= PC1:
        yield Finding(
            "warn",
            "redundancy",
            f"one component carries {redundancy['pc1_share']:.0%} of the variance of all dimensions ({PC1:.0%} is much)",
            "the dimensions measure nearly one thing; merge or sharpen them",
        )
    for pair in redundancy["pairs"]:
        yield Finding(
            "warn",
            "redundancy",
            f"{pair['left']} and {pair['right']} go together (r = {pair['r']:.2f})",
            "merge them, or say in their anchors how they differ",
        )


def _text(document: dict[str, Json]) -> Iterator[Finding]:
    rows = max(document["rows"], 1)
    walls = document["boilerplate"]
    if walls["pages"]:
        example = (walls["wall_ids"] or walls["dominated_ids"] or walls["openings"][0]["ids"])[0]
        yield Finding(
            "warn" if walls["share"] >= BOILERPLATE else "info",
            "boilerplate",
            f"{walls['pages']:,} of {rows:,} articles ({walls['share']:.1%}) look like consent walls, paywalls "
            f"or repeated boilerplate (first {example})",
            "leave them out; prefilter.exclude keeps them out of scoring",
        )
    copies = document["duplicates"]
    if copies["near_copies"]:
        much = copies["near_copies"] >= NEAR_COPIES * rows or copies["largest"] > max(3, LARGEST_GROUP * rows)
        yield Finding(
            "warn" if much else "info",
            "duplicates",
            f"{counted(copies['exact_copies'], 'copy', 'copies')} and "
            f"{counted(copies['near_copies'] - copies['exact_copies'], 'near-duplicate')} in "
            f"{counted(copies['groups'], 'group')}, the largest of {copies['largest']:,}",
            "look at the largest groups" if much else "nothing: the split keeps each group on one side",
        )
    if copies["conflicts"]:
        worst = copies["conflict_examples"][0]
        yield Finding(
            "warn" if worst["difference"] >= CONFLICT else "info",
            "conflicts",
            f"{counted(copies['conflicts'], 'repeated text')} with labels that differ, by up to "
            f"{worst['difference']:.1f} ({', '.join(worst['ids'][:2])})",
            "the oracle's own noise is as large; a student can't do better",
        )
    lengths = document["lengths"]
    if lengths and lengths["short"] >= SHORT_SHARE * rows:
        yield Finding(
            "warn",
            "length",
            f"{lengths['short'] / rows:.0%} of the articles have fewer than 50 words",
            "check that whole articles were collected, not teasers",
        )


def _provenance(document: dict[str, Json]) -> Iterator[Finding]:
    rows = max(document["rows"], 1)
    spoken = document["languages"]
    if spoken["disagree"] and spoken["disagree"] >= DISAGREE * max(spoken["compared"], 1):
        most = spoken["disagreements"][0]
        yield Finding(
            "warn",
            "language",
            f"{spoken['disagree']:,} of {spoken['compared']:,} articles read like another "
            f"language than declared (mostly {most['detected']} declared {most['declared']})",
            "correct the language field",
        )
    if spoken["undeclared"]:
        yield Finding(
            "info",
            "language",
            f"{spoken['undeclared']:,} of {rows:,} articles declare no language; it was detected",
            "fill in language for exact slices",
        )
    sources = document["sources"]
    if sources["omega2"] is not None and sources["omega2"] >= SOURCE_EXPLAINS:
        yield Finding(
            "warn",
            "source",
            f"the source alone explains {sources['omega2']:.0%} of the variance of the overall score",
            "see the source_median baseline; add articles that differ within sources",
        )
    if sources["n"] > 1 and sources["largest_share"] >= SOURCE_SHARE:
        first = sources["table"][0]
        yield Finding(
            "warn",
            "source",
            f"{first['value'] or 'an unnamed source'} gives {sources['largest_share']:.0%} of the articles",
            "add other sources",
        )
