"""Kubeflow's Model Registry: a version for each adapter that served, with its artifact; the channel is a property of the model.

The registry has no aliases, so the model's property `distillery.channel.<channel>` names the version that serves. It is
written last.
"""

from __future__ import annotations

from typing import Any, Final

from distillery.components.registries.standing import Standing
from distillery.components.remote.json_api import ApiError, JsonApi, segment

API: Final = "/api/model_registry/v1alpha3"
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
    done, called = list[str](), now.adapter[:12]
    model = _found(api, f"{API}/registered_model", name=name)
    if model is None:
        made = {"name": name, "externalId": f"distillery:{name}", "state": "LIVE"}
        model = api.call("POST", f"{API}/registered_models", made)
        done.append(f"model {name} made")
    wanted = {f"distillery.{key}": _text(value) for key, value in now.facts.items()}
    wanted |= {key: {"metadataType": "MetadataDoubleValue", "double_value": value} for key, value in now.metrics.items()}
    version = _found(api, f"{API}/model_version", name=called, parentResourceId=str(model["id"]))
    if version is None:
        made = {"name": called, "registeredModelId": str(model["id"]), "state": "LIVE", "customProperties": wanted}
        version = api.call("POST", f"{API}/model_versions", {**made, "description": now.sentence, "author": "distillery"})
        done.append(f"version {called} made")
    elif not _holds(version, wanted):
        kept = {**version.get("customProperties", {}), **wanted}
        path = f"{API}/model_versions/{segment(str(version['id']))}"
        api.call("PATCH", path, {"customProperties": kept, "description": now.sentence})
        done.append(f"version {called} brought up to date")
    place = f"{API}/model_versions/{segment(str(version['id']))}/artifacts"
    if not any(row.get("uri") == now.source for row in api.call("GET", place).get("items", [])):
        artifact = {"artifactType": "model-artifact", "name": called, "uri": now.source, "modelFormatName": FORMAT}
        api.call("POST", place, {**artifact, "state": "LIVE"})
        done.append(f"artifact of version {called} made")
    serves = {f"{CHANNEL}{now.channel}": _text(called)}
    if not _holds(model, serves):
        kept = {**model.get("customProperties", {}), **serves}
        api.call("PATCH", f"{API}/registered_models/{segment(str(model['id']))}", {"customProperties": kept})
        done.append(f"channel {now.channel} set to version {called}")
    return done


def _text(value: str) -> dict[str, str]:
    return {"metadataType": "MetadataStringValue", "string_value": value}


def _holds(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return wanted.items() <= found.get("customProperties", {}).items()


def _found(api: JsonApi, path: str, **query: str) -> dict[str, Any] | None:
    try:
        return api.call("GET", path, **query)
    except ApiError as error:
        if error.status != 404:
            raise
        return None
