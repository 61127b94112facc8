"""Objects in an S3 bucket, or in a stand-in that speaks S3 (AWS_ENDPOINT_URL), with conditional writes.

Some stand-ins take If-None-Match and ignore it, so that two promotions both "win". The first conditional put of a
process tests the server with three requests to one small key, and refuses there if it ignores the condition. Its keys lie
below _probe/, which readers of datasets skip. Every request outlasts an outage of three minutes; before the server has
answered once, and outside a pod, of ten seconds: there an address is more often wrong than a server away.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError
from typing_extensions import override

from distillery.components.remote.retry import PATIENCE, describe, is_outage, retry
from distillery.components.store.layout import CONDITION_PROBE, WRITE_PROBE, is_probe
from distillery.components.store.objects import Conflict, Entry, NotFound, Objects, StoreError, TooLarge, unreadable, unwritable
from distillery.components.store.s3_errors import ABSENT, RAISED, answer, code_of, explained, status_of
from distillery.components.store.s3_file import S3File

FIRST_CONTACT = 10.0
WINDOW = 8 * 2**20
T = TypeVar("T")


def make_client() -> Any:
    """Return a client of S3 that follows the usual AWS variables and the AWS configuration file.

    Returns:
        A client of boto3. Where neither says otherwise, the region is us-east-1, and addresses are written in path style on
        any server but Amazon's: few others have a name for each bucket.
    """
    core = botocore.session.get_session()
    session = boto3.Session(botocore_session=core)
    # AWS_REGION is what pods of EKS and other SDKs have; botocore reads AWS_DEFAULT_REGION and the file.
    region = os.environ.get("AWS_REGION") or session.region_name or "us-east-1"
    client = session.client("s3", region_name=region, config=_config())
    styled = "addressing_style" in (core.get_scoped_config().get("s3") or {})
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    if not styled and not host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        client = session.client("s3", region_name=region, config=_config(s3={"addressing_style": "path"}))
    client.meta.events.register("before-call.s3.HeadBucket", _not_followed)
    return client


def _not_followed(context: dict[str, Any], **_: Any) -> None:
    """Let HEAD of a bucket follow no redirect: botocore asks it where to go, which never ends where each answer is one."""
    context["s3_redirect"]["redirected"] = True


def _config(**more: Any) -> Config:
    # Checksums only where S3 requires them: stand-ins refuse the trailing ones, and every reader here verifies sha256.
    return Config(
        retries={"max_attempts": 3, "mode": "standard"},
        connect_timeout=5,
        max_pool_connections=32,
        read_timeout=60,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **more,
    )


class S3Objects(Objects):
    """A backend of `Store` in a bucket; its methods are those of `Objects` and three for streams.

    Args:
        bucket: name of the bucket.
        prefix: folder in it, without a slash at its end; empty for the whole bucket.
        write: True to try at once whether it can be written; False asks nothing until something is read.
        client: what boto3 would make; None to make one.
        patience: seconds that an outage is waited out, once the bucket has answered; None for three minutes.

    Attributes:
        bucket: name of the bucket.
    """

    def __init__(
        self, bucket: str, prefix: str, *, write: bool, client: Any | None = None, patience: float | None = None
    ) -> None:
        if not bucket:
            raise StoreError("names no bucket", where="s3://", hint="write s3://bucket/prefix")
        self.bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._lock, self._conditional, self._known, self._later = threading.Lock(), False, False, patience
        self._patience = PATIENCE if os.environ.get("KUBERNETES_SERVICE_HOST") else min(FIRST_CONTACT, PATIENCE)
        try:
            self._client = client or make_client()
        except (BotoCoreError, ValueError) as error:
            raise explained(error, self.uri, self.uri) from error
        if write:
            self._call(lambda: self._put(WRITE_PROBE, b""))

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self._prefix + key}

    def _put(self, key: str, data: bytes, **condition: str) -> str:
        return str(self._client.put_object(**self._at(key), Body=data, **condition)["ETag"])

    @override
    def below(self, folder: str) -> S3Objects:
        found = S3Objects(self.bucket, f"{self._prefix}{folder}", write=False, client=self._client, patience=self._later)
        found._conditional, found._known, found._patience = self._conditional, self._known, self._patience
        return found

    @override
    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        with io.BufferedReader(self.file(key), 2**20) as stream:
            yield cast("BinaryIO", stream)

    def file(self, key: str, *, etag: str | None = None, window: int = WINDOW) -> S3File:
        """Return an object as a seekable file.

        Args:
            key: of the object.
            etag: of the version wanted; None for the one that is there now.
            window: bytes to fetch at a time.

        Returns:
            The file, of one version. Reading it raises StoreError where the object is changed meanwhile.

        Raises:
            NotFound: there is no such object.
            StoreError: its version is another than `etag`.
        """
        size, found = self.stat(key)
        if etag not in (None, found):
            raise self._changed(key)
        return S3File(lambda start, end: self._range(key, start, end, found), size, window)

    def stat(self, key: str) -> tuple[int, str]:
        """Return what is known of an object without reading it.

        Args:
            key: of the object.

        Returns:
            Size in bytes, and etag, of the current version.

        Raises:
            NotFound: there is no such object.
        """

        def get() -> tuple[int, str]:
            head = self._client.head_object(**self._at(key))
            return int(head["ContentLength"]), str(head["ETag"])

        return self._call(get, key)

    def _range(self, key: str, start: int, end: int, etag: str) -> bytes:
        def get() -> bytes:
            response = self._client.get_object(**self._at(key), Range=f"bytes={start}-{end - 1}")
            with contextlib.closing(response["Body"]) as body:
                if response["ETag"] != etag:
                    raise self._changed(key)
                data: bytes = body.read()
            if len(data) != end - start:
                raise IncompleteReadError(actual_bytes=len(data), expected_bytes=end - start)
            return data

        return self._call(get, key)

    def _changed(self, key: str) -> StoreError:
        return StoreError("was changed while it was read", where=f"{self.uri}/{key}", hint="run again on what is there now")

    def download(self, key: str, path: Path) -> None:
        """Copy an object to this machine, in parts that are fetched again where one breaks off.

        Args:
            key: of the object.
            path: of the file to write.

        Raises:
            NotFound: there is no such object.
        """
        try:
            self._call(lambda: self._client.download_file(self.bucket, self._prefix + key, str(path)), key)
        except OSError as error:
            raise unwritable(error, path) from error

    @override
    def versioned(self, key: str, max_bytes: int | None) -> tuple[bytes, str]:
        def get() -> tuple[bytes, str]:
            response = self._client.get_object(**self._at(key))
            with contextlib.closing(response["Body"]) as body:
                if max_bytes is not None and response["ContentLength"] > max_bytes:
                    raise TooLarge(max_bytes, f"{self.uri}/{key}")
                return body.read(), response["ETag"]

        return self._call(get, key)  # as a whole: botocore retries a request, but not a reply that breaks off midway

    @override
    def exists(self, key: str) -> bool:
        return self.etag(key) is not None

    @override
    def etag(self, key: str) -> str | None:
        try:
            return self.stat(key)[1]
        except NotFound:
            return None

    @override
    def put(self, key: str, data: bytes | Path) -> None:
        if isinstance(data, Path):
            try:
                self._call(lambda: self._client.upload_file(str(data), self.bucket, self._prefix + key), key)
            except OSError as error:
                raise unreadable(error, data) from error
        else:
            self._call(lambda: self._put(key, data), key)

    @override
    def put_if(self, key: str, data: bytes, etag: str | None) -> None:
        self._require_conditions()
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}

        def attempt() -> None:
            try:
                self._put(key, data, **condition)
                return
            except Exception as error:
                status = status_of(error) if isinstance(error, ClientError) else 0
                if status not in (404, 412) and not is_outage(error):
                    raise
                cause = error
            # The reply may have been lost after our bytes were stored, or be about the SDK's second try: read back.
            with contextlib.suppress(NotFound):
                if self.versioned(key, None)[0] == data:
                    return
            if status in (404, 412):
                raise Conflict(f"{key} was changed by another process")
            raise _Unknown from cause

        try:
            self._call(attempt, key)
        except _Unknown as error:
            raise StoreError(
                f"{describe(error.__cause__ or error)}; whether the write took place is unknown",
                where=f"{self.uri}/{key}",
                hint="run again: a finished write is recognised",
            ) from error

    @override
    def delete(self, key: str) -> None:
        self._call(lambda: self._client.delete_object(**self._at(key)), key)

    @override
    def entries(self, prefix: str) -> Iterator[Entry]:
        for page in self._pages(f"{prefix}/" if prefix else ""):
            for found in page.get("Contents", []):
                if not is_probe(key := found["Key"][len(self._prefix) :]):
                    yield Entry(key, int(found["Size"]), found["LastModified"].timestamp(), str(found["ETag"]))

    @override
    def folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(f"{prefix}/", Delimiter="/"):
            for found in page.get("CommonPrefixes", []):
                yield found["Prefix"].rstrip("/").rpartition("/")[2]

    def _pages(self, within: str, **options: str) -> Iterator[dict[str, Any]]:
        """Yield the replies of a listing, each of 1,000 objects or folders."""
        token: dict[str, str] = {}

        def page() -> dict[str, Any]:
            found = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._prefix + within, **options, **token)
            return dict(found)

        while True:
            reply = self._call(page)
            yield reply
            if not reply.get("IsTruncated"):
                return
            token = {"ContinuationToken": reply["NextContinuationToken"]}

    def _require_conditions(self) -> None:
        """StoreError unless the server refuses a put whose condition doesn't hold."""
        with self._lock:
            if self._conditional:
                return
            self._call(lambda: self._put(CONDITION_PROBE, b"probe"))
            for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"00000000000000000000000000000000"'}):
                refused = False
                try:
                    self._call(lambda condition=condition: self._put(CONDITION_PROBE, b"probe", **condition))  # type: ignore[misc]
                except _Refused:
                    refused = True
                if not refused:
                    raise StoreError(
                        f"ignores {next(iter(condition))} on writes: two promotions could both win",
                        where=self.uri,
                        hint="use a server with conditional writes (S3, MinIO, Ceph, …)",
                    )
            self._conditional = True

    def _call(self, request: Callable[[], T], key: str = "") -> T:
        where = f"{self.uri}/{key}" if key else self.uri
        try:
            result = retry(self.uri, request, seconds=self._patience)
        except RAISED as error:
            answered = answer(error)
            if isinstance(error, _Unknown):
                raise
            if answered is not None and status_of(answered) == 412:
                raise _Refused from error
            if answered is not None and code_of(answered) in ABSENT and key and self._has_bucket():
                raise NotFound(key) from error
            raise explained(self._spoken(error, answered, key), where, self.uri) from error
        except (KeyError, TypeError) as error:
            if isinstance(error, NotFound):
                raise
            raise StoreError(f"doesn't answer as S3 does ({error})", where=where, hint="check AWS_ENDPOINT_URL") from error
        self._patience, self._known = PATIENCE if self._later is None else self._later, True
        return result

    def _spoken(self, error: BaseException, answered: ClientError | None, key: str) -> BaseException:
        """Return the answer with S3's code where `error` has none: HEAD is answered by a status alone, so GET asks why."""
        if answered is None or not key or code_of(answered) != str(status_of(answered)):
            return error
        try:
            self._client.get_object(**self._at(key), Range="bytes=0-0")["Body"].close()
        except RAISED as spoken:
            return error if answer(spoken) is None else spoken
        return error

    def _has_bucket(self) -> bool:
        """False if the bucket itself is missing: HEAD says no more than 404 of either. It is asked for once a process."""
        if not self._known:
            try:
                retry(self.uri, lambda: self._client.head_bucket(Bucket=self.bucket), seconds=self._patience)
            except RAISED as error:
                answered = answer(error)
                if answered is not None and status_of(answered) == 404:
                    return False
            self._known = True
        return True


class _Refused(Exception):
    """412: the condition of a put didn't hold."""


class _Unknown(ConnectionError):
    """Whether a conditional put took place can't be told yet."""
