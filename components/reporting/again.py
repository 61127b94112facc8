"""The commands that do a run again: with its filter, settings, data and store, quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from distillery.components.store.address import Address, scheme_of
from distillery.filters.errors import OPTIONS

RESOLVED: Final = ("profile", "overrides")  # a published filter has them in it
CLUSTER: Final = ("trainer", "gpus")


def run_command(verb: str, request: Mapping[str, Any], filter_key: str) -> str:
    """Return the command that starts a run with the same arguments.

    Args:
        verb: distill, plan, or "submit distill".
        request: The run's arguments that are not left at their defaults, by the pipeline's names; with filter and store.
        filter_key: Key of the run's published filter, which is named where the run was given the text of one.

    Returns:
        A line for a shell.
    """
    text = "\n" in str(request.get("filter"))
    left_out = {"filter", *(RESOLVED if text else ()), *(() if verb.startswith("submit") else CLUSTER)}
    options = [
        word
        for parameter, value in request.items()
        if parameter not in left_out and parameter in OPTIONS
        for word in _words(parameter, value)
    ]
    return shlex.join(["distillery", *verb.split(), filter_of(request, filter_key), *options])


def filter_of(request: Mapping[str, Any], filter_key: str) -> str:
    """Return how a command names the filter of a run.

    Args:
        request: As for `run_command`.
        filter_key: Key of the run's published filter.

    Returns:
        What the run was given; the published filter's address where that was a text.
    """
    given = str(request.get("filter"))
    return f"{place(str(request.get('store') or ''))}/{filter_key}" if "\n" in given else given


def _words(parameter: str, value: Any) -> Iterator[str]:
    for each in value if isinstance(value, list | tuple) else [value]:
        yield from (OPTIONS[parameter], place(each) if parameter == "store" else str(each))


def place(store: str) -> str:
    """Return a store's address as a user types it: a file:// address as a path.

    Args:
        store: An address.

    Returns:
        A path or an address.
    """
    return str(Address.parse(store).local) if scheme_of(store) == "file" else store
