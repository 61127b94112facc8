"""The cluster that is spoken to is kubectl's, whichever files KUBECONFIG names."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from distillery.components.remote import kubernetes as remote
from distillery.filters.errors import InputError
from distillery.pipelines.operator.main import _login


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    remote._api_client.cache_clear()
    yield
    remote._api_client.cache_clear()


def kubeconfig(path: Path, name: str, *, current: str | None) -> str:
    """Write a file with one cluster, of that name, and return its path."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"http://{name}.invalid"}}],
        "users": [{"name": name, "user": {"token": name}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        **({} if current is None else {"current-context": current}),
    }
    path.write_text(json.dumps(config))
    return str(path)


def server() -> str:
    return str(remote.core().api_client.configuration.host)


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        (("one", "two"), "one"),  # kubernetes 30.1.0 by itself: two (KubeConfigMerger.load_config sets it for each file)
        (("", "two"), "two"),
        ((None, "two"), "two"),
        (("two", "one"), "two"),
    ],
)
def test_of_several_files_the_first_that_names_a_context_counts(
    named: tuple[str | None, str | None], chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl 1.32 does, and kopf 1.45.2: "preserve the context of the first file to set current-context".

    The rules are those of Kubernetes' page "Organizing Cluster Access Using kubeconfig Files". With the client's own choice
    kubectl would show one cluster, and Jobs would start on another.
    """
    files = [
        kubeconfig(tmp_path / f"{name}.json", name, current=current)
        for name, current in zip(("one", "two"), named, strict=True)
    ]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(files))
    assert server() == f"http://{chosen}.invalid"
    assert _login()["server"] == server(), "the operator's watch"


def test_a_file_that_is_missing_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = kubeconfig(tmp_path / "two.json", "two", current="two")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / "none"), there]))
    assert server() == "http://two.invalid"


def test_an_empty_variable_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube" / "config", "home", current="home")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "")
    assert server() == "http://home.invalid"


@pytest.mark.parametrize("text", ["a: [", "- 1", "just words"])
def test_a_file_that_is_no_kubeconfig_is_told_in_one_line(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(InputError, match="no kubeconfig can be read") as told:
        server()
    assert str(tmp_path / "config") in str(told.value)


def test_the_proxy_of_a_kubeconfig_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubectl reads a cluster's proxy-url, and so does kopf; the client (30.1.0) leaves it unread, and finds no such host."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
    file = Path(kubeconfig(tmp_path / "config", "away", current="away"))
    config = json.loads(file.read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = f"http://127.0.0.1:{proxy.server_port}"
    file.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert remote.cluster_settings("distillery") == {}
    assert asked == ["http://away.invalid/api/v1/namespaces/distillery/configmaps/distillery"]
    assert _login()["proxy_url"] == config["clusters"][0]["cluster"]["proxy-url"]
    proxy.shutdown()
    proxy.server_close()

    remote._api_client.cache_clear()
    config["clusters"][0]["cluster"]["proxy-url"] = "socks5://me:secret@127.0.0.1:1080"
    file.write_text(json.dumps(config))
    with pytest.raises(InputError, match="the scheme socks5 can't be used") as told:
        remote.core()
    assert "secret" not in str(told.value)
