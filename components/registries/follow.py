"""Registries follow a channel: whatever one lacks is made right, and one that is away is told of and holds up nothing.

Keys are sent to the server alone that the settings of this place name beside them: an address stands in a filter, which others
may write.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from distillery.components.registries.mlflow import follow_mlflow
from distillery.components.registries.model_registry import follow_model_registry
from distillery.components.registries.standing import standing
from distillery.components.remote.json_api import ApiError, JsonApi
from distillery.components.remote.mlflow import URI, mlflow_server
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.registries import Registry

MODEL_REGISTRY: Final = "MODEL_REGISTRY_URL"
TOKEN: Final = "MODEL_REGISTRY_TOKEN"
KINDS: Final = {"mlflow": "MLflow", "modelRegistry": "Model Registry"}


class Followed(NamedTuple):
    """How a registry stands to the channel now.

    Attributes:
        kind: mlflow or modelRegistry.
        host: of its server.
        model: name of the registered model.
        state: right (it was), mended, behind, or nothing where nothing serves yet.
        done: what was made right.
        why: why it is behind.
    """

    kind: str
    host: str
    model: str
    state: Literal["right", "mended", "behind", "nothing"]
    done: list[str]
    why: str = ""

    @property
    def sentence(self) -> str:
        """Return the same for people."""
        what = {"right": "holds what the channel says", "nothing": "has nothing to follow: the channel points at nothing yet"}
        said = {**what, "mended": "; ".join(self.done), "behind": f"is behind: {self.why}"}[self.state]
        return f"{KINDS[self.kind]} at {self.host}: {said}"


def follow_channel(
    store: Store, flt: Filter, *, progress: Progress = quiet, settings: Mapping[str, str] = os.environ
) -> list[Followed]:
    """Make the registries that a filter names hold what its channel says. It raises nothing.

    Args:
        store: where the channel is.
        flt: the filter, with its channel and registries.
        progress: told of each registry that was changed or is behind.
        settings: the environment.

    Returns:
        How each registry stands, in the filter's order.
    """
    found = [_follow(store, flt, registry, settings) for registry in flt.spec.promotion.registries]
    for each in found:
        if each.state in ("mended", "behind"):
            progress.note(each.sentence)
    return found


def _follow(store: Store, flt: Filter, registry: Registry, settings: Mapping[str, str]) -> Followed:
    kind = "mlflow" if registry.mlflow else "modelRegistry"
    place = registry.mlflow or registry.modelRegistry
    assert place is not None
    model, host = place.name or flt.name, urlsplit(place.uri).hostname or ""
    try:
        now = standing(store, flt.name, flt.spec.promotion.channel, settings)
        if now is None:
            return Followed(kind, host, model, "nothing", [])
        follow = follow_mlflow if registry.mlflow else follow_model_registry
        done = follow(server(kind, place.uri, settings), model, now)
    except (ApiError, InputError) as error:
        return Followed(kind, host, model, "behind", [], str(error))
    except Exception as error:  # an answer of another form than we know; a promotion depends on none of it
        return Followed(kind, host, model, "behind", [], f"{host} answers what we do not understand ({type(error).__name__})")
    return Followed(kind, host, model, "mended" if done else "right", done)


def server(kind: str, uri: str, settings: Mapping[str, str]) -> JsonApi:
    """Return a registry's server, with keys where they are meant for it.

    Args:
        kind: mlflow or modelRegistry.
        uri: its address, from a filter.
        settings: the environment.

    Returns:
        The server; it isn't asked yet.

    Raises:
        ApiError: the address is none.
    """
    if kind == "mlflow":
        return mlflow_server(uri, settings if _same(uri, settings.get(URI, "")) else {})
    token = settings.get(TOKEN, "").strip() if _same(uri, settings.get(MODEL_REGISTRY, "")) else ""
    headers: dict[str, Any] = {"Authorization": f"Bearer {token}"} if token else {}
    return JsonApi(uri, headers)


def _same(uri: str, meant: str) -> bool:
    """True if two addresses are of one server."""
    try:
        ours, theirs = urlsplit(uri), urlsplit(meant.strip())
        return (ours.scheme, ours.hostname, ours.port) == (theirs.scheme, theirs.hostname, theirs.port)
    except ValueError:
        return False
