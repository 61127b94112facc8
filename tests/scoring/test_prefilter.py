"""What is left out before the student sees it."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from distillery.components.articles.prefilter import refused
from distillery.filters.spec import Prefilter


def one(prefilter: Prefilter, title: str, content: str) -> str | None:
    (reason,) = refused(prefilter, [title], [content])
    return reason


def test_an_empty_prefilter_lets_everything_pass() -> None:
    assert refused(Prefilter(), ["a", ""], ["b", "c"]) == [None, None]
    assert refused(Prefilter(), [], []) == []


def test_length_counts_characters_of_the_content() -> None:
    prefilter = Prefilter(minChars=4)
    assert refused(prefilter, ["long title"] * 3, ["abc", "abcd", "äöüß"]) == ["shorter than 4 characters", None, None]


def test_patterns_look_at_title_and_content_without_regard_to_case() -> None:
    prefilter = Prefilter(exclude=["stock price", r"\bcasino\b"])
    assert one(prefilter, "STOCK PRICES rise", "text") == "matches stock price"
    assert one(prefilter, "", "a Casino opens") == "matches \\bcasino\\b"
    assert one(prefilter, "", "casinos open") is None


def test_unless_spares_what_exclude_matches() -> None:
    prefilter = Prefilter(exclude=["software"], unless=["solar", "wind"])
    assert one(prefilter, "", "software for wind farms") is None
    assert one(prefilter, "", "software for offices") == "matches software"


def test_one_of_require_any_must_match() -> None:
    prefilter = Prefilter(minChars=3, exclude=["war"], requireAny=["energy", "climate"])
    found = refused(prefilter, [""] * 5, ["e", "energy", "the climate", "sport", "energy of war"])
    assert found == ["shorter than 3 characters", None, None, "matches no pattern of requireAny", "matches war"]


def test_a_pattern_that_would_backtrack_for_ever_does_not() -> None:
    began = time.monotonic()
    assert one(Prefilter(exclude=[r"(a+)+$", r"(x*)*y"]), "", "a" * 100_000 + "!") is None
    assert time.monotonic() - began < 5


@given(
    st.lists(st.text(alphabet="abc ", max_size=8), max_size=6),
    st.lists(st.sampled_from(["a", "b", "^c", "ab"]), max_size=3),
    st.lists(st.sampled_from(["c", "bc"]), max_size=2),
    st.lists(st.sampled_from(["a", "cc"]), max_size=2),
    st.integers(0, 4),
)
def test_agrees_with_the_plain_reading(
    texts: list[str], exclude: list[str], unless: list[str], require: list[str], least: int
) -> None:
    import re

    prefilter = Prefilter(minChars=least, exclude=exclude, unless=unless, requireAny=require)
    found = refused(prefilter, [""] * len(texts), texts)

    def passes(text: str) -> bool:
        def any_of(patterns: list[str]) -> bool:
            return any(re.search(pattern, f"\n{text}") for pattern in patterns)

        return len(text) >= least and (not any_of(exclude) or any_of(unless)) and (not require or any_of(require))

    assert [reason is None for reason in found] == [passes(text) for text in texts]
