"""What a Parquet file unpacks to, told by the headers of its pages: no decoder holds the footer's sizes to be true or false.

A page's header is what the decoder goes by: it allocates the size that stands there, and refuses data that do not fit. So
headers are walked before a row group is decoded, which reads some 50 bytes a page. What the decoder holds at once is then
known: of each column its dictionary and one page, and where a row may have several values, all values of the row group, since
one row may have them all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAX_FOOTER: Final = 16 * 2**20  # bytes; a row group takes some 100 bytes a column
MAX_HELD: Final = 512 * 2**20  # bytes that the decoder may hold at once
MAX_HEADER: Final = 16 * 2**20  # bytes of one page's header, which may hold statistics of long texts
FIRST_READ: Final = 1024
DATA, DICTIONARY, DATA_V2 = 0, 2, 3
DELTA_BYTE_ARRAY: Final = 7
WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
PER_VALUE: Final = 8  # levels and lengths that the decoder keeps of each value of a page
COPIES: Final = 4  # of what is kept whole, at most
PER_ENTRY: Final = 16  # and of each entry of a dictionary


class Readable(Protocol):
    """A seekable stream of bytes."""

    def seek(self, place: int, /) -> int:
        """Go to a place.

        Args:
            place: bytes from the start.

        Returns:
            The place.
        """

    def read(self, size: int, /) -> bytes:
        """Read some bytes.

        Args:
            size: how many, at most.

        Returns:
            The bytes; fewer where the file ends.
        """


class Page(NamedTuple):
    """A page as its header declares it.

    Attributes:
        kind: DATA, DICTIONARY, DATA_V2, or another that decoders skip.
        unpacked: bytes that the decoder allocates for it.
        packed: bytes behind the header.
        values: how many values it says it has.
        encoding: number of the encoding.
        place: of its first byte behind the header.
    """

    kind: int
    unpacked: int
    packed: int
    values: int
    encoding: int
    place: int


class Weight(NamedTuple):
    """What columns of a row group weigh, in bytes.

    Attributes:
        held: what the decoder holds at once, at most.
        unpacked: all pages together.
        entries: dictionaries of texts, one of whose entries every row may repeat.
    """

    held: int
    unpacked: int
    entries: int


def footer_size(stream: Readable, size: int) -> int:
    """Return the size of a file's footer.

    Args:
        stream: the file.
        size: its bytes.

    Returns:
        Bytes of the footer; 0 where the file has none.
    """
    if size < 12:
        return 0
    stream.seek(size - 8)
    tail = stream.read(8)
    length = int.from_bytes(tail[:4], "little")
    return length if tail[4:] == b"PAR1" and length <= size else 0


def kept_whole(file: pq.ParquetFile) -> frozenset[int]:
    """Return the leaf columns of which the decoder keeps all values of a row group: those that Arrow reads as dictionaries.

    Args:
        file: the file; its footer alone is looked at.

    Returns:
        Numbers of leaf columns.
    """
    import pyarrow as pa

    def holds(kind: pa.DataType) -> bool:
        return pa.types.is_dictionary(kind) or any(holds(kind.field(number).type) for number in range(kind.num_fields))

    names = {field.name for field in file.schema_arrow if holds(field.type)}
    leaves = range(file.metadata.num_columns) if names else ()
    return frozenset(leaf for leaf in leaves if _top(file.schema.column(leaf).path, names))


def _top(path: str, names: set[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in names)


def weigh(
    stream: Readable, metadata: pq.FileMetaData, group: int, columns: Iterable[int], whole: frozenset[int] = frozenset()
) -> Weight:
    """Return what columns of a row group weigh, by the headers of their pages.

    Args:
        stream: the file; its place is not kept.
        metadata: its footer.
        group: number of the row group.
        columns: numbers of the leaf columns.
        whole: those of which the decoder keeps all values.

    Returns:
        The weight.

    Raises:
        ValueError: a header is damaged.
    """
    held = unpacked = entries = 0
    for number in columns:
        chunk, leaf = metadata.row_group(group).column(number), metadata.schema.column(number)
        texts = leaf.physical_type == "BYTE_ARRAY"
        width = WIDTHS.get(leaf.physical_type, 0) or (max(leaf.length, 1) if not texts else 0)
        nested = leaf.max_repetition_level > 0
        largest = dictionary = longest = values = repeated = 0
        for page in pages(stream, chunk):
            unpacked += page.unpacked
            held += COPIES * page.unpacked if number in whole else 0
            if page.kind == DICTIONARY:
                if page.values > max(page.unpacked, 1):
                    raise ValueError(f"a dictionary of {page.unpacked:,} bytes says it has {page.values:,} entries")
                dictionary = max(dictionary, 2 * page.unpacked + PER_ENTRY * page.values)
                entries += page.unpacked if texts else 0
                if nested and texts and page.unpacked <= MAX_HELD:
                    longest = max(longest, _longest(stream, page, chunk.compression))
            elif page.kind in (DATA, DATA_V2):
                largest = max(largest, page.unpacked + PER_VALUE * page.values)
                values += page.values
                repeated += page.unpacked * (page.values if page.encoding == DELTA_BYTE_ARRAY else 1)
        held += dictionary + largest + width
        if nested:
            held += values * (4 + max(width, longest)) + (repeated if texts else 0)
    return Weight(held, unpacked, entries)


def pages(stream: Readable, chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """Yield the pages of a column chunk that a decoder would read.

    Args:
        stream: the file.
        chunk: the chunk, as the footer has it.

    Yields:
        Each page.

    Raises:
        ValueError: a header is damaged.
    """
    place = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (offset := chunk.dictionary_page_offset or 0) < place:
        place = offset
    end, seen = place + chunk.total_compressed_size, 0
    while place < end and seen < chunk.num_values:
        page = _page(stream, place, end)
        yield page
        seen += page.values if page.kind in (DATA, DATA_V2) else 0
        place = page.place + page.packed


def _page(stream: Readable, place: int, end: int) -> Page:
    size = FIRST_READ
    while True:
        stream.seek(place)
        data = stream.read(min(size, end - place))
        try:
            header = _Thrift(data)
            fields = header.struct()
            break
        except IndexError:
            if len(data) < size or size >= MAX_HEADER:
                raise ValueError(f"the header of a page at byte {place:,} is cut short") from None
            size *= 8
    kind, unpacked, packed = (fields.get(number) for number in (1, 2, 3))
    if not (isinstance(kind, int) and isinstance(unpacked, int) and isinstance(packed, int)):
        raise ValueError(f"the header of a page at byte {place:,} lacks a size")
    inner = fields.get({DATA: 5, DICTIONARY: 7, DATA_V2: 8}.get(kind, 0))
    inner = inner if isinstance(inner, dict) else {}
    values, encoding = inner.get(1, 0), inner.get(4 if kind == DATA_V2 else 2, 0)
    if not (isinstance(values, int) and isinstance(encoding, int)):
        raise ValueError(f"the header of a page at byte {place:,} lacks its values")
    if not all(0 <= number < 2**31 for number in (unpacked, packed, values)):
        raise ValueError(f"the header of a page at byte {place:,} has impossible sizes")
    return Page(kind, unpacked, packed, values, encoding, place + header.place)


def _longest(stream: Readable, page: Page, codec: str) -> int:
    """Return the bytes of the longest entry of a dictionary of texts; those of all where they can't be told apart."""
    import pyarrow as pa

    stream.seek(page.place)
    data = stream.read(page.packed)
    names = {"SNAPPY": "snappy", "GZIP": "gzip", "BROTLI": "brotli", "ZSTD": "zstd", "LZ4_RAW": "lz4_raw"}
    if codec != "UNCOMPRESSED":
        if codec not in names:
            return page.unpacked
        data = pa.decompress(data, decompressed_size=page.unpacked, codec=names[codec], asbytes=True)
    place = longest = 0
    for _ in range(page.values):
        if place + 4 > len(data):
            return page.unpacked
        (length,) = struct.unpack_from("<I", data, place)
        longest, place = max(longest, length), place + 4 + length
    return min(longest, page.unpacked)


class _Thrift:
    """Reads one struct of Thrift's compact protocol: whole numbers and structs are kept, all else is passed over."""

    DEPTH = 8

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def struct(self, depth: int = 0) -> dict[int, object]:
        """Return the fields of a struct; IndexError where the bytes end before it does."""
        fields, number = dict[int, object](), 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> object:
        if depth > self.DEPTH:
            raise ValueError("the header of a page is nested too deep")
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind in (7, 8):
            self._skip(8 if kind == 7 else self._varint())
            return None
        if kind in (9, 10):
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._varint()):
                self._value(head & 15 if head & 15 > 2 else 3, depth + 1)
            return None
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError("the header of a page is damaged")

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self.data):
            raise IndexError

    def _byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise ValueError("the header of a page is damaged")

    def _signed(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)
