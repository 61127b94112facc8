"""Rubric calibration: what people found when they looked at the labels that an oracle gives under a rubric.

The document lies under the digests of rubric and oracle, so editing the rubric or switching the model invalidates it. Labelling
many articles is refused without a PASS; the price of asking is one small read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from distillery.components.artifacts.calibration_marks import Agreement, MarkCounts
from distillery.components.artifacts.document import Document, Sha256
from distillery.components.store import Digest, Json, NotFound, Store, StoreError, digest_json
from distillery.components.store.layout import calibration_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError, Waiting
from distillery.filters.filter import Filter

SAMPLE: Final = 60  # articles of a calibration sample, and of the fresh one after it
UNCALIBRATED: Final = 2 * SAMPLE  # as many as one calibration may be labelled without any
FREE: Final = "nothing is paid: recorded replies"
Verdict = Literal["PASS", "REVIEW", "FAIL"]
PASS: Final = "PASS"
REVIEW: Final = "REVIEW"
FAIL: Final = "FAIL"
MIDDLE: Final = 5.0  # on-topic belongs at or above, off-topic below


class Limit(NamedTuple):
    """Limits of a share of mistakes.

    Attributes:
        good: a share below it passes.
        bad: a share below it needs a person's review; any other fails.
        least: marks without which nothing passes.
    """

    good: float
    bad: float
    least: int


LIMITS: Final = {"off": Limit(0.10, 0.20, 16), "on": Limit(0.20, 0.30, 10)}
WORDS: Final = {"off": f"off-topic articles scored {MIDDLE:g} or more", "on": f"on-topic articles scored below {MIDDLE:g}"}


class ShareFigures(Document):
    """Marks that the oracle contradicts.

    Attributes:
        wrong: how many.
        n: of how many.
        share: wrong over n; None without marks.
        interval: of the share, Wilson's, 95%.
    """

    wrong: int
    n: int
    share: float | None
    interval: tuple[float, float]


class ReasonFigures(Document):
    """One thing that keeps a sample from PASS."""

    level: Verdict
    text: str


class SampleFigures(Document):
    """What was found on one sample.

    Attributes:
        verdict: of this sample alone.
        n: articles that got a label.
        dead: articles that got none.
        off_topic_high: off-topic articles that the oracle scored high.
        on_topic_low: on-topic articles that the oracle scored low.
        variance: of each dimension's scores, in points squared.
        dead_dimensions: dimensions in which nearly every article has the same score.
        reasons: what keeps the sample from PASS.
    """

    verdict: Verdict
    n: int
    dead: int
    off_topic_high: ShareFigures
    on_topic_low: ShareFigures
    variance: dict[str, float]
    dead_dimensions: list[str]
    reasons: list[ReasonFigures]


class Pair(Document):
    """Two dimensions that say nearly the same; r: their correlation."""

    left: str
    right: str
    r: float | None


class Redundancy(Document):
    """Whether dimensions say the same.

    Attributes:
        n: articles it was judged on.
        over: which they are, in words.
        pc1_share: share of variance on the first principal component; None where fewer than two dimensions vary.
        pairs: of dimensions that go together.
    """

    n: int
    over: str
    pc1_share: float | None
    pairs: list[Pair]


class Figures(Document):
    """The figures of both samples, and of both together. fresh: None where no fresh sample was judged."""

    OMITTED = ("fresh",)

    calibration: SampleFigures
    fresh: SampleFigures | None = None
    redundancy: Redundancy


class JudgedSample(Document):
    """A sample of articles and its labels, by digest."""

    sample: str
    label_set: str


class Judgement(Document):
    """One judgement of a rubric.

    Attributes:
        code: version of the judging.
        verdict: of all samples together.
        reasons: what keeps it from PASS, worst first.
        marks: which marks it rests on.
        samples: "calibration", and "fresh" where there was one.
        figures: what was found.
        agreement: how far reviewers agree; None where no article has two reviewers' marks.
    """

    OMITTED = ("agreement",)

    code: int
    verdict: Verdict
    reasons: list[str]
    marks: MarkCounts
    samples: dict[str, JudgedSample]
    figures: Figures
    agreement: Agreement | None = None


class Acceptance(Document):
    """Why a person went on with a REVIEW."""

    reason: str


class EarlierJudgement(Judgement):
    """A judgement that a later one replaced."""

    accepted: Acceptance | None


class RubricCalibration(Judgement):
    """The calibration of a rubric with an oracle.

    Attributes:
        filter: name of the filter.
        rubric: digest of the rubric.
        oracle: digest of the oracle's identity.
        identity: the oracle's identity.
        model: the oracle's model, for people.
        accepted: why a person went on with a REVIEW; None where nobody did.
        history: earlier judgements, oldest first.
    """

    KIND = "a rubric calibration"
    HINT = "delete it and run `distillery calibrate` again: no label is paid for twice"

    format: Literal[1] = 1
    filter: str
    rubric: Sha256
    oracle: Sha256
    identity: dict[str, Json]
    model: str
    accepted: Acceptance | None = None
    history: list[EarlierJudgement] = Field(default_factory=list)

    @property
    def judgement(self) -> Judgement:
        """Return the judgement alone: two calibrations with the same one say the same."""
        return Judgement(**{name: getattr(self, name) for name in Judgement.model_fields})


class CalibrationOutputs(Document):
    """What the calibrate step puts out: the judgement of a calibration, or why none was needed.

    Attributes:
        verdict: PASS, REVIEW or FAIL; WAIVED where nothing was judged.
        usable: True if labelling may go on.
        reason: why the calibration was waived; "" where it was not.
        document: key of the calibration; "" where it was waived.
        review: key of the page to mark articles on; "" where there is none.
        accepted: why a person went on with a REVIEW; None where nobody did.
        reasons: what keeps it from PASS, worst first.
        marks: which marks it rests on; None where it was waived.
        samples: "calibration", and "fresh" where there was one.
        figures: what was found; None where it was waived.
        agreement: how far reviewers agree; None where no article has two reviewers' marks.
    """

    KIND: ClassVar[str] = "what the calibrate step puts out"

    verdict: Verdict | Literal["WAIVED"]
    usable: bool
    reason: str = ""
    document: str = ""
    review: str = ""
    accepted: Acceptance | None = None
    reasons: list[str] = Field(default_factory=list)
    marks: MarkCounts | None = None
    samples: dict[str, JudgedSample] = Field(default_factory=dict)
    figures: Figures | None = None
    agreement: Agreement | None = None


class Attempt(Document):
    """The samples that one rubric was judged on with one oracle, by digest."""

    rubric: Sha256
    oracle: Sha256
    calibration: Sha256
    fresh: Sha256


class CalibrationAttempts(Document):
    """The samples that a filter's rubrics were judged on, in order, so that a fresh sample holds none of their articles."""

    KIND = "the list of calibration attempts"
    HINT = "restore it from a copy, or delete it: then a fresh sample may hold articles that an earlier rubric was tuned on"

    format: Literal[1] = 1
    attempts: list[Attempt] = Field(default_factory=list)


def read_calibration(store: Store, flt: Filter, oracle: Mapping[str, Any]) -> RubricCalibration | None:
    """Return the calibration of the filter's rubric with an oracle; None where there is none.

    Args:
        store: where it is.
        flt: the filter.
        oracle: the oracle's identity.

    Returns:
        The document, or None.

    Raises:
        StoreError: the document cannot be read, or is about another rubric or oracle than its key.
    """
    rubric, by = rubric_digest(flt), oracle_digest(oracle)
    key = calibration_key(flt.name, rubric, by)
    try:
        document = RubricCalibration.load(store, key)
    except NotFound:
        return None
    require_its_name((document.filter, document.rubric, document.oracle), (flt.name, rubric, by), f"{store.uri}/{key}")
    return document


def require_its_name(found: tuple[str, str, str], wanted: tuple[str, str, str], where: str) -> None:
    """Raise unless a document is about what its key names.

    Args:
        found: filter, rubric and oracle that the document is about.
        wanted: those that its key names.
        where: address of the document, for the error.

    Raises:
        StoreError: they differ.
    """
    if found != wanted:
        raise StoreError(
            "is about another rubric or oracle than its name", where=where, hint="delete it, then run the same command again"
        )


def free(oracle: Mapping[str, Any]) -> bool:
    """True if an oracle's labels cost nothing, so that labelling before calibrating loses nothing.

    Args:
        oracle: its identity.

    Returns:
        Whether the oracle is one of recorded replies.
    """
    return oracle.get("provider") == "replay"


def usable(document: RubricCalibration | None) -> bool:
    """True if a calibration lets labelling go on: PASS, or REVIEW that a person accepted with a reason.

    Args:
        document: the calibration; None where there is none.

    Returns:
        Whether to label; False where there is no calibration.
    """
    if document is None:
        return False
    return document.verdict == PASS or (document.verdict == REVIEW and document.accepted is not None)


def require_calibration(
    store: Store, flt: Filter, n_articles: int, waived: str | None = None, *, oracle: Mapping[str, Any]
) -> dict[str, Json]:
    """Refuse to label more than `UNCALIBRATED` articles with an uncalibrated oracle.

    Recorded replies are paid already, so only a calibration that failed stops them.

    Args:
        store: where calibrations are.
        flt: the filter.
        n_articles: distinct articles of the file, labelled ones included.
        waived: a person's reason to go on without.
        oracle: the oracle's identity.

    Returns:
        What the label set records: {"calibration": "PASS" | "REVIEW" | "FAIL" | None, "accepted": the reason a REVIEW was
        accepted for, "waived": the reason given here}.

    Raises:
        Waiting: labelling is refused until somebody has marked the articles, or accepted the REVIEW.
        InputError: labelling is refused.
    """
    document = read_calibration(store, flt, oracle)
    verdict = document.verdict if document else None
    accepted = document.accepted.reason if document and document.accepted else None
    allowed: dict[str, Json] = {"calibration": verdict, "accepted": accepted, "waived": None}
    if n_articles <= UNCALIBRATED or usable(document):
        return allowed
    if document is None and free(oracle):
        return {**allowed, "waived": FREE}
    if waived and waived.strip():
        return {**allowed, "waived": waived.strip()}
    if document is None:
        what = f"this rubric is not calibrated with {flt.spec.oracle.model}: no label was looked at by anybody"
    else:
        reasons = "; ".join(document.reasons[:2])
        what = f"the calibration of this rubric with {flt.spec.oracle.model} says {verdict}: {reasons}"
    accept = ' (or accept it: `--accept "reason"`)' if verdict == REVIEW else ""
    refuse = Waiting if verdict == REVIEW else InputError
    raise refuse(
        f"{n_articles:,} articles would be labelled, but {what}",
        where=f"filter {flt.name}",
        hint=f"run `distillery calibrate {flt.name} --articles FILE` first{accept}, label {UNCALIBRATED} articles at most, "
        'or give {without_calibration} "reason"',
    )


def oracle_digest(oracle: Mapping[str, Any]) -> Digest:
    """Return the digest of an oracle's identity, by which its calibrations and noise floors are found.

    Args:
        oracle: its identity.

    Returns:
        The digest.
    """
    return digest_json(dict(oracle))
