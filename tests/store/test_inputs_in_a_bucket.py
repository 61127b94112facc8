"""Inputs as s3:// addresses: looked at without being fetched, fetched whole, and faults that name the parameter."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest

from distillery.components.articles.articles import Rejects, read_articles
from distillery.components.articles.folders import input_digest
from distillery.components.articles.input_files import local_file, local_input, require_file, require_input
from distillery.components.preflight.preflight import resolve_filter
from distillery.filters.errors import InputError
from tests.pipelines.harness import filter_document


@pytest.fixture
def bucket(s3_uri: str) -> str:
    return s3_uri.removeprefix("s3://").partition("/")[0]


def put(bucket: str, key: str, data: bytes) -> str:
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=data)
    return f"s3://{bucket}/{key}"


@pytest.mark.parametrize("key", ["labels.jsonl.gz", "of 2026/ärticles: 1.jsonl", "./odd/../name.parquet"])
def test_any_key_is_fetched_under_its_own_name(bucket: str, key: str) -> None:
    data = bytes(range(256)) * 50_000  # 12.8 MB: more than one part
    uri = put(bucket, key, data)
    require_file(uri, parameter="--labels")
    with local_file(uri, parameter="--labels") as path:
        assert path.read_bytes() == data
        assert path.name == key.rpartition("/")[2]
    assert not path.exists()


def test_only_looking_fetches_nothing_and_needs_no_right_to_write(bucket: str) -> None:
    uri = put(bucket, "labels.jsonl", b"{}\n")
    require_file(uri, parameter="--labels")
    assert [found["Key"] for found in boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]] == ["labels.jsonl"]


@pytest.mark.parametrize("key", ["missing.jsonl", "", "folder/"])
def test_what_is_not_there_is_said_with_the_parameter(bucket: str, key: str) -> None:
    for look in (require_file, lambda uri, parameter: local_file(uri, parameter=parameter).__enter__()):
        with pytest.raises(InputError, match=r"^--articles s3://"):
            look(f"s3://{bucket}/{key}", parameter="--articles")
    with pytest.raises(InputError, match=r"^--articles s3://no-such-bucket-at-all/x"):
        require_file("s3://no-such-bucket-at-all/x", parameter="--articles")


def test_a_filter_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    uri = put(bucket, "filter.yaml", json.dumps(filter_document(tmp_path)).encode())
    assert resolve_filter(uri, overrides=["training.epochs=7"]).spec.training.epochs == 7
    with pytest.raises(InputError, match="larger than 256 KiB"):
        resolve_filter(put(bucket, "large.yaml", b"#" * 300_000))


def test_a_prefix_is_the_folder_it_was_copied_from(tmp_path: Path, bucket: str) -> None:
    for name in ("language=en/a.jsonl", "language=nl/b 1.jsonl", "README.md", "_SUCCESS"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"id": name, "content": f"Text of {name}."}) + "\n")
        put(bucket, f"my articles/{name}", path.read_bytes())
    for uri in (f"s3://{bucket}/my articles", f"s3://{bucket}/my articles/"):
        require_input(uri, parameter="articles")
        with local_input(uri, parameter="articles") as path:
            articles = read_articles(path, rejects=Rejects())
            assert [article.language for article in articles] == ["en", "nl"]
            assert input_digest(path) == input_digest(tmp_path / "in")
    with local_input(f"s3://{bucket}/my articles/language=en/a.jsonl", parameter="articles") as path:
        assert path.name == "a.jsonl"
    for nothing in (f"s3://{bucket}/none", f"s3://{bucket}/none/", f"s3://{bucket}"):
        with pytest.raises(InputError, match="--articles"):
            require_input(nothing, parameter="articles")
