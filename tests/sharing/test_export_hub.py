"""A push through the real Hub client to a server of the Hub's wire format: one commit, read back, scored, and nothing lost."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.pipelines.harness import Ran, run_here
from tests.sharing.conftest import ADAPTER
from tests.sharing.hub_server import KEY, Hub

REPO = "somebody/village-gain"
Push = Callable[..., Ran]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # the server speaks Git LFS
    monkeypatch.setenv("HF_TOKEN", KEY)
    with Hub() as server:
        yield server


@pytest.fixture
def push(hub: Hub, home: Path) -> Push:
    def pushed(*words: object) -> Ran:
        return run_here(
            "export", "hub", "filter.yaml", "--to", REPO, "--endpoint", hub.url, "--with-base", *map(str, words), cwd=home
        )

    return pushed


def files(hub: Hub) -> dict[str, bytes]:
    return hub.repos[REPO].commits[-1][1]


def test_a_push_is_one_commit_that_is_read_back_and_scored(push: Push, hub: Hub) -> None:
    ran = push("--private", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["adapter"], ran.json["reused"], ran.json["difference"] < 1e-3) == (ADAPTER, False, True)
    assert ran.json["revision"] == hub.repos[REPO].commits[-1][0]
    assert len(hub.repos[REPO].commits) == 2, "one of the Hub's own, and one"
    assert hub.repos[REPO].private
    assert hashlib.sha256(files(hub)["manifest.json"]).hexdigest() == ADAPTER
    assert "adapter_model.safetensors" in hub.repos[REPO].large
    read = [path for method, path in hub.requests if method == "GET" and "/resolve/" in path]
    assert {path.rpartition("/resolve/")[2].partition("/")[2] for path in read} >= files(hub).keys() - {".gitattributes"}
    assert KEY not in ran.out + ran.err


def test_the_same_again_sends_nothing(push: Push, hub: Hub) -> None:
    assert push().code == 0
    before = len(hub.requests)
    ran = push("--json")
    assert (ran.code, ran.json["reused"]) == (0, True), ran.err
    assert {method for method, _ in hub.requests[before:]} <= {"GET", "HEAD"}


def test_a_dry_run_says_what_would_be_sent_and_asks_nobody(push: Push, hub: Hub) -> None:
    ran = push("--dry-run", "--json")
    assert ran.code == 0, ran.err
    assert "adapter_model.safetensors" in ran.json["files"]
    assert ran.json["revision"] == ""
    assert hub.requests == []
    assert "adapter_model.safetensors" in push("--dry-run").out


def test_another_content_is_kept_unless_it_may_be_replaced_and_then_stays_in_the_history(push: Push, hub: Hub) -> None:
    assert push().code == 0
    theirs = {**files(hub), "README.md": b"mine", "notes.txt": b"years of work"}
    hub.repos[REPO].commit(theirs)
    ran = push()
    assert ran.code == 2
    assert "holds something else" in ran.err
    assert "give --replace: its history is kept" in ran.err
    assert files(hub) == theirs
    assert push("--replace").code == 0
    assert "notes.txt" not in files(hub)
    assert hub.repos[REPO].commits[-2][1] == theirs


def test_what_somebody_commits_meanwhile_is_not_overwritten(push: Push, hub: Hub) -> None:
    assert push().code == 0
    hub.repos[REPO].commit({"README.md": b"an older one"})
    hub.before_commit = lambda: hub.repos[REPO].commit({"README.md": b"theirs"})
    ran = push("--replace")
    assert ran.code == 2
    assert "somebody else committed meanwhile; nothing was overwritten" in ran.err
    assert files(hub) == {"README.md": b"theirs"}


@pytest.mark.parametrize("name", ["golden.json", "adapter_model.safetensors", "base/model.safetensors", "README.md"])
def test_what_is_stored_otherwise_than_sent_fails_the_export(name: str, push: Push, hub: Hub) -> None:
    hub.alter = lambda path, data: data[:-1] + b"x" if path == name else data
    ran = push()
    assert ran.code == 2
    assert f"{REPO}@" in ran.err
    assert "was not stored as it was sent; don't use that commit" in ran.err


def test_what_scores_otherwise_there_fails_the_export(push: Push, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.sharing import hub as module

    def another(api: object, repo: str, revision: str, folder: Path, to: Path) -> bool:
        shutil.copytree(folder, to)
        data = (to / "base" / "model.safetensors").read_bytes()
        (to / "base" / "model.safetensors").write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
        return True

    monkeypatch.setattr(module, "_holds", another)
    ran = push()
    assert ran.code == 2
    assert "what was written gives other scores than the adapter" in ran.err
    assert f"{REPO}@{hub.repos[REPO].commits[-1][0][:12]}" in ran.err


def test_a_refusal_is_one_line_without_the_key(push: Push, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong_key")
    ran = push()
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "the Hub refuses this; set HF_TOKEN to a key that may write there" in ran.err
    assert "hf_wrong_key" not in ran.out + ran.err


def test_a_hub_that_is_not_there_is_one_line(home: Path, hub: Hub) -> None:
    words = ["export", "hub", "filter.yaml", "--with-base", "--endpoint", "http://127.0.0.1:1"]
    ran = run_here(*words, "--to", REPO, cwd=home)
    assert (ran.code, len(ran.errors)) == (2, 1), ran.err
    ran = run_here(*words, "--to", "no/such/name", cwd=home)
    assert "--to no/such/name: is no repository; write OWNER/NAME" in ran.err
