"""What the errors of boto3 mean to whoever reads them: one line that says what S3 answered and what to do.

A message of an HTTP client is never passed on, since it may carry an address with a key in it; S3's own codes are.
"""

from __future__ import annotations

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


def explained(error: BaseException, where: str) -> StoreError:
    """Return one line on an error.

    Args:
        error: what a request raised.
        where: address of the object, or of the store.

    Returns:
        What is wrong, and what to do.
    """
    answered = answer(error)
    if answered is not None:
        return _answered(answered, where)
    if isinstance(error, (boto.NoCredentialsError, boto.CredentialRetrievalError, boto.TokenRetrievalError)):
        return StoreError("needs credentials", where=where, hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if isinstance(error, _SETTINGS):
        return StoreError(f"can't be opened: {error}", where=where, hint="mend the AWS variables or the AWS configuration file")
    if isinstance(error, boto.ParamValidationError):
        return StoreError("is no address that S3 takes", where=where, hint="check the name of the bucket")
    if isinstance(error, ValueError):
        return StoreError("can't be opened: AWS_ENDPOINT_URL is no address", where=where, hint="write https://host:port")
    return StoreError(describe(error), where=where, hint="check AWS_ENDPOINT_URL")


def _answered(error: boto.ClientError, where: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    if code in ("NoSuchBucket", "404"):
        return StoreError("has no such bucket", where=where, hint="create it, or check the name")
    if status in (401, 403) or code in ("AccessDenied", "ExpiredToken", "InvalidToken"):
        hint = "check credentials and bucket policy; where the bucket may not be listed, a missing object is refused, too"
        if code in ("RequestTimeTooSkewed", "RequestExpired"):
            hint = "set this machine's clock"
        elif code in ("ExpiredToken", "InvalidToken", "ExpiredTokenException"):
            hint = "renew the credentials"
        return StoreError(f"refuses access ({code or status})", where=where, hint=hint)
    if status == 301 or code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return StoreError(f"lies in another region ({code or status})", where=where, hint="set AWS_REGION to the bucket's")
    if code == "InvalidBucketName":
        return StoreError("is no name of a bucket", where=where, hint="check the name")
    hint = "another client or a setting of the bucket is in the way; run again" if status == 409 else ""
    return StoreError(describe(error), where=where, hint=hint)
