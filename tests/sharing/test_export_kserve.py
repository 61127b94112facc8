"""Manifests for KServe are what kserve's own models parse, pass the restricted level, and start a server that exists."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import typer
import yaml
from kubernetes import client

from distillery.components.sharing import kserve
from distillery.components.sharing.kserve import Place, serving_runtime
from distillery.pipelines.cli import main
from tests.pipelines.harness import run_here
from tests.sharing.conftest import ADAPTER, Distillery

NAME, IMAGE = "village-gain", "registry.example/serve:v1"


@pytest.fixture(scope="module")
def exported(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kserve") / "kserve.yaml"
    words = ("--out", out, "--image", IMAGE, "--namespace", "models", "--json")
    ran = run_here("export", "kserve", "filter.yaml", *words, cwd=home)
    assert ran.code == 0, ran.err
    assert (ran.json["adapter"], ran.json["channel"], ran.json["image"]) == (ADAPTER, "production", IMAGE)
    assert ran.json["difference"] < 1e-3
    return out


def objects(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    runtime, service = yaml.safe_load_all(path.read_text("utf-8"))
    return runtime, service


@pytest.fixture(scope="module")
def models() -> Any:
    """Kserve's own models, without its server, which has requirements that this project can't meet."""
    if (found := find_spec("kserve")) is None:
        pytest.skip("kserve is not installed: pip install --no-deps kserve")
    package = ModuleType("kserve")
    package.__path__ = list(found.submodule_search_locations or ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kserve", package)
        from importlib import import_module

        made = import_module("kserve.models")
        for name in [name for name in vars(made) if name.startswith(("V1", "Knative", "Net"))]:
            patch.setattr(client.models, name, getattr(made, name), raising=False)
        yield made
    for name in [name for name in sys.modules if name.startswith("kserve.")]:
        del sys.modules[name]


@pytest.mark.parametrize("pinned", [False, True])
def test_kserves_own_models_know_every_key(
    pinned: bool, exported: Path, models: Any, distillery: Distillery, tmp_path: Path
) -> None:
    if pinned:
        exported = tmp_path / "pinned.yaml"
        words = ("--out", exported, "--api-key-secret", "keys")
        assert distillery("export", "kserve", ADAPTER[:12], *words).code == 0
    parse = client.ApiClient()
    for each, kind in zip(objects(exported), ("V1alpha1ServingRuntime", "V1beta1InferenceService"), strict=True):
        if kind == "V1beta1InferenceService":
            each["spec"]["predictor"]["model"]["name"] = ""  # their model says it, whoever leaves it out
        read = parse.deserialize(SimpleNamespace(data=json.dumps(each)), getattr(models, kind))
        assert parse.sanitize_for_serialization(read) == each


def test_a_key_that_kserve_does_not_know_would_show(exported: Path, models: Any) -> None:
    parse, service = client.ApiClient(), objects(exported)[1]
    service["spec"]["predictor"]["model"] |= {"name": "", "modelFormats": []}
    read = parse.deserialize(SimpleNamespace(data=json.dumps(service)), models.V1beta1InferenceService)
    kept = parse.sanitize_for_serialization(read)
    assert service["spec"]["predictor"]["model"].pop("modelFormats") == []
    assert kept == service


def test_the_service_is_named_as_the_model_is_and_follows_the_channel_or_stays(
    exported: Path, distillery: Distillery, tmp_path: Path
) -> None:
    runtime, service = objects(exported)
    assert (service["metadata"]["name"], service["metadata"]["namespace"]) == (NAME, "models")
    assert service["spec"]["predictor"]["model"]["args"] == ["--channel=production", NAME]
    assert service["metadata"]["annotations"]["llm-distillery.io/adapter"] == ADAPTER
    assert service["spec"]["predictor"]["model"]["runtime"] == runtime["metadata"]["name"]
    assert service["spec"]["predictor"]["model"]["modelFormat"] in [
        {key: each[key] for key in ("name", "version")} for each in runtime["spec"]["supportedModelFormats"]
    ]
    assert distillery("export", "kserve", ADAPTER[:12], "--out", tmp_path / "pinned.yaml").code == 0
    assert objects(tmp_path / "pinned.yaml")[1]["spec"]["predictor"]["model"]["args"] == [ADAPTER]


def test_the_command_of_the_pod_is_one_that_exists(exported: Path) -> None:
    runtime, service = objects(exported)
    words = [*runtime["spec"]["containers"][0]["args"], *service["spec"]["predictor"]["model"]["args"]]
    assert words[:2] == ["distillery", "serve"]
    context = typer.main.get_command(main.app).commands["serve"].make_context("serve", words[2:])  # type: ignore[attr-defined]
    assert (context.params["host"], context.params["port"], context.params["subjects"]) == ("0.0.0.0", 8080, [NAME])


def test_pods_pass_the_restricted_level(exported: Path) -> None:
    runtime, service = objects(exported)
    pod, (container,) = service["spec"]["predictor"], runtime["spec"]["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    assert {next(iter(each.keys() - {"name"})) for each in runtime["spec"]["volumes"]} <= {"emptyDir", "secret"}


def test_memory_is_that_of_the_plan_twice_where_one_adapter_takes_over_from_another(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distillery: Distillery
) -> None:
    real = kserve.serve_need

    def larger(*words: Any, **more: Any) -> Any:
        from dataclasses import replace

        return replace(real(*words, **more), weights=3 * 2**30)

    monkeypatch.setattr(kserve, "serve_need", larger)
    assert distillery("export", "kserve", "filter.yaml", "--out", tmp_path / "two.yaml").code == 0
    assert distillery("export", "kserve", ADAPTER, "--out", tmp_path / "one.yaml").code == 0
    limits = [
        int(objects(tmp_path / name)[1]["spec"]["predictor"]["model"]["resources"]["limits"]["memory"].removesuffix("Mi"))
        for name in ("one.yaml", "two.yaml")
    ]
    assert 3 * 1024 < limits[0] < 4 * 1024
    assert limits[1] == pytest.approx(2 * limits[0], abs=256)


def test_the_store_and_the_keys_come_from_where_the_place_says() -> None:
    here, there = Place("models", IMAGE), Place("models", IMAGE, "s3://bucket/main", "keys")
    one, other = (serving_runtime(place)["spec"] for place in (here, there))
    assert [each["name"] for each in one["containers"][0]["env"]] == ["DISTILLERY_CACHE"]
    assert one["containers"][0]["envFrom"][0]["configMapRef"] == {"name": "distillery", "optional": False}
    assert {"name": "DISTILLERY_STORE", "value": "s3://bucket/main"} in other["containers"][0]["env"]
    assert other["containers"][0]["args"][-1] == "--api-key-file=/etc/serving/keys"
    assert other["volumes"][-1] == {"name": "keys", "secret": {"secretName": "keys"}}


def test_the_same_export_again_changes_nothing_and_another_is_not_overwritten(exported: Path, distillery: Distillery) -> None:
    before, words = exported.read_bytes(), ("--out", exported, "--namespace", "models")
    assert distillery("export", "kserve", "filter.yaml", *words, "--image", IMAGE).code == 0
    ran = distillery("export", "kserve", "filter.yaml", *words, "--image", "other:1")
    assert (ran.code, "give --replace" in ran.err) == (2, True)
    assert exported.read_bytes() == before


def test_an_adapter_that_does_not_give_its_golden_scores_has_no_manifests(
    distillery: Distillery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.components.student import bundle

    real = bundle.Student.predict
    monkeypatch.setattr(bundle.Student, "predict", lambda *given: real(*given) + 0.01)
    ran = distillery("export", "kserve", "filter.yaml", "--out", tmp_path / "out.yaml")
    assert ran.code == 2
    assert "doesn't reproduce its golden predictions" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_what_reads_back_otherwise_is_not_exported(
    distillery: Distillery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kserve, "dump_value", lambda value: "kind: Other\n")
    ran = distillery("export", "kserve", "filter.yaml", "--out", tmp_path / "out.yaml")
    assert (ran.code, "was not written as it is" in ran.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_the_runtime_probes_and_secures_its_pods_as_the_serving_component_does() -> None:
    text = (Path(__file__).parents[2] / "manifests/components/serving/deployment.yaml").read_text("utf-8")
    (pod,) = (each["spec"]["template"]["spec"] for each in yaml.safe_load_all(text) if each["kind"] == "Deployment")
    (theirs,) = pod["containers"]
    runtime = serving_runtime(Place("models", IMAGE, keys="keys"))["spec"]
    (ours,) = runtime["containers"]
    ports = {each["name"]: each["containerPort"] for each in theirs["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        wanted = {**theirs[probe], "httpGet": {**theirs[probe]["httpGet"], "port": ports[theirs[probe]["httpGet"]["port"]]}}
        assert ours[probe] == wanted
    assert theirs["securityContext"].items() <= ours["securityContext"].items()
    assert pod["terminationGracePeriodSeconds"] == kserve.GRACE
    assert theirs["lifecycle"]["preStop"]["sleep"]["seconds"] == kserve.PAUSE
    mounts = [{each["mountPath"] for each in one["volumeMounts"]} for one in (ours, theirs)]
    assert mounts[0] == mounts[1]
