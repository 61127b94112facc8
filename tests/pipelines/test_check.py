"""`distillery check`: each thing that a run needs, there and not, found by the call that the run itself makes."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from distillery.components.remote import kubernetes as kube
from distillery.components.store import open_store
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from distillery.pipelines.checks import Check, bug_report, checks, run_check
from tests.labeling.conftest import FILTER
from tests.labeling.oracles.servers import OpenAIServer
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.pipelines.harness import Ran

KEY = "sk-planted-0123456789abcdef"


def filter_of(oracle: str) -> Filter:
    return load_filter_text(FILTER.replace("model: recorded", oracle), "demo.yaml")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No cluster, no key, no model hub."""
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "KFP_ENDPOINT", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-such-kubeconfig"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    kube._api_client.cache_clear()
    yield
    kube._api_client.cache_clear()


def made(flt: Filter | None, store: Path | str, **options: Any) -> dict[str, Check]:
    return {check.name: check for check in checks(flt, store=f"{store}", **options)}


def test_a_machine_alone_has_python_packages_and_a_place_for_the_store(tmp_path: Path) -> None:
    found = made(None, tmp_path / "new")
    assert {"python", "distillery", "extra light", "store"} <= {name for name, check in found.items() if check.status == "ok"}
    assert "pyarrow" in found["extra light"].what
    assert found["kubeflow"].status == found["kubernetes"].status == "absent"
    assert not (tmp_path / "new").exists()


def test_a_package_that_is_missing_is_named_with_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distillery.pipelines.checks.find_spec", lambda module: None if module == "pyarrow" else object())
    check = made(None, tmp_path / "new")["extra light"]
    assert (check.status, check.what, check.code) == ("absent", "lacks pyarrow", 0)
    assert "pip install '.[light]'" in check.hint


def test_a_store_that_no_run_could_use_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    for place in (tmp_path / "file", "gs://bucket/prefix"):
        check = made(None, place)["store"]
        assert (check.status, check.code) == ("fault", 2), check


def test_a_key_that_is_not_set_is_a_fault_and_its_variable_is_named(tmp_path: Path) -> None:
    check = made(filter_of("provider: openai, model: gpt-4o-mini"), tmp_path)["oracle"]
    assert (check.status, check.code) == ("fault", 2)
    assert "OPENAI_API_KEY is not set" in check.what.replace("environment variable ", "").replace(":", "")


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({}, "ok", "a score for each dimension"),
        ({"storm": {"401": 1.0}}, "fault", "OPENAI_API_KEY"),
        ({"storm": {"500": 1.0}}, "fault", "500"),
        ({"storm": {"malformed": 1.0}}, "fault", "can't be used"),
        ({"storm": {"no_usage": 1.0}}, "ok", "without a count of tokens"),
    ],
)
def test_the_oracle_is_asked_once_and_only_with_call(
    options: dict[str, Any], status: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with OpenAIServer(**options) as server:
        flt = filter_of(f"provider: openai, model: gpt-4o-mini, baseUrl: '{server.url}'")
        assert "--call asks it once" in made(flt, tmp_path)["oracle"].what
        assert server.counters.calls == 0
        check = made(flt, tmp_path, call=True)["oracle"]
        assert server.counters.calls == 1
    assert check.status == status, check
    assert words in check.what
    assert KEY not in check.what + check.hint


def test_a_price_is_told_and_one_that_is_unknown_too(tmp_path: Path) -> None:
    assert made(filter_of("provider: openai, model: gpt-4o-mini"), tmp_path)["price"].what.startswith("$0.15 a million")
    check = made(filter_of("provider: openai, model: home-grown"), tmp_path)["price"]
    assert (check.status, check.code) == ("absent", 0)
    assert "--prices" in check.hint
    (tmp_path / "prices.yaml").write_text("models: {home-grown: {input: 1, output: 2}}", encoding="utf-8")
    prices = str(tmp_path / "prices.yaml")
    assert made(filter_of("provider: openai, model: home-grown"), tmp_path, prices=prices)["price"].status == "ok"


def test_a_base_model_of_the_hub_is_not_fetched_to_check_it(tmp_path: Path) -> None:
    flt = load_filter_text(FILTER.replace("tiny/base", "somebody/some-model"), "demo.yaml")
    check = made(flt, tmp_path)["base model"]
    assert (check.status, check.code) == ("absent", 0)
    assert "was not fetched" in check.what
    broken = load_filter_text(FILTER.replace("tiny/base", "./no-such-folder"), "demo.yaml")
    assert (made(broken, tmp_path)["base model"].status) == "fault"


def test_kubeflow_tells_its_newest_version_and_a_wrong_address_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeKubeflow() as fake:
        check = made(None, tmp_path, endpoint=fake.endpoint)["pipeline distill"]
        assert (check.status, check.code) == ("fault", 2)
        assert "distillery pipelines publish" in check.hint
        fake.publish("distill-1")
        found = made(None, tmp_path, endpoint=fake.endpoint)
        assert found["kubeflow"].what == f"{fake.endpoint}: 2.14.3"
        assert found["pipeline distill"].what == "distill-1 with registry/light:1, registry/torch:1"
        fake.login = True
        refused = made(None, tmp_path, endpoint=fake.endpoint)["kubeflow"]
        assert (refused.status, refused.what.endswith("a login is asked for")) == ("fault", True)
    monkeypatch.setattr("distillery.pipelines.cluster.kubeflow.FIRST_CONTACT", 0.1)
    away = made(None, tmp_path, endpoint=fake.endpoint)["kubeflow"]
    assert (away.status, away.code) == ("fault", 1)


class Kubernetes:
    """/version and /apis of an API server that serves the groups it is made with."""

    def __init__(self, folder: Path, *groups: str) -> None:
        served = [{"groupVersion": f"{group}/v1", "version": "v1"} for group in groups]
        listed = [
            {"name": group, "versions": [version], "preferredVersion": version}
            for group, version in zip(groups, served, strict=True)
        ]
        info = dict.fromkeys(
            ("major", "minor", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"), "x"
        )
        replies = {"/version/": {**info, "gitVersion": "v1.34.4"}, "/apis/": {"groups": listed}}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(replies[self.path]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        config = {"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}], "current-context": "x"}
        (folder / "kubeconfig").write_text(yaml.safe_dump(config), encoding="utf-8")


@pytest.mark.parametrize("groups", [(), ("trainer.kubeflow.org",), ("trainer.kubeflow.org", "kueue.x-k8s.io")])
def test_a_cluster_tells_its_version_trainer_and_kueue(
    groups: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Kubernetes(tmp_path, *groups)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    try:
        found = made(None, tmp_path / "store")
    finally:
        cluster.server.shutdown()
    assert (found["kubernetes"].status, found["kubernetes"].what) == ("ok", "v1.34.4")
    served = {name for name in ("trainer", "kueue") if found[name].status == "ok"}
    assert len(served) == len(groups)
    assert all(found[name].hint for name in {"trainer", "kueue"} - served)


def test_the_command_ends_as_the_run_would_and_prints_one_json_object(
    distillery: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "filter.yaml").write_text(FILTER.replace("model: recorded", "provider: openai, model: m"), encoding="utf-8")
    ran = distillery("check", "filter.yaml", "--json", "--profile", "laptop")
    assert ran.code == 2
    assert {check["name"]: check["status"] for check in ran.json["checks"]}["oracle"] == "fault"
    assert distillery("check").code == 0


def test_a_bug_report_names_versions_and_no_place_of_the_users(tmp_path: Path) -> None:
    open_store(str(tmp_path / "my-secret-project"))
    with FakeKubeflow() as fake:
        fake.publish("distill-1")
        found = list(checks(None, store=str(tmp_path / "my-secret-project"), endpoint=fake.endpoint))
    report = bug_report(found)
    assert "| distillery | ok |" in report
    assert "- kfp 2." in report
    for place in ("my-secret-project", "registry/light", fake.endpoint):
        assert any(place in check.what for check in found)
        assert place not in report


def test_what_the_system_raises_is_one_checks_fault_and_a_defect_stays_one() -> None:
    def full() -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/x")

    def broken() -> str:
        raise AttributeError("a defect")

    check = run_check("store", full)
    assert (check.status, check.code) == ("fault", 2)
    assert "No space left on device" in check.what
    with pytest.raises(AttributeError):
        run_check("store", broken)
