"""A verdict's rules as the page and the Markdown both show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from components.reporting.words import number, value_of
from filters.spec import Filter


def limit(rule: Mapping[str, Any], flt: Filter) -> tuple[float | None, bool]:
    """(bound, True where the value must be at least it) of a verdict's rule."""
    for key, above in (("below", False), ("atLeast", True)):
        if (found := value_of(rule.get(key))) is not None:
            return found, above
    bound, told = rule.get("bound"), str(rule.get("direction") or rule.get("kind") or "")
    if isinstance(bound, Mapping):
        return limit(bound, flt)
    if isinstance(bound, str):
        told, digits = told or bound, re.search(r"-?\d+(\.\d+)?", bound)
        bound = float(digits.group()) if digits else None
    if told:
        return value_of(bound), bool(re.search(r">|least|above|min", told, re.IGNORECASE))
    for gate in flt.spec.gates:
        if gate.metric == rule.get("metric") and value_of(bound) in (gate.below, gate.atLeast):
            return value_of(bound), gate.atLeast is not None
    return value_of(bound), False


def bound_text(bound: float | None, above: bool, percent: bool) -> str:
    return f"{'at least' if above else 'below'} {number(bound, 3 if percent else 2, percent=percent)}"
