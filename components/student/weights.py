"""Reads tensors of safetensors files straight into the memory in which they are used, in the type in which they are used.

A mapped file would count against a container's limit beside the copy in another type, and would change under a model that
somebody overwrites. So each tensor is read once, and where its type is another than the file's, a block at a time.
"""

from __future__ import annotations

import ctypes
import math
import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from distillery.components.student.base_files import COPY, read_header
from distillery.filters.errors import InputError

BLOCK = 2**20  # bytes of a file that are held at once where its numbers are of another type
PAGES = 2**20  # bytes from which a weight has pages of its own
MMAP_THRESHOLD = -3  # as malloc.h calls it
TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_tensors(folder: Path, places: Mapping[str, tuple[str, str]], dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors one by one, in the order in which they lie in the files; no more than one of them is held here.

    Args:
        folder: the base model's folder.
        places: for each tensor by its name in the body: the file it lies in, and its name there.
        dtype: what each becomes.

    Yields:
        Name in the body, and the tensor on the CPU.

    Raises:
        InputError: a file was cut short since it was checked.
        OSError: a file can't be read.
    """
    give_back()
    buffer = bytearray(BLOCK)
    for file in sorted({file for file, _ in places.values()}):
        wanted = {original: name for name, (at, original) in places.items() if at == file}
        with (folder / file).open("rb") as stream:
            header = read_header(stream, (folder / file).stat().st_size, file)
            for original, (kind, shape, size) in header.items():
                if original not in wanted:
                    stream.seek(size, 1)
                    continue
                tensor = _own_pages(shape, dtype)
                _fill(tensor.view(-1), stream, TYPES[kind], buffer, file)
                yield wanted[original], tensor


def _own_pages(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return an empty tensor whose memory the system has back as soon as it is freed, where it has 1 MB or more.

    On the heap, weights below 32 MB and what training allocates between them hold one another's pages.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < PAGES:
        return torch.empty(tuple(shape), dtype=dtype)
    return torch.frombuffer(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), dtype=dtype).view(tuple(shape))


def _fill(flat: Tensor, stream: BinaryIO, kind: torch.dtype, buffer: bytearray, file: str) -> None:
    """Read as many numbers as a flat tensor holds; those of another type pass through the buffer."""
    for part in torch.split(flat, len(buffer) // kind.itemsize):
        read = part if part.dtype == kind else torch.frombuffer(buffer, dtype=kind, count=len(part))
        if stream.readinto(read.view(torch.uint8).numpy().data) != read.nbytes:  # type: ignore[attr-defined]
            raise InputError("was cut short while it was read", where=file, hint=COPY)
        if read is not part:
            part.copy_(read)


def give_back() -> None:
    """Return freed memory to the system: glibc keeps blocks below 32 MiB, where a body of another type finds no room.

    A 1.5B student took 8.9 GiB in training instead of 6 GiB: the bf16 weights that it had put away, beside the merged ones.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def keep_blocks_apart() -> None:
    """Let every large block that this process allocates have pages of its own, which the system has back when it is freed.

    Blocks below 32 MB share glibc's heap otherwise, and a small gradient in a gap leaves none for the next layer's activations:
    1.1 GB with 1.5B in passes of 512 tokens. Pages that come anew cost a fifth of the time: for want of memory alone.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, PAGES)
