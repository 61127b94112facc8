"""A server of the Hub's wire format, as far as pushing and downloading a model need it; state is in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

KEY = "hf_made_up_key"


@dataclass
class Repo:
    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    large: set[str] = field(default_factory=set)

    def commit(self, files: dict[str, bytes]) -> str:
        names = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        number = str(len(self.commits))
        sha = hashlib.sha1(json.dumps([number, names], sort_keys=True).encode()).hexdigest()
        self.commits.append((sha, files))
        return sha

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        found = [commit for commit in self.commits if revision in ("main", commit[0])]
        return found[-1] if found else None


class Hub:
    """The server. `alter` changes a file as it is stored; `before_commit` runs as a commit arrives."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.alter: Callable[[str, bytes], bytes] = lambda name, data: data
        self.before_commit: Callable[[], object] = lambda: None
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def _answer(self, status: int, body: object = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", headers.pop("Content_Length", str(len(data))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        if not path.startswith("/blob/") and self.headers.get("Authorization") != f"Bearer {KEY}":
            return self._answer(401, {"error": "Invalid credentials"}, X_Error_Message="Invalid credentials")
        for pattern, method, answer in ROUTES:
            if self.command in method and (match := re.fullmatch(pattern, path)):
                return answer(self, body, *match.groups())
        return self._answer(404, {"error": f"no such route {self.command} {path}"})

    do_GET = do_POST = do_PUT = do_HEAD = _handle

    def _chunk(self) -> bytes:
        data = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return data

    # ---- what the client asks -----------------------------------------------------------------------------------------

    def create(self, body: bytes) -> None:
        wanted = json.loads(body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.hub.repos:
            return self._answer(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"})
        self.hub.repos[name] = Repo(wanted.get("visibility") == "private" or bool(wanted.get("private")))
        self.hub.repos[name].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        return self._answer(200, {"url": f"{self.hub.url}/{name}", "name": name})

    def info(self, _: bytes, name: str, revision: str = "main") -> None:
        repo = self.hub.repos.get(name)
        found = repo.at(revision) if repo else None
        if repo is None or found is None:
            return self._answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        siblings = [{"rfilename": file} for file in sorted(found[1])]
        return self._answer(200, {"id": name, "modelId": name, "sha": found[0], "private": repo.private, "siblings": siblings})

    def tree(self, _: bytes, name: str, revision: str) -> None:
        found = self.hub.repos[name].at(revision)
        assert found
        return self._answer(200, [self._entry(name, file, data) for file, data in sorted(found[1].items())])

    def _entry(self, name: str, file: str, data: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        if file in self.hub.repos[name].large:
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry

    def preupload(self, body: bytes, name: str, revision: str) -> None:
        names = [each["path"] for each in json.loads(body)["files"]]
        modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in names}
        files = [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()]
        return self._answer(200, {"files": files})

    def batch(self, body: bytes, name: str) -> None:
        wanted = json.loads(body)
        objects = []
        for each in wanted["objects"]:
            action = {"upload": {"href": f"{self.hub.url}/blob/{each['oid']}", "header": {}}}
            objects.append({**each, **({} if each["oid"] in self.hub.blobs else {"actions": action})})
        return self._answer(200, {"transfer": "basic", "objects": objects})

    def blob(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            return self._answer(400, {"error": "other bytes"})
        self.hub.blobs[oid] = body
        return self._answer(200)

    def commit(self, body: bytes, name: str, revision: str) -> None:
        self.hub.before_commit()
        repo = self.hub.repos[name]
        newest = repo.at("main")
        assert newest
        head, *operations = [json.loads(line) for line in body.splitlines() if line.strip()]
        parent = head["value"].get("parentCommit")
        if parent and parent != newest[0]:
            return self._answer(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = dict(newest[1])
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = self.hub.alter(value["path"], base64.b64decode(value["content"]))
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.alter(value["path"], self.hub.blobs[value["oid"]])
                repo.large.add(value["path"])
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files)
        return self._answer(200, {"success": True, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha})

    def resolve(self, _: bytes, name: str, revision: str, file: str) -> None:
        found = self.hub.repos[name].at(revision)
        if found is None or file not in found[1]:
            return self._answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        data = found[1][file]
        headers = {"X_Repo_Commit": found[0], "ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Accept_Ranges": "bytes"}
        return self._answer(200, data, **headers)

    def checked(self, _: bytes) -> None:
        return self._answer(200, {"errors": [], "warnings": []})


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES: list[tuple[str, tuple[str, ...], Callable[..., None]]] = [
    ("/api/repos/create", ("POST",), _Handler.create),
    ("/api/validate-yaml", ("POST",), _Handler.checked),
    (f"/api/models/{NAME}", ("GET",), _Handler.info),
    (f"/api/models/{NAME}/revision/([^/]+)", ("GET",), _Handler.info),
    (f"/api/models/{NAME}/tree/([^/]+)", ("GET",), _Handler.tree),
    (f"/api/models/{NAME}/preupload/([^/]+)", ("POST",), _Handler.preupload),
    (f"/api/models/{NAME}/commit/([^/]+)", ("POST",), _Handler.commit),
    (rf"/{NAME}\.git/info/lfs/objects/batch", ("POST",), _Handler.batch),
    ("/blob/([0-9a-f]{64})", ("PUT",), _Handler.blob),
    (f"/{NAME}/resolve/([^/]+)/(.+)", ("GET", "HEAD"), _Handler.resolve),
]
