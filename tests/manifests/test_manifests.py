"""Every object of every overlay is one that Kubernetes knows; every pod in it is bounded and never root. Needs no cluster."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.manifests.checks import (
    MANIFESTS,
    OVERLAYS,
    SETTINGS,
    Object,
    copy_of_manifests,
    crds_as_rendered,
    kustomizer,
    name,
    pods,
    render,
    wrong,
)

needs_kustomize = pytest.mark.skipif(not kustomizer(), reason="neither kubectl nor kustomize on this machine")
FIELDS = {"apiVersion", "kind", "metadata", "namespace", "resources", "components", "generatorOptions", "configMapGenerator",
          "secretGenerator", "images", "labels", "nameSuffix", "patches", "replacements"}  # fmt: skip
PIPELINE = {"kind": "ServiceAccount", "name": "distillery-pipeline", "namespace": "kubeflow"}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_manifests(tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="module")
def overlays(manifests: Path) -> dict[str, list[Object]]:
    return {overlay: render(manifests / "overlays" / overlay) for overlay in OVERLAYS}


def documents() -> dict[str, list[Object]]:
    found = {}
    for path in sorted(MANIFESTS.rglob("*.yaml")):
        found[path.relative_to(MANIFESTS).as_posix()] = [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]
    return found


def missing(folder: Path, kustomization: Object) -> list[str]:
    """Fields that kustomize does not know, and files that are not there."""
    generated = kustomization.get("configMapGenerator", []) + kustomization.get("secretGenerator", [])
    files = [*kustomization.get("resources", []), *kustomization.get("components", [])]
    files += [file for one in generated for file in one.get("envs", []) if file != "images.env"]  # made by `make images`
    ours = {file: MANIFESTS.parent / file.removeprefix("../distillery/") for file in files if file.startswith("../distillery/")}
    return [*(kustomization.keys() - FIELDS), *(file for file in files if not ours.get(file, folder / file).exists())]


@pytest.mark.parametrize(("path", "objects"), documents().items(), ids=lambda value: value if isinstance(value, str) else "")
def test_files(path: str, objects: list[Object]) -> None:
    found = missing((MANIFESTS / path).parent, objects[0]) if path.endswith("kustomization.yaml") else wrong(objects)
    assert found == []


def test_kustomization_checks_fire() -> None:
    told = {"resource": [], "resources": ["nowhere.yaml"], "components": ["irsa"], "configMapGenerator": [{"envs": ["x.env"]}]}
    assert missing(MANIFESTS / "components", told) == ["resource", "nowhere.yaml", "x.env"]


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays(overlays: dict[str, list[Object]], overlay: str) -> None:
    objects = overlays[overlay]
    assert wrong(objects) == []
    assert not [one for one in objects if one["kind"] == "CustomResourceDefinition"]  # so `delete -k` deletes no Filter
    assert {one["metadata"]["labels"]["app.kubernetes.io/part-of"] for one in objects} == {"llm-distillery"}
    assert [name(one) for one in objects if one["kind"] == "Namespace"] == ["distillery"]  # so `delete -k` never deletes KFP's
    settings = {one["metadata"]["namespace"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    assert settings["distillery"] == settings["kubeflow"]
    assert settings["distillery"].keys() >= SETTINGS
    assert settings["distillery"]["DISTILLERY_QUEUE"] == ("distillery" if overlay == "kueue" else "")


@needs_kustomize
def test_kinds_are_in_a_kustomization_of_their_own(manifests: Path) -> None:
    assert render(manifests / "crds") == crds_as_rendered()


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_rights_are_minimal(overlays: dict[str, list[Object]], overlay: str) -> None:
    """Only KFP's account may do anything, in a Role that names each resource and verb; ours have no token."""
    objects = overlays[overlay]
    assert not [name(one) for one in objects if one["kind"].startswith("ClusterRole")]
    for role in (one for one in objects if one["kind"] == "Role"):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
            assert "secrets" not in rule["resources"] or rule["resourceNames"]
    for binding in (one for one in objects if one["kind"] == "RoleBinding"):
        runner = {**PIPELINE, "name": "pipeline-runner"} if overlay in ("testbed", "kueue") else PIPELINE
        assert all(subject in (PIPELINE, runner) for subject in binding["subjects"])
    accounts = {name(one): one for one in objects if one["kind"] == "ServiceAccount"}
    assert accounts.keys() == {"distillery-pipeline", "distillery-scoring", "distillery-training"}
    assert [accounts[one]["automountServiceAccountToken"] for one in ("distillery-scoring", "distillery-training")] == [
        False,
        False,
    ]


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_who_scores_may_read_the_settings(overlays: dict[str, list[Object]], overlay: str) -> None:
    """`--on cluster` reads the ConfigMap `distillery` before anything else, under the name that it has there, and no other."""
    (role,) = [one for one in overlays[overlay] if one["kind"] == "Role" and name(one) == "run-scoring"]
    rules = [rule for rule in role["rules"] if "configmaps" in rule["resources"]]
    assert rules == [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["distillery"], "verbs": ["get"]}]
    settings = [one for one in overlays[overlay] if one["kind"] == "ConfigMap" and name(one) == "distillery"]
    assert role["metadata"]["namespace"] in [one["metadata"]["namespace"] for one in settings]


@needs_kustomize
def test_keys_lie_in_the_testbed_alone(overlays: dict[str, list[Object]]) -> None:
    secrets = {overlay: [one for one in objects if one["kind"] == "Secret"] for overlay, objects in overlays.items()}
    assert {overlay for overlay, found in secrets.items() if found} == {"testbed", "kueue"}
    (account,) = [one for one in overlays["vertex"] if one["kind"] == "ServiceAccount" and name(one) == "distillery-pipeline"]
    assert account["metadata"]["annotations"].keys() == {"iam.gke.io/gcp-service-account"}


@needs_kustomize
def test_network_is_closed_first(overlays: dict[str, list[Object]]) -> None:
    for objects in overlays.values():
        policies = {name(one): one["spec"] for one in objects if one["kind"] == "NetworkPolicy"}
        assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        assert all(rule.get("ports") or rule["to"] for spec in policies.values() for rule in spec.get("egress", []))


# Each change to the training runtime, and the word that its fault must hold.
def unknown_field(pod: Object) -> None:
    pod["hostnames"] = "x"


def no_limits(pod: Object) -> None:
    del pod["containers"][0]["resources"]["limits"]


def half_requests(pod: Object) -> None:
    del pod["containers"][0]["resources"]["requests"]["cpu"]


def may_be_root(pod: Object) -> None:
    del pod["securityContext"]["runAsNonRoot"]


def root(pod: Object) -> None:
    pod["containers"][0]["securityContext"]["runAsUser"] = 0


def writable(pod: Object) -> None:
    del pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]


def capable(pod: Object) -> None:
    pod["containers"][0]["securityContext"]["capabilities"]["add"] = ["NET_ADMIN"]


def unbounded_init(pod: Object) -> None:
    pod["initContainers"] = [{"name": "first", "image": "x"}]


def wrong_type(pod: Object) -> None:
    pod["containers"][0]["env"] = {"A": "b"}


CHANGES = [
    (unknown_field, "'hostnames' was unexpected"),
    (no_limits, "no limits"),
    (half_requests, "no requests"),
    (may_be_root, "may be root"),
    (root, "may be root"),
    (writable, "readOnlyRootFilesystem"),
    (capable, "capabilities"),
    (unbounded_init, "first: no limits"),
    (wrong_type, "is not of type 'array'"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_checks_fire(change: Callable[[Object], None], said: str) -> None:
    (runtime,) = copy.deepcopy(documents()["components/trainer/runtime.yaml"])
    (pod,) = pods(runtime)
    change(pod)
    assert any(said in fault for fault in wrong([runtime])), wrong([runtime])


def test_unknown_kind_is_a_fault() -> None:
    assert "no schema" in wrong([{"apiVersion": "v1", "kind": "Sercet", "metadata": {"name": "x"}}])[0]


@needs_kustomize
def test_readme_kustomizations_render(manifests: Path) -> None:
    """Every kustomization that the README tells a platform engineer to write."""
    told = re.findall(r"```yaml\n(# kustomization\.yaml.*?)```", (MANIFESTS / "README.md").read_text("utf-8"), re.S)
    assert len(told) >= 2
    for count, text in enumerate(told):
        own = manifests.parent / f"own{count}"
        own.mkdir()
        (own / "kustomization.yaml").write_text(text.replace("distillery/manifests/", "../manifests/"), "utf-8")
        (own / "settings.env").write_text("DISTILLERY_STORE=s3://mine/main\n", "utf-8")
        objects = render(own)
        assert wrong(objects) == []
        settings = [one["data"] for one in objects if one["kind"] == "ConfigMap"]
        assert [one["DISTILLERY_STORE"] for one in settings] == ["s3://mine/main"] * 2
        if "team-a" in text:  # a profile's namespace
            assert not [name(one) for one in objects if one["metadata"].get("namespace") == "kubeflow"]
            subjects = [subject for one in objects if one["kind"] == "RoleBinding" for subject in one["subjects"]]
            assert {subject["namespace"] for subject in subjects} == {"team-a"}


@pytest.fixture(scope="module")
def with_operator(manifests: Path) -> list[Object]:
    """The testbed with the operator in it, as somebody's own kustomization has it."""
    folder = manifests / "overlays" / "with-operator"
    folder.mkdir(exist_ok=True)
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../testbed"],
        "components": ["../../components/operator", "../../components/operator-monitor"],
        "images": [
            {"name": "registry.example.com/distillery-operator", "newName": "localhost/distillery-operator", "newTag": "1"}
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own), "utf-8")
    return render(folder)


@needs_kustomize
def test_the_operator_runs_restricted_with_the_image_that_is_named(with_operator: list[Object]) -> None:
    assert wrong(with_operator) == []
    (deployment,) = [one for one in with_operator if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "localhost/distillery-operator:1"
    assert "imagePullPolicy" not in container
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]


@needs_kustomize
def test_the_operator_may_do_what_it_does_and_nothing_else(with_operator: list[Object]) -> None:
    """What `pipelines/operator` asks, and kopf's watch: no finalizer, no patch of an object, no secret."""
    (role,) = [one for one in with_operator if one["kind"] == "Role" and name(one) == "distillery-operator"]
    rights = {(group, resource, verb) for rule in role["rules"] for group in rule["apiGroups"] for resource in rule["resources"]
              for verb in rule["verbs"]}  # fmt: skip
    kind = "llm-distillery.io"
    assert rights == {
        *((kind, plural, verb) for plural in ("filters", "scorings") for verb in ("get", "list", "watch")),
        (kind, "filters/status", "update"),
        (kind, "scorings/status", "update"),
        ("", "events", "create"),
        *(("batch", "jobs", verb) for verb in ("create", "get", "list", "delete")),
        ("", "configmaps", "get"),
    }
    assert [rule["resourceNames"] for rule in role["rules"] if "configmaps" in rule["resources"]] == [["distillery"]]
    assert role["metadata"]["namespace"] == "distillery"
    assert not [one for one in with_operator if one["kind"].startswith("ClusterRole")]


@needs_kustomize
def test_the_operator_reaches_what_it_asks(with_operator: list[Object]) -> None:
    policies = {name(one): one["spec"] for one in with_operator if one["kind"] == "NetworkPolicy"}
    ports = {port["port"] for rule in policies["operator"]["egress"] for port in rule["ports"]}
    assert ports == {443, 6443, 8888}
    assert all("169.254.0.0/16" in peer["ipBlock"]["except"] for rule in policies["operator"]["egress"] for peer in rule["to"]
               if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0")  # fmt: skip


@pytest.fixture(scope="module")
def with_serving(manifests: Path) -> list[Object]:
    """The testbed with adapters that answer over HTTP, as somebody's own kustomization has them."""
    folder = manifests / "overlays" / "with-serving"
    folder.mkdir(exist_ok=True)
    told = re.search(r"```yaml\n(images: .*?distillery-serve.*?)```", (MANIFESTS / "README.md").read_text("utf-8"), re.S)
    assert told
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../testbed"],
        "components": ["../../components/serving"],
        **yaml.safe_load(told[1]),
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own), "utf-8")
    return render(folder)


@needs_kustomize
def test_adapters_are_served_restricted_by_key_without_a_token(with_serving: list[Object]) -> None:
    assert wrong(with_serving) == []
    (deployment,) = [one for one in with_serving if one["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"].startswith("registry.example.com/mine/distillery-serve:")
    assert container["args"][-2:] == ["my-filter", "another-filter"]
    assert "--api-key-file=/etc/serving/keys" in container["args"]
    assert "optional" not in next(volume for volume in pod["volumes"] if volume["name"] == "keys")["secret"]
    assert pod["automountServiceAccountToken"] is False
    (service,) = [one for one in with_serving if one["kind"] == "Service"]
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


@needs_kustomize
def test_a_pod_that_serves_has_time_to_drain(with_serving: list[Object]) -> None:
    from distillery.components.serving.server import GRACE_SECONDS

    (deployment,) = [one for one in with_serving if one["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    waits = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= waits + GRACE_SECONDS + 5
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
