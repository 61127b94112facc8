"""Try a request again through an outage of what is far away: the object store, the cluster's API.

Only what time can fix is tried again (no connection, a reply that breaks off, 429, 5xx, "slow down"): for three minutes at
most, with pauses that grow to 10 s and differ by chance, so that a thousand workers don't come back in one second. A refusal
is raised at once: bad input gains nothing from patience. A TLS connection that breaks is an outage; a certificate that isn't
trusted is a setting.

With tenacity the loop would be 26 lines instead of 20, since patience begins with the first failure and not with the first
try, and every install would have one more dependency.
"""

from __future__ import annotations

import random
import ssl
import sys
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 180.0
PAUSES = (0.1, 10.0)
TELL_AFTER = 5.0
_BUSY = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"}
_CONTENDED = {"ConditionalRequestConflict", "OperationAborted", "409", ""}  # any other 409 is a setting, such as a lock
T = TypeVar("T")


def is_outage(error: BaseException) -> bool:
    """True if the same request may succeed later, without anybody changing anything.

    Args:
        error: what the request raised: of boto3, botocore, urllib3, the Kubernetes client, or Python itself.

    Returns:
        True for an outage, False for a refusal, a wrong setting, or a fault of our own.
    """
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    response = getattr(error, "response", None)  # botocore's ClientError
    if isinstance(error, boto.ClientError) and isinstance(response, dict):
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(response.get("Error", {}).get("Code", ""))
        return status == 429 or status >= 500 or code in _BUSY or (status == 409 and code in _CONTENDED)
    reply = getattr(error, "status", None)  # kubernetes' ApiException
    if isinstance(reply, int):
        return reply in (0, 429) or reply >= 500
    if isinstance(error, boto.ProxyConnectionError) or (isinstance(error, boto.SSLError) and _distrusts(error)):
        return False  # a wrong setting
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, HTTPError)):
        return True
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    cause = error.__cause__ or error.__context__  # boto3 wraps what an upload in parts met
    return type(error).__module__.startswith("boto3.") and cause is not None and is_outage(cause)


def _distrusts(error: object) -> bool:
    """True if the cause is a certificate that can't be verified; botocore and urllib3 keep their causes as values."""
    seen, causes = list[object](), [error]
    while causes:
        each = causes.pop()
        if isinstance(each, ssl.SSLCertVerificationError):
            return True
        if isinstance(each, BaseException) and not any(each is other for other in seen):
            seen.append(each)
            causes += [each.__cause__, each.__context__, getattr(each, "kwargs", {}).get("error"), *each.args]
    return False


def describe(error: BaseException) -> str:
    """Return what an outage or a refusal looks like from here, as the end of a sentence.

    Args:
        error: what a request raised.

    Returns:
        What was answered, such as "answers 503 SlowDown"; else the kind of error alone, since messages of HTTP clients carry
        addresses that may carry keys.
    """
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        code = "".join(filter(str.isalnum, str(error.response.get("Error", {}).get("Code", ""))))[:60]
        return f"answers {status} {code}" if code not in ("", status) else f"answers {status}"
    reply = getattr(error, "status", None)  # kubernetes' ApiException
    return f"answers {reply}" if isinstance(reply, int) and reply else f"can't be reached ({type(error).__name__})"


def by_service(error: BaseException) -> bool:
    """True if the error came from the object store or the network path to it, rather than from our input.

    Args:
        error: what a request to the store raised.

    Returns:
        True for a refusal, an expired key or an outage.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return isinstance(error, (BotoCoreError, ClientError, Boto3Error)) or is_outage(error)


def retry(what: str, request: Callable[[], T], *, seconds: float = PATIENCE) -> T:
    """Make a request, and make it again while there is an outage.

    An outage of more than 5 s is told on stderr, and so is its end.

    Args:
        what: whom the request is made to, for people.
        request: makes it; it must be one that can be made twice.
        seconds: how long an outage may last, counted from the first failure.

    Returns:
        What the request returned.

    Raises:
        Exception: the request's own error, where it is no outage, or one that lasts longer.
    """
    began, pause, told = 0.0, PAUSES[0], False
    while True:
        try:
            result = request()
        except Exception as error:
            now = time.monotonic()
            began = began or now
            if not is_outage(error) or now - began + pause > seconds:
                raise
            if now - began > TELL_AFTER and not told:
                told = True
                print(f"{what} {describe(error)}, trying again", file=sys.stderr, flush=True)
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, PAUSES[1])
        else:
            if told:
                print(f"{what} answers again after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            return result
