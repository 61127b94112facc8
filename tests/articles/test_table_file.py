"""A table that is read in pieces has the rows, and a copy of some of its rows the bytes, of one that is held whole."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.components.articles import label_table
from distillery.components.articles.label_table import open_table, write_rows, write_table
from distillery.filters.errors import InputError


def table(rows: int) -> pa.Table:
    rng = random.Random(rows)
    return pa.table(
        {
            "article": pa.array([f"{rng.randrange(16**8):08x}" for _ in range(rows)], pa.large_string()),
            "content": pa.array(["é " * rng.randrange(50) or None for _ in range(rows)], pa.large_string()),
            "score.a": [rng.random() for _ in range(rows)],
        }
    )


def written(path: Path, rows: int, group: int) -> tuple[Path, pa.Table]:
    whole = table(rows)
    pq.write_table(whole, path, row_group_size=group, compression="zstd")
    return path, whole


@pytest.mark.parametrize(("rows", "group"), [(0, 5), (1, 5), (2_500, 100), (2_500, 5_000)])
def test_pieces_and_columns_are_those_of_the_whole(tmp_path: Path, rows: int, group: int) -> None:
    path, whole = written(tmp_path / "t.parquet", rows, group)
    with open_table(path) as file:
        assert file.read().equals(whole)
        assert file.read(["score.a", "article"]).equals(whole.select(["score.a", "article"]))
        assert pa.Table.from_batches(file.batches(["content"]), pa.schema([whole.schema.field("content")])).equals(
            whole.select(["content"])
        )


@pytest.mark.parametrize("seed", range(12))
def test_rows_are_taken_in_the_order_asked_for(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    path, whole = written(tmp_path / "t.parquet", 700, int(rng.integers(1, 300)))
    rows = rng.permutation(700)[: int(rng.integers(0, 701))]
    rows = np.sort(rows) if seed % 3 == 0 else rows
    with open_table(path) as file:
        assert file.take(rows).equals(whole.take(pa.array(rows)))
        assert file.take(rows, ["article"]).equals(whole.take(pa.array(rows)).select(["article"]))
        monkeypatch.setattr(label_table, "ROWS", 90)
        write_rows(tmp_path / "some.parquet", file, rows)
        assert (tmp_path / "some.parquet").read_bytes() == write_table(whole.take(pa.array(rows)))


def test_row_groups_without_a_wanted_row_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, whole = written(tmp_path / "t.parquet", 1_000, 100)
    with open_table(path) as file:
        read, batches = list[int](), file.batches
        monkeypatch.setattr(file, "batches", lambda columns, groups: read.extend(groups) or batches(columns, groups))
        assert file.take(np.array([350, 120])).equals(whole.take([350, 120]))
        assert read == [1, 3]


def test_a_damaged_page_is_told_when_it_is_reached(tmp_path: Path) -> None:
    path, _ = written(tmp_path / "t.parquet", 2_000, 500)
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(3).column(0)
    frame = data.index(b"\x28\xb5\x2f\xfd", column.dictionary_page_offset)  # how what zstd packs begins
    data[frame : frame + 4] = bytes(4)
    path.write_bytes(data)
    with open_table(path) as file, pytest.raises(InputError, match="is not a readable Parquet table"):
        list(file.batches())
