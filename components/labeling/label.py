"""The label step: an oracle labels articles, or labels that people have are imported; either way a label set comes out.

The file is read once, checked whole before anything is paid, and kept on disk beside the answers (`article_pool`, `journal`).
Texts and answers are put together in a stream, so memory does not grow with the articles. The label set's digest depends on
texts and scores, not on the order of the file or on how often a run was stopped.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from distillery.components.articles.articles import Article, Label, Rejects, read_articles
from distillery.components.articles.folders import input_digest
from distillery.components.articles.input_files import local_input
from distillery.components.articles.label_table import write_label_table
from distillery.components.articles.scratch import scratch_folder
from distillery.components.artifacts.rubric_calibration import require_calibration
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.labeling.article_pool import ArticlePool
from distillery.components.labeling.batch import BatchEngine
from distillery.components.labeling.budget import Budget
from distillery.components.labeling.engine import CONCURRENCY, Engine, run
from distillery.components.labeling.injections import orders
from distillery.components.labeling.journal import Journal
from distillery.components.labeling.label_set import commit_labels, import_labels
from distillery.components.labeling.lost_records import tell_lost
from distillery.components.labeling.oracles.base import BatchOracle, Oracle, open_oracle, oracle_identity
from distillery.components.labeling.oracles.prices import Price, Prices, no_price, price_of, read_prices
from distillery.components.labeling.prompt_check import check_prompts
from distillery.components.labeling.run_lock import RunLock
from distillery.components.labeling.tally import Tally
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, Store, canonical_json, digest_json
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter

CODE: Final = 2
IMPORT_CODE: Final = 4  # of labels that people bring
SAMPLE: Final = 64


def label_inputs(
    flt: Filter,
    articles: Digest | None,
    labels: Digest | None,
    *,
    max_rejects: str = "0",
    oracle: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what the label step's result depends on.

    Args:
        flt: the filter.
        articles: digest of the file of articles; None for labels.
        labels: digest of the file of labels; None for articles.
        max_rejects: how many bad rows of labels may be left out, "20" or "1%".
        oracle: the identity of the oracle, where it is not the filter's.

    Returns:
        A JSON object whose digest is the step's key.

    Raises:
        InputError: the filter's oracle can't be had.
    """
    common: dict[str, Any] = {"code": CODE, "filter": flt.name, "dimensions": flt.dimensions}
    if flt.columns:
        common["columns"] = flt.columns
    if labels is not None:
        form = flt.score_form.to_json()
        return {
            **common,
            "code": IMPORT_CODE,
            "labels": labels,
            "max_rejects": max_rejects,
            **({"scores": form} if form else {}),
        }
    identity = digest_json(dict(oracle_identity(flt) if oracle is None else oracle))
    return {**common, "articles": articles, "rubric": rubric_digest(flt), "oracle": identity}


def open_journal(store: Store, flt: Filter, identity: Mapping[str, Any]) -> Journal:
    """Open the journal of the filter's rubric and an oracle.

    Args:
        store: the store.
        flt: the filter.
        identity: what the oracle's answers depend on.

    Returns:
        The journal, read.
    """
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
    """Label the articles of a file, or import its labels; exactly one of the two is given.

    Args:
        store: the store, which gets the label set.
        flt: the filter, with rubric and oracle.
        articles: a file of articles, a path or s3://.
        labels: a file of labels, a path or s3://.
        max_rejects: how many bad rows of labels may be left out, "20" or "1%".
        oracle: an oracle to ask instead of the filter's.
        concurrency: the most calls at once.
        budget: US dollars that all labels of this rubric and oracle may cost, earlier runs included.
        prices: what models cost; None for the list that comes with this version.
        retry_dead: whether articles with a dead letter are asked about again.
        without_calibration: why many labels are paid for without a calibration that passed; recorded in the label set.
        progress: shows what is done.

    Returns:
        The step's record, with outputs {"label_set": digest, "rows", "dead", "rejected"} and what the run took in calls, tokens
        and US dollars.

    Raises:
        InputError: the file can't be used, too many rows of labels are bad, the prompt crowds out the articles, or a budget is
            given without a price.
        Stopped: the run ended itself; labels that were paid are kept.
    """
    if bool(articles) == bool(labels):
        raise InputError(
            "give exactly one of articles and labels",
            where="{articles}, {labels}",
            hint="{labels} FILE where scores exist, {articles} FILE to have the oracle label them",
        )
    if labels:
        with local_input(labels, parameter="labels") as path:
            inputs = label_inputs(flt, None, input_digest(path), max_rejects=max_rejects)
            return run_step(
                store, "label", inputs, lambda: import_labels(store, flt, path, max_rejects, progress), note=progress.note
            )
    with local_input(articles, parameter="articles") as path:
        digest = input_digest(path)
        identity = oracle_identity(flt) if oracle is None else dict(oracle.identity)
        inputs = label_inputs(flt, digest, None, oracle=identity)

        def work() -> Outcome:
            run = _Labeling(store, flt, path, digest, identity, progress)
            return run.work(oracle, concurrency, budget, prices or read_prices(), retry_dead, without_calibration)

        return run_step(store, "label", inputs, work, again=retry_dead, note=progress.note)


class _Labeling:
    """One run over one file of articles."""

    def __init__(
        self, store: Store, flt: Filter, path: Path, digest: Digest, identity: dict[str, Any], progress: Progress
    ) -> None:
        self.store, self.flt, self.path, self.digest, self.identity = store, flt, path, digest, identity
        self.progress, self.rejects, self.pool = progress, Rejects(), ArticlePool()
        self.journal = open_journal(store, flt, identity)
        self.tally = Tally(total=0, answered=0, dead=0)
        self.cached = 0  # labels that this run did not buy
        self.lock = RunLock(
            store, self.journal.prefix, records=lambda: self.journal.records, settled=lambda: self.journal.settled
        )
        self.budget = Budget()
        self.engine: Engine | None = None

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
        if input_digest(self.path) != self.digest:
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
        """Read the whole file before anything is paid; return an even sample of distinct articles."""
        tally, journal = self.tally, self.journal

        def distinct() -> Iterator[tuple[Digest, Article]]:
            for article in read_articles(self.path, rejects=self.rejects, columns=self.flt.columns):
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

    def _ask(self, oracle: Oracle | None, concurrency: int, limit: float | None, prices: Prices, sample: list[Article]) -> None:
        tally, progress, model = self.tally, self.progress, self.flt.spec.oracle.model
        known_price = price_of(self.flt, prices)
        if limit is not None and known_price is None:
            raise no_price(self.flt)
        if not tally.open:
            return
        self.budget = Budget(math.inf if limit is None else limit)
        self.lock.acquire(lambda: progress.note("another run asks this oracle with this rubric; its labels are waited for"))
        try:
            if self.journal.catch_up():
                self._recount()
            if tally.open:
                if known_price is None:
                    progress.note(f"no price is known for {model}, so no money is counted (oracle.price, or --prices FILE)")
                run(self._ask_all(oracle, concurrency, known_price[0] if known_price else None, sample))
        except Stopped as error:
            error.facts = self._facts()
            raise
        finally:
            self.lock.release(self.engine.calls.broken_off if self.engine else 0, self.budget.unkept)
        if tally.unknown_usd:
            progress.note(
                f"nobody knows what {tally.unknown} calls were billed (given up, failed, or answered without a bill): they "
                f"count at their worst case, ${tally.unknown_usd:.4f}"
            )
        if len(tally.versions) > 1:
            progress.note(
                "several versions of the model answered: "
                + ", ".join(f"{name} {n}" for name, n in tally.versions.most_common())
            )

    async def _ask_all(self, oracle: Oracle | None, concurrency: int, price: Price | None, sample: list[Article]) -> None:
        flt, tally, journal, budget, progress = self.flt, self.tally, self.journal, self.budget, self.progress
        asked = oracle or open_oracle(flt)
        if isinstance(asked, BatchOracle):  # jobs outlive a kill, and the next run takes in what they have done
            at_risk = 0
            engine: Engine = BatchEngine(flt, asked, journal, tally, price=price, budget=budget, progress=progress)
        else:
            at_risk = min(concurrency, tally.open)
            engine = Engine(flt, asked, journal, tally, concurrency=concurrency, price=price, budget=budget, progress=progress)
        self.engine = engine
        most = max(engine.ledger.most(engine.request(article, 1)) for article in sample)
        tell_lost(journal, self.lock.records, tally.open, most if price else None, progress)
        booked = journal.usd + journal.unknown_usd
        lost, open_calls = self.lock.start(at_risk, at_risk * most, limit=budget.limit, booked=booked, left=tally.open)
        budget.spent, budget.unknown = journal.usd, journal.unknown_usd + lost.usd
        if open_calls:
            progress.note(
                f"an earlier run was killed or broken off: of its calls in flight, {open_calls} at most, "
                f"no reply was kept; they are asked again (${lost.usd:.4f} at most is in doubt)"
            )
        heartbeat = asyncio.create_task(self.lock.heartbeat(engine.stop))
        try:
            await engine.run(pair for pair in self.pool.distinct() if self._open(pair[0]))
        finally:
            heartbeat.cancel()
            if (close := getattr(asked, "close", None)) and oracle is None:
                await close()

    def _recount(self) -> None:
        """Count again what is settled, after another run."""
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
            "usd_unknown": round(self.journal.unknown_usd, 6),
            "tokens": [tally.usage.input_tokens, tally.usage.cached_tokens, tally.usage.output_tokens],
            "per_second": round(tally.asked / tally.seconds, 2) if tally.seconds else 0.0,
            "versions": dict(sorted(tally.versions.items())),
            "labeled": tally.answered,
            "dead": tally.dead,
        }

    def _finish(self, waived: str | None) -> Outcome:
        flt = self.flt
        with scratch_folder("distillery-labels-") as folder:
            table, letters = folder / "labels.parquet", folder / "dead.jsonl"
            rows = write_label_table(
                table, self._labels(), flt.dimensions, references=self.pool.references, drawn=self.pool.drawn
            )
            with letters.open("wb") as out:
                dead = sum(out.write(line) > 0 for line in self._dead())
            files: dict[str, bytes | Path] = {"labels.parquet": table}
            if dead:
                files["dead.jsonl"] = letters
            meta: dict[str, Any] = {
                "rubric": rubric_digest(flt),
                "oracle": dict(self.identity),
                "suspicious": self.tally.suspicious,
                "without_calibration": waived or None,
            }
            if self.tally.suspicious:
                self.progress.note(
                    f"{self.tally.suspicious} articles speak to the oracle instead of to a reader; a reply that "
                    "does what they say within the schema can't be told from an honest one"
                )
            return commit_labels(self.store, flt, files, rows, dead, self.rejects, meta, self.progress, self._facts())

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
