"""The facts of a part and _SUCCESS as documents."""

from __future__ import annotations

import json

import pytest

from distillery.components.articles.near_names import Unread
from distillery.components.artifacts.document import Document
from distillery.components.artifacts.scores import ANOTHER, Facts, ScoredPart, Scores
from distillery.components.store import StoreError

FACTS = Facts(
    job="a" * 64,
    index=2,
    sha256="b" * 64,
    articles=5,
    prefiltered=1,
    rejected=1,
    tiers={"high": 1, "low": 2, "a": 1},
    lines=[(0, 4), (1, 2)],
)
SCORES = Scores(
    job="a" * 64,
    filter="demo",
    version=3,
    filter_key="filters/demo/v3/x.yaml",
    dimensions=["z", "b"],
    adapter="c" * 64,
    corpus="d" * 64,
    files=[("a.jsonl", 10, "etag")],
    code="image",
    articles=5,
    scored=4,
    prefiltered=1,
    rejected=1,
    tiers={"high": 1, "low": 2, "a": 1},
    parts=[ScoredPart(name="part-00000.parquet", rows=5, sha256="b" * 64)],
)


@pytest.mark.parametrize("document", [FACTS, SCORES], ids=["facts", "success"])
def test_round_trip_torn_bytes_and_unknown_keys(document: Document) -> None:
    form, fields = type(document), document.to_json()
    read = form.read(document.to_bytes(), "x")
    assert read == document
    assert list(read.to_json()["tiers"]) == ["high", "low", "a"], "tiers stay in the order of the filter"
    other = [json.dumps({**fields, **change}).encode() for change in ({"more": 1}, {"format": form.FORMAT + 1}, {"job": 1})]
    for bad in (document.to_bytes()[:-4], b"{}", *other):
        with pytest.raises(StoreError) as error:
            form.read(bad, "file:///s/_SUCCESS")
        assert str(error.value).startswith("file:///s/_SUCCESS: is ")
        assert str(error.value).endswith((ANOTHER, "update llm-distillery"))
        assert "\n" not in str(error.value)


def test_facts_from_before_there_was_a_version_are_read() -> None:
    fields = FACTS.to_json()
    del fields["format"]
    assert Facts.read(json.dumps(fields).encode(), "x") == FACTS


def test_facts_that_are_not_what_was_written_are_refused() -> None:
    sealed = FACTS.sealed()
    assert Facts.read(sealed.to_bytes(), "x") == sealed
    for change in ({"articles": 6}, {"tiers": {"high": 2, "low": 1, "a": 1}}, {"etag": "x"}, {"rejects": "x"}, {"check": "x"}):
        with pytest.raises(StoreError, match="it is not what was written"):
            Facts.read(json.dumps({**sealed.to_json(), **change}).encode(), "x")


def test_facts_and_success_of_the_format_before_are_read() -> None:
    fields = FACTS.to_json()
    for name in ("etag", "rejects", "check"):
        del fields[name]
    assert Facts.read(json.dumps({**fields, "format": 1}).encode(), "x") == FACTS
    fields = SCORES.to_json()
    del fields["rejects"]
    assert Scores.read(json.dumps({**fields, "format": 2}).encode(), "x") == SCORES


@pytest.mark.parametrize("document", [FACTS, SCORES], ids=["facts", "success"])
def test_columns_that_were_not_read_are_written_as_rows(document: Facts | Scores) -> None:
    unread = Unread(column="title", name="headline", rows=4)
    told = document.model_copy(update={"unread": [unread]})
    assert json.loads(told.to_bytes())["unread"] == [["title", "headline", 4]]
    assert type(document).read(told.to_bytes(), "x").unread == [unread]
    assert b"unread" not in document.to_bytes()
    for bad in (["title", "headline"], ["title", "headline", "4"], unread.model_dump(), "title", 4):
        fields = json.dumps({**told.to_json(), "unread": [bad]}).encode()
        with pytest.raises(StoreError, match=r"is not .*: unread\.0"):
            type(document).read(fields, "x")
