"""Measures how fast a student reads articles on this machine, and how much memory that takes.

Alone is what a request waits for that comes by itself; together is what a corpus is scored at. Both begin with the text, and
both come after a first article, which builds the model.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from distillery.components.artifacts.measurement import Measurement, note_measurement
from distillery.components.artifacts.serving import Plan
from distillery.components.runtime.machine import forget_peak, machine_class, peak_memory_mb, peak_since
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Conflict, NotFound, Store, StoreError, not_read
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.components.student.student import Student
    from distillery.filters.filter import Filter

ALONE: Final = 32  # articles read one at a time, and
SECONDS: Final = 5.0  # none after so many, so that a large student costs a benchmark little
TOGETHER: Final = 500  # articles of a test part that `distillery measure` reads


class Alone:
    """Measure what articles take that are read one at a time.

    Args:
        student: the student.
        texts: (title, content) pairs, at least one; the first ALONE are read, fewer where that takes longer than SECONDS.
        own_process: False where the process has done other work before, which its memory would tell of.
    """

    def __init__(self, student: Student, texts: Sequence[tuple[str, str]], *, own_process: bool) -> None:
        student.predict(texts[:1])
        told = forget_peak() and own_process
        self.milliseconds: list[float] = []
        for text in texts[:ALONE]:
            began = time.perf_counter()
            student.predict([text])
            self.milliseconds.append((time.perf_counter() - began) * 1000)
            if sum(self.milliseconds) > SECONDS * 1000:
                break
        self.memory = peak_since() if told else None
        self._own_process = own_process

    def measurement(self, plan: Plan, texts: Sequence[tuple[str, str]], seconds: float) -> Measurement:
        """Return the measurement.

        Args:
            plan: how the student is served.
            texts: what was read together.
            seconds: that it took.

        Returns:
            What is to be noted.
        """
        gpu = None
        if plan.device == "cuda":
            import torch

            gpu = round(torch.cuda.max_memory_allocated() / 2**20)
        return Measurement(
            machine=machine_class(plan.device),
            plan=plan,
            at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            articles=len(texts),
            words=round(float(np.mean([len(f"{title} {content}".split()) for title, content in texts])), 1),
            articles_per_second=_rounded(len(texts) / max(seconds, 1e-6)),
            alone=len(self.milliseconds),
            latency_ms=_rounded(float(np.percentile(self.milliseconds, 50))),
            latency_p95_ms=_rounded(float(np.percentile(self.milliseconds, 95))),
            memory_mb=self.memory,
            peak_memory_mb=peak_memory_mb() if self._own_process else None,
            gpu_memory_mb=gpu,
        )


def _rounded(value: float) -> float:
    """Return a figure at four digits, above 0."""
    return float(f"{max(value, 1e-3):.4g}")


def own_process() -> bool:
    """True if this process has loaded no student yet, so that its memory is the one's that it opens now.

    Returns:
        Whether torch is not loaded.
    """
    return "torch" not in sys.modules


def texts_of(table: pa.Table) -> list[tuple[str, str]]:
    """Return the texts of articles as a student reads them.

    Args:
        table: with columns title and content.

    Returns:
        (title, content) pairs.
    """
    return list(zip(*(table[name].fill_null("").to_pylist() for name in ("title", "content")), strict=True))


def measure(store: Store, flt: Filter, adapter: str, *, count: int = TOGETHER, progress: Progress = quiet) -> Measurement:
    """Measure an adapter on this machine, in the plan in which it serves here, and keep that.

    It reads articles of its test part, over and over where they are fewer; where that isn't in this store, its golden texts.

    Args:
        store: where it is.
        flt: the filter that it serves.
        adapter: digest of the adapter.
        count: articles that are read together.
        progress: told how far it is.

    Returns:
        The measurement.

    Raises:
        InputError: there is no such adapter, or it is damaged.
    """
    alone_in_it = own_process()
    from distillery.components.student.bundle import check_golden, open_bundle
    from distillery.components.student.devices import serving_plan

    plan = serving_plan(store, flt.name, adapter, flt.spec.student, progress)
    student = open_bundle(store, flt.name, adapter, flt=flt, plan=plan)
    check_golden(student)
    texts = _some_texts(store, student, count, progress)
    alone = Alone(student, texts, own_process=alone_in_it)
    began = time.perf_counter()
    student.predict(texts, progress)
    measured = alone.measurement(plan, texts, time.perf_counter() - began)
    note_measurement(store, flt.name, adapter, measured)
    return measured


def _some_texts(store: Store, student: Student, count: int, progress: Progress) -> list[tuple[str, str]]:
    """Return so many articles: of the student's test part, or its golden texts, repeated where they are fewer."""
    from distillery.components.artifacts.split import load_split

    try:
        texts = texts_of(load_split(store, student.facts.split).test)[:count]
    except (InputError, NotFound) as error:
        if not_read(error):
            raise
        progress.note(f"its test part can't be read, so golden texts are read instead ({error})")
        texts = []
    texts = texts or list(student.golden[0])
    return [texts[at % len(texts)] for at in range(count)]


def note_in_passing(store: Store, name: str, adapter: str, measured: Measurement, progress: Progress) -> None:
    """Keep a measurement beside other work, which does not fail for it.

    Args:
        store: where it goes.
        name: name of the filter.
        adapter: digest of the adapter.
        measured: the measurement.
        progress: told where it can't be kept.
    """
    try:
        note_measurement(store, name, adapter, measured)
    except (StoreError, Conflict) as error:
        progress.note(f"how fast it read is not kept: {error}")
