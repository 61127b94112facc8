"""One pass over one Filter object: look, decide, do, until nothing is to be done now; then write the status.

Whatever goes wrong with one object is told in its status and stops no other. Every write is one that may be made twice: claims
and intents by conditional put, runs by a name of their own, events by a name made of what they tell.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.intent import Intent, read_intent
from distillery.components.preflight.request import RunRequest
from distillery.components.promotion.by_commit import promote_by_commit, restore
from distillery.components.promotion.by_hand import Said, unpin
from distillery.components.promotion.judge import Judge, judge_again
from distillery.components.store import Conflict, Store, StoreError, not_read
from distillery.components.store.layout import INTENTS, intent_key
from distillery.filters.errors import InputError, Stopped, one_line
from distillery.filters.loading import dump_filter
from distillery.pipelines.cluster.kubeflow import Kubeflow, Refused
from distillery.pipelines.cluster.submit import prepare, start
from distillery.pipelines.operator.decide import FOLLOW, IDLE, Action, Adopt, Approve, Plan, Restore, Start, Unpin, Wait, decide
from distillery.pipelines.operator.facts import Facts, RunSeen
from distillery.pipelines.operator.following import Following
from distillery.pipelines.operator.kubernetes import Objects
from distillery.pipelines.operator.notices import Notices
from distillery.pipelines.operator.observe import KEPT, Seen, look, what_is_due
from distillery.pipelines.operator.retrain import budget_of
from distillery.pipelines.operator.status import Trouble, status_of, transitions
from distillery.pipelines.operator.wanted import Wanted, generation_of, object_of, read_object

MOST: Final = 16  # actions of one pass; more are left to the next
UNREACHABLE: Final = 30.0  # seconds after which an outage is looked at again
NO_PRICE: Final = 1e-6  # US dollars: a run that is to pay nothing, and is found to want a label, stops before it asks


@dataclass
class World:
    """Where a pass reads and writes.

    Attributes:
        store: the store.
        kubeflow: returns Kubeflow; raises Stopped where it can't be reached.
        objects: the Filter objects.
        account: service account of runs; empty for Kubeflow's default.
        clock: seconds since 1970.
        grace: seconds after which a claim whose run has not begun is taken over: whoever made it is one pod, and gone.
        judge: judges an adapter again, for an approval.
        seen: what earlier passes found.
        following: what registries were last found to hold.
        notices: what the webhook was told.
    """

    store: Store
    kubeflow: Callable[[], Kubeflow]
    objects: Objects
    account: str = ""
    clock: Callable[[], float] = time.time
    grace: float = 20.0
    judge: Judge = judge_again
    seen: Seen = field(default_factory=Seen)
    following: Following = field(default_factory=Following)
    notices: Notices = field(default_factory=Notices)

    def now(self) -> str:
        """Return the time as documents show it.

        Returns:
            UTC, to the second.
        """
        return datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Pass:
    """What a pass came to.

    Attributes:
        object: the object.
        status: its status now.
        seconds: after how many seconds it is to be looked at again.
        done: what was done, in order, by the names of the actions.
        trouble: what kept it from its end; None where nothing did.
        ended: the run of the present inputs, where it has ended.
    """

    object: str
    status: dict[str, Any]
    seconds: float
    done: tuple[str, ...] = ()
    trouble: Trouble | None = None
    ended: RunSeen | None = None


def reconcile(world: World, value: Mapping[str, Any]) -> Pass:
    """Do what is to be done now for one object, and write its status.

    Args:
        world: where to read and write.
        value: the object as the API server has it.

    Returns:
        What the pass came to; nothing is raised but what the API server refuses or can't be asked.
    """
    done: list[str] = []
    facts, trouble, seconds = None, None, IDLE
    try:
        wanted = read_object(value)
    except InputError as error:
        trouble = Trouble("Invalid", str(error), invalid=True)
    except Exception as error:  # an object that nobody expected must not stop the others
        trouble = fault(error)
    else:
        facts, trouble, seconds = _settle(world, wanted, done)
    before = value.get("status")
    was: Mapping[str, Any] = before if isinstance(before, Mapping) else {}
    status = status_of(was, generation_of(value), facts, trouble, now=world.clock(), at=world.now())
    if status != before:
        for told in (news := transitions(was, status)):
            world.objects.tell(value, told, world.now())
        world.notices.tell(value, news, status, world.now())
        world.objects.put_status(value, status)
    world.following.follow(world.store, facts, world.clock())
    run = facts.run if facts and facts.run and facts.run.outcome != "running" else None
    return Pass(object_of(value), status, seconds, tuple(done), trouble, run)


def _settle(world: World, wanted: Wanted, done: list[str]) -> tuple[Facts | None, Trouble | None, float]:
    """Act until nothing is to be done now; return the facts, what went wrong, and when to look again."""
    facts: Facts | None = None
    due: tuple[str, ...] | None = None
    try:
        kubeflow = world.kubeflow()
        for _ in range(MOST):
            facts = look(world.store, kubeflow, wanted, world.seen)
            facts = facts if facts.due is not None else replace(facts, due=due)
            facts = replace(facts, other=_other(world, facts))
            action = decide(facts, now=world.clock(), at=world.now())
            if isinstance(action, Wait):
                return facts, None, action.seconds
            done.append(type(action).__name__)
            try:
                if isinstance(action, Plan):
                    due = _plan(world, facts)
                else:
                    _act(world, kubeflow, facts, action)
            except Conflict:
                continue  # another replica was first: look again
        return facts, None, FOLLOW
    except Stopped as error:
        return facts, Trouble("KubeflowUnreachable", str(error)), UNREACHABLE
    except Refused as error:
        return facts, Trouble("KubeflowRefuses", str(error)), IDLE
    except StoreError as error:
        reason = "StoreUnreachable" if not_read(error) else "StoreDamaged"
        return facts, Trouble(reason, str(error)), UNREACHABLE if not_read(error) else IDLE
    except InputError as error:
        return facts, Trouble("BadInput", error.for_form(), input=True), IDLE
    except Exception as error:
        return facts, fault(error), IDLE


def fault(error: Exception) -> Trouble:
    """Return a fault of this program as trouble, and print where it was; its own text may hold what is not to be shown.

    Args:
        error: what nobody expected.

    Returns:
        What the status says of it.
    """
    traceback.print_exception(error, file=sys.stderr)
    return Trouble("Fault", one_line(f"a fault of the operator, {type(error).__name__}: its log has more"))


def _other(world: World, facts: Facts) -> str:
    """Return another object that the channel belongs to, where that is still there."""
    intent = facts.intent
    if intent is None or intent.object == facts.wanted.object or intent.withdrawn:
        return ""
    namespace, _, name = intent.object.partition("/")
    return intent.object if world.objects.get(namespace, name) else ""


def _plan(world: World, facts: Facts) -> tuple[str, ...]:
    due = what_is_due(world.store, facts.wanted, facts.snapshot)
    if len(world.seen.due) >= KEPT:
        world.seen.due.clear()
    world.seen.due[facts.inputs, facts.channel.revision] = due
    return due


def _act(world: World, kubeflow: Kubeflow, facts: Facts, action: Action) -> None:
    """Do one thing; raise Conflict where another process was first."""
    wanted, store = facts.wanted, world.store
    said = Said.of(f"the Filter object {wanted.object}", f"its spec changed (generation {wanted.generation})")
    if isinstance(action, Adopt):
        if facts.intent is None or facts.intent.filter != action.intent.filter:
            publish_filter(store, wanted.filter)
        if facts.listing and action.intent.taken and action.intent.taken.data == facts.listing.digest:
            facts.listing.keep(store, wanted.name)
        _put_intent(store, wanted, action.intent, facts.etag)
    elif isinstance(action, Unpin):
        if facts.channel.pin == action.pin:
            unpin(store, wanted.name, wanted.channel, said)
    elif isinstance(action, Restore):
        restore(store, wanted.filter, action.adapter, Said.of(said.by, "its spec is again what this adapter served under"))
    elif isinstance(action, Approve):
        _approve(world, facts, action.adapter)
    elif isinstance(action, Start):
        _start(world, kubeflow, facts, action.seen_end)


def _put_intent(store: Store, wanted: Wanted, intent: Intent, etag: str | None) -> None:
    store.put_if(intent_key(wanted.name, wanted.channel), intent.to_bytes(), etag=etag)


def _approve(world: World, facts: Facts, adapter: str) -> None:
    """Promote what the object names, or keep why that was refused."""
    wanted = facts.wanted
    assert facts.intent is not None
    try:
        promote_by_commit(world.store, wanted.filter, adapter, wanted.said, judge=world.judge)
    except StoreError as error:
        if not_read(error):
            raise
        refused = str(error)
    except InputError as error:
        refused = str(error)
    else:
        return
    update = {"refused": one_line(refused)[:500], "refused_at": facts.channel.revision}
    _put_intent(world.store, wanted, facts.intent.model_copy(update=update), facts.etag)


def _start(world: World, kubeflow: Kubeflow, facts: Facts, seen_end: str) -> None:
    """Start a run, or find the one that another process has started for the same inputs."""
    wanted, taken = facts.wanted, facts.intent.taken if facts.intent else None
    run = wanted.run
    request = RunRequest(
        dump_filter(wanted.filter),
        world.store.uri,
        articles=facts.snapshot,
        marks=run.marks or "",
        budget=NO_PRICE if facts.unpaid else budget_of(wanted, taken) or 0.0,
        max_rejects=run.maxRejects,
        trainer=run.trainer,
        gpus=run.gpus,
    )
    prepared = prepare(world.store, request)._replace(inputs=dict(facts.run_inputs))
    version = kubeflow.published(prepared.pipeline)
    start(kubeflow, world.store, version, prepared, account=world.account, seen_end=seen_end, grace=world.grace)


def withdraw_the_deleted(store: Store, present: Collection[str], at: str, *, namespace: str = "") -> list[str]:
    """Note which objects are gone, so that a run of theirs promotes nothing; nothing else is touched.

    Args:
        store: the store.
        present: objects that are there, as "namespace/name".
        at: the time, as documents show it.
        namespace: the namespace that was listed; empty for all.

    Returns:
        Objects that this call found to be gone.
    """
    gone = []
    for key in store.keys(INTENTS):
        _, name, file = key.split("/")
        channel = file.removesuffix(".json")
        found = read_intent(store, name, channel)
        if found is None or found[0].withdrawn or found[0].object in present:
            continue
        if namespace in ("", found[0].object.partition("/")[0]) and _withdraw(store, name, channel, found[0].object, at):
            gone.append(found[0].object)
    return gone


def _withdraw(store: Store, name: str, channel: str, object: str, at: str) -> bool:
    """Note that an object was deleted; return True if this call noted it."""
    while True:
        present = read_intent(store, name, channel)
        if present is None or present[0].object != object or present[0].withdrawn:
            return False
        try:
            after = present[0].model_copy(update={"withdrawn": True, "at": at})
            store.put_if(intent_key(name, channel), after.to_bytes(), etag=present[1])
        except Conflict:
            continue
        return True
