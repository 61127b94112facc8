"""What it costs that no cap of a content type is applied to a student's scores: it names none, and the oracle's labels do.

Labels are capped by the types that the oracle named, predictions are not. Both errors are worked out from stored predictions
and the labels of the test part, so no figure that was judged moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from distillery.components.artifacts.document import Document
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from distillery.components.store import Json, Store

    Floats = NDArray[np.float64]

MAX_TABLE: Final = 256 * 2**20  # bytes of stored predictions


class CapFigures(Document):
    """Caps of content types on n labelled articles.

    Attributes:
        n: articles.
        named: labels that name one of the filter's types.
        capped: labels whose overall score a type caps.
        overall_mae: error of the overall score as it is served, without these caps, in points.
        overall_mae_capped: the same if the label's own type capped the prediction, too.
        raised: capped articles that the student puts into a better tier than their label.
    """

    n: int
    named: int
    capped: int
    overall_mae: float
    overall_mae_capped: float
    raised: int

    @property
    def cost(self) -> float:
        """What the missing caps add to the error of the overall score, in points."""
        return self.overall_mae - self.overall_mae_capped


def cap_figures(flt: Filter, labels: Floats, predictions: Floats, types: Sequence[str | None] | None) -> CapFigures | None:
    """Work out what missing caps cost on labelled articles.

    Args:
        flt: the filter.
        labels: (n, D) scores in the order of the filter's dimensions.
        predictions: (n, D) predictions, after the score curves.
        types: content type of each label; None where no label has one.

    Returns:
        The figures; None for a filter without content types.
    """
    import numpy as np

    from distillery.filters.verdict import judge, tier_names

    if not flt.content_types or not len(labels):
        return None
    kinds = [*types] if types is not None else [None] * len(labels)
    truth, bare = judge(flt, labels, kinds), judge(flt, labels)
    served, capped = judge(flt, predictions), judge(flt, predictions, kinds)
    order = {name: place for place, name in enumerate(tier_names(flt))}
    better = [order[str(ours)] < order[str(theirs)] for ours, theirs in zip(served.tier, truth.tier, strict=True)]
    binding = truth.overall < bare.overall
    return CapFigures(
        n=len(labels),
        named=sum(kind in flt.content_types for kind in kinds),
        capped=int(binding.sum()),
        overall_mae=float(np.abs(served.overall - truth.overall).mean()),
        overall_mae_capped=float(np.abs(capped.overall - truth.overall).mean()),
        raised=int((binding & np.array(better)).sum()),
    )


def caps_told(flt: Filter, figures: CapFigures | None) -> str:
    """Return what to tell of caps that are not applied.

    Args:
        flt: the filter.
        figures: what it costs; None where that is not known.

    Returns:
        Sentences; empty for a filter without content types.
    """
    if not flt.content_types:
        return ""
    kinds = ", ".join(f"{kind.name} {kind.cap:g}" for kind in flt.spec.contentTypes)
    told = f"caps of content types ({kinds}) are not applied to the student's scores: it names no type"
    if figures is None:
        return f"{told}; what that costs is not known"
    if not figures.named:
        return f"{told}; none of the {figures.n:,} test labels names one, so what that costs is not known"
    raised = f"; {figures.raised:,} of these it puts into a better tier" if figures.raised else ""
    return (
        f"{told}. On {figures.n:,} test articles, of which {figures.capped:,} are capped, the error of the overall score is "
        f"{figures.overall_mae:.3f} so, and {figures.overall_mae_capped:.3f} with them ({figures.cost:+.3f}){raised}"
    )


def read_caps(store: Store, flt: Filter, outputs: Mapping[str, Json]) -> CapFigures | None:
    """Work out what missing caps cost, from what a run left in the store.

    Args:
        store: where predictions and split are.
        flt: the filter.
        outputs: of the run; those of its split, adapter, test part and predictions are digests.

    Returns:
        The figures; None for a filter without content types, and where the run left no predictions of these dimensions.

    Raises:
        NotFound: what the run left is no longer there.
        StoreError: it was altered.
    """
    from distillery.components.articles.label_table import read_table, scores
    from distillery.components.artifacts.split import load_test
    from distillery.components.store import as_digest
    from distillery.components.store.layout import predictions_key

    named = [outputs.get(name) for name in ("split", "adapter", "test", "predictions")]
    if not flt.content_types or not all(isinstance(digest, str) and digest for digest in named):
        return None
    split, adapter, test, predictions = (as_digest(str(digest)) for digest in named)
    table = read_table(store.get(predictions_key(adapter, test, predictions), digest=predictions, max_bytes=MAX_TABLE))
    if not {f"prediction.{name}" for name in flt.dimensions} <= set(table.column_names):
        return None
    frame, row_of = load_test(store, split), {article: row for row, article in enumerate(table["article"].to_pylist())}
    rows = [row_of[article] for article in frame["article"].to_pylist() if article in row_of]
    if len(rows) != frame.num_rows:
        return None
    import numpy as np

    predicted = np.column_stack([table[f"prediction.{name}"].to_numpy()[rows] for name in flt.dimensions])
    return cap_figures(flt, scores(frame, flt.dimensions), predicted, frame["content_type"].to_pylist())
