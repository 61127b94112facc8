"""Only what the schema calls scores is read as scores, and only on the scale that the schema states."""

from __future__ import annotations

import json

import pytest

from distillery.components.labeling.replies import parse_reply

DIMENSIONS = ["substance", "effect"]
TABLE = {"substance": 3, "effect": 4}
LOW = {"substance": 0.9, "effect": 0.8}
LIST = [{"name": "substance", "score": 8}, {"name": "effect", "score": 7}]


@pytest.mark.parametrize("other", ["confidence", "weights", "uncertainty", "draft", "previous", "max", "properties", "example"])
def test_a_map_of_something_else_is_no_table_of_scores(other: str) -> None:
    for reply in (
        {other: LOW},
        {"scores": LIST, other: LOW},
        {"scores": "as above", other: LOW},
        {"result": {other: LOW}},
        {"reasoning": "r", other: {"scores": LOW}},
    ):
        for text in (json.dumps(reply), repr(reply)):
            with pytest.raises(ValueError, match=r"no JSON object"):
                parse_reply(text, DIMENSIONS)


def test_scores_that_cannot_be_read_are_not_looked_for_in_another_object() -> None:
    for text in (f"{json.dumps({'scores': LIST})}\n{json.dumps(LOW)}", json.dumps({"scores": LIST, **LOW})):
        with pytest.raises(ValueError, match="scores holds no JSON object"):
            parse_reply(text, DIMENSIONS)


@pytest.mark.parametrize("wrapper", ["scores", "dimensions", "result", "assessment", "Evaluation", "final_answer", "arguments"])
def test_scores_count_beside_a_map_of_something_else(wrapper: str) -> None:
    for reply in ({wrapper: TABLE, "confidence": LOW}, {"confidence": LOW, wrapper: {"scores": TABLE}}):
        assert parse_reply(json.dumps(reply), DIMENSIONS) == TABLE


def test_two_tables_must_agree() -> None:
    assert parse_reply(json.dumps({"result": TABLE, "answer": TABLE}), DIMENSIONS) == TABLE
    for reply in ({"result": TABLE, "answer": LOW}, {**TABLE, "scores": LOW}):
        with pytest.raises(ValueError, match="more than once"):
            parse_reply(json.dumps(reply), DIMENSIONS)
    with pytest.raises(ValueError, match="scores is stated more than once"):
        parse_reply(f'{{"scores": {json.dumps(TABLE)}, "scores": {json.dumps(LOW)}}}', DIMENSIONS)


@pytest.mark.parametrize(
    "beside",
    [
        {"max": 5},
        {"max_score": "5"},
        {"maxScore": 100},
        {"scale": "1-5"},
        {"scale": [1, 5]},
        {"scale": {"min": 0, "max": 5}},
        {"score_range": "0 to 100"},
        {"out_of": 5},
        {"of": 5},
        {"min": 1},
        {"unit": "percent"},
        {"unit": "%"},
        {"reason": "a clear 3/5"},
        {"reason": "3 out of 5"},
        {"value": 6},
        {"normalized": "0.6"},
    ],
)
def test_a_score_on_another_scale_fails_the_reply(beside: dict[str, object]) -> None:
    reply = {"substance": {"score": 3, **beside}, "effect": 4}
    for text in (json.dumps(reply), repr(reply), json.dumps(reply).replace("}}", ",}}")):
        with pytest.raises(ValueError, match=r"another scale|another number|not stated as one"):
            parse_reply(text, DIMENSIONS)


@pytest.mark.parametrize("stated", ["3/5", "3 / 100", "30%", "30 percent", "3 of 5", "3 out of 5", ".3"])
def test_a_score_in_other_words_fails_the_reply(stated: str) -> None:
    for text in (json.dumps({**TABLE, "substance": stated}), f'{{"substance": {stated}, "effect": 4}}'):
        with pytest.raises(ValueError, match=r"not a number|not stated as one"):
            parse_reply(text, DIMENSIONS)


@pytest.mark.parametrize(
    "reply",
    [
        {"scale": 5, **TABLE},
        {"max_score": 5, "scores": TABLE},
        {"scores": {**TABLE, "max": 5}},
        {"rating_scale": "1-5", "result": TABLE},
        {**TABLE, "unit": "percent"},
    ],
)
def test_a_scale_that_is_stated_for_all_scores_fails_the_reply(reply: dict[str, object]) -> None:
    for text in (json.dumps(reply), repr(reply)):
        with pytest.raises(ValueError, match="another scale"):
            parse_reply(text, DIMENSIONS)


@pytest.mark.parametrize(
    "words",
    [
        *("On a scale of 1 to 5:", "Scores (0-5 scale)", "Each is out of 5.", "Scores in percent:"),
        *("Scores (1-5):", "Rated out of five stars.", "All scores are /100.", "Scores are in %:", "A 7-point scale:"),
        *("Normalised to 0–1:", "The scores lie between 0 and 1.", "Scores in the range [0-100]", "Five-star ratings:"),
    ],
)
def test_a_scale_in_words_around_the_scores_fails_the_reply(words: str) -> None:
    comment = f'{{"substance": 3, // {words}\n"effect": 4,}}'
    for text in (f"{words}\n{json.dumps(TABLE)}", f"{json.dumps(TABLE)}\n{words}", comment):
        with pytest.raises(ValueError, match="another scale"):
            parse_reply(text, DIMENSIONS)


@pytest.mark.parametrize(
    "beside",
    [
        {"max": 10},
        {"scale": "0-10", "reason": "3/10"},
        {"scale": [0, 10]},
        {"out_of": "10", "min": 0},
        {"confidence": 0.7, "reason": "sold in 24 of 27 states"},
        {"reason": "TRL 7 of 9", "sold": True, "quotes": ["one"], "note": None},
    ],
)
def test_the_schemas_own_scale_and_words_beside_a_score_are_no_matter(beside: dict[str, object]) -> None:
    reply = {"substance": {"score": 3, **beside}, "effect": 4, "max_score": 10, "overall": 3.5}
    assert parse_reply(json.dumps(reply), DIMENSIONS) == TABLE
    assert parse_reply(f"On a scale of 0 to 10:\n{json.dumps(reply)}", DIMENSIONS) == TABLE


@pytest.mark.parametrize(
    "words",
    [
        *("Scores (0-10):", "On a 0–10 scale.", "An 11-point scale:", "Rated between 0 and 10.", "It rose by 1 to 5 percent."),
        *("A range of 0-1.5 degrees, in 7/8 of all towns.", "A five-star hotel has 3 stars.", "It scores well: 1 and 3."),
        *("See https://example.org/all/2024 and /scores/100.", "Each party won 5/9 of all seats."),
    ],
)
def test_our_own_scale_and_other_numbers_in_words_are_no_matter(words: str) -> None:
    assert parse_reply(f"{words}\n{json.dumps(TABLE)}", DIMENSIONS) == TABLE


def test_json_in_json_is_read() -> None:
    text = json.dumps({"reasoning": "r", **TABLE})
    for wrapped in (
        json.dumps(text),
        json.dumps(json.dumps(text)),
        text.replace('"', '\\"'),
        json.dumps({"arguments": text}),
        json.dumps({"scores": text}),
        f"<think>{json.dumps(LOW)}</think>{json.dumps(text)}",
        json.dumps(f"<think>{json.dumps(LOW)}</think>{text}"),
    ):
        assert parse_reply(wrapped, DIMENSIONS) == TABLE


def test_a_number_in_a_json_string_in_a_map_of_something_else_is_no_score() -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        parse_reply(json.dumps({"confidence": json.dumps(LOW)}), DIMENSIONS)
