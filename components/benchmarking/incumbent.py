"""The adapter in production, judged on the same articles.

One that can't be read or compared stays in the document with the reason and no figures, so that a gate on it fails;
passing it over would let any student replace it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.channel import current
from distillery.components.artifacts.split import load_split
from distillery.components.benchmarking.alarms import count_seen
from distillery.components.benchmarking.predict import about_bundle, aligned, predict, read_predictions
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import NotFound, Store
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Incumbent:
    """predictions: (n, D'), in the order of `dimensions`; None where it can't be compared, and `reason` says why.

    seen: how many of the test articles were in its own training part; None if unknown.
    """

    adapter: str
    dimensions: list[str]
    predictions: Floats | None
    seen: int | None
    reason: str = ""


def current_incumbent(store: Store, flt: Filter, adapter: str) -> str | None:
    """Digest of the adapter to be compared with `adapter`: what the channel points at, None if it points at nothing.

    Where it points at `adapter` itself, the one that `adapter` replaced, so that a run repeated after its promotion has
    the inputs it had before and redoes nothing. InputError: the channel can't be read.
    """
    pointer = current(store, flt.name, flt.spec.promotion.channel)
    if pointer is None or pointer.adapter != adapter:
        return pointer.adapter if pointer else None
    history = pointer.history  # newest first
    mine = next((at for at, entry in enumerate(history) if entry.action == "promote" and entry.adapter == adapter), None)
    return None if mine is None or mine + 1 == len(history) else history[mine + 1].adapter


def compare_with(
    store: Store, flt: Filter, incumbent: str | None, test: str, frame: pa.Table, progress: Progress = quiet
) -> Incumbent | None:
    """The incumbent's predictions for the articles of `frame`, the test part of digest `test`."""
    if incumbent is None:
        return None
    try:
        about = about_bundle(store, flt.name, incumbent)
        record = predict(store, flt.name, incumbent, test, lambda: frame, progress=progress)
        found = aligned(read_predictions(store, incumbent, test, record.outputs["predictions"]), frame)
    except (InputError, NotFound) as error:
        progress.note(f"the incumbent {incumbent[:12]} can't be compared: {error}")
        return Incumbent(incumbent, [], None, None, str(error))
    try:
        seen = count_seen(load_split(store, about.student["split"]).train, frame)
    except (InputError, NotFound):
        seen = None  # its split was cleaned away
    return Incumbent(incumbent, found.dimensions, found.scores, seen)
