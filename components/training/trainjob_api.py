"""The calls to the Kubernetes API that a TrainJob's follower needs."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final

from distillery.filters.errors import InputError, Stopped

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
OURS: Final = {"app.kubernetes.io/part-of": "llm-distillery", "app.kubernetes.io/component": "training"}
LOG_SECONDS = 10.0  # patience for a log: that of a lost node's pod answers 500 for minutes, while the training goes on


# How a TrainJob chooses its nodes, in the three ages of Kubeflow Trainer, the newest first.
PLACEMENTS: Final = ("runtimePatches", "podTemplateOverrides", "podSpecOverrides")
MANAGER: Final = "llm-distillery.io/training"  # who owns our entry of runtimePatches


def placements(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a TrainJob as each age of Kubeflow Trainer wants the choice of nodes, the newest first.

    Args:
        body: the object, with podSpecOverrides where it chooses nodes.

    Returns:
        The objects to try; `body` alone where it chooses no nodes.
    """
    rest = dict(body["spec"])
    overrides = rest.pop("podSpecOverrides", None)
    if not overrides:
        return [body]
    chosen = {"nodeSelector": overrides[0]["nodeSelector"]}
    node = {"name": "node", "template": {"spec": {"template": {"spec": chosen}}}}
    patch = {"manager": MANAGER, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [node]}}}}
    ages = zip(PLACEMENTS, ([patch], [{"targetJobs": overrides[0]["targetJobs"], "spec": chosen}], overrides), strict=True)
    return [{**body, "spec": {**rest, field: value}} for field, value in ages]


def _is_unknown(error: InputError, form: dict[str, Any]) -> bool:
    """True if the API server refused the form for its way to choose nodes, and for nothing else that it doesn't know."""
    unknown = re.findall(r'unknown field "spec\.([A-Za-z]+)', error.what)
    return bool(unknown) and all(field in PLACEMENTS and field in form["spec"] for field in unknown)


def _no_trainjobs() -> InputError:
    hint = "install Kubeflow Trainer 2 and manifests/components/trainer, or use trainer=pod"
    return InputError("this cluster has no TrainJobs", where="trainer", hint=hint)


class Api:
    """Reach the TrainJobs and pods of one namespace; each call but `log` is retried for three minutes while the API is away.

    Args:
        namespace: where the TrainJobs are.
    """

    def __init__(self, namespace: str) -> None:
        from distillery.components.remote import kubernetes as kube

        self.namespace, self._kube = namespace, kube
        self._jobs, self._core = kube.custom(), kube.core()
        self._where = (GROUP, VERSION, namespace, PLURAL)

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a TrainJob.

        Args:
            name: its name.

        Returns:
            The object, or None if there is none of that name.
        """
        with suppress(KeyError):
            found: dict[str, Any] = self._kube.ask(self._jobs.get_namespaced_custom_object, *self._where, name)
            return found
        return None

    def create(self, body: dict[str, Any]) -> None:
        """Create a TrainJob, unless one of its name exists.

        The API server refuses a field that it doesn't know, so each age of Trainer is spoken to in its own words.

        Args:
            body: the object, from `train_job`.

        Raises:
            InputError: the cluster refuses it, has no TrainJobs, or a Trainer that can choose no nodes.
        """
        for form in placements(body):
            try:
                with suppress(FileExistsError):
                    self._kube.create(self._jobs.create_namespaced_custom_object, *self._where, form)
                return
            except KeyError as error:
                raise _no_trainjobs() from error
            except InputError as error:
                if not _is_unknown(error, form):
                    raise
        what = f"its Kubeflow Trainer has none of the fields {', '.join(PLACEMENTS)}, so that no nodes can be chosen"
        raise InputError(what, where="trainer", hint="update it, or unset DISTILLERY_TORCH_NODES")

    def delete(self, name: str) -> None:
        """Delete a TrainJob and its pods, if it exists.

        Args:
            name: its name.
        """
        with suppress(KeyError):
            self._kube.ask(
                self._jobs.delete_namespaced_custom_object, *self._where, name, body={"propagationPolicy": "Foreground"}
            )

    def ours(self) -> list[dict[str, Any]]:
        """Return this project's TrainJobs in the namespace.

        Returns:
            The objects.

        Raises:
            InputError: the cluster has no TrainJobs.
        """
        selector = ",".join(f"{key}={value}" for key, value in OURS.items())
        try:
            found = self._kube.ask(self._jobs.list_namespaced_custom_object, *self._where, label_selector=selector)
        except KeyError as error:
            raise _no_trainjobs() from error
        return list(found["items"])

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Return the pods of a TrainJob.

        Args:
            name: the TrainJob's name.

        Returns:
            The pods as plain JSON.
        """
        selector = f"jobset.sigs.k8s.io/jobset-name={name}"
        found = self._kube.ask(self._core.list_namespaced_pod, self.namespace, label_selector=selector)
        return [self._core.api_client.sanitize_for_serialization(pod) for pod in found.items]

    def log(self, pod: str, seconds: int) -> list[str]:
        """Return the last lines of a pod's log.

        Args:
            pod: the pod's name.
            seconds: how far back.

        Returns:
            Lines, each with its time in front; none if the log can't be had now.
        """
        since = {"timestamps": True, "since_seconds": seconds}
        try:
            return self._kube.log_lines(pod, self.namespace, seconds=LOG_SECONDS, **since)
        except (KeyError, InputError, Stopped):  # 404: gone; 400: not started; 500: its node is lost
            return []
