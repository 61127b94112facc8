"""The adapter in use, predicted on the same articles.

If it is gone, damaged or can't be compared, the benchmark names it with the reason and no figures, so that a gate on it fails;
leaving it out would let any student replace it. A store that fails, or a base model that can't be had here, is no fault of the
incumbent's: there is no benchmark then, since a stored one would be reused.
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
from distillery.components.store import NotFound, Store, not_read
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Incumbent:
    """The adapter in use, by digest, with its predictions for n test articles.

    predictions: (n, D'), in the order of `dimensions`; None where it can't be compared, and `reason` says why.
    types: the content type that it names of each; None where it names none.
    seen: how many of the test articles were in its own training part; None if unknown.
    """

    adapter: str
    dimensions: list[str]
    predictions: Floats | None
    seen: int | None
    reason: str = ""
    types: list[str | None] | None = None


def current_incumbent(store: Store, flt: Filter, adapter: str) -> str | None:
    """Return the adapter to compare with: the one that the filter's channel points at.

    If that is `adapter` itself, it is the one that `adapter` replaced, so that a run repeated after its promotion has the
    inputs it had before and redoes nothing.

    Args:
        store: where the channel is.
        flt: the filter.
        adapter: digest of the adapter to be judged.

    Returns:
        Its digest; None where the channel points at nothing, or `adapter` replaced nothing.

    Raises:
        InputError: the channel can't be read.
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
    """Return the incumbent with its predictions for the test part.

    Args:
        store: where its bundle and predictions are.
        flt: the filter.
        incumbent: digest of the adapter in use; None where there is none.
        test: digest of the test part.
        frame: the articles of the test part.
        progress: told how far it is.

    Returns:
        None where there is no incumbent.

    Raises:
        InputError: what it takes could not be read, for now, or the incumbent's base model can't be had on this machine.
    """
    from distillery.components.student.resolve import NotHere

    if incumbent is None:
        return None
    try:
        about = about_bundle(store, flt.name, incumbent)
        record = predict(store, flt, incumbent, test, lambda: frame, progress=progress)
        predictions = aligned(read_predictions(store, incumbent, test, record.outputs["predictions"]), frame)
    except NotHere as error:
        what = f"can't be compared with {incumbent[:12]}, which serves: {error.what}"
        raise InputError(what, where=error.where, hint=error.hint) from error
    except (InputError, NotFound) as error:
        if not_read(error):  # else a disk that fails once would be the incumbent's fault, and recorded as such
            raise
        progress.note(f"the incumbent {incumbent[:12]} can't be compared: {error}")
        return Incumbent(incumbent, [], None, None, str(error))
    try:
        seen = count_seen(load_split(store, about.student.split).train, frame)
    except (InputError, NotFound) as error:
        if not_read(error):
            raise
        seen = None  # its split was cleaned away
    return Incumbent(incumbent, predictions.dimensions, predictions.scores, seen, types=predictions.types)
