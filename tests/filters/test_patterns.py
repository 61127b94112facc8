"""Patterns find words of any script, in linear time, and say why they don't compile."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.filters.normal_form import normal_text, normal_texts
from distillery.filters.patterns import INNER_EDGE, compile_fault, matching, widened


def found(pattern: str, *texts: str) -> list[bool]:
    hits: list[bool] = matching(normal_texts(texts), pattern).to_pylist()
    return hits


@pytest.mark.parametrize(
    ("pattern", "texts", "hits"),
    [
        (r"\bpart\b", ["une part", "départ", "PART", "parts", "part."], [True, False, True, False, True]),
        (r"\b(énergie|ÖL)\b", ["l'ÉNERGIE", "bioénergie", "öl", "kohl, öl"], [True, False, True, True]),
        (r"\bénergie\b|\bsolar\b|vent", ["énergie", "xénergie", "solar", "éolien, vent"], [True, False, True, True]),
        (r"\w+ verte", ["énergie verte", "é verte", "! verte"], [True, True, False]),
        (r"^\W*\d+\s\S+$", ["٣\u00a0é", "3 a b", "«12 a"], [True, False, True]),
        (r"[\w-]{7}", ["élan-né", "élan né"], [True, False]),
        (r"[]\d]x|[^\s]y", ["]x", "٣x", "\u00a0y", "zy"], [True, True, False, True]),
        (r"a\b.b\b c\\b", ["a b c\\b", "ab b c\\b"], [True, False]),
        (r"asp\.net\b|\b\.net", ["asp.net", "asp.nets"], [True, True]),
        (r"\.\b", ["a.b", "a. b"], [True, False]),
    ],
)
def test_words_of_any_script(pattern: str, texts: list[str], hits: list[bool]) -> None:
    assert found(pattern, *texts) == hits


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing ): ("),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("(?=a)", "invalid perl operator: (?="),
        ("a{1001}", "invalid repetition size: {1001}"),
        (r"(\w{200}){5}", "pattern too large - compile failed"),
        ("\\", "trailing \\"),
        (r"\p{Foo}", r"invalid character class range: \p{Foo}"),
    ],
)
def test_why_a_pattern_does_not_compile(pattern: str, reason: str) -> None:
    assert compile_fault(pattern) == reason
    with pytest.raises(ValueError, match="Invalid regular expression"):
        matching(pa.array(["a"]), pattern)


def test_a_long_fault_is_cut() -> None:
    assert len(compile_fault("a" * 300 + "(") or "") == 100


def test_an_edge_that_stays_ascii_is_known() -> None:
    patterns = [r"\bénergie", r"(\bénergie)", r"l'\b(énergie)", r"café\b.x", r"énergie\b.x", r"\b(vent|énergie)\b"]
    assert [bool(INNER_EDGE.search(widened(pattern))) for pattern in patterns] == [False, True, True, True, False, False]


piece = st.sampled_from(["a", "é", " ", "!", r"\w", r"\W", r"\d", r"\s", "[aé]", r"[^\w]", r"[\d!]", "."])


@given(st.lists(piece, min_size=1, max_size=4), st.booleans(), st.booleans(), st.lists(st.text("aéÉ! 1_٣\u00a0", max_size=8)))
def test_agrees_with_pythons_reading(pieces: list[str], first: bool, last: bool, texts: list[str]) -> None:
    first, last = first and pieces[0] in ("a", "é"), last and pieces[-1] in ("a", "é")
    pattern = r"\b" * first + "".join(pieces) + r"\b" * last
    assert compile_fault(pattern) is None
    single = re.sub(" +", " ", pattern)  # as texts in normal form have it
    assert found(pattern, *texts) == [bool(re.search(single, normal_text(text), re.IGNORECASE)) for text in texts]
