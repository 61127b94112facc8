"""Calibration: a sample is labelled, looked at by a person and judged; then a fresh one, which nobody tuned the rubric on.

The first sample stays the same while a rubric is worked on, so its marks can be used again. The fresh one is drawn anew for
each rubric, from articles that no earlier one was judged on; the price is some 60 further marks a rubric, the gain that "5
of 6 on the sample I looked at" can't pass. Nothing is paid twice: labels of samples are in the journal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distillery.components.articles.articles import Article
from distillery.components.articles.input_files import local_file
from distillery.components.articles.label_table import read_table, scores
from distillery.components.artifacts.rubric_calibration import (
    FAIL,
    FREE,
    PASS,
    REVIEW,
    SAMPLE,
    UNCALIBRATED,
    free,
    oracle_digest,
    read_calibration,
    usable,
)
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.calibration.judge import Judged, Reason, judge_redundancy, judge_sample, worse_than_chance, worst
from distillery.components.calibration.marks import NOBODY, PREFILTER, REFERENCE, Marks, read_marks
from distillery.components.calibration.review import Reviewed, review_page
from distillery.components.labeling.label import label
from distillery.components.labeling.oracles.base import Oracle, oracle_identity
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.sampling.draw import RANDOM, STRATIFIED, Sample
from distillery.components.sampling.select import FILE, jsonl, read_sample, select
from distillery.components.store import Digest, Json, NotFound, Store, digest_bytes, digest_json
from distillery.components.store.layout import LABEL_SETS, calibration_attempts_key, calibration_key, review_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CODE: Final = 1
SHARES: Final = {RANDOM: 0.5, STRATIFIED: 0.5}
KEPT: Final = 50  # earlier judgements in the document


@dataclass(frozen=True)
class Labelled:
    """A sample with the oracle's scores. rows: (m, D) for the m of its articles that got a label, `at` their places."""

    sample: Sample
    digest: Digest
    label_set: str
    at: list[int]
    rows: NDArray[np.float64]
    overall: NDArray[np.float64]

    @property
    def dead(self) -> int:
        return len(self.sample.articles) - len(self.at)


def calibrate(
    store: Store,
    flt: Filter,
    *,
    articles: str,
    marks: str = "",
    n: int = 0,
    accept: str = "",
    waived: str = "",
    once: bool = False,
    oracle: Oracle | None = None,
    progress: Progress = quiet,
) -> StepRecord:
    """Calibrates the filter's rubric with its oracle; outputs {"verdict", "usable", "document", "review", …}.

    marks: a JSON file of {digest or id: "on" | "off"}, "prefilter", "reference", or "" for none yet. n: articles of each of
    the two samples; by default 60 where a person looks at them, 120 where nobody has to. accept: a person's reason to go on
    with a REVIEW. waived: a reason not to calibrate at all, so nothing is done. Without marks, or with `once`, a
    usable calibration that is in the store stays; with `once` recorded replies, which cost nothing, need no marks.
    InputError for unusable marks, sizes, files.
    """
    n = n or (UNCALIBRATED if marks in (PREFILTER, REFERENCE) else SAMPLE)
    if not 10 <= n <= UNCALIBRATED:
        raise InputError(
            f"a sample of {n} articles is too {'small' if n < 10 else 'large'}",
            where="--n",
            hint=f"take 10 to {UNCALIBRATED}, such as {SAMPLE}",
        )
    identity = dict(oracle_identity(flt) if oracle is None else oracle.identity)
    rubric, by = rubric_digest(flt), oracle_digest(identity)
    key = calibration_key(flt.name, rubric, by)
    inputs = {"code": CODE, "filter": flt.name, "rubric": rubric, "oracle": by, "n": n}
    if waived:
        return _record(inputs, {"verdict": "WAIVED", "usable": True, "reason": waived}, [], reused=True)
    known = read_calibration(store, flt, identity)
    if accept:
        return _record(inputs, _outputs(_accept(store, key, flt, accept), key), [key])
    if once and not marks and known is None and free(identity):
        return _record(inputs, {"verdict": "WAIVED", "usable": True, "reason": FREE}, [], reused=True)
    if (once or not marks) and usable(known):
        assert known is not None
        return _record(inputs, _outputs(known, key), [key], reused=True)
    given = read_marks(marks)
    inputs["marks"] = digest_json([given.by, given.given])
    with local_file(articles, parameter="articles") as path:
        document, page = _calibrate(store, flt, path, given, n, oracle, identity, progress)
    review = review_key(flt.name, digest_bytes(page))
    store.put(review, page)
    if given.by == NOBODY and known is not None and known["marks"]["by"] != NOBODY:
        document = known
    else:
        document = _write(store, key, document)
    return _record(inputs, {**_outputs(document, key), "review": review}, [key, review])


def _calibrate(
    store: Store,
    flt: Filter,
    path: Path,
    given: Marks,
    n: int,
    oracle: Oracle | None,
    identity: dict[str, Any],
    progress: Progress,
) -> tuple[dict[str, Json], bytes]:
    rubric, by = rubric_digest(flt), oracle_digest(identity)

    def take(seed: str, without: Collection[str]) -> Labelled | None:
        sample, digest = select(store, flt, path, n, SHARES, seed=seed, exclude=without, progress=progress)
        return _labelled(store, flt, sample, digest, oracle, progress) if sample.articles else None

    first = take("calibration", ())
    if first is None:
        raise InputError("has no article to calibrate on", where=str(path))
    opinions = {"calibration": given.of(flt, first.sample)}
    judged = {"calibration": _judge(flt, first, opinions["calibration"])}
    parts: dict[str, Labelled] = {"calibration": first}
    reasons = _named("calibration sample", judged["calibration"].reasons)
    if given.by == NOBODY or judged["calibration"].verdict != FAIL:
        fresh = take("fresh", _spent(store, flt, rubric, by, first))
        if fresh is None:
            reasons.append(Reason(REVIEW, "no fresh article is left to judge on: give more articles"))
        else:
            parts["fresh"] = fresh
            _spend(store, flt, rubric, by, first, fresh)
            opinions["fresh"] = given.of(flt, fresh.sample)
            judged["fresh"] = _judge(flt, fresh, opinions["fresh"])
            reasons += _named("fresh sample", judged["fresh"].reasons)
            reasons += worse_than_chance(judged["calibration"], judged["fresh"])
    import numpy as np

    rows = np.concatenate([part.rows for part in parts.values()])
    seen = [opinions[name][at] for name, part in parts.items() for at in part.at]
    redundant, more = judge_redundancy(rows, seen, flt.dimensions)
    reasons += more
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
        what = of_prefilter if given.by == PREFILTER else "none of its articles is in the samples"
        raise InputError(what, parameter="marks", hint="mark the articles of the review page")
    document: dict[str, Json] = {
        "format": 1,
        "code": CODE,
        "filter": flt.name,
        "rubric": rubric,
        "oracle": by,
        "identity": identity,
        "model": flt.spec.oracle.model,
        "verdict": worst(reason.level for reason in reasons),
        "reasons": [f"{reason.level}: {reason.text}" for reason in sorted(reasons, key=lambda r: r.level)],
        "marks": given.to_json(applied),
        "samples": {name: {"sample": part.digest, "label_set": part.label_set} for name, part in parts.items()},
        "figures": {**{name: one.to_json() for name, one in judged.items()}, "redundancy": redundant},
        "accepted": None,
        "history": [],
    }
    for reason in document["reasons"]:
        progress.note(reason)
    return document, review_page(
        flt, [one for name, part in parts.items() for one in _reviewed(flt, part, opinions[name], name == "fresh")]
    ).encode()


def _named(name: str, reasons: list[Reason]) -> list[Reason]:
    return [Reason(reason.level, f"{name}: {reason.text}") for reason in reasons]


def _labelled(store: Store, flt: Filter, sample: Sample, digest: Digest, oracle: Oracle | None, progress: Progress) -> Labelled:
    from distillery.filters.verdict import judge

    with tempfile.TemporaryDirectory(prefix="distillery-sample-") as folder:
        path = Path(folder) / FILE
        path.write_bytes(jsonl(sample.articles))
        label_set = label(store, flt, articles=str(path), oracle=oracle, progress=progress).outputs["label_set"]
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
    return judge_sample(part.rows, part.overall, [marks[at] for at in part.at], flt.dimensions, part.dead)


def _reviewed(flt: Filter, part: Labelled, marks: list[str | None], fresh: bool) -> list[Reviewed]:
    labelled = {at: row for row, at in enumerate(part.at)}

    def one(at: int, article: Article) -> Reviewed:
        row = labelled.get(at)
        found = None if row is None else dict(zip(flt.dimensions, part.rows[row].tolist(), strict=True))
        overall = None if row is None else float(part.overall[row])
        return Reviewed(article, marks[at], part.sample.passes[article.digest], fresh, found, overall)

    return [one(at, article) for at, article in enumerate(part.sample.articles)]


def _attempts(store: Store, flt: Filter) -> list[dict[str, Json]]:
    try:
        return list(store.get_json(calibration_attempts_key(flt.name))["attempts"])
    except NotFound:
        return []


def _spent(store: Store, flt: Filter, rubric: str, oracle: str, first: Labelled) -> set[str]:
    """Articles that a fresh sample must not hold: the calibration sample's, and those of earlier rubrics' samples."""
    spent = {article.digest for article in first.sample.articles}
    with tempfile.TemporaryDirectory(prefix="distillery-sample-") as folder:
        for attempt in _attempts(store, flt):
            if (attempt["rubric"], attempt["oracle"]) == (rubric, oracle):
                break
            for name in ("calibration", "fresh"):
                spent |= {article.digest for article in read_sample(store, Digest(attempt[name]), Path(folder))}
    return set(spent)


def _spend(store: Store, flt: Filter, rubric: str, oracle: str, first: Labelled, fresh: Labelled) -> None:
    """Write down what this rubric is judged on; the first time only, so that a repetition draws the same again."""
    attempt = {"rubric": rubric, "oracle": oracle, "calibration": first.digest, "fresh": fresh.digest}

    def added(document: Json | None) -> Json | None:
        attempts = document["attempts"] if document else []
        if any((one["rubric"], one["oracle"]) == (rubric, oracle) for one in attempts):
            return None
        return {"format": 1, "attempts": [*attempts, attempt]}

    store.update_json(calibration_attempts_key(flt.name), added)


def _write(store: Store, key: str, document: dict[str, Json]) -> dict[str, Json]:
    """Write the document, with what it replaces in its history; an acceptance stays with the very same judgement only."""

    def replaced(old: Json | None) -> Json | None:
        if old is None:
            return document
        if _judgement(old) == _judgement(document):
            return None
        earlier = {**_judgement(old), "accepted": old.get("accepted")}
        return {**document, "history": [*old.get("history", []), earlier][-KEPT:]}

    written: dict[str, Json] = store.update_json(key, replaced)
    return written


def _judgement(document: dict[str, Json]) -> dict[str, Json]:
    return {name: document[name] for name in ("code", "verdict", "reasons", "marks", "samples", "figures")}


def _accept(store: Store, key: str, flt: Filter, reason: str) -> dict[str, Json]:
    def accepted(document: Json | None) -> Json:
        if document is None:
            raise InputError("there is no calibration to accept", where=f"filter {flt.name}", hint="calibrate first")
        if document["verdict"] != REVIEW or document["marks"]["by"] == NOBODY:
            state = document["verdict"] if document["marks"]["by"] != NOBODY else "that nobody has looked yet"
            raise InputError(
                f"only a REVIEW of marked articles can be accepted; this calibration says {state}",
                where=f"filter {flt.name}",
                hint="" if document["verdict"] == PASS else "mend the rubric, or mark",
            )
        return {**document, "accepted": {"reason": reason.strip()}}

    written: dict[str, Json] = store.update_json(key, accepted)
    return written


def _outputs(document: dict[str, Json], key: str) -> dict[str, Json]:
    return {
        "verdict": document["verdict"],
        "usable": usable(document),
        "accepted": document["accepted"],
        "document": key,
        "reasons": document["reasons"],
        "marks": document["marks"],
        "samples": document["samples"],
        "figures": document["figures"],
    }


def _record(inputs: dict[str, Json], outputs: dict[str, Json], keys: list[str], *, reused: bool = False) -> StepRecord:
    """Not kept by the ledger: the document under rubric and oracle is the record, and a later judgement replaces it."""
    return StepRecord.of("calibrate", inputs, outputs, keys, reused=reused)


__all__ = ["NOBODY", "PREFILTER", "REFERENCE", "calibrate"]
