"""The adapters that are served: what each name means, how one is loaded, and which one serves at this moment.

An adapter serves with the filter that it was promoted for, so that weights, tiers and caps are those that the verdict judged.
It is checked on its golden texts before it serves; one that fails them is never seen by a request.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from distillery.components.artifacts.adapter import find_adapter, is_digest
from distillery.components.artifacts.channel import read_channel
from distillery.components.artifacts.filter import read_filter
from distillery.components.runtime.caps import tell_caps
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.rows import CONTENT_TYPE, Predictor, judged
from distillery.components.store import Store
from distillery.components.student.content_types import names_types
from distillery.components.student.token_cache import Sharing, TokenCache
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter

if TYPE_CHECKING:
    from distillery.components.articles.articles import Article

ESTIMATED_CHARS = 4  # characters of a token, to know before tokenising how much work an article is
SPECIAL = 2  # tokens that every article has besides


class Target(NamedTuple):
    """What is served under a name.

    Attributes:
        name: the filter's name, by which requests ask for it.
        channel: the channel that is followed; "" for an adapter that is named by its digest and stays.
        adapter: digest of that adapter; "" where a channel is followed.
    """

    name: str
    channel: str = ""
    adapter: str = ""


class Pointed(NamedTuple):
    """What a target means now: an adapter, and the key of the filter that it was promoted for ("" for its own)."""

    adapter: str
    filter_key: str = ""


@dataclass(frozen=True)
class Model:
    """An adapter in memory.

    Attributes:
        filter: judges its scores.
        pointed: what it was loaded for.
        student: predicts.
        plan: device, precision and engine, in words.
        budget: tokens of a pass.
        max_length: tokens that it reads of an article.
        cache: tokenises for it, and for others.
    """

    filter: Filter
    pointed: Pointed
    student: Predictor
    plan: str
    budget: int
    max_length: int
    cache: TokenCache

    @property
    def adapter(self) -> str:
        """Return the adapter's digest."""
        return self.pointed.adapter

    def weight(self, article: Article) -> int:
        """Return about how many tokens an article is, without tokenising it.

        Args:
            article: the article.

        Returns:
            Tokens, at most those that the student reads.
        """
        return min(self.max_length, SPECIAL + (len(article.title) + len(article.content)) // ESTIMATED_CHARS)

    def judge(self, articles: Sequence[Article]) -> list[dict[str, Any]]:
        """Score articles as `distillery score` does.

        Args:
            articles: the articles.

        Returns:
            For each, in order, what an answer says of it: `id`, `prefiltered`, `overall`, `tier`, `reason` and `scores`;
            `content_type`, too, where the student names types.

        Raises:
            InputError: a score is not a finite number.
        """
        rows = judged(self.filter, self.student, articles).to_pylist()
        typed = (CONTENT_TYPE,) if names_types(self.student) else ()
        names = self.filter.dimensions
        return [
            {
                **{key: row[key] for key in ("id", "prefiltered", "overall", "tier", "reason", *typed)},
                "scores": None if row["overall"] is None else {name: row[f"score.{name}"] for name in names},
            }
            for row in rows
        ]


def targets(store: Store, refs: Sequence[str], channel: str = "") -> list[Target]:
    """Return what is to be served.

    Args:
        store: where adapters are.
        refs: each a filter's name, the path of a filter.yaml, or an adapter's digest.
        channel: the channel of filters that are known by name alone, which need not be here; empty for the filters that are
            here, and the channels that they name.

    Returns:
        One target for each.

    Raises:
        InputError: there is no such filter or adapter, or two are served under one name.
    """
    found = dict[str, Target]()
    for ref in refs:
        target = _target(store, ref, channel)
        if target.name in found:
            what, hint = f"two adapters of {target.name} are asked for", "start a server for each"
            raise InputError(what, where=ref, hint=hint)
        found[target.name] = target
    return list(found.values())


def _target(store: Store, ref: str, channel: str) -> Target:
    if is_digest(ref):
        subject = find_adapter(store, ref)
        return Target(subject.filter.name, adapter=subject.adapter)
    if channel:
        return Target(ref, channel)
    flt = load_filter(ref)
    return Target(flt.name, flt.spec.promotion.channel)


def pointed(store: Store, target: Target) -> Pointed:
    """Return what a target means now.

    Args:
        store: where the channel is.
        target: the target.

    Returns:
        Adapter and key of the filter.

    Raises:
        InputError: nothing is promoted on the channel.
        StoreError: the channel can't be read.
    """
    if target.adapter:
        return Pointed(target.adapter)
    pointer = read_channel(store, target.name, target.channel, lenient=True).channel.pointer
    if pointer is None:
        what = f"nothing is promoted on channel {target.channel} of {target.name[:80]} in this store ({store.uri})"
        raise InputError(what, hint="promote an adapter first, or give one's digest")
    return Pointed(pointer.adapter, pointer.filter)


def load(
    store: Store,
    target: Target,
    wanted: Pointed,
    progress: Progress = quiet,
    *,
    beside: Model | None = None,
    cache: TokenCache | None = None,
) -> Model:
    """Load an adapter, every byte verified, and check that it reproduces its golden predictions.

    Args:
        store: where it is.
        target: what it is to serve.
        wanted: adapter and filter.
        progress: told how it is served.
        beside: what serves now; its student is kept where only the filter differs, its cache in any case.
        cache: tokenises, also for others; None for one of its own, or that of `beside`.

    Returns:
        The model, ready to serve.

    Raises:
        InputError: bundle, base model or filter are missing or altered, or the student doesn't reproduce its golden
            predictions.
        StoreError: the store can't be read.
    """
    flt = read_filter(store, wanted.filter_key) if wanted.filter_key else find_adapter(store, wanted.adapter).filter
    if beside is not None and beside.adapter == wanted.adapter and beside.filter.spec.student == flt.spec.student:
        return replace(beside, filter=flt, pointed=wanted)
    from distillery.components.student.bundle import check_golden, open_bundle
    from distillery.components.student.devices import serving_plan

    tell_caps(store, flt, wanted.adapter, progress)
    plan = serving_plan(store, target.name, wanted.adapter, flt.spec.student, progress)
    student = open_bundle(store, target.name, wanted.adapter, flt=flt, plan=plan)
    check_golden(student)
    cache = cache or (beside.cache if beside else TokenCache())
    shared = Sharing(student, cache, tight=True)
    return Model(flt, wanted, shared, str(plan), student.forward.budget, student.facts.maxLength, cache)


class Shelf:
    """The models that serve, by name. A swap is one assignment: a request has the old one or the new one, whole.

    Args:
        models: those that serve first, by name.
    """

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models, self._lock = dict(models), threading.Lock()

    def names(self) -> list[str]:
        """Return the names that are served.

        Returns:
            Names, in the order in which they were asked for.
        """
        return list(self._models)

    def get(self, name: str) -> Model | None:
        """Return the model that serves under a name now.

        Args:
            name: the filter's.

        Returns:
            The model; None where nothing is served under it.
        """
        return self._models.get(name)

    def swap(self, name: str, model: Model) -> None:
        """Serve another model under a name; requests that have the old one finish with it.

        Args:
            name: the filter's.
            model: the new one.
        """
        with self._lock:
            self._models = {**self._models, name: model}
