"""On a real cluster: a corpus that drifts starts one run, where the object asks for it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from tests.cluster.harness import NAMESPACE, Cluster, wait_for
from tests.cluster.operated import (
    a_filter,
    another,
    apply,
    conditions,
    look_now,
    operating,
    runs,
    status,
    tiny_base,
    until,
)
from tests.pipelines.harness import GOOD, label_rows

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1500)]
DRIFTING = "drifting-town"


@pytest.fixture(scope="module")
def promoted(cluster: Cluster, store: Store, kfp: Any, tiny_encoder: Path) -> Iterator[dict[str, Any]]:
    """A filter, promoted, that is to be retrained when its scores drift."""
    base = tiny_base(store, tiny_encoder)
    store.put("drifting/labels.jsonl", "".join(json.dumps(row) + "\n" for row in label_rows(300)).encode())
    split = {"validation": 0.1, "test": 0.5}  # drift is told by a hundred test predictions at least
    drifting = a_filter(store, DRIFTING, base, split=split, retrain={"onDrift": "retrain"})
    drifting["spec"]["data"] = {"labels": f"{store.uri}/drifting/labels.jsonl"}
    with operating(cluster, store, kfp):
        apply(cluster, drifting)
        yield until(cluster, DRIFTING, "Promoted")


def test_a_corpus_that_drifts_starts_one_run_where_the_object_asks_for_it(
    cluster: Cluster, store: Store, kfp: Any, promoted: dict[str, Any]
) -> None:
    had, rng = runs(kfp, DRIFTING), random.Random(3)
    rows = [
        {
            "id": f"g{n}",
            "title": "Good news",
            "content": " ".join(rng.choices(GOOD, k=40)),
            "source": "paper-1",
            "language": "en",
        }
        for n in range(150)
    ]
    store.put("drifting/in/monday.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    head = {"apiVersion": "llm-distillery.io/v1alpha1", "kind": "Scoring"}
    spec = {"filters": [{"name": DRIFTING}], "corpus": f"{store.uri}/drifting/in", "out": f"{store.uri}/drifting/out"}
    apply(cluster, {**head, "metadata": {"name": DRIFTING, "namespace": NAMESPACE}, "spec": spec})

    def drifted() -> Any:
        return conditions(status(cluster, DRIFTING, "scoring")).get("Drifted", {}).get("status") == "True"

    wait_for("the scores to drift", drifted, 300, 2)
    look_now(cluster, DRIFTING, "scored")
    another(cluster, kfp, DRIFTING, had)
    look_now(cluster, DRIFTING, "again")
    done = until(cluster, DRIFTING, "Promoted", 120)
    assert conditions(done)["Drifted"]["status"] == "True", "other labels are what would mend it"
    assert len(runs(kfp, DRIFTING) - had) == 1
