"""The CustomResourceDefinition and the editors' schema are what the model says, and Kubernetes would take the former."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from distillery.filters.crd import (
    CRD_FILE,
    SCHEMA_FILE,
    SCORING_CRD_FILE,
    crd,
    crd_text,
    schema_text,
    scoring_crd,
    scoring_crd_text,
    structural,
)
from distillery.filters.document import read_document
from distillery.filters.filter import Filter
from distillery.filters.loading import INSTALLED
from distillery.filters.scoring import ScoringSpec

FORBIDDEN = {"$ref", "$defs", "definitions", "anyOf", "oneOf", "allOf", "not", "const", "additionalProperties", "default",
             "title", "patternProperties", "dependencies", "uniqueItems", "id", "$schema"}  # fmt: skip


def test_files_are_up_to_date() -> None:
    hint = "run: python -m distillery.filters.crd"
    assert CRD_FILE.read_text(encoding="utf-8") == crd_text(), hint
    assert SCORING_CRD_FILE.read_text(encoding="utf-8") == scoring_crd_text(), hint
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), hint


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def faults(schema: dict[str, Any]) -> list[str]:
    """What the API server would refuse, or what would let a huge object in."""
    found = []
    for path, node in nodes(schema):
        kind = node.get("type")
        if kind is None and not node.get("x-kubernetes-preserve-unknown-fields"):
            found.append(f"{path}: no type")
        found += [f"{path}: {key}" for key in node.keys() & FORBIDDEN]
        if kind == "string" and not node.keys() & {"maxLength", "enum", "format"} and path not in (".apiVersion", ".kind"):
            found.append(f"{path}: no maxLength")
        if kind == "array" and "maxItems" not in node:
            found.append(f"{path}: no maxItems")
        if any(key in node and not isinstance(node[key], bool) for key in ("exclusiveMinimum", "exclusiveMaximum", "nullable")):
            found.append(f"{path}: a flag that is no boolean")
        if kind == "object" and set(node.get("required", [])) - set(node.get("properties", {})):
            found.append(f"{path}: requires what it has not")
    return found


def test_schema_is_structural() -> None:
    version = crd()["spec"]["versions"][0]
    assert faults(version["schema"]["openAPIV3Schema"]) == []
    assert version["subresources"] == {"status": {}}
    columns = {column["name"]: column["jsonPath"] for column in version["additionalPrinterColumns"]}
    assert (
        columns | {"Phase": ".status.phase", "MAE": ".status.mae", "Verdict": ".status.verdict", "Digest": ".status.digest"}
        == columns
    )
    assert crd()["metadata"]["name"] == "filters.llm-distillery.io"


def test_the_schema_of_scorings_is_structural_and_has_every_key() -> None:
    version = scoring_crd()["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    assert faults(root) == []
    assert version["subresources"] == {"status": {}}
    assert scoring_crd()["metadata"]["name"] == "scorings.llm-distillery.io"
    spec = root["properties"]["spec"]
    assert spec["properties"].keys() == ScoringSpec.model_fields.keys()
    assert set(spec["required"]) == {name for name, field in ScoringSpec.model_fields.items() if field.is_required()}
    assert spec["properties"]["filters"]["x-kubernetes-validations"]
    assert yaml.safe_load(scoring_crd_text()) == scoring_crd()


@pytest.mark.parametrize("broken", [
    {"type": "object", "properties": {"a": {}}}, {"type": "string"}, {"type": "array", "items": {"type": "integer"}},
    {"type": "object", "properties": {"a": {"type": "integer", "anyOf": []}}}, {"type": "number", "exclusiveMinimum": 0},
    {"type": "object", "required": ["a"]},
])  # fmt: skip
def test_the_walk_itself_fires(broken: dict[str, Any]) -> None:
    assert faults(broken)


def test_what_a_crd_cannot_say_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="no type"):
        structural({"description": "anything"}, {})


def test_every_key_of_the_model_is_in_the_crd() -> None:
    spec = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

    def same(node: dict[str, Any], model: type[BaseModel]) -> None:
        assert node["properties"].keys() == model.model_fields.keys()
        assert set(node.get("required", [])) == {name for name, field in model.model_fields.items() if field.is_required()}
        assert all(inner.get("description") for inner in node["properties"].values()), model

    fields = Filter.model_fields["spec"].annotation
    assert fields is not None
    same(spec, fields)
    for name in ("scope", "prefilter", "oracle", "student", "training", "split", "promotion", "data"):
        same(spec["properties"][name], fields.model_fields[name].annotation)
    assert spec["properties"]["student"]["properties"]["headTail"] == {
        "type": "number", "nullable": True, "minimum": 0.0, "exclusiveMinimum": True, "maximum": 1.0, "exclusiveMaximum": True,
        "description": fields.model_fields["student"].annotation.model_fields["headTail"].description,
    }  # fmt: skip


def test_crd_reads_alike_in_any_yaml_reader() -> None:
    assert yaml.safe_load(crd_text()) == crd() == read_document(crd_text(), "crd").value


@pytest.mark.parametrize("path", sorted(INSTALLED.glob("*/v*/filter.yaml")), ids=lambda path: path.parent.parent.name)
def test_our_filters_fit_the_schema(path: Any) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), json.loads(schema_text()))


@pytest.mark.parametrize(
    ("old", "new"), [("weight: 0.5", "wieght: 0.5"), ("cap: 2.9", "cap: 11"), ("version: 1\n", "version: x\n")]
)
def test_schema_refuses_what_the_model_refuses(changed: Callable[[str, str], str], old: str, new: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(changed(old, new)), json.loads(schema_text()))
