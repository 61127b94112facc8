"""Calibration as a whole: samples drawn, labelled, marked, judged, kept; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.articles import Article
from distillery.components.artifacts.rubric_calibration import (
    UNCALIBRATED,
    Acceptance,
    oracle_digest,
    read_calibration,
    require_calibration,
)
from distillery.components.calibration.calibrate import calibrate
from distillery.components.labeling.label import label
from distillery.components.sampling.select import read_sample
from distillery.components.store import Digest, Store
from distillery.components.store.layout import calibration_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.artifacts.made import made_calibration

Oracles = Callable[..., Any]


def enthusiast(article: Article) -> dict[str, float]:
    """Scores everything 10, off-topic included; the lesser articles a little less, so that nothing is constant."""
    return {"readiness": 10.0 - len(article.id) % 3 * 2.5, "benefit": 10.0 - int(article.id[1:]) % 3 * 2.0}


def ids(store: Store, digest: str, folder: Path) -> set[str]:
    return {article.id for article in read_sample(store, Digest(digest), folder / "unpacked")}


def test_a_good_oracle_passes_and_is_kept_under_rubric_and_oracle(
    store: Store, flt: Filter, corpus: str, marks_file: str, oracle: Oracles, tmp_path: Path
) -> None:
    good = oracle()
    record = calibrate(store, flt, articles=corpus, marks=marks_file, oracle=good)
    assert record.outputs["verdict"] == "PASS", record.outputs["reasons"]
    assert good.asked == 120
    assert record.outputs["document"] == calibration_key(flt.name, rubric_digest(flt), oracle_digest(good.identity))
    document = read_calibration(store, flt, good.identity)
    assert document is not None
    assert (document.marks.by, document.marks.on + document.marks.off) == ("person", 120)
    samples = document.samples
    first, fresh = (ids(store, samples[name].sample, tmp_path) for name in ("calibration", "fresh"))
    assert len(first) == len(fresh) == 60
    assert not first & fresh
    assert require_calibration(store, flt, 100_000, oracle=good.identity)["calibration"] == "PASS"
    again = calibrate(store, flt, articles=corpus, oracle=good)
    assert again.reused
    assert good.asked == 120


def test_an_oracle_that_likes_off_topic_fails_and_label_refuses(
    store: Store, flt: Filter, corpus: str, marks_file: str, oracle: Oracles
) -> None:
    bad = oracle(enthusiast)
    record = calibrate(store, flt, articles=corpus, marks=marks_file, oracle=bad)
    assert record.outputs["verdict"] == "FAIL"
    assert "off-topic articles scored 5 or more: 34 of 34" in record.outputs["reasons"][0]
    assert bad.asked == 60  # no fresh sample is paid for
    with pytest.raises(InputError, match=r"400 articles would be labelled.*says FAIL"):
        label(store, flt, articles=corpus, oracle=bad)
    assert bad.asked == 60
    with pytest.raises(InputError, match="only a REVIEW"):
        calibrate(store, flt, articles=corpus, accept="it will do", oracle=bad)
    done = label(store, flt, articles=corpus, oracle=bad, without_calibration="a test of the pipes")
    meta = store.folder("labelsets", done.outputs["label_set"]).meta
    assert "a test of the pipes" in json.dumps(meta)


def test_another_rubric_is_not_calibrated_by_this_ones_pass(
    store: Store, flt: Filter, reworded: Filter, corpus: str, marks_file: str, oracle: Oracles, tmp_path: Path
) -> None:
    good = oracle()
    one = calibrate(store, flt, articles=corpus, marks=marks_file, oracle=good).outputs["samples"]
    with pytest.raises(InputError, match="not calibrated"):
        require_calibration(store, reworded, UNCALIBRATED + 1, oracle=good.identity)
    with pytest.raises(InputError, match="not calibrated"):
        require_calibration(store, flt, UNCALIBRATED + 1, oracle={**good.identity, "temperature": 1})
    other = calibrate(store, reworded, articles=corpus, marks=marks_file, oracle=good).outputs["samples"]
    assert other["calibration"]["sample"] == one["calibration"]["sample"]  # its marks can be used again
    assert not ids(store, other["fresh"]["sample"], tmp_path) & ids(store, one["fresh"]["sample"], tmp_path)
    again = calibrate(store, flt, articles=corpus, marks=marks_file, oracle=good).outputs["samples"]
    assert again == one


def test_few_articles_need_no_calibration(store: Store, flt: Filter, oracle: Oracles) -> None:
    found = require_calibration(store, flt, UNCALIBRATED, oracle=oracle().identity)
    assert found == {"calibration": None, "accepted": None, "waived": None}
    waived = require_calibration(store, flt, 10**6, "paid by somebody else", oracle=oracle().identity)
    assert waived["waived"] == "paid by somebody else"
    with pytest.raises(InputError, match="not calibrated"):
        require_calibration(store, flt, UNCALIBRATED + 1, "  ", oracle=oracle().identity)


def test_an_oracle_that_fits_the_first_sample_only_is_caught(
    store: Store, flt: Filter, corpus: str, marks_file: str, oracle: Oracles, tmp_path: Path
) -> None:
    page = calibrate(store, flt, articles=corpus, oracle=oracle(name="scout")).outputs
    known = ids(store, page["samples"]["calibration"]["sample"], tmp_path)

    def overfitted(article: Article) -> dict[str, float]:
        lucky = article.id in known
        on = "solar" in article.content if lucky else int(article.id[1:]) % 3 > 0
        shift = int(article.id[1:]) % 5 * 0.4
        return {"readiness": (6.5 if on else 1.0) + shift, "benefit": (6.0 if on else 0.5) + 1.6 - shift}

    record = calibrate(store, flt, articles=corpus, marks=marks_file, oracle=oracle(overfitted, "overfitted"))
    figures = record.outputs["figures"]
    assert figures["calibration"]["off_topic_high"]["wrong"] == figures["calibration"]["on_topic_low"]["wrong"] == 0
    assert record.outputs["verdict"] == "FAIL"
    assert any("on a fresh one" in reason for reason in record.outputs["reasons"])


def test_nobody_has_looked_yet(store: Store, flt: Filter, corpus: str, marks_file: str, oracle: Oracles) -> None:
    good = oracle()
    record = calibrate(store, flt, articles=corpus, oracle=good)
    assert (record.outputs["verdict"], record.outputs["usable"]) == ("REVIEW", False)
    assert "nobody has marked the 120 articles" in record.outputs["reasons"][0]
    with pytest.raises(InputError, match="nobody has looked"):
        calibrate(store, flt, articles=corpus, accept="looks fine", oracle=good)
    assert calibrate(store, flt, articles=corpus, marks=marks_file, oracle=good).outputs["verdict"] == "PASS"
    assert good.asked == 120


def test_a_review_is_accepted_with_a_reason_until_it_is_judged_anew(
    store: Store, flt: Filter, corpus: str, marks_file: str, oracle: Oracles
) -> None:
    def alike(article: Article) -> dict[str, float]:
        level = 6.0 + int(article.id[1:]) % 9 * 0.4 if "solar" in article.content else 1.0
        return {"readiness": level, "benefit": level}

    twin = oracle(alike, "twin")
    record = calibrate(store, flt, articles=corpus, marks=marks_file, oracle=twin)
    assert record.outputs["verdict"] == "REVIEW"
    assert all("say nearly the same" in r or "one component" in r for r in record.outputs["reasons"])
    with pytest.raises(InputError, match=r"says REVIEW.*--accept"):
        require_calibration(store, flt, 1_000, oracle=twin.identity)
    accepted = calibrate(store, flt, articles=corpus, accept="they do go together", oracle=twin)
    assert accepted.outputs["usable"]
    assert require_calibration(store, flt, 1_000, oracle=twin.identity)["accepted"] == "they do go together"
    calibrate(store, flt, articles=corpus, marks=marks_file, oracle=twin)  # the very same judgement
    assert require_calibration(store, flt, 1_000, oracle=twin.identity)["accepted"] == "they do go together"
    calibrate(store, flt, articles=corpus, marks="reference", n=60, oracle=twin)  # other marks: judged anew
    document = read_calibration(store, flt, twin.identity)
    assert document is not None
    assert document.accepted is None
    assert document.history[-1].accepted == Acceptance(reason="they do go together")


@pytest.mark.parametrize(("marks", "error"), [("prefilter", "refuses none"), ("reference", "no article carries")])
def test_marks_that_mark_nothing_say_why(
    flt: Filter, store: Store, oracle: Callable[..., Any], tmp_path: Path, marks: str, error: str
) -> None:
    path = tmp_path / "plain.jsonl"
    table = [{"id": f"a{n}", "title": f"Report {n}", "content": f"The bridge number {n} is open. " * 9} for n in range(300)]
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    with pytest.raises(InputError, match=error):
        calibrate(store, flt, articles=str(path), marks=marks, oracle=oracle())


@pytest.mark.parametrize(("text", "error"), [
    ("[]", "not a JSON object"), ('{"a1": "yes"}', "neither on nor off"), ("{}", "marks no article"),
    ('{"nobody": "on"}', "none of its articles"), ('{"a1": "on"', "is not JSON"),
])  # fmt: skip
def test_marks_that_are_none(
    store: Store, flt: Filter, corpus: str, oracle: Oracles, tmp_path: Path, text: str, error: str
) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(InputError, match=error):
        calibrate(store, flt, articles=corpus, marks=str(path), oracle=oracle())


def test_the_prefilter_alone_never_passes(store: Store, flt: Filter, corpus: str, oracle: Oracles) -> None:
    record = calibrate(store, flt, articles=corpus, marks="prefilter", oracle=oracle())
    assert record.outputs["verdict"] == "REVIEW"
    assert record.outputs["marks"]["by"] == "prefilter"
    assert any("no article is marked on-topic" in reason for reason in record.outputs["reasons"])


def test_true_scores_may_stand_in(store: Store, flt: Filter, corpus: str, oracle: Oracles) -> None:
    record = calibrate(store, flt, articles=corpus, marks="reference", oracle=oracle())
    assert (record.outputs["verdict"], record.outputs["marks"]["by"]) == ("PASS", "reference")


def test_a_corpus_without_fresh_articles_never_passes(
    store: Store, flt: Filter, tmp_path: Path, corpus: str, marks_file: str, oracle: Oracles
) -> None:
    small = tmp_path / "small.jsonl"
    small.write_text("".join(Path(corpus).read_text().splitlines(keepends=True)[:60]))
    record = calibrate(store, flt, articles=str(small), marks=marks_file, oracle=oracle())
    assert record.outputs["verdict"] == "REVIEW"
    assert "no fresh article is left" in record.outputs["reasons"][0]


def test_waived_is_written_and_nothing_asked(store: Store, flt: Filter, corpus: str, oracle: Oracles) -> None:
    good = oracle()
    assert calibrate(store, flt, articles=corpus, waived="in a hurry", oracle=good).outputs["verdict"] == "WAIVED"
    assert good.asked == 0


def test_a_document_of_another_rubric_is_refused(store: Store, flt: Filter, oracle: Oracles) -> None:
    identity = oracle().identity
    key = calibration_key(flt.name, rubric_digest(flt), oracle_digest(identity))
    made_calibration(filter=flt.name, rubric="0" * 64, oracle=oracle_digest(identity)).put(store, key)
    with pytest.raises(InputError, match="another rubric or oracle"):
        require_calibration(store, flt, 1_000, oracle=identity)
