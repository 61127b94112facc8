"""`python -m distillery.components.scoring.worker --out URI --store URI --job DIGEST`: one index of a scoring Job.

JOB_COMPLETION_INDEX says which. Everything else is in the plan beside the scores, so a pod's description is small and carries
no data. Exit codes are what the Job's podFailurePolicy goes by: 0 done (also where the part is there already, known before
torch is loaded), 2 a fault of the corpus, the plan or the bundle (the index fails, once), 1 anything else, such as a store
that stays away or refuses the key (tried again).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence

from distillery.components.artifacts.filter import read_filter
from distillery.components.remote.retry import by_service
from distillery.components.runtime.progress import clock, reporter
from distillery.components.runtime.step import say_last
from distillery.components.scoring.part import score_part
from distillery.components.scoring.plan import FP32, read_plan, todo_list
from distillery.components.scoring.rows import Predictor
from distillery.components.scoring.whole import look_at
from distillery.components.store import NotFound, Store, StoreError, open_store
from distillery.filters.errors import InputError

INDEX = "JOB_COMPLETION_INDEX"


def work(out: Store, store: str, job: str, index: int) -> str:
    """Score a part unless it is there.

    Args:
        out: where the scores go.
        store: URI of the store that has filter, adapter and base model.
        job: digest of the job.
        index: number of the part.

    Returns:
        What was done, in a line.

    Raises:
        InputError: the corpus, the plan or the bundle is at fault.
    """
    plan, loading = read_plan(out, job), [0.0]
    if (before := look_at(out, plan, index)).done:
        return f"part {index} is there already"
    progress = reporter(f"part {index}")
    if before.fault:
        progress.note(f"{before.fault}: it is done again")
    opened = open_store(store)
    flt = read_filter(opened, plan.filter_key)

    def student() -> Predictor:
        from distillery.components.student.bundle import open_bundle
        from distillery.components.student.devices import require_able

        began, served = time.monotonic(), plan.served or FP32
        require_able(served)
        found = open_bundle(opened, plan.filter, plan.adapter, flt=flt, plan=served)
        found.predict([("", "a")])  # builds the model, so that the rate below is the student's own
        loading[0] = time.monotonic() - began
        return found

    began = time.monotonic()
    facts = score_part(out, plan, index, flt, student, progress=progress)
    seconds = time.monotonic() - began - loading[0]
    scored = facts.articles - facts.prefiltered
    rate = f"{scored / seconds:.1f}/s on {os.environ.get('OMP_NUM_THREADS', 'all')} threads"
    return f"part {index}: {facts.articles:,} articles in {clock(seconds)} ({rate}), student loaded in {loading[0]:.1f} s"


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
    args = parser.parse_args(argv)
    # The first process of a container ignores SIGTERM unless it says otherwise, and would be waited for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    try:
        out, index = open_store(args.out), int(os.environ[INDEX])
        if args.todo:
            index = todo_list(out, args.todo)[index]
        print(work(out, args.store, args.job, index), flush=True)
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
