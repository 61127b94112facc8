"""Figures for Prometheus, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from distillery.components.serving.models import Model

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ARTICLES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """What a server counts."""

    TYPE = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("distillery_requests", "Requests answered", ["route", "status"], **own)
        self.seconds = Histogram(
            "distillery_request_seconds", "From the head of a request to its answer", ["route"], buckets=SECONDS, **own
        )
        self.articles = Counter("distillery_articles", "Articles answered", ["filter", "outcome"], **own)
        self.turns = Histogram("distillery_turn_articles", "Articles scored together", buckets=ARTICLES, **own)
        self.turn_seconds = Histogram("distillery_turn_seconds", "Seconds of a turn", buckets=SECONDS, **own)
        self.waiting = Gauge("distillery_queued_articles", "Articles that wait", **own)
        self.held = Gauge("distillery_held_bytes", "Bytes of requests that are not answered yet", **own)
        self.serving = Gauge(
            "distillery_adapter_info", "The adapter that serves", ["filter", "channel", "adapter", "plan"], **own
        )
        self.swaps = Counter("distillery_swaps", "Adapters that were to take over", ["filter", "outcome"], **own)
        self.behind = Gauge("distillery_behind_channel", "1 while the channel's adapter can't be served", ["filter"], **own)

    def turned(self, articles: int, seconds: float) -> None:
        """Count a turn.

        Args:
            articles: scored together.
            seconds: that it took.
        """
        self.turns.observe(articles)
        self.turn_seconds.observe(seconds)

    def answered(self, model: Model, answers: Sequence[dict[str, Any]]) -> None:
        """Count articles that were answered.

        Args:
            model: what scored them.
            answers: of the articles.
        """
        refused = sum(answer["prefiltered"] is not None for answer in answers)
        for outcome, number in (("prefiltered", refused), ("scored", len(answers) - refused)):
            self.articles.labels(model.filter.name, outcome).inc(number)

    def took_over(self, name: str, channel: str, model: Model, before: Model | None = None) -> None:
        """Note which adapter serves.

        Args:
            name: the filter's.
            channel: the channel that it follows; "" for none.
            model: what serves now.
            before: what served until now; None at the start.
        """
        if before is not None:
            self.serving.remove(name, channel, before.adapter, before.plan)
            self.swaps.labels(name, "done").inc()
        self.serving.labels(name, channel, model.adapter, model.plan).set(1)
        self.caught_up(name)

    def caught_up(self, name: str) -> None:
        """Note that what serves is what the channel points at.

        Args:
            name: the filter's.
        """
        self.behind.labels(name).set(0)

    def failed(self, name: str) -> None:
        """Note that the channel's adapter can't be served.

        Args:
            name: the filter's.
        """
        self.swaps.labels(name, "failed").inc()
        self.behind.labels(name).set(1)

    def exposition(self, now: Callable[[], tuple[int, int]]) -> bytes:
        """Return all figures in Prometheus' text form.

        Args:
            now: says how many articles wait, and how many bytes are held.

        Returns:
            The text.
        """
        waiting, held = now()
        self.waiting.set(waiting)
        self.held.set(held)
        return generate_latest(self.registry)
