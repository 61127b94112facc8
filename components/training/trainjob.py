"""A training by several pods: a Kubeflow TrainJob, named by what it computes and where, followed by the step that asked.

The name holds a digest of the training's inputs and its store, so a step that starts again finds the TrainJob it left and
goes on following. The runtime (manifests/components/trainer) restarts all pods when one is lost, from the checkpoint in the
store, and never after bad input. The step deletes it once it has ended, well or not, and when the step is cancelled. One
whose step was killed without notice, or could not reach the Kubernetes API for three minutes, works on to its end; a step
with the same training takes it up, and any training an hour after its end sweeps it up.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from distillery.components.runtime.memory_limit import sized
from distillery.components.runtime.progress import Progress
from distillery.components.runtime.settings import TORCH_RESOURCES, read_object
from distillery.components.store import Digest, digest_json
from distillery.components.training.trainjob_api import GROUP, OURS, VERSION, Api
from distillery.components.training.worker_progress import AGAIN, relay_line
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter

RUNTIME: Final = "distillery-torch"
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
POLL_SECONDS = 2.0
SWEEP_AFTER = timedelta(hours=1)
QUEUED_AFTER = 10.0  # seconds  # before that its pods may just not be there yet


def job_name(flt: Filter, inputs: Digest, store: str) -> str:
    """Return the name of a training's TrainJob, short enough for the names that pods get from it.

    The store is part of the name: the same training against two stores needs two TrainJobs.

    Args:
        flt: the filter.
        inputs: digest of the training's inputs.
        store: URI of the training's store.

    Returns:
        train-<filter>-<digest>.
    """
    return f"train-{flt.name[:28].rstrip('-')}-{digest_json({'inputs': inputs, 'store': store})[:12]}"


def train_job(
    flt: Filter, inputs: Digest, store: str, arguments: Sequence[str], *, gpus: int, namespace: str, need: int = 0
) -> dict[str, Any]:
    """Return the TrainJob as a Kubernetes object.

    The image, the queue, and the nodes' resources and labels are the cluster's settings: DISTILLERY_IMAGE_TORCH,
    DISTILLERY_QUEUE, DISTILLERY_TORCH_RESOURCES, DISTILLERY_TORCH_NODES.

    Args:
        flt: the filter.
        inputs: digest of the training's inputs.
        store: URI of the training's store.
        arguments: command-line arguments of the module `worker`.
        gpus: GPUs of each node, 0 for the CPU.
        namespace: where the TrainJob goes.
        need: bytes of memory that a worker takes; 0 where that isn't known.

    Returns:
        A body for `Api.create`.

    Raises:
        InputError: DISTILLERY_IMAGE_TORCH is not set.
    """
    image = os.environ.get("DISTILLERY_IMAGE_TORCH")
    if not image:
        raise InputError("a TrainJob needs to know its image", where="trainer", hint="set DISTILLERY_IMAGE_TORCH")
    given = read_object("DISTILLERY_TORCH_RESOURCES", of_objects=True)
    labels = {**OURS, "llm-distillery.io/filter": flt.name}
    if queue := os.environ.get("DISTILLERY_QUEUE"):
        labels[QUEUE_LABEL] = queue
    trainer: dict[str, Any] = {
        "image": image,
        "command": ["python", "-m", "distillery.components.training.worker"],
        "args": list(arguments),
        "numNodes": flt.spec.training.nodes,
        "numProcPerNode": max(1, gpus),
    }
    resources = sized(TORCH_RESOURCES, given, need * max(1, gpus), setting="DISTILLERY_TORCH_RESOURCES", step="training")
    if gpus or given or resources != TORCH_RESOURCES:  # else the runtime's own, which are the same
        if gpus:
            resources["limits"]["nvidia.com/gpu"] = str(gpus)
        trainer["resourcesPerNode"] = resources
    spec: dict[str, Any] = {
        "runtimeRef": {"apiGroup": GROUP, "kind": "TrainingRuntime", "name": RUNTIME},
        "trainer": trainer,
        "labels": labels,  # the JobSet's, where Kueue looks
    }
    if nodes := read_object("DISTILLERY_TORCH_NODES"):
        spec["podSpecOverrides"] = [{"targetJobs": [{"name": "node"}], "nodeSelector": nodes}]
    metadata = {
        "name": job_name(flt, inputs, store),
        "namespace": namespace,
        "labels": labels,
        "annotations": {"llm-distillery.io/inputs": inputs},
    }
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "TrainJob", "metadata": metadata, "spec": spec}


def condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Return a TrainJob's condition of one kind.

    Args:
        job: the TrainJob.
        kind: such as "Complete".

    Returns:
        The condition, or None if it does not hold.
    """
    found = job.get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind and one["status"] == "True"), None)


def ended(job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the condition that a TrainJob ended with.

    Args:
        job: the TrainJob.

    Returns:
        Its Complete or Failed condition, or None while it works.
    """
    return condition(job, "Complete") or condition(job, "Failed")


class Cancelled(BaseException):
    """Raised where the step was told to end."""


@contextmanager
def told_to_end() -> Iterator[None]:
    """Raise `Cancelled` on SIGTERM while the block runs, if this is the main thread.

    Yields:
        Nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def cancelled(*_: object) -> None:
        raise Cancelled

    before = signal.signal(signal.SIGTERM, cancelled)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def sweep(api: Api, keep: str) -> None:
    """Delete this project's TrainJobs that ended more than an hour ago: what a killed step left behind.

    The time is the newest that the cluster shows, such as that of the TrainJob just created: this machine's clock may be off.

    Args:
        api: the namespace.
        keep: name of the TrainJob that stays in any case.
    """
    ends = dict[str, datetime]()
    now = datetime.min.replace(tzinfo=UTC)
    for job in api.ours():
        name, last, created = job["metadata"]["name"], ended(job), job["metadata"].get("creationTimestamp")
        if last:
            ends[name] = datetime.fromisoformat(last["lastTransitionTime"])
        now = max([now, *([datetime.fromisoformat(created)] if created else []), *([ends[name]] if last else [])])
    for name, end in ends.items():
        if name != keep and now - end > SWEEP_AFTER:
            api.delete(name)


class Follower:
    """Report on a TrainJob while it works: its first worker's log, restarts, what it waits for.

    Args:
        api: the namespace.
        name: the TrainJob's name.
        progress: told of everything.
    """

    def __init__(self, api: Api, name: str, progress: Progress) -> None:
        self.api, self.name, self.progress = api, name, progress
        self.error: dict[str, Any] = {}
        self._read: dict[str, str] = {}  # by pod: the time of its last line that was read,
        self._heard: dict[str, float] = {}  # and when that was, on this machine's clock
        self._restarts, self._waiting, self._since = 0, "", time.monotonic()

    def look(self, job: dict[str, Any]) -> None:
        """Report what is new since the last look.

        Args:
            job: the TrainJob as it is now.
        """
        pods = self.api.pods(self.name)
        restarts = max((int(_label(pod, "jobset.sigs.k8s.io/restart-attempt") or 0) for pod in pods), default=0)
        if restarts > self._restarts:
            self._restarts = restarts
            self.progress.note(f"a worker was lost; restart {restarts}, from the last checkpoint")
        waiting = _waits_for(job, pods, seconds=time.monotonic() - self._since)
        if waiting and waiting != self._waiting:
            self.progress.note(f"TrainJob {self.name} waits: {waiting}")
        self._waiting = waiting
        for pod in pods:
            self._log(pod)
            if _killed_for_memory(pod) and not self.error:
                hint = "set limits.memory of DISTILLERY_TORCH_RESOURCES higher, or a smaller training.tokensPerBatch"
                self.error = {"error": {"what": "a worker was killed for memory", "hint": hint}}

    def _log(self, pod: dict[str, Any]) -> None:
        """Relay the first worker's lines, and the errors of the others."""
        name, first = pod["metadata"]["name"], _label(pod, "batch.kubernetes.io/job-completion-index") == "0"
        phase = pod.get("status", {}).get("phase")
        if phase == "Pending" or not (first or phase == "Failed"):
            return
        key, now = pod["metadata"]["uid"], time.monotonic()
        # Since its last line, not the last look: a log that couldn't be had for a while loses nothing.
        seconds = int(now - self._heard[key]) + 10 if key in self._heard else 86_400
        for line in self.api.log(name, seconds):
            self._heard[key] = now
            moment, _, text = line.partition(" ")
            if moment > self._read.get(key, ""):
                self._read[key] = moment
                for each in text.split("\r"):  # what was printed over a bar of progress
                    row = relay_line(each, self.progress if first else Progress())
                    if "error" in row and (first or not self.error):
                        self.error = row


def _killed_for_memory(pod: dict[str, Any]) -> bool:
    states = [one.get(key, {}) for one in pod.get("status", {}).get("containerStatuses", []) for key in ("state", "lastState")]
    return any(state.get("terminated", {}).get("reason") == "OOMKilled" for state in states)


def _label(pod: dict[str, Any], key: str) -> str:
    return str(pod["metadata"].get("labels", {}).get(key, ""))


def _waits_for(job: dict[str, Any], pods: list[dict[str, Any]], seconds: float) -> str:
    """Return why no worker works yet, `seconds` after we began to look: a queue, a node, an image; empty where they do."""
    queue = job["metadata"].get("labels", {}).get(QUEUE_LABEL)
    if not pods and queue and seconds > QUEUED_AFTER:
        return f"for the queue {queue}"
    for pod in pods:
        status = pod.get("status", {})
        for container in status.get("containerStatuses", []):
            reason = str(container.get("state", {}).get("waiting", {}).get("reason", ""))
            if reason not in ("", "ContainerCreating", "PodInitializing"):
                return reason
        for one in status.get("conditions", []):
            if one["type"] == "PodScheduled" and one["status"] == "False":
                return str(one.get("message", one.get("reason", "")))[:200]
    return ""


def work_off(api: Api, body: dict[str, Any], progress: Progress, *, done: Any = lambda: False) -> None:
    """Start or adopt a TrainJob, follow it to its end, and delete it.

    Args:
        api: the namespace.
        body: the TrainJob, from `train_job`.
        progress: told what the TrainJob does.
        done: whether its result is in the store; asked if the TrainJob has vanished, since another run may have followed it,
            too.

    Raises:
        InputError: a worker found bad input.
        Stopped: the TrainJob failed, or the API is away; in that case the TrainJob works on, and the next step follows it.
        SystemExit: 143, if the step was cancelled.
    """
    name = body["metadata"]["name"]
    with told_to_end():
        try:
            _start(api, body, progress)
            sweep(api, name)
            failure = _follow(api, name, progress, done)
            _tidy(api, name, progress)
        except (Cancelled, KeyboardInterrupt):
            api.delete(name)
            progress.note(f"cancelled: TrainJob {name} deleted")
            raise SystemExit(143) from None
    if failure:
        raise failure


def _tidy(api: Api, name: str, progress: Progress) -> None:
    """Delete a TrainJob that has ended; if that fails, say so and go on, since how it ended is what counts."""
    try:
        api.delete(name)
    except (InputError, Stopped) as error:
        progress.note(f"TrainJob {name} has ended and is left for the next training to delete: {error.what}")


def _start(api: Api, body: dict[str, Any], progress: Progress) -> None:
    name = body["metadata"]["name"]
    while found := api.get(name):
        if not ended(found) and not found["metadata"].get("deletionTimestamp"):
            progress.note(f"goes on following TrainJob {name}, which was there already")
            return
        api.delete(name)  # one that ended won't start again
        time.sleep(POLL_SECONDS)
    api.create(body)
    count = body["spec"]["trainer"]["numNodes"]
    progress.note(f"TrainJob {name} of {count} node{'s' if count > 1 else ''} created")


def _follow(api: Api, name: str, progress: Progress, done: Any) -> InputError | Stopped | None:
    """Follow a TrainJob to its end; return None for a good end, else what the step should raise.

    That is Stopped where the API is out of reach or the TrainJob has vanished, and InputError where the API refuses.
    """
    follower = Follower(api, name, progress)
    while True:
        try:
            job = api.get(name)
            if job:
                follower.look(job)
        except (InputError, Stopped) as error:
            on = f"TrainJob {name} works on, and the training started again goes on following it"
            raise type(error)(error.what, hint="; ".join(filter(None, (error.hint, on)))) from error
        if job is None:
            if done():
                return None
            raise Stopped(f"TrainJob {name} was deleted, by a run that was cancelled or by hand", hint=AGAIN)
        if last := ended(job):
            return None if last["type"] == "Complete" else _failure(name, last, follower.error)
        time.sleep(POLL_SECONDS)


def _failure(name: str, last: dict[str, Any], error: dict[str, Any]) -> InputError | Stopped:
    """Return the error for a failed TrainJob, from its `last` condition and the `error` line of its workers."""
    words = error.get("error", {})
    if error.get("input"):
        return InputError(words.get("what", ""), where=words.get("where", ""), hint=words.get("hint", ""))
    what = words.get("what") or last.get("message", "")
    return Stopped(f"TrainJob {name} failed: {what}", hint=words.get("hint") or AGAIN)
