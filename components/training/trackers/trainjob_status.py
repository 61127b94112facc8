"""The status of a TrainJob: how far it is, and its figures, where `kubectl get trainjob -o yaml` shows them.

Kubeflow Trainer's feature TrainJobRuntimeStatus hands the pods of a TrainJob an address, a certificate and a token; without it
nothing is told.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from distillery.components.training.trackers.base import Beat

URL: Final = "KUBEFLOW_TRAINER_SERVER_URL"
CERTIFICATE: Final = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
TOKEN: Final = "KUBEFLOW_TRAINER_SERVER_TOKEN"
SECONDS: Final = 5.0


class TrainJobStatus:
    """The TrainJob that this process is a worker of.

    Args:
        settings: the environment.
    """

    name = "trainjob"

    def __init__(self, settings: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._first: Beat | None = None
        self._figures: dict[str, float] = {}
        self._percent = 0

    def report(self, beats: Sequence[Beat]) -> None:
        """Tell where the training stands.

        Args:
            beats: oldest first; the last one counts.
        """
        self._first = first = self._first or beats[0]
        last = beats[-1]
        for beat in beats:
            self._figures |= beat.figures
        self._percent = min(99, 100 * last.done // last.total) if last.total else 0
        rate = (last.done - first.done) / (last.at - first.at) if last.at > first.at else 0.0
        self._put(round((last.total - last.done) / rate) if rate > 0 and last.total else None)

    def close(self, *, failed: bool) -> None:
        """Tell that all is done; a training that failed stays where it was.

        Args:
            failed: True where it did not end well.
        """
        if not failed:
            self._percent = 100
            self._put(0)

    def _put(self, left: int | None) -> None:
        status = {
            "lastUpdatedTime": datetime.now(UTC).isoformat(),
            "progressPercentage": self._percent,
            **({} if left is None else {"estimatedRemainingSeconds": left}),
            "metrics": [{"name": name, "value": str(value)} for name, value in self._figures.items()],
        }
        token = Path(self._settings[TOKEN]).read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = json.dumps({"trainerStatus": status}).encode()
        trusted = self._settings.get(CERTIFICATE)
        context = ssl.create_default_context(cafile=trusted) if trusted else None
        with urlopen(Request(self._settings[URL], body, headers), timeout=SECONDS, context=context) as answer:
            answer.read(1024)


def in_trainjob(settings: Mapping[str, str] = os.environ) -> bool:
    """True if this pod may tell how its TrainJob stands.

    Args:
        settings: the environment.

    Returns:
        Whether Trainer handed it what that takes.
    """
    return bool(settings.get(URL) and settings.get(TOKEN))
