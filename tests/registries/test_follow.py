"""Registries follow the channel: what one lacks is made right, twice is once, and one that is away holds up nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.promotion.by_hand import rollback
from distillery.components.registries.follow import follow_channel
from distillery.components.remote import json_api, sending
from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.gating.judged import make_filter
from tests.mlflow_server import MLflowServer, mlflow_server
from tests.promotion.made import ADA, BY_HAND, promoted
from tests.registries.model_registry_server import ModelRegistryServer, model_registry_server
from tests.training.conftest import Notes


@pytest.fixture
def mlflow() -> Iterator[MLflowServer]:
    with mlflow_server() as running:
        yield running


@pytest.fixture
def kubeflow() -> Iterator[ModelRegistryServer]:
    with model_registry_server() as running:
        yield running


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_api, "PAUSES", (0.0, 0.0))


def following(*registries: dict[str, Any]) -> Filter:
    said = json.dumps({"registries": registries})
    return make_filter("  oracle:", f"  promotion: {said}\n  oracle:")


def test_mlflow_gets_a_version_with_figures_and_then_the_alias(store: Store, mlflow: MLflowServer) -> None:
    flt, adapter, notes = following({"mlflow": {"uri": mlflow.uri}}), promoted(store, 1), Notes()
    (first,) = follow_channel(store, flt, progress=notes)
    assert (first.state, first.done) == ("mended", ["version 1 made", "alias production set to version 1"])
    assert notes.notes == [f"MLflow at 127.0.0.1: {'; '.join(first.done)}"]
    model = mlflow.models["demo"]
    assert model["aliases"] == {"production": "1"}
    (version,) = model["versions"]
    tags = {row["key"]: row["value"] for row in version["tags"]}
    assert tags["distillery.adapter"] == adapter
    assert tags["distillery.decision"] == "promote"
    assert version["source"] == f"{store.uri}/adapters/demo/{adapter}".replace("file:", "distillery:"), "MLflow takes no folder"
    figures = {row["key"]: row["value"] for row in mlflow.runs[version["run_id"]]["metrics"]}
    assert figures == {"mae": 0.7, "overall_mae": 0.5, "spearman": 0.8}
    order = [one for one in mlflow.asked if one.startswith("POST")]
    assert order[-1] == "POST registered-models/alias", "the alias never names a version without its figures"


def test_following_twice_changes_nothing(store: Store, mlflow: MLflowServer, kubeflow: ModelRegistryServer) -> None:
    flt = following({"mlflow": {"uri": mlflow.uri}}, {"modelRegistry": {"uri": kubeflow.uri}})
    promoted(store, 1)
    follow_channel(store, flt)
    asked, writes = len(mlflow.asked), kubeflow.writes
    assert [each.state for each in follow_channel(store, flt, progress=Notes())] == ["right", "right"]
    assert [one for one in mlflow.asked[asked:] if not one.startswith("GET")] == []
    assert kubeflow.writes == writes


def test_a_registry_follows_there_and_back(store: Store, mlflow: MLflowServer, kubeflow: ModelRegistryServer) -> None:
    flt = following({"mlflow": {"uri": mlflow.uri, "name": "A model"}}, {"modelRegistry": {"uri": kubeflow.uri}})
    first = promoted(store, 1)
    follow_channel(store, flt)
    second = promoted(store, 2)
    follow_channel(store, flt)
    assert mlflow.models["A model"]["aliases"] == {"production": "2"}
    assert serves(kubeflow) == second[:12]
    rollback(store, "demo", "production", to=None, said=ADA, verify=BY_HAND["verify"])
    done = [each.done for each in follow_channel(store, flt)]
    assert done == [["alias production set to version 1"], [f"channel production set to version {first[:12]}"]]
    assert len(mlflow.models["A model"]["versions"]) == len(kubeflow.versions) == 2


def serves(server: ModelRegistryServer) -> str:
    (model,) = server.models.values()
    return str(model["customProperties"]["distillery.channel.production"]["string_value"])


def test_the_model_registry_gets_model_version_artifact_and_channel(store: Store, kubeflow: ModelRegistryServer) -> None:
    flt, adapter = following({"modelRegistry": {"uri": kubeflow.uri}}), promoted(store, 1)
    (found,) = follow_channel(store, flt)
    called = adapter[:12]
    assert found.done == [
        "model demo made",
        f"version {called} made",
        f"artifact of version {called} made",
        f"channel production set to version {called}",
    ]
    (version,) = kubeflow.versions.values()
    assert version["customProperties"]["distillery.adapter"]["string_value"] == adapter
    assert version["customProperties"]["mae"]["double_value"] > 0
    ((artifact,),) = kubeflow.artifacts.values()
    assert artifact["uri"] == f"{store.uri}/adapters/demo/{adapter}"
    assert serves(kubeflow) == called


@pytest.mark.parametrize("versions", [("v1",), ("v1alpha3",), ("v1", "v1alpha3")])
def test_old_and_new_servers_follow(versions: tuple[str, ...], store: Store, kubeflow: ModelRegistryServer) -> None:
    kubeflow.api = versions
    adapter = promoted(store, 1)
    flt = following({"modelRegistry": {"uri": kubeflow.uri}})
    assert [each.state for each in follow_channel(store, flt) + follow_channel(store, flt)] == ["mended", "right"]
    assert serves(kubeflow) == adapter[:12]


def test_what_others_wrote_into_a_registry_stays(store: Store, kubeflow: ModelRegistryServer) -> None:
    flt = following({"modelRegistry": {"uri": kubeflow.uri}})
    promoted(store, 1)
    follow_channel(store, flt)
    theirs = {"owner": {"metadataType": "MetadataStringValue", "string_value": "team a"}}
    for row in (*kubeflow.models.values(), *kubeflow.versions.values()):
        row["customProperties"] |= theirs
        row["customProperties"].pop("distillery.verdict", None)
        row["customProperties"].pop("distillery.channel.production", None)
    (found,) = follow_channel(store, flt)
    assert found.state == "mended"
    for row in (*kubeflow.models.values(), *kubeflow.versions.values()):
        assert theirs.items() <= row["customProperties"].items()


@pytest.mark.parametrize("lost", ["alias", "version", "tag", "model"])
def test_what_is_missing_is_made_right(lost: str, store: Store, mlflow: MLflowServer) -> None:
    flt = following({"mlflow": {"uri": mlflow.uri}})
    promoted(store, 1)
    follow_channel(store, flt)
    model = mlflow.models["demo"]
    if lost == "alias":
        model["aliases"].clear()
    elif lost == "version":
        model["versions"].clear()
        model["aliases"].clear()
    elif lost == "tag":
        model["versions"][0]["tags"] = [row for row in model["versions"][0]["tags"] if row["key"] != "distillery.verdict"]
    else:
        mlflow.models.clear()
    (found,) = follow_channel(store, flt)
    assert found.state == "mended"
    assert mlflow.models["demo"]["aliases"] == {"production": "1"}
    assert len(mlflow.models["demo"]["versions"]) == 1
    assert len(mlflow.runs) == 1, "the run of an earlier attempt is used"
    assert [each.state for each in follow_channel(store, flt)] == ["right"]


@pytest.mark.parametrize("at", range(1, 9))
def test_an_attempt_that_broke_off_anywhere_is_finished_by_the_next(at: int, store: Store, mlflow: MLflowServer) -> None:
    flt = following({"mlflow": {"uri": mlflow.uri}})
    promoted(store, 1)
    plain = mlflow.answer

    def breaks(method: str, path: str, given: dict[str, Any]) -> dict[str, Any]:
        if len(mlflow.asked) >= at:
            raise ConnectionError("the connection breaks")
        return plain(method, path, given)

    mlflow.answer = breaks  # type: ignore[method-assign]
    (first,) = follow_channel(store, flt)
    assert first.state == "behind"
    mlflow.answer = plain  # type: ignore[method-assign]
    (second,) = follow_channel(store, flt)
    assert second.state == "mended"
    assert mlflow.models["demo"]["aliases"] == {"production": "1"}
    assert (len(mlflow.models["demo"]["versions"]), len(mlflow.runs)) == (1, 1)


@pytest.mark.parametrize("status", [401, 404, 500, 302])
def test_one_that_refuses_is_behind_and_the_others_follow(
    status: int, store: Store, mlflow: MLflowServer, kubeflow: ModelRegistryServer
) -> None:
    kubeflow.broken = status
    flt = following({"modelRegistry": {"uri": kubeflow.uri}}, {"mlflow": {"uri": mlflow.uri}})
    promoted(store, 1)
    notes = Notes()
    first, second = follow_channel(store, flt, progress=notes)
    assert (first.state, second.state) == ("behind", "mended")
    assert first.why == f"127.0.0.1 answers {status}"
    assert notes.notes[0] == f"Model Registry at 127.0.0.1: is behind: 127.0.0.1 answers {status}"


def test_one_that_nobody_answers_at_is_behind(store: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    promoted(store, 1)
    (found,) = follow_channel(store, following({"mlflow": {"uri": f"http://127.0.0.1:{port}"}}))
    assert (found.state, found.why) == ("behind", "127.0.0.1 can't be reached (ConnectionRefusedError)")


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"model_versions": 7}', b'{"model_versions": [{}]}'])
def test_what_answers_otherwise_is_behind(answer: bytes, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer:
        def __enter__(self) -> Answer:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def read(self, _: int) -> bytes:
            return answer

    class Opener:
        def open(self, *_: object, **__: object) -> Answer:
            return Answer()

    monkeypatch.setattr(sending, "build_opener", lambda *_: Opener())
    promoted(store, 1)
    (found,) = follow_channel(store, following({"mlflow": {"uri": "http://mlflow.example.com"}}))
    assert found.state == "behind"
    assert found.why.startswith("mlflow.example.com answers what")


def test_a_key_goes_to_the_server_alone_that_the_place_names(
    store: Store, mlflow: MLflowServer, kubeflow: ModelRegistryServer
) -> None:
    flt = following({"mlflow": {"uri": mlflow.uri}}, {"modelRegistry": {"uri": kubeflow.uri}})
    promoted(store, 1)
    keys = {"MLFLOW_TRACKING_TOKEN": "s3cret", "MODEL_REGISTRY_TOKEN": "t0ken"}
    elsewhere = {"MLFLOW_TRACKING_URI": "https://mlflow.example.com", "MODEL_REGISTRY_URL": "https://registry.example.com"}
    for settings in (keys, keys | elsewhere):
        follow_channel(store, flt, settings=settings)
        assert "Authorization" not in mlflow.headers
        assert "Authorization" not in kubeflow.headers
    follow_channel(store, flt, settings={**keys, "MLFLOW_TRACKING_URI": mlflow.uri, "MODEL_REGISTRY_URL": kubeflow.uri})
    assert mlflow.headers["Authorization"] == "Bearer s3cret"
    assert kubeflow.headers["Authorization"] == "Bearer t0ken"


def test_nothing_is_asked_before_anything_serves(store: Store, mlflow: MLflowServer) -> None:
    (found,) = follow_channel(store, following({"mlflow": {"uri": mlflow.uri}}))
    assert found.state == "nothing"
    assert mlflow.asked == []


@pytest.mark.parametrize(
    "registry",
    [
        {},
        {"mlflow": {"uri": "http://a"}, "modelRegistry": {"uri": "http://a"}},
        {"mlflow": {"uri": "http://anna:s3cret@a"}},
        {"mlflow": {"uri": "http://a?key=s3cret"}},
        {"mlflow": {"uri": "http://a", "token": "s3cret"}},
        {"mlflow": {"uri": "http://a", "name": "it's"}},
        {"wandb": {"uri": "http://a"}},
    ],
)
def test_a_registry_that_is_none_or_holds_a_key_is_refused(registry: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"spec\.promotion\.registries"):
        following(registry)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.slow
def test_a_real_mlflow_server_follows(store: Store, tmp_path: Path) -> None:
    if importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("alembic") is None:
        pytest.skip("mlflow with its server is an option, and not installed here")
    uri = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", str(tmp_path / "files")]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"})
    try:
        deadline = time.monotonic() + 200
        while True:
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.5)
        flt, first = following({"mlflow": {"uri": uri, "name": "A model"}}), promoted(store, 1)
        (made,) = follow_channel(store, flt)
        assert made.done == ["version 1 made", "alias production set to version 1"], made
        second = promoted(store, 2)
        assert [each.state for each in follow_channel(store, flt)] == ["mended"]
        assert [each.state for each in follow_channel(store, flt)] == ["right"]
        rollback(store, "demo", "production", to=None, said=ADA, verify=BY_HAND["verify"])
        (back,) = follow_channel(store, flt)
        assert back.done == ["alias production set to version 1"]
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        version = client.get_model_version_by_alias("A model", "production")
        assert version.tags["distillery.adapter"] == first
        assert client.get_run(version.run_id).data.metrics["mae"] > 0
        assert client.get_model_version("A model", "2").tags["distillery.adapter"] == second
        client.set_model_version_tag("A model", "1", "distillery.verdict", "another")
        assert follow_channel(store, flt)[0].done == ["version 1 brought up to date"]
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_the_model_registrys_own_client_reads_what_was_written(store: Store, kubeflow: ModelRegistryServer) -> None:
    if importlib.util.find_spec("model_registry") is None:
        pytest.skip("the Model Registry's client is not installed here")
    from model_registry import ModelRegistry

    adapter = promoted(store, 1)
    follow_channel(store, following({"modelRegistry": {"uri": kubeflow.uri}}))
    host, _, port = kubeflow.uri.rpartition(":")
    client = ModelRegistry(host, int(port), author="test", is_secure=False)
    assert client.get_registered_model("demo").custom_properties == {"distillery.channel.production": adapter[:12]}
    version = client.get_model_version("demo", adapter[:12])
    assert version.custom_properties["distillery.adapter"] == adapter
    assert version.custom_properties["mae"] > 0
    assert client.get_model_artifact("demo", adapter[:12]).uri == f"{store.uri}/adapters/demo/{adapter}"
