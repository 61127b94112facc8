"""On a real cluster: an operator that is killed after each of its writes in turn starts one run, and ends it right."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from tests.cluster.harness import NAMESPACE, ROOT, Cluster, environment
from tests.cluster.killed import KILLED
from tests.cluster.operated import a_filter, apply, conditions, runs, status, tiny_base

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]
NAME = "mortal-town"


def passed(cluster: Cluster, store: Store, at: int) -> str:
    """One pass of the operator as a process that dies after its N-th write; after which, empty where it came to its end."""
    words = ["operator", "--once", "--namespace", NAMESPACE, "--store", store.uri]
    command = [sys.executable, "-m", "tests.cluster.killed", str(at), *words]
    done = subprocess.run(command, cwd=ROOT, env=environment(cluster), capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, KILLED), done.stderr
    return done.stderr.rpartition("killed after ")[2].strip() if done.returncode else ""


def kind(write: str) -> str:
    """What a write is about, without names and digests."""
    found = re.search(r"/(events|status|runs)\b|put (\w+)/", write)
    return (found[1] or f"put {found[2]}") if found else write


def test_an_operator_that_is_killed_after_each_of_its_writes_starts_one_run(
    cluster: Cluster, store: Store, kfp: Any, tiny_encoder: Path
) -> None:
    light, torch = (cluster.settings[f"DISTILLERY_IMAGE_{which}"] for which in ("LIGHT", "TORCH"))
    kfp.published("distill", light=light, torch=torch)
    had = runs(kfp, NAME)
    apply(cluster, a_filter(store, NAME, tiny_base(store, tiny_encoder)))
    writes: list[str] = []
    try:
        at, until = 1, time.monotonic() + 1500
        while time.monotonic() < until and status(cluster, NAME).get("phase") != "Promoted":
            write = passed(cluster, store, at)
            # What was written stays, so the next pass goes one write further; one that is made by every pass is left behind.
            at = at + 1 if write and write in writes else 1
            writes += [write] if write else []
            time.sleep(0 if write else 3)
        while write := passed(cluster, store, at):  # and what is told of the end
            writes.append(write)
            at += 1
        done = status(cluster, NAME)
    finally:
        cluster.kubectl("delete", "filter", NAME, "-n", NAMESPACE, "--wait=false", check=False)
    print(*writes, sep="\n")
    assert done["phase"] == "Promoted"
    assert conditions(done)["Ready"]["status"] == "True"
    assert len(runs(kfp, NAME) - had) == 1
    assert {"events", "status", "runs", "put intents", "put runs", "put filters"} <= {kind(write) for write in writes}
