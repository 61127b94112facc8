"""A store in a folder, and a corpus of numbered articles."""

from tests.store.conftest import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]
