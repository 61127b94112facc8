"""Raw replies as a language model would have written them about the demo articles, faults and all.

The scores are the true ones plus the noise and the leanings of an oracle; the text around them goes wrong at the rates
seen in real replies. A fault that a second try would cure is followed by that second try; a few articles never get a
usable reply within three. Fault rates are per article and drawn from the seed, so the file is the same every time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from random import Random
from typing import Any

from tests.demo.generator.bank import DIMENSIONS
from tests.demo.generator.corpus import DemoArticle
from tests.demo.generator.grammar import pick

NOISE = 0.5
# A mild leaning per dimension, in the order of DIMENSIONS: generous on the environment, strict on costs.
BIAS = (0.10, 0.05, -0.15, 0.15, -0.05, 0.0)
HALVES = 0.6  # share of replies that use half points; the others whole ones

FENCED, PROSE_BEFORE, PROSE_AFTER = 0.55, 0.12, 0.06
# Readable after repair: bad escapes, a trailing comma, a comment.
BAD_ESCAPE, TRAILING_COMMA, COMMENT = 0.03, 0.02, 0.005
# Unreadable at first; asked again, the oracle answers properly.
MISSING, OUT_OF_RANGE, TRUNCATED, REFUSED = 0.01, 0.005, 0.005, 0.004
HOPELESS = 0.003  # three attempts, none usable
ATTEMPTS = 3
REPEATS = 3  # an oracle's noise is measured by asking the same again

_BEFORE = (
    "Here is the assessment:\n\n",
    "Based on the article, I would score it as follows.\n\n",
    "Sure! Below is the JSON you asked for:\n",
    "Let me look at the six dimensions {one by one} before answering.\n\n",
)
_AFTER = (
    "\n\nLet me know if you need a more detailed breakdown.",
    "\n\nNote: the article gives few figures, so some scores are conservative.",
    "\n\nThe scores above reflect only what the article states.",
)
_ESCAPES = (
    r"Particles of 5 $\mu$m are mentioned, within $\pm$5 per cent.",
    r"It\'s not clear who measured this.",
    r"The gain of 12\% is quoted without a source.",
    r"The paper cites C:\data\results as its source.",
)
_REFUSALS = (
    "I'm sorry, but I can't help with scoring this article.",
    "I am unable to assess this text: it does not seem to contain enough information.",
    "As a language model I cannot verify the claims made in this article, so I would rather not assign numbers.",
)
_HIGH = ("a deployed solution that holds up", "solid results that others confirm", "a working project with real benefits")
_MIDDLE = ("real but limited results", "a mixed record", "partial evidence and some open questions")
_LOW = ("little that works or is proven", "claims without evidence, or outright failure", "early-stage or failed efforts")
_NOTHING = ("no sustainability technology", "content outside the scope", "nothing to assess")
_OPENING = ("The article describes", "Overall the text shows", "The piece reports", "What remains after reading is")


def record(articles: Iterable[DemoArticle], seed: int = 7, again: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield the recorded replies, `{"id", "reply", "attempt"}`, attempts of one article in order from 1.

    again: ids of the articles that the oracle was asked about anew, `REPEATS` times in all; those rows also have "repeat".
    """
    for article in articles:
        for repeat in range(1, REPEATS + 1 if article.id in again else 2):
            # A stream per article, so that one more article changes no other reply.
            rng = Random(f"{seed} {article.id}" if repeat == 1 else f"{seed} {article.id} {repeat}")
            for attempt, reply in enumerate(_attempts(rng, article), start=1):
                yield {"id": article.id, "reply": reply, "attempt": attempt, **({"repeat": repeat} if repeat > 1 else {})}


def _attempts(rng: Random, article: DemoArticle) -> list[str]:
    fields = _fields(rng, article.reference)
    good = _dress(rng, fields)
    chance = rng.random()
    if chance < HOPELESS:
        return [_broken(rng, fields, pick(rng, ("missing", "truncated", "refused"))) for _ in range(ATTEMPTS)]
    chance -= HOPELESS
    for fault, rate in (
        ("missing", MISSING), ("range", OUT_OF_RANGE), ("truncated", TRUNCATED), ("refused", REFUSED),
    ):  # fmt: skip
        if chance < rate:
            return [_broken(rng, fields, fault), good]
        chance -= rate
    return [good]


def _fields(rng: Random, reference: dict[str, float]) -> dict[str, Any]:
    """The reply as an object: reasoning first, then a score per dimension."""
    step = 0.5 if rng.random() < HALVES else 1.0
    scores: dict[str, Any] = {}
    for name, bias in zip(DIMENSIONS, BIAS, strict=True):
        noisy = reference[name] + bias + rng.gauss(0.0, NOISE)
        rounded = min(10.0, max(0.0, round(noisy / step) * step))
        scores[name] = int(rounded) if rounded == int(rounded) else rounded
    mean = sum(scores.values()) / len(scores)
    words = _HIGH if mean >= 6 else _MIDDLE if mean >= 4 else _LOW if mean >= 1.5 else _NOTHING
    return {"reasoning": f"{pick(rng, _OPENING)} {pick(rng, words)}.", **scores}


def _dress(rng: Random, fields: dict[str, Any]) -> str:
    """The object as text, in a fence or not, with prose around it or not, with faults that can be mended or not."""
    body = json.dumps(fields, indent=2 if rng.random() < 0.8 else None, ensure_ascii=False)
    chance = rng.random()
    if chance < BAD_ESCAPE:
        body = body.replace('.",', f'. {pick(rng, _ESCAPES)}",', 1)
    elif chance < BAD_ESCAPE + TRAILING_COMMA:
        body = f"{body[:-1].rstrip()},\n}}"
    elif chance < BAD_ESCAPE + TRAILING_COMMA + COMMENT:
        body = f"{body[:-1].rstrip()} // rounded\n}}"
    if rng.random() < FENCED:
        body = f"```{pick(rng, ('json', 'json', 'json', 'JSON', ''))}\n{body}\n```"
    before = pick(rng, _BEFORE) if rng.random() < PROSE_BEFORE else ""
    after = pick(rng, _AFTER) if rng.random() < PROSE_AFTER else ""
    return before + body + after


def _broken(rng: Random, fields: dict[str, Any], fault: str) -> str:
    if fault == "refused":
        return pick(rng, _REFUSALS)
    name = pick(rng, DIMENSIONS)
    if fault == "missing":
        return _dress(rng, {key: value for key, value in fields.items() if key != name})
    if fault == "range":
        return _dress(rng, {**fields, name: pick(rng, (11, 12, -1, 75, 85))})
    text = json.dumps(fields, indent=2, ensure_ascii=False)
    # Cut before the last score is complete.
    return "```json\n" + text[: rng.randrange(text.index(DIMENSIONS[0]), text.index(DIMENSIONS[-1]))]
