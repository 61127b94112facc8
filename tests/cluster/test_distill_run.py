"""`distillery submit distill` on a real Kubeflow: promoted, rejected, the same as on a laptop.

The runs share one store and one set of inputs, so that the student is trained once. A run of eleven tasks over 300 articles
of the demo corpus spends most of its time starting pods.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.store import Store, open_store
from tests.cluster.harness import Cluster, run_distillery
from tests.cluster.runs import FILTER, HOPELESS, Submitted, documented, flags
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(1800)


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
    promoted: Ran, cluster: Cluster, store: Store, demo: Path, kfp: Any, distillery: Callable[..., Ran]
) -> None:
    """The run succeeds and takes the reject branch; Ctrl-C on the way leaves it going, and the exit code is 3 in the end."""
    before = channel(store)
    submitted = Submitted(cluster, "distill", *flags(demo, HOPELESS), "--store", store.uri, "--watch")
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
    assert result["adapter"] == promoted.json["adapter"]
    assert result["steps"]["train"]["reused"], "only the gates are new"
    assert store.exists(f"runs/{run}/reject.json")
    assert not store.exists(f"runs/{run}/promote.json")
    assert channel(store) == before


def test_the_laptop_comes_to_the_same_verdict(promoted: Ran, store: Store, demo: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    here = run_distillery("distill", *flags(demo), "--store", tmp_path / "store", "--json")
    assert here.code == 0, here.err
    there, ours = promoted.json, here.json
    assert ours["verdict"] == there["verdict"] == "promote"
    for key in ("label_set", "split", "test"):
        assert ours["digests"][key] == there["digests"][key], key
    assert [rule["verdict"] for rule in ours["gates"]] == [rule["verdict"] for rule in there["gates"]]

    def predictions(where: Store, result: Any) -> pa.Table:
        (found,) = where.keys(f"judgements/{result['adapter']}/{result['digests']['test']}/predictions")
        return pq.read_table(pa.BufferReader(where.get(found))).sort_by("id")

    one, other = predictions(open_store(str(tmp_path / "store")), ours), predictions(store, there)
    assert one["id"].to_pylist() == other["id"].to_pylist()
    numbers = [field.name for field in one.schema if pa.types.is_floating(field.type)]
    assert numbers
    largest = max(pc.max(pc.abs(pc.subtract(one[name], other[name]))).as_py() for name in numbers)
    print(f"largest difference of {len(one)} × {len(numbers)} predictions: {largest:.2e}")
    assert largest <= 1e-3
