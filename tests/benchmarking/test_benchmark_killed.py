"""A benchmark killed with SIGKILL and started again ends with the same digests."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillery.components.benchmarking.benchmark import benchmark

# Runs the step in a process of its own, which stops for ever just before the named kind of object is put.
CHILD = """
import sys, time, types
from pathlib import Path
import tests.benchmarking.conftest as conftest
house = conftest.House(Path({store!r}))
module = types.ModuleType("distillery.components.student.bundle")
module.open_bundle, module.check_golden = house.open_bundle, lambda student: 0.0
sys.modules["distillery.components.student.bundle"] = module
split = house.split()
adapter = house.adapter(conftest.reads_with_noise(1.0), split)
put = house.store.put
def stop(key, data):
    if {before!r} in key:
        Path({mark!r}).touch()
        time.sleep(600)
    put(key, data)
object.__setattr__(house.store, "put", stop)
from distillery.components.benchmarking.benchmark import benchmark
benchmark(house.store, conftest.make_filter(), adapter=adapter, split=split)
"""


@pytest.mark.parametrize("before", ["/predictions/", "baselines/", "/benchmark/"])
def test_killed_before_each_object_it_writes(house, flt, readers, tmp_path, before):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    whole = benchmark(house.store, flt, adapter=adapter, split=split)

    store, mark = tmp_path / "killed", tmp_path / "mark"
    script = CHILD.format(store=str(store), before=before, mark=str(mark))
    child = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not mark.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert mark.exists()
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL

    again = type(house)(store)
    again.students = house.students
    house.store = again.store
    assert not list(again.store.keys("steps/benchmark"))
    calls = house.students[adapter].calls
    resumed = benchmark(again.store, flt, adapter=adapter, split=split)
    assert resumed.outputs == whole.outputs
    assert (house.students[adapter].calls == calls) == (before != "/predictions/")  # what was stored is not redone
