"""What Flux and Argo CD are given: the order, what is never pruned, and how Argo CD reads a Filter's status."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.checks import MANIFESTS, Object, copy_of_manifests, kustomizer, name, render

GITOPS = MANIFESTS / "gitops"
NEVER_PRUNED = {"distillery-crds", "distillery-pipelines", "distillery-versions"}
HEALTH = "resource.customizations.health.llm-distillery.io_Filter"


def objects(path: str) -> list[Object]:
    return [one for one in yaml.safe_load_all((GITOPS / path).read_text("utf-8")) if one]


def test_flux_applies_kinds_first_and_filters_last() -> None:
    found = {name(one): one["spec"] for one in objects("flux/kustomizations.yaml")}
    order: list[str] = []
    for kustomization, spec in found.items():
        assert {before["name"] for before in spec.get("dependsOn", [])} <= set(order), kustomization
        order.append(kustomization)
    assert (order[0], order[-1]) == ("distillery-crds", "distillery-filters")
    assert {one["name"] for one in found["distillery-versions"]["dependsOn"]} == {"distillery-pipelines"}


def test_flux_and_argocd_know_the_same_parts_and_prune_the_same() -> None:
    flux = {
        name(one): (one["spec"]["path"].removeprefix("./"), one["spec"]["prune"]) for one in objects("flux/kustomizations.yaml")
    }
    applications = objects("argocd/applications.yaml")
    argocd = {
        name(one): (one["spec"]["source"]["path"], one["spec"]["syncPolicy"]["automated"]["prune"]) for one in applications
    }
    assert flux == argocd
    assert {kustomization for kustomization, (_, pruned) in flux.items() if not pruned} == NEVER_PRUNED
    waves = [int(one["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for one in applications]
    assert waves == sorted(waves)


@pytest.mark.skipif(not kustomizer(), reason="neither kubectl nor kustomize on this machine")
def test_every_folder_that_a_team_starts_with_renders(tmp_path: Path) -> None:
    """The team's folder with this project as its submodule `distillery`."""
    manifests = copy_of_manifests(tmp_path / "distillery")
    for folder in ("platform", "versions", "filters"):
        shutil.copytree(manifests / "gitops/team" / folder, tmp_path / folder)
    assert {one["kind"] for one in render(tmp_path / "versions")} == {"PipelineVersion"}
    [images] = [one["data"] for one in objects("team/versions/images.yaml")]
    text = yaml.safe_dump_all(render(tmp_path / "versions"))
    assert images["light"] in text
    assert images["torch"] in text
    platform = render(tmp_path / "platform")
    assert {"Deployment", "NetworkPolicy", "ServiceAccount"} <= {one["kind"] for one in platform}
    for spec in (one["spec"] for one in objects("flux/kustomizations.yaml")):
        assert (tmp_path / spec["path"] / "kustomization.yaml").is_file()


def test_the_namespace_stays_where_the_platform_is_taken_out_of_git() -> None:
    """Flux deletes what it applied when its Kustomization is deleted, and with a namespace go all Filters and Secrets in it."""
    [namespace] = [
        one for one in yaml.safe_load_all((MANIFESTS / "base/namespace.yaml").read_text("utf-8")) if one["kind"] == "Namespace"
    ]
    annotations = namespace["metadata"]["annotations"]
    assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    assert annotations["argocd.argoproj.io/sync-options"].split(",") == ["Prune=false", "Delete=false"]


def filter_with(*conditions: tuple[str, str, str], seen: int = 2) -> Object:
    rows = [
        {"type": kind, "status": holds, "reason": reason, "message": f"because of {reason}"}
        for kind, holds, reason in conditions
    ]
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": seen, "conditions": rows}}


def lua(value: Any) -> str:
    """A value as a table of Lua."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{json.dumps(key)}] = {lua(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(lua, value)) + "}"
    return json.dumps(value)


@pytest.mark.skipif(not shutil.which("lua5.4"), reason="no lua5.4 on this machine")
@pytest.mark.parametrize(
    ("shown", "obj"),
    [
        ("Progressing", {"metadata": {"generation": 1}}),
        ("Progressing", filter_with(("Ready", "True", "Serves"), seen=1)),
        ("Progressing", filter_with(("Ready", "False", "Running"), ("Reconciling", "True", "Running"))),
        ("Progressing", filter_with(("Ready", "Unknown", "StoreAway"))),
        ("Healthy", filter_with(("Valid", "True", "Valid"), ("Ready", "True", "Serves"))),
        ("Suspended", filter_with(("Ready", "False", "AwaitingApproval"), ("Stalled", "True", "AwaitingApproval"))),
        ("Suspended", filter_with(("Ready", "False", "AwaitingMarks"), ("Stalled", "True", "AwaitingMarks"))),
        ("Degraded", filter_with(("Ready", "False", "Rejected"), ("Stalled", "True", "Rejected"))),
        ("Degraded", filter_with(("Valid", "False", "Invalid"), ("Ready", "False", "Invalid"), ("Stalled", "True", "Invalid"))),
    ],
)
def test_argocd_shows_what_a_filter_is_doing(shown: str, obj: Object) -> None:
    [config] = objects("argocd/health.yaml")
    health = f"local health = (function()\n{config['data'][HEALTH]}\nend)()"
    script = f'obj = {lua(obj)}\n{health}\nprint(health.status .. "|" .. health.message)'
    ran = subprocess.run(["lua5.4", "-"], input=script, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    status, _, message = ran.stdout.strip().partition("|")
    assert (status, bool(message)) == (shown, True)
