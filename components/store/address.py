"""Addresses: one type and one parser for whatever has a place, be it a store, an input, an output, marks or a base model.

An address is a path ("~" is the home folder), file:///absolute/path, or s3://bucket/key. A path and a key are taken as they
are: `#`, `?`, `%`, spaces and accents are ordinary characters in both, as they are to a shell and to the AWS command line. A
file:// address is percent-decoded, here and nowhere else. `str(address)` is an address that reads as the same place.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

from distillery.components.store.objects import StoreError

FORMS = "use a path, file:///absolute/path, or s3://bucket/prefix"
MAX_KEY = 1024  # bytes, S3's own bound
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(file):(?=/)", re.IGNORECASE)
# What would be the path of a folder, and is a scheme that was mistyped, or quoted by whoever wrote a setting.
_NEARLY = re.compile(r"[^/]+[:：]//|(?:s3[an]?|arn|hf|dbfs):", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")


def scheme_of(text: str) -> str:
    """Return the scheme that a text begins with.

    Args:
        text: an address, of any kind.

    Returns:
        The scheme in lower case, such as "s3"; empty for a path.
    """
    match = _SCHEME.match(text)
    return (match[1] or match[2]).lower() if match else ""


def in_bucket(text: str) -> bool:
    """True if an address names a place in a bucket, which every machine reaches.

    Args:
        text: an address.

    Returns:
        Whether it begins with s3://.
    """
    return scheme_of(text) == "s3"


@dataclass(frozen=True)
class Address:
    """A place: a path of this machine, or a key of a bucket.

    Attributes:
        scheme: "file" or "s3".
        bucket: name of the bucket; empty for a path.
        path: an absolute path, or the key as the address has it, which may be empty.
    """

    scheme: Literal["file", "s3"]
    bucket: str
    path: str

    @staticmethod
    def parse(text: str) -> Address:
        """Return the place that a text names.

        Args:
            text: a path, file:// or s3://.

        Returns:
            The address; a relative path is made absolute from the present folder.

        Raises:
            StoreError: the text is empty, of another scheme or nearly an address, or names no place.
        """
        if not text:
            raise StoreError("the address is empty", hint=FORMS)
        if "\0" in text:
            raise StoreError("holds a NUL character", where=repr(text)[:200], hint=FORMS)
        scheme = scheme_of(text)
        if scheme == "s3":
            return _of_bucket(text)
        if scheme == "file":
            return Address("file", "", _path_of(text))
        if scheme:
            raise StoreError(f"{scheme}:// is not a kind of address that is read here", where=text, hint=FORMS)
        if _NEARLY.match(text):
            hint = f"{FORMS}; a path that begins so is written ./{text}"
            raise StoreError("is no path and no address, though it is nearly one", where=text, hint=hint)
        try:
            # "./~x" is a file of this name; Path drops the "./" that says so.
            path = Path(text).expanduser() if text.startswith("~") else Path(text)
            return Address("file", "", str(path.absolute()))
        except RuntimeError as error:  # "~name" of nobody
            raise StoreError("names the home folder of nobody here", where=text, hint=FORMS) from error
        except FileNotFoundError as error:
            raise StoreError("the present folder is gone", where=text, hint="give an absolute path") from error

    @property
    def in_bucket(self) -> bool:
        """True if every machine reaches it, since it lies in a bucket."""
        return self.scheme == "s3"

    @property
    def local(self) -> Path:
        """The path on this machine; only of an address that is not in a bucket."""
        return Path(self.path)

    @property
    def name(self) -> str:
        """The last part of path or key."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        if self.in_bucket:
            return f"s3://{self.bucket}/{self.path}" if self.path else f"s3://{self.bucket}"
        return f"file://{quote_from_bytes(os.fsencode(self.path))}"


def _of_bucket(text: str) -> Address:
    bucket, _, key = text.partition("://")[2].partition("/")
    if not bucket:
        raise StoreError("names no bucket", where=text, hint="write s3://bucket/prefix")
    if not _BUCKET.fullmatch(bucket):
        hint = "a bucket's name is of letters, digits, dots and hyphens"
        raise StoreError(f"{bucket[:80]!r} can't be the name of a bucket", where=text, hint=hint)
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise StoreError("is not UTF-8", where=ascii(text), hint="rename it, or give it by another address") from error
    if size > MAX_KEY:
        raise StoreError(f"has a key of {size:,} bytes, more than {MAX_KEY:,}", where=f"{text[:200]}…")
    return Address("s3", bucket, key)


def _path_of(text: str) -> str:
    host, slash, path = text[len("file:") :].removeprefix("//").partition("/")
    if not text[len("file:") :].startswith("//"):
        host, slash, path = "", "/", text[len("file:/") :]
    path = os.fsdecode(unquote_to_bytes((slash + path).encode("utf-8", "surrogateescape")))
    if host.lower() not in ("", "localhost") or not slash or "\0" in path:
        raise StoreError("a file:// address needs an absolute path", where=text, hint="write file:///absolute/path")
    return str(Path(path))
