"""Kubeflow's Model Registry: a version for each adapter that served, with its artifact; the channel is a property of the model.

Newer servers answer under `v1` and older ones under `v1alpha3` alone; what is asked is the same. The registry has no aliases,
so the model's property `distillery.channel.<channel>` names the version that serves. It is written last.
"""

from __future__ import annotations

from typing import Any, Final

from distillery.components.registries.standing import Standing
from distillery.components.remote.json_api import ApiError, JsonApi, segment

API: Final = "/api/model_registry"
VERSIONS: Final = ("v1", "v1alpha3")  # newest first
CHANNEL: Final = "distillery.channel."
FORMAT: Final = "peft"


def follow_model_registry(api: JsonApi, name: str, now: Standing) -> list[str]:
    """Make the Model Registry hold what a channel says, and nothing that it holds already.

    Args:
        api: the server.
        name: of the registered model.
        now: the channel.

    Returns:
        What was made right, for people; empty where nothing was to be done.

    Raises:
        ApiError: the server refuses or was not reached; the next attempt goes on from there.
    """
    done, called, root = list[str](), now.adapter[:12], _root(api)
    model = _found(api, f"{root}/registered_model", name=name)
    if model is None:
        made = {"name": name, "externalId": f"distillery:{name}", "state": "LIVE"}
        model = api.call("POST", f"{root}/registered_models", made)
        done.append(f"model {name} made")
    wanted: dict[str, Any] = {f"distillery.{key}": _text(value) for key, value in now.facts.items()}
    wanted |= {key: {"metadataType": "MetadataDoubleValue", "double_value": value} for key, value in now.metrics.items()}
    version = _found(api, f"{root}/model_version", name=called, parentResourceId=str(model["id"]))
    if version is None:
        new: dict[str, Any] = {
            "name": called,
            "registeredModelId": str(model["id"]),
            "state": "LIVE",
            "customProperties": wanted,
        }
        version = api.call("POST", f"{root}/model_versions", {**new, "description": now.sentence, "author": "distillery"})
        done.append(f"version {called} made")
    elif not _holds(version, wanted):
        kept = {**version.get("customProperties", {}), **wanted}
        path = f"{root}/model_versions/{segment(str(version['id']))}"
        api.call("PATCH", path, {"customProperties": kept, "description": now.sentence})
        done.append(f"version {called} brought up to date")
    place = f"{root}/model_versions/{segment(str(version['id']))}/artifacts"
    if not any(row.get("uri") == now.source for row in api.call("GET", place).get("items", [])):
        # The registry's own client looks for an artifact by the name of its model.
        artifact = {"artifactType": "model-artifact", "name": name, "uri": now.source, "modelFormatName": FORMAT}
        api.call("POST", place, {**artifact, "state": "LIVE"})
        done.append(f"artifact of version {called} made")
    serves = {f"{CHANNEL}{now.channel}": _text(called)}
    if not _holds(model, serves):
        kept = {**model.get("customProperties", {}), **serves}
        api.call("PATCH", f"{root}/registered_models/{segment(str(model['id']))}", {"customProperties": kept})
        done.append(f"channel {now.channel} set to version {called}")
    return done


def _root(api: JsonApi) -> str:
    """Return where the server answers: the newest version of the API that it has."""
    for version in VERSIONS[:-1]:
        if _found(api, f"{API}/{version}/registered_models", pageSize="1") is not None:
            return f"{API}/{version}"
    return f"{API}/{VERSIONS[-1]}"


def _text(value: str) -> dict[str, str]:
    return {"metadataType": "MetadataStringValue", "string_value": value}


def _holds(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    held: dict[str, Any] = found.get("customProperties", {})
    return all(held.get(key) == value for key, value in wanted.items())


def _found(api: JsonApi, path: str, **query: str) -> dict[str, Any] | None:
    try:
        return api.call("GET", path, None, **query)
    except ApiError as error:
        if error.status != 404:
            raise
        return None
