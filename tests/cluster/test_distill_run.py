"""`distillery submit distill` on a real Kubeflow: promoted, rejected, trained by a TrainJob over two nodes.

The runs share one store and one set of inputs, so that the student is trained once. A run of eleven tasks over 300 articles
of the demo corpus spends most of its time starting pods.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.split import FILES
from distillery.components.store import Digest, Store, open_store
from tests.cluster.harness import Cluster, has_trainer, trainings_left, wait_for
from tests.cluster.runs import FILTER, HOPELESS, Submitted, documented, flags
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(1800)
# Without dropout, whose draws differ between workers: after one epoch they alone make 0.07 of validation MAE.
SETTINGS = ("training.nodes=2", "training.epochs=1", "training.seed=11", "student.lora.dropout=0")
TOGETHER = ["--trainer", "trainjob", *(word for setting in SETTINGS for word in ("--set", setting))]


def channel(store: Store) -> Any:
    return store.get_json(f"channels/{FILTER}/production.json")


@pytest.mark.smoke
def test_a_run_is_promoted_and_its_adapter_lies_in_object_storage(
    promoted: Ran, store: Store, kfp: Any, distillery: Callable[..., Ran]
) -> None:
    print(promoted.err)
    assert promoted.code == 0, promoted.err
    result = promoted.json
    assert kfp.get(result["run"]).state == "SUCCEEDED"
    assert result["verdict"] == "promote"
    assert channel(store)["current"]["adapter"] == result["adapter"]
    bundle = store.folder(f"adapters/{FILTER}", result["adapter"])
    bundle.verify()
    assert "adapter_model.safetensors" in bundle.files
    assert store.exists(result["report"].removeprefix(f"{store.uri}/"))
    assert "train: " in promoted.err, "the view follows the steps"


def test_publishing_again_changes_nothing(cluster: Cluster, distillery: Callable[..., Ran]) -> None:
    images = {f"${key}": value for key, value in cluster.settings.items()}
    words = [images.get(word, word) for word in documented("distillery pipelines publish")[1:]]
    assert distillery(*words).code == 0
    again = distillery(*words)
    assert again.code == 0
    assert all(line.endswith("there already") for line in again.out.splitlines()), again.out


@pytest.mark.smoke
def test_gates_that_cant_be_met_reject_and_promote_nothing(
    promoted: Ran, cluster: Cluster, store: Store, demo: Path, kfp: Any, distillery: Callable[..., Ran], tmp_path: Path
) -> None:
    """The run succeeds and takes the reject branch; Ctrl-C on the way leaves it going, and the exit code is 3 in the end.

    Where the cluster has Trainer, its training is a TrainJob over two nodes; elsewhere nothing is trained again.
    """
    before, together = channel(store), has_trainer(cluster)
    given = [*flags(demo, HOPELESS), *(TOGETHER if together else [])]
    submitted = Submitted(cluster, "distill", *given, "--store", store.uri, "--watch")
    run = submitted.run
    submitted.wait_for("preflight: started")
    submitted.process.send_signal(signal.SIGINT)
    assert submitted.end(60) == 130
    assert f"distillery submit --follow {run}" in submitted.said
    assert kfp.active(run), "Ctrl-C leaves the run going"
    followed = distillery(*documented("distillery submit --follow")[1:-1], run, "--json")
    print(followed.err)
    assert followed.code == 3, followed.err
    assert kfp.get(run).state == "SUCCEEDED"
    result = followed.json
    assert (result["verdict"], result["promoted"]) == ("reject", None)
    assert store.exists(f"runs/{run}/reject.json")
    assert not store.exists(f"runs/{run}/promote.json")
    assert channel(store) == before
    if together:
        assert "of 2 nodes created" in followed.err
        wait_for("no orphan", lambda: not trainings_left(cluster), 90)
        as_one_worker_trains(store, result, tmp_path)
    else:
        assert result["adapter"] == promoted.json["adapter"]
        assert result["steps"]["train"]["reused"], "only the gates are new"


def as_one_worker_trains(store: Store, result: Any, folder: Path) -> None:
    from distillery.components.training.train import train

    trained = store.get_json(f"runs/{result['run']}/train.json")
    assert (trained["reused"], trained["facts"]["workers"]) == (False, 2)
    flt = read_filter(store, store.get_json(f"runs/{result['run']}/preflight.json")["outputs"]["filter_key"])
    split = Digest(result["digests"]["split"])
    here, source = open_store(str(folder / "store")), store.folder("datasets", split)
    assert here.commit("datasets", {name: source.read(name) for name in FILES.values()}, source.meta) == split
    alone, together = train(here, flt, split=split).facts["validation_mae"], trained["facts"]["validation_mae"]
    print(f"validation MAE {together:.6f} by two nodes, {alone:.6f} by one worker")
    assert abs(float(alone) - float(together)) <= 0.02  # type: ignore[arg-type]
