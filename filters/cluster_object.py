"""Documents from the objects that a cluster keeps: the same checks and the same sentences as for a file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from distillery.filters.document import Document
from distillery.filters.filter import Filter
from distillery.filters.loading import resolve_document
from distillery.filters.scoring import Scoring, scoring_of


def load_filter_object(value: Mapping[str, Any], where: str, *, profile: str | None = None) -> Filter:
    """Load a filter from an object of a cluster.

    Args:
        value: the object; of its metadata only name and namespace count, and its status does not.
        where: how the object is called, for errors.
        profile: a named set of overrides; None for none.

    Returns:
        The filter.

    Raises:
        InputError: the object or the profile is not valid, in the words of `load_filter`, with the path in place of a line.
    """
    return resolve_document(_document(value, where), profile=profile)


def load_scoring_object(value: Mapping[str, Any], where: str) -> Scoring:
    """Load a Scoring from an object of a cluster.

    Args:
        value: the object; of its metadata only name and namespace count, and its status does not.
        where: how the object is called, for errors.

    Returns:
        The Scoring.

    Raises:
        InputError: it is not valid, with the path in place of a line.
    """
    return scoring_of(_document(value, where))


def _document(value: Mapping[str, Any], where: str) -> Document:
    given = value.get("metadata")
    metadata = {key: given[key] for key in ("name", "namespace") if key in given} if isinstance(given, Mapping) else given
    kept = {key: copy.deepcopy(inner) for key, inner in value.items() if key not in ("metadata", "status")}
    return Document({**kept, "metadata": metadata}, {(): where})
