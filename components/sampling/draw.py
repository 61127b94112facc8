"""Samples of a corpus, drawn by four rules: at random, stratified, enriched with what is rare, or where students disagree.

Articles are ordered by a hash of seed and content, and every rule takes the first ones. So the same articles give the same
sample whatever the file's order, and a corpus that grew keeps most of its sample. The file is read once for the random part
and the counts, and once more for the strata. Memory holds the sample, the pool for enrichment and the counts, never the corpus.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from distillery.components.articles.articles import Article, read_articles
from distillery.components.articles.prefilter import refused
from distillery.components.articles.rejects import Rejects
from distillery.components.articles.sample_order import order_key
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest
from distillery.filters.errors import InputError
from distillery.filters.spec import Prefilter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RANDOM, STRATIFIED, ENRICH, WEAK = RULES = ("random", "stratified", "enrich", "weak")
CHUNK: Final = 2048
POOL: Final = 20  # articles that a rule with an affinity ranks, for each one that it takes
LENGTHS: Final = ((1_000, "short"), (4_000, "medium"), (10**9, "long"))  # characters of the content, below
SOURCE_BUCKETS: Final = 2**16  # a file with a source of its own for every article takes no more memory

Affinity = Callable[[Sequence[Article]], "NDArray[np.float64]"]
Cell = tuple[str, str, int]
Key = TypeVar("Key", Cell, tuple[str, str])


@dataclass(frozen=True, slots=True)
class Candidate:
    """An article that may be drawn.

    Attributes:
        article: the article.
        digest: its digest.
        passes: whether the prefilter lets it pass.
    """

    article: Article
    digest: Digest
    passes: bool

    @property
    def length(self) -> str:
        """Return the article's class of length: short, medium or long."""
        return next(name for limit, name in LENGTHS if len(self.article.content) < limit)

    @property
    def cell(self) -> Cell:
        """Return the article's stratum: the prefilter's verdict, the length, and a bucket of sources."""
        bucket = int.from_bytes(hashlib.sha256(self.article.source.encode()).digest()[:4], "big") % SOURCE_BUCKETS
        return ("passed" if self.passes else "refused", self.length, bucket)


@dataclass(frozen=True)
class Sample:
    """A sample, and the corpus it was drawn from.

    Attributes:
        articles: the sample, sorted by digest, each article with `drawn_by`.
        passes: for each of their digests, whether the prefilter lets the article pass.
        corpus: how many articles the corpus has, copies included.
        wanted: how many articles were asked for, by rule.
        strata: articles of the corpus and of the sample, by the prefilter's verdict and length.
        rejected: bad rows of the file.
    """

    articles: list[Article]
    passes: dict[Digest, bool]
    corpus: int
    wanted: dict[str, int]
    strata: list[dict[str, Any]]
    rejected: int = 0

    def drawn(self) -> dict[str, int]:
        """Count the articles drawn.

        Returns:
            Articles by rule.
        """
        counts = Counter(article.drawn_by for article in self.articles)
        return {rule: counts[rule] for rule in self.wanted}


class First:
    """Keeps the first k articles in the order of a seed, each text once; of copies the least id, so that order is no matter."""

    def __init__(self, size: int, seed: str) -> None:
        self.size, self.seed = size, seed
        self._heap: list[tuple[int, Digest]] = []
        self._kept: dict[Digest, Candidate] = {}

    def offer(self, candidate: Candidate) -> None:
        """Keep an article if it belongs to the first k so far.

        Args:
            candidate: the article.
        """
        if copy := self._kept.get(candidate.digest):
            if (candidate.article.id, candidate.article.source) < (copy.article.id, copy.article.source):
                self._kept[candidate.digest] = candidate
            return
        if not self.size:
            return
        entry = (-int.from_bytes(order_key(self.seed, candidate.digest), "big"), candidate.digest)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            del self._kept[heapq.heapreplace(self._heap, entry)[1]]
        else:
            return
        self._kept[candidate.digest] = candidate

    def take(self) -> list[Candidate]:
        """Return the articles kept.

        Returns:
            At most k articles, in the order of the seed.
        """
        return [self._kept[digest] for _, digest in sorted(self._heap, reverse=True)]


def draw(
    path: Path,
    prefilter: Prefilter,
    n: int,
    shares: Mapping[str, float],
    *,
    seed: str = "",
    exclude: Collection[str] = (),
    affinity: Affinity | None = None,
    doubt: Affinity | None = None,
    sources: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
    progress: Progress = quiet,
) -> Sample:
    """Draw a sample from a file of articles.

    Where a rule finds fewer articles than it should draw, the random draw makes up for it.

    Args:
        path: the file.
        prefilter: the filter's prefilter, which the strata go by.
        n: how many articles to draw; fewer are drawn from a file that has fewer.
        shares: the share of each rule, together 1.
        seed: any text; another one draws another sample.
        exclude: digests of articles that must not be drawn.
        affinity: for enrichment, a function from n articles to (n,) numbers, the highest for what is wanted most.
        doubt: the same for `weak`: how far students disagree.
        sources: names of the sources that may be drawn from; none for all.
        columns: our names for columns of the file; None for none.
        progress: shows what is done.

    Returns:
        The sample.

    Raises:
        InputError: the shares are none, a rule has nothing to rank by, or the file has no articles, or none of these sources.
    """
    wanted = allot(n, check_shares(shares, affinity, doubt))
    left_out, only, rejects = frozenset(exclude), frozenset(sources), Rejects()
    met: Counter[str] = Counter()
    counts: Counter[Cell] = Counter()
    plain = First(n, f"{seed}:{RANDOM}")
    pool = First(POOL * wanted.get(ENRICH, 0), f"{seed}:pool")
    doubted = First(POOL * wanted.get(WEAK, 0), f"{seed}:{WEAK}")
    table: Counter[tuple[str, str]] = Counter()
    for candidate in _candidates(path, prefilter, rejects, columns, progress):
        if only:
            met[candidate.article.source] += 1
            if candidate.article.source not in only:
                continue
        if candidate.digest in left_out:
            continue
        plain.offer(candidate)
        if candidate.passes:
            pool.offer(candidate)
            doubted.offer(candidate)
        counts[candidate.cell] += 1  # copies as well: a stratum that holds fewer texts leaves its rest to the plain draw
        table[candidate.cell[0], candidate.cell[1]] += 1
    for note in rejects.notes():
        progress.note(note)
    for name in sorted(only - met.keys()):
        known = ", ".join(repr(source) for source, _ in met.most_common(5))
        raise InputError(f"no article has the source {name!r}", where="--source", hint=f"the most frequent are {known}")
    ranked = plain.take()
    chosen = {candidate.digest: (candidate, RANDOM) for candidate in ranked[: wanted.get(RANDOM, 0)]}
    if wanted.get(ENRICH) and affinity is not None:
        chosen |= {
            candidate.digest: (candidate, ENRICH) for candidate in _nearest(pool, chosen, wanted[ENRICH], affinity, seed)
        }
    if wanted.get(WEAK) and doubt is not None:
        chosen |= {candidate.digest: (candidate, WEAK) for candidate in _nearest(doubted, chosen, wanted[WEAK], doubt, seed)}
    if wanted.get(STRATIFIED):
        counts.subtract(candidate.cell for candidate, _ in chosen.values())
        quota = spread(counts, wanted[STRATIFIED], seed)
        heaps = {cell: First(size, f"{seed}:{STRATIFIED}") for cell, size in quota.items()}
        for candidate in _candidates(path, prefilter, Rejects(), columns, progress):
            if only and candidate.article.source not in only:
                continue
            if candidate.digest not in left_out and candidate.digest not in chosen and candidate.cell in heaps:
                heaps[candidate.cell].offer(candidate)
        chosen |= {candidate.digest: (candidate, STRATIFIED) for heap in heaps.values() for candidate in heap.take()}
    for candidate in ranked:
        if len(chosen) >= n:
            break
        chosen[candidate.digest] = (candidate, RANDOM)  # also what another rule has chosen: the plain draw stays plain
    ordered = [chosen[digest] for digest in sorted(chosen)]
    sampled = Counter((candidate.cell[0], candidate.cell[1]) for candidate, _ in ordered)
    return Sample(
        articles=[replace(candidate.article, drawn_by=rule) for candidate, rule in ordered],
        passes={candidate.digest: candidate.passes for candidate, _ in ordered},
        corpus=sum(table.values()),
        wanted=wanted,
        strata=[
            {"prefilter": verdict, "length": length, "corpus": table[verdict, length], "sample": sampled[verdict, length]}
            for verdict, length in sorted(table)
        ],
        rejected=rejects.count,
    )


def check_shares(shares: Mapping[str, float], affinity: Affinity | None, doubt: Affinity | None = None) -> dict[str, float]:
    """Check the shares of the rules.

    Args:
        shares: the share of each rule.
        affinity: what enrichment ranks by; None if there is nothing.
        doubt: what `weak` ranks by; None if there is nothing.

    Returns:
        The shares above 0, in the order of RULES.

    Raises:
        InputError: a rule is unknown, the shares don't sum to 1, or a rule has nothing to rank by.
    """
    for rule, share in shares.items():
        if rule not in RULES:
            raise InputError(f"{rule!r} is no rule of sampling", where="--rule", hint=f"use {', '.join(RULES)}")
        if not 0 <= share <= 1:
            raise InputError(f"the share of {rule} is {share:g}, not between 0 and 1", where="--rule", hint="write random=0.6")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(
            f"the shares sum to {sum(shares.values()):g}, not 1",
            where="--rule",
            hint="write --rule random=0.6 --rule stratified=0.2 --rule enrich=0.2",
        )
    if shares.get(ENRICH) and affinity is None:
        raise InputError(
            "enrichment has nothing to go by",
            where="--rule enrich",
            hint="give --examples FILE with a few articles of the kind, or promote a student first",
        )
    if shares.get(WEAK) and doubt is None:
        raise InputError(
            "there are no students to disagree",
            where=f"--rule {WEAK}",
            hint="train two or more of this filter (--set training.seed=43 makes another), or name them: --student ADAPTER",
        )
    return {rule: shares[rule] for rule in RULES if shares.get(rule)}


def allot(n: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Divide n by the shares; what rounding leaves goes to the first rule.

    Args:
        n: articles to draw.
        shares: the share of each rule.

    Returns:
        Articles to draw by rule.
    """
    wanted = {rule: int(n * share + 1e-9) for rule, share in shares.items()}
    wanted[next(iter(wanted))] += n - sum(wanted.values())
    return wanted


def spread(counts: Mapping[Cell, int], n: int, seed: str) -> dict[Cell, int]:
    """Divide n articles over the strata as evenly as their sizes allow, first by prefilter and length, then by source.

    Args:
        counts: articles of each stratum.
        n: articles to draw.
        seed: decides where an article goes that can't be divided.

    Returns:
        Articles to draw from each stratum; strata with none are left out.
    """
    groups: dict[tuple[str, str], dict[Cell, int]] = {}
    for cell, count in counts.items():
        if count > 0:
            groups.setdefault((cell[0], cell[1]), {})[cell] = count
    shares = _even({group: sum(cells.values()) for group, cells in groups.items()}, n, seed)
    return {cell: size for group, share in shares.items() for cell, size in _even(groups[group], share, seed).items() if size}


def _even(sizes: Mapping[Key, int], n: int, seed: str) -> dict[Key, int]:
    """Divide n evenly over the keys, none above its size; what can't be divided goes by the order of the seed."""
    order = sorted(sizes, key=lambda key: order_key(seed, repr(key)))
    quota = dict.fromkeys(order, 0)
    left = min(n, sum(sizes.values()))
    while left:
        open_ = [key for key in order if quota[key] < sizes[key]]
        step = max(1, left // len(open_))
        for key in open_:
            more = min(step, sizes[key] - quota[key], left)
            quota[key] += more
            left -= more
    return quota


def _candidates(
    path: Path, prefilter: Prefilter, rejects: Rejects, columns: Mapping[str, str] | None, progress: Progress
) -> Iterator[Candidate]:
    articles = read_articles(path, rejects=rejects, columns=columns)
    done = 0
    while batch := list(islice(articles, CHUNK)):
        reasons = refused(prefilter, [article.title for article in batch], [article.content for article in batch])
        done += len(batch)
        progress(done, None, "articles")
        for article, reason in zip(batch, reasons, strict=True):
            yield Candidate(article, article.digest, reason is None)


def _nearest(pool: First, chosen: Collection[Digest], n: int, affinity: Affinity, seed: str) -> Iterable[Candidate]:
    """Return the n articles of the pool with the highest affinity; equal ones in the order of the seed."""
    candidates = [candidate for candidate in pool.take() if candidate.digest not in chosen]
    if not candidates:
        return []
    nearness = affinity([candidate.article for candidate in candidates])
    order = sorted(range(len(candidates)), key=lambda row: (-float(nearness[row]), row))
    return [candidates[row] for row in order[:n]]
