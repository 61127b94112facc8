"""`distillery explain` says of every key what the schema says; the schema is the one that editors use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from distillery.filters.errors import InputError
from distillery.filters.explain import Key, explain, render_key
from distillery.filters.loading import INSTALLED, load_filter
from distillery.filters.spec import Spec
from tests.filters.conftest import TEXT
from tests.filters.test_loading import FAULTS
from tests.pipelines.harness import run_here


def walk(path: str = "") -> Iterator[Key]:
    key = explain(path)
    yield key
    for inner in key.keys:
        yield from walk(inner.path)


def test_every_key_is_explained() -> None:
    keys = {key.path: key for key in walk()}
    assert len(keys) > 100
    for path, key in keys.items():
        assert key.description, path
        assert key.type, path
        assert render_key(key).count("\n  ") >= 1 + len(key.keys), path


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (
            "spec.training.epochs",
            {"whole number", "1 to 100", "default  3", "--set training.epochs=3", "Passes over the train"},
        ),
        ("training.learningRate", {"bounds   above 0; at most 1e+06", "default  2e-05"}),
        ("spec.promotion.approval", {"one of   none, required", "--set promotion.approval=none"}),
        ("dimensions[1].weight", {"key      spec.dimensions[].weight", "0 to 1", "none: it is required"}),
        ("spec.dimensions", {"list of mappings", "at most 16 items", "  anchors "}),
        ("spec.student.lora", {"those of its keys", "  dropout "}),
        ("oracle.price.batch", {"number or null", "above 0; at most 1"}),
        ("spec.student.lora.targets", {"text or list of text", "all-linear"}),
        ("filter.metadata.name", {"key      metadata.name", "matches ^[a-z]"}),
        ("", {"key      a filter", "  spec "}),
    ],
)
def test_type_default_bounds_and_keys_are_shown(path: str, wanted: set[str]) -> None:
    shown = render_key(explain(path))
    assert [text for text in wanted if text not in shown] == []


def test_defaults_are_those_of_the_model() -> None:
    training = Spec.model_fields["training"].default
    assert {key.name: key.default for key in explain("training").keys} == {
        name: getattr(training, name) for name in type(training).model_fields
    }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("spec.training.epoch", 'no key "epoch" in spec.training; did you mean "epochs"?'),
        ("spec.trainnig", 'no key "trainnig" in spec; did you mean "training"?'),
        ("spec.training.epochs.more", "spec.training.epochs has no keys below it"),
    ],
)
def test_a_key_that_is_not_there_is_one_line(path: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        explain(path)
    assert said in str(caught.value)


def test_the_command_prints_text_or_one_object(tmp_path: Path) -> None:
    assert "--set training.epochs=3" in run_here("explain", "spec.training.epochs", cwd=tmp_path).out
    shown = run_here("explain", "spec.training", "--json", cwd=tmp_path).json
    assert {key["name"] for key in shown["keys"]} >= {"epochs", "seed"}
    assert run_here("explain", "spec.nothing", cwd=tmp_path).code == 2


def schema(tmp_path: Path) -> dict[str, Any]:
    printed = run_here("filters", "schema", cwd=tmp_path).out
    assert json.loads(printed) == json.loads((INSTALLED / "schema.json").read_text(encoding="utf-8"))
    return dict(json.loads(printed))


def test_an_editor_accepts_our_filters_and_marks_what_the_schema_refuses(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema(tmp_path))
    validator.check_schema(schema(tmp_path))
    for path in sorted(INSTALLED.glob("*/v*/filter.yaml")):
        assert load_filter(str(path))
        assert list(validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))) == []
    for fault in ("unknown key", "weight is text", "missing", "cap of 11", "provider", "name climbs"):
        old, new, _ = FAULTS[fault]
        assert list(validator.iter_errors(yaml.safe_load(TEXT.replace(old, new)))), fault
