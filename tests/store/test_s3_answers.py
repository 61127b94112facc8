"""What S3 answers is told as what it is, with what to do, also where the answer is a status alone."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from botocore.exceptions import ClientError

from distillery.components.remote.retry import is_outage
from distillery.components.store import StoreError, open_store
from distillery.components.store.s3_errors import explained

STORE = "s3://news/some/prefix"


def answered(code: str, status: int, operation: str = "GetObject", **more: str) -> ClientError:
    headers = {name.replace("_", "-"): value for name, value in more.items() if name.startswith("x_")}
    error = {"Code": code, **{name: value for name, value in more.items() if not name.startswith("x_")}}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}, operation)  # type: ignore[typeddict-item, typeddict-unknown-key]


@pytest.mark.parametrize(
    ("operation", "line"),
    [
        ("GetObject", "the permission s3:GetObject is missing; grant these credentials s3:GetObject on news/some/prefix/*, and "
         "s3:ListBucket on news, without which a missing object is refused, too"),
        ("HeadObject", "the permission s3:GetObject is missing; grant these credentials s3:GetObject on news/some/prefix/*"),
        ("PutObject", "the permission s3:PutObject is missing; grant these credentials s3:PutObject on news/some/prefix/*"),
        ("UploadPart", "the permission s3:PutObject is missing; grant these credentials s3:PutObject on news/some/prefix/*"),
        ("AbortMultipartUpload", "the permission s3:AbortMultipartUpload is missing; grant these credentials"),
        ("ListObjectsV2", "the permission s3:ListBucket is missing; grant these credentials s3:ListBucket on news"),
        ("GetBucketAcl", "refuses access (AccessDenied); grant these credentials reading and writing on news/some/prefix/*"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", ["AccessDenied", "403", "Forbidden"])
def test_a_permission_that_is_missing(code: str, operation: str, line: str) -> None:
    shown = explained(answered(code, 403, operation), f"{STORE}/key", STORE)
    assert str(shown).startswith(f"{STORE}/key: refuses access ({code})")
    assert line in str(shown).replace(f"({code})", "(AccessDenied)")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (answered("AuthorizationHeaderMalformed", 400, Region="eu-west-3"), "set AWS_REGION to eu-west-3"),
        (answered("301", 301, "HeadBucket", x_amz_bucket_region="eu-west-3"), "set AWS_REGION to eu-west-3"),
        (answered("PermanentRedirect", 301, Region="no region\nat all"), "set AWS_REGION to the one of the bucket"),
        (answered("TemporaryRedirect", 307), "lies in another region (TemporaryRedirect)"),
        (answered("RequestExpired", 400), "this machine's clock is off (RequestExpired); set the clock"),
        (answered("TokenRefreshRequired", 400), "the credentials have expired (TokenRefreshRequired); renew them"),
        (answered("AccountProblem", 403), "refuses access (AccountProblem); ask whoever runs the bucket"),
        (answered("InvalidObjectState", 403), "is archived (InvalidObjectState); restore it"),
        (answered("QuotaExceeded", 403), "is full (QuotaExceeded); free some space there"),
        (answered("NoSuchUpload", 404), "forgot an upload that was under way (NoSuchUpload); run again"),
        (answered("NoSuchKey", 404), "has no such bucket; create it"),
        (answered("OperationAborted", 409), "answers 409 OperationAborted; see which setting"),
        (answered("KMS.DisabledException", 400), "answers 400 KMSDisabledException; check AWS_ENDPOINT_URL and the"),
        (answered("NotImplemented", 501), "answers 501 NotImplemented; run again once it is well"),
    ],
)  # fmt: skip
def test_what_else_s3_answers(error: ClientError, line: str) -> None:
    shown = str(explained(error, STORE, STORE))
    assert shown.startswith(f"{STORE}: ")
    assert line in shown
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        *[("ConditionalRequestConflict", True), ("OperationAborted", True), ("409", True), ("", True)],
        *[("InvalidBucketState", False), ("BucketNotEmpty", False), ("UnheardOf", False)],
    ],
)
def test_of_409s_those_are_tried_again_that_pass_by_themselves(code: str, waits: bool) -> None:
    assert is_outage(answered(code, 409, "PutObject")) == waits


class Refusing(BaseHTTPRequestHandler):
    """Answers all alike; HEAD has no body, so no code."""

    code, status, asked = "", 0, list[str]()

    def log_message(self, *_: object) -> None:
        pass

    def _refuse(self) -> None:
        self.asked.append(self.command)
        body = f"<Error><Code>{self.code}</Code></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = _refuse


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Refusing]]:
    handler = type("Handler", (Refusing,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    yield handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("ExpiredToken", 400, "the credentials have expired (ExpiredToken)"),
        ("InvalidAccessKeyId", 403, "refuses these credentials (InvalidAccessKeyId)"),
        ("AccessDenied", 403, "refuses access (AccessDenied): the permission s3:GetObject is missing"),
        ("NoSuchBucket", 404, "has no such bucket"),
        ("PermanentRedirect", 301, "lies in another region (PermanentRedirect)"),
    ],
)
def test_a_status_without_a_code_is_asked_about(refusing: type[Refusing], code: str, status: int, says: str) -> None:
    refusing.code, refusing.status = code, status
    with pytest.raises(StoreError) as refused:
        open_store(STORE, write=False).exists("key")
    assert f"{STORE}/key: " in str(refused.value)
    assert says in str(refused.value)
    assert len(refusing.asked) <= 6  # a redirect that leads nowhere is not followed on and on
