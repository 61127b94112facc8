"""Forms that people have are read alike; one that is not read names itself and the command that converts it."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from distillery.components.articles.articles import Label, Rejects, read_labels
from distillery.components.articles.columns import COLUMNS, Renamed
from distillery.components.articles.folders import input_digest
from distillery.components.articles.forms import file_kind
from distillery.components.articles.json_values import json_rows
from distillery.components.articles.readers import read_rows
from distillery.filters.errors import InputError
from tests.articles.test_whole_tables import mutated

DIMENSIONS = ["substance", "effect"]
ROWS = [
    {"id": f"a{n}", "title": f"T{n}", "content": f'Text {n},\nwith "quotes"; é', "scores": {"substance": n % 10, "effect": 2.5}}
    for n in range(7)
]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def flat(row: dict[str, Any]) -> dict[str, Any]:
    cells = {key: value for key, value in row.items() if key != "scores"}
    return cells | {f"score.{name}": value for name, value in row["scores"].items()}


def table(rows: list[dict[str, Any]], delimiter: str = ",", before: str = "") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(flat(rows[0])), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(map(flat, rows))
    return (before + out.getvalue()).encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def workbook(rows: list[dict[str, Any]]) -> bytes:
    out, book = io.BytesIO(), openpyxl.Workbook()
    book.active.append(list(flat(rows[0])))
    for row in rows:
        book.active.append(list(flat(row).values()))
    book.save(out)
    return out.getvalue()


def pretty(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, indent=2) for row in rows).encode()


FORMS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "jsonl": lines,
    "jsonl.gz": lambda rows: gzip.compress(lines(rows)),
    "csv": table,
    "tsv": lambda rows: table(rows, "\t"),
    "csv.gz": lambda rows: gzip.compress(table(rows)),
    "semicolons": lambda rows: table(rows, ";", "\ufeff"),
    "excel": lambda rows: table(rows, ";", "sep=;\r\n"),
    "list": lambda rows: json.dumps(rows).encode(),
    "pretty list": lambda rows: json.dumps(rows, indent=1).encode(),
    "list.gz": lambda rows: gzip.compress(json.dumps(rows).encode()),
    "pretty": pretty,
    "pretty.gz": lambda rows: gzip.compress(pretty(rows)),
    "one after another": lambda rows: b" ".join(json.dumps(row).encode() for row in [*rows[:-1]]) + b"\n" + lines(rows[-1:]),
    "parquet": parquet,
    "xlsx": workbook,
}


def read(path: Path, columns: dict[str, str] | None = None) -> tuple[list[Label], Rejects]:
    rejects = Rejects()
    return list(read_labels(path, DIMENSIONS, rejects=rejects, max_rejects="100%", columns=columns)), rejects


def told(labels: list[Label]) -> list[tuple[Any, ...]]:
    return [(label.article.id, label.article.title, label.article.content, label.scores) for label in labels]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "one after another"])
def test_every_form_reads_as_the_same_labels(tmp_path: Path, form: str) -> None:
    path = tmp_path / "labels"
    path.write_bytes(FORMS[form](ROWS))
    labels, rejects = read(path)
    assert rejects.count == 0
    expected = [(row["id"], row["title"], row["content"].replace("\n", "\n"), row["scores"]) for row in ROWS]
    assert told(labels) == expected


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_is_read_with_other_names(tmp_path: Path, form: str) -> None:
    names = {"title": "headline", "content": "og:text"}
    path = tmp_path / "labels"
    path.write_bytes(FORMS[form]([{names.get(key, key): value for key, value in row.items()} for row in ROWS]))
    if form == "one after another":  # several objects in one line: each line is one bad row, and nothing is lost in silence
        assert read(path, {"headline": "title", "og:text": "content"})[1].count == 1
        return
    labels, rejects = read(path, {"headline": "title", "og:text": "content"})
    assert [label.article.title for label in labels] == [row["title"] for row in ROWS]
    assert rejects.notes() == []


def test_a_folder_of_shards_of_any_form_reads_as_one_file(tmp_path: Path) -> None:
    for number, form in enumerate(("jsonl", "csv.gz", "parquet", "pretty")):
        folder = tmp_path / ("Language=nl" if number % 2 else "lang=en") / "source=De%20Tijd"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"part-{number}").write_bytes(FORMS[form]([{**row, "id": f"{number}{row['id']}"} for row in ROWS]))
    for name in ("README.md", "_SUCCESS", ".hidden", "data.crc", "desktop.ini", "Thumbs.db", "~$labels.xlsx"):
        (tmp_path / name).write_text("no rows\n")
    labels, rejects = read(tmp_path)
    assert rejects.count == 0
    assert len({label.article.id for label in labels}) == 4 * len(ROWS)
    assert {label.article.language for label in labels} == {"en", "nl"}
    assert {label.article.source for label in labels} == {"De Tijd"}
    before = input_digest(tmp_path)
    (tmp_path / "README.md").write_text("other\n")
    assert input_digest(tmp_path) == before
    (tmp_path / "lang=en").rename(tmp_path / "lang=fr")
    assert input_digest(tmp_path) != before


def test_a_bad_row_of_a_shard_names_the_shard(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(ROWS[:2]))
    (tmp_path / "b.jsonl").write_bytes(lines(ROWS[2:3]) + b"{bad\n")
    with pytest.raises(InputError, match=r"b\.jsonl:2: is not JSON"):
        list(read_labels(tmp_path, DIMENSIONS, rejects=Rejects()))


@pytest.mark.parametrize(
    ("data", "says", "command"),
    [
        ('{"a": 1}\n'.encode("utf-16"), "is UTF-16", "iconv -f UTF-16"),
        (b"\x28\xb5\x2f\xfdrest", "compressed with zstd", "zstd -d 'my file'"),
        (b"\xfd7zXZ\0rest", "compressed with xz", "xz -dk"),
        (b"BZh9rest", "compressed with bzip2", "bzip2 -dk"),
        (b"\xd0\xcf\x11\xe0rest", "a workbook of the old form", "libreoffice --headless --convert-to csv 'my file'"),
        (b"ARROW1\0\0rest", "an Arrow or Feather file", "write_table"),
        (b"SQLite format 3\0rest", "a SQLite database", "sqlite3 -csv"),
        (b"<!DOCTYPE html><p>Log in", "a page of HTML", "login page"),
        (b"PK\x03\x04" + b"\0" * 26 + b"a.jsonl", "is an archive", "unzip 'my file'"),
        (gzip.compress(b"\0" * 257 + b"ustar" + b"\0" * 250, mtime=0), "is an archive", "tar -xzf"),
        (gzip.compress('{"a": 1}\n'.encode("utf-16"), mtime=0), "is UTF-16", "gzip -dk"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0c0e\nsize 9\n", "a pointer of Git LFS", "git lfs pull"),
        (b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>', "a sheet saved as", "libre"),
        (b'<html xmlns:x="urn:schemas-microsoft-com:office:excel"><table/></html>', "a sheet saved as", "libreoffice"),
    ],
)
def test_a_form_that_is_not_read_names_the_command_that_converts_it(
    tmp_path: Path, data: bytes, says: str, command: str
) -> None:
    path = tmp_path / "my file"
    path.write_bytes(data)
    with pytest.raises(InputError, match=says) as error:
        read(path)
    assert command in error.value.hint
    assert "rows are bad" not in str(error.value)


@pytest.mark.parametrize(
    "first", ["ORCID", "ORC", "BZh1", "BZhang", "ARROW1", "FEA1", "PAR1", "PAR1S", "%PDF", "%PDF-1", "Object"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_column_that_begins_like_a_binary_form_is_a_column(tmp_path: Path, first: str, delimiter: str) -> None:
    text = table(ROWS, delimiter).replace(b"id", first.encode(), 1)
    text = text.replace(b"Text 0", b"Text \0 0")  # a NUL in a cell makes no binary form of it
    for data in (text, b"\xef\xbb\xbf" + text, gzip.compress(text)):
        path = tmp_path / "labels"
        path.write_bytes(data)
        labels, rejects = read(path)
        assert (len(labels), rejects.count) == (len(ROWS), 0)


@pytest.mark.parametrize("first", ["ORCID", "ARROW1", "BZhang", "%PDF"])
def test_names_that_none_of_ours_is_near_are_no_binary_form_either(first: str) -> None:
    assert file_kind(f"{first},one,two\n1,a,b\n".encode(), "f") == "csv"
    assert file_kind(f"{first} one two\n1 a b\n".encode(), "f") == "jsonl"


def test_a_table_with_the_word_ustar_is_no_archive() -> None:
    text = b"title,content\n" + b"x" * 243 + b"ustar,b\n"
    assert text[257:262] == b"ustar"
    assert file_kind(text, "f") == "csv"
    assert file_kind(gzip.compress(text), "f") == "csv.gz"
    assert file_kind(b'{"content": "' + b"x" * 244 + b'ustar"}\n', "f") == "jsonl"


@pytest.mark.parametrize("compression", ["uncompressed", "zlib", "zstd", "snappy"])
@pytest.mark.parametrize("rows", [0, 1, 5_000])
def test_real_files_of_binary_forms_are_told_by_what_follows_their_letters(compression: str, rows: int) -> None:
    kinds = pa.schema({"title": pa.string(), "content": pa.string()})
    own = pa.table({"title": ["a"] * rows, "content": ["title, content, id\n"] * rows}, schema=kinds)
    out = io.BytesIO()
    orc.write_table(own, out, compression=compression)
    with pytest.raises(InputError, match="is an ORC file"):
        file_kind(out.getvalue()[:8_192], "f")
    if compression != "zlib":
        out = io.BytesIO()
        pq.write_table(own, out, compression="none" if compression == "uncompressed" else compression, use_dictionary=False)
        assert file_kind(out.getvalue()[:8_192], "f") == "parquet"
    with pytest.raises(InputError, match="compressed with bzip2"):
        file_kind(bz2.compress(b"title,content\n" * rows)[:8_192], "f")


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_page_behind_a_byte_order_mark_is_still_a_page(before: bytes) -> None:
    for text, says in ((b"<?xml version='1.0'?>", "is XML"), (b"<!DOCTYPE html><p>", "HTML"), (b"<html>", "HTML")):
        with pytest.raises(InputError, match=says):
            file_kind(before + text, "f")


def test_a_line_that_lacks_its_end_leaves_the_file_json_lines() -> None:
    assert file_kind(b'{"a": 1\n{"a": 2}\n', "f") == "jsonl"
    assert file_kind(b'{"a": "x\n{"a": 2}\n', "f") == "jsonl"
    assert file_kind(b'{\n "a": 1}\n', "f") == "json"


def test_values_after_a_broken_one_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    broken = (
        pretty(ROWS[:1])
        + b'\n{\n "id": "torn", "content": "x",\n'
        + pretty(ROWS[1:3])
        + b'\n{\n "content": "open\n'
        + pretty(ROWS[3:4])
    )
    path.write_bytes(broken)
    labels, rejects = read(path)
    assert [label.article.id for label in labels] == ["a0", "a1", "a2", "a3"]
    assert rejects.count == 2


@pytest.mark.parametrize(
    ("row", "columns", "ours"),
    [
        ({"headline": "H", "title": "T"}, {"headline": "title"}, {"title": "H"}),
        ({"title": "T"}, {"headline": "title"}, {"title": "T"}),
        ({"title": "T", "body": "B"}, {"title": "content", "body": "title"}, {"content": "T", "title": "B"}),
        ({"\ufeffheadline ": "H"}, {"headline": "title"}, {"title": "H"}),
        ({"s": 1, "scores": {"substance": 2}}, {"s": "score.substance"}, {"score.substance": 1}),
        ({"day": "d", "published_date": "p"}, {"day": "published"}, {"published": "d"}),
    ],
)
def test_a_column_is_read_under_our_name_and_ours_gives_way(
    row: dict[str, Any], columns: dict[str, str], ours: dict[str, Any]
) -> None:
    assert Renamed(columns).row(row) == ours


def test_a_column_that_no_row_has_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(lines(ROWS))
    _, rejects = read(tmp_path / "labels", {"headlin": "title"})
    assert rejects.notes() == ["no row has a column 'headlin', which would be read as 'title'"]


def test_what_is_merely_extra_is_no_noise(tmp_path: Path) -> None:
    rows = [{**row, "name": "x", "author": "y", "description": "z", "uid": 7, "Title": ""} for row in ROWS]
    (tmp_path / "labels").write_bytes(lines(rows))
    assert read(tmp_path / "labels")[1].notes() == []


def test_some_rows_that_lack_a_column_are_counted(tmp_path: Path) -> None:
    rows = [*ROWS[:4], *({key: value for key, value in row.items() if key != "id"} | {"uid": row["id"]} for row in ROWS[4:])]
    (tmp_path / "labels").write_bytes(lines(rows))
    assert read(tmp_path / "labels")[1].notes() == [
        "3 of 7 rows have no id and are named by their text; the file has 'uid', which is not read: add --map uid=id"
    ]


def test_scores_under_bare_names_are_told_with_the_option_that_reads_them(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(b"id,content,substance,effect\n1,Text.,5,6\n2,Other.,7,8\n")
    with pytest.raises(InputError, match="add --map substance=substance --map effect=effect"):
        read(tmp_path / "labels")
    with pytest.raises(InputError, match=r"2 of 2 rows are bad.*; the scores have bare names: add --map") as error:
        list(read_labels(tmp_path / "labels", DIMENSIONS, rejects=Rejects()))
    assert "--max-rejects" not in str(error.value)
    labels, _ = read(tmp_path / "labels", {"substance": "score.substance", "effect": "score.effect"})
    assert [label.scores for label in labels] == [{"substance": 5, "effect": 6}, {"substance": 7, "effect": 8}]


def test_a_row_of_csv_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distillery.components.articles.csv_rows.MAX_LINE", 1_000)
    path = tmp_path / "labels"
    for long in ('1,"' + "a" * 2_000 + '"\n', '1,"' + "line\n" * 400 + '"\n'):
        path.write_text("id,content\n" + long)
        with pytest.raises(InputError, match="has a row longer than"):
            read(path)


def test_a_workbook_that_unpacks_to_more_than_one_of_articles_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillery.components.articles.workbook.MAX_SHEET", 10_000)
    path = tmp_path / "labels.xlsx"
    path.write_bytes(workbook(ROWS))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", b" " * 10_000)
    with pytest.raises(InputError, match="unpacks to more than"):
        read(path)


def test_lists_that_are_cut_or_changed_read_as_they_parse() -> None:
    chance = random.Random(20)
    objects = [{"a": [1, {"b": "],[{"}]}, {"c": "x,y", "d": [[]]}, {"é": "\\", "e": -1.5e3}]
    good = json.dumps(objects, indent=1, ensure_ascii=False)
    for _ in range(500):
        text = list(good)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(text))
            text[place : place + 1] = chance.choice(["", "[", "]", ",", "{", "}", '"', " "])
        changed = "".join(text)
        try:
            wanted = json.loads(changed)
        except ValueError:
            continue
        if isinstance(wanted, list):
            cut = [changed.encode()[at : at + 7] for at in range(0, len(changed.encode()), 7)]
            rows = list(json_rows(cut, "f"))
            assert [row.value for row in rows] == [value if isinstance(value, dict) else None for value in wanted], changed


@pytest.mark.parametrize("count", [20, pytest.param(2_000, marks=pytest.mark.slow)])
def test_rows_in_are_rows_read_and_rejects_in_mutated_files_of_every_form(tmp_path: Path, count: int) -> None:
    path = tmp_path / "labels"
    forms = ["csv.gz", "list.gz", "pretty", "pretty", "semicolons", "excel", "tsv", "parquet", "jsonl.gz", "one after another"]
    for seed in range(count):
        fuzz = random.Random(seed)
        path.write_bytes(mutated(FORMS[fuzz.choice(forms)](ROWS[: fuzz.randint(1, 7)]), fuzz))
        rejects = Rejects()
        try:
            found = list(read_labels(path, DIMENSIONS, rejects=rejects, max_rejects="100%"))
        except InputError:
            continue
        rows = list(read_rows(path, COLUMNS, ("score.", "reference.")))
        assert len(found) + rejects.count + rejects.collapsed == rejects.rows == len(rows), seed
        assert all(0 <= value <= 10 for label in found for value in label.scores.values()), seed
