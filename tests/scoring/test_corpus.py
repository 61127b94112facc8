"""A corpus is cut into parts: every row in exactly one, for any number of them and every format."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillery.components.articles import readers as reading
from distillery.components.articles.formats import Row
from distillery.components.artifacts.scores import PlannedCorpus
from distillery.components.scoring.corpus import Corpus, CorpusFile, Piece, cut, find_corpus
from distillery.components.store import StoreError
from distillery.filters.errors import InputError


def row(number: int, size: int = 20) -> dict[str, Any]:
    noise = random.Random(number).randbytes(size).hex()
    return {"id": f"a{number}", "title": f"Title {number}", "content": noise}


def stored(corpus: Corpus) -> Corpus:
    """Return a corpus as a stored plan gives it back."""
    return Corpus.of(PlannedCorpus.read(corpus.document().to_bytes(), "plan"))


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))


def gz(path: Path, rows: list[dict[str, Any]]) -> None:
    jsonl(path, rows)
    data = path.read_bytes()
    path.write_bytes(gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]) + b"\0" * 100)


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=max(1, len(rows) // 3))


FORMATS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {"jsonl": jsonl, "gz": gz, "parquet": parquet}


def read(corpus: Corpus, shards: int) -> list[list[Row]]:
    return [[found for piece in cut(corpus, shards, index) for found in corpus.rows(piece)] for index in range(shards)]


def ids(parts: list[list[Row]]) -> list[str]:
    return [found.value["id"] for part in parts for found in part if found.value]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("shards", [1, 2, 3, 7, 50, 1000])
def test_every_row_is_in_exactly_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, shards: int) -> None:
    monkeypatch.setattr(reading, "BLOCK", 512)
    monkeypatch.setattr(reading, "UNPACKED", 200)
    rows = [row(n, size=5 + n % 90) for n in range(300)]
    FORMATS[kind](tmp_path / "corpus", rows)
    corpus = find_corpus(str(tmp_path / "corpus"))
    parts = read(corpus, shards)
    assert ids(parts) == [each["id"] for each in rows]
    if shards == 3:
        assert min(map(len, parts)) > 70


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(st.integers(0, 300), max_size=8), min_size=1, max_size=4),
    kinds=st.lists(st.sampled_from(["jsonl", "gz", "parquet"]), min_size=4, max_size=4),
    shards=st.integers(1, 40),
    newline=st.booleans(),
)
def test_any_files_any_number(tmp_path: Path, files: list[list[int]], kinds: list[str], shards: int, newline: bool) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    wanted: list[str] = []
    for number, (sizes, kind) in enumerate(zip(files, kinds, strict=False)):
        rows = [{"id": f"{number}-{n}", "content": "x" * size} for n, size in enumerate(sizes)]
        wanted += [each["id"] for each in rows]
        path = folder / f"file-{number}"
        if rows or kind != "parquet":
            FORMATS[kind](path, rows)
        if kind == "jsonl" and not newline:
            path.write_bytes(path.read_bytes().rstrip(b"\n"))
    block, reading.BLOCK = reading.BLOCK, 64
    try:
        if any(path.stat().st_size for path in folder.iterdir()):
            assert ids(read(find_corpus(str(folder)), shards)) == wanted
    finally:
        reading.BLOCK = block


@pytest.mark.parametrize("kind", FORMATS)
def test_line_numbers_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """What a part says of its lines, counted on from the parts before it, are the lines of the file."""
    monkeypatch.setattr(reading, "BLOCK", 64)
    FORMATS[kind](tmp_path / "corpus", [row(n) for n in range(40)])
    if kind != "parquet":
        lines = [json.dumps(row(n)) if n % 3 != 1 else "" for n in range(40)]
        data = "\n".join(lines).encode()
        (tmp_path / "corpus").write_bytes(gzip.compress(data) if kind == "gz" else data)
    corpus, before = find_corpus(str(tmp_path / "corpus")), 0
    for index in range(6):
        for piece in cut(corpus, 6, index):
            rows = corpus.rows(piece)
            for found in rows:
                assert found.value is not None
                assert found.value["id"] == f"a{before + found.line - 1}"
            before += rows.lines
    assert before == 40


def test_a_torn_line_is_a_bad_row_of_one_part(tmp_path: Path) -> None:
    data = b"".join(json.dumps(row(n)).encode() + b"\n" for n in range(20))
    (tmp_path / "corpus").write_bytes(data[:-15])
    parts = read(find_corpus(str(tmp_path / "corpus")), 5)
    assert ids(parts) == [f"a{n}" for n in range(19)]
    assert [found.fault[:11] for part in parts for found in part if found.fault] == ["is not JSON"]


def test_a_long_line_belongs_to_the_part_it_begins_in(tmp_path: Path) -> None:
    jsonl(tmp_path / "corpus", [row(0), row(1, size=5000), row(2)])
    parts = read(find_corpus(str(tmp_path / "corpus")), 50)
    assert ids(parts) == ["a0", "a1", "a2"]
    assert [len(part) for part in parts if part] == [2, 1]


@pytest.mark.parametrize("zipped", [False, True])
def test_lines_over_the_caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    monkeypatch.setattr(reading, "MAX_LINE", 100)
    monkeypatch.setattr(reading, "UNPACKED", 64)
    data = b"\n".join([json.dumps(row(0)).encode(), b"x" * 500, json.dumps(row(2)).encode()])
    (tmp_path / "corpus").write_bytes(gzip.compress(data) if zipped else data)
    corpus = find_corpus(str(tmp_path / "corpus"))
    (part,) = read(corpus, 1)
    assert [found.fault[:12] for found in part] == ["", "the line is ", ""]
    monkeypatch.setattr(reading, "HUGE_LINE", 300)
    with pytest.raises(InputError, match="has a line longer than"):
        read(corpus, 1)


def test_bad_input_fails_in_the_part_that_meets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK", 64)
    data = "".join(json.dumps(row(n)) + "\n" for n in range(200)).encode()
    (tmp_path / "cut").write_bytes(gzip.compress(data)[:-200])
    corpus = find_corpus(str(tmp_path / "cut"))
    good = [list(corpus.rows(piece)) for index in range(3) for piece in cut(corpus, 4, index)]
    assert all(good)
    with pytest.raises(InputError, match="cut short"):
        [list(corpus.rows(piece)) for piece in cut(corpus, 4, 3)]
    broken = bytearray(gzip.compress(data))
    broken[len(broken) // 2] ^= 0xFF
    (tmp_path / "broken").write_bytes(broken)
    with pytest.raises(InputError, match="is damaged"):
        read(find_corpus(str(tmp_path / "broken")), 1)
    (tmp_path / "list").write_text(json.dumps([row(1)])[:-1])
    with pytest.raises(InputError, match="JSON list"):
        read(find_corpus(str(tmp_path / "list")), 1)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "columns")
    with pytest.raises(InputError, match="has no column 'content'"):
        read(find_corpus(str(tmp_path / "columns")), 1)
    parquet(tmp_path / "torn", [row(n) for n in range(50)])
    whole = (tmp_path / "torn").read_bytes()
    (tmp_path / "torn").write_bytes(whole[:-30])
    with pytest.raises(InputError, match="damaged Parquet"):
        read(find_corpus(str(tmp_path / "torn")), 2)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(packer.compress(b"\n" * 2**24) for _ in range(4)) + packer.flush()
    (tmp_path / "bomb").write_bytes(data)
    with pytest.raises(InputError, match="only a bomb"):
        read(find_corpus(str(tmp_path / "bomb")), 2)


def test_parts_are_cut_evenly_and_end_to_end() -> None:
    corpus = Corpus("x", [])
    assert cut(corpus, 3, 1) == []
    files = [("a", 10), ("b", 1), ("c", 89)]
    corpus = Corpus("x", [CorpusFile(name, size, "e", "jsonl") for name, size in files])
    pieces = [cut(corpus, 7, index) for index in range(7)]
    assert pieces[0] == [Piece(0, 0, 10), Piece(1, 0, 1), Piece(2, 0, 3)]
    ends = [piece for part in pieces for piece in part if piece.file == 2]
    assert all(a.end == b.start for a, b in pairwise(ends))
    sizes = [sum(piece.end - piece.start for piece in part) for part in pieces]
    assert sum(sizes) == 100
    assert max(sizes) - min(sizes) <= 1


def test_a_folder_s_files_in_order_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b/x.jsonl", "a.jsonl", "_SUCCESS", ".hidden", "_job/x.jsonl", "b/.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        jsonl(tmp_path / name, [row(1)])
    (tmp_path / "empty.jsonl").touch()
    corpus = find_corpus(str(tmp_path))
    assert [file.name for file in corpus.files] == ["a.jsonl", "b/x.jsonl"]
    again = stored(corpus)
    assert again == corpus
    jsonl(tmp_path / "a.jsonl", [row(2)])
    assert find_corpus(str(tmp_path)).digest != corpus.digest
    assert Corpus("elsewhere", corpus.files).digest == corpus.digest


def test_a_file_shorter_than_planned_is_noticed_without_its_stamp(tmp_path: Path) -> None:
    """A plan that was read from a store knows no stamp."""
    jsonl(tmp_path / "corpus", [row(n) for n in range(20)])
    corpus = stored(find_corpus(str(tmp_path / "corpus")))
    jsonl(tmp_path / "corpus", [row(n) for n in range(12)])
    for index in range(4):
        pieces = cut(corpus, 4, index)
        if index < 2:
            assert all(list(corpus.rows(piece)) for piece in pieces)
        else:
            with pytest.raises(InputError, match=r"ends after [\d,]+ bytes, before those that were planned"):
                [list(corpus.rows(piece)) for piece in pieces]


def test_stamps_are_no_part_of_plan_or_digest(tmp_path: Path) -> None:
    jsonl(tmp_path / "corpus", [row(1)])
    corpus = find_corpus(str(tmp_path / "corpus"))
    plain = Corpus(corpus.where, corpus.files)
    assert corpus.stamps
    assert (plain, plain.digest, plain.document()) == (corpus, corpus.digest, corpus.document())


def test_what_is_no_corpus(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "zip").write_bytes(b"PK\x03\x04")
    for name, says in {"empty": "is empty", "folder": "has no files", "zip": "is an archive", "none": "no such file"}.items():
        with pytest.raises(InputError, match=says):
            find_corpus(str(tmp_path / name))


@pytest.mark.parametrize("kind", FORMATS)
def test_on_s3_the_same(tmp_path: Path, s3_uri: str, kind: str) -> None:
    from distillery.components.store.s3_objects import S3Objects

    rows = [row(n, size=300) for n in range(200)]
    FORMATS[kind](tmp_path / "part", rows)
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    objects = S3Objects(bucket, prefix, write=True)
    objects.put("in/2024/one", tmp_path / "part")
    objects.put("in/_SUCCESS", b"x")
    objects.put("in/empty", b"")
    single, folder = find_corpus(f"{s3_uri}/in/2024/one"), find_corpus(f"{s3_uri}/in")
    assert [file.name for file in folder.files] == ["2024/one"]
    for corpus in (single, folder):
        assert ids(read(corpus, 5)) == [each["id"] for each in rows]
    assert ids(read(stored(folder), 2)) == [each["id"] for each in rows]
    objects.put("in/2024/one", (tmp_path / "part").read_bytes() + b"\n")
    with pytest.raises(StoreError, match="was changed"):
        read(single, 2)
    with pytest.raises(InputError, match="no such object"):
        find_corpus(f"{s3_uri}/nothing")
    with pytest.raises(InputError, match="no such bucket"):
        find_corpus("s3://nobody-made-this/x")
