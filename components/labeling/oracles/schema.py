"""The reply's schema as services take it."""

from __future__ import annotations

from typing import Any

from distillery.filters.filter import Filter
from distillery.filters.prompt import reply_schema


def wire_schema(flt: Filter) -> dict[str, Any]:
    """JSON Schema of the reply without what some service refuses (maxLength); what it says is checked afterwards anyway."""
    schema = reply_schema(flt)
    properties = {
        name: {key: value for key, value in rule.items() if key != "maxLength"} for name, rule in schema["properties"].items()
    }
    return {**schema, "properties": properties}
