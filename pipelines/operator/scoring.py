"""One pass over one Scoring object: each of its filters is looked at, brought on by small steps, and told of in the status.

What goes on is in the store: which passes there are, which parts are done. The Job of a pass is named by its content, so
whoever submits it twice adopts it. This process remembers only when it last looked for new files; after a restart it looks
once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from distillery.components.artifacts.adapter import Subject
from distillery.components.artifacts.channel import current
from distillery.components.artifacts.filter import read_filter
from distillery.components.drift.drift import drift
from distillery.components.scoring.completion import finish, missing
from distillery.components.scoring.corpus import Corpus, find_corpus
from distillery.components.scoring.job import plan_over, submit
from distillery.components.scoring.job_manifest import Place
from distillery.components.scoring.new_files import job_state
from distillery.components.scoring.passes import Work, end_pass, going_on, next_pass, passes_of
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store, StoreError, not_read, open_store
from distillery.filters.cluster_object import load_scoring_object
from distillery.filters.errors import InputError, Stopped
from distillery.filters.scoring import ScoredFilter, Scoring
from distillery.pipelines.operator.decide import IDLE, Wait
from distillery.pipelines.operator.kubernetes import PATIENCE, Objects
from distillery.pipelines.operator.notices import Notices
from distillery.pipelines.operator.reconcile import MOST, UNREACHABLE, Pass, fault
from distillery.pipelines.operator.scoring_decide import Finish, Look, ScoringFacts, Submit, decide_scoring
from distillery.pipelines.operator.scoring_status import scoring_status
from distillery.pipelines.operator.status import Trouble, transitions
from distillery.pipelines.operator.wanted import generation_of, object_of

Looked = dict[tuple[str, str], tuple[float, str]]


@dataclass
class ScoringWorld:
    """Where a pass over Scoring objects reads and writes.

    Attributes:
        store: the store of filters and adapters.
        objects: the Scoring objects.
        place: returns where Jobs go, and with which image.
        clock: seconds since 1970.
        looked: when new files were last looked for, and the adapter that served then, by object and filter.
        outs: places of scores that were reached before, by address.
        notices: what the webhook was told.
    """

    store: Store
    objects: Objects
    place: Callable[[], Place]
    clock: Callable[[], float] = time.time
    looked: Looked = field(default_factory=dict)
    outs: dict[str, Store] = field(default_factory=dict)
    notices: Notices = field(default_factory=Notices)

    def now(self) -> str:
        """Return the time as documents show it.

        Returns:
            UTC, to the second.
        """
        return self.time().strftime("%Y-%m-%dT%H:%M:%SZ")

    def time(self) -> datetime:
        """Return the time.

        Returns:
            UTC.
        """
        return datetime.fromtimestamp(self.clock(), UTC)


def reconcile_scoring(world: ScoringWorld, value: Mapping[str, Any]) -> Pass:
    """Do what is to be done now for one Scoring object, and write its status.

    Args:
        world: where to read and write.
        value: the object as the API server has it.

    Returns:
        What the pass came to; nothing is raised but what the API server refuses or can't be asked.
    """
    name, done = object_of(value), list[str]()
    scoring: Scoring | None = None
    known, troubles, seconds = dict[str, ScoringFacts](), dict[str, Trouble](), IDLE
    try:
        scoring = load_scoring_object(value, name)
    except InputError as error:
        troubles[""] = Trouble("Invalid", str(error), invalid=True)
    except Exception as error:  # an object that nobody expected must not stop the others
        troubles[""] = fault(error)
    else:
        for each in scoring.spec.filters:
            facts, trouble, pause = _settle(world, scoring, name, each, done)
            known |= {each.name: facts} if facts else {}
            troubles |= {each.name: trouble} if trouble else {}
            seconds = min(seconds, pause)
    before = value.get("status")
    was: Mapping[str, Any] = before if isinstance(before, Mapping) else {}
    status = scoring_status(was, generation_of(value), world.store, scoring, known, troubles, at=world.now())
    if status != before:
        for told in (news := transitions(was, status)):
            world.objects.tell(value, told, world.now())
        world.notices.tell(value, news, status, world.now())
        world.objects.put_status(value, status)
    return Pass(name, status, seconds, tuple(done), next(iter(troubles.values()), None))


def _settle(
    world: ScoringWorld, scoring: Scoring, name: str, each: ScoredFilter, done: list[str]
) -> tuple[ScoringFacts | None, Trouble | None, float]:
    """Act for one filter until nothing is to be done now; what is wrong with it stops no other."""
    facts: ScoringFacts | None = None
    try:
        for _ in range(MOST):
            one = _One(world, scoring, name, each)
            facts = one.look()
            action = decide_scoring(facts, scoring.spec, world.clock())
            if isinstance(action, Wait):
                return facts, None, action.seconds
            done.append(f"{type(action).__name__} {each.name}")
            if isinstance(action, Look):
                one.look_for_files(facts)
            elif isinstance(action, Submit):
                one.submit(facts)
            elif isinstance(action, Finish):
                one.finish(facts)
        return facts, None, 0.0
    except Stopped as error:
        return facts, Trouble("Unreachable", str(error)), UNREACHABLE
    except StoreError as error:
        away = not_read(error)
        return facts, Trouble("StoreUnreachable" if away else "StoreDamaged", str(error)), UNREACHABLE if away else IDLE
    except InputError as error:
        return facts, Trouble("BadInput", error.for_form(), input=True), IDLE
    except Exception as error:
        return facts, fault(error), IDLE


class _One:
    """One filter of a Scoring, as it is now."""

    def __init__(self, world: ScoringWorld, scoring: Scoring, name: str, each: ScoredFilter) -> None:
        self.world, self.spec, self.each, self.key = world, scoring.spec, each, (name, each.name)
        place = world.place()
        self.place = replace(place, queue=scoring.spec.queue) if scoring.spec.queue else place
        out = scoring.spec.out.rstrip("/")
        if out not in world.outs:
            world.outs[out] = open_store(out, patience=PATIENCE)  # a client costs a tenth of a second
        self.out = world.outs[out].below(each.name)
        self.corpus = scoring.spec.corpus.rstrip("/")
        pointer = current(world.store, each.name, each.channel)
        self.subject = Subject(read_filter(world.store, pointer.filter), pointer.adapter) if pointer else None

    @property
    def work(self) -> Work:
        """What a new pass is made with."""

        def plan(new: Corpus, per_file: bool) -> Plan:
            assert self.subject is not None
            return plan_over(self.world.store, *self.subject, new, self.place, per_file=per_file)

        adapter = self.subject.adapter if self.subject else ""
        return Work(adapter, self.place.image, plan, self.spec.onPromotion)

    def look(self) -> ScoringFacts:
        """Return what is known; the corpus is not looked at."""
        listed = passes_of(self.out, self.each.name, self.corpus)
        looked, looked_for = self.world.looked.get(self.key, (None, ""))
        adapter = self.subject.adapter if self.subject else ""
        facts = ScoringFacts(self.each.name, self.each.channel, adapter, listed, looked=looked, looked_for=looked_for)
        begun = going_on(self.out, listed, self.work) if adapter else None
        if begun is None:
            return facts
        at = begun.place(self.out)
        job = job_state(self.place, begun.plan, at.uri)
        left = None if job.state == "running" else len(missing(at, begun.plan))
        return replace(facts, begun=begun, job=job, left=left)

    def look_for_files(self, facts: ScoringFacts) -> None:
        """List a pass over the files that are new."""
        began = self.world.clock()
        next_pass(self.out, self.each.name, find_corpus(self.corpus, parameter="spec.corpus"), self.work)
        self.world.looked[self.key] = (began, facts.adapter)

    def submit(self, facts: ScoringFacts) -> None:
        """Start the Job of the pass that goes on, with the image that it was planned with."""
        assert facts.begun is not None
        place = replace(self.place, image=facts.begun.plan.code)
        at = facts.begun.place(self.out).uri
        submit(self.world.store, facts.begun.plan, place, out=at, parallelism=self.spec.parallelism)

    def finish(self, facts: ScoringFacts) -> None:
        """Note that the pass has ended, and look whether its scores have drifted."""
        assert facts.begun is not None
        at = facts.begun.place(self.out)
        end_pass(self.out, facts.begun, finish(at, facts.begun.plan), self.world.time, seconds=facts.job.seconds)
        try:
            drift(self.world.store, self.each.name, at, now=self.world.time)
        except InputError as error:
            if isinstance(error, StoreError) and not_read(error):
                raise
            # an adapter that was never benchmarked in this store has no reference: nothing is said of drift
