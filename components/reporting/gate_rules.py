"""A verdict's rules as the page and the Markdown both show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from distillery.components.reporting.formatting import number, value_of

State = Literal["pass", "fail", "not applicable"]
SHOWN: dict[State, str] = {"pass": "passes", "fail": "fails", "not applicable": "does not apply"}


def state(rule: Mapping[str, Any]) -> State:
    """What a rule found; anything but an explicit pass or "not applicable" fails."""
    told = rule.get("verdict")
    return "pass" if told == "pass" else "not applicable" if told == "not applicable" else "fail"


def demand(rule: Mapping[str, Any], *, percent: bool) -> str:
    """`below 0.80`, `at least 60.0%`."""
    bound = value_of(rule.get("bound"))
    return f"{'at least' if above(rule) else 'below'} {number(bound, 3 if percent else 2, percent=percent)}"


def above(rule: Mapping[str, Any]) -> bool:
    """True where the value must be at least the bound."""
    return rule.get("direction") == "atLeast"
