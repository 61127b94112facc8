"""What a chat message says: its text, wherever an endpoint put it.

Endpoints of one protocol differ: content is a text or a list of parts, the answer may be the arguments of a tool call, and a
server that takes everything for thinking leaves it in `reasoning_content`. Thinking is never taken for an answer: parts of it
are left out, and `reasoning_content` counts only where it is one JSON object and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from distillery.components.labeling.thinking import answer, is_object
from distillery.filters.strict_json import loads

TEXT_PARTS: Final = frozenset({"", "text", "output_text", "input_text", "json", "output_json", "json_object", "message"})
CALL_PARTS: Final = frozenset({"tool_use", "tool_call", "function_call", "function"})
THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking")


def message_text(message: Mapping[str, Any], *, complete: bool) -> str:
    """Return the text of a message, with the arguments of its tool calls.

    Args:
        message: the message of a reply, from outside.
        complete: whether the model ended by itself; only then an answer is looked for where thinking belongs.

    Returns:
        The text; empty where the message says nothing.
    """
    calls = message.get("tool_calls")
    texts = [_content(message.get("content")), *map(_arguments, calls if isinstance(calls, list) else [])]
    texts.append(_arguments(message.get("function_call")))
    if text := "\n".join(text for text in texts if text) or _plain(message.get("parsed")):
        return text
    for key in THOUGHTS if complete else ():
        thought = message.get(key)
        try:
            said = answer(thought, loads) if isinstance(thought, str) else ""
        except ValueError:
            continue
        if is_object(said):
            return said
    return ""


def refusal_text(message: Mapping[str, Any]) -> str:
    """Return why a message refuses to answer.

    Args:
        message: the message of a reply, from outside.

    Returns:
        The refusal; empty where there is none.
    """
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    for refusal in (message.get("refusal"), *(part.get("refusal") for part in parts)):
        if isinstance(refusal, str) and refusal:
            return refusal
    return ""


def _content(content: object) -> str:
    """Return the text of a message's content: a text, a part, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(_content, content))
    if not isinstance(content, dict):
        return ""
    kind = str(content.get("type") or "").lower()
    if kind in CALL_PARTS:
        return _arguments(content)
    if kind not in TEXT_PARTS:
        return "" if "type" in content and isinstance(content["type"], str) else _plain(content)
    for key in ("text", "json", "content"):
        if key in content:
            value = content[key]
            if isinstance(value, list):
                return _content(value)
            return _plain(value["value"] if isinstance(value, dict) and isinstance(value.get("value"), str) else value)
    return _plain(content)


def _arguments(call: object) -> str:
    """Return the arguments of a tool call as JSON; one that has none says nothing."""
    if not isinstance(call, dict):
        return ""
    function = call.get("function")
    holder = function if isinstance(function, dict) else call
    return next((_plain(holder[key]) for key in ("arguments", "args", "input", "parameters") if holder.get(key)), "")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if value else ""
