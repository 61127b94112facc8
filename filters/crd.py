"""The CustomResourceDefinitions and the editors' JSON Schema, generated from the models: `python -m distillery.filters.crd`.

A CRD wants a structural schema: every node typed, no references, no unions with null. What one field says about another is
there as far as rules of CEL go (`distillery.filters.crd_rules`), so that the API server refuses a bad commit; the rest (rules
that parse, patterns that compile) the model still checks, in the operator as on a laptop. Defaults stay out of it, so that an
object in a cluster says what its author wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from distillery.filters.crd_rules import ONCE, RULES
from distillery.filters.fields import API_VERSION
from distillery.filters.filter import Filter
from distillery.filters.loading import INSTALLED, dump_value
from distillery.filters.scoring import Scoring

Schema = dict[str, Any]
GROUP, VERSION = API_VERSION.split("/")
CRD_FILE = INSTALLED.parent / "manifests/crds/filters.yaml"
SCORING_CRD_FILE = CRD_FILE.with_name("scorings.yaml")
SCHEMA_FILE = INSTALLED / "schema.json"
_DROPPED = {"title", "default", "additionalProperties", "propertyNames", "$defs"}
_COLUMNS = [
    {"name": "Version", "type": "integer", "jsonPath": ".spec.version"},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "MAE", "type": "number", "jsonPath": ".status.mae"},
    {"name": "Verdict", "type": "string", "jsonPath": ".status.verdict"},
    {"name": "Digest", "type": "string", "jsonPath": ".status.digest"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]

_SCORING_COLUMNS = [
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Articles", "type": "integer", "jsonPath": ".status.articles"},
    {"name": "Last pass", "type": "date", "jsonPath": ".status.lastPass"},
    {"name": "Suspended", "type": "boolean", "jsonPath": ".spec.suspend"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def structural(node: Schema, defs: dict[str, Schema]) -> Schema:
    """Turn a JSON schema of pydantic's into a structural schema of Kubernetes'.

    Args:
        node: the schema or a part of it.
        defs: the schema's definitions, by name.

    Returns:
        The structural schema.

    Raises:
        ValueError: the schema says what a structural one can't.
    """
    if "$ref" in node:
        target = defs[node["$ref"].rpartition("/")[2]]
        return structural({**target, **{key: value for key, value in node.items() if key != "$ref"}}, defs)
    if "anyOf" in node:
        return _union(node, defs)
    found = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in found:
        found["enum"] = [found.pop("const")]
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in found:  # OpenAPI 3.0: a flag beside the bound
            found[inclusive], found[exclusive] = found[exclusive], True
    if "properties" in found:
        found["properties"] = {name: structural(inner, defs) for name, inner in found["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):  # names are anybody's, and what they hold the model checks
        found["x-kubernetes-preserve-unknown-fields"] = True
    if "items" in found:
        found["items"] = structural(found["items"], defs)
    if "type" not in found:
        raise ValueError(f"no type: {node}")
    return found


def _union(node: Schema, defs: dict[str, Schema]) -> Schema:
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    branches = [branch for branch in node["anyOf"] if branch != {"type": "null"}]
    nullable = {"nullable": True} if len(branches) < len(node["anyOf"]) else {}
    if len(branches) == 1:
        return structural({**branches[0], **rest}, defs) | nullable
    return {"description": rest.get("description", ""), "x-kubernetes-preserve-unknown-fields": True}  # word or list: untyped


def crd() -> Schema:
    """Return the CustomResourceDefinition.

    Returns:
        Plain values.
    """
    names = {"kind": "Filter", "listKind": "FilterList", "plural": "filters", "singular": "filter", "shortNames": ["flt"]}
    return _definition(Filter, names, RULES, _COLUMNS, _status())


def scoring_crd() -> Schema:
    """Return the CustomResourceDefinition of kind Scoring.

    Returns:
        Plain values.
    """
    names = {"kind": "Scoring", "listKind": "ScoringList", "plural": "scorings", "singular": "scoring"}
    return _definition(Scoring, names, {"filters": [ONCE]}, _SCORING_COLUMNS, _scoring_status())


def _definition(
    model: type[BaseModel],
    names: Schema,
    rules_of: Mapping[str, Sequence[tuple[str, str]]],
    columns: Sequence[Schema],
    status: Schema,
) -> Schema:
    schema = model.model_json_schema()
    spec = structural(schema["properties"]["spec"], schema["$defs"])
    for field, rules in rules_of.items():
        node = spec["properties"][field.removesuffix("[]")] if field else spec
        node = node["items"] if field.endswith("[]") else node
        node["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    name = structural(schema["$defs"]["Metadata"]["properties"]["name"], {})
    root = {
        "type": "object",
        "description": schema["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": spec,
            "status": status,
        },
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [*columns],
        "schema": {"openAPIV3Schema": root},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _text(longest: int, description: str) -> Schema:
    return {"type": "string", "maxLength": longest, "description": description}


def _count(description: str) -> Schema:
    return {"type": "integer", "format": "int64", "minimum": 0, "description": description}


def _conditions(types: str) -> Schema:
    text = _text
    condition = {
        "type": "object",
        "required": ["type", "status"],
        "properties": {
            "type": text(63, types),
            "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds."},
            "reason": text(200, "One word that says why."),
            "message": text(4_000, "A sentence that says why."),
            "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When it last changed."},
            "observedGeneration": {"type": "integer", "format": "int64", "description": "Generation that it is about."},
        },
    }
    return {
        "type": "array",
        "maxItems": 16,
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "description": "What holds and what does not.",
    }


def _status() -> Schema:
    text = _text
    return {
        "type": "object",
        "description": "Where the filter stands; written by the operator.",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64", "description": "Generation that was acted on."},
            "phase": text(63, "Where the filter's loop stands."),
            "mae": {"type": "number", "nullable": True, "description": "Test MAE of the latest student."},
            "verdict": text(63, "What the gates decided."),
            "digest": text(64, "The promoted adapter bundle."),
            "adapter": text(64, "The latest student, promoted or not."),
            "usd": {"type": "number", "description": "US dollars that the labels have cost."},
            "newArticles": _count("Articles that have come and that no run is of."),
            "report": text(2_000, "Address of the latest report."),
            "run": {
                "type": "object",
                "description": "The latest run.",
                "properties": {"id": text(200, "Kubeflow's."), "page": text(2_000, "Its page in Kubeflow's UI.")},
            },
            "conditions": _conditions("Such as Valid, Labeled, Trained, Promoted, Ready."),
        },
    }


def _scoring_status() -> Schema:
    scored = {
        "articles": _count("Articles of all passes that count."),
        "passes": _count("Passes that count."),
        "adapter": _text(64, "The adapter of the last pass."),
        "lastPass": {"type": "string", "format": "date-time", "description": "When the last pass ended."},
        "current": _text(2_000, "Address of the scores that count."),
    }
    pass_of = {
        "filter": _text(63, "Name of the filter."),
        "number": _count("In its series, from 1."),
        "adapter": _text(64, "The adapter that scored."),
        "at": {"type": "string", "format": "date-time", "description": "When it ended."},
        "files": _count("Files that were new."),
        "articles": _count("Rows that are articles."),
        "scored": _count("Articles that the student scored."),
        "prefiltered": _count("Articles that the prefilter refused."),
        "rejected": _count("Rows that are no article."),
        "tiers": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "description": "Articles by tier.",
        },
        "perSecond": {"type": "number", "description": "Articles a second, from the start of its Job to its end."},
        "scores": _text(2_000, "Address of the scores."),
    }
    return {
        "type": "object",
        "description": "How far the scoring is; written by the operator.",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64", "description": "Generation that was acted on."},
            "phase": _text(63, "Where the scoring stands."),
            "articles": _count("Articles of all filters' passes that count."),
            "lastPass": {"type": "string", "format": "date-time", "description": "When the last pass ended."},
            "filters": {
                "type": "array",
                "maxItems": 16,
                "items": {"type": "object", "properties": {"name": _text(63, "Of the filter."), **scored}},
                "description": "How far each filter is.",
            },
            "history": {
                "type": "array",
                "maxItems": 10,
                "items": {"type": "object", "properties": pass_of},
                "description": "The last passes, newest first.",
            },
            "conditions": _conditions("Such as Valid, Ready, Drifted."),
        },
    }


def crd_text() -> str:
    """Return the CustomResourceDefinition as a file.

    Returns:
        The YAML of manifests/crds/filters.yaml.
    """
    return "# Generated from filters/spec.py by `python -m distillery.filters.crd`; do not edit.\n" + dump_value(crd())


def scoring_crd_text() -> str:
    """Return the CustomResourceDefinition of kind Scoring as a file.

    Returns:
        The YAML of manifests/crds/scorings.yaml.
    """
    head = "# Generated from filters/scoring.py by `python -m distillery.filters.crd`; do not edit.\n"
    return head + dump_value(scoring_crd())


def filter_schema() -> Schema:
    """Return the JSON Schema for editors, which a filter.yaml names by `# yaml-language-server: $schema=…` at its top.

    Returns:
        Plain values.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Filter.model_json_schema()}


def schema_text() -> str:
    """Return the JSON Schema for editors as a file.

    Returns:
        The JSON of filters/schema.json.
    """
    return json.dumps(filter_schema(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files where they belong."""
    for path, text in ((CRD_FILE, crd_text()), (SCORING_CRD_FILE, scoring_crd_text()), (SCHEMA_FILE, schema_text())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(Path(path).name)


if __name__ == "__main__":
    main()
