"""An object of a bucket as a file: what readers of Parquet, XLSX and Arrow seek in."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from typing_extensions import override


class S3File(io.RawIOBase):
    """A seekable file of ranged reads; a read that breaks off is done again.

    It holds one window, so memory is flat, and 3 GB at 8 MB a window are some 400 requests.

    Args:
        fetch: gives the bytes from a start to an end, which is not included.
        size: of the object, in bytes.
        window: bytes to fetch at a time.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, window: int) -> None:
        self._fetch, self.size, self._window = fetch, size, window
        self._at = self._from = 0
        self._block = b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self.size)[whence])
        return self._at

    @override
    def tell(self) -> int:
        return self._at

    @override
    def readinto(self, buffer: Any) -> int:
        if self._at >= self.size:
            return 0
        if not self._from <= self._at < self._from + len(self._block):
            self._block = self._fetch(self._at, min(self.size, self._at + max(self._window, len(buffer))))
            self._from = self._at
        piece = self._block[self._at - self._from : self._at - self._from + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
