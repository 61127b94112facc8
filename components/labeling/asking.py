"""Articles to an oracle, answers to the journal: three attempts each, many at once, none twice.

A worker holds its place until its answer is durable, so what a kill can lose is bounded by the number of workers. A run in
which most articles end dead is stopped early: the same fault would be paid for again and again.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import Final, TypeVar

from components.articles import Article, clean
from components.labeling.journal import Answer, Attempt, DeadLetter, Journal
from components.labeling.oracles import Oracle, OracleError, Request
from components.labeling.replies import parse
from components.progress import Progress, quiet
from components.store import Digest
from filters.errors import InputError
from filters.prompt import render_prompt
from filters.spec import Filter

T = TypeVar("T")

ATTEMPTS: Final = 3
WORKERS: Final = 64
COLLAPSE_AFTER: Final = 20
KEPT_CHARACTERS: Final = 20_000  # of a raw reply, in a dead letter
WORDS_THAT_COUNT: Final = 50


@dataclass
class Tally:
    """What one run has done. asked: articles settled in this run. dead: dead letters, those remembered included."""

    total: int
    answered: int
    dead: int
    asked: int = 0
    calls: int = 0
    repaired: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unreachable: dict[Digest, DeadLetter] = field(default_factory=dict)

    @property
    def collapsed(self) -> bool:
        """Most articles end dead. Written for the whole run, so that a second start pays for no more of the same."""
        settled = self.answered + self.dead
        return settled >= COLLAPSE_AFTER and self.dead * 2 > settled

    def reason(self) -> str:
        return self.reasons.most_common(1)[0][0]


def check_prompts(flt: Filter, sample: Sequence[Article]) -> None:
    """Before the first call: the articles' own text reaches the oracle. InputError where the prompt crowds it out.

    sample: distinct articles. Judged are the words that each adds to the empty prompt, and whether prompts differ at all.
    """
    bare = len(render_prompt(flt, "", "").split())
    prompts = [render_prompt(flt, article.title, article.content) for article in sample]
    wanted = [min(WORDS_THAT_COUNT, len(f"{article.title} {article.content}".split())) for article in sample]
    share = median((len(prompt.split()) - bare) / max(1, words) for prompt, words in zip(prompts, wanted, strict=True))
    where, mend = "spec.oracle.maxWords", "raise oracle.maxWords, or strip what all articles begin with"
    if share < 0.5:
        raise InputError(f"the prompt crowds out the article: half of them keep less than {max(0, share):.0%} of "
                         f"their first {WORDS_THAT_COUNT} words", where=where, mend=mend)
    if len(sample) > 1 and len(set(prompts)) * 2 <= len(sample):
        raise InputError(f"{len(sample)} different articles give only {len(set(prompts))} different prompts: what tells "
                         "them apart is cut off", where=where, mend=mend)


def ask_all(flt: Filter, oracle: Oracle, journal: Journal, articles: Iterable[Article], tally: Tally, *,
            workers: int = WORKERS, progress: Progress = quiet) -> None:
    """Asks for every article that the journal has neither an answer nor a dead letter for; `tally` is kept up to date.

    workers: calls at once, and so the most that a kill can lose. InputError when most articles end dead; what the journal
    has then stays.
    """
    _run(_ask_all(flt, oracle, journal, articles, tally, workers, progress))
    if tally.collapsed:
        settled = tally.answered + tally.dead
        raise InputError(f"stopped: {tally.dead} of {settled} articles failed {ATTEMPTS} attempts, most often because "
                         f"{tally.reason()}", where=f"oracle {flt.spec.oracle.model}",
                         mend=f"mend oracle or rubric and start again; the {tally.answered} labels so far are kept")


async def _ask_all(flt: Filter, oracle: Oracle, journal: Journal, articles: Iterable[Article], tally: Tally,
                   workers: int, progress: Progress) -> None:
    feed = _unsettled(journal, articles)

    async def work() -> None:
        for article in feed:
            if tally.collapsed:
                return
            outcome = await _ask(flt, oracle, article, tally)
            if isinstance(outcome, Answer) or any(attempt.reply is not None for attempt in outcome.attempts):
                await journal.add(outcome)
            else:
                tally.unreachable[outcome.article] = outcome  # nothing was answered or paid: the next run asks again
            tally.asked += 1
            if isinstance(outcome, Answer):
                tally.answered += 1
            else:
                tally.dead += 1
                tally.reasons[generic(outcome.attempts[-1].reason)] += 1
            progress(tally.answered + tally.dead, tally.total, "articles", dead=str(tally.dead))

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await journal.settle()


def _unsettled(journal: Journal, articles: Iterable[Article]) -> Iterator[Article]:
    """Articles to ask for, each text once, however many copies the file has. One iterator feeds all workers."""
    begun: set[Digest] = set()
    for article in articles:
        digest = article.digest
        if digest not in begun and digest not in journal.answers and digest not in journal.dead:
            begun.add(digest)
            yield article


async def _ask(flt: Filter, oracle: Oracle, article: Article, tally: Tally) -> Answer | DeadLetter:
    prompt = render_prompt(flt, article.title, article.content)
    types = [kind.name for kind in flt.spec.contentTypes]
    failed: list[Attempt] = []
    for attempt in range(1, ATTEMPTS + 1):
        tally.calls += 1
        try:
            text = clean((await oracle.ask(Request(article, "", prompt, attempt))).text)
        except OracleError as error:
            failed.append(Attempt(clean(str(error)), None))
            continue
        try:
            reply = parse(text, flt.dimensions, types)
        except ValueError as error:
            failed.append(Attempt(clean(str(error)), text[:KEPT_CHARACTERS]))
            continue
        tally.repaired += bool(reply.repaired)
        return Answer(article.digest, tuple(reply.scores.values()), reply.content_type)
    return DeadLetter(article.digest, tuple(failed))


def generic(reason: str) -> str:
    """A reason without what differs from reply to reply, for counting."""
    return re.sub(r" is \S+, outside", " is outside", reason).partition(": ")[0]


def _run(work: Coroutine[None, None, T]) -> T:
    """Runs to the end, also where an event loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
