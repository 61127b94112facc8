"""The figures parse as Prometheus reads them; a server that goes down answers what is in flight."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from distillery.components.serving.app import Service
from distillery.components.serving.batching import Batcher
from distillery.components.serving.models import Shelf
from distillery.components.store import Store
from tests.serving.made import Client, Running, loaded, running

TEXT = "a village builds a cheap wind turbine"


def figures(client: Client) -> dict[str, float]:
    answer = client.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = dict[str, float]()
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_figures_are_those_of_what_was_asked(client: Client, service: Service) -> None:
    model = service.model("demo")
    service.metrics.took_over("demo", "production", model)
    client.score(TEXT, "a casino by the river", TEXT)
    client.ask("POST", "/score", b"{")
    client.ask("GET", "/v2/models/other")
    found = figures(client)
    assert found["distillery_requests_total{route=/score,status=200}"] == 1
    assert found["distillery_requests_total{route=/score,status=400}"] == 1
    assert found["distillery_requests_total{route=/v2/models/{name},status=404}"] == 1
    assert found["distillery_articles_total{filter=demo,outcome=scored}"] == 2
    assert found["distillery_articles_total{filter=demo,outcome=prefiltered}"] == 1
    assert found["distillery_request_seconds_count{route=/score}"] == 2
    assert (found["distillery_queued_articles{}"], found["distillery_held_bytes{}"]) == (0, 0)
    info = f"distillery_adapter_info{{adapter={model.adapter},channel=production,filter=demo,plan={model.plan}}}"
    assert found[info] == 1


class Held(Batcher):
    """Begins no turn before it is told to."""

    go = threading.Event()

    def _next(self) -> list[Any]:
        turn = super()._next()
        assert self.go.wait(20)
        return turn


def begin(server: Running) -> tuple[threading.Thread, list[Any]]:
    """Ask in a thread; return it, and where the reply goes."""
    replies = list[Any]()
    thread = threading.Thread(target=lambda: replies.append(server.client().score(TEXT)), daemon=True)
    thread.start()
    return thread, replies


def test_a_server_that_goes_down_answers_what_is_in_flight_and_takes_no_more(store: Store) -> None:
    Held.go = threading.Event()
    service = Service(Shelf({"demo": loaded(store)}), Held(wait=0.0))
    with running(service) as server:
        service.draining = lambda: server.server.should_exit
        threads = [begin(server) for _ in range(3)]
        while service.bodies.held == 0:
            time.sleep(0.005)
        time.sleep(0.1)
        probe = server.client()
        assert probe.ask("GET", "/v2/health/ready").status == 200
        server.server.should_exit = True
        assert service.ready()["ready"] is False
        time.sleep(0.3)
        with pytest.raises(OSError):  # noqa: PT011 - refused, or reset
            server.client().score(TEXT)
        Held.go.set()
        for thread, replies in threads:
            thread.join(20)
            assert replies[0].status == 200


def test_a_request_that_outlasts_the_grace_does_not_hold_the_server_up(store: Store) -> None:
    Held.go = threading.Event()
    service = Service(Shelf({"demo": loaded(store)}), Held(wait=0.0))
    with running(service, grace=1) as server:
        thread, _ = begin(server)
        while service.bodies.held == 0:
            time.sleep(0.005)
        began = time.monotonic()
        server.end()
        assert time.monotonic() - began < 10
        Held.go.set()
        thread.join(20)


def test_a_client_that_leaves_frees_its_place(store: Store) -> None:
    Held.go = threading.Event()
    service = Service(Shelf({"demo": loaded(store)}), Held(wait=0.0))
    with running(service) as server:
        begin(server)  # the turn that is held
        while service.bodies.held == 0:
            time.sleep(0.005)
        time.sleep(0.1)
        leaving = server.client()
        leaving.http.request("POST", "/score", b'{"articles": ["%s"]}' % TEXT.encode())
        while service.batcher.waiting == 0:
            time.sleep(0.005)
        leaving.http.close()
        while service.bodies.held > 100:
            time.sleep(0.005)
        Held.go.set()
    assert service.batcher.waiting == 0
    assert service.bodies.held == 0
