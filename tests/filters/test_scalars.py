"""An unquoted scalar means one thing here, to kubectl and to PyYAML, or it is refused."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from distillery.filters.document import read_document
from distillery.filters.errors import InputError
from distillery.filters.loading import dump_value, load_filter_text
from distillery.filters.scaffold import new_filter
from distillery.filters.scalars import may_be_plain, other_reading, resolve

Change = Callable[[str, str], str]

# What kubectl (go-yaml, as sigs.k8s.io/yaml has it) makes of a scalar that we would take for a text, or for another number.
OTHERWISE = {
    "yes": True, "No": False, "on": True, "OFF": False, "y": True, "N": False,
    "0777123": 261715, "0777": 511, "-0777": -511, "+017": 15, "08": 8, "09": 9, "-08": -8, "007": 7,
    "1_000": 1000, "1_": 1, "-1_0": -10, "1_0.5": 10.5, "1_0e1": 100, ".1_0": 0.1, "0_8": 8,
    "0x1F": 31, "0X1f": 31, "-0x10": -16, "0x_1F": 31,
    "0o17": 15, "0O17": 15, "-0o7": -7, "-0_o7_": -7, "0b11": 3, "0b+11": 3, "0B11": 3, "-0b1": -1, "+0b1": 1,
    "9223372036854775808": 9223372036854776000, "1e400": "1e400", "-1e999": "-1e999", "1" + "0" * 70: 1e70,
}  # fmt: skip
# The same to kubectl and to us, something else to YAML 1.1 as PyYAML reads it.
ELSEWHERE = [
    "1:30", "12:30:45", "-1:30", "1:30.5", "1_0:30", "2024-01-01", "2024-1-1 10:00:00", "2001-12-14t21:59:43.10-05:00",
    "2024-01-01 10:00:00 +2", "=", "<<", "0x_", "0b_",
    ".Inf", ".INF", "+.inf", "-.Inf", ".NaN", ".NAN",
]  # fmt: skip
# Everybody reads these as we do; PyYAML alone takes some of the numbers for texts.
ALIKE: dict[str, object] = {
    "0": 0, "-0": 0, "+1": 1, "10": 10, "9223372036854775807": 2**63 - 1, "1.": 1.0, ".5": 0.5, "+.5": 0.5, "1e3": 1000.0,
    "1E-3": 0.001, "1.5e+3": 1500.0, "08.5": 8.5, "012e03": 12000.0, "0777.": 777.0, "1e-400": 0.0,
    "~": None, "null": None, "NULL": None, "": None, "true": True, "False": False,
    "1.2.3": "1.2.3", "8faed761d45a": "8faed761d45a", "_1": "_1", "1__a": "1__a", "0x1G": "0x1G", "0x1p3": "0x1p3",
    "0o8": "0o8", "0b2": "0b2", "1:99": "1:99", "1:3a": "1:3a", "2024-01-01 was a day": "2024-01-01 was a day",
    "2024-01": "2024-01",
    "no gadgets": "no gadgets", "nope": "nope", "nan": "nan", "inf": "inf", ".": ".", "-": "-", "+": "+", "e3": "e3",
    "1e": "1e", "tRUE": "tRUE", "nULL": "nULL", "==": "==",
}  # fmt: skip


def reading(scalar: str) -> object:
    return read_document(f"[{scalar}]", "filter.yaml").value[0]


@pytest.mark.parametrize("scalar", [*OTHERWISE, *ELSEWHERE])
@pytest.mark.parametrize("document", ["{s}", "a: {s}", "- {s}", "a: [b, {s}]", "{s}: a", "a: {{{s}: b}}", "a:\n- b: {s} # c"])
def test_what_others_read_otherwise_is_refused_wherever_it_stands(scalar: str, document: str) -> None:
    with pytest.raises(InputError, match=r" without quotes is .*; write \"") as caught:
        read_document(document.format(s=scalar), "filter.yaml")
    assert str(caught.value).startswith(f"filter.yaml:{document.count(chr(10)) + 1}: {scalar[:40]}")
    for quoted in (f'"{scalar}"', f"'{scalar}'"):
        assert read_document(f"[{quoted}]", "filter.yaml").value == [scalar]


@pytest.mark.parametrize(("scalar", "value"), ALIKE.items())
def test_what_all_read_alike_is_read(scalar: str, value: object) -> None:
    assert (resolve(scalar), other_reading(scalar)) == (value, "")
    if scalar and scalar not in "-+":
        assert reading(scalar) == value
        assert type(reading(scalar)) is type(value)


@pytest.mark.parametrize("text", [*OTHERWISE, *ELSEWHERE, *ALIKE])
def test_a_dumped_text_stays_a_text_to_everybody(text: str) -> None:
    dumped = dump_value({"a": text, "b": [text], text: "c"})
    assert read_document(dumped, "dump").value == yaml.safe_load(dumped) == {"a": text, "b": [text], text: "c"}
    assert may_be_plain(text) or f"a: '{text}'" in dumped


def test_a_commit_that_looks_like_a_number_is_told_from_one(changed: Change) -> None:
    for revision, expected in {
        "0777123": '0777123 without quotes is a number to kubectl; write "0777123", or a number in plain digits',
        "12345e7": "spec.student.revision: expects a text, not 123450000000.0; put it in quotes, as it was written",
        "1234567": "spec.student.revision: expects a text, not 1234567; put it in quotes, as it was written",
    }.items():
        text = changed("tiny/base}", f"tiny/base, revision: {revision}}}")
        with pytest.raises(InputError) as caught:
            load_filter_text(text, "filter.yaml")
        assert str(caught.value) == f"filter.yaml:28: {expected}"
        flt = load_filter_text(changed("tiny/base}", f'tiny/base, revision: "{revision}"}}'), "filter.yaml")
        assert flt.spec.student.revision == revision


@pytest.mark.parametrize("name", ["no", "on", "yes", "null", "true", "off"])
def test_a_new_filter_may_have_any_name(name: str, tmp_path: Path) -> None:
    path = new_filter(name, tmp_path)
    assert load_filter_text(path.read_text(), "filter.yaml").name == name
    assert yaml.safe_load(path.read_text())["metadata"]["name"] == name


def scalars(seed: int, n: int) -> list[str]:
    """Scalars that look like numbers, dates, booleans and nulls, and mutations of them."""
    rng = random.Random(seed)
    known = [*OTHERWISE, *ELSEWHERE, *(scalar for scalar in ALIKE if scalar), ".inf", ".nan", "-.inf"]
    made = []
    while len(made) < n:
        if rng.random() < 0.4:
            text = rng.choice(["", "-", "+"]) + "".join(rng.choices("0123456789_.eExXoObB:-+aF", k=rng.randint(1, 9)))
        else:
            text = rng.choice(known)
            for _ in range(rng.randint(0, 3)):
                place = rng.randint(0, len(text))
                text = text[:place] + rng.choice("01789_.eE:-+xob~ntTfyYNoO=<Z ") + text[place + rng.randint(0, 1) :]
        text = text.strip()
        sign = text[:1] in "-?:" and text[1:2] in ("", " ")
        if text and not sign and ": " not in text and text[-1] != ":":  # one plain scalar
            made.append(text)
    return made


FULL = 100_000
COUNTS = [pytest.param(FULL // 100, id="quick"), pytest.param(FULL, id="all", marks=pytest.mark.slow)]


@pytest.mark.parametrize("n", COUNTS)
def test_no_scalar_is_read_otherwise_than_by_pyyaml(n: int) -> None:
    refused = 0
    for text in scalars(11, n):
        ours = resolve(text)
        if other_reading(text):
            refused += 1
            continue
        theirs = yaml.safe_load(f"- {text}\n")[0]
        if isinstance(ours, float) and isinstance(theirs, str):  # 1e3, +.5: numbers to YAML 1.2 and to kubectl
            assert "e" in text.lower() or text[:1] in "+-", text
            assert float(theirs) == ours, text
        else:
            assert type(ours) is type(theirs), text
            assert ours == theirs or (isinstance(ours, float) and math.isnan(ours)), text
    assert n * 0.05 < refused < n * 0.95  # neither hardly anything nor nearly everything


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is missing")
def test_no_scalar_is_read_otherwise_than_by_kubectl(n: int, tmp_path: Path) -> None:
    made = [text for text in dict.fromkeys(scalars(12, n)) if not other_reading(text)]
    made = [text for text in made if text not in (".nan", ".inf", "-.inf")]  # JSON has none, so kubectl refuses them
    read = kubectl(made, tmp_path)
    for text, theirs in zip(made, read, strict=True):
        ours = resolve(text)
        assert isinstance(ours, str) == isinstance(theirs, str), text
        assert ours == (float(str(theirs)) if isinstance(ours, float) else theirs), text


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is missing")
def test_the_table_is_what_kubectl_says(tmp_path: Path) -> None:
    for table in (OTHERWISE, {key: value for key, value in ALIKE.items() if key and key not in "-+"}):
        assert kubectl([*table], tmp_path) == [*table.values()]


def kubectl(scalars: list[str], folder: Path) -> list[object]:
    """Return what kubectl reads each scalar as; no server is asked."""
    path = folder / "scalars.yaml"
    body = "".join(f"- {text}\n" for text in scalars)
    path.write_text(f"apiVersion: v1\nkind: Any\nmetadata: {{name: any}}\nvalues:\n{body}")
    done = subprocess.run(
        ["kubectl", "label", "--local", "-f", path, "-o", "json", "a=b"], capture_output=True, text=True, check=True
    )
    values: list[object] = json.loads(done.stdout)["values"]
    return values
