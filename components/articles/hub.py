"""Data sets of a hub by their address: hf://datasets/owner/name, with @revision and a path below where they are wanted.

What is fetched stays in the hub client's own cache, so a second run asks for the revision alone. No code of a data set is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from distillery.filters.errors import InputError

SCHEME: Final = "hf"
_ADDRESS: Final = re.compile(
    r"(?i:hf)://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.~-]+(?:%2F[\w.~-]+)*))?(?:/(?P<path>.*))?"
)
ROWS: Final = ("json", "jsonl", "ndjson", "csv", "tsv", "txt", "parquet", "arrow", "xlsx", "gz")


_FETCH: Final = ContextVar("fetch", default=True)


class NotFetched(InputError):
    """A data set is on a hub, for all that is known, and was not fetched to this machine yet."""

    def __init__(self, uri: str, parameter: str) -> None:
        super().__init__("was not fetched from the hub yet", where=uri, hint="the run fetches it", parameter=parameter)


@contextmanager
def nothing_fetched() -> Iterator[None]:
    """Ask no hub within the block: what is not on this machine yet raises NotFetched.

    Yields:
        Nothing.
    """
    before = _FETCH.set(False)
    try:
        yield
    finally:
        _FETCH.reset(before)


def hub_path(uri: str, *, parameter: str) -> Path:
    """Return the local path of a data set on a hub, fetched unless it is there.

    Args:
        uri: hf://datasets/owner/name[@revision][/path], where the path is a file or a folder.
        parameter: the name of the parameter ("labels"), for the error.

    Returns:
        A file, or a folder of files.

    Raises:
        InputError: this is no such address, or the hub has no such data set, file, or connection.
        NotFetched: it is not here, and nothing may be fetched.
    """
    match = _ADDRESS.fullmatch(uri)
    if match is None or ".." in (match["path"] or "").split("/"):
        hint = "write hf://datasets/owner/name, or hf://datasets/owner/name@revision/path"
        raise InputError("is no address of a data set", where=uri, hint=hint, parameter=parameter)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    below, revision = (match["path"] or "").strip("/"), (match["revision"] or "").replace("%2F", "/") or None
    patterns = [f"{below}/*" if below else f"*.{ending}" for ending in (ROWS if not below else ("",))]
    try:
        folder = snapshot_download(
            match["repo"],
            repo_type="dataset",
            revision=revision,
            allow_patterns=[*patterns, *([below] if below else [])],
            local_files_only=not _FETCH.get(),
        )
    except LocalEntryNotFoundError as error:
        if not _FETCH.get():
            raise NotFetched(uri, parameter) from None
        raise _unreachable(uri, error, parameter) from error
    except Exception as error:  # the hub client raises many kinds, also of its HTTP library; none tells the user more
        raise _unreachable(uri, error, parameter) from error
    path = Path(folder) / below
    if not path.exists() or (path.is_dir() and not any(file.is_file() for file in path.rglob("*"))):
        hint = f"see what it has: hf download {match['repo']} --repo-type dataset --dry-run"
        raise InputError("the data set has no such file of rows", where=uri, hint=hint, parameter=parameter)
    return path


def _unreachable(uri: str, error: Exception, parameter: str) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    what = f"can't be fetched from the hub ({type(error).__name__}: {reason})"
    return InputError(
        what, where=uri, hint="check name, revision and access; or download it, and give the folder", parameter=parameter
    )
