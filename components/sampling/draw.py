"""A sample of a corpus by rules: plain random, stratified, and enrichment toward what is rare.

Each article has a priority, a hash of seed and content, and every rule takes the first ones; so the same articles give the
same sample whatever the file's order, and a corpus that grew keeps most of it. The file is read once for the random part
and the counts, once more for the strata. In memory are the sample, enrichment's pool and the counts, never the corpus.
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

RANDOM, STRATIFIED, ENRICH = RULES = ("random", "stratified", "enrich")
CHUNK: Final = 2048
POOL: Final = 20  # articles that enrichment looks at, for each one it takes
LENGTHS: Final = ((1_000, "short"), (4_000, "medium"), (10**9, "long"))  # characters of the content, below
SOURCE_BUCKETS: Final = 2**16  # a file with a source of its own for every article takes no more memory

Affinity = Callable[[Sequence[Article]], "NDArray[np.float64]"]
Cell = tuple[str, str, int]
Key = TypeVar("Key", Cell, tuple[str, str])


@dataclass(frozen=True, slots=True)
class Seen:
    """An article with what the strata need. `passes`: the prefilter's verdict."""

    article: Article
    digest: Digest
    passes: bool

    @property
    def length(self) -> str:
        return next(name for limit, name in LENGTHS if len(self.article.content) < limit)

    @property
    def cell(self) -> Cell:
        bucket = int.from_bytes(hashlib.sha256(self.article.source.encode()).digest()[:4], "big") % SOURCE_BUCKETS
        return ("passed" if self.passes else "refused", self.length, bucket)


@dataclass(frozen=True)
class Sample:
    """articles: sorted by digest, each with `drawn_by`. corpus: articles looked at, copies too.

    passes: digest → the prefilter's verdict, for the articles drawn. strata: per verdict and length, articles of the
    corpus and of the sample. wanted: articles asked for, by rule.
    """

    articles: list[Article]
    passes: dict[Digest, bool]
    corpus: int
    wanted: dict[str, int]
    strata: list[dict[str, Any]]
    rejected: int = 0

    def drawn(self) -> dict[str, int]:
        found = Counter(article.drawn_by for article in self.articles)
        return {rule: found[rule] for rule in self.wanted}


class Least:
    """The k articles of least priority, each text once; a copy keeps the lesser id, so order doesn't matter."""

    def __init__(self, size: int, seed: str) -> None:
        self.size, self.seed = size, seed
        self._heap: list[tuple[int, Digest]] = []
        self._held: dict[Digest, Seen] = {}

    def offer(self, seen: Seen) -> None:
        if held := self._held.get(seen.digest):
            if (seen.article.id, seen.article.source) < (held.article.id, held.article.source):
                self._held[seen.digest] = seen
            return
        if not self.size:
            return
        entry = (-int.from_bytes(order_key(self.seed, seen.digest), "big"), seen.digest)
        if len(self._heap) < self.size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            del self._held[heapq.heapreplace(self._heap, entry)[1]]
        else:
            return
        self._held[seen.digest] = seen

    def take(self) -> list[Seen]:
        """Least priority first."""
        return [self._held[digest] for _, digest in sorted(self._heap, reverse=True)]


def draw(
    path: Path,
    prefilter: Prefilter,
    n: int,
    shares: Mapping[str, float],
    *,
    seed: str = "",
    exclude: Collection[str] = (),
    affinity: Affinity | None = None,
    progress: Progress = quiet,
) -> Sample:
    """Draws n articles from a file by the rules of `shares` ({rule: share}, together 1); fewer where it has fewer.

    exclude: digests of articles that must not be drawn. affinity: for enrichment, articles → (n,) how near each is to
    what is wanted. What one rule falls short of, the random draw makes up. InputError: shares that aren't, no article.
    """
    wanted = allot(n, check_shares(shares, affinity))
    left_out, rejects = frozenset(exclude), Rejects()
    counts: Counter[Cell] = Counter()
    plain = Least(n, f"{seed}:{RANDOM}")
    pool = Least(POOL * wanted.get(ENRICH, 0), f"{seed}:pool")
    table: Counter[tuple[str, str]] = Counter()
    for seen in _seen(path, prefilter, rejects, progress):
        if seen.digest in left_out:
            continue
        plain.offer(seen)
        if seen.passes:
            pool.offer(seen)
        counts[seen.cell] += 1  # copies as well: a stratum that holds fewer texts leaves its rest to the plain draw
        table[seen.cell[0], seen.cell[1]] += 1
    ranked = plain.take()
    chosen = {seen.digest: (seen, RANDOM) for seen in ranked[: wanted.get(RANDOM, 0)]}
    if wanted.get(ENRICH) and affinity is not None:
        chosen |= {seen.digest: (seen, ENRICH) for seen in _nearest(pool, chosen, wanted[ENRICH], affinity, seed)}
    if wanted.get(STRATIFIED):
        counts.subtract(seen.cell for seen, _ in chosen.values())
        quota = spread(counts, wanted[STRATIFIED], seed)
        heaps = {cell: Least(size, f"{seed}:{STRATIFIED}") for cell, size in quota.items()}
        for seen in _seen(path, prefilter, Rejects(), progress):
            if seen.digest not in left_out and seen.digest not in chosen and seen.cell in heaps:
                heaps[seen.cell].offer(seen)
        chosen |= {seen.digest: (seen, STRATIFIED) for heap in heaps.values() for seen in heap.take()}
    for seen in ranked:
        if len(chosen) >= n:
            break
        chosen[seen.digest] = (seen, RANDOM)  # also what another rule has chosen: the plain draw stays plain
    ordered = [chosen[digest] for digest in sorted(chosen)]
    sampled = Counter((seen.cell[0], seen.cell[1]) for seen, _ in ordered)
    return Sample(
        articles=[replace(seen.article, drawn_by=rule) for seen, rule in ordered],
        passes={seen.digest: seen.passes for seen, _ in ordered},
        corpus=sum(table.values()),
        wanted=wanted,
        strata=[
            {"prefilter": verdict, "length": length, "corpus": table[verdict, length], "sample": sampled[verdict, length]}
            for verdict, length in sorted(table)
        ],
        rejected=rejects.count,
    )


def check_shares(shares: Mapping[str, float], affinity: Affinity | None) -> dict[str, float]:
    """The shares of the known rules; InputError where they are not shares of one whole or enrichment has nothing to go by."""
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
    return {rule: shares[rule] for rule in RULES if shares.get(rule)}


def allot(n: int, shares: Mapping[str, float]) -> dict[str, int]:
    """n divided by the shares; what rounding leaves goes to the first rule, in the order of RULES."""
    wanted = {rule: int(n * share + 1e-9) for rule, share in shares.items()}
    wanted[next(iter(wanted))] += n - sum(wanted.values())
    return wanted


def spread(counts: Mapping[Cell, int], n: int, seed: str) -> dict[Cell, int]:
    """n articles over the strata, as evenly as their sizes allow: first by prefilter and length, then by source."""
    groups: dict[tuple[str, str], dict[Cell, int]] = {}
    for cell, count in counts.items():
        if count > 0:
            groups.setdefault((cell[0], cell[1]), {})[cell] = count
    shares = _even({group: sum(cells.values()) for group, cells in groups.items()}, n, seed)
    return {cell: size for group, share in shares.items() for cell, size in _even(groups[group], share, seed).items() if size}


def _even(sizes: Mapping[Key, int], n: int, seed: str) -> dict[Key, int]:
    """n over the keys, each as much as the next unless it has less; what doesn't divide goes by priority."""
    order = sorted(sizes, key=lambda key: order_key(seed, repr(key)))
    found = dict.fromkeys(order, 0)
    left = min(n, sum(sizes.values()))
    while left:
        open_ = [key for key in order if found[key] < sizes[key]]
        step = max(1, left // len(open_))
        for key in open_:
            more = min(step, sizes[key] - found[key], left)
            found[key] += more
            left -= more
    return found


def _seen(path: Path, prefilter: Prefilter, rejects: Rejects, progress: Progress) -> Iterator[Seen]:
    articles = read_articles(path, rejects=rejects)
    done = 0
    while batch := list(islice(articles, CHUNK)):
        reasons = refused(prefilter, [article.title for article in batch], [article.content for article in batch])
        done += len(batch)
        progress(done, None, "articles")
        for article, reason in zip(batch, reasons, strict=True):
            yield Seen(article, article.digest, reason is None)


def _nearest(pool: Least, chosen: Collection[Digest], n: int, affinity: Affinity, seed: str) -> Iterable[Seen]:
    """The n of the pool that come nearest; equals in the order of their priority."""
    candidates = [seen for seen in pool.take() if seen.digest not in chosen]
    if not candidates:
        return []
    nearness = affinity([seen.article for seen in candidates])
    order = sorted(range(len(candidates)), key=lambda at: (-float(nearness[at]), at))
    return [candidates[at] for at in order[:n]]
