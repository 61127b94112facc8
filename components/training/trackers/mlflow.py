"""MLflow: a run for each training, in an experiment named like the filter.

A server is spoken to over HTTP, which needs no package. Where MLFLOW_TRACKING_URI names none, or a file or a database,
MLflow's own client writes it. A training that was killed and goes on finds its run by a tag.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from distillery.components.remote.json_api import JsonApi
from distillery.components.remote.mlflow import URI, mlflow_server, rest, run_of
from distillery.components.training.trackers.base import Beat

TAG: Final = "distillery.training"
EXPERIMENT: Final = "MLFLOW_EXPERIMENT_NAME"
MOST: Final = 1_000  # figures of one request

Row = tuple[str, float, int, int]  # name, value, time in ms, step


def is_server(settings: Mapping[str, str] = os.environ) -> bool:
    """True if the settings name a server, and not a place of this machine.

    Args:
        settings: the environment.

    Returns:
        Whether it is spoken to over HTTP.
    """
    return settings.get(URI, "").strip().startswith(("http://", "https://"))


class _Place(Protocol):
    def begin(self, experiment: str, tags: Mapping[str, str]) -> str: ...

    def log(self, run: str, rows: Sequence[Row]) -> None: ...

    def end(self, run: str, status: str) -> None: ...


class MLflow:
    """A run of one training.

    Args:
        filter: name of the filter.
        inputs: digest of the training's inputs.
        settings: the environment.
    """

    name = "mlflow"

    def __init__(self, filter: str, inputs: str, settings: Mapping[str, str] = os.environ) -> None:
        self._experiment = settings.get(EXPERIMENT, "").strip() or filter
        self._tags = {TAG: inputs, "distillery.filter": filter, "mlflow.runName": f"{filter} {inputs[:8]}"}
        self._settings, self._run, self._place = settings, "", None

    _place: _Place | None

    def report(self, beats: Sequence[Beat]) -> None:
        """Log figures; the first time, begin or find the run.

        Args:
            beats: oldest first.
        """
        if self._place is None:
            self._place = _Server(mlflow_server("", self._settings)) if is_server(self._settings) else _Client()
        self._run = self._run or self._place.begin(self._experiment, self._tags)
        rows = [(name, value, int(beat.at * 1000), beat.done) for beat in beats for name, value in beat.figures.items()]
        for at in range(0, len(rows), MOST):
            self._place.log(self._run, rows[at : at + MOST])

    def close(self, *, failed: bool) -> None:
        """End the run.

        Args:
            failed: True where the training did not end well.
        """
        if self._place is not None and self._run:
            self._place.end(self._run, "FAILED" if failed else "FINISHED")


class _Server:
    """MLflow's REST API."""

    def __init__(self, api: JsonApi) -> None:
        self.api = api

    def begin(self, experiment: str, tags: Mapping[str, str]) -> str:
        run, made = run_of(self.api, experiment, TAG, tags)
        if not made:
            self.api.call("POST", rest("runs", "update"), {"run_id": run, "status": "RUNNING"})
        return run

    def log(self, run: str, rows: Sequence[Row]) -> None:
        metrics = [dict(zip(("key", "value", "timestamp", "step"), row, strict=True)) for row in rows]
        self.api.call("POST", rest("runs", "log-batch"), {"run_id": run, "metrics": metrics})

    def end(self, run: str, status: str) -> None:
        self.api.call("POST", rest("runs", "update"), {"run_id": run, "status": status})


class _Client:
    """MLflow's own client, for a file or a database of this machine."""

    def __init__(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self.client: Any = MlflowClient()

    def begin(self, experiment: str, tags: Mapping[str, str]) -> str:
        found = self.client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self.client.create_experiment(experiment)
        for run in self.client.search_runs([number], f"tags.`{TAG}` = '{tags[TAG]}'", max_results=1):
            self.client.update_run(run.info.run_id, status="RUNNING")
            return str(run.info.run_id)
        return str(self.client.create_run(number, tags=dict(tags)).info.run_id)

    def log(self, run: str, rows: Sequence[Row]) -> None:
        from mlflow.entities import Metric

        self.client.log_batch(run, [Metric(*row) for row in rows])

    def end(self, run: str, status: str) -> None:
        self.client.set_terminated(run, status)
