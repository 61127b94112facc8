"""Every key of a filter is read by some step or known to be read by none; a change moves just what depends on it."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from distillery.components.labeling.oracles.base import PROVIDERS
from distillery.filters.diff import diff, redone, render_diff
from distillery.filters.digests import STEP_FREE, oracle_part, parts, rubric_digest, step_digest
from distillery.filters.fields import UNCHECKED
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter, load_filter_text
from distillery.filters.spec import ONLINE, Oracle
from distillery.filters.steps import STEPS, downstream

ALL = ["label", "audit", "split", "train", "benchmark", "gate", "promote"]
TRAIN, BENCHMARK, GATE = ALL[3:], ALL[4:], ALL[5:]

# DESIGN's table "what changed, what is redone"; each row by one edit of a filter
ROWS: dict[str, tuple[str, str, list[str]]] = {
    "description": ("A filter for tests.", "Another text.", []),
    "version": ("version: 1\n", "version: 2\n", []),
    "data": ("  oracle:", "  data: {labels: s3://elsewhere/labels.jsonl}\n  oracle:", []),
    "price": ("{model: recorded}", "{model: recorded, price: {input: 1, output: 2}}", []),
    "replies": ("{model: recorded}", "{model: recorded, replies: other.jsonl}", []),
    "prefilter": ("  oracle:", "  prefilter: {minChars: 300}\n  oracle:", []),
    "kubernetes": ("{name: demo}", "{name: demo, namespace: news, labels: {team: a}}", []),
    "tier": ("overall >= 6", "overall >= 6.5", BENCHMARK),
    "tier name": ("name: medium", "name: middling", BENCHMARK),
    "gatekeeper": ("cap: 2.9", "cap: 3.5", BENCHMARK),
    "weight": ("weight: 0.5", "weight: 0.6", BENCHMARK),
    "content cap": ("cap: 5.0", "cap: 4.0", BENCHMARK),
    "content unless": ("benefit >= 8", "benefit >= 7", BENCHMARK),
    "gate": ("below: 0.8", "below: 0.7", GATE),
    "approval": ("  oracle:", "  promotion: {approval: required}\n  oracle:", GATE),
    "channel": ("  oracle:", "  promotion: {channel: staging}\n  oracle:", ["promote"]),
    "student": ("{baseModel: tiny/base}", "{baseModel: tiny/base, maxLength: 128}", TRAIN),
    "device": ("{baseModel: tiny/base}", "{baseModel: tiny/base, device: cpu}", []),
    "served precision": ("{baseModel: tiny/base}", "{baseModel: tiny/base, precision: fp32}", BENCHMARK),
    "training": ("  oracle:", "  training: {epochs: 5}\n  oracle:", TRAIN),
    "in 4 bits": ("  oracle:", "  training: {quantize: nf4}\n  oracle:", TRAIN),
    "who follows": ("  oracle:", "  promotion: {registries: [{mlflow: {uri: 'http://a'}}]}\n  oracle:", []),
    "who is told": ("  oracle:", "  training: {reportTo: [tensorboard]}\n  oracle:", []),
    "similarity": ("  oracle:", "  split: {duplicateJaccard: 0.8}\n  oracle:", ["audit", "split", *TRAIN]),
    "split": ("  oracle:", "  split: {seed: 7}\n  oracle:", ["split", *TRAIN]),
    "scope": ("Whether a technology helps.", "Whether a technology is new.", ALL),
    "out of scope": ("[gadgets]", "[gadgets, toys]", ALL),
    "meaning": ("How much good it does.", "How much harm it avoids.", ALL),
    "anchor": ("meaning: a lot", "meaning: very much", ALL),
    "content type": ("A column without facts.", "A column.", ALL),
    "oracle": ("{model: recorded}", "{model: other}", ALL),
    "instructions": ("{model: recorded}", "{model: recorded, instructions: Be strict.}", ALL),
    "oracle's place": ("{model: recorded}", "{model: recorded, baseUrl: 'http://a', apiKeyEnv: A, timeoutSeconds: 9}", []),
    "replay's parameters": ("{model: recorded}", "{model: recorded, temperature: 0.5}", []),
    "provider": ("{model: recorded}", "{model: recorded, provider: openai}", ALL),
    "words": ("{model: recorded}", "{model: recorded, maxWords: 500}", ALL),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_a_change_redoes_just_what_depends_on_it(row: str, text: str) -> None:
    old, new, expected = ROWS[row]
    assert text.count(old) == 1
    before, after = load_filter_text(text, "old"), load_filter_text(text.replace(old, new), "new")
    moved = {step for step in STEPS if step_digest(before, step) != step_digest(after, step)}
    assert downstream(moved) == expected
    changes = diff(before, after)
    assert changes
    assert redone(changes) == expected
    assert render_diff(changes).splitlines()[-1] == f"redoes: {', '.join(expected) or 'nothing'}"


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (list, types.UnionType, typing.Union, typing.Annotated):
        for part in get_args(annotation):
            yield from models(part)


def leaves(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = list(models(field.annotation))
        here = f"{path}.{name}".lstrip(".")
        yield from (leaf for found in inner for leaf in leaves(found, here)) if inner else (here,)


def full() -> dict[str, Any]:
    """A filter in which every key is given."""
    given = load_filter("uplifting").model_dump(mode="json")
    spec = given["spec"]
    given["metadata"] |= {"namespace": "news", "labels": {"a": "b"}, "annotations": {"a": "b"}}
    spec["student"] |= {"headTail": 0.5, "device": "cpu", "precision": "fp32"}
    spec["student"] |= {"mode": "instruction", "instruction": "Judge it.", "contentTypes": "head", "pooling": "cls"}
    spec["prefilter"]["requireAny"] = ["a"]
    spec["data"] = {"articles": "a", "labels": "b", "columns": {"headline": "title"}, "dimensions": {"Agency": "agency"}}
    spec["data"] |= {"scale": [0.0, 100.0], "scales": {"agency": [1.0, 5.0]}}
    spec["oracle"] |= {"provider": "vertex", "replies": "r.jsonl", "baseUrl": "http://a", "apiKeyEnv": "KEY", "project": "p"}
    spec["oracle"] |= {"location": "eu", "batchPrefix": "gs://bucket/a", "thinkingBudget": 0}
    spec["oracle"] |= {"requestsPerMinute": 60, "tokensPerMinute": 1000}
    spec["oracle"]["price"] = {"input": 1.0, "output": 2.0, "cached": 0.5, "batch": 0.5, "cacheFrom": 1024}
    spec["gates"][0] |= {"tier": "high", "dimension": "agency", "baseline": "mean", "below": 1.0, "atLeast": 1.0, "review": 1.0}
    spec["training"] |= {"warmupSteps": 5, "dimensionWeights": "filter", "sampleWeights": "balanced", "layerDecay": 0.5}
    spec["training"]["quantize"] = "nf4"
    spec["training"] |= {"headDropout": 0.1, "stopOn": "overall", "epochFigures": "dimensions", "reportTo": ["mlflow"]}
    spec["gatekeepers"][0]["because"] = "because"
    spec["contentTypes"][0]["unless"] = "agency > 5"
    spec["promotion"]["approved"] = "0123abcd"
    place = {"uri": "http://registry", "name": "A model"}
    spec["promotion"]["registries"] = [{"mlflow": place, "modelRegistry": place}]
    spec["run"] = {"profile": "laptop", "marks": "m.json", "budget": 5.0, "maxRejects": "1", "gpus": 1, "trainer": "pod"}
    spec["retrain"] = {"minNew": 5, "budget": 1.0, "schedule": "0 3 * * *", "coolDown": "7d", "onDrift": "retrain"}
    return given


def with_leaf_changed(given: dict[str, Any], leaf: str) -> dict[str, Any]:
    tried = json.loads(json.dumps(given))
    at: Any = tried
    *parents, last = leaf.split(".")
    for step in parents:
        at = at[step][0] if isinstance(at[step], list) else at[step]
    value = at[last]
    choices = {"loss": "mae", "precision": "bf16", "approval": "required", "by": "interval", "targets": ["q_proj"]}
    choices |= {
        "mode": "regression",
        "contentTypes": "none",
        "pooling": "mean",
        "epochFigures": "together",
        "reportTo": ["tensorboard"],
        "dimensionWeights": "equal",
        "sampleWeights": "equal",
        "stopOn": "rmse",
        "quantize": "none",
    }
    choices |= {"provider": "openai", "apiKeyEnv": "OTHER", "strategy": "zero2", "device": "cuda"}
    choices |= {"scale": [0.0, 1.0], "scales": {"agency": [5.0, 1.0]}}
    choices |= {"trainer": "trainjob", "maxRejects": "2", "approved": "f" * 64}
    choices |= {"schedule": "0 4 * * *", "coolDown": "8d", "onDrift": "ignore"}
    if last in choices:
        at[last] = choices[last]
    elif isinstance(value, list):
        at[last] = [*value, "more"]
    elif isinstance(value, dict):
        at[last] = {**value, "more": "more"}
    elif isinstance(value, int):
        at[last] = value + 1
    else:
        at[last] = value + 0.25 if isinstance(value, float) else f"{value}x"
    return tried


def test_every_key_is_read_by_a_step_or_known_to_be_read_by_none() -> None:
    fixed = {"apiVersion", "kind"}  # one value only
    given = full()
    before = Filter.model_validate(given, context=UNCHECKED)
    unread = set()
    for leaf in set(leaves(Filter)) - fixed:
        after = Filter.model_validate(with_leaf_changed(given, leaf), context=UNCHECKED)
        assert after != before, leaf
        if all(parts(before, step) == parts(after, step) for step in STEPS):
            unread.add(leaf)
    listed = {leaf for leaf in leaves(Filter) if any(leaf == free or leaf.startswith(f"{free}.") for free in STEP_FREE)}
    assert unread == listed - fixed
    assert all(any(leaf == free or leaf.startswith(f"{free}.") for leaf in leaves(Filter)) for free in STEP_FREE)


def test_parts_are_plain_json(flt: Filter) -> None:
    for step in STEPS:
        assert json.loads(json.dumps(parts(flt, step))) == parts(flt, step)


def test_rubric_and_oracle_have_digests_of_their_own(text: str) -> None:
    flt = load_filter_text(text, "x")
    other_model = load_filter_text(text.replace("recorded", "other"), "x")
    assert rubric_digest(flt) == rubric_digest(other_model)
    assert oracle_part(flt) != oracle_part(other_model)
    other_scope = load_filter_text(text.replace("helps", "harms"), "x")
    assert rubric_digest(flt) != rubric_digest(other_scope)
    assert oracle_part(flt) == oracle_part(other_scope)
    assert len(rubric_digest(flt)) == 64


def test_batch_and_online_are_one_oracle(text: str) -> None:
    oracle = "model: recorded, provider: vertex, location: europe-west4, batchPrefix: 'gs://bucket/labels'"
    online = load_filter_text(text.replace("model: recorded", oracle), "x")
    batch = load_filter_text(text.replace("model: recorded", oracle.replace("vertex", "vertex-batch")), "x")
    warmer = load_filter_text(text.replace("model: recorded", f"{oracle}, temperature: 0.5"), "x")
    assert oracle_part(online) == oracle_part(batch) != oracle_part(warmer)


def test_every_provider_that_answers_by_jobs_has_one_that_answers_online() -> None:
    providers = set(get_args(Oracle.model_fields["provider"].annotation))
    assert {name for name in providers if name.endswith("-batch")} == ONLINE.keys()
    assert set(ONLINE.values()) <= providers - ONLINE.keys()
    assert set(PROVIDERS) == providers


def test_diff_compares_by_name_and_tells_order(text: str) -> None:
    old = load_filter_text(text, "old")
    assert render_diff(diff(old, old)) == "no difference"
    extra = "    - {name: top, when: overall >= 9}\n    - {name: high"
    [added] = diff(old, load_filter_text(text.replace("    - {name: high", extra), "new"))
    assert (added.path, added.old, added.new["name"], added.redoes) == ("spec.tiers[top]", None, "top", BENCHMARK)
    [removed] = diff(old, load_filter_text(text.replace('    - {name: medium, when: "overall >= 4"}\n', ""), "new"))
    assert (removed.path, removed.new, removed.redoes) == ("spec.tiers[medium]", None, BENCHMARK)
    given = old.model_dump(mode="json")
    given["spec"]["dimensions"].reverse()
    [order] = diff(old, Filter.model_validate(given))
    assert (order.path, order.redoes) == ("spec.dimensions[order]", ALL)
    [weight] = diff(old, load_filter_text(text.replace("weight: 0.5", "weight: 0.6"), "new"))
    assert weight.path == "spec.dimensions[benefit].weight"
    assert "spec.dimensions[benefit].weight: 0.5 → 0.6   (benchmark, gate, promote)" in render_diff([weight])


def test_diff_of_unlike_filters_explains_every_change() -> None:
    uplifting, risk = load_filter("uplifting"), load_filter("investment-risk")
    changes = diff(uplifting, risk)
    assert redone(changes) == ALL
    assert {change.path for change in changes if not change.redoes} >= {"metadata.name", "spec.version", "spec.description"}
