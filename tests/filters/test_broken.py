"""Each way to break a filter is refused by the model, and docs/operator.md says by whom in a cluster."""

from __future__ import annotations

import re

import pytest

from distillery.filters.crd import crd
from distillery.filters.crd_rules import RULES
from distillery.filters.errors import InputError
from distillery.filters.loading import INSTALLED
from distillery.pipelines.operator.wanted import read_object
from tests.filters.broken import BASE, BROKEN, CEL, SCHEMA, VALID, Broken, broken

PAGE = INSTALLED.parent / "docs" / "operator.md"
WORDS = {SCHEMA: "the schema", CEL: "a rule of the schema (CEL)", VALID: "the condition `Valid`"}


def test_the_filter_that_is_broken_here_is_whole_at_first() -> None:
    assert read_object(BASE).name == "broken"


@pytest.mark.parametrize("one", [one for one in BROKEN if one.model], ids=lambda one: one.check)
def test_the_operator_refuses_what_a_laptop_does(one: Broken) -> None:
    with pytest.raises(InputError) as caught:
        read_object(broken(one))
    assert str(caught.value)


def test_the_page_says_for_every_check_where_it_is_enforced() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    assert [row for row in rows if row[1] in WORDS.values()] == [(one.check, WORDS[one.by]) for one in BROKEN]


def test_every_rule_has_a_filter_that_it_refuses() -> None:
    """By the fields that the rules are about; a cluster says whether each of them holds."""
    assert len([one for one in BROKEN if one.by == CEL]) >= 25
    spec = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for field, rules in RULES.items():
        node = spec["properties"][field.removesuffix("[]")] if field else spec
        node = node["items"] if field.endswith("[]") else node
        assert [one["rule"] for one in node["x-kubernetes-validations"]] == [rule for rule, _ in rules]
