"""What lies at an object's data: the version that its runs are of, and which articles have come since.

A listing tells what has come, by key and version. Only files that are new are read, each once a run; what is counted are texts
that the oracle has not labelled, so that a file that is appended to, merged or written anew counts for what is new in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from distillery.components.articles.input_files import choose_input, local_file
from distillery.components.articles.listing import Listing, data_version, read_listing
from distillery.components.artifacts.intent import Intent, Taken
from distillery.components.labeling.label import open_journal
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.labeling.survey import open_texts
from distillery.components.store import NotFound, Store, StoreError, not_read
from distillery.components.store.layout import listing_key
from distillery.filters.digests import step_digest
from distillery.filters.errors import InputError, one_line
from distillery.pipelines.operator.facts import Fresh
from distillery.pipelines.operator.wanted import Wanted

LISTINGS: Final = 256  # stored listings that are not read again
TEXTS: Final = 1_000_000  # texts that are not looked for again; 70 bytes each


@dataclass
class SeenArticles:
    """What does not change any more, kept between two looks.

    Attributes:
        listings: stored listings, by digest.
        texts: texts of files that had no label, by what they were counted for and since, place and version.
    """

    listings: dict[str, Listing] = field(default_factory=dict)
    texts: dict[tuple[str, str, str, str], frozenset[bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """The data of an object.

    Attributes:
        articles: address of the articles; "" where the object names labels.
        version: the version that its runs are of.
        listing: what is there now; None where that is one object.
        before: what its runs are of; None where that is what is there.
        taken: what the intent says of it.
    """

    articles: str
    version: object
    listing: Listing | None = None
    before: Listing | None = None
    taken: Taken | None = None

    @property
    def lost(self) -> bool:
        """True if the listing that the intent names is there no more."""
        known = self.taken is not None and self.taken.data is not None and self.taken.of == self.articles
        return known and self.listing is not None and self.before is None

    @property
    def gone(self) -> bool:
        """True if a file that the runs are of is another one by now, or gone."""
        now = self.listing.files if self.listing else {}
        return self.before is not None and any(now.get(name) != version for name, version in self.before.files.items())


def look_at_data(store: Store, wanted: Wanted, intent: Intent | None, seen: SeenArticles) -> Data:
    """Return what lies at an object's data, and what of it its runs are of.

    Args:
        store: where listings are kept.
        wanted: what the object asks for.
        intent: what it asked for when it was last looked at; None where it never was.
        seen: what earlier looks found; changed in place.

    Returns:
        The data.

    Raises:
        InputError: the object names no data.
        StoreError: the data, or the listing that the intent names, can't be read.
    """
    articles, labels = choose_input("", "", wanted.filter.spec.data)
    version, taken = data_version(articles or labels), intent.taken if intent else None
    known = taken is not None and taken.data is not None and taken.of == articles
    if version is None and known:
        version = {}  # all files are gone: what the runs were of stays what they were of
    if not articles or not isinstance(version, dict):
        return Data(articles, version, taken=taken)
    listing = Listing(of=articles, files=version)
    before = _taken(store, wanted.name, listing, taken.data, seen) if taken and taken.data and known else None
    return Data(articles, before.files if before else version, listing, before, taken)


def _taken(store: Store, name: str, listing: Listing, digest: str, seen: SeenArticles) -> Listing | None:
    """Return the listing that the intent names; None where it is there no more."""
    if digest == listing.digest:
        return listing
    if known := seen.listings.get(digest):
        return known
    try:
        found = read_listing(store, name, digest)
    except (NotFound, StoreError) as error:
        if isinstance(error, StoreError) and not_read(error):
            raise
        return None  # deleted, or damaged
    if len(seen.listings) >= LISTINGS:  # other workers clear it, too: nothing is read back from it
        seen.listings.clear()
    seen.listings[digest] = found
    return found


def snapshot(store: Store, wanted: Wanted, data: Data) -> str:
    """Return the address of the listing that a run is given, so that it is of those articles and no others.

    Args:
        store: where listings are kept.
        wanted: what the object asks for.
        data: what lies there.

    Returns:
        Its address; "" where the run is of what lies at the object's data.
    """
    if data.before is None or data.taken is None or data.taken.data is None:
        return ""
    return f"{store.uri}/{listing_key(wanted.name, data.taken.data)}"


def fresh_articles(
    store: Store, wanted: Wanted, data: Data, seen: SeenArticles, *, since: str, all: bool = False
) -> Fresh | None:
    """Count what has come since the articles that the runs are of.

    Args:
        store: where labels are.
        wanted: what the object asks for.
        data: what lies there.
        seen: what earlier looks found; changed in place.
        since: the run that ended last, whose labels count.
        all: True if that run left texts without a label, so that those count, too.

    Returns:
        What has come; None where the oracle has labelled all of it.

    Raises:
        StoreError: something can't be reached.
    """
    if data.listing is None or data.before is None:
        return None
    files, texts = 0, set[bytes]()
    try:
        come, rows = set(data.listing.files if all else data.listing.since(data.before)), data.listing.rows().values()
        names = [key for key in rows if key in come]
        for key in names:
            found = _texts(store, wanted, data.listing, key, seen, since)
            files += bool(found)
            texts |= found
    except InputError as error:
        if isinstance(error, StoreError) and not_read(error):
            raise
        return Fresh(len(names), None, one_line(str(error))[:500])
    return Fresh(files, len(texts)) if texts else None


def _texts(store: Store, wanted: Wanted, listing: Listing, key: str, seen: SeenArticles, since: str) -> frozenset[bytes]:
    """Return the texts of a file that the oracle has not labelled."""
    place, flt = str(listing.place(key)), wanted.filter
    known = (f"{flt.name} {step_digest(flt, 'label')}", since, place, listing.files[key])
    if (held := seen.texts.get(known)) is not None:
        return held
    journal = open_journal(store, flt, oracle_identity(flt))
    with local_file(place, parameter="articles") as path:
        found = open_texts(journal, flt, path)
    if sum(map(len, list(seen.texts.values()))) + len(found) > TEXTS:
        seen.texts.clear()
    seen.texts[known] = found
    return found
