"""Columns of files by our names: what may be written, where a mistake is told, and what it means for the steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.filters.columns import map_overrides
from distillery.filters.diff import diff, redone
from distillery.filters.digests import parts, rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import dump_filter, find_filter, load_filter, load_filter_text
from distillery.filters.steps import STEPS

NAME = "uplifting"
TEXT = find_filter(NAME)[0].read_text(encoding="utf-8")


def mapped(*pairs: str) -> Filter:
    return load_filter(NAME, overrides=map_overrides(pairs))


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=40).filter(lambda name: name.strip()))
def test_any_name_of_a_column_can_be_mapped(name: str) -> None:
    flt = mapped(f"{name}=title")
    assert flt.columns == {name: "title"}
    assert load_filter_text(dump_filter(flt), "x") == flt


@pytest.mark.parametrize(
    ("pair", "columns"),
    [
        ("body=text", {"body": "content"}),
        ("a=b=url", {"a=b": "url"}),
        ("labels=scores", {"labels": "scores"}),
        ("x=agency", {"x": "score.agency"}),
        ("x=reference.agency", {"x": "reference.agency"}),
    ],
)
def test_names_of_ours(pair: str, columns: dict[str, str]) -> None:
    assert mapped(pair).columns == columns


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        (["headline=titel"], r'--set data.columns.headline: spec.data.columns.headline: "titel" is no column that is read'),
        (["a=title", "b=title"], '"b" and "a" are both title'),
        (["a=text", "b=content"], '"b" and "a" are both content'),
        (["a=scores", "b=agency"], "are both score.agency"),
        (["b=agency", "a=scores"], "are both scores"),
        (["a=score.nothing"], '"score.nothing" is no column'),
        (["headline"], "--map: 'headline' does not name a column of the file and ours"),
        (["=title"], "does not name a column"),
        (["a=title", "a=url"], "--map: 'a' is given twice"),
    ],
)
def test_what_is_no_map_is_refused(pairs: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        mapped(*pairs)


def test_a_mistake_in_a_filter_has_its_line() -> None:
    text = TEXT.rstrip() + "\n  data:\n    columns:\n      headline: title\n      Subject: titel\n"
    number = len(text.splitlines())
    with pytest.raises(InputError, match=rf'f.yaml:{number}: spec.data.columns.Subject: "titel" is no column'):
        load_filter_text(text, "f.yaml")
    assert load_filter_text(text.replace("titel", "url"), "f").columns == {"headline": "title", "Subject": "url"}


def test_columns_redo_the_labels_and_nothing_moves_without_them() -> None:
    flt, other = load_filter(NAME), mapped("headline=title")
    assert [step for step in STEPS if parts(flt, step) != parts(other, step)] == ["label"]
    assert "columns" not in parts(flt, "label")
    assert rubric_digest(flt) == rubric_digest(other)
    for before, after in ((flt, other), (other, flt)):
        assert redone(diff(before, after))[0] == "label"
