"""Sets of 64-bit hashes, one for each article: in memory while they are few, else in a temporary file that is read in blocks.

An article of 560 words has 4.5 kB of them, so those of 400,000 articles are 1.8 GB: too much to hold, and little to read again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

IN_MEMORY: Final = 64 * 2**20  # bytes of one file, above which it goes to the disk
BLOCK: Final = 2**20  # hashes of one block, about


class Spill:
    """An array that grows at its end and is read in pieces."""

    def __init__(self, dtype: type[np.generic], in_memory: int = IN_MEMORY) -> None:
        """Begin with an empty array.

        Args:
            dtype: of its numbers.
            in_memory: bytes that it may have before it goes to the disk.
        """
        self.dtype, self.count = np.dtype(dtype), 0
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115  # closed with this object

    def append(self, numbers: NDArray[np.generic]) -> None:
        """Add numbers at the end.

        Args:
            numbers: one-dimensional, of the array's type.
        """
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(numbers, self.dtype).tobytes())
        self.count += len(numbers)

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.generic]:
        """Return a piece of the array.

        Args:
            start: its first place.
            stop: the place behind its last; None for the end of the array.

        Returns:
            A read-only array.
        """
        self._file.seek(start * self.dtype.itemsize)
        size = (self.count if stop is None else stop) - start
        return np.frombuffer(self._file.read(size * self.dtype.itemsize), self.dtype)

    def close(self) -> None:
        """Free the array."""
        self._file.close()


class Block(NamedTuple):
    """Sets of neighbouring rows.

    Attributes:
        rows: (m,) the rows, rising.
        sizes: (m,) hashes of each.
        flat: their hashes, row by row, each row's sorted.
    """

    rows: Indices
    sizes: Indices
    flat: Hashes

    @property
    def starts(self) -> Indices:
        """Return where each row's hashes begin, (m,)."""
        return np.cumsum(self.sizes) - self.sizes


class ShingleSets(Sequence[Hashes]):
    """The sets of n articles, each sorted and without repeats."""

    def __init__(self) -> None:
        self._spill, self._sizes = Spill(np.uint64), list[Indices]()
        self._offsets: Indices | None = None

    def append(self, flat: Hashes, sizes: Indices) -> None:
        """Add the sets of some articles.

        Args:
            flat: the hashes, article by article.
            sizes: how many each article has.
        """
        self._spill.append(flat)
        self._sizes.append(np.asarray(sizes, np.int64))
        self._offsets = None

    @property
    def offsets(self) -> Indices:
        """Return where each set begins, (n + 1,)."""
        if self._offsets is None:
            sizes = np.concatenate([np.zeros(1, np.int64), *self._sizes])
            self._sizes, self._offsets = [sizes[1:]], np.cumsum(sizes)
        return self._offsets

    @property
    def sizes(self) -> Indices:
        """Return how many hashes each article has, (n,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Hashes:  # type: ignore[override]  # never by a slice
        offsets = self.offsets
        if not 0 <= row < len(offsets) - 1:
            raise IndexError(row)
        return self._spill.read(int(offsets[row]), int(offsets[row + 1]))  # type: ignore[return-value]

    def blocks(self, wanted: NDArray[np.bool_] | None = None, block: int = BLOCK) -> Iterator[Block]:
        """Yield the sets in their order, many at a time.

        Args:
            wanted: (n,) which ones; None for all.
            block: hashes of one block, about.

        Yields:
            Blocks without rows that are not wanted or empty.
        """
        offsets, start = self.offsets, 0
        while start < len(self):
            stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + block, side="right")) - 1)
            sizes = np.diff(offsets[start : stop + 1])
            keep = sizes > 0 if wanted is None else (sizes > 0) & wanted[start:stop]
            if keep.any():
                flat: Hashes = self._spill.read(int(offsets[start]), int(offsets[stop]))  # type: ignore[assignment]
                if not keep.all():
                    flat = flat[np.repeat(keep, sizes)]
                yield Block(np.flatnonzero(keep) + start, sizes[keep], flat)
            start = stop
