"""Rubric calibrations, the list of attempts and noise floors as documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery.components.artifacts.document import Document
from distillery.components.artifacts.noise_floor import Difference, SecondOracle, read_noise
from distillery.components.artifacts.rubric_calibration import (
    Acceptance,
    Attempt,
    CalibrationAttempts,
    EarlierJudgement,
    oracle_digest,
    usable,
)
from distillery.components.store import StoreError, open_store
from distillery.components.store.layout import noise_key
from tests.artifacts.made import made_calibration, made_noise

CALIBRATION = made_calibration()
REPLACED = EarlierJudgement(**dict(CALIBRATION.judgement), accepted=Acceptance(reason="read all"))
LATER = made_calibration(verdict="REVIEW", accepted=Acceptance(reason="fine"), history=[REPLACED])
ATTEMPTS = CalibrationAttempts(attempts=[Attempt(rubric="a" * 64, oracle="b" * 64, calibration="c" * 64, fresh="d" * 64)])
SECOND = SecondOracle(
    provider="openai",
    model="n",
    label_set="e" * 64,
    n=40,
    mae=0.5,
    bias=-0.1,
    overall_mae=0.4,
    dimensions={"z": Difference(bias=0.1, mae=0.2), "a": Difference(bias=0.0, mae=0.0)},
)
NOISE = made_noise(second=SECOND)


@pytest.mark.parametrize("document", [CALIBRATION, LATER, ATTEMPTS, NOISE, made_noise(floor=None)])
def test_round_trip_torn_bytes_unknown_keys_and_no_version(document: Document) -> None:
    form, fields = type(document), document.to_json()
    assert form.read(document.to_bytes(), "x") == document
    older = {name: value for name, value in fields.items() if name != "format"}
    assert form.read(json.dumps(older).encode(), "x") == document
    other = [json.dumps({**fields, **change}).encode() for change in ({"more": 1}, {"format": 2})]
    for bad in (document.to_bytes()[:-4], b"[]", *other):
        with pytest.raises(StoreError) as error:
            form.read(bad, "file:///s/x.json")
        assert str(error.value).startswith("file:///s/x.json: is ")
        assert "\n" not in str(error.value)


def test_a_sample_that_was_not_judged_has_no_figures() -> None:
    figures = CALIBRATION.to_json()["figures"]
    assert list(figures) == ["calibration", "redundancy"]
    assert json.loads(CALIBRATION.to_bytes())["figures"] == figures
    fresh = CALIBRATION.figures.model_copy(update={"fresh": CALIBRATION.figures.calibration})
    assert list(made_calibration(figures=fresh).to_json()["figures"]) == ["calibration", "fresh", "redundancy"]


def test_the_judgement_alone_decides_whether_two_say_the_same() -> None:
    assert CALIBRATION.judgement == CALIBRATION.model_copy(update={"accepted": Acceptance(reason="x")}).judgement
    assert CALIBRATION.judgement != made_calibration(verdict="FAIL").judgement


def test_what_lets_labelling_go_on() -> None:
    assert usable(CALIBRATION)
    assert usable(LATER)
    assert not usable(None)
    assert not usable(made_calibration(verdict="REVIEW"))
    assert not usable(made_calibration(verdict="FAIL", accepted=Acceptance(reason="no")))


def test_what_benchmarks_contain_has_sorted_keys_and_no_version() -> None:
    measured = NOISE.measured()
    assert list(measured) == ["floor", "second"]
    assert list(measured["second"]) == sorted(measured["second"])
    assert list(measured["second"]["dimensions"]) == ["a", "z"]
    assert made_noise().measured()["second"] is None


def test_noise_of_another_rubric_or_in_pieces_is_refused(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    identity = {"provider": "openai", "model": "m"}
    key = noise_key("demo", "a" * 64, oracle_digest(identity))
    assert read_noise(store, "demo", "a" * 64, identity) is None
    whole = made_noise(oracle=oracle_digest(identity))
    whole.put(store, key)
    assert read_noise(store, "demo", "a" * 64, identity) == whole
    made_noise(oracle=oracle_digest(identity), rubric="f" * 64).put(store, key)
    with pytest.raises(StoreError, match="is about another rubric or oracle than its name; delete it"):
        read_noise(store, "demo", "a" * 64, identity)
    store.put(key, b'{"format": 1')
    with pytest.raises(StoreError, match=r"is not JSON.*run `distillery noise` again"):
        read_noise(store, "demo", "a" * 64, identity)
