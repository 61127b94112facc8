"""The logs of a run on a cluster: those of its pods, as long as the cluster has them.

Kubeflow labels the pods of a run with its id; that of a step has the step's name in its command. A pod that ended stays until
Kubeflow's workflow is removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from distillery.components.remote import kubernetes as kube
from distillery.filters.errors import InputError, one_line

NAMESPACE = "kubeflow"
RUN_LABEL = "pipeline/runid"
CONTAINER = "main"
STEP_FLAG = "--function_to_execute"
POLL_SECONDS = 3.0
SLACK = 5  # seconds of log that are asked for twice, so that none is missed


class Pod(NamedTuple):
    """A pod of a step: its name, the step, and whether it has ended or is yet to start."""

    name: str
    step: str
    ended: bool
    started: bool


def run_pods(run: str, namespace: str = "") -> list[Pod]:
    """Return the pods of a run's steps, the oldest first; Kubeflow's own drivers are left out.

    Args:
        run: The run's id.
        namespace: Where its pods are; empty for Kubeflow's own.

    Returns:
        The pods that the cluster still has.

    Raises:
        InputError: There is no cluster, or it refuses.
        Stopped: The API server can't be reached.
    """
    selector = f"{RUN_LABEL}={run}"
    found = kube.ask(kube.core().list_namespaced_pod, namespace or NAMESPACE, label_selector=selector).items
    pods = [(pod, step) for pod in found if (step := _step_of(pod))]
    pods.sort(key=lambda pair: (str(pair[0].metadata.creation_timestamp), pair[0].metadata.name))
    return [
        Pod(pod.metadata.name, step, pod.status.phase in ("Succeeded", "Failed"), pod.status.phase != "Pending")
        for pod, step in pods
    ]


def _step_of(pod: Any) -> str:
    """Return the step that a pod runs; empty for a pod of Kubeflow's own."""
    for container in pod.spec.containers:
        words = [*(container.command or ()), *(container.args or ())]
        if container.name == CONTAINER and STEP_FLAG in words[:-1]:
            return str(words[words.index(STEP_FLAG) + 1])
    return ""


class PodLog:
    """The log of a pod, read again and again: each line once.

    Args:
        name: Name of the pod.
        namespace: Where it is; empty for Kubeflow's own.
    """

    def __init__(self, name: str, namespace: str = "") -> None:
        self.name, self.namespace = name, namespace or NAMESPACE
        self._last, self._at_last, self._read = "", list[str](), 0.0

    def lines(self) -> list[str]:
        """Return what was printed since the last call.

        Returns:
            Lines; none where the log can't be had now, or never.

        Raises:
            Stopped: The API server can't be reached.
        """
        now = time.monotonic()
        since = {"since_seconds": int(now - self._read) + SLACK} if self._last else {}
        try:
            found = kube.log_lines(self.name, self.namespace, container=CONTAINER, timestamps=True, **since)
        except (KeyError, InputError):  # 404: gone; 400: not started; 403 is told by whoever lists pods
            return []
        self._read = now
        fresh = list[str]()
        for line in found:
            at, _, text = line.partition(" ")
            if at < self._last or (at == self._last and text in self._at_last):
                continue
            self._at_last = [*self._at_last, text] if at == self._last else [text]
            self._last = at
            # A bar of progress is one line of many states; its blank ones say nothing.
            fresh += [one_line(part.expandtabs()) for part in text.split("\r") if part or "\r" not in text]
        return fresh


def run_logs(run: str, step: str = "", namespace: str = "") -> Iterator[tuple[str, str]]:
    """Yield what the pods of a run have printed.

    Args:
        run: The run's id.
        step: A step, to leave others out; empty for all.
        namespace: Where its pods are; empty for Kubeflow's own.

    Yields:
        Step and line, pod by pod, the oldest first.

    Raises:
        InputError: The cluster has no such pod.
        Stopped: The API server can't be reached.
    """
    pods = run_pods(run, namespace)
    wanted = [pod for pod in pods if step in ("", pod.step)]
    if not wanted:
        steps = ", ".join(dict.fromkeys(pod.step for pod in pods))
        what = f"no pod of step {step}; there are {steps}" if steps else "the cluster has no pod of it"
        hint = "Kubeflow removes pods after a while" if not steps else "name one of these"
        raise InputError(what, where=f"run {run}, namespace {namespace or NAMESPACE}", hint=hint)
    for pod in wanted:
        yield from ((pod.step, line) for line in PodLog(pod.name, namespace).lines())


def follow_logs(run: str, step: str, namespace: str, ended: Callable[[], bool]) -> Iterator[tuple[str, str]]:
    """Yield what the pods of a run print, to the run's end.

    Args:
        run: The run's id.
        step: A step, to leave others out; empty for all.
        namespace: Where its pods are; empty for Kubeflow's own.
        ended: True if the run has ended.

    Yields:
        Step and line.

    Raises:
        InputError: The cluster refuses.
        Stopped: The API server can't be reached.
    """
    logs, whole = dict[str, PodLog](), set[str]()
    while True:
        over = ended()  # asked first, so that what is printed last is read after the end
        for pod in run_pods(run, namespace):
            if step not in ("", pod.step) or not pod.started or pod.name in whole:
                continue
            log = logs.setdefault(pod.name, PodLog(pod.name, namespace))
            yield from ((pod.step, line) for line in log.lines())
            if pod.ended:
                whole.add(pod.name)
        if over:
            return
        time.sleep(POLL_SECONDS)
