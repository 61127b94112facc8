"""TensorBoard's event files, in the store: each report is a file of its own, written once.

A file that grows in place is no object of a store, and one that is replaced is lost to TensorBoard's fast reader, which keeps
the former open. TensorBoard reads all event files of a folder as one curve, in the order of their names.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from distillery.components.store import Store
from distillery.components.store.layout import curves_key
from distillery.components.training.trackers.base import Beat


class TensorBoard:
    """Event files of one training.

    Args:
        store: where they go.
        name: of the filter.
        inputs: digest of the training's inputs.
    """

    name = "tensorboard"

    def __init__(self, store: Store, name: str, inputs: str) -> None:
        self._store, self._filter, self._inputs, self._count = store, name, inputs, 0

    def report(self, beats: Sequence[Beat]) -> None:
        """Write one more event file.

        Args:
            beats: what is in it.
        """
        key = curves_key(self._filter, self._inputs, int(beats[0].at), self._count)
        self._store.put(key, event_file(beats))
        self._count += 1

    def close(self, *, failed: bool) -> None:
        """Do nothing: each file is whole.

        Args:
            failed: not told.
        """


def event_file(beats: Sequence[Beat]) -> bytes:
    """Return an event file.

    Args:
        beats: what is in it.

    Returns:
        Its bytes: the version's record, and one for each beat.
    """
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    rows = [Event(wall_time=beats[0].at, file_version="brain.Event:2")]
    for beat in beats:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in beat.figures.items()]
        rows.append(Event(wall_time=beat.at, step=beat.done, summary=Summary(value=values)))
    return b"".join(_record(row.SerializeToString()) for row in rows)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """Return the CRC-32C as TFRecord files mask it."""
    from tensorboardX.crc32c import crc32c

    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
