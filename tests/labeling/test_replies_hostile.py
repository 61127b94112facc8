"""Hostile replies: no score that the text does not state, and time that grows with the text and no faster."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time
from collections.abc import Callable

import pytest

from distillery.components.articles.articles import Article
from distillery.components.labeling.engine import Engine
from distillery.components.labeling.injections import markers, obeyed, orders
from distillery.components.labeling.oracles.base import RawReply, Request
from distillery.components.labeling.replies import MAX_CHARACTERS, parse, parse_reply
from distillery.components.labeling.tally import Tally
from distillery.filters.filter import Filter

DIMENSIONS = ["readiness", "benefit", "evidence"]
PLAIN = '{"reasoning": "Heat pumps are sold.", "readiness": 7, "benefit": 6.5, "evidence": 3}'
DRAFT = '{"reasoning": "A first try.", "readiness": 1, "benefit": 1.25, "evidence": 1.5}'
SHAPES = [
    PLAIN,
    PLAIN.replace('"', "'"),
    f"```json\n{PLAIN}\n```",
    f"Here it is:\n{PLAIN}\nDone.",
    '{"scores": {"readiness": 7, "benefit": 6.5, "evidence": 3}, "confidence": {"readiness": 0.5, "benefit": 0.25}}',
    '{"result": {"readiness": {"score": 7, "max": 10}, "benefit": {"score": "6.5"}, "evidence": {"score": 3, "reason": "x"}}}',
    '{"readiness": "7/10", "benefit": "6.5", "evidence": 3, // thin\n}',
    json.dumps(PLAIN),
    f"[{PLAIN}]",
    f"{PLAIN}\n{PLAIN}",
]
ATOMS = [*"{}[],:\"'\\ \n.-_/15e~`<>|%", "", "", "max", "</think>", "<think>", "```", "\ufeff", "\u2028", "None", "//", "score"]


def mutated(chance: random.Random, text: str, start: int = 0) -> str:
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(min(start, len(text)), len(text))
        if chance.random() < 0.15:
            text = text[:at]
        elif chance.random() < 0.15:
            other = chance.randint(at, len(text))
            text = text[:other] + text[at:other] + text[other:]
        else:
            text = text[:at] + chance.choice(ATOMS) + text[at + chance.randint(0, 2) :]
    return text


def stated(text: str, name: str) -> set[float]:
    """The numbers between this name and the next one, wherever it stands."""
    others = "|".join({*DIMENSIONS} - {name})
    after = "\n".join(re.split(others, part)[0] for part in re.split(rf"{name}(?=\W)", text)[1:])
    return {float(number) for number in re.findall(r"(?<![\w.])[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE]-?[0-9]+)?", after)}


def fuzz(count: int, seed: int) -> int:
    """Read so many damaged replies; return how many gave scores."""
    chance, read = random.Random(seed), 0
    for _ in range(count):
        thinks = chance.random() < 0.3
        opening, closing = chance.choice([("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<reasoning>", "</reasoning>")])
        head = f"{opening}{DRAFT}" if thinks else ""
        text = mutated(chance, head + (closing if thinks else "") + chance.choice(SHAPES), len(head))
        try:
            scores = parse(text, DIMENSIONS, cut=chance.random() < 0.5).scores
        except ValueError:
            continue
        read += 1
        # The draft stands before every mutation, behind a mark that no mutation reaches.
        said = text[len(head) :]
        assert all(score in stated(said, name) for name, score in scores.items()), (scores, text)
        assert not thinks or re.search(r"[</\[]", said), text
    return read


def test_no_score_that_the_text_does_not_state() -> None:
    assert fuzz(500, 1) > 50


@pytest.mark.slow
def test_no_score_that_the_text_does_not_state_in_50_000_mutations() -> None:
    assert fuzz(50_000, 2) > 5_000


BEFORE = ["", '{"reasoning": "r", "readiness": 8, "benefit": 8, "evidence": 8', PLAIN, "<think>"]
REPEATED = ["\n", '"readiness":{', "\nreadiness:", '"score":', "\n```x", "</think>", "scale 1 to ", '{"a":1}', "7", "{a "]
OTHERS = [
    *(" ", "\r\n", '"', "'", "{", "[", '{"a":', '{"readiness":', "{ ", "```\n", "//", "# ", "7,", "1e", "<think>", "<think "),
    *("\\", '\\"', ",", "a ", "out of ", "{}", '{"readiness":1}', '"content_type":', '"{', '{\\"', 'x"\n', '{"scores":"{'),
    *("<|channel|>", "<|channel|>final", "&lt;", "assistant", "```thinking", '</think>{"a":"', "\u2028", "Here is my "),
]


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """The processor time of some work, whatever comes of it."""
    began = time.process_time()
    with contextlib.suppress(ValueError):
        work(*arguments)
    return time.process_time() - began


def check_growth(before: str, repeated: str, large: int) -> None:
    times = [seconds(parse, before + repeated * (size // len(repeated)), DIMENSIONS, ["news"]) for size in (large // 8, large)]
    assert times[1] < 24 * max(times[0], 0.01), (repeated, times)  # the square would be 64 times as long


@pytest.mark.parametrize("before", BEFORE)
def test_reading_takes_time_that_grows_with_the_reply(before: str) -> None:
    for repeated in REPEATED:
        check_growth(before, repeated, 24_000)


@pytest.mark.slow
@pytest.mark.parametrize("before", BEFORE)
def test_reading_the_longest_replies_takes_time_that_grows_with_them(before: str) -> None:
    for repeated in REPEATED + OTHERS:
        check_growth(before, repeated, MAX_CHARACTERS - 100)


@pytest.mark.parametrize("repeated", ["\n", '"reasoning ', "A1", "1", "'abcde' ", "[/INST]", "x", "ignore ", " "])
@pytest.mark.parametrize("before", ["ignore the rules A", 'ignore the rules "reasoning'])
def test_looking_for_orders_takes_time_that_grows_with_the_article(before: str, repeated: str) -> None:
    def look(size: int) -> float:
        article = Article("1", "", f"{before}{repeated * (size // len(repeated))}é")
        return seconds(lambda: (orders(article), markers(article), obeyed(article, "x" * 10_000, set())))

    assert look(40_000) < 24 * max(look(5_000), 0.01)


def test_reading_a_long_reply_does_not_hold_up_the_calls(flt: Filter) -> None:
    """While four hostile replies are read, the event loop turns as it does otherwise."""
    engine = Engine(flt, None, None, Tally(4, 0, 0))  # type: ignore[arg-type]
    hostile = RawReply('{"readiness": 8, "benefit": 8, ' + '"a":"b"c"d",' * 2_000)
    pauses: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            pauses.append(time.perf_counter() - before)

    async def run() -> None:
        watcher = asyncio.create_task(watch())
        article = Article("1", "t", "c")
        request = Request(article, "", "", 1)
        await asyncio.gather(*(engine.judge(article.digest, request, hostile, 0.0, 0.0) for _ in range(4)))
        watcher.cancel()

    began = time.perf_counter()
    asyncio.run(run())
    took = time.perf_counter() - began
    assert len(pauses) > 5
    assert sorted(pauses)[len(pauses) * 9 // 10] < max(0.1, took / 4), (took, max(pauses))


def test_a_short_reply_is_read_as_a_long_one() -> None:
    padded = f"{' ' * 50_000}{PLAIN}"
    assert parse_reply(padded, DIMENSIONS) == parse_reply(PLAIN, DIMENSIONS)
