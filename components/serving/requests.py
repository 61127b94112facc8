"""The plain form of a request and of its answer: `POST /score {"filter": …, "articles": […]}`."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from distillery.components.articles.articles import Article, as_article
from distillery.components.serving.models import Model
from distillery.filters.errors import InputError
from distillery.filters.strict_json import loads

ARTICLES = 1000  # of one request
KEYS = ("filter", "articles")


class Asked(NamedTuple):
    """What a request asks for.

    Attributes:
        filter: the name of the filter; "" for the one that is served.
        articles: one or more.
    """

    filter: str
    articles: list[Article]


def read_json(body: bytes) -> dict[str, Any]:
    """Parse the body of a request.

    Args:
        body: from outside.

    Returns:
        A JSON object.

    Raises:
        InputError: it is none.
    """
    try:
        value = loads(body, constants=False)
    except RecursionError:
        raise InputError("is nested too deep", where="body") from None
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InputError(f"is not JSON: {reason}"[:200], where="body", hint="send a JSON object") from None
    if not isinstance(value, dict):
        raise InputError("is not a JSON object", where="body", hint='send {"articles": […]}')
    return value


def read_score(body: bytes) -> Asked:
    """Read a request in the plain form.

    Args:
        body: from outside.

    Returns:
        What it asks for.

    Raises:
        InputError: it can't be read; nothing of it is scored.
    """
    value = read_json(body)
    if unknown := sorted(value.keys() - set(KEYS)):
        raise InputError(f"{unknown[0][:80]!r} is unknown", where="body", hint=f"it has {' and '.join(KEYS)}")
    name, rows = value.get("filter") or "", value.get("articles")
    if not isinstance(name, str):
        raise InputError("is not a name", where="filter", hint="give one filter's name")
    if not isinstance(rows, list) or not rows:
        raise InputError("is not a list of articles", where="articles", hint='give [{"title": …, "content": …}]')
    return Asked(name, read_articles(rows, "articles"))


def read_articles(rows: list[Any], where: str) -> list[Article]:
    """Read the articles of a request.

    Args:
        rows: from outside: texts, or objects as rows of a corpus are.
        where: what they are called.

    Returns:
        The articles, in order.

    Raises:
        InputError: one is no article, or there are too many.
    """
    if len(rows) > ARTICLES:
        raise InputError(f"{len(rows):,} articles, more than {ARTICLES:,}", where=where, hint="send several requests")
    articles = list[Article]()
    for number, row in enumerate(rows):
        try:
            row = {"content": row} if isinstance(row, str) else row
            if not isinstance(row, dict):
                raise ValueError("is neither a text nor an object")
            articles.append(as_article(row))
        except ValueError as error:
            raise InputError(str(error), where=f"{where}[{number}]", hint="nothing of this request was scored") from None
    return articles


def score_answer(model: Model, answers: list[dict[str, Any]]) -> bytes:
    """Return the answer to a request in the plain form.

    Args:
        model: what scored it.
        answers: of `Model.judge`.

    Returns:
        JSON.
    """
    return as_json({"filter": model.filter.name, "adapter": model.adapter, "scores": answers})


def as_json(value: Any) -> bytes:
    """Return a value as JSON; numbers that JSON can't say are a fault of this program.

    Args:
        value: what is sent.

    Returns:
        JSON in UTF-8.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
