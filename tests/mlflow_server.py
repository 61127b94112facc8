"""A server that speaks MLflow's REST API as far as we use it, in memory, with MLflow's own error codes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class MLflowServer:
    """What the server holds. `broken` is a status that it answers everything with; `headers` those of the last request."""

    def __init__(self) -> None:
        self.uri, self.broken, self.asked = "", 0, list[str]()
        self.headers: dict[str, str] = {}
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def answer(self, method: str, path: str, given: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(f"{method} {path}")
        found = getattr(self, path.replace("/", "_").replace("-", "_"), None)
        if found is None:
            raise Refusal(404, "ENDPOINT_NOT_FOUND")
        return found(given, method) or {}

    def experiments_get_by_name(self, given: dict[str, Any], _: str) -> dict[str, Any]:
        if given["experiment_name"] not in self.experiments:
            raise Refusal(404, "RESOURCE_DOES_NOT_EXIST")
        return {"experiment": {"experiment_id": self.experiments[given["experiment_name"]]}}

    def experiments_create(self, given: dict[str, Any], _: str) -> dict[str, Any]:
        if given["name"] in self.experiments:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS")
        self.experiments[given["name"]] = str(len(self.experiments) + 1)
        return {"experiment_id": self.experiments[given["name"]]}

    def runs_search(self, given: dict[str, Any], _: str) -> dict[str, Any]:
        match = re.fullmatch(r"tags\.`([^`]+)` = '([^']*)'", given["filter"])
        assert match
        found = [run for run in self.runs.values() if run["tags"].get(match[1]) == match[2]]
        found = [run for run in found if run["experiment"] in given["experiment_ids"]]
        return {"runs": [{"info": {"run_id": run["id"]}} for run in found]} if found else {}

    def runs_create(self, given: dict[str, Any], _: str) -> dict[str, Any]:
        number, tags = f"run{len(self.runs) + 1}", {row["key"]: row["value"] for row in given["tags"]}
        new = {"id": number, "experiment": given["experiment_id"], "tags": tags, "metrics": [], "status": "RUNNING"}
        self.runs[number] = new
        return {"run": {"info": {"run_id": number}}}

    def runs_log_batch(self, given: dict[str, Any], _: str) -> None:
        if len(given.get("metrics", [])) > 1000:
            raise Refusal(400, "INVALID_PARAMETER_VALUE")
        run = self.runs[given["run_id"]]
        run["metrics"] += given.get("metrics", [])
        run["tags"] |= {row["key"]: row["value"] for row in given.get("tags", [])}

    def runs_update(self, given: dict[str, Any], _: str) -> None:
        self.runs[given["run_id"]]["status"] = given["status"]

    def registered_models_create(self, given: dict[str, Any], _: str) -> None:
        if given["name"] in self.models:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS")
        self.models[given["name"]] = {"versions": [], "aliases": {}}

    def model_versions_search(self, given: dict[str, Any], _: str) -> dict[str, Any]:
        match = re.fullmatch(r"name ?= ?'([^']+)' and tags\.`([^`]+)` ?= ?'([^']*)'", given["filter"])
        assert match
        rows = self.models.get(match[1], {"versions": []})["versions"]
        return {"model_versions": [row for row in rows if {"key": match[2], "value": match[3]} in row["tags"]]}

    def model_versions_create(self, given: dict[str, Any], _: str) -> dict[str, Any]:
        if given["source"].startswith(("file:", "/")):
            raise Refusal(400, "INVALID_PARAMETER_VALUE")
        rows = self.models[given["name"]]["versions"]
        rows.append({**given, "version": str(len(rows) + 1)})
        return {"model_version": rows[-1]}

    def model_versions_update(self, given: dict[str, Any], _: str) -> None:
        self._version(given)["description"] = given["description"]

    def model_versions_set_tag(self, given: dict[str, Any], _: str) -> None:
        row = self._version(given)
        row["tags"] = [tag for tag in row["tags"] if tag["key"] != given["key"]]
        row["tags"].append({"key": given["key"], "value": given["value"]})

    def _version(self, given: dict[str, Any]) -> dict[str, Any]:
        rows = self.models[given["name"]]["versions"]
        return next(row for row in rows if row["version"] == given["version"])

    def registered_models_alias(self, given: dict[str, Any], method: str) -> dict[str, Any]:
        aliases = self.models.get(given["name"], {"aliases": {}})["aliases"]
        if method == "POST":
            aliases[given["alias"]] = given["version"]
            return {}
        if method == "DELETE":
            aliases.pop(given["alias"], None)
            return {}
        if given["alias"] not in aliases:
            raise Refusal(400, "INVALID_PARAMETER_VALUE")
        return {"model_version": self._version({**given, "version": aliases[given["alias"]]})}


@contextmanager
def mlflow_server() -> Iterator[MLflowServer]:
    """Serve an empty MLflow on this machine while the block runs."""
    state = MLflowServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply()

        do_POST = do_PATCH = do_DELETE = do_GET

        def reply(self) -> None:
            parts = urlsplit(self.path)
            given = {name: values[0] for name, values in parse_qs(parts.query).items()}
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            given |= json.loads(data) if data else {}
            state.headers = dict(self.headers)
            with state.lock:
                try:
                    if state.broken:
                        raise Refusal(state.broken, "INTERNAL_ERROR")
                    status, found = 200, state.answer(self.command, parts.path.removeprefix("/api/2.0/mlflow/"), given)
                except Refusal as error:
                    status, found = error.status, {"error_code": error.code, "message": "no"}
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

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
