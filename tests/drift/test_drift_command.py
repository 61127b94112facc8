"""`distillery drift`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery.components.store import open_store
from distillery.filters.loading import dump_filter
from tests.drift.made import ADAPTER, FILTER, drawn, put_test, scored
from tests.pipelines.harness import Ran, run_here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "filter.yaml").write_text(dump_filter(FILTER), encoding="utf-8")
    put_test(open_store(str(tmp_path / ".distillery")), drawn(1, 200))
    return tmp_path


def run(folder: Path, *words: str) -> Ran:
    return run_here("drift", *words, cwd=folder)


@pytest.mark.parametrize("subject", ["filter.yaml", ADAPTER[:12]])
def test_what_drifted_ends_with_5_and_names_it(folder: Path, subject: str) -> None:
    scored(folder / "new", drawn(2, 300, shifted=2.5), source="elsewhere")
    ran = run(folder, subject, "--scores", "new/scores")
    assert ran.code == 5
    assert "DRIFTED: benefit" in ran.out
    assert "300 articles against 200 of its test predictions; look 1" in ran.out
    assert "more of elsewhere 0% → 100%" in ran.out
    assert "the articles that moved most, of 300:" in ran.out
    again = run(folder, subject, "--scores", "new/scores", "--json")
    assert again.code == 5
    found = json.loads(again.out)
    assert found["look"] == 1
    assert found["drifted"][0] == "benefit"
    assert {feature["name"] for feature in found["features"]} == {"readiness", "benefit", "overall", "tiers"}
    assert found["reference"] == {"kind": "test", "n": 200}
    assert found["moved"][0]["source"] == "elsewhere"


def test_what_did_not_drift_and_what_is_too_little_end_with_0(folder: Path) -> None:
    scored(folder / "same", drawn(2, 300))
    scored(folder / "few", drawn(2, 20, shifted=5))
    ran = run(folder, "filter.yaml", "--scores", "same/scores")
    assert (ran.code, "nothing drifted" in ran.out) == (0, True)
    ran = run(folder, "filter.yaml", "--scores", "few/scores")
    assert (ran.code, ran.out) == (
        0,
        "too few to say: 20 articles against 200 of its test predictions; 100 of each are needed\n",
    )
    found = json.loads(run(folder, "filter.yaml", "--scores", "few/scores", "--json").out)
    assert (found["enough"], found["drifted"]) == (False, [])


def test_scores_by_hand_as_the_reference(folder: Path) -> None:
    scored(folder / "a", drawn(2, 300))
    scored(folder / "b", drawn(3, 300, shifted=2.5))
    ran = run(folder, "filter.yaml", "--scores", "b/scores", "--reference", "a/scores", "--json")
    assert ran.code == 5
    assert json.loads(ran.out)["reference"] == {"kind": "given scores", "n": 300}


def test_what_is_no_scores_is_one_line(folder: Path) -> None:
    ran = run(folder, "filter.yaml", "--scores", "nowhere")
    assert ran.code == 2
    assert ran.err.count("error: ") == 1
    assert "holds no finished scores; give the address that `distillery score` printed" in ran.err
    assert not (folder / "nowhere").exists()
