"""Several reviewers in a calibration, and marks of something else, which are refused before a label is paid for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.rubric_calibration import oracle_digest, read_calibration
from distillery.components.calibration.calibrate import calibrate
from distillery.components.runtime.progress import Progress
from distillery.components.sampling.select import read_sample
from distillery.components.store import Digest, Store
from distillery.components.store.layout import calibration_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.calibration.reviewers import written

Oracles = Callable[..., Any]


class Notes(Progress):
    """What a step says on its way."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def saved(store: Store, flt: Filter, corpus: str, oracle: Oracles, tmp_path: Path) -> Callable[..., str]:
    """`saved("Ada", wrong=3)`: what Ada saves from the first page, with three marks against the truth in each sample."""
    samples = calibrate(store, flt, articles=corpus, oracle=oracle()).outputs["samples"]

    def file(name: str, wrong: int = 0, **changes: Any) -> str:
        document: dict[str, Any] = {"format": 2, "filter": "demo", "reviewer": name, "complete": True, "samples": {}}
        for kind, part in samples.items():
            articles = list(read_sample(store, Digest(part["sample"]), tmp_path / "unpacked"))
            marks = {one.digest: "on" if ("solar" in one.content) != (at < wrong) else "off" for at, one in enumerate(articles)}
            document["samples"][kind] = {"sample": part["sample"], "marks": marks}
        return written(tmp_path / f"{name}.json", document | changes)

    return file


def test_their_agreement_is_in_the_calibration_and_its_page(
    store: Store, flt: Filter, corpus: str, oracle: Oracles, saved: Callable[..., str]
) -> None:
    files = [saved("Ada"), saved("Bert", wrong=2)]
    outputs = calibrate(store, flt, articles=corpus, marks=files, oracle=oracle()).outputs
    assert (outputs["agreement"]["same"], outputs["agreement"]["n"]) == (116, 120)
    assert not any("reviewers" in reason for reason in outputs["reasons"])
    document = read_calibration(store, flt, oracle().identity)
    assert document is not None
    assert document.agreement is not None
    assert [one.name for one in document.marks.reviewers] == ["Ada", "Bert"]
    assert [(row.applied, {*row.marks}) for row in document.agreement.disputed] == [(None, {"Ada", "Bert"})] * 4
    assert document.marks.on + document.marks.off == 116  # a tie counts for nothing
    page = store.get(outputs["review"]).decode()
    assert "116 of 120 articles with two marks or more are marked alike" in page
    assert page.count("data-go=") == 4


def test_reviewers_who_often_differ_are_a_review(
    store: Store, flt: Filter, corpus: str, oracle: Oracles, saved: Callable[..., str]
) -> None:
    files = [saved("Ada"), saved("Bert", wrong=15)]
    outputs = calibrate(store, flt, articles=corpus, marks=files, oracle=oracle()).outputs
    assert outputs["verdict"] == "REVIEW"
    assert any("reviewers agree on 90 of 120 articles" in reason for reason in outputs["reasons"])


def test_one_reviewer_s_calibration_is_stored_as_it_was(
    store: Store, flt: Filter, corpus: str, marks_file: str, oracle: Oracles
) -> None:
    calibrate(store, flt, articles=corpus, marks=marks_file, oracle=oracle())
    key = calibration_key(flt.name, rubric_digest(flt), oracle_digest(oracle().identity))
    document = json.loads(store.get(key))
    assert document["marks"].keys() == {"by", "digest", "on", "off"}
    assert "agreement" not in document


def test_a_changed_rubric_uses_the_calibration_marks_and_says_what_it_leaves_out(
    store: Store, flt: Filter, reworded: Filter, corpus: str, oracle: Oracles, saved: Callable[..., str]
) -> None:
    notes = Notes()
    outputs = calibrate(store, reworded, articles=corpus, marks=saved("Ada"), oracle=oracle(), progress=notes).outputs
    assert (outputs["marks"]["on"] + outputs["marks"]["off"], outputs["verdict"]) == (60, "REVIEW")
    assert any("60 marks are of the fresh sample of another rubric, which is used up" in line for line in notes.lines)
    assert any("Ada marked 60 of 120 articles, 60 are missing" in line for line in notes.lines)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"filter": "other"}, "holds marks for the filter 'other'"),
        (
            {"samples": {"calibration": {"sample": "c" * 64, "marks": {"d" * 64: "on"}}}},
            "holds marks of the sample cccccccccccc",
        ),
        ({"format": 3}, "reads formats up to 2"),
    ],
)
def test_nothing_is_paid_for_marks_of_something_else(
    store: Store, flt: Filter, corpus: str, oracle: Oracles, saved: Callable[..., str], changes: dict[str, Any], error: str
) -> None:
    other = oracle(name="another")
    with pytest.raises(InputError, match=error):
        calibrate(store, flt, articles=corpus, marks=[saved("Bert"), saved("Ada", **changes)], oracle=other)
    assert other.asked == 0


def test_marks_that_stand_in_for_a_person_s_are_shown_and_not_filled_in(
    store: Store, flt: Filter, corpus: str, oracle: Oracles
) -> None:
    outputs = calibrate(store, flt, articles=corpus, marks="reference", n=20, oracle=oracle()).outputs
    page = store.get(outputs["review"]).decode()
    assert len(re.findall(r'type="radio"[^>]* checked', page)) == 0
    assert "true scores</bdi>: on-topic" in page
