"""The few things a run needs of Kubeflow Pipelines: start it under a name of its own, find it, look at it, end it.

Each call outlasts an outage of three minutes (the first, 20 s: there an address may be wrong), and `get` any outage where a
run is followed. The generated client would wait for ever for one reply, so every request has 30 s.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from distillery.components.remote.retry import PATIENCE, is_outage, outlast
from distillery.filters.errors import InputError, Stopped
from distillery.pipelines.versions import Version, compile_pipeline, publish

FIRST_CONTACT = 20.0
REQUEST_TIMEOUT = (5, 30)  # to connect, to reply
NO_RUN = (400, 404)  # 400: what is given is no id at all
ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
T = TypeVar("T")


class Refused(InputError):
    """Kubeflow answers, and says no. status: of HTTP."""

    def __init__(self, status: int, what: str, *, where: str, hint: str = "") -> None:
        login = "check your credentials for Kubeflow, and --namespace"
        words = what if hint else f"Kubeflow refuses this ({status}): {what}"
        super().__init__(words, where=where, hint=hint or (login if status in (401, 403) else ""))
        self.status = status


@dataclass(frozen=True)
class Published:
    """A version of a pipeline that Kubeflow has."""

    pipeline: str
    version: str
    name: str


class Kubeflow:
    """endpoint: URL of the API. namespace: on an installation for several users, theirs; empty elsewhere."""

    def __init__(self, endpoint: str, namespace: str = "") -> None:
        if not endpoint:
            raise InputError("which Kubeflow?", hint="give --endpoint URL or set KFP_ENDPOINT")
        self.endpoint, self.namespace = endpoint, namespace or None
        self.client = self._call(lambda: connect(endpoint, namespace), seconds=FIRST_CONTACT)

    def _call(self, request: Callable[[], T], *, seconds: float = PATIENCE) -> T:
        try:
            return outlast("Kubeflow", lambda: self._answered(request), seconds=seconds)
        except Exception as error:
            if not is_outage(error):
                raise
            # Only the kind of error: messages of HTTP clients carry addresses that may carry keys.
            what = f"Kubeflow at {self.endpoint} can't be reached ({type(error).__name__})"
            raise Stopped(what, hint="check --endpoint; the same command goes on") from error

    def _answered(self, request: Callable[[], T]) -> T:
        """`request()`; Refused where Kubeflow says no, or a proxy before it sends us to its login."""
        from kfp_server_api import ApiException
        from urllib3.exceptions import MaxRetryError, ResponseError

        try:
            return request()
        except ApiException as error:
            if is_outage(error):
                raise
            raise Refused(int(error.status), _message(error), where=self.endpoint) from None
        except MaxRetryError as error:
            if not isinstance(error.reason, ResponseError):  # of a redirect, which no request follows
                raise
            raise Refused(401, "a login is asked for", where=self.endpoint) from None

    def publish(self, version: Version) -> bool:
        """Whether the version was not there yet."""
        return self._call(lambda: publish(version, self.client))

    def published(self, pipeline: str, *, light: str = "", torch: str = "") -> Published:
        """The version compiled here for these images, published where it is not there yet; without images, the newest one.

        Raises InputError where no images are given and nothing is published, or one image without the other.
        """
        if light or torch:
            require_images(light, torch)

        def once() -> Published:
            name = ""
            if light or torch:
                version = compile_pipeline(pipeline, light=light, torch=torch)
                publish(version, self.client)
                name = version.name
            found = self.client.get_pipeline_id(pipeline)
            pages = self.client.list_pipeline_versions(found, page_size=100, sort_by="created_at desc") if found else None
            versions = [each for each in (pages and pages.pipeline_versions) or [] if name in ("", each.display_name)]
            if not versions:
                hint = "publish it: `distillery pipelines publish --light-image … --torch-image …`"
                raise InputError(f"no version of pipeline {pipeline} is published", where=self.endpoint, hint=hint)
            newest = max(versions, key=lambda each: each.created_at)
            return Published(str(found), str(newest.pipeline_version_id), str(newest.display_name))

        return self._call(once)

    def start(
        self, version: Published, name: str, arguments: Mapping[str, Any], *, experiment: str, service_account: str = ""
    ) -> str:
        """Starts a run under a name that is this run's alone; returns the run's id."""

        def once() -> str:
            if found := self._find(name):  # an earlier try whose reply was lost
                return found
            with contextlib.redirect_stdout(io.StringIO()):
                home = self.client.create_experiment(experiment, namespace=self.namespace)
                run = self.client.run_pipeline(
                    home.experiment_id,
                    name,
                    pipeline_id=version.pipeline,
                    version_id=version.version,
                    params=dict(arguments),
                    service_account=service_account or None,
                )
            return str(run.run_id)

        return self._call(once)

    def find(self, name: str) -> str | None:
        return self._call(lambda: self._find(name))

    def _find(self, name: str) -> str | None:
        predicate = {"predicates": [{"operation": "EQUALS", "key": "name", "stringValue": name}]}
        runs = self.client.list_runs(filter=json.dumps(predicate), namespace=self.namespace).runs
        return str(runs[0].run_id) if runs else None

    def get(self, run: str, *, seconds: float = PATIENCE) -> Any:
        """Kubeflow's own record of a run. InputError where there is none; seconds: how long an outage may last."""
        try:
            return self._call(lambda: self.client.get_run(run), seconds=seconds)
        except Refused as error:
            if error.status not in NO_RUN:
                raise
            what, hint = f"no run {run}", "give the id that `submit` printed"
            raise Refused(error.status, what, where=self.endpoint, hint=hint) from None

    def active(self, run: str) -> bool:
        """Whether the run is there and unfinished. InputError where Kubeflow won't say."""
        try:
            return self.get(run).state not in ENDED
        except Refused as error:
            if error.status not in NO_RUN:
                raise
            return False

    def cancel(self, run: str) -> None:
        self._call(lambda: self.client.terminate_run(run))

    def page(self, run: str) -> str:
        """Address of the run in the UI, where KF_PIPELINES_UI_ENDPOINT tells it; empty elsewhere."""
        return f"{self.client._uihost.rstrip('/')}/#/runs/details/{run}" if self.client._uihost else ""


def _message(error: Any) -> str:
    """What Kubeflow's API says in a refusal, in its own words."""
    try:
        said = json.loads(error.body)
        return str(said.get("error") or said["message"])[:400]
    except (ValueError, KeyError, TypeError, AttributeError):
        return str(error.reason)


def require_images(light: str, torch: str) -> None:
    """InputError where an image is not named: a version with a name that no registry has is everybody's newest one."""
    missing = [option for option, image in (("--light-image", light), ("--torch-image", torch)) if not image]
    if missing:
        hint = "give both, or set DISTILLERY_IMAGE_LIGHT and DISTILLERY_IMAGE_TORCH"
        raise InputError("which image?", where=missing[0], hint=hint)


def cancelled(run: Any) -> bool:
    """Whether somebody ended this run; Kubeflow calls it FAILED in the end."""
    return any(status.state in ("CANCELING", "CANCELED") for status in run.state_history or [])


def tasks(run: Any) -> dict[str, str]:
    """State by task. A component that a graph uses twice (label, label-2) counts as one: the branch not taken is SKIPPED."""
    details = (run.run_details.task_details if run.run_details else None) or []
    found = [(re.sub(r"-\d+$", "", task.display_name or ""), str(task.state)) for task in details]
    return dict(sorted(found, key=lambda pair: pair[1] not in ("SKIPPED", "OMITTED")))


def connect(endpoint: str, namespace: str) -> Any:
    """A kfp.Client whose requests end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kfp

        client = kfp.Client(host=endpoint, namespace=namespace or "kubeflow")
    rest = client._run_api.api_client.rest_client
    request = rest.request

    def bounded(*args: Any, **more: Any) -> Any:
        return request(*args, **{**more, "_request_timeout": more.get("_request_timeout") or REQUEST_TIMEOUT})

    rest.request = bounded
    rest.pool_manager.connection_pool_kw["retries"] = 0  # trying again is `outlast`'s, which says so
    return client
