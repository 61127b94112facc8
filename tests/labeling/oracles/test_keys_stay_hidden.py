"""A planted key is sent to its service and found nowhere else: no log, however chatty, no error, no traceback, no file."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from distillery.components.labeling.label import label
from distillery.components.labeling.oracles import openai_batch, vertex_batch
from distillery.components.labeling.oracles.base import OracleError, RawReply, Request, open_oracle
from distillery.components.store import open_store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.labeling.oracles.openai_batch_server import OpenAIBatchServer
from tests.labeling.oracles.servers import HttpRequest, OpenAIServer, Server
from tests.labeling.oracles.vertex_server import VertexServer

Asking = Callable[..., Filter]
Requesting = Callable[..., Request]
FAULTS = ["401", "403", "400", "500", "429", "404", "garbage", "cut", "hang", "echo", "malformed", "empty", ""]


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All that any library logs, down to the last detail."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    loggers = [logging.getLogger(name) for name in ("", "openai", "httpx", "httpx2", "httpcore", "httpcore2", "google",
                                                    "google_genai", "urllib3", "requests", "asyncio")]  # fmt: skip
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(1)
        logger.propagate = True
    yield stream
    loggers[0].removeHandler(handler)
    for logger, level, propagate in before:
        logger.setLevel(level)
        logger.propagate = propagate


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def sent(server: Server, key: str) -> bool:
    """Whether the server was given the key at all; else the rest would prove nothing."""
    return any(key in str(request.headers) for request in server.requests)


def outcome_of(flt: Filter, request: Request) -> str:
    """All that can be seen of one call."""

    async def run() -> RawReply:
        oracle = open_oracle(flt)
        try:
            return await oracle.ask(request)
        finally:
            await oracle.close()

    try:
        return repr(asyncio.run(run()))
    except (OracleError, InputError) as error:
        return f"{error!r} {vars(error)} {traceback.format_exc()}"


@pytest.mark.parametrize("fault", FAULTS)
def test_openai(fault: str, key: str, asking: Asking, request_for: Requesting, everything_logged: io.StringIO) -> None:
    with OpenAIServer(fault=lambda article, asked: fault) as server:
        flt = asking(provider="openai", baseUrl=server.url, apiKeyEnv="ORACLE_API_KEY", timeoutSeconds=0.5)
        seen = outcome_of(flt, request_for(flt))
    assert sent(server, key)
    assert key not in seen
    assert seen
    assert key not in everything_logged.getvalue()
    assert fault in ("cut", "hang") or "httpx2" in everything_logged.getvalue()


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "echo"])
def test_vertex(fault: str, key: str, asking: Asking, request_for: Requesting, everything_logged: io.StringIO) -> None:
    with VertexServer(fault=lambda article, asked: fault) as server:
        flt = asking(provider="vertex", baseUrl=server.origin, apiKeyEnv="ORACLE_API_KEY", project="news", timeoutSeconds=0.5)
        seen = outcome_of(flt, request_for(flt))
    assert sent(server, key)
    assert key not in seen
    assert key not in everything_logged.getvalue()
    assert fault in ("cut", "hang") or "httpx" in everything_logged.getvalue()


@pytest.mark.parametrize(("token", "jobs"), [("another", []), (None, ["denied"]), (None, ["lost", "cancelled"])])
def test_vertex_batch(
    token: str | None,
    jobs: list[str],
    key: str,
    asking: Asking,
    request_for: Requesting,
    everything_logged: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    async def on_reply(request: Request, outcome: RawReply | OracleError) -> None:
        seen.append(repr(outcome))

    with VertexServer(token=token, jobs=jobs) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.origin)
        flt = asking(provider="vertex-batch", baseUrl=server.origin, apiKeyEnv="ORACLE_API_KEY", project="news",
                     batchPrefix="gs://bucket/labels")  # fmt: skip
        oracle = vertex_batch.connect(flt, poll=(0.01, 0.02))
        try:
            asyncio.run(oracle.run([request_for(flt)], on_reply))
        except InputError:
            seen.append(traceback.format_exc())
    assert sent(server, key)
    assert seen
    assert key not in "".join(seen)
    assert key not in everything_logged.getvalue()
    assert "urllib3" in everything_logged.getvalue()
    assert key.encode() not in b"".join(server.objects.values())


@pytest.mark.parametrize("server_key", [None, "another"])
@pytest.mark.parametrize("fault", ["echo", "401", "garbage", "400", ""])
def test_openai_batch(
    fault: str, server_key: str | None, key: str, asking: Asking, request_for: Requesting, everything_logged: io.StringIO
) -> None:
    seen: list[str] = []

    async def on_reply(request: Request, outcome: RawReply | OracleError) -> None:
        seen.append(repr(outcome))

    with OpenAIBatchServer(key=server_key, fault=lambda article, asked: fault) as server:
        flt = asking(provider="openai-batch", baseUrl=server.url, apiKeyEnv="ORACLE_API_KEY")
        oracle = openai_batch.connect(flt, poll=(0.01, 0.02))
        try:
            asyncio.run(oracle.run([request_for(flt)], on_reply, seen.append))
        except InputError:
            seen.append(traceback.format_exc())
    assert sent(server, key)
    assert seen
    assert key not in "".join(seen)
    assert key not in everything_logged.getvalue()
    assert key.encode() not in b"".join(data for name, data in server.files.items() if name == "file-0")


def test_nothing_that_labelling_writes(
    key: str,
    asking: Asking,
    tmp_path: Path,
    everything_logged: io.StringIO,
    write: Callable[[str, Iterable[Mapping[str, object]]], str],
) -> None:
    faults = dict(enumerate(["echo", "400", "500", "429-after-ms", "malformed", "empty"]))
    articles = write(
        "articles.jsonl",
        [{"id": f"{n}", "title": f"Article {n}", "content": f"Solar roof number {n} works well. " * 5} for n in range(24)],
    )
    asked: dict[str, int] = {}

    def fault(article: str, again: int) -> str | None:
        found = faults.get(asked.setdefault(article, len(asked)))
        return None if again and found and found.startswith(("4", "5")) else found  # few in a row, or the run stops

    with OpenAIServer(fault=fault) as server:
        flt = asking(provider="openai", baseUrl=server.url, apiKeyEnv="ORACLE_API_KEY")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("distillery.components.labeling.engine.PAUSE", 0.001)
            label(open_store(str(tmp_path / "store")), flt, articles=articles)
    assert sent(server, key)
    files = dict(written(tmp_path))
    assert any("dead" in name for name in files) or any(b"attempts" in data for data in files.values())
    assert not [name for name, data in files.items() if key.encode() in data]
    assert any(b"[key]" in data for data in files.values())  # what the server quoted was met, and hidden
    assert key not in everything_logged.getvalue()


@pytest.mark.parametrize("fault", ["401", ""])
def test_the_command(
    fault: str, key: str, asking: Asking, tmp_path: Path, write: Callable[[str, Iterable[Mapping[str, object]]], str]
) -> None:
    articles = write(
        "articles.jsonl",
        [{"id": f"{n}", "title": f"Article {n}", "content": f"Solar roof number {n} works well. " * 5} for n in range(4)],
    )
    document = asking(provider="openai", apiKeyEnv="ORACLE_API_KEY").model_dump(mode="json")
    filter_file = tmp_path / "filter.yaml"
    filter_file.write_text(json.dumps(document), encoding="utf-8")
    code = (
        "import logging, sys; logging.basicConfig(level=1); from distillery.pipelines.cli.main import main; "
        "sys.argv = ['distillery', *sys.argv[1:]]; main()"
    )
    with OpenAIServer(fault=lambda article, asked: fault) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, "label", str(filter_file), "--articles", articles, "--store", str(tmp_path / "store"),
             "--out", str(tmp_path / "labels.jsonl"), "--set", f"oracle.baseUrl={server.url}"],
            env={**os.environ, "OPENAI_LOG": "debug", "ORACLE_API_KEY": key}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode == (2 if fault else 0), done.stderr[-2000:]
    assert sent(server, key)
    assert "INFO:httpx2" in done.stderr
    assert key not in done.stdout + done.stderr
    assert not [name for name, data in written(tmp_path) if key.encode() in data]


def test_the_search_itself_would_find_it(key: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(f"…{key}…".encode())
    assert [name for name, data in written(tmp_path) if key.encode() in data]
    server = OpenAIServer()
    assert not sent(server, key)
    server.requests.append(HttpRequest("POST", "/", {"authorization": f"Bearer {key}"}, b""))
    assert sent(server, key)
