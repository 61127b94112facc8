"""What labelling a file will cost, before anything is asked: tokens and dollars for each route, from the articles themselves.

Tokens are counted by a rule of thumb, without any vendor's tokenizer: one for every four characters of Latin text, one for
each character of other scripts; a reply takes 60 tokens of reasoning and 12 a dimension. It is some 15% off for English. Where
labels of this rubric and oracle are in the store, what they were billed corrects it.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final

from distillery.components.articles.articles import Article, Rejects, read_articles
from distillery.components.articles.input_files import local_file
from distillery.components.labeling.journal import Journal
from distillery.components.labeling.label import open_journal
from distillery.components.labeling.oracles.base import Usage, oracle_identity
from distillery.components.labeling.oracles.prices import Price, Prices, no_price, price_of
from distillery.components.store import Digest, Store, canonical_json
from distillery.filters.filter import Filter
from distillery.filters.prompt import article_part, prompt_prefix, reply_schema

SAMPLE: Final = 200
CALIBRATED_FROM: Final = 20  # labels with a known bill
REASONING_TOKENS, DIMENSION_TOKENS = 60, 12
OTHER_SCRIPTS: Final = re.compile(r"[^\x00-ʯ\u1e00-\u209f]")


@dataclass(frozen=True)
class Route:
    """usd: for all open articles. unavailable: why it can't be taken, empty where it can."""

    name: str
    usd: float
    unavailable: str = ""


@dataclass(frozen=True)
class Quote:
    """articles: distinct texts; labeled, dead: those settled already. Tokens are means per article.

    calibrated: labels whose bill corrected the rule of thumb. spent: what the labels in the store have cost.
    """

    model: str
    articles: int
    labeled: int
    dead: int
    open: int
    prefix_tokens: float
    article_tokens: float
    output_tokens: float
    sampled: int
    calibrated: int
    price_date: str
    spent: float
    routes: list[Route] = field(default_factory=list)
    recommended: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def count_tokens(text: str) -> float:
    """About how many tokens a text has."""
    other = len(OTHER_SCRIPTS.findall(text))
    return (len(text) - other) / 4 + other


def quote(store: Store, flt: Filter, articles: str, prices: Prices, *, retry_dead: bool = False) -> Quote:
    """The quote for a file of articles. Asks nothing, writes nothing. InputError for a bad file or an unknown price."""
    found = price_of(flt, prices)
    if found is None:
        raise no_price(flt)
    price, date = found
    journal = open_journal(store, flt, oracle_identity(flt))
    total = labeled = dead = 0
    with local_file(articles, parameter="articles") as path:
        seen: set[bytes] = set()

        def distinct() -> Iterator[tuple[bool, Digest, Article]]:
            nonlocal total, labeled, dead
            for article in read_articles(path, rejects=Rejects()):
                digest = article.digest
                if (key := bytes.fromhex(digest)) in seen:
                    continue
                seen.add(key)
                total += 1
                done = journal.answer(digest) is not None
                lost = not done and not retry_dead and journal.dead_letter(digest) is not None
                labeled, dead = labeled + done, dead + lost
                yield done or lost, digest, article  # open ones first, by digest: an even sample

        sample = [article for _, _, article in heapq.nsmallest(SAMPLE, distinct(), key=lambda one: one[:2])]
    prefix = count_tokens(prompt_prefix(flt)) + count_tokens(canonical_json(reply_schema(flt)).decode())
    part = sum(count_tokens(article_part(flt, one.title, one.content)) for one in sample) / len(sample)
    output = float(REASONING_TOKENS + DIMENSION_TOKENS * len(flt.dimensions))
    billed, n = _billed(journal)
    if n >= CALIBRATED_FROM:
        factor = billed.input_tokens / n / (prefix + part)
        prefix, part, output = prefix * factor, part * factor, billed.output_tokens / n
    remaining = total - labeled - dead
    routes = _routes(flt, price, prefix, part, output, remaining)
    best = min((route for route in routes if not route.unavailable), key=lambda route: route.usd)
    return Quote(
        flt.spec.oracle.model,
        total,
        labeled,
        dead,
        remaining,
        prefix,
        part,
        output,
        len(sample),
        n if n >= CALIBRATED_FROM else 0,
        date,
        journal.usd,
        routes,
        best.name,
    )


def _billed(journal: Journal) -> tuple[Usage, int]:
    """What answers in the store were billed, the first 2,000 by digest, and how many of them say so."""
    usage, n = Usage(), 0
    for answer in islice(journal.answers(), 2_000):
        if answer.usage:
            usage, n = usage + answer.usage, n + 1
    return usage, n


def _routes(flt: Filter, price: Price, prefix: float, part: float, output: float, n: int) -> list[Route]:
    """Batch does not stack with a cached prefix; the first call of a cached prefix pays for it in full."""
    plain = price.usd(Usage(round((prefix + part) * n), 0, round(output * n)))
    batch = price.usd(Usage(round((prefix + part) * n), 0, round(output * n)), batch=True)
    cached = price.usd(Usage(round((prefix + part) * n), round(prefix * max(0, n - 1)), round(output * n)))
    short = "" if price.cached is not None and price.cacheFrom is not None else "the model has no cache"
    if not short and prefix < (price.cacheFrom or 0):
        short = f"the prefix has about {prefix:,.0f} tokens, a cache takes {price.cacheFrom:,} or more"
    provider = flt.spec.oracle.provider
    no_batch = "the model has no batch price" if price.batch is None else ""
    if not no_batch and provider not in ("vertex", "vertex-batch"):
        no_batch = f"provider {provider} has no batch route here"
    return [Route("online", plain), Route("online, cached prefix", cached, short), Route("batch", batch, no_batch)]


def render_quote(found: Quote) -> str:
    """The quote as a person reads it."""
    how = f"billed before for {found.calibrated:,} labels" if found.calibrated else "by rule of thumb, 15% either way"
    lines = [
        f"{found.articles:,} articles; {found.labeled:,} are labelled, {found.dead:,} in dead letters, {found.open:,} to ask",
        f"tokens per article: {found.prefix_tokens:,.0f} of rubric, {found.article_tokens:,.0f} of article, "
        f"{found.output_tokens:,.0f} of reply (as {how}; {found.sampled} articles sampled)",
        f"prices of {found.model} as of {found.price_date}; spent so far: ${found.spent:.2f}",
        "",
    ]
    for route in found.routes:
        mark = "<- recommended" if route.name == found.recommended else f"({route.unavailable})" if route.unavailable else ""
        lines.append(f"  {route.name:<22} ${route.usd:>10,.2f}  {mark}".rstrip())
    return "\n".join(lines)
