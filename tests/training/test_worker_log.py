"""A worker's log as the API server gives it: bytes, in lines that end at a newline, some of them bars of progress."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from distillery.components.remote import kubernetes as kube
from distillery.components.training.trainjob import Follower
from distillery.components.training.trainjob_api import Api
from distillery.filters.errors import InputError
from tests.training.conftest import Notes
from tests.training.fake_api import EVENT, at, pod

BAR = "\rLoading weights:   0%\rLoading weights: 100%\r"  # as tqdm prints it: one line, ended by what is printed next
TOLD = {**EVENT, "kind": "note", "text": "one"}


class Server(ThreadingHTTPServer):
    """An API server that has one log."""

    status, log = 200, b""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(running.status)
            self.send_header("Content-Type", "text/plain" if running.status == 200 else "application/json")
            self.send_header("Content-Length", str(len(running.log)))
            self.end_headers()
            self.wfile.write(running.log)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    running = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{running.server_port}"}}],
        "users": [{"name": "me", "user": {"token": "none"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    kube._api_client.cache_clear()
    yield running
    kube._api_client.cache_clear()
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        (b'{"a": 1.50}', ['{"a": 1.50}']),  # which kubernetes 30.1.0 gives as "{'a': 1.5}"
        (b"cut \xe2\x82\nnext\n", ["cut �", "next"]),  # for which it raises UnicodeDecodeError
        ("a\u2028b\x0c\x85c\rd\ne\n\n".encode(), ["a\u2028b\x0c\x85c\rd", "e", ""]),
        (b"", []),
    ],
)
def test_a_log_comes_as_it_was_printed(log: bytes, lines: list[str], server: Server) -> None:
    server.log = log
    assert kube.log_lines("a", "distillery") == lines


def test_a_log_that_cannot_be_had_is_told_in_the_servers_words(server: Server) -> None:
    server.status, server.log = 400, b'{"message": "container is waiting to start"}'
    with pytest.raises(InputError, match="waiting to start"):
        kube.log_lines("a", "distillery")
    assert Api("distillery").log("a", 10) == []


def test_what_a_worker_says_after_a_bar_of_progress_is_relayed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of the bar that is taken for a line's time is later than all times: "Loading" > "2026"."""
    first = f"{at(1, BAR + json.dumps(TOLD))}\n{at(2, BAR)}\n"
    rest = f"{at(3, {**TOLD, 'text': 'two'})}\n{at(4, {'error': {'what': 'no room'}})}\n"
    server.log = first.encode() + at(2, "").encode() + b"\xff\n" + rest.encode()
    monkeypatch.setattr(Api, "pods", lambda _, name: [pod("a", 0)])
    said = Notes()
    follower = Follower(Api("distillery"), "job", said)
    follower.look({"metadata": {"name": "job"}})
    assert said.notes == ["one", "two"]
    assert follower.error == {"error": {"what": "no room"}}
