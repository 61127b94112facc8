"""What a Scoring object's status says: how far each filter is, the last passes, and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from distillery.components.artifacts.drift import drift_status
from distillery.components.artifacts.passes import Pass as Scored
from distillery.components.store import Store, StoreError
from distillery.filters.scoring import Scoring
from distillery.pipelines.operator.scoring_decide import ScoringFacts
from distillery.pipelines.operator.status import FALSE, TRUE, UNKNOWN, Condition, Trouble, condition_rows

HISTORY: Final = 5  # passes


def scoring_status(
    before: Mapping[str, Any],
    generation: int,
    store: Store,
    scoring: Scoring | None,
    known: Mapping[str, ScoringFacts],
    troubles: Mapping[str, Trouble],
    *,
    at: str,
) -> dict[str, Any]:
    """Return the status of a Scoring object.

    Args:
        before: its status as it is, of any form.
        generation: of the object.
        store: where the looks for drift are.
        scoring: the object; None where it is not valid.
        known: what is known, by filter.
        troubles: what kept a filter from its end, by filter; "" for the object itself.
        at: the time, as documents show it.

    Returns:
        The whole status; equal to `before` where nothing has changed.
    """
    found = _conditions(store, scoring, known, troubles)
    rows = condition_rows(before, found, generation, at)
    shown: dict[str, Any] = {}
    if known:
        passes = [(name, facts, each) for name, facts in known.items() for each in _counting(facts)]
        passes.sort(key=lambda row: row[2].at, reverse=True)
        shown = {
            "articles": sum(each.articles for _, _, each in passes),
            "filters": [_filter(scoring, name, facts) for name, facts in known.items()],
            "history": [_pass(scoring, *row) for row in passes[:HISTORY]],
        }
        if passes:
            shown["lastPass"] = passes[0][2].at
    else:
        shown = {key: before[key] for key in ("articles", "filters", "history", "lastPass") if key in before}
    return {"observedGeneration": generation, "phase": found["Ready"].reason, **shown, "conditions": rows}


def _counting(facts: ScoringFacts) -> list[Scored]:
    return facts.listed.now.ended if facts.listed.now else []


def _place(scoring: Scoring | None, name: str, folder: str) -> str:
    return f"{scoring.spec.out.rstrip('/')}/{name}/{folder}" if scoring else folder


def _filter(scoring: Scoring | None, name: str, facts: ScoringFacts) -> dict[str, Any]:
    passes = _counting(facts)
    shown: dict[str, Any] = {"name": name, "articles": sum(each.articles for each in passes), "passes": len(passes)}
    if passes and facts.listed.current:
        shown |= {"adapter": passes[-1].adapter, "lastPass": passes[-1].at}
        shown["current"] = _place(scoring, name, facts.listed.current)
    return shown


def _pass(scoring: Scoring | None, name: str, facts: ScoringFacts, each: Scored) -> dict[str, Any]:
    fields = ("number", "adapter", "at", "files", "articles", "scored", "prefiltered", "rejected", "tiers")
    rate = {"perSecond": round(each.articles / each.seconds, 2)} if each.seconds else {}
    shown = {key: getattr(each, key) for key in fields}
    return {"filter": name, **shown, **rate, "scores": _place(scoring, name, each.folder)}


def _conditions(
    store: Store, scoring: Scoring | None, known: Mapping[str, ScoringFacts], troubles: Mapping[str, Trouble]
) -> dict[str, Condition]:
    if scoring is None:
        trouble = troubles[""]
        invalid = {"Valid": Condition(FALSE, trouble.reason, trouble.message)} if trouble.invalid else {}
        ready = Condition(FALSE if trouble.invalid else UNKNOWN, trouble.reason, trouble.message)
        stalled = {"Stalled": Condition(TRUE, trouble.reason, trouble.message)} if trouble.invalid else {}
        return {**invalid, **stalled, "Ready": ready}
    found = {"Valid": Condition(TRUE, "Valid", "it passes every check")}
    if drifted := _drifted(store, known):
        found["Drifted"] = drifted
    ready = _ready(scoring, known, troubles)
    if ready.status != TRUE:
        stalled_by = any(trouble.input for trouble in troubles.values()) or ready.reason == "NothingPromoted"
        found["Stalled" if stalled_by else "Reconciling"] = Condition(TRUE, ready.reason, ready.message)
    return {**found, "Ready": ready}


def _drifted(store: Store, known: Mapping[str, ScoringFacts]) -> Condition | None:
    """Return whether what any of the filters scored has drifted, as the last look at its adapter says."""
    looks = []
    for name, facts in known.items():
        try:
            looks += [(name, drift_status(store, name, facts.adapter))] if facts.adapter else []
        except StoreError:
            continue
    told = [f"{name}: {look.message}" for name, look in looks if look.status == "True"]
    if told:
        return Condition(TRUE, "ScoresDrifted", "; ".join(told))
    steady = [f"{name}: {look.message}" for name, look in looks if look.status == "False"]
    return Condition(FALSE, "ScoresSteady", "; ".join(steady)) if steady else None


def _ready(scoring: Scoring, known: Mapping[str, ScoringFacts], troubles: Mapping[str, Trouble]) -> Condition:
    """Return whether every file that was there at the last look is scored, and if not, what stands in the way."""
    for name, trouble in troubles.items():
        return Condition(FALSE if trouble.input else UNKNOWN, trouble.reason, f"{name}: {trouble.message}")
    for name, facts in known.items():
        if facts.begun is not None:
            number, files = facts.begun.listed.number, facts.begun.listed.files
            if facts.job.state == "failed":
                return Condition(
                    FALSE, "Retrying", f"{name}: the Job of pass {number} failed ({facts.job.words}); it is tried again"
                )
            return Condition(FALSE, "Running", f"{name}: pass {number} over {files:,} files")
    for name, facts in known.items():
        if not facts.adapter:
            return Condition(FALSE, "NothingPromoted", f"nothing serves on channel {facts.channel} of {name}")
    if scoring.spec.suspend:
        return Condition(TRUE, "Suspended", "no pass begins")
    return Condition(TRUE, "UpToDate", f"all files are scored; new ones are looked for at {scoring.spec.schedule}")
