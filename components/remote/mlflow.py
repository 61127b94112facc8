"""An MLflow server: its address and keys, as MLflow's own client reads them from the settings, and its runs, found by a tag."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from distillery.components.remote.json_api import ApiError, JsonApi, basic

URI: Final = "MLFLOW_TRACKING_URI"
NOT_FOUND: Final = "RESOURCE_DOES_NOT_EXIST"
EXISTS: Final = "RESOURCE_ALREADY_EXISTS"


def mlflow_server(uri: str = "", settings: Mapping[str, str] = os.environ) -> JsonApi:
    """Return an MLflow server.

    Args:
        uri: its address; empty for MLFLOW_TRACKING_URI.
        settings: the environment: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.

    Returns:
        The server; it isn't asked yet.

    Raises:
        ApiError: the address is none.
    """
    headers = dict[str, str]()
    if token := settings.get("MLFLOW_TRACKING_TOKEN", "").strip():
        headers = {"Authorization": f"Bearer {token}"}
    elif name := settings.get("MLFLOW_TRACKING_USERNAME", "").strip():
        headers = basic(name, settings.get("MLFLOW_TRACKING_PASSWORD", "").strip())
    return JsonApi(uri or settings.get(URI, ""), headers)


def rest(noun: str, verb: str) -> str:
    """Return the path of one call of MLflow's REST API.

    Args:
        noun: what is asked about, such as "experiments".
        verb: what is done, such as "create".

    Returns:
        The path.
    """
    return f"/api/2.0/mlflow/{noun}/{verb}"


def run_of(api: JsonApi, experiment: str, tag: str, tags: Mapping[str, str]) -> tuple[str, bool]:
    """Return the run that has a tag, made where there is none.

    Args:
        api: the server.
        experiment: name of its experiment, which is made where there is none.
        tag: the tag by which it is found.
        tags: of a run that is made, that one among them.

    Returns:
        Its id, and whether it was made now.

    Raises:
        ApiError: the server refuses or was not reached.
    """
    number = _experiment(api, experiment)
    asked = {"experiment_ids": [number], "filter": f"tags.`{tag}` = '{tags[tag]}'", "max_results": 1}
    for found in api.call("POST", rest("runs", "search"), asked).get("runs", []):
        return str(found["info"]["run_id"]), False
    rows = [{"key": key, "value": value} for key, value in tags.items()]
    made = api.call("POST", rest("runs", "create"), {"experiment_id": number, "tags": rows})
    return str(made["run"]["info"]["run_id"]), True


def _experiment(api: JsonApi, name: str) -> str:
    try:
        found = api.call("GET", rest("experiments", "get-by-name"), experiment_name=name)
        return str(found["experiment"]["experiment_id"])
    except ApiError as error:
        if error.code != NOT_FOUND:
            raise
    return str(api.call("POST", rest("experiments", "create"), {"name": name})["experiment_id"])
