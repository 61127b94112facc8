"""A draft is no answer: what a model thinks ends at its last closing mark, and what was cut is no label."""

from __future__ import annotations

import pytest

from distillery.components.articles.articles import Article
from distillery.components.labeling.oracles.base import RawReply
from distillery.components.labeling.replies import parse, parse_reply, read_reply
from distillery.filters.filter import Filter

DIMENSIONS = ["readiness", "benefit"]
DRAFT = '{"reasoning": "a first try", "readiness": 2, "benefit": 1}'
ANSWER = '{"reasoning": "on reflection", "readiness": 8, "benefit": 9}'
SCORES = {"readiness": 8.0, "benefit": 9.0}
MARKS = {
    "think": ("<think>", "</think>"),
    "thinking": ("<thinking>\n", "\n</thinking>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "thought": ("<thought>", "</thought>"),
    "in capitals, spaced": ("<Think >", "</ Think>"),
    "with an attribute": ("<think type='draft'>", "</think>"),
    "with a word before it": ("<inner-monologue>", "</inner-monologue>"),
    "with a word behind it": ("<reasoning_content>\n", "\n</reasoning_content>"),
    "in other words": ("<scratch_pad>", "</scratch_pad>"),
    "hyphens": ("<chain-of-thought>", "</chain-of-thought>"),
    "planning": ("<planning>", "</planning>"),
    "in French": ("<réflexion>", "</réflexion>"),
    "in Chinese": ("<思考过程>\n", "\n</思考过程>"),
    "in German": ("[Gedankengang]", "[/Gedankengang]"),
    "of steps": ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
    "escaped": ("&lt;think&gt;", "&lt;/think&gt;"),
    "of a vendor": ("<seed:think>", "</seed:think>"),
    "in brackets": ("[THINK]", "[/THINK]"),
    "in triangles": ("◁think▷", "◁/think▷"),
    "begin and end": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "start and end": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "channels": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "channels with a format": (
        "<|start|>assistant<|channel|>commentary<|message|>",
        "<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>",
    ),
    "another model's channels": ("<|channel>thought\n", "<channel|>"),
    "channels without their marks": ("analysisWe ", "assistantfinal"),
    "unused tokens": ("<unused94>thought\n", "<unused95>"),
    "a fence": ("```thinking\n", "\n```\n"),
    "words": ("Here is my thought process:\n", "\nHere is my response:\n"),
    "a terminal's": ("Thinking...\n", "\n...done thinking.\n"),
}


@pytest.mark.parametrize("kind", MARKS)
def test_what_follows_the_thinking_is_the_answer(kind: str) -> None:
    opening, closing = MARKS[kind]
    for text in (
        f"{opening}Let me try. {DRAFT} Too low.{closing}\n{ANSWER}",
        f"{opening}Let me try. {DRAFT} Too low.{closing}```json\n{ANSWER}\n```",
        f"{opening}{DRAFT}{closing} {opening}{DRAFT.replace('2', '3')}{closing}{ANSWER}",
        f"{opening}{opening}{DRAFT}{closing}{ANSWER}",
    ):
        assert parse_reply(text, DIMENSIONS) == SCORES
        assert "thinking before the answer" in parse(text, DIMENSIONS).repaired


@pytest.mark.parametrize("kind", [kind for kind in MARKS if kind != "a fence"])
def test_a_closing_mark_alone_ends_thinking(kind: str) -> None:
    assert parse_reply(f"First try: {DRAFT} No.{MARKS[kind][1]}{ANSWER}", DIMENSIONS) == SCORES


@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize("rest", [" Too low, because", "", "\n", " Better: {", f" {DRAFT}"])
def test_thinking_that_does_not_end_has_no_answer(kind: str, rest: str) -> None:
    opening, _ = MARKS[kind]
    with pytest.raises(ValueError, match="thinking"):
        parse_reply(f"{opening}Let me try. {DRAFT}{rest}", DIMENSIONS)


@pytest.mark.parametrize("kind", [kind for kind in MARKS if not kind.startswith(("channels without", "a terminal"))])
def test_thinking_that_begins_again_has_no_answer(kind: str) -> None:
    opening, closing = MARKS[kind]
    for text in (
        f"{opening}{DRAFT}{closing}{opening}{DRAFT} Too",
        f"{ANSWER}{opening}{DRAFT} Too",
        f"{opening}{DRAFT}{closing}",
    ):
        with pytest.raises(ValueError, match="thinking"):
            parse_reply(text, DIMENSIONS)


@pytest.mark.parametrize("fence", ["```json", "```JSON", "```python"])
def test_a_fence_within_a_fence_of_thinking_does_not_end_it(fence: str) -> None:
    draft = f"```thinking\nFirst:\n{fence}\n{DRAFT}\n"
    for text in (draft, f"{draft}```", f"{draft}```\nToo low, because", f"{draft}```\n{fence}\n{DRAFT}\n```"):
        with pytest.raises(ValueError, match="thinking"):
            parse_reply(text, DIMENSIONS)
    assert parse_reply(f"{draft}```\nToo low.\n```\n{ANSWER}", DIMENSIONS) == SCORES
    assert parse_reply(f"{draft}```\nToo low.\n```\n```json\n{ANSWER}\n```", DIMENSIONS) == SCORES


def test_another_mark_does_not_end_thinking() -> None:
    with pytest.raises(ValueError, match="thinking"):
        parse_reply(f"<think>A tag </reasoning> and {DRAFT} because", DIMENSIONS)


@pytest.mark.parametrize("before", ["", "<think>I read about it.</think>\n"])
def test_a_mark_in_the_answers_own_text_is_a_word(before: str) -> None:
    answer = ANSWER.replace("on reflection", "it is about <think> and </think>")
    assert parse_reply(before + answer, DIMENSIONS) == SCORES
    assert parse_reply(f"{before}```json\n{answer}\n```", DIMENSIONS) == SCORES


BROKEN = DRAFT.replace("1}", "1,}")
CUT = {
    "prose behind it": f"First: {DRAFT} No, because",
    "the beginning of a better one": f"{DRAFT} Better: {{",
    "a better one without a score": f'{DRAFT}\n{{"reasoning": "on refl',
    "prose behind a broken one": f"{BROKEN} No, because",
    "a list of drafts": "[{'readiness': 2, 'benefit': 1}, {'read",
    "prose behind one with objects": "{'readiness': {'score': 2}, 'benefit': {'score': 1}} but the",
    "a fence and prose": f"```json\n{DRAFT}\n```\nNow let me",
}


@pytest.mark.parametrize("finish", ["length", "other"])
@pytest.mark.parametrize("name", CUT)
def test_scores_with_text_behind_them_are_a_draft_where_the_reply_was_cut(flt: Filter, name: str, finish: str) -> None:
    article = Article("1", "t", "c")
    with pytest.raises(ValueError, match="draft"):
        read_reply(flt, article, RawReply(CUT[name], finish=finish))


@pytest.mark.parametrize("name", ["prose behind it", "prose behind a broken one", "a fence and prose"])
def test_prose_behind_the_answer_of_a_model_that_ended_by_itself_is_no_matter(flt: Filter, name: str) -> None:
    assert read_reply(flt, Article("1", "t", "c"), RawReply(CUT[name])).scores == {"readiness": 2, "benefit": 1}


@pytest.mark.parametrize(
    "text",
    [
        DRAFT,
        f"```json\n{DRAFT}\n```\n",
        f"[{DRAFT}",
        BROKEN,
        '{"readiness": 2, "benefit": 1, "reasoning": "Heat pu',
        "{'readiness': {'score': 2, 'reason': 'x'}, 'benefit': {'score': 1}, 'reasoning': 'Heat pu",
    ],
)
def test_scores_that_are_complete_count_where_only_the_end_of_their_object_was_cut(flt: Filter, text: str) -> None:
    assert read_reply(flt, Article("1", "t", "c"), RawReply(text, finish="length")).scores == {"readiness": 2, "benefit": 1}
