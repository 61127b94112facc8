"""The operator's process logs in at the API server that a kubeconfig names, and watches the objects of its namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
KIND = {
    "name": "filters",
    "singularName": "filter",
    "kind": "Filter",
    "namespaced": True,
    "verbs": ["get", "list", "patch", "watch"],
}
GROUPS = [{"name": "llm-distillery.io", "versions": [{"version": "v1alpha1"}], "preferredVersion": {"version": "v1alpha1"}}]
# The process without its looks at store and Kubeflow: there are no objects.
PROCESS = """
from distillery.pipelines.operator.main import Operator, serve

class Nothing(Operator):
    def start(self):
        pass

serve(Nothing(None, "distillery"), liveness="", metrics_port=0)
"""


@pytest.fixture
def asked() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """An API server with no objects, and what it was asked with which token."""
    found: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            found.append((self.path, self.headers.get("Authorization", "")))
            answers: dict[str, Any] = {
                "/api": {"versions": ["v1"]},
                "/api/v1": {
                    "resources": [{"name": "namespaces", "singularName": "namespace", "kind": "Namespace", "namespaced": False}]
                },
                "/apis": {"groups": GROUPS},
                "/apis/llm-distillery.io/v1alpha1": {"resources": [KIND]},
            }
            body = json.dumps(answers.get(path, {"metadata": {"resourceVersion": "1"}, "items": []})).encode()
            if "watch=true" in self.path:
                body = b""
                time.sleep(0.5)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", found
    server.shutdown()
    server.server_close()


CREDENTIAL = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "kind": "ExecCredential",
    "status": {"token": "a-token"},
}
PLUGIN = {
    "apiVersion": CREDENTIAL["apiVersion"],
    "command": "echo",
    "args": [json.dumps(CREDENTIAL)],
    "interactiveMode": "Never",
}


# The second as clouds have it.
@pytest.mark.parametrize("user", [{"token": "a-token"}, {"exec": PLUGIN}], ids=["token", "exec"])
def test_the_process_logs_in_and_watches(
    user: dict[str, Any], asked: tuple[str, list[tuple[str, str]]], tmp_path: Path
) -> None:
    address, found = asked
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": address}}],
        "users": [{"name": "me", "user": user}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    env = {**os.environ, "KUBECONFIG": str(tmp_path / "config"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:

        def watched() -> bool:
            return any("/namespaces/distillery/filters" in path and "watch=true" in path for path, _ in found)

        until = time.monotonic() + 60
        while not watched() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert watched(), said[-2000:]
    assert {token for _, token in found if token} == {"Bearer a-token"}
