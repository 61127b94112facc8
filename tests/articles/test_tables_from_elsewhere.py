"""Tables of databases, sheets and joined files: each cell says what it said there, or the line says what is wrong with it."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.components.articles.articles import Label, Rejects, read_articles, read_labels
from distillery.filters.errors import InputError

DIMENSIONS = ["substance", "effect"]
HEADER = "id,title,content,score.substance,score.effect\n"
SCORES = {"substance": 5, "effect": 6.5}


def read(path: Path, columns: dict[str, str] | None = None) -> tuple[list[Label], Rejects]:
    rejects = Rejects()
    return list(read_labels(path, DIMENSIONS, rejects=rejects, max_rejects="100%", columns=columns)), rejects


def parquet(path: Path, **columns: Any) -> Path:
    count = max(map(len, columns.values()))
    pq.write_table(pa.table({"content": [f"Text {n}." for n in range(count)], **columns}), path)
    return path


def shard(root: Path, folders: str) -> Path:
    path = root / folders / "a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"id": "1", "content": "Text.", "scores": SCORES}) + "\n")
    return root


@pytest.mark.parametrize(
    "column",
    [
        {"published": pa.array([10**13, 10**13], pa.timestamp("s"))},
        {"published": pa.array([3_000_000, 3_000_000], pa.date32())},
        {"published": pa.array([10**15, -(10**15)], pa.timestamp("ms", "UTC"))},
    ],
)
def test_a_table_without_one_good_row_is_still_called_a_table(tmp_path: Path, column: dict[str, pa.Array]) -> None:
    path = parquet(tmp_path / "a.parquet", **column)
    with pytest.raises(InputError, match=r"no row is an article: .*:1: its published is a date outside the years 1 to 9999"):
        list(read_articles(path, rejects=Rejects()))


def test_a_workbook_without_one_good_row_is_still_called_a_table(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["id", "title", "content", "scores"], [None, None, None, "substance", "effect"], ["1", "T", "Text.", 5, 6]):
        book.active.append(row)
    book.active.merge_cells("D1:E1")
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(InputError, match=r"a\.xlsx:3: has 5 cells where the header has 4"):
        read(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("cells", "key"),
    [
        ([[("substance", 5), ("effect", 6.5)]], pa.string()),
        ([[(b"substance", 5), (b"effect", 6.5)]], pa.binary()),
        ([[("substance", Decimal(5)), ("effect", Decimal("6.5"))]], pa.large_string()),
    ],
)
def test_scores_in_a_map_go_by_its_keys(tmp_path: Path, cells: list[Any], key: pa.DataType) -> None:
    kind = pa.decimal128(4, 2) if isinstance(cells[0][0][1], Decimal) else pa.float64()
    found, _ = read(parquet(tmp_path / "a.parquet", scores=pa.array(cells, pa.map_(key, kind))))
    assert [label.scores for label in found] == [SCORES]


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ([1, 2], pa.int32()),
        ([date(2024, 1, 1), date(2024, 1, 2)], pa.date32()),
        ([b"\xff", b"\xfe"], pa.binary()),
        ([True, False], pa.bool_()),
    ],
)
def test_a_map_whose_keys_are_no_names_is_a_bad_row(tmp_path: Path, keys: list[Any], kind: pa.DataType) -> None:
    cells = [list(zip(keys, (5.0, 6.5), strict=True))]
    with pytest.raises(InputError, match=r"a\.parquet:1: lacks dimension 'substance'"):
        read(parquet(tmp_path / "a.parquet", scores=pa.array(cells, pa.map_(kind, pa.float64()))))


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("column", ["scores", "reference"])
def test_scores_that_a_table_keeps_as_json_are_read(tmp_path: Path, form: str, column: str) -> None:
    text, path = json.dumps(SCORES), tmp_path / f"a.{form}"
    row: dict[str, Any] = {"id": "1", "content": "Text.", "scores": SCORES if form == "jsonl" else text, column: text}
    if form == "parquet":
        parquet(path, **{name: [cell] for name, cell in row.items()})
    elif form == "csv":
        path.write_text(",".join(row) + "\n" + ",".join('"{}"'.format(cell.replace('"', '""')) for cell in row.values()) + "\n")
    else:
        path.write_text(json.dumps(row) + "\n")
    [label], _ = read(path)
    assert (label.scores, label.article.reference) == (SCORES, SCORES if column == "reference" else None)


@pytest.mark.parametrize("text", ['{"substance": 5, "effect": 6, "effect": 7}', "{'substance': 5, 'effect': 6}", "[5, 6]", "5"])
def test_a_text_that_is_no_object_of_scores_is_a_bad_row(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"a\.parquet:1: its scores is not an object but "):
        read(parquet(tmp_path / "a.parquet", scores=[text]))


@pytest.mark.parametrize(("kind", "whole"), [(pa.float16(), 2**11), (pa.float32(), 2**24), (pa.float64(), 2**53)])
def test_a_float_that_has_lost_digits_is_no_id(tmp_path: Path, kind: pa.DataType, whole: int) -> None:
    ids = pa.array([float(whole), 1000.0, -2.0 * whole, None, 0.5]).cast(kind)
    rejects = Rejects()
    path = parquet(tmp_path / "a.parquet", id=ids, timestamp=pa.array([whole] * 5, kind))  # which is not read
    found = list(read_articles(path, rejects=rejects))
    assert [article.id for article in found if article.content != "Text 3."] == ["1000", "0.5"]
    assert ["which has lost digits" in reject.reason for reject in rejects.first] == [True, True]


def test_labels_of_the_earlier_system_are_not_told_to_be_called_otherwise(tmp_path: Path) -> None:
    row = {"content": "Text.", "labels": [5, 6, 7], "dimension_names": ["substance", "effect", "effect"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=r"has the key 'effect' twice$"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("year", [1, 1582, 1677, 1970, 2024, 2263, 9999])
def test_dates_of_spark_and_impala_are_those_they_wrote(tmp_path: Path, year: int) -> None:
    """INT96 is read in microseconds: in pyarrow's nanoseconds (26.0.1) the year 9999 wraps around to 1816, without a word."""
    moment = datetime(year, 12, 31, 23, 59, 58, 123456)
    table = pa.table({"content": ["Text."], "published": pa.array([moment], pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    [article] = read_articles(tmp_path / "a.parquet", rejects=Rejects())
    assert article.published == moment.isoformat()


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("_delta_log/00000000000000000000.json", r"the folder is a Delta table, .*duckdb -c .*delta_scan"),
        ("labels/_delta_log/00000000000000000001.checkpoint.parquet", "labels/ is a Delta table"),
        ("metadata/00001-0c0e.metadata.json", r"is an Iceberg table, .*iceberg_scan"),
        (".hoodie/hoodie.properties", "is a Hudi table"),
    ],
)
def test_deleted_rows_of_a_lakehouse_are_not_read(tmp_path: Path, log: str, says: str) -> None:
    (tmp_path / log).parent.mkdir(parents=True)
    (tmp_path / log).write_text("{}")
    parquet(tmp_path / "part-0.parquet", id=["1"])
    with pytest.raises(InputError, match=says):
        list(read_articles(tmp_path, rejects=Rejects()))


def test_other_folders_beside_shards_are_passed_over_or_read(tmp_path: Path) -> None:
    for name in ("metadata", "_logs", "delta_log"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_text(json.dumps({"content": f"Text of {name}."}) + "\n")
    assert len(list(read_articles(tmp_path, rejects=Rejects()))) == 2


def test_minus_nothing_is_nothing(tmp_path: Path) -> None:
    """Equal labels have equal bytes."""
    (tmp_path / "a.jsonl").write_text('{"content": "Text.", "scores": {"substance": -0.0, "effect": -0}}\n')
    [label], _ = read(tmp_path / "a.jsonl")
    assert str(label.scores) == "{'substance': 0.0, 'effect': 0.0}"


def test_a_cell_that_is_merged_over_rows_is_in_each_of_them(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    rows = [["1", "A", "Text 1.", 5, 6, "BBC"], ["2", None, "Text 2.", 7, None, None], ["3", "C", "Text 3.", 8, None, None]]
    for row in (["id", "title", "content", "score.substance", "score.effect", "source"], *rows, ["4", None, "Text 4.", 1, 2]):
        book.active.append(row)
    for cells in ("B2:B3", "E2:E4", "F2:F4"):
        book.active.merge_cells(cells)
    book.save(tmp_path / "a.xlsx")
    found, rejects = read(tmp_path / "a.xlsx")
    assert [(label.article.title, label.scores["effect"], label.article.source) for label in found] == [
        *(("A", 6, "BBC"), ("A", 6, "BBC"), ("C", 6, "BBC")),
        ("", 2, ""),
    ]
    assert rejects.count == 0


@pytest.mark.parametrize(
    ("member", "says"),
    [
        ("xl/workbook.bin", r"is a binary workbook \(XLSB\), which is not read; save it as CSV: libreoffice"),
        ("word/document.xml", "is a document of an office, and no workbook"),
        ("ppt/presentation.xml", "is a document of an office, and no workbook"),
        ("xl/other.xml", "is a damaged workbook"),
    ],
)
def test_what_looks_like_a_workbook_is_told_as_what_it_is(tmp_path: Path, member: str, says: str) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        for name in ("[Content_Types].xml", "_rels/.rels", member):
            archive.writestr(name, "<x/>")
    with pytest.raises(InputError, match=says):
        read(tmp_path / "a")


@pytest.mark.parametrize("joint", ["", "\ufeff", "\n"])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_header_of_a_joined_file_is_no_article(tmp_path: Path, joint: str, zipped: bool) -> None:
    text = f"{HEADER}1,T,Text 1.,5,6\n{joint}{HEADER}2,T,Text 2.,5,6\n".encode()
    (tmp_path / "a.csv").write_bytes(gzip.compress(text) if zipped else text)
    rejects = Rejects()
    assert [article.id for article in read_articles(tmp_path / "a.csv", rejects=rejects)] == ["1", "2"]
    assert [reject.reason for reject in rejects.first] == ["is the header again, as where two files were joined"]


def test_the_header_of_a_table_below_another_is_no_article(tmp_path: Path) -> None:
    book, header = openpyxl.Workbook(), HEADER.strip().split(",")
    for row in (header, ["1", "T", "Text 1.", 5, 6], [], [], header, ["2", "T", "Text 2.", 5, 6]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    rejects = Rejects()
    assert [article.id for article in read_articles(tmp_path / "a.xlsx", rejects=rejects)] == ["1", "2"]
    assert [(reject.line, reject.reason[:19]) for reject in rejects.first] == [(5, "is the header again")]


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_spaces_behind_all_signs_of_a_header_are_behind_those_of_its_rows(tmp_path: Path, sign: str) -> None:
    lines = [HEADER.strip().split(","), ["1", '"A title"', f'"One{sign} two."', "5", "6"]]
    (tmp_path / "a.csv").write_text("".join(f"{sign} ".join(line) + "\n" for line in lines))
    [label], rejects = read(tmp_path / "a.csv")
    assert (label.article.title, label.article.content, rejects.count) == ("A title", f"One{sign} two.", 0)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("later", [1, 2, 5])
def test_a_quote_that_takes_whole_rows_into_a_cell_is_told(tmp_path: Path, place: int, later: int) -> None:
    """Databases put no quotes around a title that begins with a quotation mark: no row is lost without a word."""
    rows = [[str(n), f"T{n}", f"Text {n}.", "5", "6"] for n in range(8)]
    rows[1][place], rows[1 + later][place] = f'"{rows[1][place]}', f'{rows[1 + later][place]}"'
    (tmp_path / "a.tsv").write_text(HEADER.replace(",", "\t") + "".join("\t".join(row) + "\n" for row in rows))
    found, rejects = read(tmp_path / "a.tsv")
    assert len(found) == 7 - later
    assert [(reject.line, reject.reason) for reject in rejects.first] == [
        (3, f"begins a cell with a quote that takes the rows up to line {3 + later} into it: double such quotes")
    ]


def test_texts_of_several_lines_with_tabs_are_texts(tmp_path: Path) -> None:
    text = "One\tline.\nanother\twith\ttabs\n\nand\ta last."
    (tmp_path / "a.tsv").write_text(HEADER.replace(",", "\t") + f'1\tT\t"{text}"\t5\t6.5\n')
    [label], _ = read(tmp_path / "a.tsv")
    assert (label.article.content, label.scores) == (text, SCORES)


@pytest.mark.parametrize("header", ["content", "content\r"])
def test_a_lone_column_has_no_signs_to_go_by(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_bytes(f'{header}\n "Quoted" and more.\n'.encode())
    [article] = read_articles(tmp_path / "a.csv", rejects=Rejects())
    assert article.content.strip() == '"Quoted" and more.'


@pytest.mark.parametrize("line", ["1,T,caf\xe9,5,6\n", "1,Stra\xdfe,Text.,5,6\n", "1,T,\x93Text\x94,5,6\n"])
@pytest.mark.parametrize(
    "header", [HEADER, HEADER.replace("title", "titr\xe9"), "n\xb0;Titel;Text des Artikels;Gr\xf6\xdfe;x\n"]
)
def test_a_table_in_an_older_encoding_is_told_with_the_command(tmp_path: Path, header: str, line: str) -> None:
    (tmp_path / "a.csv").write_bytes(header.encode("latin-1") + line.replace(",", header[2]).encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.csv: is not UTF-8; save it as UTF-8, for example: iconv -f WINDOWS-1252"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("text", [f"{HEADER}1,T,Text.,5,6\n", '{"id": "1", "content": "Text."}\n', '[{"content": "Text."}]'])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_wide_encodings_are_told_with_the_command_that_reads_them(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    command = f"iconv -f {encoding.upper().replace('-LE', 'LE').replace('-BE', 'BE')} -t UTF-8 a.txt > a.utf8"
    with pytest.raises(InputError, match=command):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize("behind", [",", '{"content": "b"}', ' {"content": "b"}', ";"])
def test_what_stands_behind_an_object_in_its_line_is_told(tmp_path: Path, behind: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"content": "a"}}{behind}\n{{"content": "c"}}\n')
    rejects = Rejects()
    assert [article.content for article in read_articles(tmp_path / "a.jsonl", rejects=rejects)] == ["c"]
    assert rejects.first[0].reason.endswith("write one object a line, without commas between them")
    (tmp_path / "b.jsonl").write_text(f'{{"content": "a"}}{behind}\n')
    with pytest.raises(InputError, match=r"without commas between them$"):
        read(tmp_path / "b.jsonl")


@pytest.mark.parametrize("cells", ["seven,5", "7/10,5", ",5", '"7,5",5'])
def test_a_bad_score_under_our_own_name_is_not_told_to_be_called_otherwise(tmp_path: Path, cells: str) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}1,T,Text.,{cells}\n")
    with pytest.raises(InputError, match="'substance'") as error:
        read(tmp_path / "a.csv")
    assert "--map" not in str(error.value)


@pytest.mark.parametrize(
    "header",
    ["id,content,Substanz,Wirkung", "id,content,substance (0-10),effect (0-10)", "id,content,rating,x", "id,content,score,y"],
)
def test_scores_under_names_that_nobody_knows_are_told_with_the_option(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n1,Text.,5,6\n")
    with pytest.raises(InputError, match="no row has 'scores': add --map COLUMN=substance"):
        read(tmp_path / "a.csv")


def test_scores_with_their_reasons_are_told_with_the_option_that_reads_them(tmp_path: Path) -> None:
    scores = {name: {"score": score, "reason": "So it says."} for name, score in SCORES.items()}
    (tmp_path / "a.jsonl").write_text(json.dumps({"content": "Text.", "scores": scores}) + "\n")
    with pytest.raises(InputError, match=r"not a number but an object; .*: --map scores=scores$"):
        list(read_labels(tmp_path / "a.jsonl", DIMENSIONS, rejects=Rejects()))
    assert read(tmp_path / "a.jsonl", {"scores": "scores"})[0][0].scores == SCORES


def test_objects_as_python_writes_them_are_told_with_what_writes_json(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'id,content,scores\n1,Text.,"{SCORES}"\n')
    with pytest.raises(InputError, match=r"its scores is not an object but .*single quotes: .*json\.dumps"):
        list(read_labels(tmp_path / "a.csv", DIMENSIONS, rejects=Rejects()))


@pytest.mark.parametrize("name", ["label", "ratings", "Score"])
@pytest.mark.parametrize("value", [SCORES, json.dumps(SCORES)])
def test_an_object_of_scores_by_another_name_is_told_with_the_option(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"content": "Text.", name: value}) + "\n")
    with pytest.raises(InputError, match=f"the file has '{name}': add --map {name}=scores"):
        read(tmp_path / "a.jsonl")
    assert read(tmp_path / "a.jsonl", {name: "scores"})[0][0].scores == SCORES


@pytest.mark.parametrize(
    ("folders", "columns", "found"),
    [
        ("language=en/lang=de", {}, ("", "en")),
        ("lang=de/language=en", {}, ("", "en")),
        ("source=crawl/site=bbc", {}, ("crawl", "")),
        ("site=bbc/source=crawl", {"site": "source"}, ("bbc", "")),
        ("site=bbc/publisher=x", {"publisher": "source"}, ("x", "")),
    ],
)
def test_a_folder_of_our_own_name_stands_before_one_of_nearly_that_name(
    tmp_path: Path, folders: str, columns: dict[str, str], found: tuple[str, str]
) -> None:
    [label], _ = read(shard(tmp_path, folders), columns)
    assert (label.article.source, label.article.language) == found


@pytest.mark.parametrize(
    ("folders", "columns", "says"),
    [
        ("language=en/language=de", {}, "has column 'language' twice"),
        ("lang=en/locale=de", {}, "folders 'lang' and 'locale' are both nearly 'language'; .*--map locale=language"),
        ("site=a/x=1/publisher=b", {}, "folders 'site' and 'publisher' are both nearly 'source'"),
        ("lang=en/locale=de", {"lang": "language", "locale": "language"}, "has column 'language' twice"),
    ],
)
def test_a_column_that_two_folders_stand_for_is_refused(
    tmp_path: Path, folders: str, columns: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read(shard(tmp_path, folders), columns)
