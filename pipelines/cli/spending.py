"""What commands that spend have in common: the user's own prices, the quote, and the question before the first paid call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distillery.components.preflight.request import RunRequest
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
