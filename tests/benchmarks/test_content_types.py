"""The demo with content types: every reply names the type of its article, and the filter that asks for them is sound."""

from __future__ import annotations

import json
from collections import Counter

from distillery.filters.lint import lint
from distillery.filters.loading import load_filter_text
from tests.benchmarks.content_types import KINDS, SETTINGS, filter_text, typed_replies
from tests.demo.generator.corpus import generate


def test_every_reply_names_the_kind_that_was_planted_and_keeps_its_scores() -> None:
    articles = list(generate(60))
    reply = json.dumps({"a": {"score": 3, "reason": "{so}"}}, indent=2)
    made = list(typed_replies((json.dumps({"id": one.id, "reply": reply}) for one in articles), 60, "a"))
    found = [json.loads(json.loads(row)["reply"]) for row in made]
    assert all(each["a"] == {"score": 3, "reason": "{so}"} for each in found)
    kinds = {one.id: one.planted for one in articles}
    wanted = [KINDS.get(kinds[one.copy_of] if one.copy_of else one.planted, "none") for one in articles]
    assert [each["content_type"] for each in found] == wanted
    assert set(Counter(wanted)) == {*KINDS.values(), "none"}


def test_the_filter_is_sound_and_asks_for_the_head() -> None:
    flt = load_filter_text(filter_text(), "filter.yaml", overrides=[SETTINGS[1]])
    assert flt.content_types == list(KINDS.values())
    assert flt.spec.student.contentTypes == "head"
    assert not [found for found in lint(flt) if found.level == "error"]
