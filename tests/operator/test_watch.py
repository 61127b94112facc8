"""The process with kopf's watch, against an API server over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.pipelines.operator.main import Operator, serve
from tests.operator.fake_api import FakeApi
from tests.operator.world import Town


def wait_for(test: Callable[[], object], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < until, "late"
        time.sleep(0.02)


def test_what_the_watch_tells_is_done_and_nothing_is_written_to_the_object_itself(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kopf logs in by the kubeconfig, needs no more rights than list and watch, and leaves annotations and finalizers alone."""
    value = town.objects.apply(town.text())
    with FakeApi(tmp_path) as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
        api.items.append({key: inner for key, inner in value.items() if key != "status"})
        operator, stop = Operator(town.world(), "distillery"), threading.Event()
        operator.resync = lambda: None  # type: ignore[method-assign]
        process = threading.Thread(target=serve, args=(operator,), kwargs={"liveness": "", "metrics_port": 0, "stop": stop})
        process.start()
        try:
            wait_for(lambda: town.kubeflow.runs)
            wait_for(lambda: api.streams)
            town.play("run-1")
            changed = town.objects.apply(town.text(("  gates:", "  training: {epochs: 4}\n  gates:")))
            api.tell("MODIFIED", {key: inner for key, inner in changed.items() if key != "status"})
            wait_for(lambda: len(town.kubeflow.runs) == 2)
            gone = town.objects.objects.pop(("distillery", "demo"))
            api.tell("DELETED", gone)
            wait_for(lambda: b'"withdrawn":true' in town.store.get("intents/demo/production.json").replace(b" ", b""))
        finally:
            stop.set()
            process.join(20)
        assert not process.is_alive()
        assert not [asked for asked in api.asked if not asked.startswith("GET")]
        assert not [asked for asked in api.asked if "customresourcedefinitions" in asked or asked.endswith("/namespaces")]
