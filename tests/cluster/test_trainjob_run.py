"""`distillery submit distill --trainer trainjob`: a run on Kubeflow whose training is a TrainJob over two nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components.datasets import FILES
from components.step import read_filter
from components.store import Digest, Store, open_store
from tests.cluster.harness import Cluster, trainings_left, wait_for
from tests.cluster.runs import HOPELESS, flags
from tests.pipelines.harness import Ran

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("trainer_here")]
TOGETHER = {"training.nodes": "2", "training.epochs": "1", "training.seed": "11"}


def test_two_nodes_train_what_one_worker_trains(
    promoted: Ran, cluster: Cluster, store: Store, demo: Path, distillery: Callable[..., Ran], tmp_path: Path
) -> None:
    """Rejected in the end, whatever it learns: the channel is another test's."""
    from components.training.train import train

    settings = [word for key, value in TOGETHER.items() for word in ("--set", f"{key}={value}")]
    given = (*flags(demo, HOPELESS), *settings, "--trainer", "trainjob", "--store", store.uri)
    ran = distillery("submit", "distill", *given, "--watch", "--json")
    print(ran.err)
    assert ran.code == 3, ran.err
    assert "of 2 nodes created" in ran.err
    result = ran.json
    together = store.get_json(f"runs/{result['run']}/train.json")
    assert (together["reused"], together["facts"]["workers"]) == (False, 2)
    wait_for("no orphan", lambda: not trainings_left(cluster), 90)

    flt = read_filter(store, store.get_json(f"runs/{result['run']}/preflight.json")["outputs"]["filter_key"])
    split = Digest(result["digests"]["split"])
    here, source = open_store(str(tmp_path / "store")), store.folder("datasets", split)
    assert here.commit("datasets", {name: source.read(name) for name in FILES.values()}, source.meta) == split
    alone = train(here, flt, split=split)
    difference = abs(float(alone.facts["validation_mae"]) - together["facts"]["validation_mae"])  # type: ignore[arg-type]
    print(f"validation MAE {together['facts']['validation_mae']:.4f} by two nodes, {alone.facts['validation_mae']:.4f} by one")
    assert difference <= 0.02
