"""A Parquet file is weighed by the headers of its pages, whatever its footer declares. Caps are lowered, so files are small."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.components.articles import formats, label_table, parquet_rows
from distillery.components.articles.articles import Rejects, read_articles
from distillery.components.articles.columns import COLUMNS
from distillery.components.articles.parquet_pages import MAX_HELD, pages, weigh
from distillery.components.articles.readers import read_rows
from distillery.filters.errors import InputError


def written(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def read(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    rejects = Rejects()
    return len(list(read_articles(path, rejects=rejects))) + rejects.count + rejects.collapsed


OPTIONS: list[dict[str, Any]] = [
    {},
    {"compression": "zstd", "data_page_version": "2.0"},
    {"compression": "gzip", "use_dictionary": False},
    {"compression": "none", "write_page_index": True, "data_page_size": 2_000},
    {"use_dictionary": False, "column_encoding": {"content": "DELTA_BYTE_ARRAY"}},
    {"use_dictionary": False, "column_encoding": {"content": "DELTA_LENGTH_BYTE_ARRAY"}, "row_group_size": 100},
]


def articles(count: int) -> pa.Table:
    return pa.table(
        {
            "id": [f"a{n}" for n in range(count)],
            "content": [f"Text {n}. " * 50 for n in range(count)],
            "reference": pa.array([[("substance", 1.0), ("effect", None)]] * count, pa.map_(pa.string(), pa.float64())),
        }
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_headers_of_pages_say_what_the_decoder_reads(options: dict[str, Any]) -> None:
    data = written(articles(700), **options)
    stream, metadata = io.BytesIO(data), pq.ParquetFile(io.BytesIO(data)).metadata
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            found = list(pages(stream, chunk))
            assert sum(page.values for page in found if page.kind in (0, 3)) == chunk.num_values
            last = found[-1]
            assert (
                last.place + last.packed - (chunk.dictionary_page_offset or chunk.data_page_offset)
                == chunk.total_compressed_size
            )
            assert 0 <= chunk.total_uncompressed_size - sum(page.unpacked for page in found) < 2_000 * len(found)
        assert weigh(stream, metadata, group, range(metadata.num_columns)).held < MAX_HELD


@pytest.mark.parametrize("options", OPTIONS)
def test_honest_files_are_read_whole(tmp_path: Path, options: dict[str, Any]) -> None:
    assert read(tmp_path / "a.parquet", written(articles(300), **options)) == 300


def test_a_page_that_unpacks_to_much_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(pa.table({"content": ["a" * 900_000]}), compression="zstd", use_dictionary=False)
    assert read(tmp_path / "a.parquet", data) == 1
    monkeypatch.setattr(parquet_rows, "MAX_HELD", 500_000)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)  # never asked for a row
    with pytest.raises(InputError, match="to unpack, as only a bomb does"):
        read(tmp_path / "a.parquet", data)


def test_pages_count_together_whatever_the_footer_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FREE_BYTES", 100_000)
    table = pa.table({"content": ["a" * 4_000] * 4_000})
    data = written(table, compression="zstd", use_dictionary=False, data_page_size=4_000, write_statistics=False)
    unpacked = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).total_byte_size
    assert unpacked > 100 * len(data)
    forged = forged_footer(data, unpacked, 1_000)
    declared = pq.ParquetFile(io.BytesIO(forged)).metadata.row_group(0)
    assert declared.total_byte_size == declared.column(0).total_uncompressed_size == 1_000
    with pytest.raises(InputError, match="unpacks to more than 100 times its size"):
        read(tmp_path / "a.parquet", forged)
    with pytest.raises(InputError, match="the table would unpack"):
        label_table.read_table(forged)


def varint(number: int) -> bytes:
    out, number = b"", number * 2
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def forged_footer(data: bytes, old: int, new: int) -> bytes:
    """Return the file with a number of its footer changed: a size that is declared, not one that is used."""
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    assert varint(old) in footer
    footer = footer.replace(varint(old), varint(new))
    return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def test_a_text_that_a_dictionary_repeats_counts_in_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FREE_BYTES", 1_000_000)
    data = written(pa.table({"id": [str(n) for n in range(3_000)], "content": ["a" * 20_000] * 3_000}), compression="zstd")
    with pytest.raises(InputError, match="unpacks to more than 100 times its size"):
        read(tmp_path / "a.parquet", data)
    monkeypatch.setattr(label_table, "MAX_TABLE", 2_000_000)
    with pytest.raises(InputError, match="the table would unpack"):
        label_table.read_table(data)


def test_a_table_is_read_in_batches_that_its_dictionaries_cannot_blow_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda file, rows, **rest: asked.append(rows) or batches(file, rows, **rest)
    )
    table = pa.table({"a": ["x" * 2_000_000] * 20})
    assert label_table.read_table(written(table)).num_rows == 20
    assert 1 <= asked[0] <= 200
    label_table.read_table(written(pa.table({"a": [1.5] * 20})))
    assert asked[1] == 1024


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.list_(pa.float64()), [1.5] * 400),
        (pa.list_(pa.string()), ["t" * 900] * 40),
        (pa.map_(pa.string(), pa.float64()), [("t" * 90, 1.0)] * 200),
    ],
)
def test_lists_count_with_all_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType, values: list[Any]
) -> None:
    table = pa.table({"content": ["Text."] * 20, "reference": pa.array([values] * 20, kind)})
    (tmp_path / "a.parquet").write_bytes(written(table))
    rows = read_rows(tmp_path / "a.parquet", COLUMNS)
    assert [len(row.value["reference"]) for row in rows if row.value] == [len(values)] * 20
    nbytes = table["reference"].nbytes
    monkeypatch.setattr(parquet_rows, "MAX_HELD", nbytes // 2)
    with pytest.raises(InputError, match="to unpack, as only a bomb does"):
        read(tmp_path / "a.parquet", written(table))


def test_a_column_that_is_read_as_a_dictionary_counts_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array([f"{number} " * 100 for number in range(500)])
    plain = written(pa.table({"content": texts}), data_page_size=1_000, dictionary_pagesize_limit=1_000)
    kept = written(pa.table({"content": texts.dictionary_encode()}), data_page_size=1_000, dictionary_pagesize_limit=1_000)
    monkeypatch.setattr(parquet_rows, "MAX_HELD", 400_000)
    assert read(tmp_path / "a.parquet", plain) == 500
    with pytest.raises(InputError, match="to unpack, as only a bomb does"):
        read(tmp_path / "a.parquet", kept)


def test_types_that_fix_a_size_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "MAX_ITEMS", 4)
    column = pa.array([[1.0] * 5], pa.list_(pa.float64(), 5))
    with pytest.raises(InputError, match="to unpack, as only a bomb does"):
        read(tmp_path / "a.parquet", written(pa.table({"content": ["Text."], "reference": column})))
    monkeypatch.setattr(parquet_rows, "MAX_HELD", 5_000)
    wide = pa.array([b"x" * 6_000], pa.binary(6_000))
    with pytest.raises(InputError, match="to unpack, as only a bomb does"):
        read(tmp_path / "a.parquet", written(pa.table({"content": ["Text."], "id": wide})))


def test_a_footer_of_no_use_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "MAX_FOOTER", 200)
    with pytest.raises(InputError, match="to unpack, as only a bomb does"):
        read(tmp_path / "a.parquet", written(articles(3)))


class Chunk:
    def __init__(self, size: int) -> None:
        self.data_page_offset, self.total_compressed_size, self.num_values = 0, size, 10
        self.has_dictionary_page, self.dictionary_page_offset = False, None


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"\x15\x00\x15\x10", "is cut short"),
        (b"\x15\x00\x00", "lacks a size"),
        (b"\x15\x00\x15\x01\x15\x10\x00", "impossible sizes"),
        (b"\x15\x00\x15" + b"\xff" * 12, "is damaged"),
        (b"\x1c" * 40, "nested too deep"),
        (b"\x19" + b"\x19" * 40, "nested too deep"),
    ],
)
def test_a_damaged_header_is_told(header: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(pages(io.BytesIO(header), Chunk(len(header))))  # type: ignore[arg-type]


BOMB = """
import sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from distillery.components.articles.articles import Rejects, read_articles
from distillery.filters.errors import InputError
path = Path(sys.argv[1])
column, rows = sys.argv[2], pa.array(["\\0" * 1_000_000] * 10)
table = pa.table({"content": rows, **({} if column == "content" else {column: rows})})
with pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=False, data_page_size=int(sys.argv[3])) as out:
    for _ in range(1_000):
        out.write_table(table)
try:
    list(read_articles(path, rejects=Rejects()))
except InputError as error:
    print(error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss counts the parent's
print(int(peak.split()[1]) // 1024, "MB")
"""


@pytest.mark.slow
@pytest.mark.parametrize("column", ["content", "source"])
def test_ten_gigabytes_of_zeros_take_less_than_one_of_memory(tmp_path: Path, column: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(tmp_path / "bomb.parquet"), column, "1000000"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "unpacks to more than 100 times its size" in done.stdout
    assert int(done.stdout.split()[-2]) < 1_000
