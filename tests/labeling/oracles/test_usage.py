"""What a service says that it billed, under any of the names in use; what can't be read or can't be true is unknown."""

from __future__ import annotations

import random
from typing import Any

import pytest

from distillery.components.labeling.oracles.base import NOTHING, Usage
from distillery.components.labeling.oracles.usage import MOST_TOKENS, read_bill, read_usage
from tests.labeling.oracles.moods import USAGES

BOTH = {"prompt_tokens": 9, "completion_tokens": 2}


@pytest.mark.parametrize("name", USAGES)
def test_what_an_endpoint_may_state(name: str) -> None:
    stated, readable = USAGES[name]
    usage = read_usage({"choices": [], "usage": stated(311, 47)}, wrote=True)
    assert usage == (Usage(311, 0, 47) if readable else None)


@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        (
            {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}},
            Usage(9, 4, 2),
        ),
        ({"usage": {**BOTH, "prompt_cache_hit_tokens": 4}}, Usage(9, 4, 2)),
        ({"usage": {**BOTH, "prompt_cache_hit_tokens": "x"}}, Usage(9, 0, 2)),
        (
            {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 99}}},
            Usage(108, 99, 2),
        ),
        ({"usage": {**BOTH, "cache_read_input_tokens": 99}}, Usage(108, 99, 2)),
        ({"usage": {**BOTH, "prompt_cache_hit_tokens": 99, "prompt_cache_miss_tokens": 9}}, Usage(108, 99, 2)),
        ({"usage": {**BOTH, "completion_tokens_details": {"reasoning_tokens": 40}}}, Usage(9, 0, 42)),
        ({"usage": {**BOTH, "total_tokens": 51, "completion_tokens_details": {"reasoning_tokens": 40}}}, Usage(9, 0, 42)),
        ({"usage": {"input_tokens": 9, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}}, Usage(9, 0, 2)),
        ({"usage": {"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 4}}, Usage(9, 4, 2)),
        ({"usage": {"prompt_tokens": 9, "input_tokens": 0, "completion_tokens": 2, "output_tokens": 0}}, Usage(9, 0, 2)),
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 5}}, Usage(9, 0, 2)),
        ({"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 5}}, Usage(9, 0, 7)),
        ({"usageMetadata": {"promptTokenCount": 9, "thoughtsTokenCount": 5, "totalTokenCount": 14}}, Usage(9, 0, 5)),
        ({"usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 16, "cachedContentTokenCount": 3}}, Usage(9, 3, 7)),
        ({"usage_metadata": {"prompt_token_count": 9, "candidates_token_count": 2}}, Usage(9, 0, 2)),
        ({"prompt_eval_count": 9, "eval_count": 2}, Usage(9, 0, 2)),
        ({"usage": {"inputTokens": 9, "outputTokens": 2}}, Usage(9, 0, 2)),
        ({"usage": {"prompt_tokens": MOST_TOKENS + 1, "completion_tokens": 2}}, None),
        ({"usage": {"prompt_tokens": 9.5, "completion_tokens": 2}}, None),
        ({"usage": {"prompt_tokens": {"text": 9}, "completion_tokens": 2}}, None),
        ([], None),
        (None, None),
        ("usage", None),
    ],
)
def test_names_of_services(reply: Any, usage: Usage | None) -> None:
    assert read_usage(reply) == usage


@pytest.mark.parametrize(
    ("body", "bill"),
    [
        ('{"error": {"code": 500}, "usage": {"prompt_tokens": 9, "completion_tokens": 0}}', (Usage(9, 0, 0), False)),
        ('{"error": {"code": 500}}', (NOTHING, True)),
        ("<html>", (NOTHING, True)),
        (b"\xff\x00", (NOTHING, True)),
        ("[" * 100_000, (NOTHING, True)),
        ({"usage": {"prompt_tokens": 9, "total_tokens": 9}}, (Usage(9, 0, 0), False)),
    ],
)
def test_a_failed_call_may_say_what_it_was_billed(body: object, bill: tuple[Usage, bool]) -> None:
    assert read_bill(body) == bill


@pytest.mark.parametrize("count", [2_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_no_statement_however_odd_counts_as_less_than_its_parts_or_ends_in_an_error(count: int) -> None:
    draw = random.Random(11)
    names = ["prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "promptTokenCount", "candidatesTokenCount",
             "prompt_tokens_details", "cached_tokens", "thoughtsTokenCount", "eval_count", "", "usage"]  # fmt: skip
    values: list[Any] = [0, 1, 7, 500, -1, 10**30, 0.5, 3.0, float("nan"), float("inf"), None, True, "", "12", "-3", "1e400",
                         [], [1], {}, {"cached_tokens": 3}, {"cached_tokens": "x"}, {"a": {"b": 1}}]  # fmt: skip
    for _ in range(count):
        stated = {draw.choice(names): draw.choice(values) for _ in range(draw.randrange(6))}
        usage = read_usage({"usage": stated} if draw.random() < 0.8 else stated, wrote=True)
        if usage is not None:
            assert 0 <= usage.cached_tokens <= usage.input_tokens
            assert 0 < usage.input_tokens <= 3 * MOST_TOKENS
            assert usage.output_tokens > 0
            for name, tokens in (("prompt_tokens", usage.input_tokens), ("completion_tokens", usage.output_tokens)):
                if isinstance(stated.get(name), int):
                    assert tokens >= stated[name]
