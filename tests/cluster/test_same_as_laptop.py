"""The run on a real Kubeflow and the one on this machine, from the same inputs: the same verdict, the same predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store, open_store
from tests.cluster.harness import run_distillery
from tests.cluster.runs import flags
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(1800)


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
