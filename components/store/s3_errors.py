"""What the errors of boto3 mean to whoever reads them: one line that says what S3 answered and what to do.

A message of an HTTP client is never passed on, since it may carry an address with a key in it; S3's own codes are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from boto3.exceptions import Boto3Error
from botocore import exceptions as boto
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from distillery.components.remote.retry import describe
from distillery.components.store.objects import StoreError

# All that a request to S3 raises, transfers in parts and broken replies included; KeyError is a reply that lacks a field.
RAISED = (
    boto.BotoCoreError,
    boto.ClientError,
    Boto3Error,
    RetriesExceededError,
    S3DownloadFailedError,
    HTTPError,
    ConnectionError,
    TimeoutError,
)
ABSENT = {"404", "NoSuchKey", "NotFound"}
_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_RENEW = "renew them (`aws sso login`, or new values of the AWS variables), then run again"
# What S3's codes mean whatever their status is, and what to do; "{}" is the code.
_CODES: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("NoSuchBucket", *ABSENT), ("has no such bucket", "create it, or check the name")),
    "InvalidBucketName": ("is no name of a bucket", "check the name"),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "401"), ("refuses these credentials ({})", _KEYS)),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
        ("says that the credentials have expired ({})", _RENEW),
    ),
    "InvalidToken": ("doesn't know the session token ({})", "renew AWS_SESSION_TOKEN, or unset it where the keys need none"),
    **dict.fromkeys(
        ("RequestTimeTooSkewed", "RequestExpired"),
        ("says that this machine's clock is off ({})", "set the clock, then run again"),
    ),
    "InvalidObjectState": ("is archived ({})", "restore it from the archive, then run again"),
    **dict.fromkeys(("QuotaExceeded", "XMinioStorageFull"), ("is full ({})", "free some space there, or raise its quota")),
    "NoSuchUpload": ("forgot an upload that was under way ({})", "run again"),
}
_ELSEWHERE = {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_DENIED = {"AccessDenied", "Forbidden", "403"}
# What a request needs to be allowed; of the multipart ones all but the last need what a plain write needs.
_PERMISSIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("GetObject", "HeadObject"), "s3:GetObject"),
    **dict.fromkeys(("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "s3:PutObject"),
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    **dict.fromkeys(("ListObjectsV2", "HeadBucket"), "s3:ListBucket"),
}
_REGION = re.compile(r"[a-z0-9-]{2,40}")
_SETTINGS = (
    boto.ConfigNotFound,
    boto.ConfigParseError,
    boto.InvalidConfigError,
    boto.InvalidRegionError,
    boto.InvalidS3AddressingStyleError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
)


def answer(error: BaseException) -> boto.ClientError | None:
    """Return what S3 answered, also where boto3 wrapped it as the failure of a transfer in parts.

    Args:
        error: what a request raised.

    Returns:
        The error that carries S3's answer; None where there was none.
    """
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None or isinstance(cause, boto.ClientError):
            return cause
        cause = getattr(cause, "last_exception", None) or cause.__cause__ or cause.__context__
    return None


def status_of(error: boto.ClientError) -> int:
    """Return the HTTP status of S3's answer.

    Args:
        error: the answer.

    Returns:
        Such as 412; 0 where the client doesn't say.
    """
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: boto.ClientError) -> str:
    """Return the code of S3's answer.

    Args:
        error: the answer.

    Returns:
        Such as "NoSuchKey"; the HTTP status where the answer had no body.
    """
    return str(error.response.get("Error", {}).get("Code", ""))


def explained(error: BaseException, where: str, store: str) -> StoreError:
    """Return one line on an error.

    Args:
        error: what a request raised.
        where: address of the object, or of the store.
        store: address of the store, or of the bucket, for which access is granted.

    Returns:
        What is wrong, and what to do.
    """
    answered = answer(error)
    if answered is not None:
        what, hint = _answered(answered, store)
        return StoreError(what, where=where, hint=hint)
    if isinstance(error, (boto.NoCredentialsError, boto.CredentialRetrievalError, boto.TokenRetrievalError)):
        return StoreError("needs credentials", where=where, hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if isinstance(error, _SETTINGS):
        return StoreError(f"can't be opened: {error}", where=where, hint="mend the AWS variables or the AWS configuration file")
    if isinstance(error, boto.ParamValidationError):
        return StoreError("is no address that S3 takes", where=where, hint="check the name of the bucket")
    if isinstance(error, ValueError):
        return StoreError("can't be opened: AWS_ENDPOINT_URL is no address", where=where, hint="write https://host:port")
    return StoreError(describe(error), where=where, hint="check AWS_ENDPOINT_URL")


def _answered(error: boto.ClientError, store: str) -> tuple[str, str]:
    """Return what S3 answered, and what to do about it."""
    code, status = code_of(error), status_of(error)
    if code in _CODES:
        what, hint = _CODES[code]
        return what.format(code), hint
    if status in (301, 307) or code in _ELSEWHERE:
        region = _region(error)
        return f"lies in another region ({code or status})", f"set AWS_REGION to {region or 'the one of the bucket'}"
    if code in _DENIED:
        return _denied(error, code, store)
    if status in (401, 403):
        return f"refuses access ({code or status})", "ask whoever runs the bucket what this answer stands for there"
    if status == 409:
        return describe(error), "see which setting of the bucket, or which other client, is in the way; then run again"
    if status >= 500:
        return describe(error), "run again once it is well: what is done is kept"
    return describe(error), "check AWS_ENDPOINT_URL and the settings of the bucket"


def _denied(error: boto.ClientError, code: str, store: str) -> tuple[str, str]:
    """Return which permission is missing, and what to grant."""
    permission = _PERMISSIONS.get(error.operation_name, "")
    bucket, _, prefix = store.removeprefix("s3://").partition("/")
    grants = f"{permission or 'reading and writing'} on {bucket}/{prefix}{'/' if prefix else ''}*"
    if permission == "s3:ListBucket":
        grants = f"{permission} on {bucket}"
    elif permission == "s3:GetObject":
        grants += f", and s3:ListBucket on {bucket}, without which a missing object is refused, too"
    missing = f": the permission {permission} is missing" if permission else ""
    return f"refuses access ({code}){missing}", f"grant these credentials {grants}"


def _region(error: boto.ClientError) -> str:
    """Return the bucket's region where the answer states it."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    stated = error.response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    return stated if isinstance(stated, str) and _REGION.fullmatch(stated) else ""
