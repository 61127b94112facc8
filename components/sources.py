"""Where input files are: a path on this machine, or an object fetched to a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.store import NotFound, open_store
from filters.errors import InputError


@contextmanager
def local_file(uri: str, *, parameter: str) -> Iterator[Path]:
    """A readable path for `uri` (a path, file:// or s3://) while the context lasts.

    parameter: what the user called it ("--labels"), for the error. Raises InputError where nothing is there.
    """
    if not uri.startswith("s3://"):
        path = Path(uri.removeprefix("file://")).expanduser()
        if not path.is_file():
            mend = "give the path of a JSONL, JSONL.gz or Parquet file"
            raise InputError("no such file" if not path.exists() else "not a file", where=f"{parameter} {uri}", mend=mend)
        yield path
        return
    prefix, _, name = uri.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="distillery-input-") as folder:
        path = Path(folder) / name
        try:
            path.write_bytes(open_store(prefix).get(name))
        except NotFound:
            raise InputError("no such object", where=f"{parameter} {uri}", mend="check bucket and key") from None
        yield path


def given(articles: str, labels: str, *, filter_articles: str | None, filter_labels: str | None) -> tuple[str, str]:
    """Which input a run has: (articles, "") or ("", labels). The command line goes before the filter's `data`."""
    if articles and labels:
        raise InputError("--articles and --labels are both given", mend="give the one that the run starts from")
    if not articles and not labels:
        articles, labels = filter_articles or "", filter_labels or ""
        if labels:
            articles = ""
    if not articles and not labels:
        raise InputError(
            "neither articles nor labels are given",
            mend="add --labels FILE where scores exist, or --articles FILE to have the oracle label them",
        )
    return articles, labels
