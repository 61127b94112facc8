"""Pipelines as versions: named by content, the committed objects up to date, a form to fill in, limits on every task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from distillery.components.runtime.images import LIGHT, TORCH, TORCH_VARIABLE
from distillery.pipelines.versions import PIPELINES, Version, manifests, outdated, publish, write_manifests
from tests.manifests.checks import kustomizer
from tests.pipelines.harness import compile_alone

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "manifests" / "pipelines"
STARTERS = ["distill/exec-train", "score/exec-score", "select-student/exec-candidate"]
ASKS = ["distill/exec-preflight", "distill/exec-label", "distill/exec-calibrate"]
ASKS += ["select-student/exec-preflight", "select-student/exec-label"]
TRACKED = ["distill/exec-preflight", "distill/exec-train", "distill/exec-promote"]
TRACKED += ["select-student/exec-preflight", "select-student/exec-candidate"]
STUDENTS = ["distill/exec-train", "distill/exec-benchmark", "distill/exec-promote"]
STUDENTS += ["select-student/exec-candidate", "select-student/exec-select-student"]
TELLS = ["distill/exec-report", "score/exec-score", "select-student/exec-report"]


@pytest.fixture(scope="module")
def versions() -> list[Version]:
    return [compile_alone(name) for name in PIPELINES]


def executors(versions: list[Version]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each executor's name, container and Kubernetes settings."""
    for version in versions:
        platform = version.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        for name, executor in version.spec["deploymentSpec"]["executors"].items():
            yield f"{version.pipeline}/{name}", executor["container"], platform.get(name, {})


def test_the_committed_objects_are_what_is_compiled(versions: list[Version]) -> None:
    assert outdated(COMMITTED, versions) == [], "run `make golden` and commit what it writes"


def test_a_changed_pipeline_is_noticed(versions: list[Version], tmp_path: Path) -> None:
    write_manifests(tmp_path, versions)
    assert outdated(tmp_path, versions) == []
    changed = [replace(versions[0], about="other words"), *versions[1:]]
    name = f"{versions[0].pipeline}.yaml"
    assert outdated(tmp_path, changed) == [Path("versions") / name]
    (tmp_path / "versions" / "left-over.yaml").touch()
    assert outdated(tmp_path, versions) == [Path("versions/left-over.yaml")]
    (tmp_path / "pipelines" / name).unlink()
    write_manifests(tmp_path, versions)
    assert outdated(tmp_path, versions) == []


def test_a_name_says_the_content_and_nothing_else(versions: list[Version]) -> None:
    first = versions[0]
    assert compile_alone(first.pipeline, light="registry.example/light@sha256:0").name != first.name
    code = "from distillery.pipelines.versions import compile_pipeline as c, PIPELINES as p; print(*[c(n).name for n in p])"
    environment = {**os.environ, "PYTHONHASHSEED": "77", "DISTILLERY_IMAGE_LIGHT": "", "TZ": "Asia/Tokyo"}
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert other.stdout.split() == [version.name for version in versions]


def test_a_form_has_a_dozen_described_fields(versions: list[Version]) -> None:
    for version in versions:
        fields = version.spec["root"]["inputDefinitions"]["parameters"]
        assert len(fields) <= 12, version.pipeline
        for name, field in fields.items():
            assert len(field.get("description", "")) > 15, f"{version.pipeline}: {name}"
    required = [
        name
        for name, field in versions[0].spec["root"]["inputDefinitions"]["parameters"].items()
        if not field.get("isOptional")
    ]
    assert required == ["filter"]


def test_every_task_has_an_image_limits_a_deadline_and_the_clusters_settings(versions: list[Version]) -> None:
    for name, container, settings in executors(versions):
        assert container["image"] in (LIGHT, TORCH), name
        resources = container["resources"]
        wanted = {"resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit"}
        assert wanted <= resources.keys(), name
        assert int(settings["activeDeadlineSeconds"]) > 0, name
        assert [found["configMapName"] for found in settings["configMapAsVolume"]] == ["distillery"], name
        secrets = [found["secretName"] for found in settings["secretAsVolume"]]
        oracle = ["distillery-oracle"] if name in ASKS else []
        webhook = ["distillery-notify"] if name in TELLS else []
        tracking = ["distillery-tracking"] if name in TRACKED else []
        assert sorted(secrets) == sorted(["distillery-store", *oracle, *webhook, *tracking]), name
        mounts = settings["configMapAsVolume"] + settings["secretAsVolume"]
        assert all(found["optional"] for found in mounts), name
        # Version 2.14 of the server refuses a run where one of these says "optional".
        assert not {"secretAsEnv", "configMapAsEnv"} & settings.keys(), name


def test_who_loads_the_student_gets_shared_memory_gpus_and_nodes(versions: list[Version]) -> None:
    torch = {name: (container, settings) for name, container, settings in executors(versions) if container["image"] == TORCH}
    assert set(STUDENTS) <= torch.keys()
    for name in STUDENTS:
        container, settings = torch[name]
        assert settings["emptyDirMounts"] == [
            {"volumeName": "shm", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "1Gi"}
        ]
        assert "nodeSelectorJson" in settings["nodeSelector"]
        accelerator = container["resources"]["accelerator"]
        assert accelerator["resourceType"] == "nvidia.com/gpu"
        # A string that a step returns: Kubeflow puts no number into resources.
        assert ("candidates-" if name.startswith("select") else "preflight-") in accelerator["resourceCount"]


def test_who_starts_pods_starts_those_of_its_own_version(versions: list[Version]) -> None:
    told = {name: container["env"] for name, container, _ in executors(versions) if "env" in container}
    assert told == {key: [{"name": TORCH_VARIABLE, "value": TORCH}] for key in STARTERS}
    compiled = compile_alone("distill", torch="registry.example/torch@sha256:1")
    env = compiled.spec["deploymentSpec"]["executors"]["exec-train"]["container"]["env"]
    assert env == [{"name": TORCH_VARIABLE, "value": "registry.example/torch@sha256:1"}]


def test_no_task_is_cached_by_kubeflow_nor_retried(versions: list[Version]) -> None:
    def tasks(component: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from component.get("dag", {}).get("tasks", {}).items()

    for version in versions:
        for component in (version.spec["root"], *version.spec["components"].values()):
            for name, task in tasks(component):
                leaf = "executorLabel" in version.spec["components"][task["componentRef"]["name"]]
                assert not (leaf and task["cachingOptions"].get("enableCache")), name
                assert "retryPolicy" not in task, name


class Server:
    """As much of Kubeflow's API as publishing asks for."""

    def __init__(self) -> None:
        self.pipelines: dict[str, str] = {}
        self.names: list[str] = []
        self.uploads = 0
        self.lose = self.race = False
        self._pipelines_api = SimpleNamespace(pipeline_service_create_pipeline=self._create)
        self._upload_api = SimpleNamespace(upload_pipeline_version=self._upload)

    def get_pipeline_id(self, name: str) -> str | None:
        return self.pipelines.get(name)

    def list_pipeline_versions(self, pipeline: str, page_token: str = "", page_size: int = 10) -> SimpleNamespace:
        start = int(page_token or 0)
        page = [SimpleNamespace(display_name=name) for name in self.names[start : start + 2]]
        following = str(start + 2) if start + 2 < len(self.names) else ""
        return SimpleNamespace(pipeline_versions=page or None, next_page_token=following)

    def _create(self, body: Any) -> SimpleNamespace:
        self.pipelines[body.name] = f"id-{body.name}"
        return SimpleNamespace(pipeline_id=self.pipelines[body.name])

    def _upload(self, path: str, *, name: str, pipelineid: str, description: str) -> None:
        from kfp_server_api import ApiException

        assert [set(document) for document in yaml.safe_load_all(Path(path).read_text("utf-8"))][1] == {"platforms"}
        self.uploads += 1
        if self.race or not self.lose:
            self.names.append(name)
        if self.race or self.lose:
            raise ApiException(status=409)


def test_publishing_twice_makes_one_version(versions: list[Version]) -> None:
    server, version = Server(), versions[0]
    server.names = [f"older-{n}" for n in range(5)]
    assert publish(version, server)
    assert not publish(version, server)
    assert (server.uploads, server.names.count(version.name)) == (1, 1)
    assert publish(replace(version, name="distill-0123456789ab"), server)


def test_another_publisher_at_the_same_moment_is_no_failure_but_a_refusal_is(versions: list[Version]) -> None:
    from kfp_server_api import ApiException

    server = Server()
    server.race = True
    assert not publish(versions[0], server)
    server = Server()
    server.lose = True
    with pytest.raises(ApiException):
        publish(versions[0], server)


@pytest.mark.skipif(not kustomizer(), reason="neither kubectl nor kustomize on this machine")
def test_an_overlay_puts_the_images_in(versions: list[Version], tmp_path: Path) -> None:
    write_manifests(tmp_path / "pipelines", versions)
    images = {"light": "registry.example/light@sha256:0", "torch": "registry.example/torch@sha256:1"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "distillery-images"}, "data": images}
    config["metadata"]["annotations"] = {"config.kubernetes.io/local-config": "true"}  # type: ignore[index]
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../pipelines/versions", "images.yaml"],
        "components": ["../pipelines/images"],
        "nameSuffix": "-here",
    }
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "images.yaml").write_text(json.dumps(config))
    (tmp_path / "overlay" / "kustomization.yaml").write_text(json.dumps(overlay))
    built = subprocess.run([*(kustomizer() or []), str(tmp_path / "overlay")], capture_output=True, text=True, check=True)
    found = list(yaml.load_all(built.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    assert {(one["kind"], one["metadata"]["name"]) for one in found} == {
        ("PipelineVersion", f"{version.name}-here") for version in versions
    }
    used = {
        executor["container"]["image"]
        for one in found
        for executor in one["spec"]["pipelineSpec"]["deploymentSpec"]["executors"].values()
    }
    assert used == set(images.values())
    told = [
        executor["container"]["env"]
        for one in found
        for executor in one["spec"]["pipelineSpec"]["deploymentSpec"]["executors"].values()
        if "env" in executor["container"]
    ]
    assert told == [[{"name": TORCH_VARIABLE, "value": images["torch"]}]] * len(told)
    assert told


def test_manifests_are_two_kustomizations_and_a_component(versions: list[Version]) -> None:
    files = manifests(versions)
    kinds = {name: [one["kind"] for one in yaml.safe_load_all(text)] for name, text in files.items()}
    assert kinds["pipelines/distill.yaml"] == ["Pipeline"]
    assert kinds["versions/distill.yaml"] == ["PipelineVersion"]
    assert kinds["images/kustomization.yaml"] == ["Component"]
