"""Prices: what a call costs, by list prices from one dated file, or from the user's own.

An unknown price is not zero: a budget and a quote refuse without one, and a run says that it counts no money.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distillery.components.labeling.oracles.base import Usage
from distillery.filters.document import read_document
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

PRICES: Final = Path(__file__).with_name("prices.yaml")
MILLION: Final = 1_000_000
VERSION: Final = re.compile(r"[-@](?:\d{4}-\d\d-\d\d|\d{3,}|latest|preview[\w-]*)")


class Price(BaseModel):
    """What a model costs.

    Attributes:
        input: US dollars for a million input tokens.
        cached: US dollars for a million cached input tokens; None where the model has no cache.
        output: US dollars for a million output tokens.
        batch: what batch jobs cost of the price above, 0 to 1; None where there are none.
        cacheFrom: tokens of the shortest prefix that can be cached.
        date: when the price was looked up, where that is not the file's date.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    input: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    batch: float | None = Field(default=None, gt=0, le=1)
    cacheFrom: int | None = Field(default=None, ge=0)
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
    """Prices by model, each with the date when it was looked up."""

    models: dict[str, tuple[Price, str]]

    def of(self, model: str) -> tuple[Price, str] | None:
        """Find the price of a model, or of the model that this is a dated version of.

        Args:
            model: its name.

        Returns:
            The price and its date; None where there is none.
        """
        name = model.rsplit("/", 1)[-1]
        for one in (model, name, VERSION.sub("", name)):
            if one in self.models:
                return self.models[one]
        return None


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(
            read_document(path.read_text(encoding="utf-8-sig"), f"--prices {path}", ours_alone=True).value
        )
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=f"--prices {path}", hint="give a file of prices") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't be read: {str(error)[:200]}", where=f"--prices {path}") from error
    except ValidationError as error:
        first: Any = error.errors()[0]
        raise InputError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=f"--prices {path}",
            hint="write models: {NAME: {input: 0.3, cached: 0.03, output: 2.5, batch: 0.5}}, in dollars per million tokens",
        ) from error


def read_prices(path: str = "") -> Prices:
    """Read the prices that come with this version, and those of a file, which take precedence.

    Args:
        path: the user's file; empty for none.

    Returns:
        The prices.

    Raises:
        InputError: the file can't be read or is no file of prices.
    """
    models = {}
    for file in [_read(PRICES), *([_read(Path(path).expanduser())] if path else [])]:
        models.update({name: (price, str(price.date or file.date or "no date")) for name, price in file.models.items()})
    return Prices(models)


def price_of(flt: Filter, prices: Prices) -> tuple[Price, str] | None:
    """Return what the filter's oracle costs; a replay costs nothing.

    Args:
        flt: the filter.
        prices: what models cost.

    Returns:
        The price and its date; None where it is unknown.
    """
    if flt.spec.oracle.provider == "replay":
        return Price(input=0, output=0), "recorded replies"
    return prices.of(flt.spec.oracle.model)


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
        hint=f"add --prices FILE with models: {{{model}: {{input: …, output: …}}}}, per million tokens",
    )
