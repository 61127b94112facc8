"""What Prometheus is told of the operator."""

from __future__ import annotations

from typing import Any

from distillery.pipelines.operator.reconcile import Pass


class Metrics:
    """Counters of passes and runs, and where each filter stands.

    Args:
        registry: Prometheus' registry; None for its default one.
    """

    def __init__(self, registry: Any = None) -> None:
        from prometheus_client import REGISTRY, Counter, Gauge, Histogram

        registry = registry or REGISTRY
        names = ["namespace", "filter"]

        def metric(kind: Any, name: str, text: str, labels: list[str]) -> Any:
            return kind(f"distillery_{name}", text, labels, registry=registry)

        self.passes = metric(Histogram, "reconcile_seconds", "Seconds that one look at an object takes.", [])
        self.errors = metric(Counter, "reconcile_errors", "Looks that did not come to their end, by reason.", ["reason"])
        self.runs = metric(Counter, "runs", "Runs that have ended, by what they came to.", ["outcome"])
        self.verdicts = metric(Counter, "verdicts", "Verdicts of the gates.", ["verdict"])
        self.spend = metric(Gauge, "labels_usd", "US dollars that a filter's labels have cost.", names)
        self.mae = metric(Gauge, "test_mae", "Test MAE of a filter's latest student.", names)
        self.ready = metric(Gauge, "filter_ready", "1 where the channel serves what the object asks for.", names)
        self.drifted = metric(Gauge, "filter_drifted", "1 where the condition Drifted holds.", names)
        self.fresh = metric(Gauge, "new_articles", "Articles that have come to a filter and that no run is of.", names)
        self._counted: dict[str, str] = {}

    def take(self, passed: Pass, seconds: float) -> None:
        """Count one look.

        Args:
            passed: what it came to.
            seconds: that it took.
        """
        self.passes.observe(seconds)
        if passed.trouble:
            self.errors.labels(passed.trouble.reason).inc()
        status, (namespace, _, name) = passed.status, passed.object.partition("/")
        found = {row["type"]: row["status"] for row in status["conditions"]}
        self.ready.labels(namespace, name).set(found.get("Ready") == "True")
        self.drifted.labels(namespace, name).set(found.get("Drifted") == "True")
        if isinstance(status.get("usd"), int | float):
            self.spend.labels(namespace, name).set(status["usd"])
        if isinstance(status.get("mae"), int | float):
            self.mae.labels(namespace, name).set(status["mae"])
        if isinstance(status.get("newArticles"), int):
            self.fresh.labels(namespace, name).set(status["newArticles"])
        run = passed.ended
        if run is not None and self._counted.get(passed.object) != run.id:
            self._counted[passed.object] = run.id
            self.runs.labels(run.outcome).inc()
            if run.decision:
                self.verdicts.labels("rejected" if run.decision == "reject" else "passed").inc()

    def forget(self, object: str) -> None:
        """Tell no more of an object that was deleted.

        Args:
            object: the object, as "namespace/name".
        """
        namespace, _, name = object.partition("/")
        for gauge in (self.spend, self.mae, self.ready, self.drifted, self.fresh):
            gauge.remove_by_labels({"namespace": namespace, "filter": name})
