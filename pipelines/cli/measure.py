"""`distillery measure`: how fast an adapter is on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from distillery.pipelines.cli.options import ChannelOpt, JsonOpt, StoreOpt, SubjectArg, open_existing, require_filter
from distillery.pipelines.cli.printing import print_json, short

if TYPE_CHECKING:
    from distillery.components.artifacts.measurement import Measurement

app = typer.Typer()


@app.command()
def measure(
    subject: SubjectArg,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, max=100_000, help="articles that are read together")
    ] = 500,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Measure how fast an adapter reads articles on this machine, and how much memory that takes."""
    from distillery.components.runtime.extras import STUDENT, require

    require_filter(subject, channel)
    require(STUDENT)
    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.benchmarking.measuring import measure as work
    from distillery.components.runtime.progress import reporter

    opened = open_existing(store, write=True)
    found = find_adapter(opened, subject, channel=channel, here=True)
    measured = work(opened, found.filter, found.adapter, count=count, progress=reporter("measure"))
    if as_json:
        print_json({"filter": found.filter.name, "adapter": found.adapter, **measured.to_json()})
        return
    print(f"{found.filter.name} {short(found.adapter)}")
    for name, value in told(measured):
        print(f"{name:<12}{value}")


def told(measured: Measurement) -> list[tuple[str, str]]:
    """Return a measurement in words.

    Args:
        measured: the measurement.

    Returns:
        Names and values.
    """
    sizes = ((measured.memory_mb, "at one article at a time"), (measured.peak_memory_mb, "at most, loading and many articles"))
    memory = [f"{size:,} MB {what}" for size, what in sizes if size is not None]
    memory += [f"{measured.gpu_memory_mb:,} MB of the GPU's"] if measured.gpu_memory_mb is not None else []
    return [
        ("machine", f"{measured.machine}: {measured.plan}"),
        ("alone", f"{measured.latency_ms:,.4g} ms an article, 19 in 20 within {measured.latency_p95_ms:,.4g} ms"),
        ("together", f"{measured.articles_per_second:,.4g} articles/s ({measured.words:,.0f} words each)"),
        *([("memory", "; ".join(memory))] if memory else []),
    ]
