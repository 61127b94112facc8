"""Rules such as `overall >= 6 and not (evidence < 4)`: a small grammar of our own, evaluated over whole columns.

    rule       := conjunction ("or" conjunction)*
    conjunction:= negation ("and" negation)*
    negation   := "not" negation | "(" rule ")" | comparison
    comparison := operand (("<" | "<=" | ">" | ">=" | "==" | "!=") operand)+        5 <= x <= 6 means both
    operand    := name | number

There is nothing else: no calls, no arithmetic, no strings, so a rule can neither run code nor read files, whoever wrote
it.
Length, tokens and nesting are capped, and the parser never looks back, so a hostile rule costs microseconds.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = Mapping[str, NDArray[np.float64]]
    Mask = NDArray[np.bool_]

MAX_CHARACTERS, MAX_TOKENS, MAX_DEPTH = 1_000, 200, 20
KEYWORDS = frozenset({"and", "or", "not"})
ALLOWED = "only names, numbers, comparisons, and/or/not and parentheses are allowed"

_NUMBER, _NAME, _OP = (
    r"(?P<number>\d{1,9}(?:\.\d{0,15})?|\.\d{1,15})(?![\w.])",
    r"(?P<name>[A-Za-z_]\w*)",
    r"(?P<op>[<>=!]=|[<>()])",
)
_TOKEN = re.compile(rf"\s*(?:{_NUMBER}|{_NAME}|{_OP})", re.ASCII)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class _Token(NamedTuple):
    kind: str  # number, name, op, end
    text: str
    column: int


Operand = str | float


@dataclass(frozen=True)
class Comparison:
    """Two operands and what is said between them."""

    left: Operand
    op: str
    right: Operand


@dataclass(frozen=True)
class Junction:
    """Parts joined by "and" or "or", or a single part that is negated."""

    op: str
    parts: tuple[Node, ...]


Node = Comparison | Junction


@dataclass(frozen=True)
class Expression:
    """Hold a parsed rule.

    Attributes:
        text: the rule as it was written.
        root: its tree.
        names: every name it mentions.
        thresholds: every (name, number) pair it compares.
    """

    text: str
    root: Node
    names: frozenset[str]
    thresholds: frozenset[tuple[str, float]]

    def holds(self, values: Values) -> Mask:
        """Evaluate the rule over whole columns.

        Args:
            values: a float array (n,) for each name.

        Returns:
            (n,) bool.

        Raises:
            KeyError: a name of the rule has no values.
        """
        return _evaluate(self.root, values)


def parse(text: str, names: Collection[str], *, where: str = "") -> Expression:
    """Parse a rule.

    Args:
        text: the rule.
        names: what it may mention.
        where: place of the rule, for the error.

    Returns:
        The rule.

    Raises:
        InputError: the text is no rule; the error tells the column and what was expected.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"a rule of {len(text)} characters; at most {MAX_CHARACTERS} are allowed",
            where=where,
            hint="split it over several tiers or gatekeepers",
        )
    return _Parser(_tokens(text, where), frozenset(names), text, where).parse()


def _tokens(text: str, where: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None or len(tokens) >= MAX_TOKENS:
            column = position + len(text[position:]) - len(text[position:].lstrip()) + 1
            fault = f"unexpected {_shown(text[column - 1 :])}" if len(tokens) < MAX_TOKENS else f"more than {MAX_TOKENS} words"
            raise _fault(text, column, fault, where)
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1))
        position = match.end()
    return [*tokens, _Token("end", "", len(text) + 1)]


def _shown(rest: str) -> str:
    word = re.match(r"[\w.]+|\S", rest)
    return f'"{word[0][:20]}"' if word else "the end"


def _fault(text: str, column: int, fault: str, where: str, hint: str = ALLOWED) -> InputError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return InputError(f'rule "{shown}", column {column}: {fault}', where=where, hint=hint)


class _Parser:
    def __init__(self, tokens: list[_Token], known: frozenset[str], text: str, where: str) -> None:
        self.tokens, self.known, self.text, self.where = tokens, known, text, where
        self.position = self.depth = 0
        self.names: set[str] = set()
        self.thresholds: set[tuple[str, float]] = set()

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def parse(self) -> Expression:
        root = self.rule()
        if self.token.kind != "end":
            raise self.expected("and, or, or the end of the rule")
        return Expression(self.text, root, frozenset(self.names), frozenset(self.thresholds))

    def expected(self, what: str) -> InputError:
        found = f'"{self.token.text}"' if self.token.kind != "end" else "the end of the rule"
        return _fault(self.text, self.token.column, f"expected {what}, found {found}", self.where)

    def take(self, *texts: str) -> bool:
        if self.token.kind in ("op", "name") and self.token.text in texts:
            self.position += 1
            return True
        return False

    def nested(self, inner: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _fault(self.text, self.token.column, f"nested deeper than {MAX_DEPTH} levels", self.where)
        node = inner()
        self.depth -= 1
        return node

    def rule(self) -> Node:
        return self.joined("or", lambda: self.joined("and", self.negation))

    def joined(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self.take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))

    def negation(self) -> Node:
        if self.take("not"):
            return Junction("not", (self.nested(self.negation),))
        if self.take("("):
            inner = self.nested(self.rule)
            if not self.take(")"):
                raise self.expected('")"')
            return inner
        return self.comparison()

    def comparison(self) -> Node:
        left, parts = self.operand(), list[Node]()
        while self.token.kind == "op" and self.token.text in _COMPARE:
            op, column = self.token.text, self.token.column
            self.position += 1
            right = self.operand()
            for name, number in ((left, right), (right, left)):
                if isinstance(name, str) and isinstance(number, float):
                    self.thresholds.add((name, number))
            if isinstance(left, float) and isinstance(right, float):
                raise _fault(self.text, column, "this compares two numbers", self.where, "one side must be a name")
            parts.append(Comparison(left, op, right))
            left = right
        if not parts:
            raise self.expected("a comparison (<, <=, >, >=, ==, !=)")
        return parts[0] if len(parts) == 1 else Junction("and", tuple(parts))

    def operand(self) -> Operand:
        token = self.token
        if token.kind not in ("name", "number") or token.text in KEYWORDS:
            raise self.expected("a name or a number")
        self.position += 1
        if token.kind == "number":
            return float(token.text)
        if self.token.text == "(":
            raise _fault(self.text, self.token.column, f'"{token.text}(" looks like a call', self.where)
        if token.text not in self.known:
            raise _fault(self.text, token.column, f'"{token.text}" is not defined', self.where, nearest(token.text, self.known))
        self.names.add(token.text)
        return token.text


def nearest(word: str, known: Collection[str]) -> str:
    """Return a hint for a word that isn't known.

    Args:
        word: what was written.
        known: what could have been.

    Returns:
        "did you mean …?" if something known is close, else the list of what is known.
    """
    import difflib

    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f'did you mean "{close[0]}"?' if close else f"known: {', '.join(sorted(known))}"


def _evaluate(node: Node, values: Values) -> Mask:
    if isinstance(node, Comparison):
        sides = (values[side] if isinstance(side, str) else side for side in (node.left, node.right))
        mask: Mask = _COMPARE[node.op](*sides)
        return mask
    masks = [_evaluate(part, values) for part in node.parts]
    if node.op == "not":
        return ~masks[0]
    result = masks[0]
    for mask in masks[1:]:
        result = result & mask if node.op == "and" else result | mask
    return result
