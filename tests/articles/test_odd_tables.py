"""Tables as odd tools write them: what they state of themselves is not trusted, what lies above or beside rows is told."""

from __future__ import annotations

import re
import shlex
import time
import warnings
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from distillery.components.articles.articles import Label, Rejects, read_articles, read_labels
from distillery.components.articles.cells import NUMBER
from distillery.components.articles.workbook import _ROW
from distillery.filters.errors import InputError

DIMENSIONS = ["substance", "effect"]
HEADER = ["id", "title", "content", "score.substance", "score.effect"]
ROWS = [[f"a{n}", f"T{n}", f"Text {n}, and more.", 5, 6.5] for n in range(6)]
TEXT = "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in [HEADER, *ROWS])


def read(path: Path, columns: dict[str, str] | None = None) -> tuple[list[Label], Rejects]:
    rejects = Rejects()
    return list(read_labels(path, DIMENSIONS, rejects=rejects, max_rejects="100%", columns=columns)), rejects


def sheet(book: openpyxl.Workbook, rows: list[list[Any]], title: str = "data", at: tuple[int, int] = (1, 1)) -> Any:
    made = book.create_sheet(title)
    for down, row in enumerate(rows):
        for right, cell in enumerate(row):
            made.cell(at[0] + down, at[1] + right, cell)
    return made


def saved(path: Path, *make: Callable[[openpyxl.Workbook], object]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for each in make:
        each(book)
    book.save(path)
    return path


def patched(path: Path, pattern: str, new: str) -> Path:
    """Write a workbook's texts otherwise."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, re.sub(pattern.encode(), new.encode(), data) if name.endswith(".xml") else data)
    return path


@pytest.mark.parametrize("stated", ["A1", "A1:C3", "A1:E2", "A1:ZZ9", "B2:D4"])
def test_rows_count_as_they_stand_there_whatever_a_sheet_states_of_its_size(tmp_path: Path, stated: str) -> None:
    path = saved(tmp_path / "a.xlsx", lambda book: sheet(book, [HEADER, *ROWS]))
    found, rejects = read(patched(path, '<dimension ref="[^"]*"', f'<dimension ref="{stated}"'))
    assert ([label.article.id for label in found], rejects.count) == ([row[0] for row in ROWS], 0)


def hidden(book: openpyxl.Workbook) -> None:
    sheet(book, [["x"], ["y"]], "lists").sheet_state = "hidden"


@pytest.mark.parametrize(
    "before",
    [
        lambda book: sheet(book, [["These are our labels."]], "README"),
        hidden,
        lambda book: sheet(book, [], "empty"),
        lambda book: sheet(book, [["name", "id"], ["a", "b"]], "other"),
    ],
)
def test_the_sheet_that_has_content_is_read(tmp_path: Path, before: Callable[[openpyxl.Workbook], object]) -> None:
    path = saved(tmp_path / "a.xlsx", before, lambda book: sheet(book, [HEADER, *ROWS], at=(3, 2)))
    found, rejects = read(path)
    assert ([label.article.id for label in found], rejects.count) == ([row[0] for row in ROWS], 0)


def test_articles_in_several_sheets_are_not_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with pytest.raises(InputError, match=r"has articles in 2 sheets \('2023', '2024'\), and one is read; save it as CSV"):
        read(saved(path, *(lambda book, year=year: sheet(book, [HEADER, *ROWS], year) for year in ("2023", "2024"))))
    other = [["body" if name == "content" else name for name in HEADER], *ROWS]
    with pytest.raises(InputError, match="has articles in 2 sheets"):
        read(saved(path, lambda book: sheet(book, other, "a"), lambda book: sheet(book, other, "b")), {"body": "content"})


def test_rows_above_the_header_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", lambda book: sheet(book, [["Export of May"], [], HEADER, *ROWS]))
    with pytest.raises(InputError, match=r"a\.xlsx: its first row is no header; row 3 is; delete the rows above"):
        read(path)


def test_cells_with_errors_are_no_text(tmp_path: Path) -> None:
    rows = [list(row) for row in ROWS]
    rows[0][1], rows[1][2], rows[2][0], rows[3][3] = "#N/A", "#NAME?", "#REF!", "#DIV/0!"
    found, rejects = read(
        saved(tmp_path / "a.xlsx", lambda book: sheet(book, [[*HEADER, "words"], *([*row, "#DIV/0!"] for row in rows)]))
    )
    assert [(label.article.id, label.article.title) for label in found] == [("a0", ""), ("a4", "T4"), ("a5", "T5")]
    assert [reject.reason for reject in rejects.first] == [
        'its content is not text but "#NAME?"',
        'its id is not text but "#REF!"',
        "score of 'substance' is not a number but \"#DIV/0!\"",
    ]


def test_a_score_that_is_shown_as_a_percentage_is_no_number(tmp_path: Path) -> None:
    def made(book: openpyxl.Workbook) -> None:
        data = sheet(book, [HEADER, *([*row[:3], 0.5, 5] for row in ROWS[:2])])
        data["D2"].number_format, data["E3"].number_format = "0.0%", "0.00"

    found, rejects = read(saved(tmp_path / "a.xlsx", made))
    assert [label.article.id for label in found] == ["a1"]
    assert [reject.reason for reject in rejects.first] == ["score of 'substance' is not a number but \"50%\""]


def test_a_stray_cell_at_the_end_of_a_sheet_is_one_bad_row(tmp_path: Path) -> None:
    def made(book: openpyxl.Workbook) -> None:
        sheet(book, [HEADER, *ROWS]).cell(2**20, 2, "x")

    found, rejects = read(saved(tmp_path / "a.xlsx", made))
    assert (len(found), [(reject.line, reject.reason) for reject in rejects.first]) == (6, [(2**20, "has no content")])
    with pytest.raises(InputError, match="as only a bomb does"):
        read(patched(tmp_path / "a.xlsx", 'r="(B?)1048576"', r'r="\g<1>99999999"'))


def test_rows_that_do_not_rise_are_refused_and_not_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", lambda book: sheet(book, [HEADER, *ROWS]))
    with pytest.raises(InputError, match="has row 2 behind a later one; save it as CSV"):
        read(patched(path, '(<row r="2".*?</row>)(<row r="3".*?</row>)', r"\2\1"))


def test_line_ends_of_a_workbook_are_line_ends(tmp_path: Path) -> None:
    rows = [[*ROWS[0][:2], "One_x000D_\ntwo_x0009_three _x41_ _x0041_.", 5, 6], [*ROWS[1][:2], datetime(2024, 5, 7), 5, 6]]
    rows[1][1:3] = [datetime(2024, 5, 7), "Text."]
    found, _ = read(saved(tmp_path / "a.xlsx", lambda book: sheet(book, [HEADER, *rows])))
    assert found[0].article.content == "One\r\ntwo\tthree _x41_ _x0041_."
    assert found[1].article.title == "2024-05-07T00:00:00"


def test_a_workbook_of_the_strict_form_is_called_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", lambda book: sheet(book, [HEADER, *ROWS]))
    patched(path, "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://purl.oclc.org/ooxml/spreadsheetml/main")
    with pytest.raises(InputError, match="is a workbook in Strict Open XML, which is not read; save it as CSV"):
        read(path)


def test_what_a_library_says_of_styles_is_not_printed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", lambda book: sheet(book, [HEADER, *ROWS]))
    patched(path, "</worksheet>", '<extLst><ext uri="{CCE6A557-97BC-4b89-ADB6-D9C93CAAB3DF}"/></extLst></worksheet>')
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        assert len(read(path)[0]) == len(ROWS)
    assert said == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r"),
        lambda text: f"\n \r\n\n{text}",
        lambda text: f"\ufeff\ufeff{text}",
        lambda text: text.replace(',"', ', "'),
        lambda text: text.replace(',"', ';  "').replace(", and", "; and"),
        lambda text: f"sep=,\n{text}",
        lambda text: f"sep=,\r\n\ufeff{text}",
    ],
)
def test_csv_of_odd_writers_reads_as_any(tmp_path: Path, change: Callable[[str], str]) -> None:
    (tmp_path / "a.csv").write_bytes(change(TEXT).encode())
    found, rejects = read(tmp_path / "a.csv")
    assert ([label.article.id for label in found], rejects.count) == ([row[0] for row in ROWS], 0)
    assert found[0].article.content.replace(";", ",") == "Text 0, and more."


@pytest.mark.parametrize(
    "header", ["id;title, or headline, or both;content", 'id;"a, b, c, d";content', "id\tlong, odd, name\tcontent"]
)
def test_signs_within_names_do_not_separate_them(tmp_path: Path, header: str) -> None:
    sign = "\t" if "\t" in header else ";"
    (tmp_path / "a.csv").write_text(f"{header}\n1{sign}a, b{sign}Text, and more.\n", encoding="utf-8")
    [article] = read_articles(tmp_path / "a.csv", rejects=Rejects())
    assert (article.id, article.content) == ("1", "Text, and more.")


@pytest.mark.parametrize("header", ["Überschrift;Fließtext;Nr", "見出し;本文;番号", "col_1;col_2;col_3"])
@pytest.mark.parametrize("end", ["", "x" * 9_000])
def test_a_table_whose_names_nobody_knows_is_read_by_map(tmp_path: Path, header: str, end: str) -> None:
    title, content, number = header.split(";")
    (tmp_path / "a.csv").write_text(f"{header}\n" + "".join(f"T{n};Text {n}.{end};{n}\n" for n in range(4)), encoding="utf-8")
    columns = {title: "title", content: "content", number: "id"}
    found = list(read_articles(tmp_path / "a.csv", rejects=Rejects(), columns=columns))
    assert [(article.id, article.title) for article in found] == [(str(n), f"T{n}") for n in range(4)]
    with pytest.raises(InputError, match=f"the file has '{title}', '{content}', '{number}': add --map COLUMN=content"):
        list(read_articles(tmp_path / "a.csv", rejects=Rejects()))


@pytest.mark.parametrize(
    ("score", "read_as"),
    [("7", 7), ("7.5", 7.5), (" 7 ", 7), ("+7", 7), (".5", 0.5), ("7.", 7), ("1e1", 10),
     *((odd, None) for odd in ("1_0", "7_", "７", "٧", "7,5", "7/10", "nan", "inf", "0x7", "1e", "")) ],
)  # fmt: skip
def test_a_score_written_as_text_is_a_number_in_plain_digits(tmp_path: Path, score: str, read_as: float | None) -> None:
    (tmp_path / "a.csv").write_text(f"id;content;score.substance;score.effect\n1;Text.;{score};3\n2;Text 2.;3;3\n", "utf-8")
    found, rejects = read(tmp_path / "a.csv")
    assert [label.scores["substance"] for label in found] == ([read_as, 3] if read_as is not None else [3])
    assert all("'substance'" in reject.reason for reject in rejects.first)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        (f"Export of May\n{TEXT}", "its first line is no header of a table; line 2 is", "tail -n +2 'my file'"),
        (f"# May\n\n{TEXT}", "line 3 is", "tail -n +3"),
        (TEXT.replace(",", "^"), r"separated by '\^'", "delim='^'"),
        (TEXT.replace('"', "").replace(",", "~"), "separated by '~'", "duckdb"),
        (TEXT.replace('"', "").replace(",", "\1"), r"separated by '.x01'", "commas or tabs"),
        ("Some prose.\nNo table.\n", "neither JSON Lines nor a table with a header: it begins with 'Some prose", "give JSONL"),
        (")]}'\n[]", "neither JSON Lines nor a table", "give JSONL"),
        ("1;2;3\n", "neither JSON Lines nor a table", "give JSONL"),
        ('{"content": "a"}\r{"content": "b"}\r', "lines end in carriage returns alone", "tr '\\r' '\\n' < 'my file'"),
        ("<rss><channel/></rss>", "is XML", "one JSON object a line"),
        ("\0\1\2" * 50, "neither", "give JSONL"),
        ("caf\udce9 au lait\n", "is no text in UTF-8", "give JSONL"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_table_is_told_as_what_it_is(tmp_path: Path, text: str, says: str, hint: str) -> None:
    path = tmp_path / "my file"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for reading in (lambda: read(path), lambda: list(read_articles(path, rejects=Rejects()))):
        with pytest.raises(InputError, match=says) as error:
            reading()
        assert hint in str(error.value)
        assert "not JSON:" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"response": {"docs": [{"id": 1, "content": "x"}]}}', r"jq '\.response\.docs' FILE"),
        ('{"data": [{"body": "x"}], "n": 1}', r"jq '\.data' FILE"),
        ('{"a1": {"content": "x"}, "a2": {"content": "y"}}', r"jq '\.\[\]' FILE"),
        ('{"_source": {"content": "x", "title": "t"}}\n' * 3, "add --map _source.content=content"),
        ('{"data": {"text": "x"}}\n' * 3, "add --map data.text=content"),
        ('{"messages": [{"content": "x"}]}\n' * 3, "the file has 'messages': add --map COLUMN=content"),
    ],
)
def test_articles_within_other_objects_are_told_with_the_way_out(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=says):
        list(read_articles(tmp_path / "a.json", rejects=Rejects()))


@pytest.mark.parametrize("form", ["score_{}", "{}_score", "scores.{}", "Score {}", "{}Rating", "LABEL-{}", "{}"])
def test_scores_under_other_names_are_told_with_the_options_that_read_them(tmp_path: Path, form: str) -> None:
    names = [form.format(name.title() if "Rat" not in form else name) for name in DIMENSIONS]
    header = ",".join(f'"{name}"' for name in ["id", "content", *names])
    (tmp_path / "a.csv").write_text(f"{header}\n1,Text.,5,6\n2,Other.,7,8\n")
    with pytest.raises(InputError, match=r"the scores have (bare|other) names: add --map") as error:
        read(tmp_path / "a.csv")
    options = shlex.split(str(error.value).rpartition("; ")[2])
    columns = dict(option.rsplit("=", 1) for option in options if "=" in option)
    found, _ = read(tmp_path / "a.csv", {own: f"score.{name}" for own, name in columns.items()})
    assert [label.scores for label in found] == [{"substance": 5, "effect": 6}, {"substance": 7, "effect": 8}]


@pytest.mark.parametrize("cell", ["1", "1e", " ", "1.", "\t"])
def test_reading_a_cell_of_scores_takes_time_that_grows_with_it(cell: str) -> None:
    def seconds(size: int) -> float:
        began = time.process_time()
        assert NUMBER.fullmatch(cell * size + "x") is None
        return time.process_time() - began

    assert seconds(400_000) < 24 * max(seconds(50_000), 0.01)


def test_looking_at_the_order_of_rows_takes_time_that_grows_with_the_sheet() -> None:
    def seconds(size: int) -> float:
        began = time.process_time()
        assert _ROW.findall(b"<row " * size + b">") == []
        return time.process_time() - began

    assert seconds(200_000) < 24 * max(seconds(25_000), 0.01)
