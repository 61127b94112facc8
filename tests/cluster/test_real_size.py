"""A shipped filter on a base of Qwen2.5-1.5B's shape: refused on 4 GiB at the first step, run through on what follows from it.

The weights are random, 3.1 GB in the store, under the name and revision that the filter says. 40 labels, 64 tokens, one epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from distillery.filters.loading import load_filter
from tests.benchmarks.test_real_size import SHAPE
from tests.cluster.harness import KFP_NAMESPACE, Cluster, run_distillery
from tests.cluster.runs import FILTER
from tests.demo.generator.files import write_files
from tests.pipelines.harness import Ran
from tests.student.random_base import random_base

pytestmark = [pytest.mark.timeout(3600), pytest.mark.alone]
OLD = json.dumps({"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}})
SHORT = [word for setting in ("student.maxLength=64", "training.epochs=1") for word in ("--set", setting)]


@pytest.fixture(scope="module")
def mirrored(store: Store, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("base") / "base"
    random_base(folder, "qwen2", **SHAPE)
    student = load_filter(FILTER).spec.student
    named = ["--as", student.baseModel, "--revision", str(student.revision)]
    run_distillery("models", "push", folder, *named, "--store", store.uri, check=True)
    (folder / "model.safetensors").unlink()


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    made, out = write_files(folder, n=60), folder / "labels.jsonl"
    given = ["--set", f"oracle.replies={made.replies}", "--without-calibration", "a test", "--yes", "--out", out]
    run_distillery("label", FILTER, "--articles", made.articles, *given, "--store", folder / "store", check=True)
    out.write_text("\n".join(out.read_text("utf-8").splitlines()[:40]) + "\n", encoding="utf-8")
    return out


@pytest.fixture
def four_gib(cluster: Cluster) -> Iterator[None]:
    """Pods of the student have 4 GiB, as they had for every base model once."""

    def patch(value: str | None) -> None:
        data = json.dumps({"data": {"DISTILLERY_TORCH_RESOURCES": value}})
        cluster.kubectl("patch", "configmap", "distillery", "-n", KFP_NAMESPACE, "--type", "merge", "-p", data)

    patch(OLD)
    yield
    patch(cluster.settings.get("DISTILLERY_TORCH_RESOURCES"))


def test_on_four_gib_it_is_refused_at_the_first_step(
    four_gib: None, mirrored: None, distillery: Callable[..., Ran], store: Store, kfp: Any, labels: Path
) -> None:
    ran = distillery("submit", "distill", FILTER, "--labels", labels, *SHORT, "--store", store.uri, "--watch", "--json")
    print(ran.err)
    assert ran.code == 2
    assert "preflight: filter: student.baseModel Qwen/Qwen2.5-1.5B: train takes about" in ran.err
    assert "and its pod has 4.0 GiB" in ran.err


def test_with_what_follows_from_the_base_model_every_step_ends(
    mirrored: None, distillery: Callable[..., Ran], store: Store, kfp: Any, labels: Path
) -> None:
    ran = distillery("submit", "distill", FILTER, "--labels", labels, *SHORT, "--store", store.uri, "--watch", "--json")
    print(ran.err)
    assert ran.code in (0, 3), ran.err  # promoted or rejected: 40 labels teach random weights nothing
    run = kfp.get(ran.json["run"])
    assert run.state == "SUCCEEDED"
    steps = {name.rpartition("/")[2] for name in store.keys(f"runs/{ran.json['run']}/")}
    print(sorted(steps))
    assert {"train.json", "benchmark.json", "gate.json"} <= steps
