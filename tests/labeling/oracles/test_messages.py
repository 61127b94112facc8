"""What an endpoint says is read wherever it put it, as it came, and its thinking is never the answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from distillery.components.articles.articles import Article
from distillery.components.labeling.engine import Engine
from distillery.components.labeling.journal import Failure
from distillery.components.labeling.oracles.base import RawReply, Request
from distillery.components.labeling.oracles.gemini import read_response
from distillery.components.labeling.oracles.keys import NO_KEY, Key
from distillery.components.labeling.oracles.message import message_text, refusal_text
from distillery.components.labeling.replies import read_reply
from distillery.components.labeling.tally import Tally
from distillery.filters.filter import Filter

ANSWER = '{"readiness": 8, "benefit": 9}'
DRAFT = '{"readiness": 1, "benefit": 1}'
CALL = {"id": "1", "type": "function", "function": {"name": "judge", "arguments": ANSWER}}

MESSAGES: dict[str, dict[str, Any]] = {
    "a text": {"content": ANSWER},
    "parts": {"content": [{"type": "text", "text": ANSWER[:9]}, {"type": "text", "text": ANSWER[9:]}]},
    "parts with thinking": {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]},
            {"type": "reasoning", "text": DRAFT},
            {"type": "text", "text": ANSWER},
        ]
    },
    "parts that are texts": {"content": [ANSWER]},
    "parts of output": {"content": [{"type": "output_text", "text": ANSWER, "annotations": []}]},
    "parts with a value": {"content": [{"type": "text", "text": {"value": ANSWER, "annotations": []}}]},
    "a part alone": {"content": {"type": "text", "text": ANSWER}},
    "an object": {"content": {"readiness": 8, "benefit": 9}},
    "a tool call": {"content": None, "tool_calls": [CALL]},
    "a tool call with an object": {
        "tool_calls": [{"function": {"name": "judge", "arguments": {"readiness": 8, "benefit": 9}}}]
    },
    "a part that calls a tool": {"content": [{"type": "tool_use", "name": "judge", "input": {"readiness": 8, "benefit": 9}}]},
    "an old call": {"content": "", "function_call": {"name": "judge", "arguments": ANSWER}},
    "everything as thinking": {"content": None, "reasoning_content": ANSWER},
    "everything as reasoning": {"content": "", "reasoning": f"```json\n{ANSWER}\n```"},
    "thinking and answer as thinking": {"content": None, "reasoning_content": f"{DRAFT} No.</think>\n{ANSWER}"},
    "a part of another case": {"content": [{"type": "Text", "text": ANSWER}]},
    "a message among thoughts": {
        "content": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": DRAFT}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ANSWER}]},
        ]
    },
    "parsed already": {"content": None, "parsed": {"readiness": 8, "benefit": 9}},
    "thinking beside it": {"content": ANSWER, "reasoning_content": DRAFT},
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_answer_is_found(name: str) -> None:
    text = message_text(MESSAGES[name], complete=True)
    assert json.loads(text.strip("`\n").removeprefix("json")) == {"readiness": 8, "benefit": 9}


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": f"First: {DRAFT} No, because"},
        {"content": None, "reasoning_content": f"<think>{DRAFT}"},
        {"content": [{"type": "thinking", "thinking": DRAFT}]},
        {"content": [{"type": "thinking", "thinking": DRAFT}], "reasoning_content": "Hm."},
        {"content": [{"type": "image_url", "image_url": {"url": "x"}}]},
        {"content": 7, "tool_calls": "none", "function_call": 1},
        {"tool_calls": [None, {}, {"function": None}, {"function": {"arguments": None}}]},
        {},
    ],
)
def test_thinking_is_no_answer(message: dict[str, Any]) -> None:
    assert message_text(message, complete=True) == ""


def test_a_draft_in_the_thinking_of_a_reply_that_was_cut_is_no_answer() -> None:
    assert message_text({"content": None, "reasoning_content": DRAFT}, complete=False) == ""


def test_a_text_beside_a_tool_call_is_read_as_well() -> None:
    """Where the two differ, the reply fails as one that states two scores."""
    assert message_text({"content": f"I judge {DRAFT}", "tool_calls": [CALL]}, complete=True) == f"I judge {DRAFT}\n{ANSWER}"


@pytest.mark.parametrize("message", [{"refusal": "No."}, {"content": [{"type": "refusal", "refusal": "No."}]}])
def test_a_refusal_is_found(message: dict[str, Any]) -> None:
    assert (message_text(message, complete=True), refusal_text(message)) == ("", "No.")


def test_gemini_parts_are_joined_and_function_calls_read() -> None:
    def text(*parts: object) -> str:
        return read_response({"candidates": [{"finishReason": "STOP", "content": {"parts": list(parts)}}]}, NO_KEY).text

    assert text({"text": DRAFT, "thought": True}, {"text": ANSWER[:9]}, {"text": ANSWER[9:]}, "x", None) == ANSWER
    assert json.loads(text({"functionCall": {"name": "judge", "args": {"readiness": 8}}})) == {"readiness": 8}


@pytest.mark.parametrize("content", [[], "x", {"parts": "x"}, None, {"parts": [{"functionCall": "x"}]}])
def test_a_gemini_answer_of_another_form_is_empty(content: object) -> None:
    response = {"candidates": [{"finishReason": "STOP", "content": content}], "promptFeedback": []}
    assert read_response(response, NO_KEY).text == ""


def test_a_key_is_hidden_where_a_reply_is_printed_and_not_before_it_is_read() -> None:
    key = Key("none", "environment variable OPENAI_API_KEY")
    reply = read_response({"candidates": [{"content": {"parts": [{"text": '{"content_type": "none"}'}]}}]}, key)
    assert reply.text == '{"content_type": "none"}'
    assert "none" not in repr(reply)


@pytest.mark.parametrize("padding", [0, 60, 75, 90])
def test_a_key_is_hidden_in_what_is_kept_of_a_reply_that_is_no_use(flt: Filter, padding: int) -> None:
    """Not even a part of it, where the reason quotes the reply and cuts it."""
    key = Key("sk-planted-0123456789abcdef", "environment variable OPENAI_API_KEY")
    article, text = Article("1", "t", "c"), json.dumps({"readiness": f"{'x' * padding}{key.reveal()}", "benefit": 2})
    engine = Engine(flt, None, None, Tally(1, 0, 0))  # type: ignore[arg-type]
    raw = RawReply(text, version=f"m {key.reveal()}", key=key)
    outcome = asyncio.run(engine.judge(article.digest, Request(article, "", "", 1), raw, 0.0, 0.0))
    assert isinstance(outcome, Failure)
    assert outcome.attempt.reply == text.replace(key.reveal(), "[key]")
    assert "readiness is not a number" in outcome.attempt.reason
    assert "sk-p" not in f"{outcome} {engine.tally}"


def test_a_key_that_is_a_word_of_the_reply_does_not_rewrite_it(flt: Filter) -> None:
    key, article = Key("benefit", "environment variable OPENAI_API_KEY"), Article("1", "t", "c")
    assert read_reply(flt, article, RawReply('{"readiness": 1, "benefit": 2}', key=key)).scores == {
        "readiness": 1,
        "benefit": 2,
    }
