"""Before the first call: does the articles' own text reach the oracle? And what a reply is worth."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from distillery.components.articles.articles import Article, clean
from distillery.components.labeling.injections import obeyed, orders
from distillery.components.labeling.oracles.base import NOTHING, RawReply, Usage
from distillery.components.labeling.replies import Reply, parse
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.prompt import render_prompt

ATTEMPTS: Final = 3
COLLAPSE_AFTER: Final = 20
KEPT_CHARACTERS: Final = 20_000  # of a raw reply, in a dead letter
WORDS_THAT_COUNT: Final = 50


@dataclass
class Tally:
    """What one run has done.

    asked: articles settled in this run, in `seconds`. dead: dead letters, those remembered included. calls: requests sent; of
    these, limited were turned away (429) and unknown never answered, at a cost of `unknown_usd` at most. usage, usd: as billed.
    """

    total: int
    answered: int
    dead: int
    asked: int = 0
    calls: int = 0
    limited: int = 0
    unknown: int = 0
    repaired: int = 0
    suspicious: int = 0
    usage: Usage = NOTHING
    usd: float = 0.0
    unknown_usd: float = 0.0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    @property
    def collapsed(self) -> bool:
        """Most articles end dead. Written for the whole run, so that a second start pays for no more of the same."""
        settled = self.answered + self.dead
        return settled >= COLLAPSE_AFTER and self.dead * 2 > settled

    def reason(self) -> str:
        return self.reasons.most_common(1)[0][0]


def check_prompts(flt: Filter, sample: Sequence[Article]) -> None:
    """The articles' own text reaches the oracle; InputError where the prompt crowds it out.

    sample: distinct articles. Judged are the words that each adds to the empty prompt, and whether prompts differ at all.
    """
    bare = len(render_prompt(flt, "", "").split())
    prompts = [render_prompt(flt, article.title, article.content) for article in sample]
    wanted = [min(WORDS_THAT_COUNT, len(f"{article.title} {article.content}".split())) for article in sample]
    share = median((len(prompt.split()) - bare) / max(1, words) for prompt, words in zip(prompts, wanted, strict=True))
    where, hint = "spec.oracle.maxWords", "raise oracle.maxWords, or strip what all articles begin with"
    if share < 0.5:
        raise InputError(
            f"the prompt crowds out the article: half of them keep less than {max(0, share):.0%} of "
            f"their first {WORDS_THAT_COUNT} words",
            where=where,
            hint=hint,
        )
    if len(sample) > 1 and len(set(prompts)) * 2 <= len(sample):
        raise InputError(
            f"{len(sample)} different articles give only {len(set(prompts))} different prompts: what tells "
            "them apart is cut off",
            where=where,
            hint=hint,
        )


def read_reply(flt: Filter, article: Article, raw: RawReply) -> Reply:
    """Scores of a reply; ValueError with the reason where it is not to be believed."""
    text = clean(raw.text)
    if raw.finish == "blocked":
        raise ValueError("the oracle blocked its reply")
    try:
        reply = parse(text, flt.dimensions, [kind.name for kind in flt.spec.contentTypes])
    except ValueError as error:
        if raw.finish == "length":
            raise ValueError(f"the reply was cut at oracle.maxOutputTokens: {error}") from None
        raise
    if orders(article) and (why := obeyed(article, text, {"reasoning", "content_type", *flt.dimensions})):
        raise ValueError(f"the reply obeys the article: {why}")
    return reply


def generic(reason: str) -> str:
    """A reason without what differs from reply to reply, for counting."""
    return re.sub(r" is \S+, outside", " is outside", reason).partition(": ")[0]
