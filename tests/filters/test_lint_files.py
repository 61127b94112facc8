"""`filters lint` says all that is wrong or odd in files at once, each with its file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.filters.errors import InputError
from distillery.filters.lint_files import check_text, counted, lint_file, render
from distillery.filters.loading import load_filter, load_filter_text
from distillery.filters.scaffold import new_filter
from tests.filters.conftest import TEXT
from tests.filters.test_lint import CASES
from tests.filters.test_loading import FAULTS
from tests.pipelines.harness import run_here

Change = Callable[[str, str], str]
FOLLOWING = {"dimension twice", "reserved name"}  # another rule uses the name that is gone


def shown(text: str) -> list[str]:
    flt, found = check_text(text, "filter.yaml")
    assert (flt is None) == bool(found)
    return render(found).splitlines()


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"no weights"}))
def test_one_fault_is_one_line_with_its_place(fault: str, changed: Change) -> None:
    text = changed(*FAULTS[fault][:2])
    lines = shown(text)
    assert len(lines) == 1 + (fault in FOLLOWING), lines
    with pytest.raises(InputError) as caught:
        load_filter_text(text, "filter.yaml")
    assert caught.value.what.partition(" (and ")[0] in lines[0]
    assert lines[0].startswith(f"{caught.value.where}: error: ")


def test_what_yaml_the_schema_and_other_fields_refuse_is_told_at_once() -> None:
    text = TEXT.replace("[gadgets]", "[gadgets, no]").replace("  version: 1\n", "  version: 1\n  version: 2\n")
    text = text.replace("weight: 0.5", "wieght: 0.5").replace("cap: 2.9", "cap: 11")
    text = text.replace("overall >= 6", "overal >= 6").replace("metric: mae", "metric: maee")
    assert [line.partition("; ")[0] for line in shown(text)] == [
        'filter.yaml:6: error: key "version" twice',
        "filter.yaml:10: error: no without quotes is a boolean to kubectl",
        "filter.yaml:16: error: spec.dimensions[1].weight: is missing",
        'filter.yaml:17: error: spec.dimensions[1].wieght: unknown key "wieght"',
        'filter.yaml:21: error: spec.tiers[0].when: rule "overal >= 6", column 1: "overal" is not defined',
        "filter.yaml:25: error: spec.gatekeepers[0].cap: must be at most 10, not 11",
        'filter.yaml:31: error: spec.gates[0].metric: unknown metric "maee"',
    ]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("below: 0.8", "below: low", ["spec.gates[0].below"]),  # not that the gate has no bound
        ("name: readiness", "name: Readiness", ["spec.dimensions[0].name"]),  # not that rules know no readiness
        ("weight: 1\n", "weight: one\n", ["spec.dimensions[0].weight"]),
        ("{model: recorded}", "recorded", ["spec.oracle"]),
        ("  tiers:", "  tears:", ["spec.tears", "spec.tiers"]),
        ("name: low", "name: 7", ["spec.tiers[2].name"]),
    ],
)
def test_what_only_follows_from_a_fault_is_not_reported(old: str, new: str, wanted: list[str]) -> None:
    assert sorted(line.split(": ")[2] for line in shown(TEXT.replace(old, new, 1))) == wanted


def test_several_faults_between_fields_are_told_at_once_and_counted_elsewhere() -> None:
    text = TEXT.replace("overall >= 6", "joy >= 6").replace("overall >= 4", "hope >= 4").replace(", below: 0.8", "")
    assert [line.split(": ")[0] for line in shown(text)] == ["filter.yaml:20", "filter.yaml:21", "filter.yaml:30"]
    with pytest.raises(InputError, match=r"joy.* \(and 2 more\)"):
        load_filter_text(text, "filter.yaml")


# The line of TEXT that a finding of each case belongs to: its own, or its section's where the file leaves it out.
LINES = {
    "weights": 10,
    "no anchors": 15,
    "few anchors": 18,
    "short description": 17,
    "short content type": 26,
    "no scope": 7,
    "shadowed": 21,
    "impossible gatekeeper": 24,
    "excludes all": 27,
    "unpinned": 28,
    "no recall": 29,
    "wrong way": 30,
    "a loser by a baseline": 31,
    "to do": 6,
}


@pytest.mark.parametrize("case", sorted(LINES))
def test_a_finding_has_the_line_of_its_part(case: str, tmp_path: Path) -> None:
    old, new, expected = CASES[case]
    path = tmp_path / "filter.yaml"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    found = [finding for finding in lint_file(str(path)) if expected in f"{finding.level}: {finding.where}: {finding.message}"]
    assert [finding.line for finding in found] == [LINES[case]]


@pytest.mark.parametrize("case", sorted(CASES))
def test_every_finding_has_a_line(case: str, tmp_path: Path) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(TEXT.replace(*CASES[case][:2]), encoding="utf-8")
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert [finding for finding in lint_file(str(path)) if not 1 <= (finding.line or 0) <= lines] == []


def test_every_line_that_is_still_to_do_is_told(tmp_path: Path) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(TEXT.replace("A filter for tests.", "TODO").replace("lab-only", "TODO"), encoding="utf-8")
    found = [finding for finding in lint_file(str(path)) if "to do" in finding.message]
    assert [(finding.where, finding.line) for finding in found] == [("line 6", 6), ("line 24", 24)]
    assert f"{path}:24: warning: something is still to do; write it out" in render(found)


def test_several_filters_are_linted_in_one_call(tmp_path: Path) -> None:
    good = new_filter("good-one", tmp_path / "filters")
    bad, odd = tmp_path / "bad.yaml", tmp_path / "odd.yaml"
    bad.write_text(TEXT.replace("cap: 2.9", "cap: 11"), encoding="utf-8")
    odd.write_text(TEXT, encoding="utf-8")
    assert run_here("filters", "lint", "good-one", cwd=tmp_path).out == "no findings\n"
    ran = run_here("filters", "lint", good, "odd.yaml", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert all(line.startswith("odd.yaml:") for line in ran.out.splitlines()[:-1])
    ran = run_here("filters", "lint", "odd.yaml", "nowhere", "bad.yaml", "good-one", cwd=tmp_path)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert 'no filter "nowhere"' in ran.err
    assert "bad.yaml:24: error: spec.gatekeepers[0].cap: must be at most 10" in ran.out
    ran = run_here("filters", "lint", "odd.yaml", "bad.yaml", "--json", cwd=tmp_path)
    assert ran.code == 2
    assert {finding["file"] for finding in ran.json["findings"]} == {"odd.yaml", "bad.yaml"}
    assert ran.json["error"]["where"] == "bad.yaml:24"


@pytest.mark.parametrize("name", ["nowhere", "utf16.yaml", "folder.yaml", "latin.yaml"])
def test_of_a_filter_that_cannot_be_read_one_line_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "utf16.yaml").write_bytes(TEXT.encode("utf-16"))
    (tmp_path / "latin.yaml").write_bytes(TEXT.replace("A filter", "é").encode("latin-1"))
    ran = run_here("filters", "lint", name, cwd=tmp_path)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_a_filter_in_another_folder_than_its_name_is_told_beside_the_rest(tmp_path: Path) -> None:
    path = new_filter("good-one", tmp_path / "filters")
    path.write_text(path.read_text("utf-8").replace("name: good-one", "name: another").replace("weight: 0.5", "weight: 0.4"))
    ran = run_here("filters", "lint", "good-one", cwd=tmp_path)
    assert ran.code == 2
    assert "filters/good-one/v1/filter.yaml:1: error: this is another/v1, but its folder says good-one/v1" in ran.out
    assert "warning: spec.dimensions: weights sum to 0.9" in ran.out


def test_strict_lets_warnings_fail_but_not_notes(tmp_path: Path) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(TEXT, encoding="utf-8")
    assert run_here("filters", "lint", path, cwd=tmp_path).code == 0
    strict = run_here("filters", "lint", path, "--strict", "--json", cwd=tmp_path)
    assert (strict.code, strict.json["error"]["code"]) == (2, 2)
    noted = new_filter("noted", tmp_path / "filters")
    bound = "    - {metric: mae, below: 0.9}\n"
    noted.write_text(noted.read_text("utf-8").replace(bound, bound + bound), encoding="utf-8")
    ran = run_here("filters", "lint", "noted", "--strict", cwd=tmp_path)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "1 note")


def test_findings_are_counted_by_level(tmp_path: Path) -> None:
    assert counted([]) == "no findings"
    path = tmp_path / "filter.yaml"
    path.write_text(TEXT.replace("cap: 2.9", "cap: 11").replace("version: 1", "version: x"), encoding="utf-8")
    assert counted(lint_file(str(path))) == "2 errors"
    assert load_filter("uplifting")
