"""Refuses in seconds what would fail minutes later, and publishes the resolved filter under its digest."""

from __future__ import annotations

from collections.abc import Sequence

from components.ledger import StepRecord
from components.sources import given, local_file
from components.step import publish_filter
from components.store import Store, digest_json
from filters.errors import InputError
from filters.loading import load_filter, load_filter_text
from filters.spec import Filter


def resolve(ref: str, *, profile: str, overrides: Sequence[str]) -> Filter:
    """The filter of a name, a path or YAML text, with the profile and the overrides applied."""
    if "\n" in ref:
        if profile or overrides:
            raise InputError("profile and overrides need a filter's name or path", where="parameter filter")
        return load_filter_text(ref, where="parameter filter")
    return load_filter(ref, overrides=overrides, profile=profile or None)


def preflight(
    store: Store,
    *,
    ref: str,
    articles: str,
    labels: str,
    profile: str,
    overrides: Sequence[str],
) -> StepRecord:
    """Checks the filter and the inputs; outputs {"name", "filter_key", "articles", "labels"}.

    Raises InputError, naming the parameter, for whatever is wrong.
    """
    flt = resolve(ref, profile=profile, overrides=overrides)
    data = flt.spec.data
    articles, labels = given(articles, labels, filter_articles=data.articles, filter_labels=data.labels)
    with local_file(articles or labels, parameter="--articles" if articles else "--labels"):
        pass
    if articles and flt.spec.oracle.provider == "replay":
        if flt.spec.oracle.replies is None:
            mend = "add --set oracle.replies=FILE with recorded replies, name another oracle.provider, or give --labels"
            raise InputError("the replay oracle has no recorded replies", where="spec.oracle.replies", mend=mend)
        with local_file(flt.spec.oracle.replies, parameter="spec.oracle.replies"):
            pass
    key = publish_filter(store, flt)
    outputs = {"name": flt.name, "filter_key": key, "articles": articles, "labels": labels}
    return StepRecord("preflight", {"filter": key}, digest_json(outputs), outputs, [key])
