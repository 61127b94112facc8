"""Articles and labels come from a file, a folder, a prefix of a bucket, or a data set of a hub; each is one input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.articles import Rejects, read_articles
from distillery.components.articles.input_files import local_input, require_input
from distillery.components.scoring.corpus import find_corpus
from distillery.filters.errors import InputError


def fill(folder: Path) -> Path:
    for name in ("language=en/a.jsonl", "language=nl/b.jsonl"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"id": name, "content": f"Text of {name}."}) + "\n")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def languages(uri: str) -> list[tuple[str, str]]:
    require_input(uri, parameter="articles")
    with local_input(uri, parameter="articles") as path:
        return [(article.id, article.language) for article in read_articles(path, rejects=Rejects())]


WANTED = [("language=en/a.jsonl", "en"), ("language=nl/b.jsonl", "nl")]


def test_a_folder_is_one_input(tmp_path: Path) -> None:
    assert languages(str(fill(tmp_path / "it's 100%"))) == WANTED
    assert languages(str(tmp_path / "it's 100%" / "language=en" / "a.jsonl")) == [("language=en/a.jsonl", "")]


@pytest.mark.parametrize("uri", ["/nowhere/at/all", "", "ftp://host/file"])
def test_where_nothing_is_the_parameter_is_named(uri: str) -> None:
    with pytest.raises(InputError, match="--articles"):
        require_input(uri, parameter="articles")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").write_text("")
    with pytest.raises(InputError, match="is a folder without files"):
        require_input(str(tmp_path), parameter="labels")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A hub client that has one data set, and the calls it got."""
    import huggingface_hub

    calls: list[dict[str, Any]] = []
    fill(tmp_path / "snapshot" / "data")

    def snapshot(repo: str, **rest: Any) -> str:
        calls.append({"repo": repo, **rest})
        if repo != "owner/news.v1":
            raise OSError("404: no such data set\nmore")
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return calls


@pytest.mark.parametrize("below", ["", "/", "/data", "/data/"])
def test_a_data_set_of_a_hub_is_read(hub: list[dict[str, Any]], below: str) -> None:
    assert languages(f"hf://datasets/owner/news.v1{below}") == WANTED
    assert {call["repo_type"] for call in hub} == {"dataset"}
    assert {call["revision"] for call in hub} == {None}
    assert find_corpus(f"hf://datasets/owner/news.v1{below}").files[0].name.endswith("language=en/a.jsonl")


def test_a_revision_and_one_file_of_it(hub: list[dict[str, Any]]) -> None:
    uri = "HF://datasets/owner/news.v1@refs%2Fconvert%2Fparquet/data/language=nl/b.jsonl"
    assert languages(uri) == [("language=nl/b.jsonl", "")]
    assert hub[0]["revision"] == "refs/convert/parquet"
    assert "data/language=nl/b.jsonl" in hub[0]["allow_patterns"]


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("hf://owner/news", "is no address of a data set; write hf://datasets/owner/name"),
        ("hf://datasets/owner", "is no address of a data set"),
        ("hf://datasets/owner/news.v1/../x", "is no address of a data set"),
        ("hf://datasets/owner/other", r"can't be fetched from the hub \(OSError: 404: no such data set\)"),
        ("hf://datasets/owner/news.v1/none", "the data set has no such file"),
    ],
)
def test_what_a_hub_has_not_is_one_line(hub: list[dict[str, Any]], uri: str, says: str) -> None:
    for use in (lambda: require_input(uri, parameter="labels"), lambda: find_corpus(uri)):
        with pytest.raises(InputError, match=says) as error:
            use()
        assert "\n" not in str(error.value)
