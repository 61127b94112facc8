"""The quote: what labeling a file will cost, by route, before anything is asked.

Tokens are counted by a rule of thumb, without any vendor's tokenizer: one for every four characters of Latin text, one for
each character of other scripts; a reply takes 60 tokens of reasoning and 12 for each dimension. For English this is within
about 15%. Where the store has labels of this rubric and oracle, their bills correct it.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final

from distillery.components.labeling.journal import Journal
from distillery.components.labeling.label import open_journal
from distillery.components.labeling.oracles.base import Usage, oracle_identity
from distillery.components.labeling.oracles.prices import Price, Prices, known_price
from distillery.components.labeling.survey import survey
from distillery.components.store import Store, canonical_json
from distillery.filters.filter import Filter
from distillery.filters.prompt import article_part, prompt_prefix, reply_schema
from distillery.filters.spec import ONLINE

SAMPLE: Final = 200
CALIBRATED_FROM: Final = 20  # labels with a known bill
REASONING_TOKENS, DIMENSION_TOKENS = 60, 12
OTHER_SCRIPTS: Final = re.compile(r"[^\x00-ʯ\u1e00-\u209f]")


@dataclass(frozen=True)
class Route:
    """A way to have the articles labeled.

    Attributes:
        name: online, with a cached prefix, or batch.
        usd: what all open articles cost, in US dollars.
        unavailable: why the route can't be taken, empty where it can.
    """

    name: str
    usd: float
    unavailable: str = ""


@dataclass(frozen=True)
class Quote:
    """What labeling a file will cost.

    Attributes:
        model: the model asked.
        articles: distinct texts.
        labeled: those with a label.
        dead: those with a dead letter.
        open: those to ask about.
        prefix_tokens: tokens of the rubric.
        article_tokens: tokens of an article, on average.
        output_tokens: tokens of a reply, on average.
        sampled: articles that the averages come from.
        calibrated: labels whose bills corrected the rule of thumb.
        price_date: when the price was looked up.
        spent: what the labels in the store have cost, in US dollars.
        in_doubt: what calls have cost at most whose bill nobody knows, in US dollars.
        routes: the routes.
        recommended: the name of the cheapest route that can be taken.
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
    in_doubt: float = 0.0
    routes: list[Route] = field(default_factory=list)
    recommended: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the quote as a JSON object.

        Returns:
            Its fields by name.
        """
        return asdict(self)


def count_tokens(text: str) -> float:
    """Estimate the tokens of a text.

    Args:
        text: the text.

    Returns:
        About how many tokens it has.
    """
    other = len(OTHER_SCRIPTS.findall(text))
    return (len(text) - other) / 4 + other


def quote(store: Store, flt: Filter, articles: str, prices: Prices, *, retry_dead: bool = False) -> Quote:
    """Make the quote for a file of articles; nothing is asked or written.

    Args:
        store: the store, with the labels so far.
        flt: the filter, with rubric and oracle.
        articles: the file, a path or s3://.
        prices: what models cost.
        retry_dead: whether articles with a dead letter will be asked about again.

    Returns:
        The quote.

    Raises:
        InputError: the file can't be read, or the model's price is unknown.
    """
    price, date = known_price(flt, prices)
    journal = open_journal(store, flt, oracle_identity(flt))
    found = survey(journal, flt, articles, retry_dead=retry_dead)
    sample, remaining = found.sample, found.open
    prefix = count_tokens(prompt_prefix(flt)) + count_tokens(canonical_json(reply_schema(flt)).decode())
    part = sum(count_tokens(article_part(flt, one.title, one.content)) for one in sample) / len(sample)
    output = float(REASONING_TOKENS + DIMENSION_TOKENS * len(flt.dimensions))
    billed, n = _billed(journal)
    if n >= CALIBRATED_FROM:
        factor = billed.input_tokens / n / (prefix + part)
        prefix, part, output = prefix * factor, part * factor, billed.output_tokens / n
    routes = _routes(flt, price, prefix, part, output, remaining)
    best = min((route for route in routes if not route.unavailable), key=lambda route: route.usd)
    return Quote(
        flt.spec.oracle.model,
        found.articles,
        found.labeled,
        found.dead,
        remaining,
        prefix,
        part,
        output,
        len(sample),
        n if n >= CALIBRATED_FROM else 0,
        date,
        journal.usd,
        journal.unknown_usd,
        routes,
        best.name,
    )


def _billed(journal: Journal) -> tuple[Usage, int]:
    """Return what answers in the store were billed, the first 2,000 by digest, and how many of them say so."""
    usage, n = Usage(), 0
    for answer in islice(journal.answers(), 2_000):
        if answer.usage:
            usage, n = usage + answer.usage, n + 1
    return usage, n


def _routes(flt: Filter, price: Price, prefix: float, part: float, output: float, n: int) -> list[Route]:
    """Return the routes; batch gets no discount for a cached prefix, and a prefix's first call pays for it in full."""
    plain = price.usd(Usage(round((prefix + part) * n), 0, round(output * n)))
    batch = price.usd(Usage(round((prefix + part) * n), 0, round(output * n)), batch=True)
    cached = price.usd(Usage(round((prefix + part) * n), round(prefix * max(0, n - 1)), round(output * n)))
    short = "" if price.cached is not None and price.cacheFrom is not None else "the model has no cache"
    if not short and prefix < (price.cacheFrom or 0):
        short = f"the prefix has about {prefix:,.0f} tokens, a cache takes {price.cacheFrom:,} or more"
    provider = flt.spec.oracle.provider
    # A provider that answers by jobs has no other route, whatever its jobs cost.
    no_batch = "the model has no batch price" if price.batch is None and provider not in ONLINE else ""
    if not no_batch and provider not in {*ONLINE, *ONLINE.values()}:
        no_batch = f"provider {provider} has no batch route here"
    elif not no_batch and provider == "openai" and flt.spec.oracle.baseUrl:
        no_batch = "no batch route is known at oracle.baseUrl; provider openai-batch tries"
    return [Route("online", plain), Route("online, cached prefix", cached, short), Route("batch", batch, no_batch)]


def render_quote(quoted: Quote) -> str:
    """Format a quote for a person.

    Args:
        quoted: the quote.

    Returns:
        Several lines of text.
    """
    how = f"billed before for {quoted.calibrated:,} labels" if quoted.calibrated else "by rule of thumb, 15% either way"
    doubt = f", and up to ${quoted.in_doubt:.2f} for calls whose bill nobody knows" if quoted.in_doubt else ""
    lines = [
        f"{quoted.articles:,} articles; {quoted.labeled:,} are labelled, {quoted.dead:,} in dead letters, "
        f"{quoted.open:,} to ask",
        f"tokens per article: {quoted.prefix_tokens:,.0f} of rubric, {quoted.article_tokens:,.0f} of article, "
        f"{quoted.output_tokens:,.0f} of reply (as {how}; {quoted.sampled} articles sampled)",
        f"prices of {quoted.model}: {quoted.price_date}; spent so far: ${quoted.spent:.2f}{doubt}",
        "",
    ]
    for route in quoted.routes:
        mark = "<- recommended" if route.name == quoted.recommended else f"({route.unavailable})" if route.unavailable else ""
        lines.append(f"  {route.name:<22} ${route.usd:>10,.2f}  {mark}".rstrip())
    return "\n".join(lines)
