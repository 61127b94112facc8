"""What a scoring over a cluster is planned from: a corpus that pods reach, the image of the place, how the student serves."""

from __future__ import annotations

from distillery.components.articles.hub import SCHEME
from distillery.components.articles.input_files import local_file
from distillery.components.artifacts.filter import publish_filter
from distillery.components.scoring.corpus import Corpus, find_corpus
from distillery.components.scoring.job_manifest import Place
from distillery.components.scoring.plan import Plan, plan_for
from distillery.components.store import Address, Store, digest_file, in_bucket
from distillery.components.store.address import scheme_of
from distillery.components.store.layout import input_key
from distillery.components.student.devices import cluster_plan
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

PART_BYTES = 64 * 2**20  # 20,000 articles of 3 kB: minutes of one core, so the seconds of a pod's start don't count
GPU_PART_BYTES = 8 * PART_BYTES  # seven minutes at 400 articles a second, which is the aim and was never measured


def plan_on_cluster(
    store: Store, flt: Filter, adapter: str, articles: str, place: Place, *, shards: int = 0, upload: bool = True
) -> Plan:
    """Plan the scoring of articles with the place's image.

    Args:
        store: the store that the pods read from.
        flt: the filter.
        adapter: digest of the adapter.
        articles: an s3:// address, or one local file.
        place: the cluster's namespace and settings.
        shards: number of parts; 0 chooses.
        upload: whether to put into the store what the pods read there: a local file, and the filter as it is now.

    Returns:
        The plan.

    Raises:
        InputError: the articles can't be used.
    """
    corpus = find_corpus(articles)
    if not in_bucket(articles):
        corpus = _uploaded(store, corpus, articles, upload)
    if upload:
        publish_filter(store, flt)  # one that was published by an earlier version may have another digest now
    return plan_over(store, flt, adapter, corpus, place, shards=shards)


def plan_over(
    store: Store, flt: Filter, adapter: str, corpus: Corpus, place: Place, *, shards: int = 0, per_file: bool = False
) -> Plan:
    """Plan the scoring of a corpus that lies in a bucket, with the place's image.

    Args:
        store: the store that the pods read from.
        flt: the filter, which is published.
        adapter: digest of the adapter.
        corpus: the corpus.
        place: the cluster's namespace and settings.
        shards: number of parts; 0 chooses.
        per_file: True if no part is to have rows of two files.

    Returns:
        The plan.
    """
    served = cluster_plan(store, flt.name, adapter, flt.spec.student, gpu=bool(place.gpu))
    code, size = place.image, GPU_PART_BYTES if place.gpu else PART_BYTES
    return plan_for(flt, adapter, corpus, shards, part_bytes=size, code=code, served=served, per_file=per_file)


def _uploaded(store: Store, corpus: Corpus, articles: str, upload: bool) -> Corpus:
    hub = scheme_of(articles) == SCHEME
    if hub or Address.parse(articles).local.is_dir():
        what = "is a data set of a hub, which pods don't reach" if hub else "is a folder on this machine"
        hint = "give one file, or copy it: aws s3 cp --recursive FOLDER s3://bucket/prefix"
        raise InputError(what, where=f"ARTICLES {articles}", hint=hint)
    if not in_bucket(store.uri):
        raise InputError(
            "is no place that a cluster reaches", where=store.uri, hint="give s3://bucket/prefix", parameter="store"
        )
    with local_file(articles, parameter="ARTICLES") as path:
        key = input_key(digest_file(path), path.name)
        if upload and not store.exists(key):
            store.put(key, path)
    return find_corpus(f"{store.uri}/{key}") if upload or store.exists(key) else corpus
