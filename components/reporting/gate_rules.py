"""A verdict's rules as the page and the Markdown both show them."""

from __future__ import annotations

from distillery.components.artifacts.verdict import Rule, RuleVerdict
from distillery.components.reporting.formatting import metric, number

SHOWN: dict[RuleVerdict, str] = {
    "fail": "fails",
    "review": "a person decides",
    "pass": "passes",
    "not applicable": "does not apply",
}
"""The verdicts of a rule in plain words, in the order in which they are shown."""


def demand(rule: Rule) -> str:
    """Return what a rule asks for, such as "below 0.80" or "at least 60.0%".

    Args:
        rule: one rule of a verdict.

    Returns:
        The words, with the bound in the metric's own unit.
    """
    percent, side = metric(rule.metric, rule.argument).percent, "at least" if above(rule) else "below"
    digits = 3 if percent else 2
    asked = f"{side} {number(rule.bound, digits, percent=percent)}"
    return asked if rule.review is None else f"{asked}; reviewed if {side} {number(rule.review, digits, percent=percent)}"


def above(rule: Rule) -> bool:
    """Return True if the value must be at least the bound.

    Args:
        rule: one rule of a verdict.

    Returns:
        True for "at least", False for "below".
    """
    return rule.direction == "atLeast"
