"""`python -m components.training.worker`: one training by several processes, in this pod or as one node of a TrainJob.

Started plainly it is the agent: it starts its processes through torchrun's launcher, which reads the node's place from PET_*
variables (a TrainJob sets them), and ends as the first of them ended. Exit codes: 0 done, 2 bad input (never tried again),
1 anything else (tried again from the checkpoint). The step calls `launch` for several GPUs of its own pod.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from components.outage import is_outage
from components.progress import Progress
from components.settings import limit_threads
from components.step import read_filter
from components.store import open_store
from components.training.relay import AGAIN, Lines
from filters.errors import InputError, Stopped

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where torchrun looks for a worker's last words
NODES = "PET_NNODES"
MODULE = "components.training.worker"


def launch(arguments: Sequence[str], processes: int | None = None) -> None:
    """Run the training as `processes` workers of this machine, or as PET_* say; returns when all have ended well.

    arguments: as on the command line. InputError where a worker found bad input; Stopped, with what the first of them said
    or the signal that killed it, for anything else.
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
        elastic_launch(config=config, entrypoint=command)(*rest)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        said = failure.message if isinstance(failure.message, str) else str(failure.message.get("message", ""))
        words = json.loads(said) if said.startswith("{") else {}
        if failure.exitcode == 2:
            raise InputError(words.get("what", said), where=words.get("where", ""), mend=words.get("mend", "")) from None
        if failure.exitcode < 0:
            said = f"killed by {signal.Signals(-failure.exitcode).name}"
        raise Stopped(f"worker {rank} failed: {words.get('what', said)}", mend=words.get("mend") or AGAIN) from None


def _work(args: argparse.Namespace) -> None:
    """One worker's part."""
    from components.training.distributed import join
    from components.training.train import train

    with join() as workers, ExitStack() as open_files:
        stream = open_files.enter_context(open(args.progress, "a", encoding="utf-8")) if args.progress else None
        progress = Lines(stream) if workers.first else Progress()
        store = open_store(args.store)
        train(store, read_filter(store, args.filter_key), split=args.split, progress=progress, workers=workers)


def _last_words(error: Exception) -> None:
    """Leaves what a person should read where the agent finds it."""
    fields = {"what": getattr(error, "what", f"{type(error).__name__}: {error}"), "mend": getattr(error, "mend", "")}
    fields["where"] = getattr(error, "where", "")
    if path := os.environ.get(ERROR_FILE):
        with suppress(OSError), open(path, "w", encoding="utf-8") as file:
            json.dump({"message": json.dumps(fields), "timestamp": str(int(time.time()))}, file)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the agent, or of one worker where torchrun has set RANK."""
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
            launch(given)
    except (InputError, Stopped) as error:
        _last_words(error)
        # A store that can't be reached is no bad input: time may mend it.
        refused = isinstance(error, InputError) and not is_outage(error.__cause__ or error)
        if not worker:
            fields = {"what": error.what, "where": getattr(error, "where", ""), "mend": error.mend}
            print(json.dumps({"error": fields, "input": refused}), flush=True)
        return 2 if refused else 1
    except Exception as error:
        _last_words(error)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
