"""How scores are spread: those of a scored corpus, and those that the adapter gave to its frozen test part."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from distillery.components.articles.languages import language_code
from distillery.components.artifacts.drift import Sample
from distillery.components.artifacts.histograms import MAX_NAME, Histograms, binned, counted, histograms_of, summed
from distillery.components.artifacts.run_summary import read_adapter_summary
from distillery.components.artifacts.scores import Scores
from distillery.components.benchmarking.predict import read_predictions
from distillery.components.scoring.rows import part_rows
from distillery.components.store import Digest, NotFound, Store, StoreError, not_read
from distillery.components.store.layout import SUCCESS, histograms_key
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.filters.filter import Filter

NO_SCORES: Final = "give the address that `distillery score` printed, once it has ended"


def read_scores(out: Store) -> Scores:
    """Return what _SUCCESS says of a scored corpus.

    Args:
        out: where the scores are.

    Returns:
        The document.

    Raises:
        InputError: no scoring has ended there.
        StoreError: the document can't be read.
    """
    try:
        return Scores.load(out, SUCCESS)
    except NotFound:
        raise InputError("holds no finished scores", where=out.uri, hint=NO_SCORES) from None


def sample_of_scores(out: Store, scores: Scores) -> Sample:
    """Return how the scores of a corpus are spread; counted from the rows where nobody has noted it.

    Args:
        out: where the scores are.
        scores: what _SUCCESS says.

    Returns:
        The sample of the articles that the student scored.

    Raises:
        InputError: a part is gone.
        StoreError: a part was altered, or the store can't be read.
    """
    return Sample(spread=_noted(out, scores) or _counted(out, scores), tiers=scores.tiers)


def _noted(out: Store, scores: Scores) -> Histograms | None:
    if not scores.histograms:
        return None
    try:
        found = Histograms.load(out, histograms_key(scores.histograms), digest=Digest(scores.histograms))
    except NotFound:
        return None
    except StoreError as error:
        if not_read(error):
            raise
        return None  # damaged: the rows are there to be counted
    return found if found.scored == scores.scored and set(found.dimensions) == set(scores.dimensions) else None


def _counted(out: Store, scores: Scores) -> Histograms:
    return summed([histograms_of(part_rows(out, part, scores.dimensions), scores.dimensions) for part in scores.parts])


def sample_of_test(store: Store, flt: Filter, adapter: str) -> Sample:
    """Return how the scores are spread that an adapter gave to its frozen test part.

    Args:
        store: where they are.
        flt: the filter that the corpus was scored with: its weights, caps and tiers count.
        adapter: digest of the adapter.

    Returns:
        The sample.

    Raises:
        InputError: the adapter was not benchmarked in this store.
        StoreError: the predictions were altered, or the store can't be read.
    """
    import numpy as np

    from distillery.filters.verdict import judge, tier_names

    summary = read_adapter_summary(store, adapter)
    record = summary.records.get("benchmark") if summary else None
    hint = "give other scores of this adapter with --reference, or distill again"
    if record is None:
        raise InputError(f"no test predictions of adapter {adapter[:12]} are in this store", where=store.uri, hint=hint)
    try:
        table = read_predictions(store, adapter, record.outputs["test"], record.outputs["predictions"])
    except NotFound:
        raise InputError(f"the test predictions of adapter {adapter[:12]} are gone", where=store.uri, hint=hint) from None
    scores = np.column_stack([table[f"prediction.{name}"].to_numpy() for name in flt.dimensions])
    types = table["content_type"].to_pylist() if "content_type" in table.column_names else None
    verdicts = judge(flt, scores, types)
    tiers = Counter(dict.fromkeys(tier_names(flt), 0))
    tiers.update(verdicts.tier.tolist())
    spread = Histograms(
        scored=table.num_rows,
        dimensions={name: binned(scores[:, column]) for column, name in enumerate(flt.dimensions)},
        overall=binned(verdicts.overall),
        sources=counted(str(name or "")[:MAX_NAME] for name in table["source"].to_pylist()),
        languages=counted(language_code(str(name or ""))[:MAX_NAME] for name in table["language"].to_pylist()),
    )
    return Sample(spread=spread, tiers=dict(tiers))


def together(samples: list[Sample]) -> Sample:
    """Return several samples as one.

    Args:
        samples: one or more, of the same dimensions.

    Returns:
        Their sum.
    """
    tiers = Counter[str]()
    for sample in samples:
        tiers.update(sample.tiers)
    return Sample(spread=summed([sample.spread for sample in samples]), tiers=dict(tiers))
