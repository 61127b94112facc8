"""How much of a file of articles is labelled already, and whether anything is left to ask about."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillery.components.articles.articles import Article, Rejects, read_articles
from distillery.components.articles.folders import input_digest
from distillery.components.articles.input_files import local_input
from distillery.components.artifacts.step_record import look_up
from distillery.components.labeling.journal import Journal
from distillery.components.labeling.label import label_inputs, open_journal
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.store import Digest, Store
from distillery.filters.filter import Filter

SAMPLE = 200  # articles


@dataclass(frozen=True)
class Survey:
    """What a file holds for an oracle.

    Attributes:
        articles: distinct texts.
        labeled: those with a label.
        dead: those with a dead letter that is not asked for again.
        sample: an even sample of the texts, open ones first.
    """

    articles: int
    labeled: int
    dead: int
    sample: list[Article]

    @property
    def open(self) -> int:
        """Texts to ask about."""
        return self.articles - self.labeled - self.dead


def survey(journal: Journal, flt: Filter, articles: str, *, retry_dead: bool = False) -> Survey:
    """Count what of a file of articles is labelled; the file is read whole.

    Args:
        journal: the labels so far.
        flt: the filter.
        articles: the file, a path or s3://.
        retry_dead: whether articles with a dead letter will be asked about again.

    Returns:
        The counts, and a sample.

    Raises:
        InputError: the file can't be read.
    """
    total = labeled = dead = 0
    with local_input(articles, parameter="articles") as path:
        seen: set[bytes] = set()

        def distinct() -> Iterator[tuple[bool, Digest, Article]]:
            nonlocal total, labeled, dead
            for article in read_articles(path, rejects=Rejects(), columns=flt.columns):
                digest = article.digest
                if (key := bytes.fromhex(digest)) in seen:
                    continue
                seen.add(key)
                total += 1
                done = journal.answer(digest) is not None
                lost = not done and not retry_dead and journal.dead_letter(digest) is not None
                labeled, dead = labeled + done, dead + lost
                yield done or lost, digest, article  # open ones first, by digest: an even sample

        sample = [article for _, _, article in heapq.nsmallest(SAMPLE, distinct(), key=lambda one: one[:2])]
    return Survey(total, labeled, dead, sample)


def open_texts(journal: Journal, flt: Filter, file: Path) -> frozenset[bytes]:
    """Return the texts of a file that have neither a label nor a dead letter.

    Args:
        journal: the labels so far.
        flt: the filter.
        file: the file, on this machine; an empty one has none.

    Returns:
        The first 8 bytes of each text's digest: enough to count them, also over several files.

    Raises:
        InputError: the file can't be read.
    """
    if not file.stat().st_size:
        return frozenset()
    digests = (article.digest for article in read_articles(file, rejects=Rejects(), columns=flt.columns))
    unknown = (digest for digest in digests if journal.answer(digest) is None and journal.dead_letter(digest) is None)
    return frozenset(bytes.fromhex(digest[:16]) for digest in unknown)


def is_labeled(store: Store, flt: Filter, articles: str) -> bool:
    """True if the label step has done a file of articles; its rows are not read.

    Args:
        store: the store, with the labels so far.
        flt: the filter, with rubric and oracle.
        articles: the file, a path or s3://.

    Returns:
        Whether the step would reuse its label set.

    Raises:
        InputError: the file can't be read, or the oracle can't be had.
    """
    with local_input(articles, parameter="articles") as path:
        return look_up(store, "label", label_inputs(flt, input_digest(path), None)) is not None


def left_to_ask(store: Store, flt: Filter, articles: str, *, retry_dead: bool = False) -> int:
    """Return how many texts of a file the label step would ask about.

    Args:
        store: the store, with the labels so far.
        flt: the filter, with rubric and oracle.
        articles: the file, a path or s3://.
        retry_dead: whether articles with a dead letter will be asked about again.

    Returns:
        Texts without a label.

    Raises:
        InputError: the file can't be read, or the oracle can't be had.
    """
    return survey(open_journal(store, flt, oracle_identity(flt)), flt, articles, retry_dead=retry_dead).open


def asks(store: Store, flt: Filter, articles: str) -> bool:
    """True if the label step would ask the oracle about a file at all; it is read up to the first text without a label.

    Args:
        store: the store, with the labels so far.
        flt: the filter, with rubric and oracle.
        articles: the file, a path or s3://.

    Returns:
        Whether a text has neither a label nor a dead letter.

    Raises:
        InputError: the file can't be read, or the oracle can't be had.
    """
    with local_input(articles, parameter="articles") as path:
        if is_labeled(store, flt, str(path)):
            return False
        journal = open_journal(store, flt, oracle_identity(flt))
        texts = (article.digest for article in read_articles(path, rejects=Rejects(), columns=flt.columns))
        return any(journal.answer(digest) is None and journal.dead_letter(digest) is None for digest in texts)
