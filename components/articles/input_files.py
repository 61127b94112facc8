"""The input files of a run: which ones it has, and how an s3:// object becomes a file on this machine.

An object costs its size in temporary disk and no memory. Reading it in place would save the disk, but every step reads its
input twice (digest, then rows), and a download is the one place where a broken transfer is started again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distillery.components.store import NotFound, StoreError, open_bucket
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.components.store.s3_objects import S3Objects
    from distillery.filters.spec import Data


@contextmanager
def local_file(uri: str, *, parameter: str) -> Iterator[Path]:
    """Yield a local path of an input file; a fetched copy is deleted when the context ends.

    Args:
        uri: a path, file:// or s3://.
        parameter: the name of the parameter ("labels"), for the error.

    Yields:
        The path of a readable file.

    Raises:
        InputError: there is no such file or object, or it can't be read.
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
    """Raise where `local_file` would, without fetching an object: it costs one request.

    Args:
        uri: a path, file:// or s3://.
        parameter: the name of the parameter ("labels"), for the error.

    Raises:
        InputError: there is no such file or object, or it can't be reached.
    """
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
    """Yield the bucket of a URI, for reading only, and the key in it; errors of the store name the parameter."""
    try:
        objects, key = open_bucket(uri)
        if not key or key.endswith("/"):
            raise InputError("names no object", where=uri, hint="write s3://bucket/path/file.jsonl", parameter=parameter)
        yield objects, key
    except NotFound:
        raise InputError("no such object", where=uri, hint="check bucket and key", parameter=parameter) from None
    except StoreError as error:
        raise InputError(error.what, where=uri, hint=error.hint, parameter=parameter) from None


def choose_input(articles: str, labels: str, data: Data) -> tuple[str, str]:
    """Choose the input of a run; the command line takes precedence over the filter's `data`.

    Args:
        articles: --articles, empty where it was not given.
        labels: --labels, empty where it was not given.
        data: the filter's own input; where it names both, labels take precedence.

    Returns:
        Either (articles, "") or ("", labels).

    Raises:
        InputError: both options were given, or there is no input at all.
    """
    if articles and labels:
        what, hint = "{articles} and {labels} are both given", "give the one that the run starts from"
        raise InputError(what, hint=hint, parameter="articles")
    if not articles and not labels:
        articles, labels = data.articles or "", data.labels or ""
        if labels:
            articles = ""
    if not articles and not labels:
        raise InputError(
            "neither articles nor labels are given",
            hint="add {labels} FILE where scores exist, or {articles} FILE to have the oracle label them",
        )
    return articles, labels
