"""How fast an adapter reads articles, and how much memory that takes, on the machines where it was measured.

It lies in a document of its own, since equal runs leave equal bytes: no benchmark and no verdict holds a time.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from distillery.components.artifacts.document import Document, Sha256
from distillery.components.artifacts.serving import Plan
from distillery.components.store import Store
from distillery.components.store.layout import measured_key

KEPT: Final = 50  # machines and plans of an adapter, the latest first

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Megabytes = Annotated[int, Field(ge=0)]


class Measurement(Document):
    """What was measured on a machine, in a plan of serving. Articles are read from text to score, tokenising included.

    Attributes:
        machine: its class, such as "AMD EPYC 9B14, 2 threads", or the name of its GPU.
        plan: device, precision and engine.
        at: UTC time.
        articles: how many were read together.
        words: of an article, on average.
        articles_per_second: read together.
        alone: how many articles were read one at a time.
        latency_ms: of an article that is read alone, the median.
        latency_p95_ms: nineteen in twenty take no longer.
        memory_mb: what the process holds at most while it reads one article at a time; None where it can't be told.
        peak_memory_mb: the same while it loads the student and reads many; None where it can't be told.
        gpu_memory_mb: of the GPU's, at most; None on a CPU.
    """

    machine: Annotated[str, Field(min_length=1, max_length=240)]
    plan: Plan
    at: str
    articles: Annotated[int, Field(ge=1)]
    words: Annotated[float, Field(ge=0)]
    articles_per_second: Positive
    alone: Annotated[int, Field(ge=1)]
    latency_ms: Positive
    latency_p95_ms: Positive
    memory_mb: Megabytes | None = None
    peak_memory_mb: Megabytes | None = None
    gpu_memory_mb: Megabytes | None = None

    @property
    def place(self) -> tuple[str, Plan]:
        """Return what a later measurement has in common with the one that it takes the place of."""
        return self.machine, self.plan


class Measurements(Document):
    """All measurements of an adapter, one for each machine and plan, the latest first.

    Attributes:
        filter: name of the filter.
        adapter: digest of the adapter.
        measurements: at most KEPT.
    """

    KIND: ClassVar[str] = "the measurements of an adapter"
    HINT: ClassVar[str] = "delete it, and measure again: `distillery measure FILTER`"

    format: Literal[1] = 1
    filter: str
    adapter: Sha256
    measurements: Annotated[list[Measurement], Field(max_length=KEPT)]


def read_measurements(store: Store, filter: str, adapter: str) -> list[Measurement]:
    """Return what was measured of an adapter.

    Args:
        store: where it is.
        filter: name of the filter.
        adapter: digest of the adapter.

    Returns:
        The measurements, the latest first; none where nobody measured.

    Raises:
        StoreError: they can't be read.
    """
    found = Measurements.versioned(store, measured_key(adapter))
    return found[0].measurements if found and found[0].filter == filter else []


def read_measurement(
    store: Store, filter: str, adapter: str, machine: str | None = None, precision: str | None = None
) -> Measurement | None:
    """Return the latest measurement of an adapter.

    Args:
        store: where it is.
        filter: name of the filter.
        adapter: digest of the adapter.
        machine: class of the machine; None for any.
        precision: fp32, bf16 or fp16; None for any.

    Returns:
        The measurement; None where there is none of these.

    Raises:
        StoreError: the measurements can't be read.
    """
    return next(
        (
            each
            for each in read_measurements(store, filter, adapter)
            if machine in (None, each.machine) and precision in (None, each.plan.precision)
        ),
        None,
    )


def note_measurement(store: Store, filter: str, adapter: str, measured: Measurement) -> None:
    """Keep a measurement, in the place of an earlier one of the same machine and plan.

    Args:
        store: where it goes.
        filter: name of the filter.
        adapter: digest of the adapter.
        measured: the measurement.

    Raises:
        StoreError: the measurements that are there can't be read, or the store can't be written.
    """

    def change(present: Measurements | None) -> Measurements:
        others = [each for each in present.measurements if each.place != measured.place] if present else []
        return Measurements(filter=filter, adapter=adapter, measurements=[measured, *others][:KEPT])

    Measurements.update(store, measured_key(adapter), change)
