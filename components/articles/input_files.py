"""The input files of a run: which ones it has, and how an s3:// object becomes a file on this machine.

An object costs its size in temporary disk and no memory. Reading it in place would save the disk, but every step reads its
input twice (digest, then rows), and a download is the one place where a broken transfer is started again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distillery.components.articles.folders import shard_names, shards
from distillery.components.articles.forms import READ
from distillery.components.articles.hub import SCHEME, hub_path
from distillery.components.articles.listing import Listing
from distillery.components.articles.scratch import scratch_folder
from distillery.components.store import Address, NotFound, StoreError, digest_file, open_bucket
from distillery.components.store.address import in_bucket, scheme_of
from distillery.components.store.layout import is_listing
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.components.store.s3_objects import S3Objects
    from distillery.filters.spec import Data

MAX_NAME = 240  # bytes; file systems take 255, and a download adds some


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
    address = parse_address(uri, parameter=parameter)
    if not address.in_bucket:
        yield _on_disk(address, uri, parameter)
        return
    with scratch_folder("distillery-input-") as folder:
        path = folder / _file_name(address)
        with _object(address, uri, parameter) as objects:
            objects.download(address.path, path)
        yield path


@contextmanager
def local_input(uri: str, *, parameter: str) -> Iterator[Path]:
    """Yield a local path of articles or labels; a fetched copy is deleted when the context ends.

    Args:
        uri: a path or address of a file, of a folder or prefix of files, or of a stored listing of one, which stands for the
            files that it names as they were; or a data set's address, hf://datasets/….
        parameter: the name of the parameter ("labels"), for the error.

    Yields:
        A readable file, or a folder of files.

    Raises:
        InputError: there is nothing, or it can't be read.
    """
    if scheme_of(uri) == SCHEME:
        yield hub_path(uri, parameter=parameter)
        return
    address = parse_address(uri, parameter=parameter)
    if is_listing(address.path):
        with local_file(uri, parameter=parameter) as path:
            listing = Listing.read(path.read_bytes(), uri)
        if address.in_bucket and not in_bucket(listing.of):  # a file that pods read must not name files of their own
            raise InputError("lists files of another machine", where=uri, hint="give articles in a bucket", parameter=parameter)
        with _listed(listing, uri, parameter) as folder:
            yield folder
    elif address.in_bucket and (names := _below(address, uri, parameter)):
        with scratch_folder("distillery-input-") as folder:
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with _object(address, uri, parameter, whole=True) as objects:
                    objects.download(f"{address.path.rstrip('/')}/{name}", folder / name)
            yield folder
    elif not address.in_bucket and address.local.is_dir():
        yield address.local
    else:
        with local_file(uri, parameter=parameter) as path:
            yield path


def require_input(uri: str, *, parameter: str) -> None:
    """Raise where `local_input` would, without fetching objects; a data set of a hub is fetched, once for all.

    Args:
        uri: as for `local_input`.
        parameter: the name of the parameter ("labels"), for the error.

    Raises:
        InputError: there is nothing, or it can't be reached.
    """
    if scheme_of(uri) == SCHEME:
        hub_path(uri, parameter=parameter)
        return
    address = parse_address(uri, parameter=parameter)
    if not address.in_bucket and address.local.is_dir():
        shards(address.local)
    elif not (address.in_bucket and _below(address, uri, parameter)):
        require_file(uri, parameter=parameter)


def _below(address: Address, uri: str, parameter: str) -> list[str]:
    """Return the names of the shards below a prefix; none where the address is that of an object, or nothing is there."""
    with _object(address, uri, parameter, whole=True) as objects:
        key = address.path.rstrip("/")
        if not key or (address.name and objects.exists(address.path)):
            return []
        return [name for name in shard_names(name.removeprefix(f"{key}/") for name in objects.keys(key)) if not _climbs(name)]


@contextmanager
def _listed(listing: Listing, uri: str, parameter: str) -> Iterator[Path]:
    """Yield a folder of the files that a listing names, each in the version that it names."""
    with scratch_folder("distillery-input-") as folder:
        for name, key in listing.rows().items():
            if _climbs(name):
                continue
            place, target = listing.place(key), folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                if place.in_bucket:
                    bucket = open_bucket(place)
                    bucket.download(place.path, target)
                    found = bucket.etag(place.path)  # afterwards: what was changed meanwhile is another version by now
                else:
                    shutil.copyfile(place.local, target)
                    found = digest_file(target)
            except (NotFound, FileNotFoundError):
                found = None
            except StoreError as error:
                raise InputError(error.what, where=str(place), hint=error.hint, parameter=parameter) from error
            if found != listing.files[key]:
                what = "is gone" if found is None else "was changed"
                hint = "restore it, or start a run of what is there now"
                raise InputError(f"{what} since {uri} was made", where=str(place), hint=hint, parameter=parameter)
        yield folder


def _climbs(name: str) -> bool:
    return name.endswith("/") or any(part in ("", ".", "..") or "\0" in part for part in name.split("/"))


def require_file(uri: str, *, parameter: str) -> None:
    """Raise where `local_file` would, without fetching an object: it costs one request.

    Args:
        uri: a path, file:// or s3://.
        parameter: the name of the parameter ("labels"), for the error.

    Raises:
        InputError: there is no such file or object, or it can't be reached.
    """
    address = parse_address(uri, parameter=parameter)
    if not address.in_bucket:
        _on_disk(address, uri, parameter)
        return
    with _object(address, uri, parameter) as objects:
        if not objects.exists(address.path):
            raise NotFound(address.path)


def parse_address(uri: str, *, parameter: str) -> Address:
    """Return the address of an input, as `Address.parse` does; the error names the parameter.

    Args:
        uri: a path, file:// or s3://.
        parameter: the name of the parameter ("labels"), for the error.

    Returns:
        The address.

    Raises:
        InputError: it is no address.
    """
    try:
        return Address.parse(uri)
    except StoreError as error:
        raise InputError(error.what, where=error.where, hint=error.hint, parameter=parameter) from None


def _on_disk(address: Address, uri: str, parameter: str) -> Path:
    path = address.local
    if not path.is_file():
        hint = f"give the path or the s3:// address of a file: {READ}"
        raise InputError("no such file" if not path.exists() else "not a file", where=uri, hint=hint, parameter=parameter)
    return path


def _file_name(address: Address) -> str:
    """Return the object's own name, unless no file here can have it: a key's names may be longer, "." or ".."."""
    fits = address.name not in (".", "..") and "\0" not in address.name and len(address.name.encode()) <= MAX_NAME
    return address.name if fits else "input"


@contextmanager
def _object(address: Address, uri: str, parameter: str, *, whole: bool = False) -> Iterator[S3Objects]:
    """Yield the bucket of an address, or with `whole` of a prefix, for reading only; errors of the store name the parameter."""
    try:
        if not address.name and not (whole and address.path):
            raise InputError("names no object", where=uri, hint="write s3://bucket/path/file.jsonl", parameter=parameter)
        yield open_bucket(address)
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
