"""Articles from files nobody vouches for."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.components.articles.articles import MAX_CHARACTERS, Article, Rejects, article_digest, clean, read_articles
from distillery.filters.errors import InputError


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"a{number}", "title": f"Title {number}", "content": f"Text of article {number}.", **more}


def jsonl(*rows: Any) -> bytes:
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows)


def read(path: Path) -> tuple[list[Article], Rejects]:
    rejects = Rejects()
    return list(read_articles(path, rejects=rejects)), rejects


Writer = Callable[[Path, list[dict[str, Any]]], None]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(jsonl(*rows))


def write_gzip(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(gzip.compress(jsonl(*rows)))


def write_arrow(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_large(path: Path, rows: list[dict[str, Any]]) -> None:
    """Large strings, as other engines write them."""
    table = pa.Table.from_pylist(rows)
    large = [field.with_type(pa.large_string()) if pa.types.is_string(field.type) else field for field in table.schema]
    pq.write_table(table.cast(pa.schema(large)), path, compression="zstd", data_page_version="2.0")


@pytest.mark.parametrize("write", [write_jsonl, write_gzip, write_arrow, write_large])
def test_a_file_is_known_by_its_content_not_its_name(tmp_path: Path, write: Writer) -> None:
    path = tmp_path / "articles.data"
    write(
        path,
        [
            row(
                i,
                source="Le Monde",
                language="fr",
                url="https://example.org/1",
                published_date="2026-01-02",
                authors=["ignored"],
            )
            for i in range(300)
        ],
    )
    articles, rejects = read(path)
    assert [a.id for a in articles] == [f"a{i}" for i in range(300)]
    assert articles[7] == Article(
        "a7", "Title 7", "Text of article 7.", "Le Monde", "fr", "https://example.org/1", "2026-01-02"
    )
    assert (rejects.count, rejects.rows) == (0, 300)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{not json", "is not JSON"),
        (b"[1, 2]", "is not a JSON object but a list"),
        (b'"text"', "is not a JSON object but text"),
        (b'{"id": "x", "content": "caf\xe9"}', "is not UTF-8 at byte 28"),
        (b"[" * 200_000, "is nested too deep"),
        (b'{"a":' * 200_000, "is nested too deep"),
        (b'{"id": "x", "content": ' + b"9" * 5_000 + b"}", "is not JSON"),
        ({"id": "x", "title": "only a title"}, "has no content"),
        ({"id": "x", "content": None}, "has no content"),
        ({"id": "x", "content": " \n\t"}, "its content is empty"),
        ({"id": "x", "content": "\0\0\0"}, "its content is empty"),
        ({"id": "x", "content": 5}, "its content is not text but 5"),
        ({"id": "x", "content": ["a"]}, "its content is not text but a list"),
        ({"id": "x", "title": {}, "content": "c"}, "its title is not text but an object"),
        ({"id": ["x"], "content": "c"}, "its id is not text but a list"),
        ({"id": True, "content": "c"}, "its id is not text but true"),
        ({"id": "x" * 5_000, "content": "c"}, "its id has 5,000 characters"),
        ({"id": "x", "content": "y" * (MAX_CHARACTERS + 1)}, "has 1,000,001 characters, more than 1,000,000"),
        ({"id": "x", "content": "y" * 50_000_000}, "the line is 48 MB long, more than 8"),
        ({"id": "x", "content": "c", "reference": {"d": 11}}, "reference 11 of 'd' is outside 0 to 10"),
        ({"id": "x", "content": "c", "reference": 4}, "its reference is not an object but 4"),
        ({"id": "a1", "content": "another text"}, "id 'a1' was used above for another text"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_a_bad_row_is_left_out_and_recorded(tmp_path: Path, bad: Any, reason: str) -> None:
    path = tmp_path / "articles.jsonl"
    path.write_bytes(jsonl(row(1), bad, b"", row(2)))
    rejects_file = tmp_path / "out" / "rejects.jsonl"
    with Rejects(rejects_file) as rejects:
        assert [a.id for a in read_articles(path, rejects=rejects)] == ["a1", "a2"]
    assert (rejects.count, rejects.rows) == (1, 3)
    found = json.loads(rejects_file.read_text())
    assert (found["file"], found["line"]) == ("articles.jsonl", 2)
    assert found["reason"].startswith(reason)
    assert rejects.jsonl() == rejects_file.read_bytes()
    assert sum(rejects.reasons.values()) == 1


def test_no_bad_row_no_rejects_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(row(1)))
    with Rejects(tmp_path / "rejects.jsonl") as rejects:
        assert len(list(read_articles(path, rejects=rejects))) == 1
    assert not (tmp_path / "rejects.jsonl").exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"\n\n \n", "has no rows"),
        (gzip.compress(b"", mtime=0), "has no rows"),
        (gzip.compress(jsonl(*(row(i) for i in range(2000))), mtime=0)[:-300], "is cut short: its gzip data end after line"),
        (gzip.compress(jsonl(row(1)), mtime=0)[:5], "is cut short"),
        (gzip.compress(jsonl(row(1)), mtime=0)[:-8] + b"\0" * 8, "is damaged after line"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 50, "is damaged after line 0"),
        (json.dumps([row(1), row(2)], indent=1).encode()[:-1], "is a JSON list that can't be read"),
        (b"[1, 2]", "no row is an article"),
        (json.dumps(row(1)).encode("utf-16"), "is UTF-16"),
        (b"PK\x03\x04rest", "is an archive"),
        (b"id;title;content\n1;a;\n", "no row is an article"),
        (b"\x00\x01\x02\xff" * 1000, "is no text in UTF-8"),
        (b"PAR1 but no Parquet", "is a damaged Parquet file"),
        (b"PAR1" + b"\0" * 100 + b"\xff\xff\xff\x7fPAR1", "is a damaged Parquet file"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_a_file_that_is_no_table_of_articles_is_one_clear_error(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "articles.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=says) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)


def test_parquet_with_wrong_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"headline": ["a"], "body": ["b"]}), path)
    with pytest.raises(InputError, match=r"has no column 'content' \(it has headline, body\)"):
        read(path)
    pq.write_table(pa.table({"id": ["a"], "content": [5]}), path)
    with pytest.raises(InputError, match="column 'content' is int64, not text"):
        read(path)
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["content", "content"]), path)
    with pytest.raises(InputError, match="has column 'content' twice"):
        read(path)
    pq.write_table(pa.table({"content": pa.array([], pa.string())}), path)
    with pytest.raises(InputError, match="has no rows"):
        read(path)


def test_parquet_rows_go_wrong_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    broken = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffc")]
    )
    pq.write_table(pa.table({"id": ["1", "2", "3"], "content": broken}), path)
    articles, rejects = read(path)
    assert [a.content for a in articles] == ["a", "c"]
    assert [(r.line, r.reason) for r in rejects.first] == [(2, "is not UTF-8")]


def test_parquet_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_arrow(path, [row(i) for i in range(100)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="is a damaged Parquet file"):
        read(path)


def test_dates_and_numbers_become_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_arrow(path, [{"id": 7, "content": "c", "published": datetime(2026, 2, 3, 4, 5, 6)}])
    articles, _ = read(path)
    assert (articles[0].id, articles[0].published) == ("7", "2026-02-03T04:05:06")


def test_an_article_without_id_is_named_by_its_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl({"content": "c"}, {"content": "d", "id": None}))
    articles, _ = read(path)
    assert [a.id for a in articles] == [article_digest("", "c")[:16], article_digest("", "d")[:16]]


def test_exact_repeats_are_collapsed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(jsonl(row(1), row(2), row(1), row(1)))
    articles, rejects = read(path)
    assert [a.id for a in articles] == ["a1", "a2"]
    assert (rejects.collapsed, rejects.count, rejects.rows) == (2, 0, 4)


def test_odd_text_passes_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    arabic, script = "\u202eمقال عن الطاقة", "<script>alert(1)</script> & <b>bold</b>"
    path.write_bytes(
        b"\xef\xbb\xbf"
        + jsonl(
            b'{"id": "s", "content": "lone \\ud800 and pair \\ud83d\\ude00"}',
            {"id": "n", "content": "a\0b"},
            {"id": "r", "content": arabic},
            {"id": "j", "content": script},
        )
    )
    articles, rejects = read(path)
    assert [a.content for a in articles] == ["lone \ufffd and pair 😀", "ab", arabic, script]
    assert rejects.count == 0
    assert all(len(a.digest) == 64 for a in articles)


def test_digest_is_of_the_text_in_nfc() -> None:
    assert article_digest("Café", "x") == article_digest("Cafe\u0301", "x")
    assert article_digest("ab", "c") != article_digest("a", "bc")
    assert article_digest("a", "b ") != article_digest("a", "b")
    assert Article("1", "t", "c", source="s").digest == Article("2", "t", "c").digest == article_digest("t", "c")


@given(st.text(alphabet=st.characters(codec=None), max_size=50))
def test_clean_text_can_be_written_and_is_stable(text: str) -> None:
    mended = clean(text)
    mended.encode("utf-8")
    assert clean(mended) == mended
    assert "\0" not in mended


MEMORY = """
import sys, time
from pathlib import Path
from distillery.components.articles.articles import Rejects, read_articles
from distillery.filters.errors import InputError
start = time.process_time()
try:
    n = sum(1 for _ in read_articles(sys.argv[1], rejects=Rejects()))
    print(n, "articles")
except InputError as error:
    print("refused:", error)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss counts the parent's
print(int(peak.split()[1]) // 1024, round(time.process_time() - start, 1))
"""


def read_apart(path: Path) -> tuple[str, int, float]:
    """What reading said, peak megabytes, processor seconds – in a process of its own."""
    run = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
    said, facts = run.stdout.strip().rsplit("\n", 1)
    megabytes, seconds = facts.split()
    return said, int(megabytes), float(seconds)


def lines_bomb(path: Path) -> None:
    with gzip.open(path, "wb", 1) as out:
        line = json.dumps(row(1, content="x" * 5_000)).encode() + b"\n"
        for _ in range(28):
            out.write(line * 2_000)


def one_line_bomb(path: Path) -> None:
    with gzip.open(path, "wb", 1) as out:
        out.write(b'{"content": "')
        for _ in range(300):
            out.write(b"x" * 2**20)


def blank_lines_bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\n" * 200_000_000, 1))


def json_bomb(path: Path) -> None:
    path.write_bytes(b"".join(b'{"id": "x", "content": [' + b"{}," * 2_600_000 + b"{}]}\n" for _ in range(3)))


def parquet_bomb(path: Path) -> None:
    texts = pa.array(["x" * 1_000_000]).dictionary_encode().dictionary
    indices = pa.array([0] * 3_000_000, pa.int32())
    table = pa.table({"content": pa.DictionaryArray.from_arrays(indices, texts)})
    pq.write_table(table, path, row_group_size=3_000_000)


def parquet_long_bomb(path: Path) -> None:
    pq.write_table(pa.table({"content": ["\0" * 270_000_000]}), path, use_dictionary=False, compression="zstd")


def parquet_dictionary_bomb(path: Path) -> None:
    texts = pa.array(["x" * 100_000_000]).dictionary_encode().dictionary
    indices = pa.array([0] * 200, pa.int32())
    pq.write_table(pa.table({"content": pa.DictionaryArray.from_arrays(indices, texts)}), path, compression="zstd")


@pytest.mark.parametrize(
    "bomb", [lines_bomb, one_line_bomb, blank_lines_bomb, json_bomb, parquet_bomb, parquet_long_bomb, parquet_dictionary_bomb]
)
def test_a_bomb_is_refused_in_seconds(tmp_path: Path, bomb: Callable[[Path], None]) -> None:
    path = tmp_path / "bomb"
    bomb(path)
    assert path.stat().st_size < 30e6
    said, megabytes, seconds = read_apart(path)
    assert said.startswith("refused:")
    assert megabytes < 1_000
    assert seconds < 10


def test_memory_stays_flat(tmp_path: Path) -> None:
    texts = " ".join(f"word{i}" for i in range(500))
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", 1) as out:
        out.write(b"".join(jsonl(row(i, content=f"{i} {texts[i % 999 :]}")) for i in range(30_000)))
    said, megabytes, seconds = read_apart(path)
    assert said == "30000 articles"
    assert megabytes < 100
    write_arrow(tmp_path / "a.parquet", [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()])
    said, parquet_megabytes, _ = read_apart(tmp_path / "a.parquet")
    assert said == "30000 articles"
    assert parquet_megabytes < 200  # pyarrow itself takes some 100
    assert seconds < 30
