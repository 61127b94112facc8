"""Every pipeline of the project as a version named by its content: compiled, written as objects, published.

A name is the pipeline's and 12 hexadecimal digits of what was compiled, images included. So publishing twice makes one version,
an operator can tell by name whether a cluster has what Git has, and both ways in (the API, `kubectl apply`) make the same
object. Compiling takes 1.5 s, nearly all of it importing kfp.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import yaml

from distillery.components.articles.scratch import scratch_folder
from distillery.components.runtime.images import LIGHT, TORCH, TORCH_VARIABLE
from distillery.components.runtime.whole_file import write_whole
from distillery.components.store import digest_json

# Name in Kubeflow → where the decorated function is.
PIPELINES: Final = {
    "distill": "distillery.pipelines.distill:distill",
    "score": "distillery.pipelines.score:score",
    "select-student": "distillery.pipelines.select_student:select",
}
API_VERSION: Final = "pipelines.kubeflow.org/v2beta1"
PIPELINES_FOLDER, VERSIONS_FOLDER, IMAGES_FOLDER = "pipelines", "versions", "images"
GENERATED: Final = "# Written by `make golden`; do not edit.\n"


@dataclass(frozen=True)
class Version:
    """One compiled pipeline.

    Attributes:
        pipeline: Name of the pipeline.
        name: Name of the version.
        description: The pipeline's.
        about: What this version is of: its images.
        spec: KFP's PipelineSpec as JSON values.
        platform: KFP's PlatformSpec as JSON values.
    """

    pipeline: str
    name: str
    description: str
    about: str
    spec: dict[str, Any]
    platform: dict[str, Any]

    def package(self) -> str:
        """Return what KFP takes for an upload.

        Returns:
            Two YAML documents.
        """
        return _dump_all([self.spec, self.platform])


def compile_pipeline(name: str, *, light: str = "", torch: str = "") -> Version:
    """Compile a pipeline.

    Args:
        name: Its name, one of PIPELINES.
        light: Image without torch; empty for the plain name that an overlay replaces.
        torch: Image with torch; empty for the plain name that an overlay replaces.

    Returns:
        The version.
    """
    from google.protobuf import json_format

    module, _, function = PIPELINES[name].partition(":")
    pipeline = getattr(import_module(module), function)
    spec: dict[str, Any] = json_format.MessageToDict(pipeline.pipeline_spec)
    platform: dict[str, Any] = json_format.MessageToDict(pipeline.platform_spec)
    light, torch = light or LIGHT, torch or TORCH
    for executor in spec["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = {LIGHT: light, TORCH: torch}[executor["container"]["image"]]
        for variable in executor["container"].get("env", ()):
            if variable["name"] == TORCH_VARIABLE:
                variable["value"] = torch
    digest = digest_json({"spec": spec, "platform": platform})
    return Version(
        name, f"{name}-{digest[:12]}", spec["pipelineInfo"]["description"], f"images {light} and {torch}", spec, platform
    )


def compile_all(*, light: str = "", torch: str = "") -> list[Version]:
    """Compile every pipeline of the project.

    Args:
        light: Image without torch; empty for the plain name.
        torch: Image with torch; empty for the plain name.

    Returns:
        A version of each.
    """
    return [compile_pipeline(name, light=light, torch=torch) for name in PIPELINES]


def pipeline_object(version: Version) -> dict[str, Any]:
    """Return the Kubernetes object of a pipeline.

    Args:
        version: Any version of it.

    Returns:
        A Pipeline as JSON values.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": "Pipeline",
        "metadata": _metadata(version.pipeline),
        "spec": {"displayName": version.pipeline, "description": version.description},
    }


def version_object(version: Version) -> dict[str, Any]:
    """Return the Kubernetes object of a version.

    Args:
        version: A compiled pipeline.

    Returns:
        A PipelineVersion as JSON values.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": "PipelineVersion",
        "metadata": _metadata(version.name),
        "spec": {
            "pipelineName": version.pipeline,
            "displayName": version.name,
            "description": version.about,
            "pipelineSpec": version.spec,
            "platformSpec": version.platform,
        },
    }


def _metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": "kubeflow", "labels": {"llm-distillery.io/namespace": "pipelines"}}


def manifests(versions: Iterable[Version]) -> dict[str, str]:
    """Return the files under manifests/pipelines: pipelines in one kustomization, versions in another, images in a component.

    There are two kustomizations, since the webhook refuses a version whose Pipeline is not there yet, and Flux checks a whole
    kustomization first.

    Args:
        versions: A version of each pipeline.

    Returns:
        YAML texts by path below the folder.
    """
    files, found = {}, list(versions)
    for version in found:
        files[f"{PIPELINES_FOLDER}/{version.pipeline}.yaml"] = GENERATED + _dump_all([pipeline_object(version)])
        files[f"{VERSIONS_FOLDER}/{version.pipeline}.yaml"] = GENERATED + _dump_all([version_object(version)])
    for folder in (PIPELINES_FOLDER, VERSIONS_FOLDER):
        resources = [f"{version.pipeline}.yaml" for version in found]
        kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}
        files[f"{folder}/kustomization.yaml"] = GENERATED + _dump_all([kustomization])
    files[f"{IMAGES_FOLDER}/kustomization.yaml"] = GENERATED + _dump_all([_image_replacements(found)])
    return files


def _image_replacements(versions: list[Version]) -> dict[str, Any]:
    """Return a kustomize component that puts the images of the ConfigMap "distillery-images" into every executor."""
    replacements = []
    for key, image in (("light", LIGHT), ("torch", TORCH)):
        targets = []
        for version in versions:
            executors = version.spec["deploymentSpec"]["executors"]
            paths = [
                f"spec.pipelineSpec.deploymentSpec.executors.{name}.container.image"
                for name, executor in sorted(executors.items())
                if executor["container"]["image"] == image
            ]
            paths += [
                f"spec.pipelineSpec.deploymentSpec.executors.{name}.container.env.[name={TORCH_VARIABLE}].value"
                for name, executor in sorted(executors.items())
                if {"name": TORCH_VARIABLE, "value": image} in executor["container"].get("env", ())
            ]
            targets.append({"select": {"kind": "PipelineVersion", "name": version.name}, "fieldPaths": paths})
        source = {"kind": "ConfigMap", "name": "distillery-images", "fieldPath": f"data.{key}"}
        replacements.append({"source": source, "targets": [target for target in targets if target["fieldPaths"]]})
    return {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "replacements": replacements}


def outdated(folder: Path, versions: Iterable[Version]) -> list[Path]:
    """Return the files that are missing, differ from `manifests`, or belong to no pipeline of these.

    Args:
        folder: Where the files are.
        versions: A version of each pipeline.

    Returns:
        Paths relative to the folder, sorted.
    """
    files = {Path(name): text for name, text in manifests(versions).items()}
    stale = [
        name for name, text in files.items() if not (folder / name).is_file() or (folder / name).read_text("utf-8") != text
    ]
    there = {path.relative_to(folder) for path in folder.glob("*/*.yaml")}
    return sorted({*stale, *(there - files.keys())})


def write_manifests(folder: Path, versions: Iterable[Version]) -> list[Path]:
    """Bring the files below a folder up to date; those of pipelines that are gone are deleted.

    Args:
        folder: Where the files go.
        versions: A version of each pipeline.

    Returns:
        Paths relative to the folder of the files that changed.
    """
    found = list(versions)
    files, changed = manifests(found), outdated(folder, found)
    for path in changed:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if text := files.get(path.as_posix()):
            write_whole(folder / path, text)
        else:
            (folder / path).unlink()
    return changed


def publish(version: Version, client: Any) -> bool:
    """Make a version known to Kubeflow Pipelines, and its pipeline where that is new.

    Two that publish at once make one version: the name is taken, and the second finds it so.

    Args:
        version: A compiled pipeline.
        client: A kfp.Client.

    Returns:
        True if the version was not there yet.
    """
    from kfp_server_api import ApiException, V2beta1Pipeline

    pipeline = client.get_pipeline_id(version.pipeline)
    if pipeline is None:
        body = V2beta1Pipeline(name=version.pipeline, display_name=version.pipeline, description=version.description)
        pipeline = client._pipelines_api.pipeline_service_create_pipeline(body).pipeline_id
    if _published(version, client, pipeline):
        return False
    with scratch_folder("distillery-pipeline-") as folder:
        package = folder / f"{version.name}.yaml"
        package.write_text(version.package(), encoding="utf-8")
        try:
            client._upload_api.upload_pipeline_version(
                str(package), name=version.name, pipelineid=pipeline, description=version.about
            )
        except ApiException:
            if _published(version, client, pipeline):
                return False
            raise
    return True


def _published(version: Version, client: Any, pipeline: str) -> bool:
    token = ""
    while True:
        page = client.list_pipeline_versions(pipeline, page_token=token, page_size=100)
        if any(found.display_name == version.name for found in page.pipeline_versions or []):
            return True
        token = page.next_page_token or ""
        if not token:
            return False


def _dump_all(documents: list[dict[str, Any]]) -> str:
    dumped: str = yaml.dump_all(documents, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=True, width=120)
    return dumped
