"""Which trackers a filter asks for, and whether they can be had here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from distillery.components.runtime.extras import require
from distillery.components.store import Store
from distillery.components.training.trackers.base import Tracker
from distillery.components.training.trackers.loggers import Logger
from distillery.components.training.trackers.mlflow import MLflow, is_server
from distillery.components.training.trackers.tensorboard import TensorBoard
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

MODULES: Final = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "trackio": "trackio", "wandb": "wandb"}
WHERE: Final = "spec.training.reportTo"


def require_trackers(flt: Filter, *, in_pod: bool, settings: Mapping[str, str] = os.environ) -> None:
    """Raise where a tracker that the filter asks for is not installed, or would write into a pod, where it is lost.

    Args:
        flt: the filter.
        in_pod: True where the training is one of a cluster.
        settings: the environment.

    Raises:
        InputError: the tracker, and what it needs.
    """
    asked = {"mlflow": is_server(settings), "wandb": _says(settings, "WANDB_MODE", "online")}
    asked["trackio"] = bool(settings.get("TRACKIO_SPACE_ID", "").strip())
    sets = {"mlflow": "MLFLOW_TRACKING_URI", "wandb": "WANDB_MODE=online", "trackio": "TRACKIO_SPACE_ID"}
    for name in dict.fromkeys(flt.spec.training.reportTo):
        if in_pod and not asked.get(name, True):
            hint = f"set {sets[name]} in the ConfigMap distillery, or report to tensorboard, whose files go to the store"
            raise InputError(f"{name} would write into the pod, and is gone with it", where=WHERE, hint=hint)
        if name == "mlflow" and asked[name]:
            continue  # over HTTP, which needs no package
        try:
            require([MODULES[name]])
        except InputError as error:
            raise InputError(f"{name} {error.what}", where=WHERE, hint=error.hint) from None


def _says(settings: Mapping[str, str], name: str, value: str) -> bool:
    return settings.get(name, "").strip().lower() == value


def open_trackers(store: Store, flt: Filter, inputs: str) -> list[Tracker]:
    """Return the trackers that a filter asks for; none of them has written or asked anything yet.

    Args:
        store: the store.
        flt: the filter.
        inputs: digest of the training's inputs.

    Returns:
        Trackers, each once.
    """
    found = list[Tracker]()
    for name in dict.fromkeys(flt.spec.training.reportTo):
        if name == "tensorboard":
            found.append(TensorBoard(store, flt.name, inputs))
        elif name == "mlflow":
            found.append(MLflow(flt.name, inputs))
        else:
            found.append(Logger(name, flt.name, inputs))
    return found
