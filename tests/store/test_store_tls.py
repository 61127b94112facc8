"""TLS before the store: a connection that breaks is an outage, a certificate that isn't trusted a wrong setting."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from botocore import exceptions as boto
from urllib3 import exceptions as urllib3

from distillery.components.remote.retry import by_service, is_outage
from distillery.components.store import StoreError
from distillery.components.store import s3_objects as objects_s3
from distillery.components.store.s3_objects import S3Objects

TORN = ssl.SSLEOFError(8, "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol")
DISTRUSTED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")


def met_by_botocore(error: Exception) -> Exception:
    """As botocore raises it: what urllib3 made of `error` is a value of its own."""
    return boto.SSLError(endpoint_url="https://s3", error=urllib3.SSLError(error))


def uploaded(error: Exception) -> Exception:
    """As boto3 raises what it met in an upload in parts."""
    from boto3.exceptions import S3UploadFailedError

    outer = S3UploadFailedError("failed")
    outer.__cause__ = error
    return outer


def chained(error: Exception) -> Exception:
    outer = boto.SSLError(endpoint_url="https://s3", error="words alone")
    outer.__context__ = urllib3.SSLError("words alone")
    outer.__context__.__cause__ = error
    return outer


@pytest.mark.parametrize("wrap", [met_by_botocore, chained, lambda error: uploaded(met_by_botocore(error))])
def test_only_a_certificate_is_a_setting(wrap: Callable[[Exception], Exception]) -> None:
    assert is_outage(wrap(TORN))
    assert not is_outage(wrap(DISTRUSTED))
    assert by_service(wrap(TORN))
    assert by_service(wrap(DISTRUSTED))


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """An https:// address, each of whose connections `answer` gets."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def work() -> None:
            while True:
                try:
                    client, _ = door.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    answer(client)

        threading.Thread(target=work, daemon=True).start()
        yield f"https://127.0.0.1:{door.getsockname()[1]}"
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def contact(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], StoreError]:
    """What a first contact with this address ends with."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setattr(objects_s3, "FIRST_CONTACT", 0.5)

    def call(address: str) -> StoreError:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(StoreError, match=r"can't be reached \(SSLError\)") as caught:
            S3Objects("bucket", "x", write=True)
        return caught.value

    return call


def test_a_gateway_that_hangs_up_is_an_outage(contact: Callable[[str], StoreError]) -> None:
    met: list[bytes] = []
    with serving(lambda client: met.append(client.recv(4096))) as address:
        error = contact(address)
    assert error.__cause__ is not None
    assert is_outage(error.__cause__)
    assert met, "a client said hello"


def test_a_certificate_of_nobody_s_is_refused_at_once(contact: Callable[[str], StoreError], tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "own.pem"))

    def greet(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as secured:
            secured.recv(1)

    with serving(greet) as address:
        error = contact(address)
    assert error.__cause__ is not None
    assert not is_outage(error.__cause__)


def self_signed(path: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, for a day, signed by itself."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path
