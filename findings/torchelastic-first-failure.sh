#!/usr/bin/env bash
# Version: torch 2.13.0
# Behaviour: ChildFailedError.get_first_failure names the worker with the least time. A worker that raised has its own time, in whole
#   seconds; one that was killed has none, and gets the time at which the launcher looked. So a survivor that failed later is the first.
# Why it surprises: the report of torchrun calls it "Root Cause (first observed failure)", and it is the one thing that a user reads.
# Who is bitten: who trains over several workers: one that the kernel killed for memory is not named, but another that missed it.
# Seen: rank 1 was killed at once, rank 0 raised 1.5 s later; the launcher looked 21 s after that: the first failure is rank 0, exit code 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
cat > "$work/worker.py" <<'PY'
import os, signal, time
from torch.distributed.elastic.multiprocessing.errors import record

@record
def work():
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1.5)
    raise RuntimeError("the other worker is gone")

work()
PY
OMP_NUM_THREADS=1 "$work/venv/bin/python" - "$work" 2> "$work/log" <<'PY'
import sys
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

config = LaunchConfig(1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id="x", max_restarts=0, monitor_interval=30)
try:
    elastic_launch(config, sys.executable)(f"{sys.argv[1]}/worker.py")
except ChildFailedError as error:
    first, _ = error.get_first_failure()
    seen = {rank: (failure.exitcode, failure.timestamp - error.failures[0].timestamp) for rank, failure in error.failures.items()}
    print(f"exit codes and seconds after rank 0's: {dict(sorted(seen.items()))}; the first failure is rank {first}")
    if first != 0 or seen[1][0] != -9:
        sys.exit("changed: the worker that was killed is named")
PY
