"""Look at store and Kubeflow: the facts of one Filter object, with three to six small requests where nothing goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from distillery.components.articles.hub import NotFetched, nothing_fetched
from distillery.components.articles.input_files import choose_input
from distillery.components.articles.listing import data_version
from distillery.components.artifacts.channel import Channel, read_channel
from distillery.components.artifacts.document import Document
from distillery.components.artifacts.drift import DriftStatus, drift_status
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.intent import Intent, Taken, changed_steps, read_intent
from distillery.components.artifacts.rubric_calibration import read_calibration, usable
from distillery.components.artifacts.run_claim import RunClaim
from distillery.components.artifacts.run_summary import Failure, RunSummary, read_adapter_summary, read_last_summary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import RECORDED
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.labeling.oracles.prices import price_of, read_prices
from distillery.components.preflight.request import MARKS
from distillery.components.promotion.by_commit import served_under
from distillery.components.store import Digest, NotFound, Store, StoreError, not_read
from distillery.components.store.layout import cancelled_key, claim_key, failure_key, report_key, run_record_key
from distillery.filters.digests import step_digest
from distillery.filters.errors import InputError
from distillery.pipelines.cluster.kubeflow import ENDED, NO_RUN, Kubeflow, Refused, cancelled
from distillery.pipelines.cluster.submit import Prepared, inputs_of
from distillery.pipelines.inventory.reading import amount, dollars, text
from distillery.pipelines.inventory.runs import outcome_of_summary
from distillery.pipelines.operator.articles import Data, SeenArticles, fresh_articles, look_at_data, snapshot
from distillery.pipelines.operator.decide import UNKNOWN
from distillery.pipelines.operator.facts import Facts, Fresh, Outcome, RunSeen
from distillery.pipelines.operator.retrain import budget_of
from distillery.pipelines.operator.wanted import Wanted
from distillery.pipelines.plan import due, make_plan
from distillery.pipelines.steps import RunState

D = TypeVar("D", bound=Document)
KEPT: Final = 4096  # ended runs and plans that are not read or made again
_OUTCOMES: Final[dict[str, Outcome]] = {
    "promoted": "promoted",
    "candidate": "candidate",
    "rejected": "rejected",
    "pinned": "pinned",
    "blocked": "blocked",
    "superseded": "superseded",
    "waiting": "waiting",
    "stopped": "stopped",
}


@dataclass
class Seen:
    """What does not change any more, kept between two looks.

    Attributes:
        runs: runs that have ended, by id.
        due: what plans say is due, by inputs and the channel's revision.
        articles: what lies at the objects' data.
    """

    runs: dict[str, RunSeen] = field(default_factory=dict)
    due: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    articles: SeenArticles = field(default_factory=SeenArticles)


def run_inputs(wanted: Wanted, data: object, taken: Taken | None) -> tuple[dict[str, Any], Digest]:
    """Return what a run for an object is claimed under: what its steps read of the filter, its settings, its data.

    A change of what no step reads (a description, where the same data lie) is the same inputs.

    Args:
        wanted: what the object asks for.
        data: the version of the data that the run is of.
        taken: what ordered the run; None for a commit.

    Returns:
        The inputs, and the digest of the claim.

    Raises:
        InputError: the object names no data.
        StoreError: the marks' place can't be reached.
    """
    flt, run = wanted.filter, wanted.run
    _, labels = choose_input("", "", flt.spec.data)
    inputs = {
        "filter": flt.name,
        "channel": wanted.channel,
        "steps": {step: step_digest(flt, step) for step in ("label", "audit", "split", "train", "benchmark", "gate")},
        "run": run.model_dump(mode="json", exclude_defaults=True),
        "data": data,
        "labelled": bool(labels),
        "marks": None if (run.marks or "") in MARKS else data_version(run.marks or ""),
        **({"drift": taken.drift} if taken and taken.drift else {}),
    }
    return inputs, inputs_of(Prepared(flt.name, {}, inputs))


def look(store: Store, kubeflow: Kubeflow, wanted: Wanted, seen: Seen) -> Facts:
    """Return what is known of an object's loop now.

    Args:
        store: the store.
        kubeflow: where its runs run; asked only where one is known of.
        wanted: what the object asks for.
        seen: what earlier looks found; changed in place.

    Returns:
        The facts.

    Raises:
        InputError: the object's data are not there.
        StoreError: the store can't be read.
        Stopped: Kubeflow can't be reached.
    """
    channel = read_channel(store, wanted.name, wanted.channel, lenient=True).channel
    present = read_intent(store, wanted.name, wanted.channel)
    intent, etag = present if present else (None, None)
    data = look_at_data(store, wanted, intent, seen.articles)
    covered, inputs = run_inputs(wanted, data.version, data.taken)
    claim = _document(RunClaim, store, claim_key(inputs))
    run = run_of(store, kubeflow, claim, seen) if claim else None
    changed, served = _changes(store, wanted, intent, channel)
    rests = claim is None or (run is not None and run.outcome != "running")
    paid = _paid(wanted)
    return Facts(
        wanted=wanted,
        inputs=inputs,
        channel=channel,
        run_inputs=covered,
        intent=intent,
        changed=changed,
        served=served,
        claim=claim,
        run=run,
        earlier=_earlier(store, kubeflow, intent, inputs, seen),
        articles=data.articles,
        listing=data.listing,
        fresh=_fresh(store, wanted, data, run, seen) if rests else None,
        snapshot=snapshot(store, wanted, data),
        gone=data.gone,
        anew=data.lost or bool(run and run.outcome == "input" and data.gone),
        drift=_drift(store, wanted, channel),
        paid=paid,
        unpaid=_unpaid(wanted, data.taken) if paid else "",
        calibrated=bool(run and run.outcome in ("waiting", "input") and run.uncalibrated and _calibrated(store, wanted)),
        due=seen.due.get((inputs, channel.revision)),
        last=_last(store, wanted, channel) if claim is None and intent and intent.settled == inputs else None,
        etag=etag,
    )


def what_is_due(store: Store, wanted: Wanted, snapshot: str = "") -> tuple[str, ...]:
    """Return what `plan` says is due; a plan that can't be made here says nothing, and the run finds out.

    Args:
        store: the store.
        wanted: what the object asks for.
        snapshot: address of the listing of articles that the run would be of; "" for what the object names.

    Returns:
        Names of steps; none where everything is in the store.

    Raises:
        StoreError: the store can't be read.
    """
    flt, run = wanted.filter, wanted.run
    articles, labels = choose_input(snapshot, "", flt.spec.data)
    try:
        with nothing_fetched():
            state = RunState(store, flt, articles, labels, run.maxRejects)
            return tuple(due(make_plan(state, marks=run.marks or "", budget=run.budget or 0.0, costs=False)))
    except (InputError, ModuleNotFoundError, NotFetched) as error:
        if isinstance(error, StoreError) and not_read(error):
            raise
        return (UNKNOWN,)


def _changes(store: Store, wanted: Wanted, intent: Intent | None, channel: Channel) -> tuple[tuple[str, ...], str]:
    """Return which steps a change of the spec concerns, and the adapter that served under it before."""
    if intent is None or intent.filter == wanted.key:
        return (), ""
    try:
        changed = tuple(changed_steps(read_filter(store, intent.filter), wanted.filter))
    except (NotFound, InputError) as error:
        if isinstance(error, StoreError) and not_read(error):
            raise
        return ("label",), ""  # what it asked for before is gone: it asks for something, and nothing is brought back
    entry = served_under(store, wanted.filter, channel) if changed else None
    return changed, entry.adapter if entry else ""


def _fresh(store: Store, wanted: Wanted, data: Data, run: RunSeen | None, seen: Seen) -> Fresh | None:
    """Return what has come since the last run; where that reached its budget, with what it left without a label."""
    all = run is not None and run.limit is not None
    return fresh_articles(store, wanted, data, seen.articles, since=run.id if run else "", all=all)


def _paid(wanted: Wanted) -> bool:
    """True if a run may ask an oracle that costs money."""
    articles, _ = choose_input("", "", wanted.filter.spec.data)
    priced = price_of(wanted.filter, read_prices()) if articles else None
    return bool(articles) and not (priced and not priced[0].input and not priced[0].output)


def _unpaid(wanted: Wanted, taken: Taken | None) -> str:
    """Return why no run that asks the oracle is started: it costs money, and the object says not how much it may."""
    if budget_of(wanted, taken):
        return ""
    model = wanted.filter.spec.oracle.model
    return f"labels of {model} are paid, and spec.run.budget says not how many US dollars they may cost"


def _drift(store: Store, wanted: Wanted, channel: Channel) -> DriftStatus | None:
    """Return what the last look at the scores of the adapter that serves says; None where that can't be known now."""
    if not channel.adapter:
        return None
    try:
        return drift_status(store, wanted.name, channel.adapter)
    except (StoreError, InputError):
        return None


def _calibrated(store: Store, wanted: Wanted) -> bool:
    return usable(read_calibration(store, wanted.filter, oracle_identity(wanted.filter)))


def _earlier(store: Store, kubeflow: Kubeflow, intent: Intent | None, inputs: str, seen: Seen) -> RunSeen | None:
    """Return the run that was started for what the object asked for before, where it goes on."""
    if intent is None or intent.started is None or intent.started == inputs:
        return None
    claim = _document(RunClaim, store, claim_key(intent.started))
    run = run_of(store, kubeflow, claim, seen) if claim else None
    return run if run and run.outcome == "running" else None


def _last(store: Store, wanted: Wanted, channel: Channel) -> RunSeen | None:
    """Return the run of the adapter that serves under this very filter, else the filter's last run, which found it all done."""
    entry = served_under(store, wanted.filter, channel)
    here = entry is not None and entry.adapter == channel.adapter
    summary = (read_adapter_summary(store, entry.adapter) if here and entry else None) or read_last_summary(store, wanted.name)
    if summary is None:
        return None
    page = report_key(summary.run)
    return _seen(summary, _review(store, summary), f"{store.uri}/{page}" if store.exists(page) else "")


def run_of(store: Store, kubeflow: Kubeflow, claim: RunClaim, seen: Seen) -> RunSeen | None:
    """Return the run of a claim.

    Args:
        store: where its steps leave their records.
        kubeflow: where it runs.
        claim: the claim.
        seen: what earlier looks found; changed in place.

    Returns:
        The run; None where it has not begun.

    Raises:
        StoreError: the store can't be read.
        Stopped: Kubeflow can't be reached.
    """
    if not claim.run:
        return None
    if known := seen.runs.get(claim.run):
        return known
    try:
        record = kubeflow.get(claim.run)
    except Refused as error:
        if error.status not in NO_RUN:
            raise
        record = None  # Kubeflow has forgotten it: what it left in the store counts
    ended = record is None or str(record.state) in ENDED
    summary = _summary(store, claim.run)
    report = report_key(claim.run)
    found = _seen(summary, _review(store, summary), f"{store.uri}/{report}" if ended and store.exists(report) else "")
    if not ended:
        return _with(found, outcome="running", reason="", step="", page=kubeflow.page(claim.run))
    if found.outcome == "running":  # it ended without a word
        stopped = store.exists(cancelled_key(claim.run)) or (record is not None and cancelled(record))
        why = "was cancelled" if stopped else "its pod ended without a word (deleted, evicted, or out of memory)"
        found = _with(found, outcome="cancelled" if stopped else "fault", reason=why)
    at = getattr(record, "finished_at", None)
    found = _with(found, page=kubeflow.page(claim.run), finished=at.timestamp() if at else None)
    if len(seen.runs) >= KEPT:
        seen.runs.clear()
    seen.runs[claim.run] = found
    return found


def _with(run: RunSeen, **fields: Any) -> RunSeen:
    from dataclasses import replace

    return replace(run, **fields)


def _summary(store: Store, run: str) -> RunSummary:
    """Return what a run has left so far."""
    records = [_document(StepRecord, store, run_record_key(run, step)) for step in RECORDED]
    return RunSummary(
        run=run, steps=[record for record in records if record], failure=_document(Failure, store, failure_key(run))
    )


def _seen(summary: RunSummary, review: str, report: str) -> RunSeen:
    """Return a run as its records show it; "running" where they don't say how it ended."""
    word, why = outcome_of_summary(summary)
    failure, outputs, records = summary.failure, summary.outputs, summary.records
    outcome = _OUTCOMES.get(word, "running")
    if word == "failed":
        outcome = "input" if failure and failure.kind == "input" else "fault"
    label, benchmark = records.get("label"), records.get("benchmark")
    return RunSeen(
        id=summary.run,
        outcome=outcome,
        reason=why,
        step=failure.step if failure else "",
        limit=failure.limit if failure else None,
        done=tuple(records),
        adapter=text(outputs.get("adapter")) or "",
        decision=text(outputs.get("decision")) or "",
        mae=amount(benchmark.facts.get("mae")) if benchmark else None,
        usd=dollars(label.facts if label else None),
        report=report,
        uncalibrated=(summary.calibrated or {}).get("usable") is False,
        review=review,
    )


def _review(store: Store, summary: RunSummary) -> str:
    """Return the address of the page on which the articles of a run's calibration are marked; "" where there is none."""
    page = (summary.calibrated or {}).get("review")
    return f"{store.uri}/{page}" if isinstance(page, str) and page else ""


def _document(form: type[D], store: Store, key: str) -> D | None:
    found = form.versioned(store, key)
    return found[0] if found else None
