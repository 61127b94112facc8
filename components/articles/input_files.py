"""Where input files are: a path on this machine, or an object fetched to a temporary file.

An object costs its size in temporary disk and no memory; reading it where it lies would save the disk, but every step reads its
input twice (digest, then rows), and a download is the one place where a broken transfer is begun again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distillery.components.store import NotFound, StoreError
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.components.store.s3_objects import S3Objects


@contextmanager
def local_file(uri: str, *, parameter: str) -> Iterator[Path]:
    """A readable path for `uri` (a path, file:// or s3://) while the context lasts.

    parameter: what the user called it ("--labels"), for the error. Raises InputError where nothing is there.
    """
    if not uri.startswith("s3://"):
        yield _on_disk(uri, parameter)
        return
    with tempfile.TemporaryDirectory(prefix="distillery-input-") as folder:
        path = Path(folder) / uri.rpartition("/")[2]
        with _object(uri, parameter) as (objects, key):
            objects.download(key, path)
        yield path


def require_file(uri: str, *, parameter: str) -> None:
    """Refuses what `local_file` would, at the price of one request: an object is not fetched."""
    if not uri.startswith("s3://"):
        _on_disk(uri, parameter)
        return
    with _object(uri, parameter) as (objects, key):
        if not objects.exists(key):
            raise NotFound(key)


def _on_disk(uri: str, parameter: str) -> Path:
    path = Path(uri.removeprefix("file://")).expanduser()
    if not path.is_file():
        hint = "give the path of a JSONL, JSONL.gz or Parquet file, or its s3:// address"
        raise InputError("no such file" if not path.exists() else "not a file", where=uri, hint=hint, parameter=parameter)
    return path


@contextmanager
def _object(uri: str, parameter: str) -> Iterator[tuple[S3Objects, str]]:
    """The bucket of `uri`, to be read only, and the key in it; what goes wrong there names the parameter."""
    from distillery.components.store.s3_objects import S3Objects

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket or not key or key.endswith("/"):
        raise InputError("names no object", where=uri, hint="write s3://bucket/path/file.jsonl", parameter=parameter)
    try:
        yield S3Objects(bucket, "", write=False), key
    except NotFound:
        raise InputError("no such object", where=uri, hint="check bucket and key", parameter=parameter) from None
    except StoreError as error:
        raise InputError(error.what, where=uri, hint=error.hint, parameter=parameter) from None


def given(articles: str, labels: str, *, filter_articles: str | None, filter_labels: str | None) -> tuple[str, str]:
    """Which input a run has: (articles, "") or ("", labels). The command line goes before the filter's `data`."""
    if articles and labels:
        what, hint = "{articles} and {labels} are both given", "give the one that the run starts from"
        raise InputError(what, hint=hint, parameter="articles")
    if not articles and not labels:
        articles, labels = filter_articles or "", filter_labels or ""
        if labels:
            articles = ""
    if not articles and not labels:
        raise InputError(
            "neither articles nor labels are given",
            hint="add {labels} FILE where scores exist, or {articles} FILE to have the oracle label them",
        )
    return articles, labels
