"""How the states of an article's tokens become one vector: their mean, the first or last one, or a mean by trained weights.

Which of them a base model can have is known without torch, so that a step without it refuses before labels are paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from distillery.components.student.architectures import Kind
from distillery.filters.errors import InputError
from distillery.filters.spec import Pooling

if TYPE_CHECKING:
    from torch import Tensor

OWN: Final[Mapping[Kind, Pooling]] = {"encoder": "mean", "decoder": "last"}
ALLOWED: Final[Mapping[Kind, tuple[Pooling, ...]]] = {
    "encoder": ("mean", "cls", "attention"),
    "decoder": ("last", "mean", "attention"),
}
WHY: Final[Mapping[Kind, str]] = {
    "encoder": "an encoder, whose last token is but the end of the text",
    "decoder": "a decoder, whose first token has not seen the article",
}
QUERY: Final = "pooling.query"  # the name of the trained query in a bundle


def pooling_of(stated: Pooling | None, kind: Kind) -> Pooling:
    """Return how a student pools.

    Args:
        stated: what the filter says; None for what its base model's kind does.
        kind: of the base model.

    Returns:
        The pooling.

    Raises:
        InputError: it makes no sense for this kind.
    """
    if stated is None:
        return OWN[kind]
    if stated not in ALLOWED[kind]:
        what, hint = f"{stated} makes no sense: the base model is {WHY[kind]}", f"set it to {', '.join(ALLOWED[kind])} or null"
        raise InputError(what, where="spec.student.pooling", hint=hint)
    return stated


def names_of(kind: Kind, pooling: Pooling) -> Kind:
    """Return whose names the tensors of a bundle have.

    A decoder's last token is what transformers' sequence classifiers take, so such a bundle is one. With another pooling the
    same names would load there and give wrong scores: it is a body with a head beside it, as an encoder's.

    Args:
        kind: of the base model.
        pooling: of the student.

    Returns:
        "decoder" for a sequence classifier, else "encoder".
    """
    return "decoder" if kind == "decoder" and pooling == "last" else "encoder"


def attended(states: Tensor, query: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean of token states, each weighted by the softmax of its product with a query.

    Args:
        states: (b, longest, hidden) of the tokens, fp32.
        query: (hidden,); zeros make it the plain mean.
        mask: (b, longest), True where there is a token; None where there is one everywhere.

    Returns:
        (b, hidden).
    """
    weights = states @ query
    if mask is not None:
        weights = weights.masked_fill(~mask, float("-inf"))
    return (weights.softmax(-1).unsqueeze(1) @ states).squeeze(1)
