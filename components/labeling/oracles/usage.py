"""What a service says that it billed, under any of the names in use.

Unknown is not nothing. A statement that is absent, incomplete or can't be true is None, and the call then counts at its worst
case. Where the parts and the total differ, the dearer reading counts: some services leave thinking out of the output, but never
out of the total; and what is stated as a part and is larger than its whole (tokens from a cache, of thinking) stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from distillery.components.labeling.oracles.base import NOTHING, Usage
from distillery.filters.strict_json import loads

MOST_TOKENS: Final = 10_000_000  # of one call; no model reads or writes as many
HOLDERS: Final = ("usage", "usageMetadata", "usage_metadata", "token_usage")
DETAILS: Final = (
    *("prompttokensdetails", "inputtokensdetails", "inputtokendetails"),
    *("completiontokensdetails", "outputtokensdetails"),
)
# Names in small letters and without underscores, of OpenAI, vLLM, DeepSeek, Anthropic, Bedrock, Gemini and Ollama.
PROMPT: Final = ("prompttokens", "prompttokencount", "promptevalcount")
INPUT: Final = ("inputtokens", "inputtokencount")  # without what was read from or written to a cache, where that is stated
OUTPUT: Final = ("completiontokens", "outputtokens", "outputtokencount", "generatedtokens", "evalcount")
CANDIDATES: Final = ("candidatestokencount",)  # without the thinking
THOUGHTS: Final = ("thoughtstokencount",)
TOTAL: Final = ("totaltokens", "totaltokencount")
CACHED: Final = ("cachedtokens", "cacheread", "promptcachehittokens", "cachedcontenttokencount")
REASONING: Final = ("reasoningtokens",)
CACHE_READ: Final = ("cachereadinputtokens",)
CACHE_WRITE: Final = ("cachecreationinputtokens", "cachewriteinputtokens")


def read_usage(reply: object, *, wrote: bool = False) -> Usage | None:
    """Read the tokens that a reply states.

    Args:
        reply: the service's answer, parsed as JSON.
        wrote: whether the answer holds a text, which can't have cost nothing.

    Returns:
        The usage; None where the reply does not state it, or states what can't be true.
    """
    stated = _stated(reply)
    try:
        prompt, total = _most(stated, PROMPT), _most(stated, TOTAL)
        read, written = _most(stated, CACHE_READ), _most(stated, CACHE_WRITE)
        if not prompt and (fresh := _most(stated, INPUT)) is not None:
            prompt = fresh + (read or 0) + (written or 0)
        output = _most(stated, OUTPUT)
        answer, thoughts = _most(stated, CANDIDATES), _most(stated, THOUGHTS)
        if answer is not None or thoughts is not None:
            output = max(output or 0, (answer or 0) + (thoughts or 0))
    except ValueError:
        return None
    if total is not None and prompt is None and output is not None:
        prompt = max(0, total - output)
    if total is not None and prompt is not None:
        output = max(output or 0, total - prompt)
    if not prompt or output is None or (wrote and not output):
        return None
    cached, thought = _part(stated, CACHED) or read or 0, _part(stated, REASONING)
    return Usage(prompt + cached * (cached > prompt), cached, output + thought * (thought > output))


def read_bill(body: str | bytes | object) -> tuple[Usage, bool]:
    """Read what a failed call was billed.

    Args:
        body: the answer's body, as text or parsed.

    Returns:
        The usage, and whether it is unknown.
    """
    if isinstance(body, str | bytes):
        try:
            body = loads(body)
        except (ValueError, RecursionError):
            return NOTHING, True
    usage = read_usage(body)
    return usage or NOTHING, usage is None


def most_tokens(prompt_bytes: int, extra_bytes: int, output: int) -> Usage:
    """Return the most that a call can be billed for: no tokenizer makes more tokens than bytes.

    Args:
        prompt_bytes: bytes of the prompt.
        extra_bytes: bytes that the service adds to it.
        output: tokens of the longest reply.

    Returns:
        The usage in the worst case.
    """
    return Usage(prompt_bytes + extra_bytes, 0, output)


def _stated(reply: object) -> dict[str, Any]:
    """Return what a reply states by plain names, details of the prompt among them."""
    if not isinstance(reply, Mapping):
        return {}
    holders = [reply[name] for name in HOLDERS if isinstance(reply.get(name), Mapping)]
    stated = {str(name).lower().replace("_", ""): value for name, value in (holders[0] if holders else reply).items()}
    for name in DETAILS:
        details = stated.get(name)
        if isinstance(details, Mapping):
            stated |= {
                plain: value
                for plain, value in ((str(key).lower().replace("_", ""), value) for key, value in details.items())
                if "cache" in plain or plain in REASONING
            }
    return stated


def _most(stated: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the largest number stated under one of the names; None where there is none."""
    numbers = [_tokens(stated[name]) for name in names if stated.get(name) is not None]
    return max(numbers) if numbers else None


def _part(stated: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Return the largest number stated under one of the names of a part; 0 where there is none, or none that can be read."""
    try:
        return _most(stated, names) or 0
    except ValueError:
        return 0


def _tokens(value: object) -> int:
    """Return a number of tokens; raise ValueError where it is none, or more than a call can have."""
    if isinstance(value, str) and len(value) <= 20:
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS or value != int(value):
        raise ValueError("no number of tokens")
    return int(value)
