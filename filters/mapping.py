"""Mapping files: what the columns, dimensions and scales of people's labels are here, in a file beside the labels.

A mapping file is a part of a filter's `data`, in the same words and read by the same model, so that there is one way to say it:

    columns: {headline: title, verdict.scores: scores}
    dimensions: {climate: climate_impact}
    scale: [0, 100]
    scales: {climate_impact: [1, 5]}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from distillery.filters.columns import setting
from distillery.filters.document import Document, read_document
from distillery.filters.errors import InputError
from distillery.filters.expressions import nearest
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter, read_text, shown_path

KEYS: Final = ("columns", "dimensions", "scale", "scales")
EXAMPLE: Final = "write columns, dimensions, scale or scales, such as scale: [0, 100]"


def mapping_overrides(
    path: str, filter: str, *, overrides: Sequence[str] = (), profile: str = "", load: Callable[..., Filter] = load_filter
) -> tuple[str, ...]:
    """Return the settings of a filter that a mapping file stands for, checked against the filter.

    Args:
        path: The file; empty for none.
        filter: The filter, as `load` finds it.
        overrides: Other settings of the filter.
        profile: A named set of settings; empty for none.
        load: Loads a filter from wherever it may be, as `load_filter` does from a file.

    Returns:
        Overrides, each "data.columns.column=name", "data.scale=[0, 100]" or alike.

    Raises:
        InputError: The file can't be read or says what the filter can't have, and the error names its line; or the filter is at
            fault.
    """
    if not path:
        return ()
    document = read_mapping(path)
    load(filter, overrides=overrides, profile=profile, mapping=document)
    return settings_of(document)


def read_mapping(path: str) -> Document:
    """Read a mapping file.

    Args:
        path: The file.

    Returns:
        The document, whose keys are known.

    Raises:
        InputError: It can't be read, is not plain YAML, or has another key.
    """
    where = shown_path(Path(path).expanduser())
    if not (text := read_text(Path(path).expanduser(), where)).strip():
        raise InputError("says nothing", where=where, hint=EXAMPLE)
    document = read_document(text, where)
    if not isinstance(document.value, dict):
        raise InputError("is no mapping file", where=where, hint=EXAMPLE)
    for key in document.value:
        if key not in KEYS:
            raise InputError(f'unknown key "{key}"', where=document.places[(key,)], hint=f"{nearest(key, KEYS)}; {EXAMPLE}")
    return document


def settings_of(document: Document) -> tuple[str, ...]:
    """Return the settings that a mapping file stands for.

    Args:
        document: The file, checked against a filter.

    Returns:
        Overrides of the filter.
    """
    settings: list[str] = []
    for section, value in document.value.items():
        if isinstance(value, dict):
            settings += [setting(section, name, inner) for name, inner in value.items()]
        elif value is not None:
            settings.append(f"data.{section}={value}")
    return tuple(settings)
