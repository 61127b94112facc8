"""The Filter objects of a cluster: list and read them, write their status, tell of what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

from distillery.components.remote.kubernetes import ask, core, create, custom
from distillery.pipelines.operator.status import LONGEST, Told
from distillery.pipelines.operator.wanted import GROUP, VERSION, generation_of

PLURAL: Final = "filters"
SCORINGS: Final = "scorings"
PATIENCE: Final = (
    10.0  # seconds that an outage of the API server, the store or Kubeflow is waited out: the next look comes anyway
)
COMPONENT: Final = "distillery-operator"
PAGE: Final = 200


class Objects(Protocol):
    """The Filter objects that an operator looks after."""

    def list(self) -> list[dict[str, Any]]:
        """Return all of them.

        Returns:
            Objects as the API server has them.
        """

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return one of them.

        Args:
            namespace: its namespace.
            name: its name.

        Returns:
            The object; None where there is none.
        """

    def put_status(self, value: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Write the status of an object, unless somebody has changed the object since it was read, or it is gone.

        Args:
            value: the object as it was read.
            status: its whole status.
        """

    def tell(self, value: Mapping[str, Any], told: Told, at: str) -> None:
        """Post an event on an object, once however often it is told.

        Args:
            value: the object.
            told: the event.
            at: the time, as documents show it.
        """


class Cluster:
    """The Filter objects of the cluster at hand, or those of another kind.

    Args:
        namespace: the namespace that is looked after; empty for all.
        plural: of the kind, as the API server has it in its addresses.
    """

    def __init__(self, namespace: str = "", plural: str = PLURAL) -> None:
        self.namespace, self.plural, self.api = namespace, plural, custom()

    def list(self) -> list[dict[str, Any]]:
        """List the objects, a page at a time.

        Returns:
            Objects as the API server has them.

        Raises:
            InputError: the API server refuses.
            Stopped: it can't be reached.
        """
        found: list[dict[str, Any]] = []
        more = ""
        while True:
            where = (GROUP, VERSION, self.namespace, self.plural) if self.namespace else (GROUP, VERSION, self.plural)
            request = self.api.list_namespaced_custom_object if self.namespace else self.api.list_cluster_custom_object
            page = ask(request, *where, limit=PAGE, _continue=more or None, seconds=PATIENCE)
            found += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue") or ""
            if not more:
                return found

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Read one object.

        Args:
            namespace: its namespace.
            name: its name.

        Returns:
            The object; None where there is none.
        """
        try:
            found: dict[str, Any] = ask(
                self.api.get_namespaced_custom_object, GROUP, VERSION, namespace, self.plural, name, seconds=PATIENCE
            )
        except KeyError:
            return None
        return found

    def put_status(self, value: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Write the status of an object, unless somebody has changed the object since it was read, or it is gone.

        Args:
            value: the object as it was read.
            status: its whole status.
        """
        metadata = value["metadata"]
        body = {**value, "status": status}
        try:
            ask(
                self.api.replace_namespaced_custom_object_status,
                GROUP,
                VERSION,
                metadata["namespace"],
                self.plural,
                metadata["name"],
                body,
                seconds=PATIENCE,
                field_validation="Strict",
            )
        except (KeyError, FileExistsError):
            return  # the next look has the newer object

    def tell(self, value: Mapping[str, Any], told: Told, at: str) -> None:
        """Post an event on an object, once however often it is told.

        Args:
            value: the object.
            told: the event.
            at: the time, as documents show it.
        """
        try:
            create(core().create_namespaced_event, value["metadata"]["namespace"], event(value, told, at))
        except (FileExistsError, KeyError):
            return


def event(value: Mapping[str, Any], told: Told, at: str) -> dict[str, Any]:
    """Return an event as the API server takes it; what tells the same of one generation has one name.

    Args:
        value: the object.
        told: what is told.
        at: the time, as documents show it.

    Returns:
        A v1 Event.
    """
    metadata = value["metadata"]
    run = ((value.get("status") or {}).get("run") or {}) if isinstance(value.get("status"), Mapping) else {}
    words = [metadata.get("uid"), generation_of(value), run.get("id") if isinstance(run, Mapping) else "", *told]
    name = hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{name}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": str(value.get("kind") or "Filter"),
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata.get("uid") or "",
            "resourceVersion": metadata.get("resourceVersion") or "",
        },
        "type": told.kind,
        "reason": told.reason,
        "message": told.message[:LONGEST],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "reportingComponent": COMPONENT,
        "source": {"component": COMPONENT},
    }
