"""Kubeflow Pipelines' API as far as `distillery submit` uses it, over real HTTP, with faults on demand."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PIPELINES = {"p1": "distill", "p2": "score", "p3": "select-student"}


def _named(query: str, things: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that the query's filter names; all where it has none."""
    asked = parse_qs(query).get("filter", [""])[0]
    wanted = json.loads(asked)["predicates"][0]["stringValue"] if asked else None
    return [thing for thing in things if wanted in (None, thing["display_name"])]


@dataclass
class FakeKubeflow:
    """runs: what was created, by id, in the API's own words. down: every request ends without a reply. busy: they get 503.

    lose_replies: so many runs are created without a word to who asked. forgets: that a run was cancelled.
    refuses: to end one, or to take a version. hides: every run (403), as from another profile.
    login: sends every request to one.
    """

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    down: bool = False
    busy: bool = False
    lose_replies: int = 0
    forgets: bool = False
    refuses: bool = False
    hides: bool = False
    login: bool = False
    versions: list[dict[str, Any]] = field(default_factory=list)
    recurring: dict[str, dict[str, Any]] = field(default_factory=dict)
    on_create: Callable[[str], None] = lambda run: None
    refused: int = 0

    def __enter__(self) -> FakeKubeflow:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self, None)

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                fake.answer(self, self.rfile.read(length))

            def do_DELETE(self) -> None:
                fake.answer(self, b"delete")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def publish(self, name: str) -> None:
        at = f"2026-01-01T00:00:{len(self.versions):02d}Z"
        self.versions.append({"pipeline_version_id": f"id-of-{name}", "display_name": name, "created_at": at})

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> None:
        if self.down or self.busy:
            self.refused += 1
            return None if self.down else self._reply(handler, {"message": "busy"}, 503)
        if self.login:
            handler.send_response(302)
            handler.send_header("Location", "/login")
            handler.send_header("Content-Length", "0")
            return handler.end_headers()
        url = urlsplit(handler.path)
        parts = url.path.removeprefix("/apis/v2beta1/").split("/")
        match parts, body:
            case ["healthz"], None:
                self._reply(handler, {"multi_user": False})
            case ["", "apis", "v1beta1", "healthz"], None:
                self._reply(handler, {"multi_user": False, "tag_name": "2.14.3"})
            case ["pipelines"], None:
                known = [{"pipeline_id": number, "display_name": name} for number, name in PIPELINES.items()]
                self._reply(handler, {"pipelines": _named(url.query, known)})
            case ["pipelines", number, "versions"], None:
                ours = [version for version in self.versions if version["display_name"].startswith(PIPELINES[number])]
                self._reply(handler, {"pipeline_versions": ours})
            case ["pipelines", _, "versions", found], None:
                images = ("registry/torch:1", "registry/light:1", "registry/light:1")
                executors = {f"exec-{n}": {"container": {"image": image}} for n, image in enumerate(images)}
                spec = {"pipeline_spec": {"deploymentSpec": {"executors": {**executors, "exec-importer": {"importer": {}}}}}}
                self._reply(handler, {"pipeline_version_id": found, "pipeline_spec": spec})
            case ["pipelines", "upload_version"], _ if self.refuses:
                self._reply(handler, {"error": "no permission"}, 403)
            case ["pipelines", "upload_version"], _:
                self.publish(parse_qs(url.query)["name"][0])
                self._reply(handler, self.versions[-1])
            case ["experiments"], None:
                self._reply(handler, {})
            case ["experiments"], _:
                self._reply(handler, {"experiment_id": "e1", **json.loads(body or b"{}")})
            case ["recurringruns"], None:
                self._reply(handler, {"recurringRuns": _named(url.query, self.recurring.values())})
            case ["recurringruns"], _ if self.refuses:
                self._reply(handler, {"error": "no permission"}, 403)
            case ["recurringruns"], _:
                made = {**json.loads(body or b"{}"), "recurring_run_id": str(uuid.uuid4())}
                made |= {"status": f"{made['mode']}D", "created_at": f"2026-01-01T00:00:{len(self.recurring):02d}Z"}
                self.recurring[made["recurring_run_id"]] = made
                if self.lose_replies:
                    self.lose_replies -= 1
                    return
                self._reply(handler, made)
            case ["recurringruns", found], b"delete":
                self.recurring.pop(found)
                self._reply(handler, {})
            case ["recurringruns", action], _ if action.endswith((":enable", ":disable")):
                found, _, verb = action.rpartition(":")
                self.recurring[found]["status"] = f"{verb.upper()}D"
                self._reply(handler, {})
            case ["runs"], None:
                self._reply(handler, {"runs": _named(url.query, self.runs.values())})
            case ["runs"], _:
                run = {**json.loads(body or b"{}"), "run_id": str(uuid.uuid4()), "state": "RUNNING", "state_history": []}
                self.runs[run["run_id"]] = run
                self.on_create(run["run_id"])
                if self.lose_replies:
                    self.lose_replies -= 1
                    return
                self._reply(handler, run)
            case ["runs", _], None if self.hides:
                self._reply(handler, {"error": "not authorized"}, 403)
            case ["runs", run], None:
                found = self.runs.get(run)
                self._reply(handler, found or {"code": 5, "message": "not found"}, 200 if found else 404)
            case ["runs", action], _ if action.endswith(":terminate") and self.refuses:
                self._reply(handler, {"message": "no permission"}, 403)
            case ["runs", action], _ if action.endswith(":terminate"):
                found = self.runs[action.removesuffix(":terminate")]
                found["state"] = "FAILED"  # as the real one says in the end
                between = [] if self.forgets else [{"state": "CANCELING"}]
                found["state_history"] = [*between, {"state": "FAILED"}]
                self._reply(handler, {})
            case _:
                self._reply(handler, {"message": f"no {handler.path}"}, 404)

    def _reply(self, handler: BaseHTTPRequestHandler, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
