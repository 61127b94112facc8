"""The label step: articles through the oracle, or labels that people have already, become one label set.

The file is read once, checked whole before anything is paid, and kept on disk beside the answers (`pool`, `journal`); texts and
answers are put together in a stream, so memory does not grow with the articles. The label set's digest depends on texts and
scores, not on the order of the file, nor on how often a run was stopped.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from distillery.components.articles.articles import Article, Label, Rejects, read_articles, read_labels
from distillery.components.articles.input_files import local_file
from distillery.components.articles.label_table import label_table, write_label_table, write_table
from distillery.components.artifacts.rubric_calibration import require_calibration
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.labeling.article_pool import ArticlePool
from distillery.components.labeling.batch import BatchEngine
from distillery.components.labeling.budget import Budget
from distillery.components.labeling.engine import CONCURRENCY, Engine, run
from distillery.components.labeling.injections import orders
from distillery.components.labeling.journal import Journal
from distillery.components.labeling.oracles.base import BatchOracle, Oracle, open_oracle, oracle_identity
from distillery.components.labeling.oracles.prices import Prices, no_price, price_of, read_prices
from distillery.components.labeling.prompt_check import check_prompts
from distillery.components.labeling.run_lock import RunLock
from distillery.components.labeling.tally import Tally
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, Store, canonical_json, digest_file, digest_json
from distillery.components.store.layout import LABEL_SETS, MANIFEST, committed_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter

CODE: Final = 2
SAMPLE: Final = 64


def label_inputs(
    flt: Filter,
    articles: Digest | None,
    labels: Digest | None,
    *,
    max_rejects: str = "0",
    oracle: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the label step's result depends on. articles, labels: digest of the file given; the other is None.

    oracle: an oracle's identity, where it is other than the filter's. InputError where the filter's can't be had.
    """
    common: dict[str, Any] = {"code": CODE, "filter": flt.name, "dimensions": flt.dimensions}
    if labels is not None:
        return {**common, "labels": labels, "max_rejects": max_rejects}
    identity = digest_json(dict(oracle_identity(flt) if oracle is None else oracle))
    return {**common, "articles": articles, "rubric": rubric_digest(flt), "oracle": identity}


def open_journal(store: Store, flt: Filter, identity: Mapping[str, Any]) -> Journal:
    """The journal of this filter's rubric and this oracle."""
    return Journal(
        store, flt.name, rubric=Digest(rubric_digest(flt)), oracle=digest_json(dict(identity)), dimensions=flt.dimensions
    )


def label(
    store: Store,
    flt: Filter,
    *,
    articles: str = "",
    labels: str = "",
    max_rejects: str = "0",
    oracle: Oracle | None = None,
    concurrency: int = CONCURRENCY,
    budget: float | None = None,
    prices: Prices | None = None,
    retry_dead: bool = False,
    without_calibration: str = "",
    progress: Progress = quiet,
) -> StepRecord:
    """Labels the articles, or imports the labels, of a file (a path or s3://); exactly one of them is given.

    oracle: asked instead of the one that the filter names. concurrency: calls at once, at most. budget: US dollars that all
    labels of this rubric and oracle may cost, earlier runs included. retry_dead: dead letters are asked again.
    without_calibration: why many labels are paid for without a calibration that passed; recorded in the label set.
    Outputs {"label_set": digest, "rows", "dead", "rejected"}; facts: what it took, in calls, tokens and dollars.
    InputError for a file that can't be used, too many bad rows among labels, a prompt that crowds out the articles, a budget
    without a price; Stopped when the run ends itself. Labels already paid for are kept.
    """
    if bool(articles) == bool(labels):
        raise InputError(
            "give exactly one of articles and labels",
            where="{articles}, {labels}",
            hint="{labels} FILE where scores exist, {articles} FILE to have the oracle label them",
        )
    if labels:
        with local_file(labels, parameter="labels") as path:
            inputs = label_inputs(flt, None, digest_file(path), max_rejects=max_rejects)
            return run_step(store, "label", inputs, lambda: _import(store, flt, path, max_rejects, progress))
    with local_file(articles, parameter="articles") as path:
        digest = digest_file(path)
        identity = oracle_identity(flt) if oracle is None else dict(oracle.identity)
        inputs = label_inputs(flt, digest, None, oracle=identity)

        def work() -> Outcome:
            run = _Labeling(store, flt, path, digest, identity, progress)
            return run.work(oracle, concurrency, budget, prices or read_prices(), retry_dead, without_calibration)

        return run_step(store, "label", inputs, work, again=retry_dead)


def _import(store: Store, flt: Filter, path: Path, max_rejects: str, progress: Progress) -> Outcome:
    rejects = Rejects()
    found = list(read_labels(path, flt.dimensions, rejects=rejects, max_rejects=max_rejects))
    progress(len(found), len(found), "labels")
    frame = label_table(found, flt.dimensions).sort_by([("article", "ascending"), ("id", "ascending")])
    files: dict[str, bytes | Path] = {"labels.parquet": write_table(frame)}
    return _commit(store, flt, files, frame.num_rows, 0, rejects, {"rubric": None, "oracle": None}, progress)


class _Labeling:
    """One run over one file."""

    def __init__(
        self, store: Store, flt: Filter, path: Path, digest: Digest, identity: dict[str, Any], progress: Progress
    ) -> None:
        self.store, self.flt, self.path, self.digest, self.identity = store, flt, path, digest, identity
        self.progress, self.rejects, self.pool = progress, Rejects(), ArticlePool()
        self.journal = open_journal(store, flt, identity)
        self.tally = Tally(total=0, answered=0, dead=0)
        self.cached = 0  # labels that this run did not buy

    def work(
        self,
        oracle: Oracle | None,
        concurrency: int,
        limit: float | None,
        prices: Prices,
        retry_dead: bool,
        without_calibration: str,
    ) -> Outcome:
        if self.journal.damaged:
            self.progress.note(f"{self.journal.damaged} damaged records of the journal are left out and asked again")
        sample = self._survey(retry_dead)
        if digest_file(self.path) != self.digest:
            raise InputError("was changed while it was read", where=str(self.path), hint="start again")
        check_prompts(self.flt, sample)
        allowed = require_calibration(self.store, self.flt, self.tally.total, without_calibration, oracle=self.identity)
        self.cached = self.tally.answered
        self._ask(oracle, concurrency, limit, prices, sample)
        tally = self.tally
        if not tally.answered:
            raise InputError(
                f"none of the {tally.total} articles got a label, most often because {tally.main_reason()}",
                where=f"oracle {self.flt.spec.oracle.model}",
                hint="mend oracle or rubric and start again",
            )
        return self._finish(allowed["waived"])

    def _survey(self, retry_dead: bool) -> list[Article]:
        """Reads the whole file before anything is paid: what there is to do, and an even sample of distinct articles."""
        tally, journal = self.tally, self.journal

        def distinct() -> Iterator[tuple[Digest, Article]]:
            for article in read_articles(self.path, rejects=self.rejects):
                digest = article.digest
                if not self.pool.add(article, digest):
                    continue
                tally.total += 1
                tally.answered += journal.answer(digest) is not None
                tally.suspicious += bool(orders(article))
                if letter := journal.dead_letter(digest):
                    if retry_dead:
                        journal.forget_dead(digest)
                    else:
                        tally.count_dead(letter.attempts[-1].reason)
                yield digest, article

        return [article for _, article in heapq.nsmallest(SAMPLE, distinct(), key=lambda pair: pair[0])]

    def _ask(self, given: Oracle | None, concurrency: int, limit: float | None, prices: Prices, sample: list[Article]) -> None:
        flt, tally, journal, progress = self.flt, self.tally, self.journal, self.progress
        found = price_of(flt, prices)
        if limit is not None and found is None:
            raise no_price(flt)
        if tally.answered + tally.dead == tally.total:
            return
        lock = RunLock(self.store, journal.prefix)
        lock.acquire(lambda: progress.note("another run asks this oracle with this rubric; its labels are waited for"))
        if journal.catch_up():
            self._recount()
            if tally.answered + tally.dead == tally.total:
                lock.release(0, 0.0)
                return

        async def ask() -> None:
            oracle = given or open_oracle(flt)
            budget = Budget(math.inf if limit is None else limit)
            price, at_risk = found[0] if found else None, concurrency
            if isinstance(oracle, BatchOracle):  # jobs outlive a kill, and the next run takes in what they have done
                engine: Engine = BatchEngine(flt, oracle, journal, tally, price=price, budget=budget, progress=progress)
                at_risk = 0
            else:
                engine = Engine(
                    flt, oracle, journal, tally, concurrency=concurrency, price=price, budget=budget, progress=progress
                )
            most = max(engine.most(engine.request(article, 1)) for article in sample)
            lost, open_calls = lock.start(at_risk, at_risk * most)
            budget.spent = journal.usd + lost.usd
            if open_calls:
                progress.note(
                    f"an earlier run was killed or broken off: of its calls in flight, {open_calls} at most, "
                    f"no reply was kept; they are asked again (${lost.usd:.4f} at most is in doubt)"
                )
            heartbeat = asyncio.create_task(lock.heartbeat(engine.stop))
            try:
                await engine.run(pair for pair in self.pool.distinct() if self._open(pair[0]))
            finally:
                heartbeat.cancel()
                if (close := getattr(oracle, "close", None)) and given is None:
                    await close()
            lock.release(tally.unknown, tally.unknown_usd)

        if found is None:
            progress.note(f"no price is known for {flt.spec.oracle.model}, so no money is counted (--prices FILE)")
        try:
            run(ask())
        except Stopped as error:
            lock.release(tally.unknown, tally.unknown_usd)
            error.facts = self._facts()
            raise
        except BaseException:
            lock.abandon()
            raise
        if tally.unknown:
            progress.note(
                f"{tally.unknown} calls were given up without a reply; if they are billed all the same, "
                f"that is ${tally.unknown_usd:.4f} more at most"
            )
        if len(tally.versions) > 1:
            progress.note(
                "several versions of the model answered: "
                + ", ".join(f"{name} {n}" for name, n in tally.versions.most_common())
            )

    def _recount(self) -> None:
        """After another run: what is settled by now."""
        tally, journal = self.tally, self.journal
        tally.answered = tally.dead = 0
        tally.reasons.clear()
        for digest, _ in self.pool.distinct():
            if journal.answer(digest):
                tally.answered += 1
            elif letter := journal.dead_letter(digest):
                tally.count_dead(letter.attempts[-1].reason)
        self.cached = tally.answered

    def _open(self, digest: Digest) -> bool:
        return self.journal.answer(digest) is None and self.journal.dead_letter(digest) is None

    def _facts(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "asked": tally.asked,
            "cached": self.cached,
            "calls": tally.calls,
            "limited": tally.limited,
            "unknown": tally.unknown,
            "repaired": tally.repaired,
            "usd": round(tally.usd, 6),
            "usd_total": round(self.journal.usd, 6),
            "tokens": [tally.usage.input_tokens, tally.usage.cached_tokens, tally.usage.output_tokens],
            "per_second": round(tally.asked / tally.seconds, 2) if tally.seconds else 0.0,
            "versions": dict(sorted(tally.versions.items())),
            "labeled": tally.answered,
            "dead": tally.dead,
        }

    def _finish(self, waived: str | None) -> Outcome:
        flt = self.flt
        with tempfile.TemporaryDirectory(prefix="distillery-labels-") as folder:
            table, letters = Path(folder) / "labels.parquet", Path(folder) / "dead.jsonl"
            rows = write_label_table(
                table, self._labels(), flt.dimensions, references=self.pool.references, drawn=self.pool.drawn
            )
            with letters.open("wb") as out:
                dead = sum(out.write(line) > 0 for line in self._dead())
            files: dict[str, bytes | Path] = {"labels.parquet": table}
            if dead:
                files["dead.jsonl"] = letters
            meta: dict[str, Any] = {"rubric": rubric_digest(flt), "oracle": self.identity, "suspicious": self.tally.suspicious}
            if waived:
                meta["without_calibration"] = waived
            if self.tally.suspicious:
                self.progress.note(
                    f"{self.tally.suspicious} articles speak to the oracle instead of to a reader; a reply that "
                    "does what they say within the schema can't be told from an honest one"
                )
            return _commit(self.store, flt, files, rows, dead, self.rejects, meta, self.progress, self._facts())

    def _labels(self) -> Iterator[tuple[Digest, Label]]:
        for digest, article in self.pool.rows():
            if answer := self.journal.answer(digest):
                scores = dict(zip(self.flt.dimensions, answer.scores, strict=True))
                yield digest, Label(article, scores, answer.content_type)

    def _dead(self) -> Iterator[bytes]:
        for digest, article in self.pool.rows():
            if self.journal.answer(digest) is None and (letter := self.journal.dead_letter(digest)):
                attempts = [
                    {"attempt": number, "reason": attempt.reason, "reply": attempt.reply}
                    for number, attempt in enumerate(letter.attempts, 1)
                ]
                known = {"article": digest, "id": article.id, "title": article.title}
                yield canonical_json({**known, "attempts": attempts}) + b"\n"


def _commit(
    store: Store,
    flt: Filter,
    files: dict[str, bytes | Path],
    rows: int,
    dead: int,
    rejects: Rejects,
    origin: dict[str, Any],
    progress: Progress,
    facts: dict[str, Any] | None = None,
) -> Outcome:
    if rejects.count:
        # Without the file's name: moving or renaming it changes no digest.
        lines = [{"line": reject.line, "reason": reject.reason} for reject in rejects.first]
        files["rejects.jsonl"] = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    counts = {"rows": rows, "dead": dead, "rejected": rejects.count}
    meta = {"kind": "label set", "filter": flt.name, "dimensions": flt.dimensions, **origin, **counts}
    digest = store.commit(LABEL_SETS, files, meta)
    if rejects.count:
        first = rejects.first[0]
        progress.note(
            f"{rejects.count} bad rows left out (line {first.line}: {first.reason}): "
            f"{store.uri}/{committed_key(LABEL_SETS, digest, 'rejects.jsonl')}"
        )
    if dead:
        progress.note(
            f"{dead} articles got no label, with raw replies: {store.uri}/{committed_key(LABEL_SETS, digest, 'dead.jsonl')}"
        )
    keys = [committed_key(LABEL_SETS, digest, name) for name in (MANIFEST, *files)]
    return Outcome({"label_set": digest, **counts}, keys, facts or {})
