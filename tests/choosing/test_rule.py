"""The rule of the choice, the rungs of halving, and the file of candidates: no training."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats

from distillery.components.choosing.candidates import read_candidates
from distillery.components.choosing.rule import Measured, Rule, choose, parse_rule, rungs, survivors
from distillery.filters.errors import InputError
from tests.training.conftest import filter_of

SMALL, LARGE = {"work": 1.0, "memory": 500.0}, {"work": 9.0, "memory": 900.0}


def of(name: str, mae: float, size: dict[str, float] = SMALL, recipe: str = "") -> Measured:
    return Measured(name, recipe or name, mae, **size)


@pytest.mark.parametrize(("within", "chosen"), [(0.0, "large"), (0.01, "large"), (0.02, "small"), (0.5, "small")])
def test_the_cheapest_that_is_near_enough_is_chosen(within: float, chosen: str) -> None:
    found = choose([of("small", 0.62), of("large", 0.60, LARGE)], Rule(within))
    assert found.best.names == ["large"]
    assert found.chosen.names == [chosen]


def test_of_equal_cost_the_better_is_chosen() -> None:
    found = choose([of("slow", 0.61), of("fast", 0.60), of("large", 0.59, LARGE)], Rule(0.05))
    assert found.chosen.names == ["fast"]


def test_seeds_of_one_recipe_count_by_their_mean() -> None:
    lucky = [of("a1", 0.50, recipe="a"), of("a2", 0.70, recipe="a"), of("a3", 0.72, recipe="a")]
    found = choose([*lucky, of("b1", 0.60, recipe="b"), of("b2", 0.61, recipe="b")], Rule(0.0))
    assert found.best.names == ["b1", "b2"]
    assert found.recipes[1].names == ["a1", "a2", "a3"]
    assert found.recipes[1].spread == pytest.approx(stats.tstd([0.50, 0.70, 0.72]))
    assert choose([of("alone", 0.5)], Rule(0.0)).best.spread is None


@pytest.mark.parametrize(
    ("text", "within"),
    [("best", 0.0), ("cheapest within 0.02 of the best", 0.02), ("cheapest  within 1 of the best", 1.0)],
)
def test_a_rule_is_read_and_written(text: str, within: float) -> None:
    rule = parse_rule(text)
    assert rule.within == within
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize("text", ["", "cheapest", "cheapest within -1 of the best", "cheapest within x of the best", "fastest"])
def test_another_rule_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no rule") as error:
        parse_rule(text)
    assert "cheapest within 0.02 of the best" in error.value.hint


@pytest.mark.parametrize(("epochs", "expected"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [2, 4, 8]), (9, [3, 5, 9])])
def test_rungs_rise_to_all_epochs(epochs: int, expected: list[int]) -> None:
    assert rungs(epochs) == expected


def test_the_better_half_goes_on_and_two_at_least() -> None:
    assert survivors({"a": 3.0, "b": 1.0, "c": 2.0, "d": 4.0, "e": 5.0}) == ["b", "c", "a"]
    assert survivors({"a": 3.0, "b": 1.0, "c": 2.0}) == ["b", "c"]
    assert survivors({"a": 3.0, "b": 1.0}) == ["b", "a"]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "candidates.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_candidates_are_the_filter_with_their_settings(tmp_path: Path) -> None:
    flt = filter_of(tmp_path)
    text = """\
candidates:
  - name: as it is
  - name: longer
    set: {training.epochs: 6, spec.student.headTail: 0.5, training.loss: mae}
  - name: some layers
    set:
      student.lora.targets: [query, value]
"""
    plain, longer, some = read_candidates(written(tmp_path, text), flt)
    assert plain.filter == flt
    assert plain.settings == ()
    assert (longer.filter.spec.training.epochs, longer.filter.spec.student.headTail) == (6, 0.5)
    assert longer.settings == ("training.epochs=6", "student.headTail=0.5", "training.loss=mae")
    assert some.filter.spec.student.lora.targets == ["query", "value"]


TWO = "candidates:\n  - name: a\n  - name: b\n    set: {SETTING}\n"
FAULTS = {
    "no list": ("candidates: 3\n", ":1: candidates: Input should be a valid list"),
    "one alone": ("candidates: [{name: a}]\n", "candidates: List should have at least 2 items"),
    "no name": ("candidates:\n  - name: a\n  - set: {training.epochs: 2}\n", ":3: candidates.1.name: Field required"),
    "an unknown key": ("candidates:\n  - name: a\n  - name: b\n    sets: {}\n", ":4: candidates.1.sets: Extra inputs"),
    "a name twice": ("candidates:\n  - name: a\n  - name: a\n    set: {training.epochs: 2}\n", ":3: candidate 'a' is there"),
    "one student twice": ("candidates:\n  - name: a\n  - name: b\n", ":3: candidate 'b' is 'a' once more"),
    "an unknown setting": (TWO.replace("SETTING", "training.epoch: 2"), ":4: candidate 'b': spec.training.epoch: unknown key"),
    "a value of another kind": (TWO.replace("SETTING", "training.epochs: many"), ":4: candidate 'b': "),
    "a setting of the split": (TWO.replace("SETTING", "split.seed: 2"), ":4: candidate 'b' sets split.seed, which split reads"),
    "a setting of the verdict": (
        TWO.replace("SETTING", '"dimensions[0].weight": 0.9'),
        ":4: candidate 'b' sets dimensions[0].weight, which benchmark reads",
    ),
    "no YAML": ("candidates: [\n", "not YAML"),
    "a key twice": ("candidates: []\ncandidates: []\n", ':2: key "candidates" twice'),
}


@pytest.mark.parametrize(("text", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_file_is_told_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError) as error:
        read_candidates(written(tmp_path, text), filter_of(tmp_path))
    assert fault in str(error.value)
    assert "candidates.yaml" in str(error.value)
    assert error.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_candidates(tmp_path / "nowhere.yaml", filter_of(tmp_path))
