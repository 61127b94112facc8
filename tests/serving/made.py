"""A store with promoted tiny students, a server of them in this process, and clients."""

from __future__ import annotations

import dataclasses
import http.client
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from distillery.components.artifacts.channel import Entry
from distillery.components.artifacts.filter import publish_filter
from distillery.components.promotion.move import change
from distillery.components.serving.app import Service, build
from distillery.components.serving.models import Model, Target, load, pointed
from distillery.components.serving.server import Server, bound, serve
from distillery.components.store import Digest, Store
from distillery.components.student.bundle import Student, save_bundle
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text

TEXT = """\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata: {name: demo}
spec:
  version: 3
  description: A filter for tests.
  scope: {judge: Whether a technology helps.}
  dimensions:
    - {name: reach, weight: 0.5, description: How many people it reaches.}
    - {name: proof, weight: 0.3, description: How well it is shown.}
    - {name: cost, weight: 0.2, description: How little it costs.}
  tiers: [{name: high, when: "overall >= 1.36"}, {name: medium, when: "overall >= 1.3"}, {name: low}]
  gatekeepers: [{when: "reach < 1.42", cap: 1.25, because: it reaches nobody}]
  prefilter: {minChars: 12, exclude: [casino]}
  oracle: {model: recorded}
  student: {baseModel: tiny/base}
  gates: [{metric: mae, below: 0.8}]
"""


def made_filter(name: str = "demo", old: str = "", new: str = "") -> Filter:
    assert old in TEXT
    return load_filter_text(TEXT.replace("{name: demo}", f"{{name: {name}}}").replace(old, new), "demo.yaml")


FILTER = made_filter()


def changed(student: Student, factor: float, *, golden: bool = True) -> Student:
    """Other weights; with golden predictions of their own, or beside those of the old ones."""
    tensors = {name: tensor * factor for name, tensor in student.tensors.items()}
    other = dataclasses.replace(student, tensors=tensors, _forward=None)
    if golden:
        other.golden = (student.golden[0], other.predict(student.golden[0]))
    return other


def stored(store: Store, student: Student, flt: Filter = FILTER) -> Digest:
    """Save a bundle for a filter; return the adapter's digest."""
    facts = student.facts.model_copy(update={"filter": flt.name})
    return save_bundle(store, flt.name, dataclasses.replace(student, facts=facts))


def point(store: Store, adapter: str, flt: Filter = FILTER, channel: str = "production") -> str:
    """Move a channel as a promotion does, without gates; return the adapter."""
    entry = Entry(
        adapter=adapter, verdict="0" * 64, filter=publish_filter(store, flt), action="promote", at="2026-01-01T00:00:00Z"
    )
    change(store, flt.name, channel, lambda now: now.moved(entry))
    return adapter


def loaded(store: Store, flt: Filter = FILTER) -> Model:
    target = Target(flt.name, "production")
    return load(store, target, pointed(store, target))


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to a server."""

    def __init__(self, port: int, timeout: float = 30) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self.http.request(method, path, data, headers or {})
        reply = self.http.getresponse()
        return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())

    def score(self, *articles: Any, **more: Any) -> Reply:
        return self.ask("POST", "/score", {"articles": list(articles), **more})


class Running(NamedTuple):
    port: int
    server: Server
    thread: threading.Thread

    def client(self, timeout: float = 30) -> Client:
        return Client(self.port, timeout)

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


@contextmanager
def running(service: Service, **more: Any) -> Iterator[Running]:
    """A server in a thread of this process."""
    opened, begun = bound("127.0.0.1", 0), queue.Queue[Server]()
    app = build(service)
    thread = threading.Thread(target=lambda: serve(app, opened, listening=begun.put, **more), daemon=True)
    thread.start()
    found = Running(opened.getsockname()[1], begun.get(timeout=20), thread)
    try:
        yield found
    finally:
        found.end()
        service.batcher.close()
