"""Addresses: every path and every key can be named, means one place, and is written so that it reads as that place."""

from __future__ import annotations

import contextlib
import os
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery.components.articles.input_files import local_file, require_file
from distillery.components.preflight.request import absolute
from distillery.components.scoring.corpus import find_corpus
from distillery.components.store import Address, Store, StoreError, open_store, scheme_of
from distillery.components.store import open as opening
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import store_uri
from distillery.pipelines.results import shown_path

ODD = [
    "a b",
    "a+b",
    "é",
    "e\u0301",
    "a&b",
    "o'brien",
    'say "x"',
    "run#3",
    "run?3",
    "100%",
    "%41",
    "a;b",
    "a=b",
    "[1]",
    "s3:",
    "\u200b",
]
# Any file name that a POSIX system has: bytes without NUL and slash, UTF-8 or not.
NAMES = st.binary(min_size=1, max_size=40).map(lambda data: os.fsdecode(data.replace(b"\0", b"0").replace(b"/", b"_")))
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=80)
BUCKETS = st.text(string.ascii_lowercase + string.digits + ".-", min_size=3, max_size=20)


def round_trips(text: str) -> None:
    address = Address.parse(text)
    assert Address.parse(str(address)) == address
    assert str(Address.parse(str(address))) == str(address)


def check_paths(names: list[str]) -> None:
    path = "/" + "/".join(names)
    address = Address.parse(path)
    assert address.local == Path(path)
    assert str(address).isascii()
    round_trips(path)
    if not any(name in (".", "..") for name in names):
        assert str(address) == Path(path).as_uri()


def check_keys(bucket: str, key: str) -> None:
    address = Address.parse(f"s3://{bucket}/{key}")
    assert (address.bucket, address.path) == (bucket, key)
    round_trips(str(address))


def check_any_text(text: str) -> None:
    """Whatever the text: an address that reads as itself, or one line."""
    with contextlib.suppress(StoreError):
        round_trips(text)


CHECKS: dict[str, tuple[Callable[..., None], list[st.SearchStrategy[Any]]]] = {
    "paths": (check_paths, [st.lists(NAMES, min_size=1, max_size=4)]),
    "keys": (check_keys, [BUCKETS, KEYS]),
    "any text": (check_any_text, [st.text(max_size=60)]),
}


def check_many(name: str, count: int) -> None:
    """Run a check on so many drawn inputs; hypothesis takes settings once for what `given` made, so each run makes its own."""
    check, drawn = CHECKS[name]
    settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))(given(*drawn)(check))()


@pytest.mark.parametrize("check", CHECKS)
def test_an_address_is_written_as_it_is_read(check: str) -> None:
    check_many(check, 200)


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_twenty_thousand_addresses_are_written_as_they_are_read(check: str) -> None:
    check_many(check, 20_000)


@pytest.mark.parametrize("name", [*ODD, "a\nb", "a\\b", "~x", "file:", "http:"])
def test_a_path_means_itself_however_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / f"{name}.jsonl").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    ways = [f"./{name}", str(folder), folder.as_uri(), f"file://localhost{quote(str(folder))}", f"FILE://{quote(str(folder))}"]
    for way in ways:
        stores = [open_store(way), open_store(store_uri(way)), open_store(open_store(way).uri)]
        for each in stores:
            each.put("x", b"1")
            assert [path.name for path in folder.iterdir() if path.name == "x"] == ["x"]
            (folder / "x").unlink()
    for way in (f"{folder}/{name}.jsonl", (folder / f"{name}.jsonl").as_uri()):
        with local_file(way, parameter="labels") as path:
            assert path == folder / f"{name}.jsonl"
        corpus = find_corpus(way)
        assert [file.name for file in corpus.files] == [f"{name}.jsonl"]
        assert absolute(way) in (way, str(folder / f"{name}.jsonl"))
    assert shown_path(f"{open_store(str(folder)).uri}/reports/x.html") == f"{folder}/reports/x.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == [name], "another folder was made"


@pytest.mark.parametrize("name", [*ODD, "in//x", "/x", "x/", "..", "a/../b"])
def test_any_key_of_a_bucket_is_an_input(s3_uri: str, name: str) -> None:
    bucket = Address.parse(s3_uri).bucket
    client, key = boto3.client("s3"), f"in{name}/x{name.rstrip('/')}.jsonl"
    client.put_object(Bucket=bucket, Key=key, Body=b'{"id": 1}\n')
    client.put_object(Bucket=bucket, Key="in/other.jsonl", Body=b'{"id": 22}\n')
    uri = f"s3://{bucket}/{key}"
    require_file(uri, parameter="articles")
    with local_file(uri, parameter="articles") as path:
        assert path.read_bytes() == b'{"id": 1}\n'
    for where in (uri, uri.rpartition("/")[0] + "/"):
        corpus = find_corpus(where)
        assert [Address.parse(corpus.address(0)).path, len(corpus.files)] == [key, 1]
        with corpus.open(0) as stream:
            assert stream.read() == b'{"id": 1}\n'


@pytest.mark.parametrize("name", ODD)
def test_a_store_may_lie_at_any_prefix(s3_uri: str, name: str) -> None:
    other, store = open_store(s3_uri), open_store(f"{s3_uri}{name}/x/")
    store.put("a", b"1")
    assert not other.exists("a")
    assert open_store(store.uri).get("a") == b"1"
    assert open_store(store.uri, write=False).uri == store.uri == f"{s3_uri}{name}/x"


@pytest.mark.parametrize("prefix", ["a//b", "/a", "a/../b", "./a"])
def test_a_prefix_that_servers_resolve_differently_is_no_store(s3_uri: str, prefix: str) -> None:
    with pytest.raises(StoreError, match="between its slashes"):
        open_store(f"s3://{Address.parse(s3_uri).bucket}/{prefix}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3://",
        "s3:///x",
        "s3://a b/x",
        "s3://b?x/y",
        "s3://b#x",
        "hf://x",
        "gs://b/x",
        "file://x/y",
        "file:///a%00b",
        "a\0b",
        "s3:/b/x",
        "S3:b/x",
        "s3a:/b/x",
        "arn:aws:s3:::b/x",
        " s3://b/x",
        "'s3://b/x'",
        '"file:///x"',
        "<s3://b/x>",
        "“s3://b/x”",
        "`s3://b/x`",
        "\ufeffs3://b/x",
        "\u200bfile:///x",
        "s3 ://b/x",
        "s3：//b/x",
        "dbfs:/mnt/x",
        "hf:datasets/x",
    ],
)
def test_what_names_no_place_is_one_line(text: str) -> None:
    with pytest.raises(StoreError):
        Address.parse(text)
    with pytest.raises(InputError):
        require_file(text, parameter="labels")


@pytest.mark.parametrize("text", ["'{}'", '"{}"', "{}\n", "{}\r\n", "{}\t", " {}"])
@pytest.mark.parametrize("place", ["s3://bucket/store", "here/store"])
def test_a_setting_that_is_quoted_or_ends_in_a_line_break_opens_no_other_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if text[0] == " " and place[0] != "s":
        return  # a folder of this machine may begin with a space
    with pytest.raises(StoreError, match=r"is quoted|nearly one"):
        open_store(text.format(place))
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_looks_like_an_address_is_given_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("s3:/b/x", "arn:x", "'s3://b/x'", "“s3://b”", "hf:x"):
        assert Address.parse(f"./{name}").local == Path(f"{tmp_path}/{name}")
        assert Address.parse(f"{tmp_path}/{name}").local == Path(f"{tmp_path}/{name}")


def test_an_empty_store_is_refused_by_its_option() -> None:
    with pytest.raises(InputError, match="empty") as caught:
        store_uri("")
    assert caught.value.parameter == "store"


@pytest.mark.parametrize(
    ("text", "scheme"), [("S3://b", "s3"), ("file:/x", "file"), ("x://y", "x"), ("./s3://b", ""), ("file:x", "")]
)
def test_schemes(text: str, scheme: str) -> None:
    assert scheme_of(text) == scheme


CONFIG = """[default]
region = eu-west-3
{endpoint}
s3 =
  addressing_style = {style}

[profile other]
region = ap-south-1
"""


@pytest.fixture
def aws_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.mark.parametrize("endpoint", ["", "endpoint_url = http://127.0.0.1:9"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_the_aws_file_says_region_endpoint_and_style(aws_file: Path, endpoint: str, style: str) -> None:
    from distillery.components.store.s3_objects import make_client

    aws_file.write_text(CONFIG.format(endpoint=endpoint, style=style))
    client = make_client()
    assert client.meta.region_name == "eu-west-3"
    assert client.meta.config.s3["addressing_style"] == style
    assert client.meta.endpoint_url == (endpoint.partition("= ")[2] or "https://s3.eu-west-3.amazonaws.com")


def test_variables_win_over_the_aws_file(aws_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.store.s3_objects import make_client

    aws_file.write_text(CONFIG.format(endpoint="", style="auto"))
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert make_client().meta.region_name == "ap-south-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    client = make_client()
    assert (client.meta.region_name, client.meta.endpoint_url) == ("eu-north-1", "http://127.0.0.1:9")
    assert client.meta.config.s3["addressing_style"] == "path"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    opening._bucket.cache_clear()
    with pytest.raises(StoreError, match=r"can't be opened: The config profile \(nobody\)"):
        open_store("s3://bucket/x", write=False)


def test_a_file_of_settings_alone_reaches_a_store(s3_server: str, s3_uri: str, aws_file: Path) -> None:
    aws_file.write_text(CONFIG.format(endpoint=f"endpoint_url = {s3_server}", style="path"))
    store: Store = open_store(s3_uri)
    store.put("a", b"1")
    assert open_store(s3_uri, write=False).get("a") == b"1"
