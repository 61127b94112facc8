"""Scoring over a cluster: an Indexed Job started once for the same work into the same place, followed to its end, or deleted.

The parts in the store say what is done, the Job only who is at it; so a Job that is deleted, fails or outlives its follower
costs nothing but the parts under way. Following costs one request every 2 s, and three small ones a part.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from distillery.components.artifacts.scores import Scores
from distillery.components.remote.kubernetes import ask, batch, core
from distillery.components.runtime.progress import Progress, clock, quiet
from distillery.components.scoring.cluster_jobs import create_job, ended, is_at, scores_of, unfinished
from distillery.components.scoring.completion import finish, missing
from distillery.components.scoring.job_manifest import TODO, Also, Place, job_manifest, job_name
from distillery.components.scoring.need import memory_need, pod_need
from distillery.components.scoring.plan import Plan, begin, put_todo, todo_list
from distillery.components.scoring.whole import look_at_all
from distillery.components.store import Store, open_store
from distillery.components.store.layout import scores_folder
from distillery.components.student.memory import Need
from distillery.filters.errors import InputError, Stopped

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
    store: Store,
    plan: Plan,
    place: Place,
    *,
    out: str = "",
    parallelism: int = 0,
    also: Sequence[Also] = (),
    progress: Progress = quiet,
) -> Submitted:
    """Start the Job for the parts that are not there, or adopt one that is at it; report this filter's other Jobs.

    Args:
        store: the store that the pods read from.
        plan: what is scored.
        place: the cluster's namespace and settings.
        out: where the scores go; empty for scores/<job> in the store.
        parallelism: pods at once; 0 chooses.
        also: other filters for which a Job that is started scores, over the same corpus cut in the same way. An adopted one
            may not: `job_state` tells.
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
        if is_at(job, plan, scores.uri):
            return Submitted(plan, scores, place, job.metadata.name, left, True)
    for job in others:
        address = scores_of(job, plan.filter)
        progress.note(
            f"Job {job.metadata.name} of this filter goes on as well, into {address}; --cancel --out {address} ends it"
        )
    parts = set(left)
    for each in also:
        there = open_store(each.out)
        begin(there, each.plan)
        parts |= {*missing(there, each.plan, progress)}
    place = place.for_student(pod_need([_need_of(store, each) for each in (plan, *(each.plan for each in also))]))
    todo = put_todo(scores, sorted(parts)) if len(parts) < plan.shards else ""
    body = job_manifest(
        plan,
        place,
        out=scores.uri,
        store=store.uri,
        completions=len(parts),
        parallelism=parallelism or MAX_PARALLEL,
        todo=todo,
        also=also,
    )
    name = job_name(plan, scores.uri, todo, also)
    return Submitted(plan, scores, place, name, left, create_job(place.namespace, body))


def _need_of(store: Store, plan: Plan) -> Need | None:
    return memory_need(store, plan.filter, plan.adapter, plan.served)


def together(store: Store, place: Place, wanted: Sequence[Also]) -> list[list[Also]]:
    """Say which filters share a Job: over one corpus, cut in one way, by one image, while their students fit a pod's memory.

    A pod isn't made larger for it: two MiniLM over one corpus save 1% of the work by it, and a large pod finds a node later.
    A student on a GPU has it alone.

    Args:
        store: the store that the pods read from.
        place: the cluster's namespace and settings.
        wanted: what is to be scored for each filter, and where.

    Returns:
        Groups, in the order of their first filter.
    """
    groups = list[tuple[list[Also], list[Need | None]]]()
    for each in wanted:
        need = _need_of(store, each.plan)
        for group, needs in groups:
            taken = pod_need([*needs, need])
            if taken and not place.gpu and group[0].plan.same_parts(each.plan) and place.has_room(taken):
                group.append(each)
                needs.append(need)
                break
        else:
            groups.append(([each], [need]))
    return [group for group, _ in groups]


def default_out(store: Store, plan: Plan) -> str:
    """Return where the scores of a plan go unless the user names a place.

    Args:
        store: the store.
        plan: what is scored.

    Returns:
        A URI below the store.
    """
    return f"{store.uri}/{scores_folder(plan.job)}"


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
        end = ended(current)
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
