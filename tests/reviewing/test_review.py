"""A review round trip: articles are drawn, three people's files come back, one of them damaged, and agreement is told."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from distillery.components.artifacts.document import Document
from distillery.components.artifacts.review import Review, read_review
from distillery.components.reviewing.draw import Judged, draw, edge
from distillery.components.reviewing.read import _points
from distillery.components.store import open_store
from tests.pipelines.harness import Ran, run_here
from tests.sharing.conftest import ADAPTER, Distillery

NAME, DIMENSIONS = "village-gain", ["reach", "proof", "thrift"]


def fill(path: Path, score: Callable[[str, str], object], columns: str = "") -> None:
    """Fill a workbook in as a person would; `columns`: only those of this reviewer."""
    book = openpyxl.load_workbook(path)
    sheet = book["review"]
    heads = [cell.value for cell in sheet[1]]
    for row in range(2, sheet.max_row + 1):
        article = str(sheet.cell(row, 1).value)
        for at, head in enumerate(heads, 1):
            reviewer, _, dimension = str(head).rpartition(": ")
            if dimension in DIMENSIONS and columns in ("", reviewer):
                sheet.cell(row, at).value = score(article, dimension)
    book.save(path)


def scored(person: str, article: str, dimension: str) -> float:
    return random.Random(f"{article}{dimension}").randint(10, 80) / 10 + random.Random(person + article).choice([0, 0.5, 1])


# ---- what is drawn ----------------------------------------------------------------------------------------------------


def test_what_is_drawn_is_worth_a_look_and_the_same_for_a_seed(judged: Judged) -> None:
    drawn = draw(judged, 10, 42)
    assert draw(judged, 10, 42) == drawn
    assert draw(judged, 10, 43) != drawn
    assert len({each.row for each in drawn}) == 10
    errors = np.abs(judged.labels - judged.predictions).mean(axis=1)
    disputed = [each.row for each in drawn if each.why == "disagreement"]
    assert set(disputed) >= set(np.argsort(-errors)[:3].tolist())
    edges = edge(judged.filter, judged.predictions)
    near = [edges[each.row] for each in drawn if each.why == "tier edge"]
    assert max(near) <= np.median(edges)
    assert len(draw(judged, 500, 1)) == judged.frame.num_rows


def test_a_tiers_edge_is_where_the_tier_changes_whatever_its_rule(judged: Judged) -> None:
    scores = np.array([[6.5, 6.5, 6.5], [6.4, 6.4, 6.4], [0.0, 9.9, 0.0], [10.0, 10.0, 10.0]])
    assert edge(judged.filter, scores).tolist() == [0.1, 0.1, 2.0, np.inf]


# ---- the forms --------------------------------------------------------------------------------------------------------


def test_a_cell_is_a_text_whatever_it_begins_with(judged: Judged, tmp_path: Path) -> None:
    from distillery.components.reviewing.draw import Drawn
    from distillery.components.reviewing.forms import write_form

    texts = ['=HYPERLINK("x")', "+1", "-1", "@SUM(A1)", "\tx\x07y", "=" * 40_000]
    frame = judged.frame.slice(0, len(texts))
    frame = frame.set_column(frame.column_names.index("title"), "title", [texts])
    data = write_form(".xlsx", judged._replace(frame=frame), [Drawn(row, "random") for row in range(len(texts))], [])
    (tmp_path / "r.xlsx").write_bytes(data)
    sheet = openpyxl.load_workbook(tmp_path / "r.xlsx")["review"]
    cells = [sheet.cell(row, 5) for row in range(2, 2 + len(texts))]
    assert [cell.data_type for cell in cells] == ["s"] * len(texts)
    assert all(cell.quotePrefix for cell in cells)
    assert [cell.value for cell in cells[:4]] == texts[:4]
    assert cells[4].value == "\txy"
    assert len(cells[5].value) == 32_000
    assert {cell.data_type for line in openpyxl.load_workbook(tmp_path / "r.xlsx")["what to score"] for cell in line} <= {"s"}


def test_the_workbook_says_nothing_of_what_oracle_and_student_said(distillery: Distillery, tmp_path: Path) -> None:
    ran = distillery("review", "filter.yaml", "--out", tmp_path / "r.xlsx", "--reviewer", "Anna", "--count", "9", "--json")
    assert ran.code == 0, ran.err
    assert sum(ran.json["drawn_by"].values()) == ran.json["articles"] == 9
    sheet = openpyxl.load_workbook(tmp_path / "r.xlsx")["review"]
    assert [cell.value for cell in sheet[1]][6:] == [f"Anna: {name}" for name in DIMENSIONS]
    assert sheet.max_row == 10
    assert {type(cell.value) for line in sheet.iter_rows(min_row=2) for cell in line[6:]} == {type(None)}
    ran = distillery("review", "filter.yaml", "--out", tmp_path / "r.xlsx")
    assert ran.code == 2
    assert "give --replace" in ran.err, "somebody may have filled it in"


def test_label_studio_gets_tasks_with_predictions_and_a_config(distillery: Distillery, judged: Judged, tmp_path: Path) -> None:
    import xml.etree.ElementTree as xml

    assert distillery("review", "filter.yaml", "--out", tmp_path / "t.json", "--count", "5").code == 0
    tasks = json.loads((tmp_path / "t.json").read_bytes())
    assert [len(task["predictions"]) for task in tasks] == [2] * 5
    row = judged.articles().index(tasks[0]["data"]["article"])
    oracle = {each["from_name"]: each["value"]["number"] for each in tasks[0]["predictions"][0]["result"]}
    assert oracle == dict(zip(DIMENSIONS, judged.labels[row].tolist(), strict=True))
    config = xml.parse(tmp_path / "t.config.xml").getroot()
    assert [each.get("name") for each in config.findall("Number")] == DIMENSIONS


# ---- the way back -----------------------------------------------------------------------------------------------------


@pytest.fixture
def three(copied_home: Path, tmp_path: Path) -> list[Path]:
    """Anna's workbook, Bo's page file, and Cleo's workbook, torn."""
    paths = [tmp_path / "anna.xlsx", tmp_path / "tasks.json", tmp_path / "cleo.xlsx"]
    for path in paths:
        assert run_here("review", "filter.yaml", "--out", path, "--count", "12", cwd=copied_home).code == 0
    fill(paths[0], lambda article, dimension: scored("anna", article, dimension))
    tasks = json.loads(paths[1].read_bytes())
    page = {
        "kind": "llm-distillery review", "format": 1, "filter": NAME, "adapter": ADAPTER, "reviewer": "Bo",
        "scores": {
            task["data"]["article"]: {name: scored("bo", task["data"]["article"], name) for name in DIMENSIONS}
            for task in tasks
        },
    }  # fmt: skip
    paths[1] = tmp_path / "bo.json"
    paths[1].write_text(json.dumps(page), encoding="utf-8")
    paths[2].write_bytes(paths[2].read_bytes()[:4000])
    return paths


def read(home: Path, *paths: Path, more: tuple[object, ...] = ()) -> Ran:
    words = [word for path in paths for word in ("--read", path)]
    return run_here("review", "filter.yaml", *words, "--json", *map(str, more), cwd=home)


def test_three_files_of_which_one_is_damaged(copied_home: Path, three: list[Path], judged: Judged) -> None:
    ran = read(copied_home, *three)
    assert ran.code == 0, ran.err
    assert [each["name"] for each in ran.json["reviewers"]] == ["Bo", "anna"]
    (line,) = ran.json["left_out"]
    assert line.startswith(f"{three[2]}: is a damaged workbook")
    assert f"left out: {line}" in ran.err
    pairs = {(each["left"], each["right"]): each for each in ran.json["pairs"]}
    assert {
        ("people", "oracle"),
        ("people", "student"),
        ("oracle", "student"),
        ("Bo", "anna"),
        ("Bo", "oracle"),
    } <= pairs.keys()
    # by hand
    review = read_review(open_store(str(copied_home / ".distillery")), NAME, ADAPTER)
    assert review is not None
    given = review.scores
    articles = sorted(given["Bo"])
    assert len(articles) == 12
    rows = [judged.articles().index(article) for article in articles]
    people = np.array([[(given["Bo"][a][d] + given["anna"][a][d]) / 2 for d in DIMENSIONS] for a in articles])
    assert pairs["people", "oracle"]["mae"] == pytest.approx(np.abs(people - judged.labels[rows]).mean(), abs=1e-5)
    assert pairs["people", "student"]["bias"] == pytest.approx((people - judged.predictions[rows]).mean(), abs=1e-5)
    for pair in pairs.values():
        assert pair["interval"][0] <= pair["mae"] <= pair["interval"][1]
    assert read(copied_home, *three).json == ran.json, "the same files give the same figures, intervals too"


def test_the_report_shows_the_review_beside_the_noise(copied_home: Path, three: list[Path]) -> None:
    assert read(copied_home, *three[:2]).code == 0
    for form in ("--md", "--out"):
        words = [form] if form == "--md" else [form, "report.html"]
        assert run_here("report", "filter.yaml", *words, cwd=copied_home).code == 0
    markdown = run_here("report", "filter.yaml", "--md", cwd=copied_home).out
    html = (copied_home / "report.html").read_text("utf-8")
    for text in (markdown, html):
        assert "people" in text
        assert "Krippendorff" in text
        assert "anna" in text


def test_scores_become_labels_with_their_origin(copied_home: Path, three: list[Path], tmp_path: Path) -> None:
    ran = read(copied_home, *three[:2], more=("--as-labels", tmp_path / "labels.jsonl"))
    assert ran.code == 0, ran.err
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text("utf-8").splitlines()]
    assert ran.json["labels"]["articles"] == len(rows) == 12
    assert all(row["labelled_by"] == ["Bo", "anna"] and row["review"] == ADAPTER for row in rows)
    imported = run_here("labels", "import", "filter.yaml", tmp_path / "labels.jsonl", "--store", "new", cwd=copied_home)
    assert imported.code == 0, imported.err


def test_label_studios_export_is_read(copied_home: Path, three: list[Path], tmp_path: Path) -> None:
    page = json.loads(three[1].read_bytes())
    tasks = [
        {
            "data": {"article": article},
            "annotations": [
                {
                    "completed_by": {"id": 7, "email": "bo@example"},
                    "result": [
                        {"from_name": name, "to_name": "text", "type": "number", "value": {"number": score}}
                        for name, score in given.items()
                    ],
                },
                {"completed_by": 8, "was_cancelled": True, "result": [{"type": "number"}]},
            ],
        }
        for article, given in page["scores"].items()
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    ran = read(copied_home, tmp_path / "export.json")
    assert ran.code == 0, ran.err
    assert [each["name"] for each in ran.json["reviewers"]] == ["bo@example"]


Page = dict[str, Any]


def _first(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(page["scores"].values()))
    return found


BAD: dict[str, tuple[Callable[[Page], object], str]] = {
    "beyond ten": (lambda page: _first(page).update(reach=11), "'11' is no score from 0 to 10"),
    "below zero": (lambda page: _first(page).update(reach=-0.1), "'-0.1' is no score from 0 to 10"),
    "a word": (lambda page: _first(page).update(reach="much"), "'much' is no score from 0 to 10"),
    "true": (lambda page: _first(page).update(reach=True), "'True' is no score from 0 to 10"),
    "another dimension": (lambda page: _first(page).update(beauty=3), "is no file of a review"),
    "another filter": (lambda page: page.update(filter="uplifting"), "is no file of a review"),
    "another article": (lambda page: page["scores"].update({"0" * 64: {"reach": 1}}), "article '000000000000' is none of the"),
    "nothing": (lambda page: page.update(scores={}), "holds no score"),
    "the oracle's name": (lambda page: page.update(reviewer="oracle"), "'oracle' can't be a reviewer's name"),
    "a long name": (lambda page: page.update(reviewer="x" * 81), "can't be a reviewer's name"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_file_is_one_line_and_the_good_one_is_kept(name: str, copied_home: Path, three: list[Path]) -> None:
    page = json.loads(three[1].read_bytes())
    harm, said = BAD[name]
    harm(page)
    three[1].write_text(json.dumps(page))
    ran = read(copied_home, *three[:2])
    assert ran.code == 0, ran.err
    assert [each["name"] for each in ran.json["reviewers"]] == ["anna"]
    (line,) = ran.json["left_out"]
    assert said in line
    assert line.startswith(str(three[1]))
    alone = read(copied_home, three[1])
    assert alone.code == 2
    assert said in alone.err


@pytest.mark.parametrize(
    ("cell", "points"),
    [
        *((7, 7), ("7", 7), (" 7,5 ", 7.5), ("+7.", 7), ("1e1", 10), (-0.0, 0), (10, 10)),
        *((odd, None) for odd in ("1_0", "７", "٧", "7½", "7/10", "nan", "inf", "", True, None, float("nan"), 10.01, [7])),
    ],
)
def test_a_persons_score_is_a_number_in_plain_digits(cell: object, points: float | None) -> None:
    assert str(_points(cell)) == str(None if points is None else float(points))


def test_workbooks_with_odd_cells(copied_home: Path, three: list[Path], tmp_path: Path) -> None:
    fill(three[0], lambda article, dimension: "7,5")
    ran = read(copied_home, three[0])
    assert ran.code == 0, "a comma is a point in many countries"
    fill(three[0], lambda article, dimension: "=1+1")
    ran = read(copied_home, three[0])
    assert ran.code == 2, "a formula has no value that was saved"
    assert "holds no score" in ran.err
    fill(three[0], lambda article, dimension: None)
    assert "holds no score" in read(copied_home, three[0]).err
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    assert "x.xlsx: is a damaged workbook" in read(copied_home, tmp_path / "x.xlsx").err
    (tmp_path / "y.json").write_bytes(b"\x00\x01")
    assert "is neither a workbook nor JSON" in read(copied_home, tmp_path / "y.json").err
    assert "no such file" in read(copied_home, tmp_path / "none.json").err


def test_two_files_of_a_person_that_contradict_each_other(copied_home: Path, three: list[Path], tmp_path: Path) -> None:
    page = json.loads(three[1].read_bytes())
    _first(page).update(reach=9.9)
    (tmp_path / "again.json").write_text(json.dumps(page))
    ran = read(copied_home, three[1], tmp_path / "again.json")
    assert ran.code == 0
    assert "contradicts another file of Bo" in ran.json["left_out"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "neither --out nor --read is given"),
        (["--out", "x.xlsx", "--read", "y.json"], "--out and --read are two commands"),
        (["--out", "x.docx"], "a review has no form .docx; name it .xlsx for a workbook"),
        (["--out", "x.html", "--reviewer", "A"], "only a workbook has columns for people"),
        (["--out", "x.xlsx", "--reviewer", "A: b"], "can't be a reviewer's name here"),
        (["--out", "x.xlsx", "--as-labels", "l.jsonl"], "there are no scores yet"),
        (["--read", "x.json", "--as-labels", "l.csv"], "labels of a review are JSON Lines"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], said: str, distillery: Distillery, home: Path) -> None:
    before = sorted(home.iterdir())
    ran = distillery("review", "filter.yaml", *words)
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert said in ran.errors[0]
    assert sorted(home.iterdir()) == before


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("soffice"), reason="LibreOffice is not installed")
def test_libreoffice_opens_the_workbook_and_works_out_no_text(judged: Judged, tmp_path: Path) -> None:
    from distillery.components.reviewing.draw import Drawn
    from distillery.components.reviewing.forms import write_form

    texts = ["=1+1", "+2+2", "-3", "@SUM(1)", "=SUM(4,5)"]
    frame = judged.frame.slice(0, len(texts))
    frame = frame.set_column(frame.column_names.index("title"), "title", [texts])
    data = write_form(".xlsx", judged._replace(frame=frame), [Drawn(row, "random") for row in range(len(texts))], ["Anna"])
    (tmp_path / "r.xlsx").write_bytes(data)
    home = f"-env:UserInstallation=file://{tmp_path}/office"
    for form in ("csv", "ods"):
        subprocess.run(["soffice", home, "--headless", "--convert-to", form, "r.xlsx"], cwd=tmp_path, check=True, timeout=120)
    rows = list(csv.DictReader((tmp_path / "r.csv").open(encoding="utf-8")))
    assert [row["title"] for row in rows] == texts
    with zipfile.ZipFile(tmp_path / "r.ods") as saved:  # what LibreOffice itself took for a formula
        assert b"table:formula" not in saved.read("content.xml")


def test_a_stored_review_that_is_torn_is_named(copied_home: Path, three: list[Path]) -> None:
    assert read(copied_home, *three[:2]).code == 0
    (path,) = (copied_home / ".distillery" / "reviews").rglob("*.json")
    assert isinstance(Review.read(path.read_bytes(), "x"), Document)
    path.write_bytes(path.read_bytes()[:100])
    ran = run_here("report", "filter.yaml", "--md", cwd=copied_home)
    assert ran.code == 0
    assert "review" in ran.err
    assert read(copied_home, *three[:2]).code == 0, "read anew, it is written anew"
