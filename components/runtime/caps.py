"""What a user who scores is told of caps of content types."""

from __future__ import annotations

from distillery.components.artifacts.adapter import find_summary
from distillery.components.artifacts.bundle import CONTENT_TYPES, bundle_folder
from distillery.components.artifacts.content_caps import caps_told, read_caps
from distillery.components.runtime.progress import Progress
from distillery.components.store import NotFound, Store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter


def tell_caps(store: Store, flt: Filter, adapter: str, progress: Progress) -> None:
    """Say whether caps are applied to scores, and what that did on the test part of the run that made the adapter.

    Args:
        store: where the run left its predictions and its split; what can't be read there costs the figure alone.
        flt: the filter.
        adapter: digest of the adapter.
        progress: gets a note; none for a filter without content types.
    """
    if not flt.content_types:
        return
    try:
        figures = read_caps(store, flt, find_summary(store, adapter).outputs)
    except (InputError, NotFound):
        figures = None
    try:
        head = CONTENT_TYPES in bundle_folder(store, flt.name, adapter).files
    except InputError:  # whoever opens it says so
        head = False
    progress.note(caps_told(flt, figures, head=head))
