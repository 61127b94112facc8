"""What commands that spend have in common: the user's own prices, the quote, and the question before the first paid call."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distillery.components.labeling.oracles.prices import Prices
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import Store
    from distillery.filters.filter import Filter


def priced(request: RunRequest, prices: str) -> RunRequest:
    """Return a run's request with the user's own price among its overrides, so that it holds in every step of the run.

    Args:
        request: The run's arguments, with absolute paths.
        prices: The file that `--prices` names; empty for none.

    Returns:
        The request; unchanged where there is no such file, or where it does not have the filter's model.

    Raises:
        InputError: The filter or the file can't be used.
    """
    own = own_price(request.filter, prices, profile=request.profile, overrides=request.overrides)
    return replace(request, overrides=(*request.overrides, *own))


def load(filter: str, overrides: Sequence[str], profile: str, prices: str) -> Filter:
    """Load a filter with the user's own price of its model.

    Args:
        filter: A filter's name, name/vN, or the path of a filter.yaml.
        overrides: Each "path=value", with absolute paths.
        profile: A named set of overrides; empty for none.
        prices: The file that `--prices` names; empty for none.

    Returns:
        The filter.

    Raises:
        InputError: The filter or the file can't be used.
    """
    from distillery.filters.loading import load_filter

    own = own_price(filter, prices, profile=profile, overrides=overrides)
    return load_filter(filter, overrides=[*overrides, *own], profile=profile or None)


def own_price(filter: str, prices: str, *, profile: str = "", overrides: Sequence[str] = ()) -> list[str]:
    """Return the override that sets the user's own price of a filter's model.

    Args:
        filter: The filter, as a command takes it.
        prices: The file that `--prices` names; empty for none.
        profile: A named set of overrides; empty for none.
        overrides: Each "path=value".

    Returns:
        ["oracle.price={…}"]; empty where there is no such file, or where it does not have the model.

    Raises:
        InputError: The filter or the file can't be used.
    """
    if not prices:
        return []
    from distillery.components.labeling.oracles.prices import as_override, read_prices
    from distillery.components.preflight.preflight import resolve_filter
    from distillery.filters.errors import blamed_on

    with blamed_on("filter"):
        flt = resolve_filter(filter, profile=profile, overrides=overrides)
    return as_override(flt, read_prices(prices))


def agree(
    store: Store,
    articles: str,
    calls: Sequence[tuple[Filter, int | None]],
    *,
    budget: float | None,
    yes: bool,
    retry_dead: bool = False,
    here: bool = True,
) -> None:
    """Say what a command will cost at most, and ask in a terminal whether to go on; ask nothing where nothing is paid.

    Args:
        store: The store, with the labels so far.
        articles: The file of articles, a path or s3://.
        calls: How many articles each filter's oracle is asked about at most; None for all that have no label.
        budget: US dollars as typed; None where there is no limit.
        yes: True to ask nothing.
        retry_dead: True where articles with a dead letter are asked about again.
        here: True where this machine asks, so that keys must be set and services reached before a person is asked.

    Raises:
        InputError: The budget is no amount of money, a model has no price to keep it by, or a key is missing.
        Stopped: The user said no, or a service can't be reached.
    """
    from distillery.components.articles.input_files import local_input
    from distillery.components.labeling.oracles.prices import known_price, read_prices
    from distillery.components.labeling.oracles.reach import require_oracle
    from distillery.filters.errors import Stopped
    from distillery.pipelines.cli.asking import agreed, in_terminal
    from distillery.pipelines.cli.options import require_dollars

    require_dollars(budget)
    listed = read_prices()
    if budget is not None:
        for flt, _ in calls:
            known_price(flt, listed)
    paid = [(flt, most) for flt, most in calls if flt.spec.oracle.provider != "replay"]
    if not paid:
        return
    with local_input(articles, parameter="articles") as path:
        parts = [_at_most(store, str(path), flt, most, listed, retry_dead) for flt, most in paid]
    if not any(parts):
        return
    for (flt, _), part in zip(paid, parts, strict=True):
        if part and here:
            require_oracle(flt)
    limit = "" if budget is None else f"; never more than ${budget:g}, earlier labels included"
    print(f"{'; '.join(filter(None, parts))}{limit}. What is labelled already is not paid again.", file=sys.stderr)
    if not yes and in_terminal() and not agreed("Go on?"):
        raise Stopped("nothing was asked and nothing was spent", hint="answer y, or give --yes")


def _at_most(store: Store, articles: str, flt: Filter, most: int | None, listed: Prices, retry_dead: bool) -> str:
    """Return what an oracle will be asked at most, and what that costs; empty where it will not be asked."""
    from distillery.components.labeling.oracles.base import Usage
    from distillery.components.labeling.oracles.prices import price_of
    from distillery.components.labeling.quote import quote
    from distillery.components.labeling.survey import is_labeled, left_to_ask
    from distillery.filters.spec import ONLINE

    oracle = flt.spec.oracle
    if most is None and not retry_dead and is_labeled(store, flt, articles):
        return ""
    if price := price_of(flt, listed):
        quoted = quote(store, flt, articles, listed, retry_dead=retry_dead)
        n = quoted.open if most is None else most
        usage = Usage(round((quoted.prefix_tokens + quoted.article_tokens) * n), 0, round(quoted.output_tokens * n))
        usd = f"about ${price[0].usd(usage, batch=oracle.provider in ONLINE):,.4f}"
    else:
        n = left_to_ask(store, flt, articles, retry_dead=retry_dead) if most is None else most
        usd = "no price is known, so no money is counted"
    return f"{oracle.model}: at most {n:,} labels, {usd}" if n else ""
