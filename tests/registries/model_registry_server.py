"""A server that speaks the REST API of Kubeflow's Model Registry as far as we and its own client use it, in memory."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "/api/model_registry/"
KINDS = {"MetadataStringValue": "string_value", "MetadataDoubleValue": "double_value"}


class ModelRegistryServer:
    """What the server holds. `broken` is a status that it answers everything with; `writes` counts what changed it."""

    def __init__(self) -> None:
        self.uri, self.broken, self.writes = "", 0, 0
        self.api: tuple[str, ...] = ("v1", "v1alpha3")
        self.headers: dict[str, str] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, list[dict[str, Any]]] = {}

    def answer(self, method: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        self.writes += method != "GET"
        for value in body.get("customProperties", {}).values():
            assert value.keys() == {"metadataType", KINDS[value["metadataType"]]}
        version, _, path = path.removeprefix(API).partition("/")
        path = f"/{path}"
        if version not in self.api:
            return 404, "404 page not found"
        if path == "/registered_models" and method == "GET":
            rows = [*self.models.values()]
            return 200, {"items": rows, "size": len(rows), "pageSize": 1, "nextPageToken": ""}
        if path == "/registered_model":
            return self._one(row for row in self.models.values() if row["name"] == query["name"])
        if path == "/registered_models" and method == "POST":
            return self._made(self.models, body, {"name"})
        if path == "/model_version":
            wanted = {"name": query["name"], "registeredModelId": query["parentResourceId"]}
            return self._one(row for row in self.versions.values() if wanted.items() <= row.items())
        if path == "/model_versions" and method == "POST":
            return self._made(self.versions, body, {"name", "registeredModelId"})
        if match := re.fullmatch(r"/model_versions/([0-9]+)/artifacts", path):
            rows = self.artifacts.setdefault(match[1], [])
            if method == "POST":
                assert body["artifactType"] == "model-artifact"
                rows.append({"id": str(100 + len(rows)), **body})
                return 201, rows[-1]
            return 200, {"items": rows, "size": len(rows), "pageSize": len(rows), "nextPageToken": ""}
        if path == "/model_artifact":
            return self._one(row for row in self.artifacts[query["parentResourceId"]] if row["name"] == query["name"])
        if match := re.fullmatch(r"/registered_models/([0-9]+)/versions", path):
            rows = [row for row in self.versions.values() if row["registeredModelId"] == match[1]]
            return 200, {"items": rows, "size": len(rows), "pageSize": len(rows), "nextPageToken": ""}
        if match := re.fullmatch(r"/(registered_models|model_versions)/([0-9]+)", path):
            rows = self.models if match[1] == "registered_models" else self.versions
            rows[match[2]] |= body if method == "PATCH" else {}
            return 200, rows[match[2]]
        return 404, {"code": "", "message": f"no such path: {method} {path}"}

    def _one(self, rows: Iterable[dict[str, Any]]) -> tuple[int, Any]:
        found = next(iter(rows), None)
        return (200, found) if found else (404, {"code": "", "message": "not found"})

    def _made(self, rows: dict[str, dict[str, Any]], body: dict[str, Any], unique: set[str]) -> tuple[int, Any]:
        if any(all(row[key] == body[key] for key in unique) for row in rows.values()):
            return 409, {"code": "", "message": "already exists"}
        number = str(len(self.models) + len(self.versions) + 1)
        rows[number] = {"id": number, "customProperties": {}, **body}
        return 201, rows[number]


@contextmanager
def model_registry_server() -> Iterator[ModelRegistryServer]:
    """Serve an empty Model Registry on this machine while the block runs."""
    state = ModelRegistryServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.headers = dict(self.headers)
            status, found = state.broken, {"code": "", "message": "no"}
            if not state.broken:
                status, found = state.answer(self.command, parts.path, query, json.loads(data) if data else {})
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PATCH = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.uri = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
