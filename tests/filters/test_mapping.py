"""Mapping files: a part of a filter's `data`, in the same words; every mistake is told with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.filters.columns import AS_OURS, ScoreForm
from distillery.filters.digests import parts
from distillery.filters.errors import InputError
from distillery.filters.loading import dump_filter, find_filter, load_filter, load_filter_text
from distillery.filters.mapping import mapping_overrides

NAME = "uplifting"
WHOLE = """\
columns: {headline: title, verdict.points: scores, "a b": url}
dimensions: {"Agency (self)": agency}
scale: [0, 100]
scales:
  wonder: [5, 1]
"""


def write(folder: Path, text: str) -> str:
    (folder / "mapping.yaml").write_text(text)
    return str(folder / "mapping.yaml")


def test_a_mapping_is_what_the_filters_own_data_may_say(tmp_path: Path) -> None:
    overrides = mapping_overrides(write(tmp_path, WHOLE), NAME)
    flt = load_filter(NAME, overrides=overrides)
    assert flt.columns == {"headline": "title", "verdict.points": "scores", "a b": "url"}
    assert flt.score_form.dimensions == {"Agency (self)": "agency"}
    assert (flt.score_form.scale("agency"), flt.score_form.scale("wonder")) == ((0, 100), (5, 1))
    indented = "".join(f"    {line}\n" for line in WHOLE.splitlines())
    text = find_filter(NAME)[0].read_text().rstrip() + f"\n  data:\n{indented}"
    assert load_filter_text(text, "f.yaml") == flt
    assert load_filter_text(dump_filter(flt), "f.yaml") == flt


def test_a_filter_without_one_reads_scores_as_they_stand_and_has_the_digests_it_had() -> None:
    flt = load_filter(NAME)
    assert flt.score_form == AS_OURS
    assert "scores" not in parts(flt, "label")
    assert "scale" not in dump_filter(flt)
    assert load_filter(NAME, overrides=["data.scale=[0, 10]"]).score_form == ScoreForm()
    scaled = load_filter(NAME, overrides=["data.scale=[0, 100]"])
    assert [step for step in ("label", "split", "train") if parts(flt, step) != parts(scaled, step)] == ["label"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scale: [0, 100]\ncolums: {a: title}\n", 'mapping.yaml:2: unknown key "colums"'),
        ("scale: [0, 100]\nlabels: x.jsonl\n", 'mapping.yaml:2: unknown key "labels"'),
        ("columns:\n  a: title\n  b: titel\n", 'mapping.yaml:3: .*"titel" is no column that is read'),
        ("columns:\n  a: title\n  b: title\n", 'mapping.yaml:3: .*"b" and "a" are both title'),
        ("dimensions:\n  a: agency\n  b: agenci\n", 'mapping.yaml:3: .*"agenci" is no dimension of the filter; .*agency'),
        ("dimensions:\n  a: agency\n  b: agency\n", 'mapping.yaml:3: .*"b" and "a" are both agency'),
        ("scale: [0, 100]\nscales:\n  agenci: [1, 5]\n", 'mapping.yaml:3: .*"agenci" is no dimension'),
        ("# a\nscale: [3, 3]\n", "mapping.yaml:2: .*from 3 to 3 is no scale"),
        ("scales:\n  agency: [2, 2]\n", "mapping.yaml:2: .*from 2 to 2 is no scale"),
        ("scale: [0]\n", "mapping.yaml:1: .*scale"),
        ("scale: [0, 5, 10]\n", "mapping.yaml:1: .*too long"),
        ("scale: 100\n", "mapping.yaml:1: .*expects a list"),
        ('scale: [0, "100"]\n', "mapping.yaml:1: .*expects a number"),
        ("scale: [0, .inf]\n", "mapping.yaml:1"),
        ("columns: [a]\n", "mapping.yaml:1: .*expects a mapping"),
        ("scale: [0, 100]\nscale: [0, 10]\n", 'mapping.yaml:2: key "scale" twice'),
        ("columns: &a {x: title}\n", "mapping.yaml:1: anchor"),
        ("- columns\n", "mapping.yaml: is no mapping file; write columns, dimensions, scale or scales"),
        ("", "mapping.yaml: says nothing; .*scale"),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text)
    with pytest.raises(InputError, match=says):
        mapping_overrides("mapping.yaml", NAME)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.yaml: cannot be read: No such file"):
        mapping_overrides(str(tmp_path / "nothing.yaml"), NAME)
    assert mapping_overrides("", NAME) == ()


def test_a_mapping_goes_before_the_filters_own_and_behind_a_setting(tmp_path: Path) -> None:
    own = ["data.scale=[1, 5]", "data.columns.headline=url"]
    path = write(tmp_path, "scale: [0, 100]\n")
    flt = load_filter(NAME, overrides=[*own, *mapping_overrides(path, NAME, overrides=own)])
    assert (flt.score_form.scale("agency"), flt.columns) == ((0, 100), {"headline": "url"})


@pytest.mark.parametrize(
    ("scale", "says"),
    [("[5]", "is too short: at least 2 items"), ("[]", "is empty"), ("[1, 5, 9]", "is too long: at most 2 items")],
)
def test_a_scale_of_other_than_two_ends_is_told_as_what_it_is(scale: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_filter(NAME, overrides=[f"data.scale={scale}"])


@pytest.mark.parametrize(("given", "hint"), [('"7"', "remove the quotes"), ("nan", ""), ("1_000", ""), ("inf", ""), ("７", "")])
def test_quotes_are_to_be_removed_only_where_they_make_a_text_of_a_number(given: str, hint: str) -> None:
    with pytest.raises(InputError, match="expects a number, not the text") as error:
        load_filter(NAME, overrides=[f"oracle.temperature={given}"])
    assert error.value.hint == hint
