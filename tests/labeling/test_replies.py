"""Raw replies: what is recovered, and above all what is refused."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.labeling.replies import MAX_CHARACTERS, parse, parse_reply

DIMENSIONS = ["readiness", "benefit", "evidence"]
SCORES = {"readiness": 7.0, "benefit": 6.5, "evidence": 3.0}
PLAIN = '{"reasoning": "Heat pumps are sold.", "readiness": 7, "benefit": 6.5, "evidence": 3}'

RECOVERED = {
    "plain": PLAIN,
    "fence": f"```json\n{PLAIN}\n```",
    "fence without an end": f"```json\n{PLAIN}",
    "prose around": f"Here is my {{honest}} view:\n\n{PLAIN}\n\nI hope this {{helps}}.",
    "thinking first": f"<think>A draft: {PLAIN.replace('7', '2')}</think>\n{PLAIN}",
    "the same twice": f"{PLAIN}\n{PLAIN}",
    "in a list": f"[{PLAIN}]",
    "bad escape": PLAIN.replace("Heat", r"\pm 5\% \underline{Heat} \(a\)"),
    "raw line break in text": PLAIN.replace("Heat ", "Heat\n\t"),
    "bad escape and a trailing comma": PLAIN.replace("Heat", r"\pm").replace("3}", "3,}"),
    "trailing comma": PLAIN.replace("3}", "3,\n}"),
    "line comments": PLAIN.replace("7,", "7, // sold\n").replace("6.5,", "6.5, # good\n"),
    "comment after a number": PLAIN.replace("3}", "3 // thin\n}"),
    "single quotes": PLAIN.replace('"', "'"),
    "curly quotes": PLAIN.replace('"readiness"', "“readiness”") + " ",
    "bare keys": re.sub(r'"(\w+)":', r"\1:", PLAIN),
    "Python": "{'readiness': 7, 'benefit': 6.5, 'evidence': 3, 'sold': True, 'tested': None,}",
    "missing comma": PLAIN.replace("7,", "7\n"),
    "quotes inside text": PLAIN.replace("Heat pumps", 'So-called "heat pumps", they say,'),
    "cut in the text after the scores": '{"readiness": 7, "benefit": 6.5, "evidence": 3, "reasoning": "Heat pu',
    "cut after the last comma": '{"readiness": 7, "benefit": 6.5, "evidence": 3,',
    "cut after the last line": '```json\n{"readiness": 7,\n"benefit": 6.5,\n"evidence": 3\n',
    "cut after a complete string": '{"readiness": 7, "benefit": 6.5, "evidence": "3"',
    "strings": PLAIN.replace("7", '"7"').replace("6.5", '" 6.5/10 "'),
    "out of ten": PLAIN.replace("7,", "7/10,").replace("6.5", "6.5 / 10"),
    "objects": '{"readiness": {"score": 7, "reason": "sold"}, "benefit": {"reason": "clean", "score": "6.5"}, '
    '"evidence": {"score": 3}}',
    "objects with trailing commas": '{"readiness": {"score": 7, "reason": "sold",}, "benefit": {"score": 6.5,}, '
    '"evidence": {"score": 3},}',
    "under scores": '{"content_type": "none", "scores": {"readiness": 7, "benefit": 6.5, "evidence": 3}}',
    "under dimensions, trailing comma": '{"dimensions": {"readiness": 7, "benefit": 6.5, "evidence": 3,}}',
    "in a wrapper": '{"assessment": {"scores": {"readiness": 7, "benefit": 6.5, "evidence": 3}}}',
    "the same key twice with one value": PLAIN.replace('"benefit"', '"readiness": 7.0, "benefit"'),
    "exponent": PLAIN.replace("7,", "70e-1,"),
    "another key missing its value": PLAIN.replace('"Heat pumps are sold."', "").replace("3}", "3}"),
    "valid JSON that quotes scores": PLAIN.replace("Heat", r"not \"readiness\": 1, Heat"),
    "NaN elsewhere": PLAIN.replace('"reasoning"', '"spread": NaN, "reasoning"'),
}


@pytest.mark.parametrize("name", RECOVERED)
def test_recovers(name: str) -> None:
    scores = parse_reply(RECOVERED[name], DIMENSIONS)
    assert scores == SCORES
    assert list(scores) == DIMENSIONS
    assert {type(score) for score in scores.values()} == {float}


REFUSED = {
    "empty": (" \n", "empty"),
    "no JSON": ("I can't score this article.", "no JSON object"),
    "a refusal in JSON": ('{"error": "policy"}', "no JSON object with"),
    "missing dimension": (PLAIN.replace('"benefit"', '"benefits"'), "benefit is missing"),
    "missing dimension, trailing comma": (PLAIN.replace('"benefit"', '"benefits"').replace("3}", "3,}"), "benefit is missing"),
    "eleven": (PLAIN.replace("7,", "11,"), "readiness is 11, outside"),
    "below zero": (PLAIN.replace("7,", "-1,"), "readiness is -1, outside"),
    "out of a hundred": (PLAIN.replace("7,", '"70/100",'), "readiness is not a number"),
    "NaN": (PLAIN.replace("7,", "NaN,"), "readiness is nan, outside"),
    "infinity": (PLAIN.replace("7,", "1e999,"), "readiness is inf, outside"),
    "true": (PLAIN.replace("7,", "true,"), "readiness is not a number: true"),
    "null": (PLAIN.replace("7,", "null,"), "readiness is not a number: null"),
    "a word": (PLAIN.replace("7,", '"high",'), 'readiness is not a number: "high"'),
    "a list": (PLAIN.replace("7,", "[7],"), "readiness is not a number"),
    "a decimal comma": (PLAIN.replace("6.5", '"6,5"'), "benefit is not a number"),
    "a range": (PLAIN.replace("7,", '"7-8",'), "readiness is not a number"),
    "twice, differently": (PLAIN.replace('"benefit"', '"readiness": 2, "benefit"'), "stated more than once"),
    "two drafts": (f"{PLAIN}\nOn reflection:\n{PLAIN.replace('7', '2')}", "stated more than once"),
    "two drafts, one broken": (f"{PLAIN}\nOn reflection:\n{PLAIN.replace('7', '2').replace('3}', '3,}')}", "more than once"),
    "two tables": ('{"readiness": 7, "benefit": 6.5, "evidence": 3, "scores": {"readiness": 2}}', "more than once"),
    "cut inside a number": ('{"readiness": 7, "benefit": 6.5, "evidence": 3', "evidence is not stated as one complete"),
    "cut after a blank": ('{"readiness": 7, "benefit": 6.5, "evidence": 3 ', "evidence is not stated as one complete"),
    "cut at a decimal point": ('{"readiness": 7, "benefit": 6.5, "evidence": 3.', "evidence is not stated as one complete"),
    "cut in a number in quotes": ('{"readiness": 7, "benefit": 6.5, "evidence": "3', "evidence is not stated as one comp"),
    "cut in an object": ('{"readiness": 7, "benefit": 6.5, "evidence": {"score": 3', "evidence is not stated as one comp"),
    "cut before a dimension": ('{"readiness": 7, "benefit": 6.5, "evid', "evidence is missing"),
    "cut before a value": ('{"readiness": 7, "benefit": 6.5, "evidence": ', "evidence is not stated"),
    "nested too deeply": ('{"a":' * 50_000, "100,000"),
    "brackets": ('{"readiness": ' + "[" * 90_000, "nested too deeply"),
    "too long": (" " * (MAX_CHARACTERS + 1) + "x", "characters, more than"),
    "a huge integer": (PLAIN.replace("7,", "9" * 6_000 + ","), "readiness"),
    "an integer that no float holds": (PLAIN.replace("7,", "9" * 400 + ","), "readiness is 999"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_the_reason(name: str) -> None:
    text, reason = REFUSED[name]
    began = time.monotonic()
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_reply(text, DIMENSIONS)
    assert time.monotonic() - began < 2


# What json-repair makes of these is a score that the reply does not state.
INVENTED = {
    "about": (PLAIN.replace("7,", "~7,"), 7),
    "a sum": (PLAIN.replace("7,", "7 out of 9,"), 7),
    "two numbers": (PLAIN.replace("7,", "7 8,"), 7),
    "an underscore": (PLAIN.replace("7,", "1_0,"), 10),
    "half a number": (PLAIN.replace("6.5,", "6'.5,"), 6),
    "a bracket in a number": (PLAIN.replace("6.5,", "6].5,"), 6),
    "cut at the point": ('{"readiness": 7, "benefit": 6.5, "evidence": 3.', 3),
    "other quoted scores": (PLAIN.replace("are sold", 'are "readiness": 9, '), None),
}


@pytest.mark.parametrize("name", INVENTED)
def test_what_json_repair_would_invent_is_refused(name: str) -> None:
    import json_repair

    text, invented = INVENTED[name]
    if invented is not None:
        assert invented in json_repair.loads(text).values(), "json-repair no longer does this: choose another example"
    with pytest.raises(ValueError, match=r"not stated as one complete number|more than once"):
        parse_reply(text, DIMENSIONS)


def test_every_cut_of_a_reply_gives_its_scores_or_nothing() -> None:
    text = '```json\n{"readiness": 7.25, "benefit": 10, "evidence": "3/10", "reasoning": "It is \\"sold\\", 5 \\pm 1."}\n```'
    whole, given = parse_reply(text, DIMENSIONS), 0
    assert whole == {"readiness": 7.25, "benefit": 10.0, "evidence": 3.0}
    for end in range(len(text)):
        try:
            scores = parse_reply(text[:end], DIMENSIONS)
        except ValueError:
            continue
        assert scores == whole, text[:end]
        given += 1
    assert given >= len(text) - text.index('10"') - 6  # as soon as the last score is complete


def test_a_damaged_reply_never_gives_a_score_it_does_not_state() -> None:
    chance = random.Random(5)
    given = 0
    for _ in range(4_000):
        text = chance.choice([PLAIN, RECOVERED["Python"], RECOVERED["objects"], RECOVERED["line comments"]])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice(["", "", *"{}[],:\"'\\ \n.-_/15e~"]) + text[at + chance.randint(0, 2) :]
        try:
            scores = parse_reply(text, DIMENSIONS)
        except ValueError:
            continue
        given += 1
        for name, score in scores.items():
            # The numbers between this name and the next one.
            after = re.split("|".join({*DIMENSIONS} - {name}), "".join(re.split(rf"{name}(?=\W)", text)[1:]))[0]
            stated = {float(number) for number in re.findall(r"(?<![\w.])[-+]?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?", after)}
            assert score in stated, (name, score, text)
    assert given > 500


def test_says_what_was_repaired() -> None:
    assert parse(PLAIN, DIMENSIONS).repaired == []
    assert parse(RECOVERED["bad escape"], DIMENSIONS).repaired == ["bad escapes"]
    assert parse(f"```\n{RECOVERED['trailing comma']}\n```", DIMENSIONS).repaired == ["malformed JSON", "text around the JSON"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [('"opinion"', "opinion"), ('"none"', None), ("null", None)],
)
def test_content_type_is_read(typed: str, found: str | None) -> None:
    text = PLAIN.replace('"reasoning"', f'"content_type": {typed}, "reasoning"')
    assert parse(text, DIMENSIONS, ["opinion"]).content_type == found
    assert parse(text.replace("3}", "3,}"), DIMENSIONS, ["opinion"]).content_type == found
    assert parse(text, DIMENSIONS, []).content_type is None


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda answer: {"result": answer},
        lambda answer: {"scores": answer},
        lambda answer: {"name": "judge", "arguments": answer},
        lambda answer: {"name": "judge", "arguments": json.dumps(answer)},
        lambda answer: {"answer": {"content_type": answer.pop("content_type"), "scores": answer}},
        lambda answer: {"content_type": "opinion", "output": answer},
    ],
)
def test_a_content_type_is_read_wherever_scores_are(wrapped: Callable[[dict[str, Any]], Any]) -> None:
    answer = {"content_type": "opinion", "readiness": 7, "benefit": 6.5, "evidence": 3}
    assert parse(json.dumps(wrapped(answer)), DIMENSIONS, ["news", "opinion"]).content_type == "opinion"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PLAIN, "content_type is missing"),
        (PLAIN.replace("{", '{"content_type": "advert", '), 'content_type is "advert", not one of news, newspaper'),
        (PLAIN.replace("{", '{"content_type": "news", "content_type": "newspaper", '), "content_type is stated more than once"),
        (
            f'{{"content_type": "news", "result": {PLAIN[:-1]}, "content_type": "none"}}}}',
            "content_type is stated more than once",
        ),
        (f'{{"notes": {{"content_type": "news"}}, "result": {PLAIN}}}', "content_type is missing"),
        (PLAIN.replace("}", ', "content_type": "news'), "content_type is not stated as one complete name"),
    ],
)
def test_a_content_type_that_is_not_stated_fails_the_reply(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse(text, DIMENSIONS, ["news", "newspaper"])


REAL = Path(__file__).parents[2] / os.environ.get("DISTILLERY_DATA", "../shared/data")
REAL_FILE = REAL / "oracle_responses" / "malformed.jsonl.gz"


@pytest.mark.skipif(not REAL_FILE.is_file(), reason="the real replies are not here (DISTILLERY_DATA)")
def test_real_failures_are_recovered_as_stated() -> None:
    dimensions = [
        "climate_impact_potential",
        "technical_credibility",
        "economic_viability",
        "deployment_readiness",
        "systemic_impact",
        "justice_equity",
        "innovation_quality",
        "evidence_strength",
    ]
    with gzip.open(REAL_FILE, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["response"] for line in lines]
    recovered = 0
    for text in texts:
        try:
            scores = parse_reply(text, dimensions)
        except ValueError:
            continue
        recovered += 1
        for name, score in scores.items():
            assert [float(number) for number in re.findall(rf'"{name}"\s*:\s*([0-9.]+)\s*[,}}\n]', text)] == [score]
    assert recovered >= 0.85 * len(texts)
