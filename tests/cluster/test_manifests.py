"""The testbed overlay on a real API server: applied twice, who may do what, what is refused, deleted without a trace.

All of it on a copy in which every `distillery` is `distillery-try` and KFP's namespace is an empty one, so that nothing that
runs on the cluster is touched; server-side dry runs for the overlays of other clouds. 80 seconds, no images needed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.filters.loading import INSTALLED
from tests.manifests.checks import OVERLAYS, copy_of_manifests, kustomizer, pods, render

pytestmark = pytest.mark.cluster
Kubectl = Callable[..., subprocess.CompletedProcess[str]]
OURS, KFP = "distillery-try", "distillery-try-kfp"
PART = f"app.kubernetes.io/part-of=llm-{OURS}"
PIPELINE, SCORING, TRAINING = f"{KFP}:distillery-try-pipeline", f"{OURS}:{OURS}-scoring", f"{OURS}:{OURS}-training"


@pytest.fixture(scope="module")
def kubectl() -> Kubectl:
    """Return a function that runs kubectl with its arguments and asserts a zero exit status, unless called with fails=True."""

    def call(*arguments: str, stdin: str | None = None, fails: bool | None = False) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=180)
        assert fails is None or bool(answer.returncode) is fails, answer.stdout + answer.stderr
        return answer

    if not os.environ.get("KUBECONFIG"):  # never a cluster that happens to be somebody's current context
        pytest.skip("no cluster at hand: KUBECONFIG not set (`make test-cluster` starts one)")
    if not shutil.which("kubectl") or call("version", "--request-timeout=5s", fails=None).returncode:
        pytest.skip("no cluster at hand: kubectl reaches none")
    return call


def renamed(text: str) -> str:
    text = re.sub(r"\bdistillery\b", OURS, text)
    return re.sub(r"((?:namespace|metadata\.name): )kubeflow$", rf"\1{KFP}", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def tried(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A folder per overlay, its kustomization made of the renamed objects; KFP's namespace is there."""
    assert kustomizer()
    base = tmp_path_factory.mktemp("copy")
    manifests, found = copy_of_manifests(base), {}
    for overlay in [*OVERLAYS, "crds"]:
        found[overlay] = base / overlay
        found[overlay].mkdir()
        folder = manifests / overlay if overlay == "crds" else manifests / "overlays" / overlay
        text = yaml.safe_dump_all(render(folder), sort_keys=False)
        (found[overlay] / "objects.yaml").write_text(renamed(text), "utf-8")
        (found[overlay] / "kustomization.yaml").write_text("resources: [objects.yaml]\n", "utf-8")
    kubectl("create", "namespace", KFP)
    try:
        yield found
    finally:
        kubectl("delete", "namespace", KFP, OURS, "--ignore-not-found", "--timeout=120s", fails=None)


@pytest.fixture(scope="module")
def overlay(kubectl: Kubectl) -> str:
    """Return "kueue" where the cluster has Kueue and Trainer, else "testbed"."""
    kinds = kubectl("get", "crd", "-o", "name").stdout
    return "kueue" if "clusterqueues.kueue" in kinds and "trainingruntimes.trainer" in kinds else "testbed"


@pytest.fixture(scope="module")
def applied(kubectl: Kubectl, tried: dict[str, Path], overlay: str) -> str:
    kubectl("apply", "-k", str(tried["crds"]))
    kubectl("apply", "-k", str(tried[overlay]))
    return overlay


def test_applied_twice_changes_nothing(kubectl: Kubectl, tried: dict[str, Path], applied: str) -> None:
    lines = kubectl("apply", "-k", str(tried[applied])).stdout.splitlines()
    assert len(lines) >= 19
    assert [line for line in lines if not line.endswith(" unchanged")] == []


@pytest.mark.parametrize("other", ["testbed", "s3", "vertex"])
def test_other_overlays_pass_a_server_side_dry_run(kubectl: Kubectl, tried: dict[str, Path], applied: str, other: str) -> None:
    kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(tried[other]))


def test_dry_run_refuses_an_unknown_field(kubectl: Kubectl, tried: dict[str, Path], applied: str, tmp_path: Path) -> None:
    text = (tried["s3"] / "objects.yaml").read_text("utf-8").replace("podSelector:", "podSelectors:")
    answer = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text, fails=True)
    assert 'unknown field "spec.podSelectors"' in answer.stderr


def documents(text: str) -> Iterator[Any]:
    """JSON objects, one behind the other."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        found, end = decoder.raw_decode(text)
        yield found
        text = text[end:].lstrip()


FOLLOW = [("get", "pods"), ("list", "pods"), ("watch", "pods"), ("get", "pods/log")]
RUN = [
    (verb, kind)
    for kind in ("jobs.batch", "trainjobs.trainer.kubeflow.org")
    for verb in ("create", "get", "list", "watch", "delete")
]
MAY = [(PIPELINE, OURS, verb, kind) for verb, kind in FOLLOW + RUN] + [
    (PIPELINE, OURS, "get", f"configmaps/{OURS}"),
    (PIPELINE, KFP, "create", "workflowtaskresults.argoproj.io"),
    (PIPELINE, KFP, "get", "configmaps/kfp-launcher"),
    (PIPELINE, KFP, "get", "secrets/mlpipeline-minio-artifact"),
]
MAY_NOT = [
    *[(PIPELINE, OURS, verb, "pods") for verb in ("create", "delete", "patch")],
    *[(PIPELINE, OURS, verb, "jobs.batch") for verb in ("update", "patch", "deletecollection")],
    *[(PIPELINE, OURS, verb, kind) for verb in ("get", "list") for kind in ("secrets", "configmaps", "serviceaccounts")],
    (PIPELINE, OURS, "get", "configmaps/kube-root-ca.crt"),
    *[(PIPELINE, OURS, "create", kind) for kind in ("pods/exec", "deployments.apps", "rolebindings.rbac.authorization.k8s.io")],
    *[
        (PIPELINE, KFP, "create", kind)
        for kind in ("pods", "pods/exec", "jobs.batch", "workflows.argoproj.io", "serviceaccounts/token")
    ],
    *[(PIPELINE, KFP, "get", f"secrets/{name}") for name in (f"{OURS}-store", f"{OURS}-oracle", "mysql-secret")],
    *[(PIPELINE, KFP, "list", kind) for kind in ("secrets", "configmaps", "pods")],
    *[(PIPELINE, "default", "create", kind) for kind in ("jobs.batch", "pods")],
    (PIPELINE, "default", "list", "nodes"),
    (f"{KFP}:default", OURS, "create", "jobs.batch"),
    *[
        (one, OURS, verb, kind)
        for one in (SCORING, TRAINING)
        for verb in ("get", "create")
        for kind in ("pods", "jobs.batch", "secrets")
    ],
]


def asked(account: str, namespace: str, verb: str, kind: str) -> dict[str, Any]:
    """The question whether a service account may; kind as kubectl writes it: resource[.group][/name], or pods/log."""
    resource, _, rest = kind.partition("/")
    resource, _, group = resource.partition(".")
    named = resource in ("configmaps", "secrets")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "resource": resource,
        "group": group,
        "name" if named else "subresource": rest,
    }
    spec = {"user": f"system:serviceaccount:{account}", "resourceAttributes": attributes}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def test_rights(kubectl: Kubectl, applied: str) -> None:
    """What `kubectl auth can-i` asks, sixty times in one call."""
    answer = kubectl("create", "-o", "json", "-f", "-", stdin=yaml.safe_dump_all(asked(*case) for case in MAY + MAY_NOT))
    allowed = [one["status"]["allowed"] for one in documents(answer.stdout)]
    assert len(allowed) == len(MAY + MAY_NOT)
    assert [case for case, may in zip(MAY + MAY_NOT, allowed, strict=True) if may] == MAY


def pod(**spec: Any) -> str:
    own = {"containers": [{"name": "main", "image": "localhost/none"}], **spec}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try", "namespace": OURS}, "spec": own})


def test_namespace_refuses_root(kubectl: Kubectl, applied: str) -> None:
    answer = kubectl("create", "--dry-run=server", "-f", "-", stdin=pod(securityContext={"runAsUser": 0}), fails=True)
    assert 'violates PodSecurity "restricted:latest"' in answer.stderr


def test_runtime_pod_is_admitted_and_bounded(kubectl: Kubectl, tried: dict[str, Path], applied: str) -> None:
    """The training runtime's pod passes the restricted level; one that states no resources gets the namespace's."""
    objects = list(yaml.safe_load_all((tried["kueue"] / "objects.yaml").read_text("utf-8")))
    (spec,) = [found for one in objects if one["kind"] == "TrainingRuntime" for found in pods(one)]
    del spec["containers"][0]["resources"]
    answer = kubectl("create", "--dry-run=server", "-o", "yaml", "-f", "-", stdin=pod(**spec))
    assert "Warning" not in answer.stderr
    resources = yaml.safe_load(answer.stdout)["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "50m", "memory": "256Mi"}}


FILTERS = sorted(INSTALLED.glob("*/v*/filter.yaml"))


def admitted(kubectl: Kubectl, text: str, fails: bool = False) -> str:
    asked = ("create", "--dry-run=server", "--validate=strict", "-n", OURS, "-f", "-")
    return kubectl(*asked, stdin=renamed(text), fails=fails).stderr


@pytest.mark.parametrize("path", FILTERS, ids=lambda path: path.parent.parent.name)
def test_filters_are_admitted(kubectl: Kubectl, applied: str, path: Path) -> None:
    kubectl("wait", "--for=condition=Established", f"crd/filters.llm-{OURS}.io", "--timeout=30s")
    admitted(kubectl, path.read_text("utf-8"))


def test_null_is_absent(kubectl: Kubectl, applied: str) -> None:
    found = yaml.safe_load(FILTERS[0].read_text("utf-8"))
    found["spec"]["gates"][0].update(below=0.8, atLeast=None)
    found["spec"]["tiers"][-1]["when"] = None
    admitted(kubectl, yaml.safe_dump(found))


@pytest.mark.parametrize("types", [[], [{"name": "advert", "description": "An advertisement.", "cap": 2.0}]])
def test_a_student_names_types_where_there_are_some(kubectl: Kubectl, applied: str, types: list[dict[str, Any]]) -> None:
    """And none of them where it is not asked to: the good ones beside the refused."""
    found = yaml.safe_load(FILTERS[0].read_text("utf-8"))
    found["spec"]["contentTypes"] = types
    found["spec"]["student"]["contentTypes"] = "head" if types else "none"
    admitted(kubectl, yaml.safe_dump(found))


def unknown_field(spec: Any) -> None:
    spec["dimension"] = []


def misspelt_nested(spec: Any) -> None:
    spec["student"]["lora"]["rank"] = 8


def no_dimensions(spec: Any) -> None:
    spec["dimensions"] = []


def too_many(spec: Any) -> None:
    spec["dimensions"] *= 17


def negative_weight(spec: Any) -> None:
    spec["dimensions"][0]["weight"] = -0.1


def bad_name(spec: Any) -> None:
    spec["dimensions"][0]["name"] = "Has Blanks"


def unknown_provider(spec: Any) -> None:
    spec["oracle"]["provider"] = "telepathy"


def version_is_text(spec: Any) -> None:
    spec["version"] = "two"


def name_twice(spec: Any) -> None:
    spec["dimensions"][1]["name"] = spec["dimensions"][0]["name"]


def no_weight(spec: Any) -> None:
    for dimension in spec["dimensions"]:
        dimension["weight"] = 0


def tier_without_rule(spec: Any) -> None:
    del spec["tiers"][0]["when"]


def last_tier_with_rule(spec: Any) -> None:
    spec["tiers"][-1]["when"] = "overall >= 1"


def two_bounds(spec: Any) -> None:
    spec["gates"][0].update(below=0.8, atLeast=0.1)


def no_bound(spec: Any) -> None:
    spec["gates"][0].update(below=None, atLeast=None)


def head_without_types(spec: Any) -> None:
    spec["student"]["contentTypes"] = "head"
    spec.pop("contentTypes", None)


def head_with_types_that_are_null(spec: Any) -> None:
    spec["student"]["contentTypes"], spec["contentTypes"] = "head", None


def head_with_an_empty_list_of_types(spec: Any) -> None:
    spec["student"]["contentTypes"], spec["contentTypes"] = "head", []


UNNAMED = 'spec: Invalid value: "object": student: there are no contentTypes to name'
BAD = [
    (head_without_types, UNNAMED),
    (head_with_types_that_are_null, UNNAMED),
    (head_with_an_empty_list_of_types, UNNAMED),
    (name_twice, 'spec.dimensions: Invalid value: "array": each name once'),
    (no_weight, "one dimension needs a weight above 0"),
    (tier_without_rule, "every tier but the last needs a rule"),
    (last_tier_with_rule, "the last tier takes what is left"),
    (two_bounds, 'spec.gates[0]: Invalid value: "object": exactly one of below and atLeast'),
    (no_bound, "exactly one of below and atLeast"),
    (unknown_field, 'unknown field "spec.dimension"'),
    (misspelt_nested, 'unknown field "spec.student.lora.rank"'),
    (no_dimensions, "spec.dimensions in body should have at least 1 items"),
    (too_many, "must have at most 16 items"),
    (negative_weight, "spec.dimensions[0].weight"),
    (bad_name, "spec.dimensions[0].name"),
    (unknown_provider, "spec.oracle.provider: Unsupported value"),
    (version_is_text, "spec.version"),
]


@pytest.mark.parametrize(("change", "said"), BAD, ids=[change.__name__ for change, _ in BAD])
def test_bad_filters_are_refused(kubectl: Kubectl, applied: str, change: Callable[[Any], None], said: str) -> None:
    found = yaml.safe_load(FILTERS[0].read_text("utf-8"))
    change(found["spec"])
    assert said in admitted(kubectl, yaml.safe_dump(found), fails=True)


def test_queue_admits_a_job(kubectl: Kubectl, applied: str) -> None:
    """A suspended Job in the queue is started by Kueue; it stays, so that the deletion below has a workload to get past."""
    if applied != "kueue":
        pytest.skip("no Kueue on this cluster")
    (runtime,) = pods(yaml.safe_load((INSTALLED.parent / "manifests/components/trainer/runtime.yaml").read_text("utf-8")))
    runtime |= {"serviceAccountName": f"{OURS}-scoring", "terminationGracePeriodSeconds": 0}
    metadata = {"name": "try", "namespace": OURS, "labels": {"kueue.x-k8s.io/queue-name": OURS}}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"suspend": True, "template": {"spec": runtime}},
    }
    kubectl("wait", "--for=condition=Active", f"clusterqueue/{OURS}", "--timeout=60s")
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(job))
    kubectl("wait", "--for=jsonpath={.spec.suspend}=false", "job/try", "-n", OURS, "--timeout=60s")


def test_trainjob_becomes_a_jobset(kubectl: Kubectl, applied: str) -> None:
    """The webhooks of Trainer and JobSet take what the runtime says; it stays, as the Job above does."""
    if applied != "kueue":
        pytest.skip("no Trainer on this cluster")
    runtime = {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": f"{OURS}-torch"}
    spec = {"runtimeRef": runtime, "trainer": {"image": "localhost/none", "command": ["true"], "numNodes": 2}}
    metadata = {"name": "try", "namespace": OURS}
    job = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": metadata, "spec": spec}
    kubectl("create", "-f", "-", stdin=yaml.safe_dump(job))
    kubectl("wait", "--for=create", "jobset/try", "-n", OURS, "--timeout=30s")


def test_deleted_without_a_trace(kubectl: Kubectl, tried: dict[str, Path], applied: str) -> None:
    """Last in this file. KFP's namespace stays; nothing of ours does, in it or anywhere."""
    kubectl("delete", "-k", str(tried[applied]), "--timeout=120s")
    kubectl("get", f"crd/filters.llm-{OURS}.io")  # and with it every Filter
    kubectl("delete", "-k", str(tried["crds"]), "--timeout=120s")
    kinds = kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    left = kubectl("get", ",".join(kinds), "--all-namespaces", "-l", PART, "-o", "name").stdout
    assert left.split() == []
    assert kubectl("get", "namespace", KFP, "-o", "jsonpath={.status.phase}").stdout == "Active"
    kubectl("get", "namespace", OURS, fails=True)
