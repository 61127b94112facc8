"""The store in a folder and on an S3 server, as in tests/store."""

from tests.store.conftest import s3_server, s3_uri, store

__all__ = ["s3_server", "s3_uri", "store"]
