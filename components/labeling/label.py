"""The label step: articles through the oracle, or labels that people have already, become one label set.

The file is read three times: once to check it whole before anything is paid, once to ask, once to put texts and answers
together. That costs some 30 s per 100,000 articles and keeps texts out of memory while the oracle is asked; the label set
itself is one table and is held as a whole. Its digest depends on texts and scores, not on the order of the file.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from components.articles import Article, Label, Rejects, label_frame, read_articles, read_labels, write_frame
from components.labeling.asking import WORKERS, Tally, ask_all, check_prompts, generic
from components.labeling.journal import Journal
from components.labeling.oracles import Oracle, open_oracle, oracle_identity
from components.ledger import Outcome, StepRecord, run_step
from components.progress import Progress, quiet
from components.sources import local_file
from components.store import Digest, Store, canonical_json, digest_file, digest_json
from filters.digests import rubric_digest
from filters.errors import InputError
from filters.spec import Filter

CODE: Final = 1
SAMPLE: Final = 64


def label_inputs(flt: Filter, articles: Digest | None, labels: Digest | None, *, max_rejects: str = "0",
                 oracle: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the label step's result depends on. articles, labels: digest of the file given; the other is None.

    oracle: an oracle's identity, where it is other than the filter's. InputError where the filter's can't be had.
    """
    common: dict[str, Any] = {"code": CODE, "filter": flt.name, "dimensions": flt.dimensions}
    if labels is not None:
        return {**common, "labels": labels, "max_rejects": max_rejects}
    identity = digest_json(dict(oracle_identity(flt) if oracle is None else oracle))
    return {**common, "articles": articles, "rubric": rubric_digest(flt), "oracle": identity}


def label(store: Store, flt: Filter, *, articles: str = "", labels: str = "", max_rejects: str = "0",
          oracle: Oracle | None = None, workers: int = WORKERS, progress: Progress = quiet) -> StepRecord:
    """Labels the articles, or imports the labels, of a file (a path or s3://); exactly one of them is given.

    oracle: asked instead of the one that the filter names. workers: calls at once. Outputs {"label_set": digest, "rows",
    "dead", "rejected"}. InputError for a file that can't be used, for too many bad rows among labels, for a prompt that
    crowds out the articles, and when most articles end dead; labels already paid for are kept.
    """
    if bool(articles) == bool(labels):
        raise InputError("give exactly one of articles and labels", where="--articles, --labels",
                         mend="--labels FILE where scores exist, --articles FILE to have the oracle label them")
    if labels:
        with local_file(labels, parameter="--labels") as path:
            inputs = label_inputs(flt, None, digest_file(path), max_rejects=max_rejects)
            return run_step(store, "label", inputs, lambda: _import(store, flt, path, max_rejects, progress))
    with local_file(articles, parameter="--articles") as path:
        digest = digest_file(path)
        identity = oracle_identity(flt) if oracle is None else oracle.identity
        inputs = label_inputs(flt, digest, None, oracle=identity)
        return run_step(store, "label", inputs, lambda: _label(
            store, flt, path, digest, oracle or open_oracle(flt), workers, progress))


def _import(store: Store, flt: Filter, path: Path, max_rejects: str, progress: Progress) -> Outcome:
    rejects = Rejects()
    found = list(read_labels(path, flt.dimensions, rejects=rejects, max_rejects=max_rejects))
    progress(len(found), len(found), "labels")
    return _commit(store, flt, found, [], rejects, {"rubric": None, "oracle": None}, progress)


def _label(store: Store, flt: Filter, path: Path, digest: Digest, oracle: Oracle, workers: int,
           progress: Progress) -> Outcome:
    rubric, identity = Digest(rubric_digest(flt)), dict(oracle.identity)
    journal = Journal(store, flt.name, rubric=rubric, oracle=digest_json(identity), dimensions=flt.dimensions)
    if journal.damaged:
        progress.note(f"{journal.damaged} damaged records of the journal are left out and asked again")
    rejects = Rejects()
    tally, sample = _survey(path, journal, rejects)
    check_prompts(flt, sample)
    cached = tally.answered
    ask_all(flt, oracle, journal, read_articles(path, rejects=Rejects()), tally, workers=workers, progress=progress)
    labels, dead = [], []
    for article in read_articles(path, rejects=Rejects()):
        if answer := journal.answers.get(article.digest):
            scores = dict(zip(flt.dimensions, answer.scores, strict=True))
            labels.append(Label(article, scores, answer.content_type))
        elif letter := journal.dead.get(article.digest) or tally.unreachable.get(article.digest):
            attempts = [{"attempt": number, "reason": attempt.reason, "reply": attempt.reply}
                        for number, attempt in enumerate(letter.attempts, 1)]
            dead.append({"article": article.digest, "id": article.id, "title": article.title, "attempts": attempts})
    if digest_file(path) != digest:
        raise InputError("was changed while it was read", where=str(path), mend="start again; labels so far are kept")
    if not labels:
        raise InputError(f"none of the {tally.total} articles got a label, most often because {tally.reason()}",
                         where=f"oracle {flt.spec.oracle.model}", mend="mend oracle or rubric and start again")
    facts = {"asked": tally.asked, "cached": cached, "calls": tally.calls, "repaired": tally.repaired}
    return _commit(store, flt, labels, dead, rejects, {"rubric": rubric, "oracle": identity}, progress, facts)


def _survey(path: Path, journal: Journal, rejects: Rejects) -> tuple[Tally, list[Article]]:
    """Reads the whole file before anything is paid: what there is to do, and an even sample of distinct articles."""
    tally = Tally(total=0, answered=0, dead=0)
    seen: set[Digest] = set()

    def distinct() -> Iterator[tuple[Digest, Article]]:
        for article in read_articles(path, rejects=rejects):
            digest = article.digest
            if digest in seen:
                continue
            seen.add(digest)
            tally.total += 1
            tally.answered += digest in journal.answers
            if letter := journal.dead.get(digest):
                tally.dead += 1
                tally.reasons[generic(letter.attempts[-1].reason)] += 1
            yield digest, article

    sample = heapq.nsmallest(SAMPLE, distinct(), key=lambda pair: pair[0])
    return tally, [article for _, article in sample]


def _commit(store: Store, flt: Filter, labels: list[Label], dead: list[dict[str, Any]], rejects: Rejects,
            origin: dict[str, Any], progress: Progress, facts: dict[str, Any] | None = None) -> Outcome:
    frame = label_frame(labels, flt.dimensions).sort("article", "id")
    files = {"labels.parquet": write_frame(frame)}
    if dead:
        dead.sort(key=lambda letter: (letter["article"], letter["id"]))
        files["dead.jsonl"] = b"".join(canonical_json(letter) + b"\n" for letter in dead)
    if rejects.count:
        # Without the file's name: moving or renaming it changes no digest.
        lines = [{"line": reject.line, "reason": reject.reason} for reject in rejects.first]
        files["rejects.jsonl"] = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    counts = {"rows": frame.height, "dead": len(dead), "rejected": rejects.count}
    meta = {"kind": "label set", "filter": flt.name, "dimensions": flt.dimensions, **origin, **counts}
    digest = store.commit("labelsets", files, meta)
    folder = f"labelsets/{digest}"
    if rejects.count:
        first = rejects.first[0]
        progress.note(f"{rejects.count} bad rows left out (line {first.line}: {first.reason}): "
                      f"{store.uri}/{folder}/rejects.jsonl")
    if dead:
        progress.note(f"{len(dead)} articles got no label, with raw replies: {store.uri}/{folder}/dead.jsonl")
    keys = [f"{folder}/{name}" for name in ("manifest.json", *files)]
    return Outcome({"label_set": digest, **counts}, keys, facts or {})
