"""One pass over one Scoring object: each of its filters is looked at, brought on by small steps, and told of in the status.

What goes on is in the store: which passes there are, which parts are done. The Job of a pass is named by its content, so
whoever submits it twice adopts it. This process remembers only when it last looked for new files; after a restart it looks
once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from distillery.components.artifacts.adapter import Subject
from distillery.components.artifacts.channel import current
from distillery.components.artifacts.filter import read_filter
from distillery.components.drift.drift import drift
from distillery.components.scoring.cluster_plan import plan_over
from distillery.components.scoring.completion import finish, missing
from distillery.components.scoring.corpus import Corpus, find_corpus
from distillery.components.scoring.job import submit, together
from distillery.components.scoring.job_manifest import Also, Place
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
        rounds = [_Round(world, scoring, name, each, done) for each in scoring.spec.filters]
        for one in rounds:
            one.settle()
        _submit([one for one in rounds if one.submits])
        for one in rounds:
            if one.facts:
                known[one.name] = one.facts
            if one.trouble:
                troubles[one.name] = one.trouble
            seconds = min(seconds, one.seconds)
    before = value.get("status")
    was: Mapping[str, Any] = before if isinstance(before, Mapping) else {}
    status = scoring_status(was, generation_of(value), world.store, scoring, known, troubles, at=world.now())
    if status != before:
        for told in (news := transitions(was, status)):
            world.objects.tell(value, told, world.now())
        world.notices.tell(value, news, status, world.now())
        world.objects.put_status(value, status)
    return Pass(name, status, seconds, tuple(done), next(iter(troubles.values()), None))


class _Round:
    """One filter of a Scoring in a pass over the object; what is wrong with it stops no other.

    Args:
        world: where to read and write.
        scoring: the object.
        key: name of the object.
        each: the filter.
        done: told of what was done.
    """

    def __init__(self, world: ScoringWorld, scoring: Scoring, key: str, each: ScoredFilter, done: list[str]) -> None:
        self.world, self.scoring, self.key, self.each, self.done = world, scoring, key, each, done
        self.name, self.seconds, self.submits = each.name, 0.0, False
        self.one: _One | None = None
        self.facts: ScoringFacts | None = None
        self.trouble: Trouble | None = None

    def settle(self, *, submitted: bool = False) -> None:
        """Act until nothing is to be done now but to submit, which may be done for several filters at once."""
        with self.noting():
            for _ in range(MOST):
                self.one = _One(self.world, self.scoring, self.key, self.each)
                self.facts = self.one.look()
                action = decide_scoring(self.facts, self.scoring.spec, self.world.clock())
                if isinstance(action, Wait):
                    self.seconds = action.seconds
                    return
                if isinstance(action, Submit):
                    self.submits = not submitted  # what was submitted a moment ago and is not there is looked for next time
                    return
                self.done.append(f"{type(action).__name__} {self.name}")
                if isinstance(action, Look):
                    self.one.look_for_files(self.facts)
                elif isinstance(action, Finish):
                    self.one.finish(self.facts)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep what goes wrong in the block as this filter's trouble."""
        try:
            yield
        except Stopped as error:
            self.trouble, self.seconds = Trouble("Unreachable", str(error)), UNREACHABLE
        except StoreError as error:
            away = not_read(error)
            self.trouble = Trouble("StoreUnreachable" if away else "StoreDamaged", str(error))
            self.seconds = UNREACHABLE if away else IDLE
        except InputError as error:
            self.trouble, self.seconds = Trouble("BadInput", error.for_form(), input=True), IDLE
        except Exception as error:
            self.trouble, self.seconds = fault(error), IDLE

    def pass_of(self) -> Also:
        """Return what is to be scored, and where; only where `submits`."""
        assert self.one is not None
        assert self.facts is not None
        assert self.facts.begun is not None
        return Also(self.facts.begun.plan, self.facts.begun.place(self.one.out).uri)

    def submit(self, others: Sequence[_Round] = ()) -> None:
        """Start the Job of the pass that goes on, with the image that it was planned with; it scores for the others, too."""
        assert self.one is not None
        plan, out = self.pass_of()
        place, also = replace(self.one.place, image=plan.code), [each.pass_of() for each in others]
        submit(self.world.store, plan, place, out=out, parallelism=self.scoring.spec.parallelism, also=also)
        for each in (self, *others):
            each.submits = False
            self.done.append(f"Submit {each.name}")


def _submit(rounds: Sequence[_Round]) -> None:
    """Submit the passes of filters, those over the same files in one Job; where that is refused, each in its own."""
    if not rounds:
        return
    by_out = {each.pass_of().out: each for each in rounds}
    groups = [[each] for each in rounds]
    if len(rounds) > 1 and rounds[0].one:
        with suppress(InputError, Stopped):
            found = together(rounds[0].world.store, rounds[0].one.place, [each.pass_of() for each in rounds])
            groups = [[by_out[each.out] for each in group] for group in found]
    for group in groups:
        if len(group) > 1:
            with suppress(InputError, Stopped):
                group[0].submit(group[1:])
        for each in group:
            with each.noting():
                if each.submits:
                    each.submit()
            if each.trouble is None:
                each.settle(submitted=True)


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
