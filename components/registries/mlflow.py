"""MLflow's model registry: a version for each adapter that served, and an alias that is called like the channel.

The alias moves last, so it never names a version without its figures. A version is found again by a tag with the adapter's
digest, so whatever was made before a failure is used by the next attempt.
"""

from __future__ import annotations

import time
from typing import Any, Final

from distillery.components.registries.standing import Standing
from distillery.components.remote.json_api import ApiError, JsonApi
from distillery.components.remote.mlflow import EXISTS, NOT_FOUND, rest, run_of

TAG: Final = "distillery."
NO_ALIAS: Final = (NOT_FOUND, "INVALID_PARAMETER_VALUE")  # what MLflow answers to an alias or a model that isn't there


def follow_mlflow(api: JsonApi, name: str, now: Standing) -> list[str]:
    """Make MLflow hold what a channel says, and nothing that it holds already.

    Args:
        api: the server.
        name: of the registered model.
        now: the channel.

    Returns:
        What was made right, for people; empty where nothing was to be done.

    Raises:
        ApiError: the server refuses or was not reached; the next attempt goes on from there.
    """
    done = list[str]()
    tags = {f"{TAG}{key}": value for key, value in now.facts.items()}
    version = _version(api, name, now)
    if version is None:
        version = _create(api, name, now, tags)
        done.append(f"version {version['version']} made")
    elif changed := {key: value for key, value in tags.items() if _tags(version).get(key) != value}:
        if version.get("run_id"):
            _log(api, version["run_id"], now, tags)
        for key, value in changed.items():
            said = {"name": name, "version": version["version"], "key": key, "value": value}
            api.call("POST", rest("model-versions", "set-tag"), said)
        api.call("PATCH", rest("model-versions", "update"), {**_named(name, version), "description": now.sentence})
        done.append(f"version {version['version']} brought up to date")
    if _alias(api, name, now.channel) != version["version"]:
        api.call("POST", rest("registered-models", "alias"), {**_named(name, version), "alias": now.channel})
        done.append(f"alias {now.channel} set to version {version['version']}")
    return done


def _named(name: str, version: dict[str, Any]) -> dict[str, str]:
    return {"name": name, "version": version["version"]}


def _tags(version: dict[str, Any]) -> dict[str, str]:
    return {row["key"]: row.get("value", "") for row in version.get("tags", [])}


def _version(api: JsonApi, name: str, now: Standing) -> dict[str, Any] | None:
    """Return the newest version of an adapter; None where there is none."""
    wanted = f"name = '{name}' and tags.`{TAG}adapter` = '{now.adapter}'"
    found = api.call("GET", rest("model-versions", "search"), filter=wanted).get("model_versions", [])
    return max(found, key=lambda row: int(row["version"]), default=None)


def _create(api: JsonApi, name: str, now: Standing, tags: dict[str, str]) -> dict[str, Any]:
    try:
        api.call("POST", rest("registered-models", "create"), {"name": name})
    except ApiError as error:
        if error.code != EXISTS:
            raise
    run = _run(api, name, now, tags)
    rows = [{"key": key, "value": value} for key, value in tags.items()]
    made = {"name": name, "source": _source(now), "run_id": run, "tags": rows, "description": now.sentence}
    version: dict[str, Any] = api.call("POST", rest("model-versions", "create"), made)["model_version"]
    return version


def _source(now: Standing) -> str:
    """Return the address of an adapter as MLflow takes it: it refuses folders of a machine, which nobody else could read."""
    folder = now.source.removeprefix("file://")
    return now.source if folder == now.source else f"distillery://{folder}"


def _run(api: JsonApi, name: str, now: Standing, tags: dict[str, str]) -> str:
    """Return the run that holds an adapter's figures, in an experiment that is called like the model."""
    first = {f"{TAG}adapter": now.adapter, "mlflow.runName": f"{now.filter} {now.adapter[:12]}"}
    run, _ = run_of(api, name, f"{TAG}adapter", first)
    _log(api, run, now, tags)
    api.call("POST", rest("runs", "update"), {"run_id": run, "status": "FINISHED"})
    return run


def _log(api: JsonApi, run: str, now: Standing, tags: dict[str, str]) -> None:
    at = int(time.time() * 1000)
    metrics = [{"key": key, "value": value, "timestamp": at, "step": 0} for key, value in sorted(now.metrics.items())]
    rows = [{"key": key, "value": value} for key, value in tags.items()]
    api.call("POST", rest("runs", "log-batch"), {"run_id": run, "metrics": metrics[:1000], "tags": rows})


def _alias(api: JsonApi, name: str, alias: str) -> str | None:
    try:
        found = api.call("GET", rest("registered-models", "alias"), name=name, alias=alias)
        return str(found["model_version"]["version"])
    except ApiError as error:
        if error.code not in NO_ALIAS:
            raise
        return None
