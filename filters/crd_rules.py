"""What one field of a filter says about another, in CEL: the API server refuses a bad commit before it is stored.

Every list and string that a rule walks is bounded, or the API server refuses the rule for its cost; doubles are compared with
doubles, and what may be absent is asked for by has(). What CEL can't say (whether a rule parses and names dimensions, a
pattern compiles) the operator tells in the condition Valid, in the words of `filters lint`. docs/operator.md has the table of
which is which.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from distillery.filters.checks import NO_TYPE, RESERVED
from distillery.filters.metrics import BASELINES, METRICS

Rules = list[tuple[str, str]]


def _list(words: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{word}'" for word in sorted(words)) + "]"


def _taking(argument: str, *, required: bool = False) -> str:
    """Return the metrics that take an argument, as a list in CEL."""
    return _list(name for name, one in METRICS.items() if one.argument == argument and (one.required or not required))


ONCE = ("self.all(a, self.exists_one(b, b.name == a.name))", "each name once")
_CLIMBS = "matches('(^|[/\\\\\\\\])[.][.]($|[/\\\\\\\\])')"
_BUCKET = "matches('^s3://[a-z0-9][a-z0-9.-]*/[^ ]*[^ /][^ ]*$')"
_SHARES = _list(name for name in METRICS if name.startswith("tier_") or name.endswith("spearman"))
_ERRORS = _list(name for name in METRICS if name.endswith("mae"))

# By field of spec ("": spec itself; "[]": each item of a list).
RULES: Final[dict[str, Rules]] = {
    "": [
        (
            "self.tiers.all(t, !has(t.when) || t.when.findAll('[A-Za-z_][A-Za-z0-9_]*').all(w, "
            "w in ['and', 'not', 'or', 'overall'] || self.dimensions.exists(d, d.name == w)))",
            "tiers: a rule names what is no dimension",
        ),
        (
            "self.gates.all(g, !has(g.tier) || self.tiers.exists(t, t.name == g.tier))",
            "gates: a gate names a tier that does not exist",
        ),
        (
            "self.gates.all(g, !has(g.dimension) || self.dimensions.exists(d, d.name == g.dimension))",
            "gates: a gate names a dimension that does not exist",
        ),
        (
            "!has(self.retrain) || !has(self.retrain.budget) || !has(self.run) || !has(self.run.budget) || "
            "self.retrain.budget <= self.run.budget",
            "retrain: the budget is more than run.budget, which holds for all runs together",
        ),
        (
            "!has(self.student.contentTypes) || self.student.contentTypes != 'head' || "
            "(has(self.contentTypes) && size(self.contentTypes) > 0)",
            "student: there are no contentTypes to name",
        ),
    ],
    "dimensions": [ONCE, ("self.exists(d, d.weight > 0.0)", "one dimension needs a weight above 0")],
    "dimensions[]": [
        (f"!(self.name in {_list(RESERVED)})", "the name is a word of rules or replies"),
        (
            "!has(self.anchors) || self.anchors.all(a, self.anchors.exists_one(b, b.score == a.score))",
            "anchors: one score has two meanings",
        ),
    ],
    "tiers": [
        ONCE,
        ("self.all(t, has(t.when) || t == self[size(self) - 1])", "every tier but the last needs a rule in when"),
        ("!has(self[size(self) - 1].when)", "the last tier takes what is left: no when"),
    ],
    "contentTypes": [ONCE],
    "contentTypes[]": [(f"!(self.name in {_list(NO_TYPE)})", "the name is what an oracle replies where no type fits")],
    "oracle": [
        ("!has(self.apiKeyEnv) || !self.apiKeyEnv.startsWith('AWS_')", "apiKeyEnv is the object store's"),
        (
            "!has(self.thinkingBudget) || !has(self.provider) || !(self.provider in ['openai', 'openai-batch'])",
            "this provider takes no thinkingBudget",
        ),
        (
            "!has(self.provider) || self.provider != 'vertex-batch' || has(self.batchPrefix)",
            "provider vertex-batch needs a batchPrefix",
        ),
    ],
    "student": [
        (f"!self.baseModel.{_CLIMBS}", "baseModel climbs out of its folder"),
        ("!has(self.revision) || !self.revision.contains('..')", "revision is no revision"),
    ],
    "split": [
        (
            "(has(self.validation) ? self.validation : 0.1) + (has(self.test) ? self.test : 0.1) < 0.9",
            "validation and test take 90% or more, so nothing is left to train on",
        )
    ],
    "promotion": [
        (
            "!has(self.registries) || self.registries.all(r, has(r.mlflow) != has(r.modelRegistry))",
            "exactly one of mlflow and modelRegistry",
        ),
    ],
    "gates[]": [
        ("has(self.below) != has(self.atLeast)", "exactly one of below and atLeast"),
        ("!has(self.review) || !has(self.below) || self.review > self.below", "review lies above below"),
        ("!has(self.review) || !has(self.atLeast) || self.review < self.atLeast", "review lies below atLeast"),
        (f"self.metric in {_list(METRICS)}", "unknown metric; `distillery filters metrics` lists them"),
        (f"!has(self.tier) || self.metric in {_taking('tier')}", "this metric takes no tier"),
        (f"!has(self.dimension) || self.metric in {_taking('dimension')}", "this metric takes no dimension"),
        (f"!has(self.baseline) || self.metric in {_taking('baseline')}", "this metric takes no baseline"),
        (f"has(self.tier) || !(self.metric in {_taking('tier', required=True)})", "this metric needs a tier"),
        (f"has(self.baseline) || !(self.metric in {_taking('baseline', required=True)})", "this metric needs a baseline"),
        (f"!has(self.baseline) || self.baseline in {_list(BASELINES)}", "no such baseline"),
        (
            f"!has(self.atLeast) || self.atLeast <= 1.0 || !(self.metric in {_SHARES})",
            "the metric is never above 1, so nothing passes",
        ),
        (
            f"!has(self.below) || self.below > 0.0 || !(self.metric in {_ERRORS})",
            "an error is never below 0, so nothing passes",
        ),
    ],
    "data": [
        (f"!has(self.articles) || self.articles.{_BUCKET}", "articles must be an address that pods reach: s3://bucket/key"),
        (f"!has(self.labels) || self.labels.{_BUCKET}", "labels must be an address that pods reach: s3://bucket/key"),
    ],
    "run": [
        (
            f"!has(self.marks) || self.marks in ['prefilter', 'reference'] || self.marks.{_BUCKET}",
            "marks must be prefilter, reference or an address that pods reach: s3://bucket/key",
        )
    ],
}
