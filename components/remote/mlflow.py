"""The address and the keys of an MLflow server, from the settings that MLflow's own client reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from distillery.components.remote.json_api import JsonApi, basic

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
