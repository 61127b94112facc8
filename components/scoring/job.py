"""Scoring over a cluster: an Indexed Job started once for the same work into the same place, followed to its end, or deleted.

The parts in the store say what is done, the Job only who is at it; so a Job that is deleted, fails or outlives its follower
costs nothing but the parts under way. Following costs one request every 2 s, and three small ones a part.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from distillery.components.artifacts.scores import Scores
from distillery.components.remote.kubernetes import ask, batch, core, create
from distillery.components.runtime.progress import Progress, clock, quiet
from distillery.components.scoring.cluster_plan import plan_on_cluster, plan_over
from distillery.components.scoring.completion import finish, missing
from distillery.components.scoring.job_manifest import (
    COMPONENT,
    FILTER_LABEL,
    JOB_LABEL,
    SCORES,
    TODO,
    Place,
    job_manifest,
    job_name,
)
from distillery.components.scoring.need import memory_need
from distillery.components.scoring.plan import Plan, begin, put_todo, todo_list
from distillery.components.scoring.whole import look_at_all
from distillery.components.store import Store, open_store
from distillery.components.store.layout import scores_folder
from distillery.filters.errors import InputError, Stopped

__all__ = [
    "Submitted",
    "cancel",
    "default_out",
    "expand",
    "follow",
    "plan_on_cluster",
    "plan_over",
    "scores_of",
    "submit",
    "unfinished",
]

MAX_PARALLEL = 1000
POLL_SECONDS = 2.0
STUCK_SECONDS = 60.0
PATIENCE = 24 * 3600.0  # of who follows: the Job goes on meanwhile


@dataclass(frozen=True)
class Submitted:
    """Hold a scoring job that was submitted.

    Attributes:
        plan: what is scored.
        out: where the scores go.
        place: the cluster's namespace and settings.
        name: of the Job, empty if none was needed.
        left: parts that were still to do at submission.
        adopted: whether the Job was running already.
    """

    plan: Plan
    out: Store
    place: Place
    name: str
    left: list[int]
    adopted: bool

    @property
    def kubectl(self) -> str:
        """Return the command that shows the Job."""
        return f"kubectl -n {self.place.namespace} get job {self.name}"


def submit(
    store: Store, plan: Plan, place: Place, *, out: str = "", parallelism: int = 0, progress: Progress = quiet
) -> Submitted:
    """Start the Job for the parts that are not there, or adopt one that is at it; report this filter's other Jobs.

    Args:
        store: the store that the pods read from.
        plan: what is scored.
        place: the cluster's namespace and settings.
        out: where the scores go; empty for scores/<job> in the store.
        parallelism: pods at once; 0 chooses.
        progress: told of other Jobs.

    Returns:
        The job.

    Raises:
        InputError: `out` holds other scores, or Kubernetes refuses the Job.
    """
    scores = open_store(out or default_out(store, plan))
    begin(scores, plan)
    left = missing(scores, plan, progress)
    if not left:
        return Submitted(plan, scores, place, "", [], False)
    others = unfinished(place, plan.filter)
    for job in others:
        if is_of(job, plan) and scores_of(job) == scores.uri:
            return Submitted(plan, scores, place, job.metadata.name, left, True)
    for job in others:
        address = scores_of(job)
        progress.note(
            f"Job {job.metadata.name} of this filter goes on as well, into {address}; --cancel --out {address} ends it"
        )
    place = place.for_student(memory_need(store, plan.filter, plan.adapter, plan.served))
    todo = put_todo(scores, left) if len(left) < plan.shards else ""
    body = job_manifest(
        plan,
        place,
        out=scores.uri,
        store=store.uri,
        completions=len(left),
        parallelism=parallelism or MAX_PARALLEL,
        todo=todo,
    )
    return Submitted(plan, scores, place, job_name(plan, scores.uri, todo), left, _create(place.namespace, body))


def default_out(store: Store, plan: Plan) -> str:
    """Return where the scores of a plan go unless the user names a place.

    Args:
        store: the store.
        plan: what is scored.

    Returns:
        A URI below the store.
    """
    return f"{store.uri}/{scores_folder(plan.job)}"


def _create(namespace: str, body: dict[str, Any]) -> bool:
    """Create a Job, once an ended one of its name is deleted; return True if somebody else had created it.

    A Job of this name that scores into another place is refused with InputError.
    """
    name, address = body["metadata"]["name"], body["metadata"]["annotations"][SCORES]
    while True:
        try:
            create(batch().create_namespaced_job, namespace, body)
            return False
        except FileExistsError:
            try:
                job = ask(batch().read_namespaced_job, name, namespace)
            except KeyError:
                continue
            if _goes_on(job):
                if scores_of(job) != address:
                    hint = f"give another --out, or end it: --cancel --out {scores_of(job)}"
                    raise InputError(f"scores into {scores_of(job)}", where=f"Job {name}", hint=hint) from None
                return True
            _delete(namespace, name)
            time.sleep(0.5)


def _delete(namespace: str, name: str) -> None:
    with suppress(KeyError):
        ask(batch().delete_namespaced_job, name, namespace, propagation_policy="Background")


def cancel(place: Place, scores: str, plan: Plan | None = None) -> list[str]:
    """Delete the unfinished Jobs that score into a place; parts that are there stay.

    Args:
        place: the cluster's namespace and settings.
        scores: URI of the scores.
        plan: delete only Jobs of these inputs; None for all.

    Returns:
        Names of the deleted Jobs.
    """
    jobs = [job for job in unfinished(place) if scores_of(job) == scores and (plan is None or is_of(job, plan))]
    names = [job.metadata.name for job in jobs]
    for name in names:
        _delete(place.namespace, name)
    return names


def unfinished(place: Place, flt: str = "") -> list[Any]:
    """Return the place's scoring Jobs that have not ended.

    Args:
        place: the cluster's namespace and settings.
        flt: name of the only filter to look for; empty for all.

    Returns:
        The Jobs, the oldest first.
    """
    selector = f"{FILTER_LABEL}={flt}" if flt else COMPONENT
    answer = ask(batch().list_namespaced_job, place.namespace, label_selector=selector)
    return sorted(filter(_goes_on, answer.items), key=lambda job: str(job.metadata.creation_timestamp))


def scores_of(job: Any) -> str:
    """Return the address that a Job scores into.

    Args:
        job: the Job, as the Kubernetes client has it.

    Returns:
        A URI, empty if the Job names none.
    """
    return str((job.metadata.annotations or {}).get(SCORES, ""))


def is_of(job: Any, plan: Plan) -> bool:
    """True if a Job scores these inputs.

    Args:
        job: the Job, as the Kubernetes client has it.
        plan: the inputs.

    Returns:
        Whether it does, wherever its scores go.
    """
    return bool((job.metadata.labels or {}).get(JOB_LABEL) == plan.job[:40])


def _goes_on(job: Any) -> bool:
    return not _ended(job) and job.metadata.deletion_timestamp is None


def _ended(job: Any) -> str:
    """Return "Complete" or "Failed", empty while it goes on."""
    ends = [each.type for each in job.status.conditions or [] if each.status == "True" and each.type in ("Complete", "Failed")]
    return ends[0] if ends else ""


def expand(text: str | None) -> Iterator[int]:
    """Yield the indexes of a range list.

    Args:
        text: such as "0-2,5"; None or empty for none.

    Yields:
        0, 1, 2, 5.
    """
    for each in filter(None, (text or "").split(",")):
        first, _, last = each.partition("-")
        yield from range(int(first), int(last or first) + 1)


@dataclass
class _Follower:
    job: Submitted
    progress: Progress
    order: list[int] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    articles: int = 0
    start: tuple[int, float] = (0, 0.0)  # parts done and when, when following began
    counted: tuple[int, float] = (0, 0.0)  # … and when there was last a new one
    moved: float = field(default_factory=time.monotonic)
    last_reason: str = ""

    def look(self, job: Any) -> None:
        """Take in the Job's status, and the facts of parts that are new."""
        status, shards, before = job.status, self.job.plan.shards, list[int]()
        if not self.order:
            digest = (job.metadata.annotations or {}).get(TODO, "")
            self.order = todo_list(self.job.out, digest) if digest else list(range(shards))
            before = sorted(set(range(shards)) - set(self.job.left))
        fresh = sorted({self.order[place] for place in expand(status.completed_indexes)} - self.done - {*before})
        for part in look_at_all(self.job.out, self.job.plan, [*before, *fresh]):
            if part.facts:
                self.done.add(part.number)
                self.articles += part.facts.articles
        if not self.start[1]:
            self.start = (len(self.done), time.monotonic())
        newly_failed = {self.order[place] for place in expand(status.failed_indexes)} - self.failed
        self.failed |= newly_failed
        if fresh or newly_failed or status.ready:
            self.moved = time.monotonic()
        for index in sorted(newly_failed)[:5]:
            self.progress.note(f"part {index} failed: {self.last_words(index)[1] or 'see its pod'}")
        counts = {"parts": f"{len(self.done):,} of {shards:,}"}
        if status.active:
            counts["running"] = f"{status.ready or 0:,}"
        if self.failed:
            counts["failed"] = f"{len(self.failed):,}"
        if fresh or before:
            self.counted = (len(self.done), time.monotonic())
        if (new := self.counted[0] - self.start[0]) > 0 and len(self.done) < shards:
            counts["left"] = clock((shards - len(self.done)) * (self.counted[1] - self.start[1]) / new)
        self.progress(self.articles, self.articles if len(self.done) == shards else None, "articles", **counts)
        if time.monotonic() - self.moved > STUCK_SECONDS:
            self.moved = time.monotonic()
            self.say_why_nothing_moves(job)

    def say_why_nothing_moves(self, job: Any) -> None:
        if job.spec.suspend:
            why = f"the Job waits in queue {self.job.place.queue}" if self.job.place.queue else "the Job is suspended"
        else:
            pods = self.pods(50)
            waits = [
                f"{state.waiting.reason}: {state.waiting.message or ''}"[:200]
                for pod in pods
                for state in [each.state for each in pod.status.container_statuses or []]
                if state.waiting and state.waiting.reason not in ("ContainerCreating", "PodInitializing")
            ]
            unplaced = [
                f"{each.reason}: {each.message}"[:200]
                for pod in pods
                for each in pod.status.conditions or []
                if each.type == "PodScheduled" and each.status == "False"
            ]
            why = (waits or unplaced or ["its pods don't run yet"])[0]
        if why != self.last_reason:
            self.last_reason = why
            self.progress.note(f"nothing moves: {why}")

    def pods(self, limit: int, more: str = "") -> list[Any]:
        selector = f"batch.kubernetes.io/job-name={self.job.name}{more}"
        return list(ask(core().list_namespaced_pod, self.job.place.namespace, label_selector=selector, limit=limit).items)

    def last_words(self, index: int) -> tuple[int, str]:
        """Exit code and message of the newest pod of a part that failed; (0, "") where none is left."""
        place = self.order.index(index)
        pods = self.pods(20, f",batch.kubernetes.io/job-completion-index={place}")
        for pod in sorted(pods, key=lambda pod: str(pod.metadata.creation_timestamp), reverse=True):
            for each in pod.status.container_statuses or []:
                if each.state.terminated and each.state.terminated.exit_code:
                    if each.state.terminated.reason == "OOMKilled":
                        return each.state.terminated.exit_code, self.job.place.killed
                    text = (each.state.terminated.message or each.state.terminated.reason or "").strip()
                    return each.state.terminated.exit_code, (text.splitlines() or [""])[-1].removeprefix("error: ")
        return 0, ""


def follow(job: Submitted, progress: Progress = quiet) -> Scores:
    """Wait for a Job's end and write _SUCCESS; the parts done stay in any case.

    Args:
        job: from `submit`.
        progress: told how many articles are scored, and why nothing moves.

    Returns:
        What _SUCCESS says.

    Raises:
        InputError: a part's input is bad.
        Stopped: the Job failed otherwise, or was deleted.
    """
    again = "the same command goes on with the parts that are left"
    follower = _Follower(job, progress)
    while job.name:
        try:
            current = ask(batch().read_namespaced_job, job.name, job.place.namespace, seconds=PATIENCE)
        except KeyError:
            if missing(job.out, job.plan):
                raise Stopped(f"the Job {job.name} was deleted", hint=again) from None
            break
        follower.look(current)
        end = _ended(current)
        if end == "Failed":
            words = [(index, *follower.last_words(index)) for index in sorted(follower.failed)[:20]]
            for index, code, message in sorted(words, key=lambda each: each[1] != 2):
                if code == 2:
                    raise InputError(
                        f"part {index}: {message}", hint="fix that and score again; a changed corpus is another job"
                    )
                raise Stopped(f"part {index} failed (exit code {code}): {message}", hint=f"see {job.kubectl}; {again}")
            reasons = [each.message or each.reason for each in current.status.conditions or [] if each.type == "Failed"]
            raise Stopped(f"the Job failed: {'; '.join(map(str, reasons))}", hint=f"see {job.kubectl}; {again}")
        if end:
            break
        time.sleep(POLL_SECONDS)
    return finish(job.out, job.plan)
