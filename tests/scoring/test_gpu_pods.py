"""Scoring pods that ask for a GPU: where they run, one GPU each, larger parts, and the student as it was judged on one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import distillery.components.scoring.cluster_plan as cluster_plan
import distillery.components.scoring.job as job_module
import distillery.components.scoring.job_manifest as module
from distillery.components.artifacts.serving import Plan as Served
from distillery.components.scoring.corpus import Corpus, CorpusFile
from distillery.components.scoring.job import together
from distillery.components.scoring.job_manifest import Also, Place, find_place, job_manifest
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store, open_store
from distillery.components.student.memory import Need
from distillery.filters.errors import InputError
from tests.scoring.played import ADAPTER
from tests.scoring.test_score import FILTER

TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def place(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Place:
    given = {f"DISTILLERY_SCORING_{name.upper()}": json.dumps(value) for name, value in settings.items()}
    monkeypatch.setattr(module, "cluster_settings", lambda _: {"DISTILLERY_STORE": "s3://b/m", **given})
    names = "NAMESPACE", "IMAGE_TORCH", "QUEUE", "STORE", "SCORING_RESOURCES", "SCORING_NODES", "SCORING_TOLERATIONS"
    for name in names:
        monkeypatch.delenv(f"DISTILLERY_{name}", raising=False)
    return find_place()


@pytest.mark.parametrize("gpu", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "nvidia.com/gpu.shared", "amd.com/gpu"])
def test_a_pod_asks_for_the_gpu_where_the_cluster_has_it(plan: Plan, monkeypatch: pytest.MonkeyPatch, gpu: str) -> None:
    found = place(monkeypatch, resources={"limits": {gpu: "1"}}, nodes={"pool": "gpu"}, tolerations=[TAINT])
    assert found.gpu == gpu
    sized = found.for_student(3 * 2**30)
    pod = job_manifest(plan, sized, out="s3://b/o", store="s3://b/m", completions=6, parallelism=3)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "3072Mi", gpu: "1"}
    assert gpu not in container["resources"]["requests"], "Kubernetes takes the limit"
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"pool": "gpu"}, [TAINT])


def test_without_the_settings_a_pod_goes_anywhere_and_has_no_gpu(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    for resources in ({}, {"limits": {"nvidia.com/gpu": "0"}}, {"limits": {"example.com/fpga": "1"}}):
        found = place(monkeypatch, resources=resources)
        assert found.gpu == ""
    pod = job_manifest(plan, found, out="s3://b/o", store="s3://b/m", completions=6, parallelism=3)["spec"]["template"]["spec"]
    assert not {"nodeSelector", "tolerations"} & pod.keys()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"resources": {"limits": {"nvidia.com/gpu": "2"}}},
            r"SCORING_RESOURCES: limits.nvidia.com/gpu is 2, and a pod",
        ),
        ({"nodes": {"gpu": True}}, "SCORING_NODES: a label's value is not a string"),
        ({"nodes": ["gpu"]}, "SCORING_NODES: is not a JSON object"),
        ({"tolerations": TAINT}, "SCORING_TOLERATIONS: is not a JSON list of objects"),
        ({"tolerations": ["gpu"]}, "SCORING_TOLERATIONS: is not a JSON list of objects"),
    ],
)
def test_a_setting_that_cant_be_is_named(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        place(monkeypatch, **settings)


def test_a_gpu_gets_larger_parts_and_the_student_that_was_judged_on_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def chosen(*_: Any, gpu: bool) -> Served:
        asked.append(gpu)
        return Served(device="cuda", precision="bf16") if gpu else Served()

    monkeypatch.setattr(cluster_plan, "cluster_plan", chosen)
    corpus = Corpus("s3://b/in", [CorpusFile("a.jsonl", 2**30, "etag", "jsonl")])
    store = open_store(str(tmp_path))
    cpu, gpu = (
        cluster_plan.plan_over(store, FILTER, ADAPTER, corpus, place(monkeypatch, resources={"limits": limits}))
        for limits in ({}, {"nvidia.com/gpu": "1"})
    )
    assert asked == [False, True]
    assert (cpu.shards, gpu.shards) == (16, 2)
    assert (cpu.served, gpu.served) == (None, Served(device="cuda", precision="bf16"))
    assert cpu.job != gpu.job


def test_a_student_has_its_gpu_alone(plan: Plan, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "memory_need", lambda *_: Need("score", 2**20, 2**20, 0, 0))
    wanted = [Also(plan, "s3://b/1"), Also(replace(plan, filter="other"), "s3://b/2")]
    for limits, groups in (({}, 1), ({"nvidia.com/gpu": "1"}, 2)):
        assert len(together(store, place(monkeypatch, resources={"limits": limits}), wanted)) == groups
