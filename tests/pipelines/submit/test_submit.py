"""What `distillery submit` sends: one run for the same inputs, of the version of this checkout; wrong usage."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.preflight.request import RunRequest
from distillery.components.store import Store, open_store
from distillery.components.store.layout import claim_key
from distillery.filters.errors import InputError
from distillery.pipelines.cli import main as cli
from distillery.pipelines.cluster import claims, kubeflow, submit
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.pipelines.harness import compile_alone, write_filter, write_rows
from tests.pipelines.submit.conftest import FILTER

# ---- what is sent -------------------------------------------------------------------------------------------------


def test_a_local_file_is_uploaded_once_under_its_digest(store: Store, labels: Path) -> None:
    uri = submit.upload(store, str(labels), parameter="--labels")
    assert uri.startswith(f"{store.uri}/inputs/")
    assert uri.endswith("/my-labels.jsonl")
    assert store.get(uri.removeprefix(f"{store.uri}/")) == labels.read_bytes()
    etag = store.etag(uri.removeprefix(f"{store.uri}/"))
    assert submit.upload(store, str(labels), parameter="--labels") == uri
    assert store.etag(uri.removeprefix(f"{store.uri}/")) == etag
    assert submit.upload(store, uri, parameter="--labels") == uri


def test_a_file_that_is_not_there_is_named(store: Store, command: Callable[..., SimpleNamespace], fake: FakeKubeflow) -> None:
    ran = command("distill", FILTER, "--labels", "nowhere.jsonl")
    assert ran.code == 2
    assert "--labels" in ran.err
    ran = command("distill", FILTER, "--labels", f"{store.uri}/nothing.jsonl")
    assert (ran.code, "no such object" in ran.err) == (2, True)
    assert not fake.runs


def test_a_mapping_file_works_for_a_filter_in_a_bucket_as_for_one_that_is_named(
    store: Store, labels: Path, command: Callable[..., SimpleNamespace], fake: FakeKubeflow, tmp_path: Path
) -> None:
    from distillery.components.preflight.preflight import resolve_filter
    from distillery.filters.loading import dump_filter, load_filter

    store.put("elsewhere/filter.yaml", dump_filter(load_filter(FILTER)).encode())
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("scale: [0, 100]\n", encoding="utf-8")
    ran = command("distill", f"{store.uri}/elsewhere/filter.yaml", "--labels", labels, "--mapping", mapping)
    assert ran.code == 0, ran.err
    (run,) = fake.runs.values()
    sent = resolve_filter(run["runtime_config"]["parameters"]["filter"])
    assert sent.spec.data.scale == [0, 100]
    mapping.write_text("scale: [3, 3]\n", encoding="utf-8")
    ran = command("distill", f"{store.uri}/elsewhere/filter.yaml", "--labels", labels, "--mapping", mapping)
    assert (ran.code, "mapping.yaml:1" in ran.err) == (2, True)


def test_the_filter_travels_as_it_is_here(store: Store, labels: Path, tmp_path: Path) -> None:
    """With profile and overrides in it, also where it is one of ours: the image may have another one under its name."""
    from distillery.components.preflight.preflight import resolve_filter

    def sent(ref: str, *overrides: str, profile: str = "") -> submit.Prepared:
        return submit.prepare(store, RunRequest(ref, labels=str(labels), profile=profile, overrides=overrides))

    name, parameters, inputs, _ = sent(FILTER, "training.epochs=1", profile="laptop")
    assert name == FILTER
    assert parameters.keys() == {"store", "filter", "labels"}, "a parameter at its default is the pipeline's business"
    there = resolve_filter(parameters["filter"])
    assert there == resolve_filter(FILTER, profile="laptop", overrides=["training.epochs=1"])
    path = write_filter(tmp_path / "filter.yaml", tmp_path / "base")
    name, parameters, other, _ = sent(str(path), "training.epochs=1")
    assert resolve_filter(parameters["filter"]).spec.training.epochs == 1
    assert name == "small-town"
    assert inputs != other


def the_text(parameters: dict[str, Any]) -> str:
    folder, _, name = parameters["filter"].rpartition("/")
    return open_store(folder, write=False).get(name).decode()


def test_overrides_and_filters_that_name_files_name_their_copies(store: Store, labels: Path, tmp_path: Path) -> None:
    replies = write_rows(tmp_path / "replies.jsonl", [{"reply": 1}])
    common = {"articles": str(labels), "marks": str(labels)}
    parameters = submit.prepare(store, RunRequest(FILTER, overrides=(f"oracle.replies={replies}",), **common)).parameters
    assert f"replies: {store.uri}/inputs/" in the_text(parameters)
    assert parameters["marks"] == parameters["articles"]
    path = write_filter(
        tmp_path / "filter.yaml", tmp_path, oracle={"provider": "replay", "model": "recorded", "replies": str(replies)}
    )
    parameters = submit.prepare(store, RunRequest(str(path), **common)).parameters
    assert f"replies: {store.uri}/inputs/" in the_text(parameters)


def test_a_folder_of_marks_is_calibrated_here_first(store: Store, labels: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    for folder in (tmp_path / "marks", (tmp_path / "marks").as_uri()):
        with pytest.raises(InputError, match=r"is a folder, and a run on a cluster takes one file.*distillery calibrate"):
            submit.prepare(store, RunRequest(FILTER, articles=str(labels), marks=str(folder)))


# ---- one run for the same inputs ----------------------------------------------------------------------------------


def test_a_second_submission_finds_the_first_while_it_runs(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path
) -> None:
    first = command("distill", FILTER, "--labels", labels, "--json")
    assert first.code == 0
    run = json.loads(first.out)["run"]
    assert f"distillery submit --follow {run}" in command("distill", FILTER, "--labels", labels).err
    again = json.loads(command("distill", FILTER, "--labels", labels, "--json").out)
    assert (again["run"], again["started"]) == (run, False)
    assert len(fake.runs) == 1
    other = json.loads(command("distill", FILTER, "--labels", labels, "--set", "training.epochs=1", "--json").out)
    assert other["run"] != run, "other inputs are another run"
    fake.runs[run]["state"] = "SUCCEEDED"
    later = json.loads(command("distill", FILTER, "--labels", labels, "--json").out)
    assert later["started"]
    assert len(fake.runs) == 3


def test_two_submitters_at_once_start_one_run(fake: FakeKubeflow, store: Store, labels: Path) -> None:
    prepared = submit.prepare(store, RunRequest(FILTER, labels=str(labels)))
    found: list[claims.Claim] = []

    def one() -> None:
        ours = kubeflow.Kubeflow(fake.endpoint)
        found.append(submit.start(ours, open_store(store.uri), ours.published("distill"), prepared))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.runs) == 1
    assert {claim.run for claim in found} == set(fake.runs)
    assert sum(claim.mine for claim in found) == 1


def test_a_run_whose_creation_got_no_reply_is_found_again(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path
) -> None:
    fake.lose_replies = 1
    ran = command("distill", FILTER, "--labels", labels, "--json")
    assert ran.code == 0
    assert list(fake.runs) == [json.loads(ran.out)["run"]]
    assert "can't be reached" in ran.err
    assert "answers again" in ran.err


def test_a_submitter_that_died_before_it_started_the_run_is_replaced(
    fake: FakeKubeflow, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = claim_key("c" * 64)
    store.put(key, json.dumps({"run": "", "name": "dead", "at": time.time()}).encode())
    monkeypatch.setattr(claims, "GRACE_SECONDS", 0.3)
    began, started = time.monotonic(), []

    def claim(**more: Any) -> claims.Claim:
        ways = {"start": lambda name: started.append(name) or "r1", "find": lambda name: None, "active": lambda run: True}
        return claims.claim(store, "c" * 64, name="mine", **{**ways, "cancel": pytest.fail, **more})  # type: ignore[arg-type]

    assert claim() == claims.Claim("r1", "mine", mine=True)
    assert time.monotonic() - began >= 0.25
    assert started == ["mine"]
    assert claim(active=lambda run: False, start=lambda name: "r2").run == "r2", "a finished run's claim is free"


@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 86_400.0])
def test_a_claim_stands_by_our_own_clock_whatever_its_own_says(
    store: Store, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    store.put(claim_key("e" * 64), json.dumps({"run": "", "name": "dead", "at": time.time() + ahead}).encode())
    monkeypatch.setattr(claims, "GRACE_SECONDS", 0.3)
    began = time.monotonic()
    found = claims.claim(
        store,
        "e" * 64,  # type: ignore[arg-type]
        name="mine",
        start=lambda name: "r1",
        find=lambda name: None,
        active=lambda run: True,
        cancel=pytest.fail,
    )
    assert (found.run, found.mine) == ("r1", True)
    assert 0.25 <= time.monotonic() - began < 30


def test_a_submitter_that_woke_up_late_ends_its_own_run(store: Store) -> None:
    key = claim_key("d" * 64)
    ended: list[str] = []

    def slow_start(name: str) -> str:
        store.put(key, json.dumps({"run": "theirs", "name": "other", "at": time.time()}).encode())
        return "ours"

    found = claims.claim(
        store,
        "d" * 64,  # type: ignore[arg-type]
        name="me",
        start=slow_start,
        find=lambda name: None,
        active=lambda run: True,
        cancel=ended.append,
    )
    assert (found.run, found.mine, ended) == ("theirs", False, ["ours"])


def test_a_run_that_kubeflow_does_not_show_is_not_over(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path
) -> None:
    """One of another profile: its claim stands, and nothing is started beside it."""
    assert command("distill", FILTER, "--labels", labels).code == 0
    fake.hides = True
    ran = command("distill", FILTER, "--labels", labels)
    assert (ran.code, "Kubeflow refuses this (403): not authorized" in ran.err) == (2, True)
    assert len(fake.runs) == 1


def test_a_session_that_expired_is_said_and_not_outwaited(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path
) -> None:
    run = json.loads(command("distill", FILTER, "--labels", labels, "--json").out)["run"]
    fake.login = True
    ran = command("--follow", run)
    assert (ran.code, "a login is asked for; check your credentials" in ran.err) == (2, True)


# ---- which version ------------------------------------------------------------------------------------------------


def test_without_images_the_newest_published_version_runs(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISTILLERY_IMAGE_LIGHT", "DISTILLERY_IMAGE_TORCH"):
        monkeypatch.delenv(name, raising=False)
    fake.publish("distill-000000000002")
    assert command("distill", FILTER, "--labels", labels).code == 0
    (run,) = fake.runs.values()
    assert run["pipeline_version_reference"]["pipeline_version_id"] == "id-of-distill-000000000002"
    fake.versions.clear()
    ran = command("distill", FILTER, "--labels", labels, "--set", "training.epochs=1")
    assert (ran.code, "distillery pipelines publish" in ran.err) == (2, True)


def test_with_images_the_version_of_this_checkout_is_published_once_and_run(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeflow, "compile_pipeline", compile_alone)
    images = ["--light-image", "registry/light:1", "--torch-image", "registry/torch:1"]
    for epochs in ("1", "2"):
        ran = command("distill", FILTER, "--labels", labels, "--set", f"training.epochs={epochs}", *images)
        assert ran.code == 0, ran.err
    assert len(fake.versions) == 2, "the one that was there, and ours"
    ours = fake.versions[1]["pipeline_version_id"]
    assert {run["pipeline_version_reference"]["pipeline_version_id"] for run in fake.runs.values()} == {ours}


def test_one_image_without_the_other_is_refused(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version would name an image that no registry has, and be the newest one for everybody."""
    for name in ("DISTILLERY_IMAGE_LIGHT", "DISTILLERY_IMAGE_TORCH"):
        monkeypatch.delenv(name, raising=False)
    ran = command("distill", FILTER, "--labels", labels, "--light-image", "registry/light:1")
    assert (ran.code, "--torch-image: which image?" in ran.err) == (2, True)
    assert (len(fake.versions), fake.runs) == (1, {})


def test_publishing_says_in_a_line_what_is_refused(
    fake: FakeKubeflow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISTILLERY_IMAGE_LIGHT", "DISTILLERY_IMAGE_TORCH"):
        monkeypatch.delenv(name, raising=False)
    fake.refuses = True
    publish = ["distillery", "pipelines", "publish", "--endpoint", fake.endpoint, "--light-image", "registry/light:1"]
    torch = ("--torch-image", "registry/torch:1")
    for more, said in ((), "--torch-image: which image?"), (torch, "refuses this (403): no permission"):
        monkeypatch.setattr(sys, "argv", [*publish, *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert len(fake.versions) == 1


# ---- usage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--follow", "00000000-0000-0000-0000-000000000000"], "no run 00000000"),
        (["--cancel", "00000000-0000-0000-0000-000000000000"], "no run 00000000"),
        (["--follow", "a", "--cancel", "b"], "submit distill FILTER"),
        (["distill", FILTER], "neither articles nor labels"),
        (["distill", FILTER, "--labels", "x", "--store", ".distillery"], "pods can't reach it"),
        (["distill", FILTER, "--labels", "x", "--trainer", "both"], "--trainer"),
        (["distill", FILTER, "--labels", "x", "--set", "training.epoch=1"], "epoch"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, arguments: list[str], said: str
) -> None:
    ran = command(*arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not fake.runs


def test_where_kubeflow_and_the_store_are_must_be_known(
    command: Callable[..., SimpleNamespace], labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KFP_ENDPOINT")
    assert "KFP_ENDPOINT" in command("distill", FILTER, "--labels", labels).err
    monkeypatch.delenv("DISTILLERY_STORE")
    assert "DISTILLERY_STORE" in command("distill", FILTER, "--labels", labels).err


def test_a_kubeflow_that_never_answers_is_named_in_one_line(
    command: Callable[..., SimpleNamespace], labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeflow, "FIRST_CONTACT", 0.5)
    ran = command("distill", FILTER, "--labels", labels, "--endpoint", "http://127.0.0.1:9")
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith("error: Kubeflow at http://127.0.0.1:9 can't be reached")
