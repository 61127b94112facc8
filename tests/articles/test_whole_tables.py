"""CSV, one JSON list and XLSX are read by their columns' names; what is nearly known is told, and rows are never lost."""

from __future__ import annotations

import gzip
import json
import random
import re
import shlex
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.components.articles.articles import COLUMNS, Label, Rejects, read_articles, read_labels
from distillery.components.articles.columns import Renamed
from distillery.components.articles.folders import FolderColumns
from distillery.components.articles.forms import HEAD
from distillery.components.articles.json_values import json_rows
from distillery.components.articles.near_names import known_name
from distillery.components.articles.readers import read_rows
from distillery.filters.errors import InputError

DIMENSIONS = ["substance", "effect"]


def labels(path: Path, most: str = "100%") -> tuple[list[Label], Rejects]:
    rejects = Rejects()
    return list(read_labels(path, DIMENSIONS, rejects=rejects, max_rejects=most)), rejects


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_csv_is_read_by_its_names(tmp_path: Path, delimiter: str, start: str) -> None:
    lines = [
        delimiter.join(("score.effect", "title", "id", "content", "score.substance")),
        delimiter.join(("2", "T1", "007", f'"one ""{delimiter}""\r\nline two"', "5.5")),
        "",
        delimiter.join(("3", "T2", "008", "x", "ten")),
    ]
    path = tmp_path / "labels.csv"
    path.write_bytes((start + "\r\n".join(lines)).encode())
    found, rejects = labels(path)
    assert [(label.article.id, label.article.title, label.scores) for label in found] == [
        ("007", "T1", {"substance": 5.5, "effect": 2.0})
    ]
    assert found[0].article.content == f'one "{delimiter}"\r\nline two'
    assert [(reject.line, reject.reason) for reject in rejects.first] == [
        (5, "score of 'substance' is not a number but \"ten\"")
    ]


@pytest.mark.parametrize("layout", [{}, {"indent": 2}])
def test_one_json_list_is_read(tmp_path: Path, layout: dict[str, int]) -> None:
    rows = [{"id": f"a{n}", "content": f"Text {n}.", "scores": {"substance": 5, "effect": n}} for n in range(3)]
    path = tmp_path / "labels.json"
    path.write_text("\ufeff \n" + json.dumps([*rows, "no object"], **layout))  # type: ignore[arg-type]
    found, rejects = labels(path)
    assert [label.article.id for label in found] == ["a0", "a1", "a2"]
    assert [(reject.line, reject.reason[:25]) for reject in rejects.first] == [(4, "is not a JSON object but ")]


def test_the_first_sheet_of_a_workbook_is_read(tmp_path: Path) -> None:
    path, book = tmp_path / "labels.xlsx", openpyxl.Workbook()
    for row in (
        ["id", "content", "score.substance", "score.effect"],
        [1, "A text.", 5, 6.5],
        [],
        ["b", "Another.", "seven", 1],
    ):
        book.active.append(row)
    book.create_sheet("notes").append(["never read"])
    book.save(path)
    found, rejects = labels(path)
    assert [(label.article.id, label.scores) for label in found] == [("1", {"substance": 5.0, "effect": 6.5})]
    assert [(reject.line, reject.reason) for reject in rejects.first] == [
        (4, "score of 'substance' is not a number but \"seven\"")
    ]


def test_a_damaged_workbook_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(InputError, match=r"labels\.xlsx: is a damaged workbook: "):
        labels(path)


@pytest.mark.parametrize("letter", ["é", "語", "😀"])
@pytest.mark.parametrize("end", range(4))
def test_a_header_longer_than_what_its_form_is_told_by_is_a_header(tmp_path: Path, letter: str, end: int) -> None:
    header = "id,content,mood_" + "x" * end + letter * HEAD
    path = tmp_path / "labels"
    path.write_bytes(f"{header}\n1,Body,good\n".encode())
    for data in (path.read_bytes(), gzip.compress(path.read_bytes())):
        path.write_bytes(data)
        assert [row.value and row.value["content"] for row in read_rows(path, COLUMNS)] == ["Body"]


@pytest.mark.parametrize("text", ['[{"content": "x"}]', "id,content", '"x"'])
def test_what_is_no_object_is_a_bad_row_wherever_it_stands(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows"
    path.write_text("\n" * (HEAD + 1) + f'{text}\n{{"content": "x"}}\n', encoding="utf-8")
    bad, good = read_rows(path, COLUMNS)
    assert (bad.line, bad.value, good.value) == (HEAD + 2, None, {"content": "x"})
    assert bad.fault.startswith("is not ")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1_000])
@pytest.mark.parametrize(
    "text", ['\ufeff[{"a": 1}, {"a": 2}]', '\ufeff\n{"a":\n1}\n\ufeff{"a":\n2}', ' \ufeff[{"a": 1}]\n\ufeff[{"a": 2}]']
)
def test_a_byte_order_mark_is_none_wherever_a_value_begins_and_a_piece_ends(text: str, size: int) -> None:
    data = text.encode()
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    assert [row.value for row in json_rows(pieces, "f")] == [{"a": 1}, {"a": 2}]


RENAMED = {"headline": "title", "body": "content"}


@pytest.mark.parametrize(
    ("names", "twice"),
    [
        (["id", "body", "headline", "\ufeffheadline"], "title"),
        (["id", "body", "body "], "content|body"),
        (["id", "body", "mood", "mood"], "mood"),
        (["id", "body", "headline", "title", "title"], "title"),
    ],
)
def test_two_columns_of_one_name_are_refused_in_every_form(tmp_path: Path, names: list[str], twice: str) -> None:
    rows = [names, [str(number) for number in range(len(names))]]
    sheet = openpyxl.Workbook()
    for row in rows:
        sheet.active.append(row)
    sheet.save(tmp_path / "a.xlsx")
    (tmp_path / "a.csv").write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.table([pa.array([cell]) for cell in rows[1]], names=names), tmp_path / "a.parquet")
    for name in ("a.xlsx", "a.csv", "a.parquet"):
        with pytest.raises(InputError, match=rf"{name}: has column '({twice})' twice") as error:
            list(read_rows(tmp_path / name, COLUMNS, renamed=Renamed(RENAMED)))
        assert error.value.hint
    (tmp_path / "a.jsonl").write_text(json.dumps(dict(zip(*rows, strict=True))) + '\n{"body": "x"}\n', encoding="utf-8")
    first, second = read_rows(tmp_path / "a.jsonl", COLUMNS, renamed=Renamed(RENAMED))
    if len(set(names)) == len(names):
        assert re.fullmatch(f"has column '({twice})' twice", first.fault)
    assert second.value == {"content": "x"}


@pytest.mark.parametrize(
    ("name", "ours"),
    [("Title", "title"), ("headline", "title"), ("ID", "id"), ("\ufeffid", "id"), (" content ", "content"), ("Body", "content"),
     ("lang", "language"), ("Article ID", "id"), ("publish-date", "published"), ("mood", "")],
)  # fmt: skip
def test_a_name_that_is_nearly_ours_is_known(name: str, ours: str) -> None:
    assert known_name(name) == ours


@pytest.mark.parametrize(("id", "title"), [("ID", "headline"), ("\ufeffid", "Title"), ("article_id", " title")])
def test_what_was_not_read_and_what_was_made_up_is_told(tmp_path: Path, id: str, title: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{id: f"a{n}", title: "T", "content": f"Text {n}.", "language": "en"} for n in range(3)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        rejects = Rejects()
        assert len(list(read_articles(tmp_path / name, rejects=rejects))) == 3
        first, second = rejects.notes()
        option = shlex.quote(f"{title}=title")
        assert first == f"3 of 3 rows have no title; the file has {title!r}, which is not read: add --map {option}"
        assert second.startswith(f"3 of 3 rows have no id and are named by their text; the file has {id!r}")


def test_a_file_without_content_names_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "text": "x"}\n')
    with pytest.raises(InputError, match="the file has 'text': add --map text=content"):
        list(read_articles(path, rejects=Rejects()))


def test_folders_of_hive_are_columns() -> None:
    assert FolderColumns("year=2024/language=nl/source=De%20Tijd/part-0.parquet", Renamed()).values == {
        "language": "nl",
        "source": "De Tijd",
    }
    assert FolderColumns("language=__HIVE_DEFAULT_PARTITION__/id=7/a.jsonl", Renamed()).values == {}


PIECES = [b"", b"\n", b'"', b",", b"{", b"}", b"[", b"\0", b"\xff", b"NaN", b"1e400", b"null", b"\\u", b'{"a":' * 60]


def mutated(data: bytes, random: random.Random) -> bytes:
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(data) + 1)
        length = random.choice((0, 1, 1, 2, 9, 70))
        own = bytes([random.randrange(256)])
        piece = random.choice((*PIECES, own, data[place : place + 40]))
        data = data[:place] + piece + data[place + length :]
    return data


def sound(random: random.Random, form: str) -> bytes:
    rows = [
        {"id": f"a{n}", "title": "T", "content": f"Text {n} of some words.", "scores": {"substance": n % 10, "effect": 2.5}}
        for n in range(random.randint(1, 8))
    ]
    if form == "list":
        return json.dumps(rows, indent=random.choice((None, 1))).encode()
    if form == "csv":
        lines = ["id,title,content,score.substance,score.effect"]
        return "\n".join([*lines, *(f'{row["id"]},T,"{row["content"]}",3,2.5' for row in rows)]).encode()
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("count", [20, pytest.param(2_000, marks=pytest.mark.slow)])
def test_rows_in_are_rows_read_and_rejects_in_mutated_files(tmp_path: Path, count: int) -> None:
    path = tmp_path / "labels"
    for seed in range(count):
        fuzz = random.Random(seed)
        path.write_bytes(mutated(sound(fuzz, fuzz.choice(("lines", "lines", "list", "csv"))), fuzz))
        rejects = Rejects()
        try:
            found = list(read_labels(path, DIMENSIONS, rejects=rejects, max_rejects="100%"))
        except InputError:
            continue
        rows = list(read_rows(path, COLUMNS, ("score.", "reference.")))
        assert len(found) + rejects.count + rejects.collapsed == rejects.rows == len(rows), seed
        assert all(0 <= value <= 10 for label in found for value in label.scores.values()), seed
        assert all(label.article.content.strip() for label in found), seed
