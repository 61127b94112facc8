"""The schema of a reply, as services take it."""

from __future__ import annotations

from typing import Any

from distillery.filters.filter import Filter
from distillery.filters.prompt import reply_schema


def wire_schema(flt: Filter) -> dict[str, Any]:
    """Return the JSON Schema of a reply without what some service refuses (maxLength); replies are checked afterwards anyway.

    Args:
        flt: the filter.

    Returns:
        The schema.
    """
    schema = reply_schema(flt)
    properties = {
        name: {key: value for key, value in rule.items() if key != "maxLength"} for name, rule in schema["properties"].items()
    }
    return {**schema, "properties": properties}
