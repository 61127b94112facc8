"""One look: the scores of a corpus against what is expected of the adapter, recorded so that looks are counted once each.

The reference is the adapter's test predictions; once a month has passed since the first look, it is all that was scored and
looked at in that month. The test part is what somebody chose to label, so a corpus may differ from it from the first day on;
the first month knows the corpus.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from distillery.components.artifacts.drift import KEPT, DriftLog, Look, MovedArticle, Reference, Sample, read_drift_log
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.scores import Scores
from distillery.components.drift.compare import Comparison, compare
from distillery.components.drift.moved import Moved, moved_most
from distillery.components.drift.sample import read_scores, sample_of_scores, sample_of_test, together
from distillery.components.drift.statistics import MIN_ARTICLES
from distillery.components.store import Store
from distillery.components.store.layout import drift_key
from distillery.filters.errors import InputError

MONTH: Final = timedelta(days=30)
MOVED: Final = 5  # articles that moved most, which a look keeps
GIVEN: Final = "given scores"
STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"


def utc_now() -> datetime:
    """Return the time.

    Returns:
        Now, in UTC.
    """
    return datetime.now(UTC)


class Found(NamedTuple):
    """What a look found, and on what ground.

    Attributes:
        scores: what _SUCCESS says.
        reference: what was compared with: "test", "first month" or GIVEN.
        number: of the look.
        comparison: the figures.
        moved: the articles that moved most.
        looked_through: rows that were looked through for them.
    """

    scores: Scores
    reference: Reference | str
    number: int
    comparison: Comparison
    moved: list[Moved]
    looked_through: int


def drift(
    store: Store,
    name: str,
    out: Store,
    *,
    adapter: str = "",
    given: Store | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Found:
    """Compare the scores of a corpus with the reference of their adapter, and record the look.

    A look at too few articles, and one at a given reference, is not recorded: it decides nothing about the adapter.

    Args:
        store: where filter, adapter and looks are.
        name: name of the filter.
        out: where the scores are.
        adapter: digest that the scores must be of; empty for whichever they are of.
        given: scores to compare with instead of the adapter's own reference; None for that.
        now: tells the time.

    Returns:
        What was found.

    Raises:
        InputError: the scores are not there or of another filter or adapter, or there is nothing to compare them with.
        StoreError: something can't be read.
    """
    scores = read_scores(out)
    _require(scores, out, name, adapter)
    sample = sample_of_scores(out, scores)
    if given is not None:
        other = read_scores(given)
        _require(other, given, name, scores.adapter)
        if other.job == scores.job:
            raise InputError("are the scores that are compared", where=given.uri, hint="give earlier ones")
        return _found(out, scores, sample_of_scores(given, other), sample, GIVEN, 1)
    log = read_drift_log(store, name, scores.adapter)
    kind, number = _turn(log, scores.job, now())
    reference = log.month if kind == "first month" else None
    reference = reference or sample_of_test(store, read_filter(store, scores.filter_key), scores.adapter)
    found = _found(out, scores, reference, sample, kind, number)
    if found.comparison.enough and log.look_at(scores.job) is None:
        number = _record(store, found, sample, out.uri, now())
        if number != found.number:  # another look came between: it is judged by its own turn
            return drift(store, name, out, adapter=adapter, now=now)
    return found


def _found(out: Store, scores: Scores, reference: Sample, sample: Sample, kind: str, number: int) -> Found:
    found = compare(reference, sample, number)
    return Found(scores, kind, number, found, *moved_most(out, scores, reference, sample, found))


def _require(scores: Scores, out: Store, name: str, adapter: str) -> None:
    if scores.filter != name:
        raise InputError(f"holds scores of filter {scores.filter}", where=out.uri, hint=f"give scores of {name}")
    if adapter and scores.adapter != adapter:
        what = f"holds scores of adapter {scores.adapter[:12]}, not of {adapter[:12]}"
        raise InputError(what, where=out.uri, hint="give scores of the same adapter")


def _turn(log: DriftLog, job: str, now: datetime) -> tuple[Reference, int]:
    """Return what a scoring job is compared with, and the number of its look."""
    if (before := log.look_at(job)) is not None:
        return before.reference, before.number
    over = log.began and now - datetime.strptime(log.began, STAMP).replace(tzinfo=UTC) >= MONTH
    knows = log.month is not None and log.month.spread.scored >= MIN_ARTICLES
    return ("first month" if over and knows else "test"), log.number + 1


def _kept(moved: Moved) -> MovedArticle:
    return MovedArticle(
        id=moved.id[:200],
        title=moved.title[:200],
        source=moved.source[:200],
        feature=moved.feature,
        score=round(float(moved.score), 3),
    )


def _record(store: Store, found: Found, sample: Sample, uri: str, now: datetime) -> int:
    """Add a look to the adapter's unless its job has one; return the number that it has."""
    scores, comparison = found.scores, found.comparison
    number = 0

    def change(log: DriftLog | None) -> DriftLog | None:
        nonlocal number
        log = log or DriftLog(filter=scores.filter, adapter=scores.adapter)
        if (there := log.look_at(scores.job)) is not None:
            number = there.number
            return None
        if log.number + 1 != found.number:
            number = 0
            return None
        number = found.number
        look = Look(
            job=scores.job,
            scores=uri,
            at=now.strftime(STAMP),
            n=comparison.n,
            number=number,
            reference="first month" if found.reference == "first month" else "test",
            drifted=[feature.name for feature in comparison.drifted],
            psi=round(max(feature.psi for feature in comparison.features), 6),
            moved=[_kept(each) for each in found.moved[:MOVED]],
        )
        older = [each.model_copy(update={"moved": []}) for each in log.looks]
        update: dict[str, object] = {"looks": [look, *older][:KEPT], "began": log.began or look.at}
        if look.reference == "test":
            update["month"] = together([log.month, sample]) if log.month else sample
        return log.model_copy(update=update)

    DriftLog.update(store, drift_key(scores.filter, scores.adapter), change)
    return number
