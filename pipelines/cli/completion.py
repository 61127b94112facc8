"""What a shell completes: filters, profiles, keys, metrics, and what is there in a store, which is only read.

A completion never fails, prints nothing of its own, and gives up after four seconds: a store may be far away. Each takes what
is typed so far, and returns the values, or (value, what it is) where the shell shows both.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from distillery.components.store import Store

Values = list[tuple[str, str]]
SECONDS: Final = 4.0
DIGITS: Final = 12  # of a digest, as tables show it


def _completed(values: Callable[[], Iterable[tuple[str, str]]], incomplete: str) -> Values:
    """Return the values that begin as typed, as far as they can be had in time."""
    found: Values = []

    def work() -> None:
        with suppress(BaseException):  # a shell must not show why
            found.extend(pair for pair in values() if pair[0].startswith(incomplete))

    thread = threading.Thread(target=work, daemon=True)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        thread.start()
        thread.join(SECONDS)
    return list(found)


def _store(ctx: typer.Context) -> Store:
    from distillery.components.store import open_store
    from distillery.pipelines.cli.options import store_uri

    return open_store(store_uri(ctx.params.get("store") or None), write=False)


def _filter_name(ctx: typer.Context) -> str:
    """Return the name of the filter that is typed already, empty for any; to compile its patterns would take too long."""
    from distillery.filters.document import read_document
    from distillery.filters.errors import InputError
    from distillery.filters.loading import find_filter, read_text

    # An option whose value is still to be typed ends the parsing, and leaves the arguments where they are.
    typed = ctx.params.get("filter") or ctx.params.get("subject") or next(iter(ctx.args), "")
    try:
        path, named = find_filter(typed)
        return named[0] if named else str(read_document(read_text(path, typed), typed).value["metadata"]["name"])
    except (InputError, LookupError, TypeError):
        return ""


def _filters() -> Values:
    from distillery.filters.loading import list_filters

    known = list_filters()
    names = dict.fromkeys(name for name, _ in known)
    return [*((name, "filter") for name in names), *((f"{name}/v{version}", "filter") for name, version in known)]


def _adapters(ctx: typer.Context) -> Values:
    from distillery.components.store.layout import ADAPTERS, adapters_folder

    store, name = _store(ctx), _filter_name(ctx)
    names = [name] if name else list(store.folders(ADAPTERS))
    return [(digest[:DIGITS], f"adapter of {name}") for name in names for digest in store.folders(adapters_folder(name))]


def _channels(ctx: typer.Context) -> list[tuple[str, str]]:
    """Return filter and channel of each channel, of the filter that is typed where one is."""
    from distillery.components.store.layout import CANDIDATE, CHANNELS

    name, found = _filter_name(ctx), list[tuple[str, str]]()
    for entry in _store(ctx).entries(CHANNELS):
        _, filter, *rest = entry.key.split("/")
        if len(rest) == 1 and rest[0].endswith(".json") and name in ("", filter):
            found.append((filter, rest[0].removesuffix(CANDIDATE).removesuffix(".json")))
    return sorted(set(found))


def filters(incomplete: str) -> Values:
    """Return filters by name and by name/vN.

    Args:
        incomplete: what is typed.

    Returns:
        The values.
    """
    return _completed(lambda: [pair for pair in _filters() if "/" in incomplete or "/" not in pair[0]], incomplete)


def adapters(ctx: typer.Context, incomplete: str) -> Values:
    """Return the adapters of the store, of the filter where one is typed.

    Args:
        ctx: the command so far.
        incomplete: what is typed.

    Returns:
        The values.
    """
    return _completed(lambda: _adapters(ctx), incomplete)


def filters_and_adapters(ctx: typer.Context, incomplete: str) -> Values:
    """Return filters, then adapters of the store.

    Args:
        ctx: the command so far.
        incomplete: what is typed.

    Returns:
        The values.
    """
    return [*filters(incomplete), *adapters(ctx, incomplete)]


def candidates(ctx: typer.Context, incomplete: str) -> Values:
    """Return the adapters that wait for approval.

    Args:
        ctx: the command so far.
        incomplete: what is typed.

    Returns:
        The values.
    """

    def values() -> Values:
        from distillery.components.artifacts.channel import read_channel

        store = _store(ctx)
        return [
            (candidate.adapter[:DIGITS], f"waits on {filter}/{channel}")
            for filter, channel in _channels(ctx)
            for candidate in read_channel(store, filter, channel, lenient=True).channel.candidates
        ]

    return _completed(values, incomplete)


def channels(ctx: typer.Context, incomplete: str) -> Values:
    """Return the channels of the store and the one that the filter names.

    Args:
        ctx: the command so far.
        incomplete: what is typed.

    Returns:
        The values.
    """
    return _completed(lambda: [(channel, f"channel of {filter}") for filter, channel in _channels(ctx)], incomplete)


def profiles(incomplete: str) -> Values:
    """Return the profiles that `--profile` knows.

    Args:
        incomplete: what is typed.

    Returns:
        The values.
    """

    def values() -> Values:
        from distillery.filters.loading import list_profiles

        return [(name, "profile") for name in list_profiles()]

    return _completed(values, incomplete)


def metrics(incomplete: str) -> Values:
    """Return the metrics that a gate may judge.

    Args:
        incomplete: what is typed.

    Returns:
        The values.
    """

    def values() -> Values:
        from distillery.filters.metrics import METRICS

        return [(name, metric.meaning) for name, metric in METRICS.items()]

    return _completed(values, incomplete)


def paths(incomplete: str) -> Values:
    """Return the keys of a filter one level below what is typed.

    Args:
        incomplete: what is typed.

    Returns:
        The values.
    """

    def values() -> Values:
        from distillery.filters.explain import explain

        above, dot, _ = incomplete.rpartition(".")
        return [(f"{above}{dot}{key.name}{'.' if key.keys else ''}", key.description) for key in explain(above).keys]

    return _completed(values, incomplete)


def settings(incomplete: str) -> Values:
    """Return what `--set` takes: keys below spec, and after the sign the values that a key may have.

    Args:
        incomplete: what is typed.

    Returns:
        The values.
    """

    def values() -> Values:
        from distillery.filters.explain import explain
        from distillery.filters.metrics import METRICS

        path, equals, _ = incomplete.partition("=")
        if equals:
            key = explain(path)
            choices = [*METRICS] if key.path == "spec.gates[].metric" else key.choices
            return [(f"{path}={choice}", key.description) for choice in choices]
        above, dot, _ = path.rpartition(".")
        return [(f"{above}{dot}{key.name}{'.' if key.keys else '='}", key.description) for key in explain(f"spec.{above}").keys]

    return _completed(values, incomplete)


def marks(incomplete: str) -> Values:
    """Return what `--marks` knows beside files.

    Args:
        incomplete: what is typed.

    Returns:
        The values.
    """
    return _completed(
        lambda: [("reference", "scores that came with the articles"), ("prefilter", "the filter's own")], incomplete
    )


def things(ctx: typer.Context, incomplete: str) -> Values:
    """Return the names of what is of the kind that is typed.

    Args:
        ctx: the command so far.
        incomplete: what is typed.

    Returns:
        The values.
    """

    def values() -> Values:
        kind = str(ctx.params.get("kind") or "").removesuffix("s")
        if kind == "adapter":
            return _adapters(ctx)
        if kind == "channel":
            return [(f"{filter}/{channel}", "channel") for filter, channel in _channels(ctx)]
        from distillery.pipelines.inventory.kinds import kind_of, list_things, short_name

        return [(short_name(row), str(row.get("filter") or kind)) for row in list_things(_store(ctx), kind_of(kind))]

    return _completed(values, incomplete)
