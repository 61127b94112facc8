"""Patterns find words however a text is typeset; what is not a reader's difference makes none."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.components.articles.prefilter import refused
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.lint import lint
from distillery.filters.loading import load_filter_text
from distillery.filters.normal_form import normal_text, normal_texts
from distillery.filters.patterns import compile_fault, matching, runnable
from distillery.filters.prompt import render_prompt
from distillery.filters.spec import Prefilter

Change = Callable[[str, str], str]
NBSP, SHY, LS, NNBSP = "\u00a0", "\u00ad", "\u2028", "\u202f"


def excluded(pattern: str, *contents: str, title: str = "") -> list[bool]:
    found = refused(Prefilter(exclude=[pattern]), [title] * len(contents), list(contents))
    return [reason is not None for reason in found]


SPACED = [
    "food safety", "food  safety", "food\nsafety", "food\r\nsafety", "food \n\t safety", "food\tsafety", f"food{NBSP}safety",
    f"food {NBSP} safety", f"food{NNBSP}safety", f"food{LS}safety", "food\u3000safety", "food\x85safety", "food\x0bsafety",
    f"fo{SHY}od safe{SHY}ty", f"food safe{SHY}\nty", "food\u200b safety", "food\u2060 safety", "\ufefffood safety",
]  # fmt: skip


@pytest.mark.parametrize("pattern", [
    "food safety", "food  safety", r"\bfood safety\b", "food +safety", r"food\s+safety", r"food\ safety", r"food\tsafety",
    r"food\x20safety", r"\Qfood safety\E", "food[ -]safety", "(food )safety", "food  *safety", r"food\s?safety",
    f"fo{SHY}od safety", "food[ ]safety",
])  # fmt: skip
def test_a_phrase_is_found_however_it_is_spaced(pattern: str) -> None:
    assert compile_fault(pattern) is None
    texts = [*SPACED, *(f"a b {text}" for text in SPACED), *(text.upper() for text in SPACED)]
    assert excluded(pattern, *texts) == [True] * len(texts)


def test_a_phrase_ends_at_a_blank_line_and_at_the_title() -> None:
    assert excluded("food safety", "food\n\nsafety", "food \r\n \r\n safety", "foodsafety", "food.safety") == [False] * 4
    assert excluded("food safety", "safety first", title="local food") == [False]
    assert excluded("food *safety", "foodsafety", "food\n\nsafety") == [True, False]


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("l'eau", ["l’eau", "l'eau", "l‘eau", "lʼeau", "l´eau"]),
        ("l’eau", ["l’eau", "l'eau"]),
        (r"l\x{2019}eau", ["l’eau", "l'eau"]),
        ("l['’]eau", ["l’eau", "l'eau"]),
        (r"l[\x{2019}-]eau", ["l’eau", "l'eau", "l-eau", "l\u2011eau"]),
        ("co-operative", ["co-operative", "co\u2010operative", "co\u2011operative"]),
        ("co[ \u2011]operative", ["co-operative", "co operative", "co\noperative"]),
        ("say \"yes\"", ["say “yes”", "say „yes‟", 'say\n"yes"']),
        ("caf\u00e9", ["cafe\u0301", "café", "CAFE\u0301"]),
        ("cafe\u0301", ["cafe\u0301", "café"]),
        ("caf[e\u0301]", ["café", "cafe\u0301"]),
        (r"\bénergie\b", ["l’e\u0301nergie,", "e\u0301ner\u00adgie"]),
        (r"a\r\nb|c\r?\nd", ["a\nb", "a\r\nb", "c\r\nd", "c\nd"]),
        ("[]’]x", ["'x", "]x"]),
        ("[-’]x", ["'x", "-x"]),
    ],
)  # fmt: skip
def test_typesetting_makes_no_difference(pattern: str, texts: list[str]) -> None:
    assert compile_fault(pattern) is None
    assert excluded(pattern, *texts) == [True] * len(texts)


def test_what_differs_to_a_reader_stays_different() -> None:
    assert excluded("[^’]x", "'x", "’x", "ax") == [False, False, True]
    assert excluded("[^ ]x", "a x", f"a{NBSP}x", "ax") == [False, False, True]
    assert excluded("cafe", "café") == [False]
    assert excluded("a.b", "a\nb", "a b") == [False, True]
    assert excluded("[ -/]x", "-x", "\nx") == [True, False]  # a range from the space on, as written
    assert excluded("a-b", "a – b", "a—b") == [False, False]


@pytest.mark.parametrize(
    ("pattern", "form"),
    [
        (f"co{SHY}op", "coop"), (f"a{SHY}?b", "ab"), (f"a{SHY}*b", "ab"), (f"a{SHY}{{2,}}?b", "ab"), (f"{SHY}?", ""),
        (f"a[{SHY}*]b", "a[*]b"), (f"a[{SHY}]?b", "ab"), (f"a[^{SHY}]b", "a(?s:.)b"), (f"a\\{SHY}b", "ab"),
        (rf"\Qa{SHY}*\E", r"a\*"), (rf"\Qa{SHY}\E+", "a"), (rf"\Q{SHY}\E?a", "a"), (f"a{SHY}\n b", "ab"),
        (f"(a{SHY})*", "(a)*"),
    ],
)  # fmt: skip
def test_what_is_invisible_goes_with_what_says_how_often_it_is_there(pattern: str, form: str) -> None:
    assert runnable(pattern) == form


@given(st.text(alphabet="ab \t\n\r\x0b\u00a0\u2028\u00ad\u200b’é\u0301", max_size=20))
def test_the_normal_form_of_a_text_is_its_own(text: str) -> None:
    once = normal_text(text)
    assert normal_text(once) == once == unicodedata.normalize("NFC", once)
    assert re.search(r"[ \n]{3}|  | \n|\n |[\t\r\x0b\u00a0\u2028\u00ad\u200b’]", once) is None
    words = "".join(char for char in text if not char.isspace() and char not in "\u00ad\u200b")
    assert unicodedata.normalize("NFC", words.replace("’", "'")) == unicodedata.normalize("NFC", re.sub(r"\s", "", once))


@given(st.text(alphabet="ab '’-\u2011é\u0301\u00ad*+?[]()|^\\.{2,}\tn", max_size=10))
def test_a_pattern_that_compiles_still_does_in_normal_form(pattern: str) -> None:
    try:
        pa.compute.match_substring_regex(pa.array([""]), pattern, ignore_case=True)
    except pa.ArrowInvalid:
        return
    if compile_fault(pattern) is not None:
        assert runnable(pattern) == ""
    else:
        matching(normal_texts(["a b", "’é-\n"]), pattern)


@given(st.text(alphabet="ab’é\u0301 \u00a0\u2011", min_size=1, max_size=12))
def test_every_text_is_found_by_itself(text: str) -> None:
    assert matching(normal_texts([text]), re.escape(text)).to_pylist() == [True]


@pytest.mark.parametrize("unit", [" ", "\n ", "\u00ad", "\u00ad \t", "\u00a0", "\r", "’", "e\u0301"])
def test_normal_form_takes_linear_time(unit: str) -> None:
    def seconds(n: int) -> float:
        began = time.process_time()
        normal_text(unit * n)
        return time.process_time() - began

    assert seconds(400_000) < 40 * max(seconds(40_000), 0.005)


def test_only_matching_sees_the_normal_form(flt: Filter) -> None:
    content = f"l’eau{NBSP}po{SHY}table e\u0301  x"
    assert content in render_prompt(flt, "title", content)


ODD = {
    "backspace": (r'"\bword\b"', r"U\+0008 .*use single quotes, in which \\b stays as it is"),
    "tab": (r'"a\tb"', r"U\+0009 .*in which \\t stays"),
    "line break": (r'"a\nb"', r"U\+000A"),
    "form feed": (r'"\fa"', r"U\+000C"),
    "escape": (r'"\e[a]"', r"U\+001B"),
    "bell": (r'"\a"', r"U\+0007"),
    "NUL": (r'"\0"', r"U\+0000"),
    "next line": (r'"\Na"', r"U\+0085"),
    "no-break space": (r'"food\_safety"', r"U\+00A0 \(no-break space\).*in which \\_ stays"),
    "typed no-break space": (f"'food{NBSP}safety'", r"U\+00A0"),
    "narrow no-break space": (f"'food{NNBSP}safety'", r"U\+202F"),
    "line separator": (r'"\Lu"', r"U\+2028"),
    "paragraph separator": (r'"\P{Lu}"', r"U\+2029 .*in which \\P stays"),
    "by code": (r'"\x08word"', r"U\+0008"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("key", ["exclude", "unless", "requireAny"])
def test_an_escape_that_was_eaten_is_refused_in_a_pattern(odd: str, key: str, changed: Change) -> None:
    written, expected = ODD[odd]
    text = changed(
        "  oracle:",
        f"  prefilter: {{exclude: [fine], {key}: [ok, {written}]}}\n  oracle:".replace("exclude: [fine], exclude", "exclude"),
    )
    with pytest.raises(InputError, match=expected) as caught:
        load_filter_text(text, "filter.yaml")
    assert str(caught.value).startswith(f'filter.yaml:27: spec.prefilter.{key}[1]: pattern "')
    assert "use single quotes" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"overall >= 6"', r'"\boverall >= 6"', "spec.tiers[0].when: rule"),
        ('"overall >= 6"', r'"overall\_>= 6"', "spec.tiers[0].when: rule"),
        ('"readiness < 3"', r'"readiness\t< 3"', "spec.gatekeepers[0].when: rule"),
        ('"benefit >= 8"', r'"benefit >=\L8"', "spec.contentTypes[0].unless: rule"),
        ("{model: recorded}", r'{model: "gpt\b4"}', "spec.oracle.model: name"),
        ("{model: recorded}", r'{model: "gpt\_4"}', "spec.oracle.model: name"),
        ("{model: recorded}", r'{model: "gpt\u200b4"}', "spec.oracle.model: name"),
        ("{model: recorded}", r'{model: "gpt", baseUrl: "https://\bhost/v1"}', "spec.oracle.baseUrl: name"),
        ("tiny/base}", r'"tiny/ba\u00adse"}', "spec.student.baseModel: name"),
        ("tiny/base}", r'tiny/base, lora: {targets: ["q\tproj"]}}', "spec.student.lora.targets[0]: name"),
        ("How much good it does.", r'"How \bmuch\b good it does."', "spec.dimensions[1].description: text"),
    ],
)  # fmt: skip
def test_an_escape_that_was_eaten_is_refused_in_rules_names_and_texts(old: str, new: str, place: str, changed: Change) -> None:
    with pytest.raises(InputError, match="use single quotes") as caught:
        load_filter_text(changed(old, new), "filter.yaml")
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("How much good it does.", r'"How much\n\tgood\_it does\u2028: l’eau."'),
        ("when: \"overall >= 6\"}\n    - {name: medium, ", "when: \"overall >= 6\\n\"}\n    - {name: medium, "),
        ("{model: recorded}", r'{model: recorded, replies: "of\_mine/replies.jsonl"}'),
    ],
)  # fmt: skip
def test_prose_places_and_folded_rules_keep_their_characters(old: str, new: str, changed: Change) -> None:
    load_filter_text(changed(old, new), "filter.yaml")


def test_an_escape_that_yaml_does_not_know_says_which_quotes_to_use(changed: Change) -> None:
    text = changed("  oracle:", '  prefilter: {exclude: ["\\d+ percent"]}\n  oracle:')
    with pytest.raises(InputError, match=r"filter.yaml:27: not YAML: .*use single quotes, in which a backslash is one"):
        load_filter_text(text, "filter.yaml")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("'a{,3}'", "RE2 reads {,3} as literal text; write {0,3}"),
        ("'a{1, 3}b'", "RE2 reads {1, 3} as literal text"),
        ("'a{ 3}'", "RE2 reads { 3} as literal text"),
        ("'{word}s'", "RE2 reads {word} as literal text"),
        (r"'\<word\>'", r"RE2 reads \< as literal text; write \b"),
        (r"'\\bword\\b'", r"\\b is a backslash and the text b; in single quotes write \b"),
        (r"'\\d+ percent'", r"\\d is a backslash and the text d"),
        ("'[:alpha:]x'", "[:alpha:] is a set of these letters; write [[:alpha:]]"),
        ("'/food waste/i'", "looks for the slashes around it, too; write the pattern without them"),
        (r"'/\bfood\b/'", "looks for the slashes around it"),
        ("'x[A-z]{3}y'", "[A-z] holds the signs between Z and a, too"),
        ("'x[0-9A-z_]y'", "write A-Za-z"),
        (r"'a\s\sb'", "asks for several spaces"),
        ("'a {2,}b'", "asks for several spaces"),
        (r'"a\x2eb"', "names a character by its code in double quotes"),
        (r'"a\u002eb"', "names a character by its code in double quotes"),
    ],
)
def test_lint_warns_of_what_reads_otherwise_than_it_looks(written: str, expected: str, changed: Change) -> None:
    text = changed("  oracle:", f"  prefilter: {{exclude: [fine, {written}]}}\n  oracle:")
    findings = [finding for finding in lint(load_filter_text(text, "filter.yaml"), text) if "prefilter" in finding.where]
    assert [finding.where for finding in findings] == ["spec.prefilter.exclude[1]"] * len(findings)
    assert any(expected in f"{finding.message}; {finding.hint}" for finding in findings)


@pytest.mark.parametrize(
    "written",
    ["'a{2}'", "'a{2,}b{1,3}'", r"'\{a\}'", r"'\p{L}{2}\x{e9}'", "'[{]a'", "'[[:digit:]]{9}'", r"'a\\\\ b'", r"'\s+q\s*b'",
     r"'\Qa{,3}\E'", r'"\\bword\\b"', r'"a\\x2eb"', "plain text",
     "'km/h'", "'/health'", "'x[A-Za-z]y'"],
)  # fmt: skip
def test_lint_is_silent_about_what_reads_as_it_looks(written: str, changed: Change) -> None:
    text = changed("  oracle:", f"  prefilter: {{exclude: [fine, {written}]}}\n  oracle:")
    assert [finding for finding in lint(load_filter_text(text, "filter.yaml"), text) if "prefilter" in finding.where] == []
