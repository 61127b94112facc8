"""The operator as a process: a watch that says what changed, workers that look, a listing that misses nothing.

kopf keeps the watch; its low-level handlers write nothing to an object, neither annotations nor a finalizer, so an object can
always be deleted. What is to be done is worked out from store, Kubeflow and object each time, so it does not matter which event
led to it, or whether any did.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from distillery.components.remote.kubernetes import connection
from distillery.filters.errors import InputError, Stopped
from distillery.pipelines.operator.decide import IDLE
from distillery.pipelines.operator.kubernetes import PLURAL, SCORINGS
from distillery.pipelines.operator.metrics import Metrics
from distillery.pipelines.operator.queue import Key, Queue
from distillery.pipelines.operator.reconcile import Pass, World, reconcile, withdraw_the_deleted
from distillery.pipelines.operator.scoring import ScoringWorld, reconcile_scoring
from distillery.pipelines.operator.wanted import GROUP, VERSION, object_of

WORKERS: Final = 4
AGAIN: Final = 15.0  # seconds after which a look that the API server did not answer is made again


class Operator:
    """Looks at objects as they come due.

    Args:
        world: where to read and write.
        namespace: the namespace that is looked after; empty for all.
        metrics: told of each look; None for nobody.
    """

    def __init__(self, world: World | ScoringWorld, namespace: str = "", metrics: Metrics | None = None) -> None:
        self.world, self.namespace, self.metrics = world, namespace, metrics
        self.queue = Queue()
        self._seen: dict[Key, str] = {}
        self._ended = threading.Event()

    def changed(self, value: Mapping[str, Any], *, deleted: bool = False) -> None:
        """Take what a watch tells: look at an object whose spec or annotations are others than they were.

        Args:
            value: the object.
            deleted: True where it is gone.
        """
        metadata = value["metadata"]
        key = (str(metadata["namespace"]), str(metadata["name"]))
        mark = "" if deleted else _mark(value)
        if self._seen.get(key) != mark:  # else it is our own status that was written
            self._seen[key] = mark
            self.queue.add(key)

    def listed(self) -> list[dict[str, Any]]:
        """List the objects, have each looked at, and note which are gone.

        Returns:
            The objects.

        Raises:
            InputError: the API server or the store refuses.
            Stopped: one of them can't be reached.
        """
        values = self.world.objects.list()
        if isinstance(self.world, ScoringWorld):
            return values
        present = {object_of(value) for value in values}
        for gone in withdraw_the_deleted(self.world.store, present, self.world.now(), namespace=self.namespace):
            print(f"{gone}: was deleted; its runs promote nothing, and all data stay", file=sys.stderr)
            if self.metrics:
                self.metrics.forget(gone)
        return values

    def look(self, key: Key) -> Pass | None:
        """Look at one object now.

        Args:
            key: its namespace and name.

        Returns:
            What the pass came to; None where the object is gone, or the API server does not answer.
        """
        began = time.monotonic()
        try:
            value = self.world.objects.get(*key)
            passed = self._reconcile(value) if value else None
            if value is None:
                self.listed()
        except (InputError, Stopped) as error:  # of the API server: there is no status to write it to
            print(f"{'/'.join(key)}: {error}", file=sys.stderr)
            self.queue.add(key, AGAIN)
            return None
        if passed:
            self.queue.add(key, passed.seconds)
            if self.metrics:
                self.metrics.take(passed, time.monotonic() - began)
            for what in passed.done:
                print(f"{passed.object}: {what}", file=sys.stderr)
            if passed.trouble:
                print(f"{passed.object}: {passed.trouble.reason}: {passed.trouble.message}", file=sys.stderr)
        return passed

    def _reconcile(self, value: Mapping[str, Any]) -> Pass:
        return reconcile_scoring(self.world, value) if isinstance(self.world, ScoringWorld) else reconcile(self.world, value)

    def work(self) -> None:
        """Look at objects until the operator ends; one that can't be looked at stops no other."""
        while (key := self.queue.take()) is not None:
            try:
                self.look(key)
            except Exception as error:
                print(f"{'/'.join(key)}: a fault of the operator: {type(error).__name__}", file=sys.stderr)
                self.queue.add(key, IDLE)
            finally:
                self.queue.done(key)

    def resync(self) -> None:
        """List the objects now and then, whatever the watch tells."""
        while not self._ended.is_set():
            pause = IDLE
            try:
                for value in self.listed():
                    self.changed(value)
            except (InputError, Stopped) as error:
                print(f"the objects can't be listed: {error}", file=sys.stderr)
                pause = AGAIN
            except Exception as error:
                print(f"the objects can't be listed: {type(error).__name__}", file=sys.stderr)
                pause = AGAIN
            self._ended.wait(pause)

    def start(self) -> None:
        """Begin to look, in threads that end with the process."""
        for target in (*(self.work for _ in range(WORKERS)), self.resync):
            threading.Thread(target=target, daemon=True).start()

    def stop(self) -> None:
        """Take nothing more up; what is under way is taken up by the next process."""
        self._ended.set()
        self.queue.close()


def _mark(value: Mapping[str, Any]) -> str:
    """Return a digest of what a look at an object depends on: its spec and its annotations, not its status."""
    metadata = value["metadata"]
    parts = [metadata.get("uid"), value.get("spec"), metadata.get("annotations")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _login() -> dict[str, Any]:
    """Return what requests log in with, for the watch: kopf (1.45.2) knows no `exec`, `tokenFile` or relative path."""
    at = connection()
    scheme, _, token = (at.get_api_key_with_prefix("authorization") or "").partition(" ")
    return {
        "server": at.host,
        "ca_path": at.ssl_ca_cert,
        "insecure": not at.verify_ssl,
        "username": at.username or None,
        "password": at.password or None,
        "scheme": scheme or None,
        "token": token or None,
        "certificate_path": at.cert_file,
        "private_key_path": at.key_file,
        "proxy_url": at.proxy,
    }


def serve(
    operator: Operator,
    *,
    scorings: Operator | None = None,
    liveness: str,
    metrics_port: int,
    stop: threading.Event | None = None,
) -> None:
    """Watch until the process is told to end.

    Args:
        operator: looks at what changed.
        scorings: looks at what changed of Scoring objects; None for nobody.
        liveness: address of the page that says that the process lives; empty for none.
        metrics_port: where Prometheus asks; 0 for nowhere.
        stop: ends the watch when it is set; None to watch until a signal comes.
    """
    import kopf

    registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    settings.posting.enabled = False  # events are ours, one a transition
    settings.scanning.disabled = True  # needs no right to list namespaces and kinds
    settings.watching.server_timeout = 300

    @kopf.on.login(registry=registry)
    def login(**of: Any) -> Any:  # a registry of one's own has none (kopf 1.45), and ends with "Ran out of valid credentials"
        return kopf.login_with_service_account(**of) or kopf.ConnectionInfo(**_login())

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    def changed(event: Any, **_: Any) -> None:
        operator.changed(event["object"], deleted=event["type"] == "DELETED")

    if scorings is not None:

        @kopf.on.event(GROUP, VERSION, SCORINGS, registry=registry)
        def scoring_changed(event: Any, **_: Any) -> None:
            scorings.changed(event["object"], deleted=event["type"] == "DELETED")

    if metrics_port:
        from prometheus_client import start_http_server

        start_http_server(metrics_port)
    operators = [operator, *([scorings] if scorings else [])]
    for each in operators:
        each.start()
    try:
        where: dict[str, Any] = {"namespaces": [operator.namespace]} if operator.namespace else {"clusterwide": True}
        kopf.run(
            registry=registry,
            settings=settings,
            standalone=True,
            liveness_endpoint=liveness or None,
            stop_flag=stop,
            **where,
        )
    finally:
        for each in operators:
            each.stop()
