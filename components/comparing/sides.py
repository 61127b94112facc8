"""The sides of a comparison: of each its filter, its adapter and what it predicted for its test part, read from the store.

Nothing is predicted here. A side without stored test predictions is refused with the command that makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from distillery.components.artifacts.adapter import filter_key_of
from distillery.components.artifacts.bundle import HISTORY, HistoryFile, bundle_folder, require_dimensions
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.folder_meta import LabelSetMeta, SplitMeta
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.benchmarking.predict import About, about_bundle, read_predictions
from distillery.components.store import NotFound, Store, as_digest, not_read
from distillery.components.store.layout import LABEL_SETS, SPLITS
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

T = TypeVar("T")


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        store: where its artifacts are.
        name: as the user named it.
        filter: under which it was judged.
        outputs: of the steps that made and judged it, by name.
        about: what its bundle says.
    """

    store: Store
    name: str
    filter: Filter
    outputs: dict[str, Any]
    about: About

    @property
    def adapter(self) -> str:
        """Return the digest of its adapter."""
        return self.about.adapter

    @property
    def split(self) -> str:
        """Return the digest of the split that it was trained on."""
        return self.about.student.split

    @property
    def test(self) -> str:
        """Return the digest of its test part."""
        return str(self.outputs["test"])

    @cached_property
    def predictions(self) -> pa.Table:
        """Return its stored test predictions, with the labels."""
        return read_predictions(self.store, self.adapter, self.test, str(self.outputs["predictions"]))

    @cached_property
    def split_meta(self) -> SplitMeta | None:
        """Return what the manifest of its split says; None where the split was cleaned away."""
        return _unless_gone(lambda: SplitMeta.of(self.store.folder(SPLITS, as_digest(self.split))))

    @cached_property
    def labels(self) -> LabelSetMeta | None:
        """Return what the manifest of its label set says; None where it was cleaned away."""
        meta = self.split_meta
        return (
            None
            if meta is None
            else _unless_gone(lambda: LabelSetMeta.of(self.store.folder(LABEL_SETS, as_digest(meta.label_set))))
        )

    @cached_property
    def history(self) -> HistoryFile | None:
        """Return the epochs of its training; None where the bundle has none."""
        folder = bundle_folder(self.store, self.filter.name, self.adapter)
        return HistoryFile.read(folder.read(HISTORY), f"{folder.where}/{HISTORY}") if HISTORY in folder.files else None


def read_side(store: Store, name: str, summary: RunSummary) -> Side:
    """Return a side of a comparison.

    Args:
        store: where its artifacts are.
        name: as the user named it.
        summary: of the run that made or judged it.

    Returns:
        The side; its predictions are read when they are asked for.

    Raises:
        InputError: the run came to no adapter, or nothing was predicted for its test part.
        StoreError: an artifact was altered.
    """
    outputs = summary.outputs
    if summary.adapter is None:
        raise InputError(
            "came to no adapter", where=name, hint="compare runs that trained a student; see `distillery get runs`"
        )
    flt = read_filter(store, filter_key_of(summary))
    about = about_bundle(store, flt.name, summary.adapter)
    if not (outputs.get("predictions") and outputs.get("test")):
        hint = f"`distillery gate {flt.name} --labels FILE …` with its settings benchmarks it; what is done is reused"
        raise InputError("has no stored predictions for its test part", where=name, hint=hint)
    require_dimensions(about.student.dimensions, flt, about.where)
    return Side(store, name, flt, dict(outputs), about)


def require_different(sides: Sequence[Side]) -> None:
    """Raise where two sides are one adapter under one filter.

    Args:
        sides: of a comparison.

    Raises:
        InputError: two sides are the same.
    """
    seen = dict[tuple[str, str], str]()
    for side in sides:
        key = (side.adapter, str(side.outputs.get("filter_key")))
        if key in seen:
            what = f"{seen[key]} and {side.name} are one adapter, {side.adapter[:12]}, under one filter"
            raise InputError(what, hint="name two that differ; see `distillery get adapters`")
        seen[key] = side.name


def _unless_gone(read: Callable[[], T]) -> T | None:
    """Return what is read; None where it is gone or can't be read, unless the store is away."""
    try:
        return read()
    except (NotFound, InputError) as error:
        if not_read(error):
            raise
        return None
