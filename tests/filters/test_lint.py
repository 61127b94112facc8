"""Lint sees what the schema can't; every finding fires, and our own filters have none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.filters.errors import InputError
from distillery.filters.lint import lint, render_findings
from distillery.filters.loading import INSTALLED, load_filter, load_filter_text
from distillery.filters.scaffold import new_filter

Change = Callable[[str, str], str]


def found(text: str) -> str:
    return render_findings(lint(load_filter_text(text, "filter.yaml"), text))


@pytest.mark.parametrize("path", sorted(INSTALLED.glob("*/v*/filter.yaml")), ids=lambda path: path.parent.parent.name)
def test_our_own_filters_are_clean(path: Path) -> None:
    assert render_findings(lint(load_filter(str(path)), path.read_text(encoding="utf-8"))) == "no findings"


NO_ANCHORS = "\n      anchors: [{score: 0, meaning: none}, {score: 5, meaning: some}, {score: 10, meaning: a lot}]"
GATE = "    - {metric: mae, below: 0.8}"
PRICED = "{{model: m, provider: openai, price: {{{}}}}}"
CASES = {
    "weights": ("weight: 0.5", "weight: 0.4", "spec.dimensions: weights sum to 1.4"),
    "no anchors": (NO_ANCHORS, "", "spec.dimensions[benefit].anchors: no anchors"),
    "few anchors": (", {score: 10, meaning: a lot}", "", "spec.dimensions[benefit].anchors: only 2"),
    "narrow anchors": ("score: 10, meaning: a lot", "score: 6, meaning: a lot", "bottom or top of the scale"),
    "two meanings": ("score: 5, meaning: some", "score: 0, meaning: some", "error: spec.dimensions[benefit].anchors: one"),
    "disorder": ("score: 0, meaning: none}, {score: 5,", "score: 5, meaning: none}, {score: 0,", "anchors: not in order"),
    "short meaning": ("meaning: none", "meaning: no!", "a meaning of under four characters"),
    "short description": ("How much good it does.", "Good.", "spec.dimensions[benefit].description: too short"),
    "short content type": ("A column without facts.", "Column.", "spec.contentTypes[opinion].description: only 7"),
    "idle dimension": ("weight: 0.5\n", "weight: 0\n", ""),
    "no scope": ("    outOfScope: [gadgets]\n", "", "spec.scope.outOfScope: nothing is out of scope"),
    "beyond 10": ("overall >= 6", "overall >= 11", "spec.tiers[high]: can't be reached: its rule never holds"),
    "contradiction": ("overall >= 6", "benefit > 5 and benefit < 4", "spec.tiers[high]: can't be reached: its rule never"),
    "shadowed": ("overall >= 4", "overall >= 7", "spec.tiers[medium]: can't be reached: tiers before it (high) take"),
    "nothing left": ("overall >= 4", "overall >= 0", "spec.tiers[low]: can't be reached: tiers before it"),
    "capped away": ('when: "readiness < 3"', 'when: "readiness < 9.5 or benefit < 9"', "x"),
    "idle gatekeeper": ("cap: 2.9", "cap: 8", "spec.gatekeepers[0]: never caps anything: no article it holds for"),
    "impossible gatekeeper": ("readiness < 3", "readiness > 10", "spec.gatekeepers[0]: never caps anything: its rule"),
    "total gatekeeper": ("readiness < 3", "readiness >= 0", "spec.gatekeepers[0]: caps every article"),
    "idle content cap": ("cap: 5.0, unless", "cap: 10, unless", "spec.contentTypes[opinion]: never caps anything"),
    "excludes all": ("  oracle:", "  prefilter: {exclude: ['x*']}\n  oracle:", "error: spec.prefilter.exclude[0]: matches"),
    "requires nothing": ("  oracle:", "  prefilter: {requireAny: ['the']}\n  oracle:", "so it requires nothing"),
    "ASCII edge": (
        "  oracle:",
        "  prefilter: {exclude: ['(\\bénergie)']}\n  oracle:",
        r"warning: spec.prefilter.exclude[0]: has a \b that sees no letter beyond ASCII",
    ),
    "unless alone": ("  oracle:", "  prefilter: {unless: ['solar']}\n  oracle:", "has no effect without exclude"),
    "crowded out": ("{model: recorded}", "{model: recorded, maxWords: 20000, instructions: &}", ""),
    "an adapter's rate": (
        "{baseModel: tiny/base}",
        "{baseModel: tiny/base, lora: null}\n  training: {learningRate: 1.0e-3}",
        "warning: spec.training.learningRate: 0.001 is an adapter's rate",
    ),
    "short-sighted": ("{baseModel: tiny/base}", "{baseModel: tiny/base, maxLength: 64}", "the student sees about 6%"),
    "price for nothing": (
        "{model: recorded}",
        "{model: recorded, price: {input: 1, output: 2}}",
        "note: spec.oracle.price: recorded replies cost nothing",
    ),
    "price of a free model": ("{model: recorded}", PRICED.format("input: 0, output: 0"), "says that the model is free"),
    "price for a token": (
        "{model: recorded}",
        PRICED.format("input: 1.0e-6, output: 2"),
        "spec.oracle.price: under $0.005 for a million",
    ),
    "price swapped": ("{model: recorded}", PRICED.format("input: 2, output: 1"), "replies are cheaper than prompts"),
    "price of a cache": (
        "{model: recorded}",
        PRICED.format("input: 1, output: 2, cached: 3"),
        "warning: spec.oracle.price.cached: a cached token costs more",
    ),
    "unpinned": ("tiny/base", "tiny/bases", "spec.student.revision: tiny/bases may change under you"),
    "no recall": (GATE, GATE, "no gate on tier_recall: a student that never predicts the best tier could pass"),
    "no skill": (GATE, GATE, "no gate on skill"),
    "wrong way": (GATE, "    - {metric: mae, atLeast: 0.8}", "spec.gates[0]: the wrong way round: less mae is better"),
    "no interval": (
        GATE,
        "    - {metric: latency_ms, below: 50, by: interval}",
        "error: spec.gates[0]: latency_ms has no interval, so nothing passes",
    ),
    "impossible share": (GATE, "    - {metric: spearman, atLeast: 70}", "error: spec.gates[0]: spearman is never above 1"),
    "impossible error": (GATE, "    - {metric: mae, below: 0}", "error: spec.gates[0]: an error is never below 0"),
    "a loser by a baseline": (
        GATE,
        f"{GATE}\n    - {{metric: skill, baseline: mean, atLeast: -0.1}}",
        "warning: spec.gates[1]: a student behind mean could be promoted",
    ),
    "a loser by the incumbent": (
        GATE,
        f"{GATE}\n    - {{metric: mae_vs_incumbent, below: 0}}",
        "warning: spec.gates[1]: a student that is not shown to be better than the adapter in use could be promoted",
    ),
    "two gates": (GATE, f"{GATE}\n{GATE}", "spec.gates[1]: a second gate on mae"),
    "to do": ("A filter for tests.", "TODO describe this filter.", "line 6: something is still to do"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_finding_fires(case: str, changed: Change) -> None:
    old, new, expected = CASES[case]
    if case == "crowded out":
        new, expected = new.replace("&", "'" + "w " * 9_000 + "'"), "which leaves the article too few"
    text = changed(old, new)
    if case == "idle dimension":
        text, expected = text.replace('unless: "benefit >= 8"', 'unless: "readiness >= 8"'), "in no rule, so it decides nothing"
    if case == "capped away":
        text, expected = (
            text.replace("overall >= 6", "overall >= 6 and benefit < 9"),
            "spec.tiers[high]: can't be reached: gatekeepers",
        )
    assert expected in found(text)


def test_what_is_sound_is_not_mentioned(text: str) -> None:
    mentioned = {line.split(":")[1].strip() for line in found(text).splitlines()[:-1]}
    assert mentioned == {"spec.description", "spec.dimensions", "spec.student.revision", "spec.gates"}


def test_a_narrow_tier_is_found_reachable(changed: Change) -> None:
    text = changed("overall >= 6", "5.0 <= overall <= 5.02 and 7 <= readiness <= 7.01 and benefit < 2")
    assert "tiers[high]" not in found(text)


def test_new_filter_is_valid_clean_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = new_filter("local-food", tmp_path / "filters")
    assert path.relative_to(tmp_path).as_posix() == "filters/local-food/v1/filter.yaml"
    monkeypatch.chdir(tmp_path)
    flt = load_filter("local-food")
    assert render_findings(lint(flt, path.read_text())) == "no findings"
    skill = {gate.baseline: gate.atLeast for gate in flt.spec.gates if gate.metric == "skill"}
    assert skill == {"source_median": 0.02, "tfidf_ridge": 0.0}
    with pytest.raises(InputError, match="exists"):
        new_filter("local-food", tmp_path / "filters")


@pytest.mark.parametrize("name", ["../x", "X", "a", "a_b", "a/b", "a\n", "", "ä-b", "x" * 64])
def test_names_that_are_no_slug_are_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a filter's name"):
        new_filter(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.parent.glob("x")) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        new_filter("local-food", tmp_path / "file")
