"""A filter broken in every way that is checked, and who refuses it in a cluster: what docs/operator.md lists."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

BASE: dict[str, Any] = {
    "apiVersion": "llm-distillery.io/v1alpha1",
    "kind": "Filter",
    "metadata": {"name": "broken", "namespace": "distillery"},
    "spec": {
        "version": 1,
        "description": "A filter for tests.",
        "scope": {"judge": "Whether a technology helps."},
        "dimensions": [
            {"name": "readiness", "weight": 0.5, "description": "How close to use it is."},
            {"name": "benefit", "weight": 0.5, "description": "What it is good for."},
        ],
        "tiers": [{"name": "high", "when": "overall >= 6"}, {"name": "low"}],
        "gatekeepers": [{"when": "readiness < 3", "cap": 2.9, "because": "a lab's own"}],
        "contentTypes": [{"name": "advert", "description": "An advertisement.", "cap": 2.0, "unless": "benefit > 8"}],
        "oracle": {"model": "recorded"},
        "student": {"baseModel": "tiny/base", "revision": "main"},
        "split": {"validation": 0.1, "test": 0.1},
        "gates": [{"metric": "mae", "below": 0.8}, {"metric": "tier_recall", "tier": "high", "atLeast": 0.5}],
        "data": {"labels": "s3://bucket/labels.jsonl"},
    },
}
SCHEMA, CEL, VALID = "schema", "CEL", "Valid"


class Broken(NamedTuple):
    """check: as the table calls it. by: who refuses it. change: breaks a spec. model: False where a laptop takes it."""

    check: str
    by: str
    change: Callable[[Any], object]
    model: bool = True


def _set(*path: Any, value: Any) -> Callable[[Any], object]:
    def change(spec: Any) -> None:
        at = spec
        for step in path[:-1]:
            at = at.setdefault(step, {}) if isinstance(at, dict) else at[step]
        if isinstance(at, list) and path[-1] == len(at):
            at.append(value)
        else:
            at[path[-1]] = value

    return change


def _gate(**gate: Any) -> Callable[[Any], object]:
    return _set("gates", 2, value=gate)


BROKEN = [
    Broken("an unknown key", SCHEMA, _set("dimension", value=[])),
    Broken("a key that is missing", SCHEMA, lambda spec: spec.pop("student")),
    Broken("a value of the wrong kind, or out of its bounds", SCHEMA, _set("dimensions", 0, "weight", value=-1.0)),
    Broken("an unknown word where there are few", SCHEMA, _set("oracle", "provider", value="nobody")),
    Broken("a text or a list that is too long, or empty", SCHEMA, _set("dimensions", value=[])),
    Broken("a name that is none", SCHEMA, _set("dimensions", 0, "name", value="Not A Name")),
    Broken("a name twice", CEL, _set("dimensions", 1, "name", value="readiness")),
    Broken("all weights 0", CEL, lambda spec: [one.update(weight=0.0) for one in spec["dimensions"]]),
    Broken("a dimension that is called like a word of rules", CEL, _set("dimensions", 0, "name", value="overall")),
    Broken("one score of the scale with two meanings", CEL, _set("dimensions", 0, "anchors", value=[
        {"score": 3.0, "meaning": "some"}, {"score": 3.0, "meaning": "other"}])),
    Broken("a tier before the last without a rule", CEL, lambda spec: spec["tiers"][0].pop("when")),
    Broken("a last tier with a rule", CEL, _set("tiers", 1, "when", value="overall >= 1")),
    Broken("a tier's rule that names what is no dimension", CEL, _set("tiers", 0, "when", value="overal >= 6")),
    Broken("a gatekeeper's rule that names what is no dimension", VALID, _set("gatekeepers", 0, "when", value="ready < 3")),
    Broken("a content type's rule that names what is no dimension", VALID, _set("contentTypes", 0, "unless", value="good > 8")),
    Broken("a rule that can't be read", VALID, _set("tiers", 0, "when", value="overall >= and 6")),
    Broken("a content type that is called none, null or other", CEL, _set("contentTypes", 0, "name", value="none")),
    Broken("a pattern that RE2 can't compile", VALID, _set("prefilter", value={"exclude": ["(unclosed"]})),
    Broken("a pattern that leaves every article out", VALID, _set("prefilter", value={"exclude": [".*"]})),
    Broken("characters that can't be seen", VALID, _set("oracle", "model", value="recor\u200bded")),
    Broken("an oracle's key that is the store's", CEL, _set("oracle", "apiKeyEnv", value="AWS_SECRET")),
    Broken("thinkingBudget for a provider that takes none", CEL, _set("oracle", value={
        "model": "m", "provider": "openai", "thinkingBudget": 0})),
    Broken("vertex-batch without batchPrefix", CEL, _set("oracle", "provider", value="vertex-batch")),
    Broken("a base model that climbs out of its folder", CEL, _set("student", "baseModel", value="models/../../etc")),
    Broken("a revision with ..", CEL, _set("student", "revision", value="a..b")),
    Broken("content types to name where there are none", CEL, lambda spec: spec.update(
        contentTypes=[], student={**spec["student"], "contentTypes": "head"})),
    Broken("validation and test that leave nothing to train on", CEL, _set("split", value={"validation": 0.5, "test": 0.4})),
    Broken("an unknown metric", CEL, _gate(metric="maee", below=1.0)),
    Broken("a gate without a bound, or with two", CEL, _gate(metric="mae", below=1.0, atLeast=0.1)),
    Broken("a review on the passing side of its bound", CEL, _gate(metric="mae", below=1.0, review=0.5)),
    Broken("a gate's tier, dimension or baseline that its metric does not take", CEL,
           _gate(metric="mae", below=1.0, tier="high")),
    Broken("a gate's tier or baseline that its metric needs", CEL, _gate(metric="tier_recall", atLeast=0.5)),
    Broken("a gate's tier that does not exist", CEL, _gate(metric="tier_recall", atLeast=0.5, tier="best")),
    Broken("a gate's dimension that does not exist", CEL, _gate(metric="dimension_mae", below=1.0, dimension="best")),
    Broken("a gate's baseline that does not exist", CEL, _gate(metric="skill", atLeast=0.0, baseline="best")),
    Broken("a share of more than 1", CEL, _gate(metric="spearman", atLeast=1.5)),
    Broken("an error below 0", CEL, _gate(metric="mae", below=0.0)),
    Broken("columns that name no column of ours, or one twice", VALID, _set("data", "columns", value={"a": "nothing"})),
    Broken("scales of what is no dimension", VALID, _set("data", "scales", value={"best": [0.0, 1.0]})),
    Broken("data that pods don't reach", CEL, _set("data", "labels", value="labels.jsonl"), model=False),
    Broken("marks that pods don't reach", CEL, _set("run", value={"marks": "marks.json"}), model=False),
    Broken("a retraining that may cost more than all runs together", CEL, lambda spec: spec.update(
        run={"budget": 5.0}, retrain={"budget": 9.0})),
    Broken("a cool-down that is no time", SCHEMA, _set("retrain", value={"coolDown": "a week"})),
    Broken("a schedule that is none, or falls due on no day", VALID, _set("retrain", value={"schedule": "0 0 30 2 *"})),
    Broken("an unknown profile", VALID, _set("run", value={"profile": "nobody"})),
]  # fmt: skip


def broken(one: Broken) -> dict[str, Any]:
    """The whole object."""
    found = copy.deepcopy(BASE)
    one.change(found["spec"])
    return found
