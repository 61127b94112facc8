"""Calibrate a rubric: label a sample, let a person look, judge; then a fresh sample, which nobody tuned the rubric on.

The first sample stays the same while a rubric is worked on, so its marks can be used again. The fresh one is drawn anew for
each rubric, from articles that no earlier one was judged on; the price is some 60 further marks a rubric, the gain that "5
of 6 on the sample I looked at" can't pass. Nothing is paid twice: labels of samples are in the journal.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distillery.components.articles.articles import Article
from distillery.components.articles.input_files import local_input
from distillery.components.articles.label_table import read_table, scores
from distillery.components.articles.scratch import scratch_folder
from distillery.components.artifacts.rubric_calibration import (
    FAIL,
    FREE,
    REVIEW,
    SAMPLE,
    UNCALIBRATED,
    Figures,
    JudgedSample,
    RubricCalibration,
    free,
    oracle_digest,
    read_calibration,
    usable,
)
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.calibration.agreement import agreement, disagreement
from distillery.components.calibration.judge import Judged, Reason, judge_redundancy, judge_sample, worse_than_chance, worst
from distillery.components.calibration.kept import accept_review, outputs_of, spend, spent_articles, write
from distillery.components.calibration.marks import NOBODY, PREFILTER, REFERENCE, Marks, read_marks, unfinished
from distillery.components.calibration.review import Reviewed, begun, review_page
from distillery.components.labeling.label import label
from distillery.components.labeling.oracles.base import Oracle, oracle_identity
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.sampling.draw import RANDOM, STRATIFIED, Sample
from distillery.components.sampling.select import FILE, jsonl, select
from distillery.components.store import Digest, Json, Store, digest_bytes, digest_json
from distillery.components.store.layout import LABEL_SETS, calibration_key, review_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE: Final = 1
SHARES: Final = {RANDOM: 0.5, STRATIFIED: 0.5}


@dataclass(frozen=True)
class Labelled:
    """A sample with the oracle's scores.

    Attributes:
        sample: the articles.
        digest: of the sample.
        label_set: digest of its labels.
        at: places in the sample of the m articles that got a label.
        rows: (m, D) scores, in points.
        overall: (m,) overall scores, in points.
    """

    sample: Sample
    digest: Digest
    label_set: str
    at: list[int]
    rows: NDArray[np.float64]
    overall: NDArray[np.float64]

    @property
    def dead(self) -> int:
        """Return how many articles got no usable reply."""
        return len(self.sample.articles) - len(self.at)


def sample_size(marks: Sequence[str], n: int) -> int:
    """Return how many articles each sample of a calibration has.

    Args:
        marks: what it goes by: "reference", "prefilter", or files.
        n: as asked for; 0 for what is usual, which is more where nobody has to look at the articles.

    Returns:
        The number.

    Raises:
        InputError: a sample of this size says nothing, or is too large.
    """
    n = n or (UNCALIBRATED if {*marks} & {PREFILTER, REFERENCE} else SAMPLE)
    if not 10 <= n <= UNCALIBRATED:
        what = f"a sample of {n} articles is too {'small' if n < 10 else 'large'}"
        raise InputError(what, where="--n", hint=f"take 10 to {UNCALIBRATED}, such as {SAMPLE}")
    return n


def calibrate(
    store: Store,
    flt: Filter,
    *,
    articles: str,
    marks: str | Sequence[str] = "",
    n: int = 0,
    accept: str = "",
    waived: str = "",
    once: bool = False,
    budget: float | None = None,
    oracle: Oracle | None = None,
    progress: Progress = quiet,
) -> StepRecord:
    """Calibrate the filter's rubric with its oracle.

    Without marks, or with `once`, a usable calibration that is in the store stays; with `once`, recorded replies, which cost
    nothing, need no marks.

    Args:
        store: where labels and calibrations are.
        flt: the filter.
        articles: address of the articles to draw from.
        marks: files of marks, or folders of them; or "prefilter", "reference", or "" for none yet.
        n: articles of each of the two samples; 0 for 60 where a person looks at them and 120 where nobody has to.
        accept: a person's reason to go on with a REVIEW, "" for none.
        waived: a reason not to calibrate at all, so nothing is done; "" for none.
        once: True to keep a usable calibration, whatever the marks.
        budget: US dollars that all labels of this rubric and oracle may cost, earlier runs included; None for no limit.
        oracle: asked instead of the filter's.
        progress: tells how far it is.

    Returns:
        The record; outputs {"verdict", "usable", "document": its key, "review": key of the page to mark articles on, …}.

    Raises:
        InputError: marks, sizes or files that cannot be used.
        StoreError: a calibration in the store cannot be read.
        Stopped: the budget has no room for the samples' labels; those that were paid are kept.
    """
    names = [name for name in ([marks] if isinstance(marks, str) else marks) if name]
    n = sample_size(names, n)
    identity = dict(oracle_identity(flt) if oracle is None else oracle.identity)
    rubric, by = rubric_digest(flt), oracle_digest(identity)
    key = calibration_key(flt.name, rubric, by)
    inputs = {"code": CODE, "filter": flt.name, "rubric": rubric, "oracle": by, "n": n}
    if waived:
        return _record(inputs, {"verdict": "WAIVED", "usable": True, "reason": waived}, [], reused=True)
    known = read_calibration(store, flt, identity)
    if accept:
        return _record(inputs, outputs_of(accept_review(store, key, flt, accept), key), [key])
    if once and not names and known is None and free(identity):
        return _record(inputs, {"verdict": "WAIVED", "usable": True, "reason": FREE}, [], reused=True)
    if (once or not names) and usable(known):
        assert known is not None
        return _record(inputs, outputs_of(known, key), [key], reused=True)
    given = read_marks(names)
    inputs["marks"] = digest_json([given.by, given.given])
    with local_input(articles, parameter="articles") as path:
        document, page = _calibrate(store, flt, path, given, n, oracle, identity, budget, progress)
    review = review_key(flt.name, digest_bytes(page))
    store.put(review, page)
    kept = known if known is not None and given.by == NOBODY and known.marks.by != NOBODY else None
    document = kept or write(store, key, document)
    return _record(inputs, {**outputs_of(document, key), "review": review}, [key, review])


def _calibrate(
    store: Store,
    flt: Filter,
    path: Path,
    given: Marks,
    n: int,
    oracle: Oracle | None,
    identity: dict[str, Any],
    budget: float | None,
    progress: Progress,
) -> tuple[RubricCalibration, bytes]:
    """Label and judge both samples; return the calibration and the review page."""
    rubric, by = rubric_digest(flt), oracle_digest(identity)

    def take(kind: str, without: Collection[str]) -> Labelled | None:
        nonlocal given
        sample, digest = select(store, flt, path, n, SHARES, seed=kind, exclude=without, progress=progress)
        if not sample.articles:
            return None
        given, left_out = given.require(flt, kind, sample, digest)  # before a label is paid for
        for line in left_out:
            progress.note(line)
        opinions[kind] = given.of(flt, sample)
        return _labelled(store, flt, sample, digest, oracle, budget, progress)

    opinions: dict[str, list[str | None]] = {}
    first = take("calibration", ())
    if first is None:
        raise InputError("has no article to calibrate on", where=str(path))
    judged = {"calibration": _judge(flt, first, opinions["calibration"])}
    parts: dict[str, Labelled] = {"calibration": first}
    reasons = _named("calibration sample", judged["calibration"].reasons)
    if given.by == NOBODY or judged["calibration"].verdict != FAIL:
        fresh = take("fresh", spent_articles(store, flt, rubric, by, first))
        if fresh is None:
            reasons.append(Reason(REVIEW, "no fresh article is left to judge on: give more articles"))
        else:
            parts["fresh"] = fresh
            spend(store, flt, rubric, by, first, fresh)
            judged["fresh"] = _judge(flt, fresh, opinions["fresh"])
            reasons += _named("fresh sample", judged["fresh"].reasons)
            reasons += worse_than_chance(judged["calibration"], judged["fresh"])
    import numpy as np

    rows = np.concatenate([part.rows for part in parts.values()])
    seen = [opinions[name][at] for name, part in parts.items() for at in part.at]
    redundant, more = judge_redundancy(rows, seen, flt.dimensions)
    reasons += more
    samples = {name: part.sample.articles for name, part in parts.items()}
    agreed = agreement(given.reviews, samples)
    reasons += disagreement(agreed)
    applied = {
        article.digest: mark
        for name, part in parts.items()
        for article, mark in zip(part.sample.articles, opinions[name], strict=True)
        if mark
    }
    if given.by == NOBODY:
        reasons = [
            Reason(
                REVIEW,
                f"nobody has marked the {len(seen)} articles yet: open the review page, save the marks, "
                "and give them with --marks",
            )
        ]
    elif not applied:
        of_prefilter = "the prefilter refuses none of the samples' articles, so it marks none"
        of_people = "no article is marked on-topic or off-topic by a majority"
        marked = given.marked([article for these in samples.values() for article in these])
        what = of_prefilter if given.by == PREFILTER else of_people if marked else "none of its articles is in the samples"
        raise InputError(what, parameter="marks", hint="mark the articles of the review page")
    counts = given.counts(applied, [article for these in samples.values() for article in these])
    for line in unfinished(counts):
        progress.note(line)
    document = RubricCalibration(
        code=CODE,
        filter=flt.name,
        rubric=rubric,
        oracle=by,
        identity=identity,
        model=flt.spec.oracle.model,
        verdict=worst(reason.level for reason in reasons),
        reasons=[f"{reason.level}: {reason.text}" for reason in sorted(reasons, key=lambda r: r.level)],
        marks=counts,
        samples={name: JudgedSample(sample=part.digest, label_set=part.label_set) for name, part in parts.items()},
        figures=Figures(
            calibration=judged["calibration"].figures(),
            fresh=judged["fresh"].figures() if "fresh" in judged else None,
            redundancy=redundant,
        ),
        agreement=agreed,
    )
    for reason in document.reasons:
        progress.note(reason)
    reviewed = [one for name, part in parts.items() for one in _reviewed(flt, part, given, opinions[name], name)]
    shown = {name: part.digest for name, part in parts.items()}
    page = review_page(flt, reviewed, shown, given=given, calibration=document)
    return document, page.encode()


def _named(name: str, reasons: list[Reason]) -> list[Reason]:
    """Return the reasons, each with the name of the sample before it."""
    return [Reason(reason.level, f"{name}: {reason.text}") for reason in reasons]


def _labelled(
    store: Store, flt: Filter, sample: Sample, digest: Digest, oracle: Oracle | None, budget: float | None, progress: Progress
) -> Labelled:
    """Label a sample and return it with the oracle's scores."""
    from distillery.filters.verdict import judge

    with scratch_folder("distillery-sample-") as folder:
        path = folder / FILE
        path.write_bytes(jsonl(sample.articles))
        label_set = label(
            store, flt.with_columns({}), articles=str(path), oracle=oracle, budget=budget, progress=progress
        ).outputs["label_set"]
    frame = read_table(store.folder(LABEL_SETS, Digest(label_set)).read("labels.parquet"))
    places = {article.digest: at for at, article in enumerate(sample.articles)}
    rows = scores(frame, flt.dimensions)
    return Labelled(
        sample,
        digest,
        label_set,
        [places[article] for article in frame["article"].to_pylist()],
        rows,
        judge(flt, rows, frame["content_type"].to_pylist()).overall,
    )


def _judge(flt: Filter, part: Labelled, marks: list[str | None]) -> Judged:
    """Judge a labelled sample by the marks of its articles."""
    return judge_sample(part.rows, part.overall, [marks[at] for at in part.at], flt.dimensions, part.dead)


def _reviewed(flt: Filter, part: Labelled, given: Marks, marks: list[str | None], sample: str) -> list[Reviewed]:
    """Return the articles of a sample as the review page shows them."""
    labelled = {at: row for row, at in enumerate(part.at)}

    def one(at: int, article: Article) -> Reviewed:
        row = labelled.get(at)
        found = None if row is None else dict(zip(flt.dimensions, part.rows[row].tolist(), strict=True))
        overall = None if row is None else float(part.overall[row])
        passes = part.sample.passes[article.digest]
        return Reviewed(article, sample, passes, found, overall, **begun(given, article, marks[at]))

    return [one(at, article) for at, article in enumerate(part.sample.articles)]


def _record(inputs: dict[str, Json], outputs: dict[str, Json], keys: list[str], *, reused: bool = False) -> StepRecord:
    """Return a record that `run_step` does not keep: the document under rubric and oracle is replaced by a later judgement."""
    return StepRecord.of("calibrate", inputs, outputs, keys, reused=reused)


__all__ = ["NOBODY", "PREFILTER", "REFERENCE", "calibrate"]
