"""Samples as artifacts: the articles with the rule that drew each, and the shares in the manifest."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from distillery.components.articles.articles import Article, read_articles
from distillery.components.articles.rejects import Rejects
from distillery.components.artifacts.folder_meta import SampleMeta, SampleStratum
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.sampling.draw import Affinity, Sample, draw
from distillery.components.store import Digest, Store, digest_json
from distillery.components.store.layout import SAMPLES
from distillery.filters.filter import Filter

CODE = 2
FILE = "articles.jsonl"
FIELDS = ("id", "title", "content", "source", "language", "url", "published", "reference", "drawn_by")


def select(
    store: Store,
    flt: Filter,
    path: Path,
    n: int,
    shares: Mapping[str, float],
    *,
    seed: str = "",
    exclude: Collection[str] = (),
    affinity: Affinity | None = None,
    by: str = "",
    doubt: Affinity | None = None,
    doubted_by: str = "",
    sources: Collection[str] = (),
    progress: Progress = quiet,
) -> tuple[Sample, Digest]:
    """Draw a sample and commit it to the store.

    Args:
        store: the store.
        flt: the filter, with the prefilter.
        path: the file of articles.
        n: how many articles to draw.
        shares: the share of each rule, together 1.
        seed: any text; another one draws another sample.
        exclude: digests of articles that must not be drawn.
        affinity: for enrichment, a function from n articles to (n,) numbers, the highest for what is wanted most.
        by: what enrichment ranked by ("examples …", "adapter …"), for the manifest.
        doubt: the same for `weak`.
        doubted_by: what `weak` ranked by ("adapters … on …"), for the manifest.
        sources: names of the sources that may be drawn from; none for all.
        progress: shows what is done.

    Returns:
        The sample, and its digest in the store.

    Raises:
        InputError: as `distillery.components.sampling.draw.draw`.
    """
    sample = draw(
        path,
        flt.spec.prefilter,
        n,
        shares,
        seed=seed,
        exclude=exclude,
        affinity=affinity,
        doubt=doubt,
        sources=sources,
        columns=flt.columns,
        progress=progress,
    )
    meta = SampleMeta(
        code=CODE,
        filter=flt.name,
        seed=seed,
        prefilter=digest_json(flt.spec.prefilter.model_dump(mode="json")),
        shares={rule: float(share) for rule, share in shares.items()},
        drawn=sample.drawn(),
        enriched_by=by,
        doubted_by=doubted_by or None,
        sources=sorted(set(sources)) or None,
        corpus=sample.corpus,
        excluded=len(frozenset(exclude)),
        strata=[SampleStratum.model_validate(stratum) for stratum in sample.strata],
    )
    return sample, store.commit(SAMPLES, {FILE: jsonl(sample.articles)}, meta.to_json())


def jsonl(articles: Collection[Article]) -> bytes:
    """Write articles as the file that `label` reads.

    Args:
        articles: the articles.

    Returns:
        JSON Lines, each with the rule that drew it.
    """
    rows = ({name: value for name in FIELDS if (value := getattr(article, name))} for article in articles)
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def read_sample(store: Store, digest: Digest, scratch: Path) -> Iterator[Article]:
    """Read a sample from the store and verify it.

    Args:
        store: the store.
        digest: the sample's digest.
        scratch: a folder to download it to.

    Returns:
        An iterator over the articles.
    """
    store.folder(SAMPLES, digest).download(scratch, only=[FILE])
    return read_articles(scratch / FILE, rejects=Rejects())
