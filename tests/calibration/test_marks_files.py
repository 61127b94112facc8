"""Files of marks: read strictly, merged by reviewer, and the plain form as it always was."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.rubric_calibration import MarkCounts
from distillery.components.calibration.marks import Marks, read_marks, unfinished
from distillery.components.calibration.marks_file import MAX_NAME, MAX_NOTE, MAX_REVIEWERS
from distillery.components.store import digest_json
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.calibration.reviewers import CALIBRATION, FRESH, article, sample, saved, written

SIX = {0: "on", 1: "off", 2: "unsure", 3: "on"}


def read(folder: Path, *documents: object) -> Marks:
    return read_marks([written(folder / f"{at}.json", document) for at, document in enumerate(documents)])


def test_the_plain_form_says_what_it_always_said(flt: Filter, tmp_path: Path) -> None:
    plain = {article(0).digest: "on", "a1": "off", "a2": None, "elsewhere": "on"}
    marks = read(tmp_path, plain)
    assert marks.require(flt, "calibration", sample(4), CALIBRATION) == (marks, [])
    assert marks.of(flt, sample(4)) == ["on", "off", None, None]
    applied = {article(0).digest: "on", article(1).digest: "off"}
    counts = marks.counts(applied, sample(4).articles)
    assert counts == MarkCounts(by="person", digest=digest_json(applied), on=1, off=1)
    assert counts.to_json() == {"by": "person", "digest": digest_json(applied), "on": 1, "off": 1}
    assert marks.given == {name: mark for name, mark in plain.items() if mark}


def test_the_page_s_form_has_a_name_notes_and_what_is_missing(flt: Filter, tmp_path: Path) -> None:
    document = saved("  Ada   Okonkwo ", SIX, fresh={10: "off"}, complete=False)
    document["samples"]["calibration"] |= {"notes": {article(2).digest: "half of it"}, "missing": [article(4).digest]}
    marks = read(tmp_path, document)
    assert marks.require(flt, "calibration", sample(6), CALIBRATION) == (marks, [])
    assert marks.require(flt, "fresh", sample(3, 10), FRESH) == (marks, [])
    assert marks.of(flt, sample(6)) == ["on", "off", None, "on", None, None]
    (review,) = marks.reviews
    assert (review.name, review.note(article(2)), review.mark(article(2))) == ("Ada Okonkwo", "half of it", "unsure")
    counts = marks.counts({}, [*sample(6).articles, *sample(3, 10).articles])
    assert counts.reviewers[0].model_dump() == {"name": "Ada Okonkwo", "on": 2, "off": 2, "unsure": 1, "missing": 4}
    assert unfinished(counts) == ["Ada Okonkwo marked 5 of 9 articles, 4 are missing"]


def test_of_several_reviewers_the_majority_counts_and_a_tie_counts_for_nothing(flt: Filter, tmp_path: Path) -> None:
    ada, bert = saved("Ada", {0: "on", 1: "on", 2: "unsure", 3: "off"}), saved("Bert", {0: "on", 1: "off", 2: "off"})
    two = read(tmp_path, ada, bert)
    assert two.of(flt, sample(5)) == ["on", None, "off", "off", None]
    three = read(tmp_path, ada, bert, saved("Chloé", {0: "off", 1: "off", 3: "on"}))
    assert three.of(flt, sample(5)) == ["on", "off", "off", None, None]
    assert [one.name for one in three.counts({}, sample(5).articles).reviewers] == ["Ada", "Bert", "Chloé"]


def test_files_of_one_name_are_one_reviewer_and_files_without_are_several(flt: Filter, tmp_path: Path) -> None:
    one = read(tmp_path, saved("Ada", {0: "on", 1: "unsure"}), saved("ADA", {1: "off", 2: "on"}))
    assert [review.name for review in one.reviews] == ["Ada"]
    assert one.of(flt, sample(3)) == ["on", "off", "on"]
    plain = read(tmp_path, {"a0": "on"}, saved("Ada", {0: "on"}), {"a0": "off"})
    assert [review.name for review in plain.reviews] == ["reviewer 1", "Ada", "reviewer 3"]
    contradictory = read(tmp_path, saved("Ada", {0: "on"}), saved("ada ", {0: "off"}))
    with pytest.raises(InputError, match=r"Ada marks article 'a0' on here and off in .*1\.json"):
        contradictory.of(flt, sample(1))


def test_a_folder_holds_several_reviewers_files(flt: Filter, tmp_path: Path) -> None:
    folder = tmp_path / "marks"
    written(folder / "b.json", saved("Bert", {0: "off"}))
    written(folder / "a.json", saved("Ada", {0: "on"}))
    written(folder / "notes.txt", "not marks")
    assert [review.name for review in read_marks([str(folder)]).reviews] == ["Ada", "Bert"]
    more = written(tmp_path / "c.json", saved("Chloé", {0: "on"}))
    assert [review.name for review in read_marks([more, str(folder)]).reviews] == ["Chloé", "Ada", "Bert"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file of marks"):
        read_marks([str(tmp_path / "empty")])


def changed(**changes: Any) -> dict[str, Any]:
    return saved("Ada", SIX) | changes


def part(**changes: Any) -> dict[str, Any]:
    return {"calibration": saved("", SIX)["samples"]["calibration"] | changes}


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (changed(format=3), "of format 3; this program reads formats up to 2.*update"),
        (changed(format=1), "not a file of marks: format"),
        (changed(stars=5), "not a file of marks: stars"),
        (changed(reviewer="x" * (MAX_NAME + 1)), "not a file of marks: reviewer"),
        (changed(samples={}), "names no sample"),
        (changed(samples={"other": {"sample": CALIBRATION, "marks": {}}}), "not a file of marks: samples"),
        (changed(samples=part(sample="short")), "not a file of marks: samples.calibration.sample"),
        (changed(samples=part(marks={article(0).digest: "yes"})), "not a file of marks: samples.calibration.marks"),
        (changed(samples=part(marks={"a0": "on"})), "not a file of marks: samples.calibration.marks"),
        (changed(samples=part(marks={})), "marks no article"),
        (changed(samples=part(notes={article(0).digest: "x" * (MAX_NOTE + 1)})), "not a file of marks: .*notes"),
        (saved("Ada", SIX, fresh={0: "on"}), "marks article .* in both samples"),
        ('{"a0": "on", "a1": "off", "a0": "off"}', "'a0' twice"),
        (json.dumps(saved("Ada", {0: "on"})).replace('"complete"', '"reviewer": "Bert", "complete"'), "'reviewer' twice"),
        ('{"a0": "on",}', "is not JSON.*; save the marks of the review page"),
        ("id,mark\na0,on\n", "is not JSON.*; save the marks of the review page"),
        ('{"format": true, "a0": "on"}', "neither on nor off"),
        ('{"a0": {"mark": "on"}}', "neither on nor off"),
        ('["on"]', "not a JSON object"),
        ("", "not JSON"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path, document: object, error: str) -> None:
    with pytest.raises(InputError, match=error) as caught:
        read(tmp_path, document)
    assert "\n" not in str(caught.value)
    assert "0.json" in str(caught.value)


def test_an_article_called_format_can_be_marked(flt: Filter, tmp_path: Path) -> None:
    assert read(tmp_path, {"format": "on", "a0": "off"}).of(flt, sample(1)) == ["off"]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (changed(filter="other"), "holds marks for the filter 'other', not 'demo'"),
        (
            changed(samples=part(sample="c" * 64)),
            "holds marks of the sample cccccccccccc, but this calibration's is aaaaaaaaaaaa",
        ),
        (changed(samples={"fresh": part()["calibration"]}), "holds marks without a calibration sample"),
        (
            saved("Ada", {**SIX, 7: "on", 8: "off"}),
            r"marks article \w{12}, which is not in the calibration sample .*and 1 more",
        ),
    ],
)
def test_marks_of_something_else_are_refused(flt: Filter, tmp_path: Path, document: object, error: str) -> None:
    marks = read(tmp_path, saved("Bert", SIX), document)
    with pytest.raises(InputError, match=error) as caught:
        marks.require(flt, "calibration", sample(6), CALIBRATION)
    assert str(caught.value).startswith(str(tmp_path / "1.json"))


def test_a_used_up_fresh_sample_is_left_out_with_a_word(flt: Filter, tmp_path: Path) -> None:
    marks = read(tmp_path, saved("Ada", SIX, fresh={10: "on", 11: "off"}), saved("Bert", SIX))
    assert marks.require(flt, "calibration", sample(6), CALIBRATION) == (marks, [])
    left, (word,) = marks.require(flt, "fresh", sample(2, 10), CALIBRATION)
    assert left.of(flt, sample(2, 10)) == [None, None]
    assert left.of(flt, sample(6)) == marks.of(flt, sample(6))
    assert "0.json: 2 marks are of the fresh sample of another rubric, which is used up" in word
    with pytest.raises(InputError, match="not in the fresh sample"):
        marks.require(flt, "fresh", sample(1, 10), FRESH)


def test_a_plain_mark_that_could_mean_two_things_is_refused(flt: Filter, tmp_path: Path) -> None:
    both = read(tmp_path, {article(0).digest: "on", "a0": "off"})
    with pytest.raises(InputError, match="marks article 'a0' off by its id, but on by its digest"):
        both.of(flt, sample(1))
    twins = sample(2)
    twins.articles[1] = type(twins.articles[1])("a0", "Another title", "Another text")
    with pytest.raises(InputError, match="marks 'a0', the id of 2 articles"):
        read(tmp_path, {"a0": "on"}).require(flt, "calibration", twins, CALIBRATION)


def test_a_file_counts_once(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", {"a0": "on"})
    with pytest.raises(InputError, match=r"a\.json: is given twice"):
        read_marks([path, str(tmp_path)])
    with pytest.raises(InputError, match=r"copy\.json: holds the very same marks as .*a\.json"):
        read_marks([path, written(tmp_path / "more" / "copy.json", {"a0": "on"})])
    with pytest.raises(InputError, match="prefilter and files are both given"):
        read_marks([path, "prefilter"])
    many = [written(tmp_path / f"{at}.json", saved(f"R{at}", {0: "on"})) for at in range(MAX_REVIEWERS + 1)]
    with pytest.raises(InputError, match=f"{MAX_REVIEWERS + 1} files are given, {MAX_REVIEWERS} are the most"):
        read_marks(many)


def damage(path: Path, tries: int, seed: int) -> int:
    """Read files of marks with a few bytes changed; return how many were still read. None may raise anything but InputError."""
    rng, found = random.Random(seed), 0
    whole = [
        json.dumps(saved("Ada", SIX, fresh={10: "off"})).encode(),
        json.dumps({"a0": "on", "a1": "off", "a2": None}).encode(),
    ]
    for _ in range(tries):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 3)] = bytes(
                rng.choice(b'{}[]",:\\0123456789abcdefon\xff\x00 ') for _ in range(rng.randint(0, 3))
            )
        path.write_bytes(data)
        try:
            found += len(read_marks([str(path)]).reviews)
        except InputError as error:
            lines = str(error).splitlines()
            assert len(lines) == 1, lines
    return found


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    assert 0 < damage(tmp_path / "marks.json", 200, 1) < 200


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    assert 0 < damage(tmp_path / "marks.json", 20_000, 2) < 20_000
