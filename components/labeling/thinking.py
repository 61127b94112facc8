"""What a model thinks before it answers, told from the answer by the marks of its family.

Thinking ends at its last closing mark, whether or not it has an opening one; a draft in it is no answer. An opening mark that
nothing closes means that the answer never came. A mark inside the JSON of the answer is a word of it, so a reply that is one
whole object is left as it is. The trade-off: an answer in broken JSON that quotes such a mark is refused, which costs a call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from distillery.filters.strict_json import loads

# A model's own name for it may have a word before or behind: <inner_monologue>, <thinking-process>, <reasoning_content>.
NAMES: Final = (
    r"(?:[a-z]{1,12}[:_-]|ant)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|analy[sz]e|scratch[_-]?pad"
    r"|monologue|chain[_-]of[_-]thought|cot|rationale|deliberation|plan(?:ning)?|draft|réflexion"
    r"|raisonnement|razonamiento|pensamiento|raciocínio|ragionamento|gedanken(?:gang)?|überlegung(?:en)?|思考(?:过程)?|推理(?:过程)?)"
    r"(?:[_-][a-z]{1,12})?"
)
WITHIN: Final = "fence within a fence"
# Nothing repeats without a bound, so a search takes time that grows with the text alone.
MARK: Final = re.compile(
    rf"""(?i:
      (?:<|＜|&lt;|◁)\s?(?P<end>/)?\s?(?P<tag>{NAMES})(?:\s[^<>]{{0,200}})?(?:>|＞|&gt;|▷)
    | \[(?P<bracket_end>/)?(?P<bracket>{NAMES})\]
    | <\|(?:(?P<pipe_end>/|end_of_|end_)|(?:start|begin)_(?:of_)?)?(?P<pipe>{NAMES})(?P<pipe_last>_end)?(?:_start)?\|>
    )
    | (?P<final><\|channel\|>\s?final\b[^<|]{{0,40}}(?:<\|constrain\|>[^<|]{{0,40}})?<\|message\|>|<channel\|>|assistantfinal)
    | (?P<channel><\|channel\|?>\s?\w|assistant(?:analysis|commentary)|\Aanalysis(?=[A-Z{{"\n]))
    | (?P<fence>```)(?:(?P<thinking_fence>\s?(?i:{NAMES})\b)|(?P<other_fence>[A-Za-z]))?
    | (?P<unused><unused94>)|(?P<unused_end><unused95>)
    | (?P<prose>[Hh]ere(?:'s|’s|\ is|\ are)\ my\ (?:thought\ process|reasoning\ steps):|\AThinking\.\.\.)
    | (?P<prose_end>[Hh]ere(?:'s|’s|\ is)\ my\ response:|\[BEGIN\ FINAL\ RESPONSE\]|\.\.\.done\ thinking\.)
    """,
    re.VERBOSE,
)


def answer(text: str, decode: Callable[[str], object]) -> str:
    """Return what follows a reply's thinking.

    Args:
        text: the whole reply.
        decode: parses a whole text as JSON; ValueError where it is none.

    Returns:
        The text behind the last closing mark; all of it where there is none.

    Raises:
        ValueError: thinking begins and does not end, or nothing follows it.
    """
    text = text.lstrip()  # white space at its end may be what shows that a number is complete
    open_kinds: list[str] = []
    end, first, whole = 0, 0, None
    for mark in MARK.finditer(text):
        kind, closes = _kind(mark, open_kinds)
        if not kind:
            continue
        if whole is None and (whole := is_object(text, decode)):
            return text
        if not closes:
            open_kinds.append(kind)
            continue
        if kind == WITHIN:
            open_kinds.remove(kind)
            continue
        if kind in open_kinds:
            del open_kinds[open_kinds.index(kind) :]
        first, end = first or mark.end(), mark.end()
    if first < end and is_object(text[first:], decode):
        return text[first:]  # the later marks are words of the answer
    if open_kinds:
        raise ValueError("the reply was cut in its thinking, or does not say where that ends")
    if end and not text[end:].strip():
        raise ValueError("no answer follows the reply's thinking")
    return text[end:]


def _kind(mark: re.Match[str], open_kinds: list[str]) -> tuple[str, bool]:
    """Return the kind of a mark, "" for none, and whether it closes; closing is by kind: a <think> by a </think>."""
    for name, end in (("tag", "end"), ("bracket", "bracket_end"), ("pipe", "pipe_end")):
        if mark[name]:
            return f"{name} {mark[name].lower()}", bool(mark[end] or (name == "pipe" and mark["pipe_last"]))
    if mark["final"] or mark["channel"]:
        return "channel", bool(mark["final"])
    if mark["fence"]:
        if mark["thinking_fence"] or "fence" not in open_kinds:
            return "fence" if mark["thinking_fence"] else "", False
        if mark["other_fence"]:  # what has a word behind it ends no fence
            return WITHIN, False
        return WITHIN if WITHIN in open_kinds else "fence", True
    if mark["unused"] or mark["unused_end"]:
        return "unused", bool(mark["unused_end"])
    return "prose", bool(mark["prose_end"])


def is_object(text: str, decode: Callable[[str], object] = loads) -> bool:
    """Tell whether a text is one JSON object and nothing else but a fence around it.

    Args:
        text: the text.
        decode: parses a whole text as JSON; ValueError where it is none.

    Returns:
        True if it is.
    """
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json").strip()
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        return isinstance(decode(text), dict)
    except (ValueError, RecursionError):
        return False
