"""What caps of content types do to a student's scores: how well it names types, or what it costs that it names none.

Labels are capped by the types that the oracle named, predictions by those that the student names, if it has a head for them.
All is worked out from stored predictions and the labels of the test part, so no figure that was judged moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from distillery.components.artifacts.document import Document
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from distillery.components.store import Json, Store

    Floats = NDArray[np.float64]

MAX_TABLE: Final = 256 * 2**20  # bytes of stored predictions


class Found(Document):
    """How well a student finds something.

    Attributes:
        labelled: articles that are so by their labels.
        predicted: articles that are so by the student.
        right: both.
    """

    labelled: int
    predicted: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of the predicted ones that are right; None where there are none."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """Share of the labelled ones that are predicted; None where there are none."""
        return self.right / self.labelled if self.labelled else None


class HeadFigures(Document):
    """A student that names content types.

    Attributes:
        types: each type of the filter, by its name.
        capped: articles whose overall score a type caps.
        overall_mae: error of the overall score as it is served, capped by the types that the student names, in points.
    """

    types: dict[str, Found]
    capped: Found
    overall_mae: float


class CapFigures(Document):
    """Caps of content types on n labelled articles.

    Attributes:
        n: articles.
        named: labels that name one of the filter's types.
        capped: labels whose overall score a type caps.
        overall_mae: error of the overall score without these caps, in points; so it is served by a student without a head.
        overall_mae_capped: the same if the label's own type capped the prediction, too.
        raised: capped articles that the student, as it serves, puts into a better tier than their label.
        head: what its own types do; None for a student that names none.
    """

    OMITTED: ClassVar[tuple[str, ...]] = ("head",)

    n: int
    named: int
    capped: int
    overall_mae: float
    overall_mae_capped: float
    raised: int
    head: HeadFigures | None = None

    @property
    def cost(self) -> float:
        """What the missing caps add to the error of the overall score, in points."""
        return self.overall_mae - self.overall_mae_capped


def require_types(flt: Filter, named: set[str | None]) -> None:
    """Raise where the student is to name content types and no label does.

    Args:
        flt: the filter.
        named: what the labels name.

    Raises:
        InputError: none of it is a type of the filter.
    """
    if flt.spec.student.contentTypes == "head" and not named & set(flt.content_types):
        raise InputError(
            f"no label names a content type ({', '.join(flt.content_types)}), so a student can't learn to",
            where="spec.student.contentTypes",
            hint="give labels with a content_type, or set it to none",
        )


def cap_figures(
    flt: Filter,
    labels: Floats,
    predictions: Floats,
    types: Sequence[str | None] | None,
    predicted: Sequence[str | None] | None = None,
) -> CapFigures | None:
    """Work out what caps do on labelled articles.

    Args:
        flt: the filter.
        labels: (n, D) scores in the order of the filter's dimensions.
        predictions: (n, D) predictions, after the score curves.
        types: content type of each label; None where no label has one.
        predicted: content type that the student names of each; None for a student without a head.

    Returns:
        The figures; None for a filter without content types.
    """
    import numpy as np

    from distillery.filters.verdict import judge, tier_names

    if not flt.content_types or not len(labels):
        return None
    kinds = [*types] if types is not None else [None] * len(labels)
    truth, bare = judge(flt, labels, kinds), judge(flt, labels)
    without, capped = judge(flt, predictions), judge(flt, predictions, kinds)
    served = without if predicted is None else judge(flt, predictions, predicted)
    order = {name: place for place, name in enumerate(tier_names(flt))}
    better = [order[str(ours)] < order[str(theirs)] for ours, theirs in zip(served.tier, truth.tier, strict=True)]
    binding = truth.overall < bare.overall
    head = None
    if predicted is not None:

        def found(ours: Sequence[bool], theirs: Sequence[bool]) -> Found:
            pairs = [*zip(ours, theirs, strict=True)]
            return Found(labelled=sum(theirs), predicted=sum(ours), right=sum(a and b for a, b in pairs))

        head = HeadFigures(
            types={
                name: found([kind == name for kind in predicted], [kind == name for kind in kinds])
                for name in flt.content_types
            },
            capped=found((served.overall < without.overall).tolist(), binding.tolist()),
            overall_mae=float(np.abs(served.overall - truth.overall).mean()),
        )
    return CapFigures(
        n=len(labels),
        named=sum(kind in flt.content_types for kind in kinds),
        capped=int(binding.sum()),
        overall_mae=float(np.abs(without.overall - truth.overall).mean()),
        overall_mae_capped=float(np.abs(capped.overall - truth.overall).mean()),
        raised=int((binding & np.array(better)).sum()),
        head=head,
    )


def caps_told(flt: Filter, figures: CapFigures | None, *, head: bool = False) -> str:
    """Return what to tell of caps: how well they are applied, or that they are not.

    Args:
        flt: the filter.
        figures: what they do; None where that is not known, or whether the student names types.
        head: True for a student that names types.

    Returns:
        Sentences; empty for a filter without content types.
    """
    if not flt.content_types:
        return ""
    kinds = ", ".join(f"{kind.name} {kind.cap:g}" for kind in flt.spec.contentTypes)
    if head or (figures is not None and figures.head is not None):
        return _applied(kinds, figures)
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


def _applied(kinds: str, figures: CapFigures | None) -> str:
    told = f"caps of content types ({kinds}) are applied to the student's scores by the types that it names"
    if figures is None or figures.head is None:
        return f"{told}; how well it names them is not known"
    capped, named = figures.head.capped, [f"{name} {_shares(found)}" for name, found in figures.head.types.items()]
    raised = f"; {figures.raised:,} of these it puts into a better tier" if figures.raised else ""
    return (
        f"{told}. On {figures.n:,} test articles it names {', '.join(named)}. Of {capped.labelled:,} that are capped by their "
        f"labels it caps {capped.right:,}, and {capped.predicted - capped.right:,} others{raised}. The error of the overall "
        f"score is {figures.head.overall_mae:.3f} so, {figures.overall_mae:.3f} without these caps, and "
        f"{figures.overall_mae_capped:.3f} with the labels' own types"
    )


def _shares(found: Found) -> str:
    if not found.labelled and not found.predicted:
        return "(none is there)"
    if not found.predicted:
        return f"(none of {found.labelled:,})"
    recall = "" if found.recall is None else f", recall {found.recall:.2f}"
    return f"(precision {found.precision:.2f}{recall}, {found.labelled:,} labelled)"


def read_caps(store: Store, flt: Filter, outputs: Mapping[str, Json]) -> CapFigures | None:
    """Work out what caps do, from what a run left in the store.

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
    named_types = table["content_type"].take(rows).to_pylist() if "content_type" in table.column_names else None
    return cap_figures(flt, scores(frame, flt.dimensions), predicted, frame["content_type"].to_pylist(), named_types)
