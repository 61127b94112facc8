"""Pipelines as versions on a real cluster: published twice they are one, as objects the same, and never changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
import yaml

from distillery.pipelines.versions import Version, compile_all, pipeline_object, version_object
from tests.cluster.harness import Cluster, wait_for
from tests.pipelines.harness import Ran

KIND = "pipelineversions.pipelines.kubeflow.org"
IMAGES = {"light": "distillery-light:never-run", "torch": "distillery-torch:never-run"}


@pytest.fixture(scope="module")
def versions(cluster: Cluster) -> Iterator[list[Version]]:
    """Versions of images that nobody has, so that these tests meet no one else's; removed at the end."""
    made = compile_all(**IMAGES)
    yield made
    cluster.kubectl("-n", "kubeflow", "delete", KIND, "--ignore-not-found", *(version.name for version in made))


def apply(cluster: Cluster, *objects: object) -> str:
    """What kubectl says. A webhook that does not answer for a moment is asked again."""
    text = yaml.safe_dump_all(objects)

    def applied() -> str:
        try:
            return cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
        except Exception as error:
            if "failed calling webhook" in str(error):
                return ""
            raise

    return str(wait_for("the webhook of Kubeflow Pipelines", applied, 180, 5))


def test_published_twice_is_one_and_the_object_of_the_same_name(
    cluster: Cluster, distillery: Callable[..., Ran], versions: list[Version]
) -> None:
    flags = ("--light-image", IMAGES["light"], "--torch-image", IMAGES["torch"], "--json")
    first, second = (distillery("pipelines", "publish", *flags) for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert [found["new"] for found in second.json] == [False] * len(versions)
    names = {found["metadata"]["name"] for found in cluster.get("-n", "kubeflow", KIND)["items"]}
    assert {version.name for version in versions} <= names
    before = cluster.get("-n", "kubeflow", KIND, versions[0].name)["metadata"]["uid"]
    apply(cluster, *map(pipeline_object, versions))
    apply(cluster, *map(version_object, versions))
    apply(cluster, *map(version_object, versions))
    assert cluster.get("-n", "kubeflow", KIND, versions[0].name)["metadata"]["uid"] == before


def test_other_content_under_the_same_name_is_refused(cluster: Cluster, versions: list[Version]) -> None:
    apply(cluster, *map(pipeline_object, versions))
    apply(cluster, version_object(versions[-1]))
    changed = json.loads(json.dumps(version_object(versions[-1])))
    changed["spec"]["pipelineSpec"]["pipelineInfo"]["description"] = "other words"
    with pytest.raises(Exception, match="immutable"):
        apply(cluster, changed)


def test_a_version_before_its_pipeline_is_refused(cluster: Cluster, versions: list[Version]) -> None:
    early = json.loads(json.dumps(version_object(versions[-1])))
    early["metadata"]["name"] = "nobodys-0123456789ab"
    early["spec"]["pipelineName"] = "nobodys"
    with pytest.raises(Exception, match="map to an existing Pipeline"):
        apply(cluster, early)
