"""`python -m distillery.components.scoring.worker --out URI --store URI --job DIGEST`: one index of a scoring Job.

JOB_COMPLETION_INDEX says which. Everything else is in the plan beside the scores, so a pod's description is small and carries
no data. `--also DIGEST=URI`, once or more, scores the same part for other filters, too: it is read once, and tokenised once
for students with one tokenizer; a fault of one filter stops no other. Exit codes are what the podFailurePolicy goes by: 0 done
(also where the part is there already, known before torch is loaded), 2 a fault of the corpus, the plan or the bundle (the index
fails, once), 1 anything else, such as a store that stays away or refuses the key (tried again).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING

from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.scores import Facts
from distillery.components.remote.retry import by_service
from distillery.components.runtime.progress import clock, reporter
from distillery.components.runtime.step import say_last
from distillery.components.scoring.part import Target, score_parts
from distillery.components.scoring.plan import FP32, Plan, read_plan, todo_list
from distillery.components.scoring.rows import Predictor
from distillery.components.scoring.whole import look_at
from distillery.components.store import NotFound, Store, StoreError, open_store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    from distillery.components.student.token_cache import TokenCache

INDEX = "JOB_COMPLETION_INDEX"


class _Students:
    """Opens the students of a Job; several of them share the tokens of each article where they have one tokenizer."""

    def __init__(self, store: str, *, several: bool) -> None:
        self.several, self.seconds = several, 0.0
        self._uri, self._opened = store, dict[str, Predictor]()

    @cached_property
    def store(self) -> Store:
        """The store of filters, adapters and base models; a part that is there needs none."""
        return open_store(self._uri)

    @cached_property
    def cache(self) -> TokenCache:
        """Tokens of articles seen lately."""
        from distillery.components.student.token_cache import TokenCache

        return TokenCache()

    def open(self, plan: Plan, flt: Filter) -> Predictor:
        """Return the student of a plan, opened once."""
        if plan.job not in self._opened:
            self._opened[plan.job] = self._open(plan, flt)
        return self._opened[plan.job]

    def _open(self, plan: Plan, flt: Filter) -> Predictor:
        from distillery.components.student.bundle import open_bundle
        from distillery.components.student.devices import require_able
        from distillery.components.student.token_cache import Sharing

        began, served = time.monotonic(), plan.served or FP32
        require_able(served)
        found = open_bundle(self.store, plan.filter, plan.adapter, flt=flt, plan=served)
        found.predict([("", "a")])  # builds the model, so that the rate below is the student's own
        self.seconds += time.monotonic() - began
        return Sharing(found, self.cache) if self.several else found


@contextmanager
def _kept(faults: list[Exception]) -> Iterator[None]:
    """Keep what is wrong with one filter, so that the others are scored first."""
    try:
        yield
    except Exception as error:  # whatever a library makes of a damaged bundle
        faults.append(error)


def work(outs: Sequence[tuple[Store, str]], store: str, index: int) -> str:
    """Score a part unless it is there.

    Args:
        outs: where the scores of each filter go, and the digest of its job.
        store: URI of the store that has filters, adapters and base models.
        index: number of the part.

    Returns:
        What was done, in a line.

    Raises:
        InputError: the corpus, a plan or a bundle is at fault; of several filters the others were scored before.
    """
    progress, left, faults = reporter(f"part {index}"), list[tuple[Store, Plan]](), list[Exception]()
    for out, job in outs:
        with _kept(faults):
            plan = read_plan(out, job)
            before = look_at(out, plan, index)
            if before.fault:
                progress.note(f"{before.fault}: it is done again")
            left += [] if before.done else [(out, plan)]
    students, targets, facts = _Students(store, several=len(left) > 1), list[Target](), list[Facts]()
    for out, plan in left:
        with _kept(faults):
            flt = read_filter(students.store, plan.filter_key)
            targets.append(Target(out, plan, flt, partial(students.open, plan, flt)))
    began = time.monotonic()
    if len(targets) > 1:
        with suppress(Exception):  # told when each is scored alone
            facts = score_parts(targets, index, progress=progress)
    for target in targets[len(facts) :]:
        with _kept(faults):
            facts += score_parts([target], index, progress=progress)
    if faults:
        raise faults[0]
    if not facts:
        return f"part {index} is there already"
    seconds = time.monotonic() - began - students.seconds
    scored = facts[0].articles - min(each.prefiltered for each in facts)
    rate = f"{scored / seconds:.1f}/s on {os.environ.get('OMP_NUM_THREADS', 'all')} threads"
    who = f" for {len(facts)} filters" if len(facts) > 1 else ""
    took = f"in {clock(seconds)} ({rate}), student loaded in {students.seconds:.1f} s"
    return f"part {index}: {facts[0].articles:,} articles{who} {took}"


def exit_code(error: InputError | NotFound) -> int:
    """Return the exit status for a fault.

    Args:
        error: the fault.

    Returns:
        2; 1 if the store refuses or is away, so that the index is tried again, since no corpus can fix that.
    """
    cause = error.__cause__
    while isinstance(cause, StoreError):
        cause = cause.__cause__
    return 1 if isinstance(error, InputError) and cause is not None and by_service(cause) else 2


def main(argv: Sequence[str] | None = None) -> int:
    """Score the part that JOB_COMPLETION_INDEX names.

    Args:
        argv: command-line arguments; None for those of the process.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="worker", description="One part of a scoring job.")
    for name in ("out", "store", "job"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--todo", default="", help="digest of the list of parts that are left; default: all")
    parser.add_argument("--also", metavar="DIGEST=URI", action="append", default=[], help="job and place of another filter")
    args = parser.parse_args(argv)
    # The first process of a container ignores SIGTERM unless it says otherwise, and would be waited for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    try:
        out, index = open_store(args.out), int(os.environ[INDEX])
        if args.todo:
            index = todo_list(out, args.todo)[index]
        also = [(open_store(uri), job) for job, _, uri in (each.partition("=") for each in args.also)]
        print(work([(out, args.job), *also], args.store, index), flush=True)
    except (InputError, NotFound) as error:
        said = f"{error}; submit the corpus again" if isinstance(error, NotFound) else str(error)
        say_last(said)
        print(f"error: {said}", file=sys.stderr, flush=True)
        return exit_code(error)
    except Exception as error:
        say_last(f"{type(error).__name__}: {error}")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
