"""As much of a Kubernetes API server as kopf's watch asks of one, over HTTP, with a kubeconfig that names it."""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

GROUP = "llm-distillery.io"
KIND = {"name": "filters", "singularName": "filter", "namespaced": True, "kind": "Filter", "verbs": ["get", "list", "watch"]}
NAMESPACES = {"name": "namespaces", "singularName": "namespace", "namespaced": False, "kind": "Namespace", "verbs": ["list"]}


class FakeApi:
    """Lists `items`, then streams what `tell` is given. `asked`: method and path of each request."""

    def __init__(self, folder: Path) -> None:
        self.items: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.events: dict[str, dict[str, Any]] = {}
        self.streams: list[queue.Queue[dict[str, Any] | None]] = []
        self.kubeconfig = folder / "kubeconfig"

    def tell(self, kind: str, value: dict[str, Any]) -> None:
        for stream in self.streams:
            stream.put({"type": kind, "object": value})

    def __enter__(self) -> FakeApi:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake.answer(self)

            def do_PUT(self) -> None:
                fake.write(self)

            def do_POST(self) -> None:
                fake.write(self)

            def do_PATCH(self) -> None:
                fake.asked.append(f"PATCH {self.path}")
                self.send_error(403)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        where = f"http://127.0.0.1:{self.server.server_port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "distillery"}}],
            "clusters": [{"name": "here", "cluster": {"server": where}}],
            "users": [{"name": "me", "user": {"token": "none"}}],
        }
        self.kubeconfig.write_text(json.dumps(config))
        return self

    def __exit__(self, *error: object) -> None:
        for stream in self.streams:
            stream.put(None)
        self.server.shutdown()
        self.server.server_close()

    def write(self, handler: BaseHTTPRequestHandler) -> None:
        """Take a status or an event: a status whose object was changed meanwhile, and an event twice, are conflicts."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        url = urlsplit(handler.path)
        self.asked.append(f"{handler.command} {url.path}")
        parts = url.path.strip("/").split("/")
        if parts[-1] == "status":
            found = next((one for one in self.items if one["metadata"]["name"] == parts[-2]), None)
            stale = found is not None and found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]
            if found is None or stale:
                return self._reply(handler, {"message": "changed" if stale else "none"}, 409 if stale else 404)
            found["status"] = body["status"]
            found["metadata"]["resourceVersion"] += "1"
            return self._reply(handler, found)
        name = body["metadata"]["name"]
        if name in self.events:
            return self._reply(handler, {"message": "it exists"}, 409)
        self.events[name] = body
        return self._reply(handler, body, 201)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        self.asked.append(f"GET {url.path}{'?watch' if 'watch' in parse_qs(url.query) else ''}")
        if "watch" in parse_qs(url.query):
            return self._stream(handler)
        version = {"groupVersion": f"{GROUP}/v1alpha1", "version": "v1alpha1"}
        found: dict[str, Any] = {
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [NAMESPACES]},
            "/apis": {"groups": [{"name": GROUP, "versions": [version], "preferredVersion": version}]},
            f"/apis/{GROUP}/v1alpha1": {"resources": [KIND]},
        }
        listed = {"metadata": {"resourceVersion": "1"}, "items": self.items}
        last = url.path.rsplit("/", 1)[-1]
        if url.path not in found and last != "filters":
            one = next((one for one in self.items if one["metadata"]["name"] == last), None)
            return self._reply(handler, one or {"message": "none"}, 200 if one else 404)
        self._reply(handler, found.get(url.path, listed))

    def _reply(self, handler: BaseHTTPRequestHandler, value: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _stream(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        mine: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.streams.append(mine)
        while (event := mine.get()) is not None:
            line = json.dumps(event).encode() + b"\n"
            handler.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")
