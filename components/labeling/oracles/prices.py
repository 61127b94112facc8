"""Prices: what a call costs, by the user's file, else by the filter, else by list prices from one dated file.

An unknown price is not zero: a budget and a quote refuse without one, and a run says that it counts no money.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from distillery.components.labeling.oracles.base import Usage
from distillery.filters.document import read_document
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.spec import Price as FilterPrice

PRICES: Final = Path(__file__).with_name("prices.yaml")
MILLION: Final = 1_000_000
EXAMPLE: Final = "write models: {NAME: {input: 0.3, cached: 0.03, output: 2.5, batch: 0.5}}, in dollars per million tokens"
VERSION: Final = re.compile(r"[-@](?:\d{4}-\d\d-\d\d|\d{3,}|latest|preview(?:-[\d-]+)?)\Z")


class Price(FilterPrice):
    """What a model costs, as a filter says it, with a date.

    Attributes:
        date: when the price was looked up, where that is not the file's date.
    """

    model_config = ConfigDict(strict=False)
    date: datetime.date | None = None

    def usd(self, usage: Usage, *, batch: bool = False) -> float:
        """Return the bill of a call.

        Args:
            usage: its tokens.
            batch: whether it is a row of a batch job, where cached tokens are no cheaper than others.

        Returns:
            US dollars.
        """
        cached = 0 if self.cached is None or batch else min(usage.cached_tokens, usage.input_tokens)
        plain = (usage.input_tokens - cached) * self.input + usage.output_tokens * self.output
        return (plain * (self.batch or 1 if batch else 1) + cached * (self.cached or 0)) / MILLION


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    date: datetime.date | None = None
    models: dict[str, Price]


@dataclass(frozen=True)
class Prices:
    """Prices by model, each with the date when it was looked up.

    Attributes:
        models: the user's own, which take precedence over the filter's.
        listed: list prices.
    """

    models: dict[str, tuple[Price, str]]
    listed: dict[str, tuple[Price, str]] = field(default_factory=dict)

    def of(self, model: str) -> tuple[Price, str] | None:
        """Find the price of a model, or of the model that this is a dated version of.

        Args:
            model: its name.

        Returns:
            The price and its date; None where there is none.
        """
        return self.own(model) or _of(self.listed, model)

    def own(self, model: str) -> tuple[Price, str] | None:
        """Find the user's own price of a model.

        Args:
            model: its name.

        Returns:
            As `of`.
        """
        return _of(self.models, model)


def _of(models: dict[str, tuple[Price, str]], model: str) -> tuple[Price, str] | None:
    name = model.rsplit("/", 1)[-1]
    return next((models[one] for one in (model, name, VERSION.sub("", name)) if one in models), None)


def _read(path: Path) -> _File:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if not text.strip():
            raise InputError("says nothing", where=f"--prices {path}", hint=EXAMPLE)
        return _File.model_validate(read_document(text, f"--prices {path}", ours_alone=True).value)
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=f"--prices {path}", hint="give a file of prices") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't be read: {str(error)[:200]}", where=f"--prices {path}") from error
    except ValidationError as error:
        first: Any = error.errors()[0]
        raise InputError(
            f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg'].replace(' or instance of _File', '')}",
            where=f"--prices {path}",
            hint=EXAMPLE,
        ) from error


def read_prices(path: str = "") -> Prices:
    """Read the list prices that come with this version, and the user's own.

    Args:
        path: the user's file; empty for none.

    Returns:
        The prices.

    Raises:
        InputError: the file can't be read or is no file of prices.
    """
    return Prices(_dated(_read(Path(path).expanduser())) if path else {}, dict(_listed()))


@cache
def _listed() -> dict[str, tuple[Price, str]]:
    """Return the list prices: parsed once, since the operator asks at each look."""
    return _dated(_read(PRICES))


def _dated(file: _File) -> dict[str, tuple[Price, str]]:
    return {name: (price, str(price.date or file.date or "no date")) for name, price in file.models.items()}


def price_of(flt: Filter, prices: Prices) -> tuple[Price, str] | None:
    """Return what the filter's oracle costs; a replay costs nothing.

    Args:
        flt: the filter, whose `oracle.price` takes precedence over the list price.
        prices: what models cost; the user's own take precedence over the filter's.

    Returns:
        The price, and its date or where it comes from; None where it is unknown.
    """
    oracle = flt.spec.oracle
    if oracle.provider == "replay":
        return Price(input=0, output=0), "recorded replies"
    if oracle.price and not prices.own(oracle.model):
        return Price.model_validate(oracle.price.model_dump()), "the filter's own"
    return prices.of(oracle.model)


def known_price(flt: Filter, prices: Prices) -> tuple[Price, str]:
    """Return what the filter's oracle costs, or refuse to go on without.

    Args:
        flt: the filter.
        prices: what models cost.

    Returns:
        As `price_of`.

    Raises:
        InputError: the price is unknown.
    """
    if (found := price_of(flt, prices)) is None:
        raise no_price(flt)
    return found


def as_override(flt: Filter, prices: Prices) -> list[str]:
    """Return the user's own price of the filter's model as a setting of a run, which goes wherever the filter goes.

    Args:
        flt: the filter.
        prices: what models cost.

    Returns:
        ["oracle.price={…}"]; empty where the user's file does not have the model.
    """
    if flt.spec.oracle.provider == "replay" or not (own := prices.own(flt.spec.oracle.model)):
        return []
    return [f"oracle.price={own[0].model_dump_json(exclude={'date'}, exclude_none=True)}"]


def no_price(flt: Filter) -> InputError:
    """Return the error that the price of the filter's model is unknown.

    Args:
        flt: the filter.

    Returns:
        The error, to be raised.
    """
    model = flt.spec.oracle.model
    return InputError(
        f"no price is known for {model}",
        where="spec.oracle.model",
        hint="give oracle.price: {input: …, output: …} in US dollars per million tokens, in the filter or with {overrides}, "
        f"or --prices FILE with models: {{{model}: {{input: …, output: …}}}}",
    )
