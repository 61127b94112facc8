"""The few things a run needs of Kubeflow Pipelines: start it under a name of its own, find it, look at it, end it.

Each call is retried through an outage of up to three minutes (the first one 20 s: its address may be wrong), and `get` through
any outage where a run is followed. The generated client would wait forever for one reply, so every request has 30 s.
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

from distillery.components.remote.retry import PATIENCE, is_outage, retry
from distillery.filters.errors import InputError, Stopped
from distillery.filters.strict_json import loads
from distillery.pipelines.versions import Version, compile_pipeline, publish

FIRST_CONTACT = 20.0
REQUEST_TIMEOUT = (5, 30)  # to connect, to reply
OLD_HEALTH = "/apis/v1beta1/healthz"  # alone tells the version
NO_RUN = (400, 404)  # 400: what is given is no id at all
ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
T = TypeVar("T")


class Refused(InputError):
    """Kubeflow answers, and says no.

    Args:
        status: HTTP status of the answer.
        what: What it says, or what we make of it.
        where: Address of the API.
        hint: How to fix it; empty to show Kubeflow's own words.
    """

    def __init__(self, status: int, what: str, *, where: str, hint: str = "") -> None:
        login = "check your credentials for Kubeflow, and --namespace"
        words = what if hint else f"Kubeflow refuses this ({status}): {what}"
        super().__init__(words, where=where, hint=hint or (login if status in (401, 403) else ""))
        self.status = status


@dataclass(frozen=True)
class Published:
    """A version of a pipeline that Kubeflow has: its ids, and its name."""

    pipeline: str
    version: str
    name: str


class Kubeflow:
    """An installation of Kubeflow Pipelines.

    Args:
        endpoint: URL of the API.
        namespace: The user's, on an installation for several users; empty elsewhere.
        patience: Seconds that an outage may last.
    """

    def __init__(self, endpoint: str, namespace: str = "", *, patience: float = PATIENCE) -> None:
        if not endpoint:
            raise InputError("which Kubeflow?", hint="give --endpoint URL or set KFP_ENDPOINT")
        self.endpoint, self.namespace, self.patience = endpoint, namespace or None, patience
        self.client = self.call(lambda: connect(endpoint, namespace), seconds=min(FIRST_CONTACT, patience))

    def call(self, request: Callable[[], T], *, seconds: float | None = None) -> T:
        """Return what a request returns, made again through an outage.

        Args:
            request: Uses `client`.
            seconds: How long an outage may last; None for the usual patience.

        Returns:
            Its answer.

        Raises:
            Refused: Kubeflow says no.
            Stopped: It can't be reached for longer.
        """
        try:
            return retry("Kubeflow", lambda: self._answered(request), seconds=self.patience if seconds is None else seconds)
        except Exception as error:
            if not is_outage(error):
                raise
            # Only the kind of error: messages of HTTP clients carry addresses that may carry keys.
            what = f"Kubeflow at {self.endpoint} can't be reached ({type(error).__name__})"
            raise Stopped(what, hint="check --endpoint; the same command goes on") from error

    def _answered(self, request: Callable[[], T]) -> T:
        """Return `request()`; raise Refused where Kubeflow says no, or a proxy before it sends us to its login."""
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

    def server_version(self) -> str:
        """Return the version of the server, which only its older API tells.

        Returns:
            Its tag; empty where it tells none.
        """
        ask = self.client._healthz_api.api_client.call_api
        try:
            answer = self.call(lambda: ask(OLD_HEALTH, "GET", response_type="object", _return_http_data_only=True))
        except Refused as error:
            if error.status not in NO_RUN:
                raise
            return ""
        tag = str(answer.get("tag_name") or "") if isinstance(answer, dict) else ""
        return "" if tag == "unknown" else tag  # what a build without a tag says

    def images(self, version: Published) -> list[str]:
        """Return the images that the steps of a version run in.

        Args:
            version: A version that is published.

        Returns:
            Their names, sorted.
        """
        spec = self.call(lambda: self.client.get_pipeline_version(version.pipeline, version.version)).pipeline_spec or {}
        deployment = (spec.get("pipeline_spec") or spec).get("deploymentSpec", {})
        executors = deployment.get("executors", {}).values()
        return sorted({each["container"]["image"] for each in executors if "container" in each})

    def publish(self, version: Version) -> bool:
        """Publish a version of a pipeline.

        Args:
            version: A compiled pipeline.

        Returns:
            True if the version was not there yet.
        """
        return self.call(lambda: publish(version, self.client))

    def published(self, pipeline: str, *, light: str = "", torch: str = "") -> Published:
        """Return the version compiled here for these images, published first where it is new; without images, the newest one.

        Args:
            pipeline: Name of the pipeline.
            light: Image without torch; empty for the newest version.
            torch: Image with torch; empty for the newest version.

        Returns:
            A version that runs can be started with.

        Raises:
            InputError: One image is given without the other, or none is and nothing is published.
        """
        if light or torch:
            require_images(light, torch)

        def once() -> Published:
            name = ""
            if light or torch:
                version = compile_pipeline(pipeline, light=light, torch=torch)
                publish(version, self.client)
                name = version.name
            pipeline_id = self.client.get_pipeline_id(pipeline)
            pages = self._versions(pipeline_id) if pipeline_id else None
            versions = [each for each in (pages and pages.pipeline_versions) or [] if name in ("", each.display_name)]
            if not versions:
                hint = "publish it: `distillery pipelines publish --light-image … --torch-image …`"
                raise InputError(f"no version of pipeline {pipeline} is published", where=self.endpoint, hint=hint)
            newest = max(versions, key=lambda each: each.created_at)
            return Published(str(pipeline_id), str(newest.pipeline_version_id), str(newest.display_name))

        return self.call(once)

    def _versions(self, pipeline_id: str) -> Any:
        return self.client.list_pipeline_versions(pipeline_id, page_size=100, sort_by="created_at desc")

    def start(
        self, version: Published, name: str, arguments: Mapping[str, Any], *, experiment: str, service_account: str = ""
    ) -> str:
        """Start a run, or find it where an earlier try was answered too late to be heard.

        Args:
            version: The pipeline's version.
            name: Name of the run, which no other run has.
            arguments: The pipeline's parameters.
            experiment: Name of the experiment that the run belongs to.
            service_account: The run's; empty for Kubeflow's default.

        Returns:
            The run's id.
        """

        def once() -> str:
            if run_id := self._find(name):  # an earlier try whose reply was lost
                return run_id
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

        return self.call(once)

    def find(self, name: str) -> str | None:
        """Return the id of the run of this name.

        Args:
            name: Name of a run.

        Returns:
            Its id, None where there is no such run.
        """
        return self.call(lambda: self._find(name))

    def _find(self, name: str) -> str | None:
        predicate = {"predicates": [{"operation": "EQUALS", "key": "name", "stringValue": name}]}
        runs = self.client.list_runs(filter=json.dumps(predicate), namespace=self.namespace).runs
        return str(runs[0].run_id) if runs else None

    def get(self, run: str, *, seconds: float | None = None) -> Any:
        """Return Kubeflow's own record of a run.

        Args:
            run: The run's id.
            seconds: How long an outage may last; None for the usual patience.

        Returns:
            A record as kfp's client has it.

        Raises:
            InputError: There is no such run.
        """
        try:
            return self.call(lambda: self.client.get_run(run), seconds=seconds)
        except Refused as error:
            if error.status not in NO_RUN:
                raise
            what, hint = f"no run {run}", "give the id that `submit` printed"
            raise Refused(error.status, what, where=self.endpoint, hint=hint) from None

    def active(self, run: str) -> bool:
        """True if the run is there and unfinished.

        Args:
            run: The run's id.

        Returns:
            Whether it goes on.

        Raises:
            InputError: Kubeflow will not say.
        """
        try:
            return self.get(run).state not in ENDED
        except Refused as error:
            if error.status not in NO_RUN:
                raise
            return False

    def cancel(self, run: str) -> None:
        """End a run.

        Args:
            run: The run's id.
        """
        self.call(lambda: self.client.terminate_run(run))

    def page(self, run: str) -> str:
        """Return the address of the run in the UI.

        Args:
            run: The run's id.

        Returns:
            A URL where KF_PIPELINES_UI_ENDPOINT names the UI; empty elsewhere.
        """
        return f"{self.client._uihost.rstrip('/')}/#/runs/details/{run}" if self.client._uihost else ""


def _message(error: Any) -> str:
    """Return what Kubeflow's API says in a refusal, in its own words."""
    try:
        reply = loads(error.body)
        return str(reply.get("error") or reply["message"])[:400]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return str(error.reason)


def require_images(light: str, torch: str) -> None:
    """Refuse a version without the names of its images: under a name that no registry has, it would be everybody's newest one.

    Args:
        light: Image without torch.
        torch: Image with torch.

    Raises:
        InputError: One of them is empty.
    """
    missing = [option for option, image in (("--light-image", light), ("--torch-image", torch)) if not image]
    if missing:
        hint = "give both, or set DISTILLERY_IMAGE_LIGHT and DISTILLERY_IMAGE_TORCH"
        raise InputError("which image?", where=missing[0], hint=hint)


def cancelled(run: Any) -> bool:
    """True if somebody ended this run; Kubeflow calls it FAILED in the end.

    Args:
        run: Kubeflow's record of the run.

    Returns:
        Whether it was cancelled.
    """
    return any(status.state in ("CANCELING", "CANCELED") for status in run.state_history or [])


def tasks(run: Any) -> dict[str, str]:
    """Return the state of each task. A component used twice (label, label-2) counts once: the branch not taken is SKIPPED.

    Args:
        run: Kubeflow's record of the run.

    Returns:
        Kubeflow's word for the state, by the task's name.
    """
    details = (run.run_details.task_details if run.run_details else None) or []
    states = [(re.sub(r"-\d+$", "", task.display_name or ""), str(task.state)) for task in details]
    return dict(sorted(states, key=lambda pair: pair[1] not in ("SKIPPED", "OMITTED")))


def connect(endpoint: str, namespace: str) -> Any:
    """Return a client whose requests end.

    Args:
        endpoint: URL of the API.
        namespace: The user's; empty on an installation for one.

    Returns:
        A kfp.Client without retries of its own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kfp

        client = kfp.Client(host=endpoint, namespace=namespace or "kubeflow")
    rest = client._run_api.api_client.rest_client
    request = rest.request

    def bounded(*args: Any, **more: Any) -> Any:
        return request(*args, **{**more, "_request_timeout": more.get("_request_timeout") or REQUEST_TIMEOUT})

    rest.request = bounded
    rest.pool_manager.connection_pool_kw["retries"] = 0  # trying again is `retry`'s, which says so
    return client
