"""`python -m distillery.components.training.worker`: one training by several processes, in a pod or as a node of a TrainJob.

Started plainly it is the agent: it fetches the base model, starts its processes through torchrun's launcher, which reads the
node's place from PET_* variables (a TrainJob sets them), and ends as the first of them ended. Exit codes: 0 done, 2 bad input
(never tried again), 143 told to end, 1 anything else (both tried again from the checkpoint). The step calls `run_workers` for
several GPUs of its own pod.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from distillery.components.artifacts.filter import read_filter
from distillery.components.remote.retry import is_outage
from distillery.components.runtime.progress import Progress, Reporter
from distillery.components.runtime.settings import limit_threads
from distillery.components.store import open_store
from distillery.components.student.resolve import resolve_base
from distillery.components.training.tracked import tracked
from distillery.components.training.trackers.trainjob_status import TrainJobStatus, in_trainjob
from distillery.components.training.worker_progress import AGAIN, SECONDS, LostOthers
from distillery.filters.errors import InputError, Stopped
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where torchrun looks for a worker's last words
NODES = "PET_NNODES"
MODULE = "distillery.components.training.worker"


def run_workers(arguments: Sequence[str], processes: int | None = None) -> None:
    """Run a training by several processes, and return when all have ended well.

    Args:
        arguments: as on the command line.
        processes: how many of this machine; None for what PET_* variables say.

    Raises:
        InputError: a worker found bad input.
        Stopped: a worker failed otherwise; the message is what it said, or the signal that killed it.
        SystemExit: 143, if this process was told to end.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # its tables say what our one line says
    alone = processes is not None or os.environ.get(NODES, "1") == "1"
    own = ["--standalone"] if alone else []
    own += [] if processes is None else [f"--nproc-per-node={processes}"]
    cli: Any = torchrun  # untyped
    parsed = cli.parse_args([*own, "--max-restarts=0", "-m", MODULE, *arguments])
    if alone:
        parsed.rdzv_backend, parsed.rdzv_endpoint, parsed.rdzv_id = "c10d", "localhost:0", f"training-{os.getpid()}"
    config, command, rest = cli.config_from_args(parsed)
    try:
        with _told_to_end():
            elastic_launch(config=config, entrypoint=command)(*rest)
    except ChildFailedError as error:
        rank, failure, words = _first_cause(error.failures)
        said = _message(failure)
        if failure.exitcode == 2:
            raise InputError(words.get("what", said), where=words.get("where", ""), hint=words.get("hint", "")) from None
        if failure.exitcode < 0:
            said = f"killed by {signal.Signals(-failure.exitcode).name}"
        raise Stopped(f"worker {rank} failed: {words.get('what', said)}", hint=words.get("hint") or AGAIN) from None


def _message(failure: ProcessFailure) -> str:
    return failure.message if isinstance(failure.message, str) else str(failure.message.get("message", ""))


def _first_cause(failures: Mapping[int, ProcessFailure]) -> tuple[int, ProcessFailure, dict[str, Any]]:
    """Return the worker whose end caused those of the others.

    torch 2.13's `ChildFailedError.get_first_failure` takes the earliest whole second. A killed worker leaves no last words, so
    it has the second in which the agent looked, and a survivor that wrote "connection reset" meanwhile is taken for the cause.

    Args:
        failures: the failed workers by rank.

    Returns:
        The rank, how its process ended, and its last words (empty if it wrote none).
    """
    words = {rank: loads(said) if (said := _message(failure)).startswith("{") else {} for rank, failure in failures.items()}

    def order(rank: int) -> tuple[bool, int]:
        ended_by_agent = failures[rank].exitcode == -signal.SIGTERM and not words[rank]
        return bool(words[rank].get("lost")) or ended_by_agent, failures[rank].timestamp

    first = min(failures, key=order)
    return first, failures[first], words[first]


@contextmanager
def _told_to_end() -> Iterator[None]:
    """End this process with 143, no fault, where a signal ends torchrun's workers.

    torchrun's signal handlers are replaced by those from before when the block is left.
    """
    from torch.distributed.elastic.multiprocessing import SignalException

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)}
    try:
        yield
    except SignalException:
        raise SystemExit(143) from None
    finally:
        if threading.current_thread() is threading.main_thread():  # torchrun sets them there only
            for number, handler in before.items():
                signal.signal(number, handler)


def _lead(args: argparse.Namespace, given: Sequence[str]) -> None:
    """Do the agent's part: fetch the base model and run the workers.

    The base model is fetched here once, so that no worker waits for the download of another.
    """
    store = open_store(args.store)
    student = read_filter(store, args.filter_key).spec.student
    resolve_base(student.baseModel, student.revision, store)
    run_workers(given)


def _work(args: argparse.Namespace) -> None:
    """Do one worker's part: join the group and train."""
    from distillery.components.training.distributed import join
    from distillery.components.training.train import train

    with join() as workers:
        events = args.progress or sys.stdout
        progress = Reporter("train", events, sys.stdout, seconds=SECONDS) if workers.first else Progress()
        store = open_store(args.store)
        with tracked(progress, [TrainJobStatus()] if workers.first and in_trainjob() else []) as told:
            train(store, read_filter(store, args.filter_key), split=args.split, progress=told, workers=workers)


def _last_words(error: Exception, *, refused: bool, worker: bool) -> None:
    """Write what a person should read of an error: for a worker where the agent finds it, for the agent where the step does."""
    fields = {"what": getattr(error, "what", f"{type(error).__name__}: {error}"), "hint": getattr(error, "hint", "")}
    fields["where"] = getattr(error, "where", "")
    if not worker:
        print(json.dumps({"error": fields, "input": refused}), flush=True)
    if path := os.environ.get(ERROR_FILE):
        with suppress(OSError), open(path, "w", encoding="utf-8") as file:
            json.dump(
                {"message": json.dumps({**fields, "lost": isinstance(error, LostOthers)}), "timestamp": str(int(time.time()))},
                file,
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent of a node, or one worker if torchrun has set RANK.

    Args:
        argv: command-line arguments; None for those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="worker", description="One training by several processes.")
    for name in ("store", "filter-key", "split"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--progress", default="", help="file for progress lines; empty: standard output")
    given = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(given)
    worker = "RANK" in os.environ
    limit_threads()
    try:
        if worker:
            _work(args)
        else:
            _lead(args, given)
    except Exception as error:
        # A store that can't be reached is no bad input: time may mend it.
        refused = isinstance(error, InputError) and not is_outage(error.__cause__ or error)
        _last_words(error, refused=refused, worker=worker)
        if not isinstance(error, (InputError, Stopped)):
            raise
        return 2 if refused else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
