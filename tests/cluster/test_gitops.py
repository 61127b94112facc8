"""On a real cluster with Flux and a Git server: a team's repository from nothing, by the commands of docs/gitops.md.

A commit brings a filter, another moves a tier, a revert brings the earlier adapter back; a broken one is refused, what serves
stays. Runs are counted by Kubeflow, trainings by the store.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.components.artifacts.channel import read_channel
from distillery.components.store import Store, open_store
from tests.cluster.conftest import PREFIX
from tests.cluster.harness import ROOT, Cluster, wait_for
from tests.cluster.operated import BASE, a_filter, asking, oracle_files, runs, tiny_base
from tests.cluster.runs import FILTER
from tests.pipelines.harness import Ran

pytestmark = [pytest.mark.alone, pytest.mark.timeout(2400)]
PAGE = (ROOT / "docs/gitops.md").read_text("utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
BLOCKS = [text for language, text in FENCED if not language]
CREATE, SECRETS, PUSH, LOOK, REVERT, SCORE = BLOCKS
SERVER = os.environ.get("GIT_SERVER", "http://10.99.0.1:3001")
REPOSITORIES = Path(os.environ.get("TESTBED", "/var/lib/testbed")) / "git"
AUTHOR = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "t"), ("EMAIL", "t@t"))}


def shell(text: str, folder: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Type commands of the page in a folder, with this cluster's Git server in place of the page's."""
    text = text.replace("https://git.example.com/llm-distillery.git", f"{SERVER}/distillery.git")
    environment = {**os.environ, **AUTHOR}
    done = subprocess.run(["bash", "-euc", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, text + done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def servers_repositories(cluster: Cluster) -> None:
    if not REPOSITORIES.is_dir() or "kustomizations.kustomize" not in cluster.kubectl("get", "crd", "-o", "name"):
        pytest.skip("no Flux and no Git server on this cluster (`cluster up gitops`)")
    for name in ("distillery", "newsroom"):
        subprocess.run(["rm", "-rf", str(REPOSITORIES / f"{name}.git")], check=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(REPOSITORIES / f"{name}.git")], check=True)
    shell(f"git push -q {SERVER}/distillery.git HEAD:refs/heads/main", ROOT)


@pytest.fixture(scope="module")
def store_of_the_team(cluster: Cluster, s3: Any, tiny_encoder: Path) -> Store:
    opened = open_store(f"s3://{cluster.settings['DISTILLERY_STORE'].split('/')[2]}/{PREFIX}-gitops")
    tiny_base(opened, tiny_encoder)
    return opened


def write_filter(path: Path, store: Store, **changes: Any) -> None:
    """Write a filter as a team would keep it in Git: sixty articles, and a student that trains in seconds."""
    found = a_filter(store, FILTER, f"{store.uri}/{BASE}", **asking(f"{store.uri}-data"), **changes)
    path.write_text(yaml.safe_dump({**found, "metadata": {"name": FILTER}}, sort_keys=False), "utf-8")


def edit(team: Path, **sections: Any) -> None:
    """Change keys of sections of the filter that is in Git, or a list as a whole."""
    path = team / "filters/filter.yaml"
    found = yaml.safe_load(path.read_text("utf-8"))
    for name, said in sections.items():
        found["spec"][name] = {**found["spec"].get(name, {}), **said} if isinstance(said, dict) else said
    path.write_text(yaml.safe_dump(found, sort_keys=False), "utf-8")


@pytest.fixture(scope="module")
def team(
    cluster: Cluster,
    servers_repositories: None,
    store_of_the_team: Store,
    s3: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """The team's repository, pushed, and Flux following it."""
    bucket, prefix = store_of_the_team.uri.removeprefix("s3://").split("/", 1)
    for name, data in oracle_files().items():
        s3.put_object(Bucket=bucket, Key=f"{prefix}-data/{name}", Body=data)
    folder = tmp_path_factory.mktemp("team") / "newsroom"
    shell(f"git clone -q {SERVER}/newsroom.git {folder}", ROOT)
    shell(CREATE, folder)
    settings = {**cluster.settings, "DISTILLERY_STORE": store_of_the_team.uri}
    (folder / "platform/settings.env").write_text("".join(f"{key}={value}\n" for key, value in settings.items() if value))
    platform = yaml.safe_load((folder / "platform/kustomization.yaml").read_text())
    new_name, new_tag = settings["DISTILLERY_IMAGE_OPERATOR"].rsplit(":", 1)
    platform["images"][0] |= {"newName": new_name, "newTag": new_tag}
    (folder / "platform/kustomization.yaml").write_text(yaml.safe_dump(platform))
    images = yaml.safe_load((folder / "versions/images.yaml").read_text())
    images["data"] = {name: settings[f"DISTILLERY_IMAGE_{name.upper()}"] for name in ("light", "torch")}
    (folder / "versions/images.yaml").write_text(yaml.safe_dump(images))
    versions = folder / "versions/kustomization.yaml"  # other images are another version, and this cluster may have had others
    versions.write_text(versions.read_text().replace('"-1"', f'"-{PREFIX[-6:]}"'))
    flux = folder / "flux/kustomization.yaml"
    flux.write_text(flux.read_text().replace("https://git.example.com/newsroom.git", f"{SERVER}/newsroom.git"))
    write_filter(folder / "filters/filter.yaml", store_of_the_team)
    listed = folder / "filters/kustomization.yaml"
    listed.write_text(listed.read_text().replace("resources: []", "resources: [filter.yaml]"))
    shell(SECRETS, folder, check=False)  # a cluster of tests has them already
    shell(PUSH, folder)
    try:
        yield folder
    finally:
        cluster.kubectl("delete", "-k", str(folder / "flux"), "--wait=false", check=False)
        cluster.kubectl("delete", "filters", "--all", "-n", "distillery", "--wait=false", check=False)
        cluster.kubectl("delete", "deployment", "-n", "distillery", "-l", "app.kubernetes.io/component=operator", check=False)
        if overlay := os.environ.get("DISTILLERY_OVERLAY"):
            cluster.kubectl("apply", "-k", str(ROOT / overlay))


def filter_of(cluster: Cluster) -> dict[str, Any]:
    text = cluster.kubectl("get", "filter", FILTER, "-n", "distillery", "-o", "json", check=False)
    return json.loads(text) if text else {}


def conditions(cluster: Cluster) -> dict[str, dict[str, Any]]:
    return {row["type"]: row for row in filter_of(cluster).get("status", {}).get("conditions", [])}


def settled(cluster: Cluster) -> dict[str, Any]:
    """The object, once its status is about its newest spec and says that all is done."""

    def ready() -> dict[str, Any] | None:
        found = filter_of(cluster)
        status = found.get("status", {})
        rows = {row["type"]: row for row in status.get("conditions", [])}
        seen = status.get("observedGeneration") == found.get("metadata", {}).get("generation", 0)
        assert not seen or "Stalled" not in rows, rows["Stalled"]
        return found if seen and rows.get("Ready", {}).get("status") == "True" else None

    return dict(wait_for("Ready=True", ready, seconds=1500, every=3))


def trainings(store: Store) -> int:
    return len({key.split("/")[2] for key in store.keys(f"adapters/{FILTER}")})


def calls(store: Store) -> int:
    """Answers that the oracle has given."""
    keys = [key for key in store.keys(f"labels/{FILTER}") if key.endswith(".jsonl")]
    return sum(len(store.get(key).splitlines()) for key in keys)


def pushed(folder: Path, message: str) -> None:
    shell(f"git add --all\ngit commit -qm '{message}'\ngit push -q origin HEAD:main", folder)


def generation_after(cluster: Cluster, before: int) -> None:
    wait_for("Flux to apply the commit", lambda: filter_of(cluster)["metadata"]["generation"] > before, seconds=240, every=3)


def test_a_filter_that_is_pushed_is_trained_and_promoted(cluster: Cluster, team: Path, store_of_the_team: Store) -> None:
    wait_for("the object in the cluster", lambda: filter_of(cluster), seconds=420, every=3)
    found = settled(cluster)
    assert found["status"]["phase"] == "Promoted"
    assert (trainings(store_of_the_team), calls(store_of_the_team)) == (1, 60)
    said = shell(LOOK, team).stdout
    assert found["status"]["digest"][:12] in said


def test_a_broken_filter_is_refused_and_what_serves_stays(cluster: Cluster, team: Path, store_of_the_team: Store) -> None:
    before = filter_of(cluster)
    write_filter(team / "filters/filter.yaml", store_of_the_team, tiers=[{"name": "all", "when": "overall >= 1"}])
    pushed(team, "A tier that takes nothing is left")

    def refused() -> str:
        found = cluster.get("kustomization", "distillery-filters", "-n", "flux-system")
        return " ".join(
            row["message"] for row in found["status"]["conditions"] if row["type"] == "Ready" and row["status"] == "False"
        )

    said = wait_for(
        "Flux to say why it applies nothing", lambda: "the last tier" in refused() and refused(), seconds=240, every=3
    )
    assert "no when" in said
    assert filter_of(cluster)["spec"] == before["spec"]
    assert filter_of(cluster)["status"]["digest"] == before["status"]["digest"]
    shell(REVERT, team)


def test_a_readme_and_a_description_start_nothing(cluster: Cluster, kfp: Any, team: Path, store_of_the_team: Store) -> None:
    before, had = filter_of(cluster), runs(kfp, FILTER)
    (team / "README.md").write_text("# What our newsroom asks of articles\n")
    write_filter(team / "filters/filter.yaml", store_of_the_team, description="The same, told otherwise.")
    pushed(team, "A README, and a description")
    generation_after(cluster, before["metadata"]["generation"])
    assert settled(cluster)["status"]["digest"] == before["status"]["digest"]
    assert runs(kfp, FILTER) == had


def test_a_tier_is_judged_again_and_nothing_is_trained(
    cluster: Cluster, kfp: Any, team: Path, store_of_the_team: Store
) -> None:
    before, had = filter_of(cluster), runs(kfp, FILTER)
    tiers = [{"name": "high", "when": "overall >= 7"}, {"name": "low"}]
    write_filter(team / "filters/filter.yaml", store_of_the_team, tiers=tiers)
    pushed(team, "Another tier")
    generation_after(cluster, before["metadata"]["generation"])
    found = settled(cluster)
    assert found["status"]["digest"] == before["status"]["digest"]
    assert (trainings(store_of_the_team), len(runs(kfp, FILTER) - had)) == (1, 1)


def test_a_training_setting_trains_and_its_revert_brings_the_earlier_adapter_back(
    cluster: Cluster, kfp: Any, team: Path, store_of_the_team: Store
) -> None:
    before, had, trained = filter_of(cluster), runs(kfp, FILTER), trainings(store_of_the_team)
    edit(team, training={"seed": 5})
    pushed(team, "Another seed")
    generation_after(cluster, before["metadata"]["generation"])
    other = settled(cluster)
    assert other["status"]["digest"] != before["status"]["digest"]
    assert (trainings(store_of_the_team), calls(store_of_the_team)) == (trained + 1, 60)
    shell(REVERT, team)
    generation_after(cluster, other["metadata"]["generation"])
    assert settled(cluster)["status"]["digest"] == before["status"]["digest"]
    assert (trainings(store_of_the_team), len(runs(kfp, FILTER) - had)) == (trained + 1, 1)


def test_a_commit_approves_the_candidate_of_another_and_their_revert_trains_nothing(
    cluster: Cluster, kfp: Any, team: Path, store_of_the_team: Store
) -> None:
    before, had, asked = filter_of(cluster), runs(kfp, FILTER), calls(store_of_the_team)
    tiers = [{"name": "high", "when": "overall >= 8"}, {"name": "low"}]  # a spec under which nothing has served
    edit(team, training={"seed": 5}, tiers=tiers, promotion={"approval": "required"})
    pushed(team, "Another seed and another tier, to be approved")
    generation_after(cluster, before["metadata"]["generation"])
    wait_for("a candidate", lambda: conditions(cluster).get("AwaitingApproval", {}).get("status") == "True", 900, 3)
    held = filter_of(cluster)
    candidate = held["status"]["adapter"]
    assert candidate != held["status"]["digest"] == before["status"]["digest"], "what is in production stays"
    run = held["status"]["run"]["id"]  # its last pod may be on its way out yet
    wait_for(
        "no pod waits", lambda: not [pod for pod in cluster.pods(run) if pod["status"]["phase"] in ("Pending", "Running")], 120
    )
    begun, trained = runs(kfp, FILTER), trainings(store_of_the_team)
    assert len(begun - had) == 1

    edit(team, promotion={"approved": candidate})
    pushed(team, "Its report was read")
    generation_after(cluster, held["metadata"]["generation"])
    approved = settled(cluster)
    assert approved["status"]["digest"] == candidate
    newest = read_channel(store_of_the_team, FILTER, "production").channel.history[0]
    assert (newest.adapter, newest.by) == (candidate, f"the Filter object distillery/{FILTER}")

    shell("git revert --no-edit HEAD HEAD~1\ngit push -q origin HEAD:main", team)
    generation_after(cluster, approved["metadata"]["generation"])
    assert settled(cluster)["status"]["digest"] == before["status"]["digest"]
    assert (trainings(store_of_the_team), calls(store_of_the_team)) == (trained, asked)
    assert runs(kfp, FILTER) == begun, "neither an approval nor its revert runs anything"


def test_a_dimension_that_means_something_else_is_labelled_again(
    cluster: Cluster, kfp: Any, team: Path, store_of_the_team: Store
) -> None:
    before, had = filter_of(cluster), runs(kfp, FILTER)
    trained, asked = trainings(store_of_the_team), calls(store_of_the_team)
    dimensions = before["spec"]["dimensions"]
    dimensions[0]["description"] += " Plans count for nothing."
    edit(team, dimensions=dimensions)
    pushed(team, "What a dimension means")
    generation_after(cluster, before["metadata"]["generation"])
    settled(cluster)
    assert (trainings(store_of_the_team) - trained, len(runs(kfp, FILTER) - had)) == (1, 1)
    assert calls(store_of_the_team) - asked == 60


def test_a_corpus_is_scored_by_what_git_promoted(
    cluster: Cluster, team: Path, store_of_the_team: Store, distillery: Callable[..., Ran]
) -> None:
    words = SCORE.split()[1:]
    words[words.index("s3://my-bucket/corpus/")] = f"{store_of_the_team.uri}-data/articles.jsonl"
    ran = distillery(*words, "--store", store_of_the_team.uri, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["adapter"] == filter_of(cluster)["status"]["digest"]
