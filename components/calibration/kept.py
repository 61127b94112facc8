"""What is kept of calibrations: the judgement with its history, why a REVIEW was accepted, and which samples are spent."""

from __future__ import annotations

from typing import Final, Protocol

from distillery.components.articles.scratch import scratch_folder
from distillery.components.artifacts.rubric_calibration import (
    PASS,
    REVIEW,
    Acceptance,
    Attempt,
    CalibrationAttempts,
    EarlierJudgement,
    RubricCalibration,
    usable,
)
from distillery.components.calibration.marks import NOBODY
from distillery.components.sampling.draw import Sample
from distillery.components.sampling.select import read_sample
from distillery.components.store import Digest, Json, NotFound, Store
from distillery.components.store.layout import calibration_attempts_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

KEPT: Final = 50  # earlier judgements in the document


class Drawn(Protocol):
    """A sample that was labelled, and its digest."""

    @property
    def sample(self) -> Sample:
        """The sample."""

    @property
    def digest(self) -> Digest:
        """The sample's digest."""


def _attempts(store: Store, flt: Filter) -> list[Attempt]:
    """Return the samples that the filter's rubrics were judged on, in order."""
    try:
        return CalibrationAttempts.load(store, calibration_attempts_key(flt.name)).attempts
    except NotFound:
        return []


def spent_articles(store: Store, flt: Filter, rubric: str, oracle: str, first: Drawn) -> set[str]:
    """Return the digests of articles that a fresh sample must not hold.

    Args:
        store: where samples are.
        flt: the filter.
        rubric: digest of the rubric.
        oracle: digest of the oracle's identity.
        first: the calibration sample.

    Returns:
        Those of the calibration sample, and of the samples that earlier rubrics were judged on.
    """
    spent = {article.digest for article in first.sample.articles}
    with scratch_folder("distillery-sample-") as folder:
        for attempt in _attempts(store, flt):
            if (attempt.rubric, attempt.oracle) == (rubric, oracle):
                break
            for digest in (attempt.calibration, attempt.fresh):
                spent |= {article.digest for article in read_sample(store, Digest(digest), folder)}
    return set(spent)


def spend(store: Store, flt: Filter, rubric: str, oracle: str, first: Drawn, fresh: Drawn) -> None:
    """Write down what this rubric is judged on; the first time only, so that a repetition draws the same again.

    Args:
        store: where it is kept.
        flt: the filter.
        rubric: digest of the rubric.
        oracle: digest of the oracle's identity.
        first: the calibration sample.
        fresh: the fresh one.
    """
    attempt = Attempt(rubric=rubric, oracle=oracle, calibration=first.digest, fresh=fresh.digest)

    def added(document: CalibrationAttempts | None) -> CalibrationAttempts | None:
        attempts = document.attempts if document else []
        if any((one.rubric, one.oracle) == (rubric, oracle) for one in attempts):
            return None
        return CalibrationAttempts(attempts=[*attempts, attempt])

    CalibrationAttempts.update(store, calibration_attempts_key(flt.name), added)


def write(store: Store, key: str, document: RubricCalibration) -> RubricCalibration:
    """Write the document, with what it replaces in its history; an acceptance stays with the very same judgement only.

    Args:
        store: where it is kept.
        key: the document's key.
        document: the new judgement.

    Returns:
        The document as it is now.
    """

    def replaced(old: RubricCalibration | None) -> RubricCalibration | None:
        if old is None:
            return document
        if old.judgement == document.judgement:
            return None
        earlier = EarlierJudgement(**dict(old.judgement), accepted=old.accepted)
        return document.model_copy(update={"history": [*old.history, earlier][-KEPT:]})

    written = RubricCalibration.update(store, key, replaced)
    return written or document


def accept_review(store: Store, key: str, flt: Filter, reason: str) -> RubricCalibration:
    """Record why a person goes on with a REVIEW.

    Args:
        store: where the calibration is.
        key: the document's key.
        flt: the filter.
        reason: the person's.

    Returns:
        The document as it is now.

    Raises:
        InputError: there is no calibration, or it is no REVIEW of articles that somebody marked.
    """

    def accepted(document: RubricCalibration | None) -> RubricCalibration:
        if document is None:
            raise InputError("there is no calibration to accept", where=f"filter {flt.name}", hint="calibrate first")
        if document.verdict != REVIEW or document.marks.by == NOBODY:
            state = document.verdict if document.marks.by != NOBODY else "that nobody has looked yet"
            raise InputError(
                f"only a REVIEW of marked articles can be accepted; this calibration says {state}",
                where=f"filter {flt.name}",
                hint="" if document.verdict == PASS else "mend the rubric, or mark",
            )
        return document.model_copy(update={"accepted": Acceptance(reason=reason.strip())})

    written = RubricCalibration.update(store, key, accepted)
    assert written is not None  # `accepted` always returns a document
    return written


def outputs_of(document: RubricCalibration, key: str) -> dict[str, Json]:
    """Return what the step puts out of a calibration.

    Args:
        document: the calibration.
        key: its key.

    Returns:
        The step's outputs.
    """
    fields = document.to_json()
    names = ("reasons", "marks", "samples", "figures", "agreement")
    shown: dict[str, Json] = {name: fields[name] for name in names if name in fields}
    return {"verdict": document.verdict, "usable": usable(document), "accepted": fields["accepted"], "document": key, **shown}
