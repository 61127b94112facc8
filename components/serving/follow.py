"""Follows channels: what a promotion or a rollback points at serves some seconds later, without a dropped request.

The channel's etag is asked for every few seconds. Another adapter is loaded beside the one that serves, checked on its golden
texts, and takes over in one assignment; requests in flight finish with the one that they have. An adapter that can't be read or
fails its check leaves the old one in service: that is said in the log, in the metrics and where the server says it is ready.
It is tried again, ever more rarely, and at once when the channel moves on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from distillery.components.runtime.outside_errors import told
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.serving.metrics import Metrics
from distillery.components.serving.models import Model, Shelf, Target, load, pointed
from distillery.components.store import Store
from distillery.components.store.layout import channel_key
from distillery.filters.errors import one_line

EVERY_SECONDS = 5.0
RARELY_SECONDS = 300.0
LOADING_SECONDS = 20.0


class _Fault(NamedTuple):
    """Why a channel's adapter doesn't serve, the etag that was seen then, and when it is tried again."""

    why: str
    etag: str | None
    again: float
    pause: float


class Follower:
    """Keeps the models of a server at what their channels point at.

    Args:
        store: where channels and adapters are.
        targets: what is served; those that are named by a digest stay.
        shelf: the models that serve.
        metrics: told of swaps and failures.
        every: seconds between two looks at a channel.
        progress: told of swaps and failures, in a line each.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        store: Store,
        targets: Sequence[Target],
        shelf: Shelf,
        metrics: Metrics,
        *,
        every: float = EVERY_SECONDS,
        progress: Progress = quiet,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._shelf, self._metrics, self._clock = store, shelf, metrics, clock
        self._targets = [target for target in targets if target.channel]
        self._every, self._progress = every, progress
        self._etags, self._faults = dict[str, str | None](), dict[str, _Fault]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Begin to follow, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no longer; a model that is being loaded is waited for, a while."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(LOADING_SECONDS)

    def behind(self, name: str) -> str:
        """Return why the channel's adapter doesn't serve.

        Args:
            name: the filter's.

        Returns:
            One line; "" where it does.
        """
        fault = self._faults.get(name)
        return fault.why if fault else ""

    def look(self) -> None:
        """Look at each channel once, and let what it points at take over."""
        for target in self._targets:
            self._look(target)

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self.look()

    def _look(self, target: Target) -> None:
        name, etag = target.name, None
        fault, before = self._faults.get(name), self._shelf.get(name)
        assert before is not None  # the targets are those of the shelf
        try:
            etag = self._store.etag(channel_key(name, target.channel))
            if fault is None and name in self._etags and etag == self._etags[name]:
                return
            if fault is not None and etag == fault.etag and self._clock() < fault.again:
                return
            wanted = pointed(self._store, target)
            model = before if wanted == before.pointed else load(self._store, target, wanted, self._progress, beside=before)
        except Exception as error:  # whatever a store or a bundle makes of it: what serves goes on
            self._failed(target, error, etag, fault)
            return
        self._etags[name] = etag
        self._faults.pop(name, None)
        self._metrics.caught_up(name)
        if model is not before:
            self._take_over(target, before, model)

    def _take_over(self, target: Target, before: Model, model: Model) -> None:
        self._shelf.swap(target.name, model)
        self._metrics.took_over(target.name, target.channel, model, before)
        self._progress.note(f"{target.name}: {model.adapter[:12]} serves, {model.plan}; before it {before.adapter[:12]}")

    def _failed(self, target: Target, error: Exception, etag: str | None, before: _Fault | None) -> None:
        why = one_line(str(told(error) or f"{type(error).__name__}: {error}"))[:500]
        same = before is not None and before.etag == etag
        pause = min(RARELY_SECONDS, 2 * before.pause) if before is not None and same else self._every
        self._faults[target.name] = _Fault(why, etag, self._clock() + pause, pause)
        self._metrics.failed(target.name)
        if before is None or before.why != why:
            serving = self._shelf.get(target.name)
            kept = f"; {serving.adapter[:12]} goes on serving" if serving else ""
            self._progress.note(f"{target.name}: the adapter of channel {target.channel} can't be served: {why}{kept}")
