"""Objects in an S3 bucket, or in a stand-in that speaks S3 (AWS_ENDPOINT_URL), with conditional writes.

Some stand-ins take If-None-Match and ignore it, so that two promotions both "win". The first conditional put of a
process tests the server with three requests to one small key, and refuses there if it ignores the condition.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from urllib3.exceptions import HTTPError

from components.store import Conflict, NotFound, StoreError

ATTEMPTS = 6
PROBE_KEY = "probe/conditional-write"
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_UNKNOWN = (HTTPClientError, HTTPError, ConnectionError, TimeoutError)
T = TypeVar("T")


def make_client() -> Any:
    """A client that follows the usual AWS variables; path-style addresses where an endpoint is given."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    # Checksums only where S3 requires them: stand-ins refuse the trailing ones, and every reader here verifies sha256.
    config = Config(
        retries={"max_attempts": 5, "mode": "standard"},
        connect_timeout=5,
        read_timeout=60,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)


class S3Objects:
    def __init__(self, bucket: str, prefix: str, *, write: bool, client: Any | None = None) -> None:
        if not bucket:
            raise StoreError("names no bucket", where="s3://", mend="write s3://bucket/prefix")
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._lock, self._conditional = threading.Lock(), False
        try:
            self._client = client or make_client()
        except (BotoCoreError, ValueError) as error:
            raise self._explained(error) from error
        if write:
            self._call(lambda: self._put("probe/write", b""))

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _put(self, key: str, data: bytes, **condition: str) -> str:
        return str(self._client.put_object(**self._at(key), Body=data, **condition)["ETag"])

    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        response = self._call(lambda: self._client.get_object(**self._at(key)), key)
        with contextlib.closing(response["Body"]) as body:
            try:
                yield cast("BinaryIO", body)
            except (BotoCoreError, HTTPError) as error:
                raise self._explained(error, key) from error

    def download(self, key: str, path: Path) -> None:
        """The object to a file, in parts that are fetched again where one breaks off."""
        self._call(lambda: self._client.download_file(self._bucket, self._prefix + key, str(path)), key)

    def versioned(self, key: str, max_bytes: int | None) -> tuple[bytes, str]:
        for attempt in range(ATTEMPTS):  # botocore retries a request, but not a reply that breaks off midway
            response = self._call(lambda: self._client.get_object(**self._at(key)), key)
            with contextlib.closing(response["Body"]) as body:
                if max_bytes is not None and response["ContentLength"] > max_bytes:
                    raise StoreError(f"is larger than the {max_bytes:,} bytes expected", where=f"{self.uri}/{key}")
                try:
                    return body.read(), response["ETag"]
                except (BotoCoreError, HTTPError) as error:
                    if attempt == ATTEMPTS - 1:
                        raise self._explained(error, key) from error
                    _wait(attempt)
        raise AssertionError("unreachable")

    def exists(self, key: str) -> bool:
        return self.etag(key) is not None

    def etag(self, key: str) -> str | None:
        try:
            return str(self._call(lambda: self._client.head_object(**self._at(key)), key)["ETag"])
        except NotFound:
            return None

    def put(self, key: str, data: bytes | Path) -> None:
        if isinstance(data, Path):
            self._call(lambda: self._client.upload_file(str(data), self._bucket, self._prefix + key), key)
        else:
            self._call(lambda: self._put(key, data), key)

    def put_if(self, key: str, data: bytes, etag: str | None) -> None:
        self._require_conditions()
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        for attempt in range(ATTEMPTS):
            try:
                self._put(key, data, **condition)
                return
            except ClientError as error:
                status = _status(error)
                if status not in (404, 409, 412) and status < 500:
                    raise self._explained(error, key) from error
                lost = status in (404, 412)
            except _UNKNOWN:
                lost = False
            # The reply may have been lost after our bytes were stored, or be about the SDK's second try: read back.
            try:
                if self.versioned(key, None)[0] == data:
                    return
            except NotFound:
                pass
            if lost:
                raise Conflict(f"{key} was changed by another process")
            _wait(attempt)
        raise StoreError(
            "doesn't answer; whether the write took place is unknown",
            where=f"{self.uri}/{key}",
            mend="run again: a finished write is recognised",
        )

    def keys(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + (f"{prefix}/" if prefix else "")
        )
        for page in pages:
            for entry in page.get("Contents", []):
                key = entry["Key"][len(self._prefix) :]
                if not key.startswith("probe/"):
                    yield key

    def _require_conditions(self) -> None:
        """StoreError unless the server refuses a put whose condition doesn't hold."""
        with self._lock:
            if self._conditional:
                return
            self._call(lambda: self._put(PROBE_KEY, b"probe"))
            for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"00000000000000000000000000000000"'}):
                refused = False
                try:
                    self._call(lambda condition=condition: self._put(PROBE_KEY, b"probe", **condition))  # type: ignore[misc]
                except _Refused:
                    refused = True
                if not refused:
                    raise StoreError(
                        f"ignores {next(iter(condition))} on writes: two promotions could both win",
                        where=self.uri,
                        mend="use a server with conditional writes (S3, MinIO, Ceph, …)",
                    )
            self._conditional = True

    def _call(self, request: Callable[[], T], key: str = "") -> T:
        try:
            return request()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT and key:
                raise NotFound(key) from error
            if _status(error) == 412:
                raise _Refused from error
            raise self._explained(error, key) from error
        except (BotoCoreError, boto3.exceptions.Boto3Error, HTTPError) as error:
            raise self._explained(error, key) from error

    def _explained(self, error: Exception, key: str = "") -> StoreError:
        where = f"{self.uri}/{key}" if key else self.uri
        if isinstance(error, NoCredentialsError):
            return StoreError("needs credentials", where=where, mend="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("NoSuchBucket", "404"):
                return StoreError("has no such bucket", where=where, mend="create it, or check the name")
            if code in ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
                return StoreError(f"refuses access ({code})", where=where, mend="check credentials and bucket policy")
            return StoreError(f"answered {code}", where=where)
        # Only the kind of error: messages of HTTP clients carry addresses that may carry keys.
        return StoreError(f"can't be reached ({type(error).__name__})", where=where, mend="check AWS_ENDPOINT_URL")


class _Refused(Exception):
    """412: the condition of a put didn't hold."""


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _wait(attempt: int) -> None:
    time.sleep(min(2.0, 0.05 * 2**attempt))
