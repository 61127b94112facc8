"""Filters that come with the program: complete, without findings, honest about what nobody has tried, and not paid for."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from distillery.components.artifacts.rubric_calibration import UNCALIBRATED, free, oracle_digest, require_calibration
from distillery.components.labeling.label import label
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.store import Store
from distillery.components.store.layout import calibration_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError, Waiting
from distillery.filters.lint_files import lint_file
from distillery.filters.loading import INSTALLED, load_filter
from distillery.filters.prompt import rubric
from tests.artifacts.made import made_calibration
from tests.calibration.conftest import Scripted

UNTRIED = [
    "climate-innovation/v1",
    "sustainability-technology/v1",
    "technology-deployment/v1",
    "economic-viability/v1",
    "policy-effectiveness/v1",
    "nature-recovery/v1",
    "movement-growth/v1",
    "ai-practice/v1",
]
ALL = sorted(path.parent.relative_to(INSTALLED).as_posix() for path in INSTALLED.glob("*/v*/filter.yaml"))
EIGHT = [
    *("climate_impact_potential", "technical_credibility", "economic_viability", "deployment_readiness"),
    *("systemic_impact", "justice_equity", "innovation_quality", "evidence_strength"),
]


def _always(document: bytes, _: bytes | None) -> bytes:
    return document


def test_every_shipped_filter_is_listed() -> None:
    assert set(UNTRIED) < set(ALL)
    readme = (INSTALLED / "README.md").read_text()
    assert [ref for ref in ALL if f"[{ref}]({ref}/README.md)" not in readme] == []


@pytest.mark.parametrize("ref", ALL)
def test_a_shipped_filter_has_no_findings(ref: str) -> None:
    assert lint_file(ref) == []
    flt = load_filter(ref)
    assert f"{flt.name}/v{flt.spec.version}" == ref
    assert sum(dimension.weight for dimension in flt.spec.dimensions) == pytest.approx(1)
    assert all(len(dimension.anchors) >= 4 for dimension in flt.spec.dimensions)
    assert 6 <= len(flt.dimensions) <= 8
    assert flt.spec.prefilter.exclude


@pytest.mark.parametrize("ref", UNTRIED)
def test_an_untried_filter_is_complete_and_says_that_it_is_untried(ref: str) -> None:
    flt = load_filter(ref)
    spec = flt.spec
    assert spec.gatekeepers
    assert len(spec.contentTypes) >= 2
    assert len(spec.tiers) == 3
    assert spec.scope.outOfScope
    assert {gate.metric for gate in spec.gates} >= {"mae", "spearman", "tier_recall", "tier_precision", "skill"}
    assert "Never calibrated" in spec.description
    assert "**Never calibrated.**" in (INSTALLED / ref / "README.md").read_text()
    prompt = rubric(flt)
    assert all(anchor.meaning in prompt for dimension in spec.dimensions for anchor in dimension.anchors)


@pytest.mark.parametrize("ref", UNTRIED)
def test_labels_are_not_paid_for_until_its_calibration_passes(ref: str, store: Store, tmp_path: Path) -> None:
    flt = load_filter(ref)
    assert not free(oracle_identity(flt))
    oracle = Scripted(lambda _: dict.fromkeys(flt.dimensions, 5.0))
    rows = [{"id": f"a{n}", "title": f"T{n}", "content": f"Number {n}. " + "Some words of a report. " * 20} for n in range(121)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="121 articles would be labelled, but this rubric is not calibrated"):
        label(store, flt, articles=str(tmp_path / "a.jsonl"), oracle=oracle)
    assert oracle.asked == 0
    for verdict, refused in (("FAIL", InputError), ("REVIEW", Waiting), ("PASS", None)):
        key = calibration_key(flt.name, rubric_digest(flt), oracle_digest(oracle.identity))
        said = {"filter": flt.name, "rubric": rubric_digest(flt), "oracle": oracle_digest(oracle.identity)}
        document = made_calibration(**said, identity=oracle.identity, verdict=verdict).to_bytes()
        store.update(key, partial(_always, document))
        if refused:
            with pytest.raises(refused):
                require_calibration(store, flt, UNCALIBRATED + 1, oracle=oracle.identity)
        else:
            assert require_calibration(store, flt, UNCALIBRATED + 1, oracle=oracle.identity)["calibration"] == "PASS"


def test_the_first_version_of_a_filter_lies_beside_the_second() -> None:
    first, second = load_filter("sustainability-technology/v1"), load_filter("sustainability-technology")
    assert (first.spec.version, second.spec.version) == (1, 2)
    assert first.dimensions == second.dimensions
    assert first.spec.promotion.channel != second.spec.promotion.channel  # neither takes the other's place
    assert rubric_digest(first) != rubric_digest(second)


def test_eight_dimensions_of_equal_weight() -> None:
    flt = load_filter("climate-innovation")
    assert flt.dimensions == EIGHT
    assert {dimension.weight for dimension in flt.spec.dimensions} == {0.125}
