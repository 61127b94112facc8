"""S3 in the memory of a test: what a client of boto3 answers, conditions included, without a server or a socket."""

from __future__ import annotations

import hashlib
import io
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

PAGE = 1000


class MemoryS3:
    """As much of a client as `S3Objects` asks; it has every bucket that is asked for."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], tuple[bytes, datetime]] = {}
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def _error(self, operation: str, status: int, code: str) -> ClientError:
        answer = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(answer, operation)  # type: ignore[arg-type]

    def _found(self, operation: str, bucket: str, key: str) -> tuple[bytes, datetime]:
        self.asked.append(f"{operation} {key}")
        found = self.objects.get((bucket, key))
        if found is None:
            raise self._error(operation, 404, "404" if operation == "HeadObject" else "NoSuchKey")
        return found

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str = "", IfMatch: str = "") -> dict[str, Any]:
        with self._lock:
            self.asked.append(f"PutObject {Key}")
            found = self.objects.get((Bucket, Key))
            if (IfNoneMatch and found) or (IfMatch and (not found or _etag(found[0]) != IfMatch)):
                raise self._error("PutObject", 412, "PreconditionFailed")
            self.objects[Bucket, Key] = (bytes(Body), datetime.now(UTC))
            return {"ETag": _etag(Body)}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        data, at = self._found("HeadObject", Bucket, Key)
        return {"ContentLength": len(data), "ETag": _etag(data), "LastModified": at}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:
        whole, at = self._found("GetObject", Bucket, Key)
        start, _, end = Range.removeprefix("bytes=").partition("-")
        data = whole[int(start) : int(end) + 1] if Range else whole
        return {"Body": io.BytesIO(data), "ContentLength": len(data), "ETag": _etag(whole), "LastModified": at}

    def upload_file(self, path: str, bucket: str, key: str) -> None:
        self.put_object(Bucket=bucket, Key=key, Body=Path(path).read_bytes())

    def download_file(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_bytes(self._found("HeadObject", bucket, key)[0])

    def delete_object(self, *, Bucket: str, Key: str) -> None:
        self.objects.pop((Bucket, Key), None)

    def head_bucket(self, *, Bucket: str) -> None:
        pass

    def list_objects_v2(self, *, Bucket: str, Prefix: str, Delimiter: str = "", ContinuationToken: str = "") -> dict[str, Any]:
        self.asked.append(f"ListObjectsV2 {Prefix}")
        keys = sorted(key for bucket, key in list(self.objects) if bucket == Bucket and key.startswith(Prefix))
        if Delimiter:
            folders = {key[: key.index(Delimiter, len(Prefix)) + 1] for key in keys if Delimiter in key[len(Prefix) :]}
            return {"CommonPrefixes": [{"Prefix": folder} for folder in sorted(folders)], "IsTruncated": False}
        page = [key for key in keys if key > ContinuationToken][: PAGE + 1]
        more = {"NextContinuationToken": page[PAGE - 1]} if len(page) > PAGE else {}
        rows = [(key, *self.objects[Bucket, key]) for key in page[:PAGE]]
        contents = [{"Key": key, "Size": len(data), "LastModified": at, "ETag": _etag(data)} for key, data, at in rows]
        return {"Contents": contents, "IsTruncated": bool(more), **more}


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
