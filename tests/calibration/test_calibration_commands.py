"""`select`, `calibrate` and `noise` as they are typed, on the demo corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from distillery.filters.errors import InputError, Waiting
from distillery.pipelines.cli.main import app
from tests.demo.generator.files import write_files
from tests.pipelines.harness import run_distillery


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_files(folder, n=900)
    return folder


def distillery(demo: Path, tmp_path: Path, command: str, *more: str) -> Result:
    store = ["--store", str(tmp_path / "st")]
    arguments = [command, "sustainability-technology", "--articles", str(demo / "articles.jsonl"), *store,
                 "--set", f"oracle.replies={demo / 'replies.jsonl'}", *more]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, InputError):
        raise result.exception
    return result


def test_the_demo_passes_and_its_noise_is_what_its_oracle_adds(demo: Path, tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    done = distillery(demo, tmp_path, "calibrate", "--marks", "reference", "--out", str(page), "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["verdict"], found["marks"]["by"]) == (0, "PASS", "reference"), found["reasons"]
    assert page.read_text().count("<fieldset") == 240
    again = distillery(demo, tmp_path, "calibrate", "--json")
    assert (again.exit_code, json.loads(again.stdout)["reused"]) == (0, True)
    noise = json.loads(distillery(demo, tmp_path, "noise", "--json").stdout)
    assert noise["floor"]["n"] >= 48
    assert 0.3 < noise["floor"]["mae"] < 0.5  # Gaussian noise of 0.5 gives 0.4


def test_a_page_without_marks_waits(demo: Path, tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    done = distillery(demo, tmp_path, "calibrate", "--out", str(page))
    assert done.exit_code == 4
    assert "nobody has marked" in done.stdout
    assert page.exists()
    with pytest.raises(InputError, match="no such file"):
        distillery(demo, tmp_path, "calibrate", "--marks", str(tmp_path / "marks.json"))


def test_a_run_waits_for_marks_with_exit_code_4_and_the_page(demo: Path, tmp_path: Path, tiny_encoder: Path) -> None:
    page = ("--out", str(tmp_path / "review.html"))
    assert distillery(demo, tmp_path, "calibrate", *page).exit_code == 4
    with pytest.raises(Waiting, match="nobody has marked"):
        distillery(demo, tmp_path, "label")
    articles = ("--articles", demo / "articles.jsonl", "--set", f"oracle.replies={demo / 'replies.jsonl'}")
    base = ("--set", f"student.baseModel={tiny_encoder}", "--set", "student.revision=null")
    done = run_distillery("distill", "sustainability-technology", *articles, *base, "--store", tmp_path / "st", cwd=tmp_path)
    assert done.code == 4, done.err
    assert done.err.count("nobody has marked") == 2  # what the calibration found, and why the labels wait
    (path,) = [line.partition(": ")[2] for line in done.err.splitlines() if line.startswith("articles to mark: ")]
    assert "<fieldset" in Path(path).read_text(encoding="utf-8")


def test_a_calibration_that_failed_stops_even_recorded_replies(demo: Path, tmp_path: Path) -> None:
    """Recorded replies cost nothing and need no calibration; one that says FAIL is heeded all the same."""
    articles = [json.loads(line) for line in (demo / "articles.jsonl").read_text().splitlines()]
    wrong = {row["id"]: "off" if sum(row["reference"].values()) > 30 else "on" for row in articles}
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    marks = ("--marks", str(tmp_path / "wrong.json"), "--out", str(tmp_path / "review.html"))
    failed = distillery(demo, tmp_path, "calibrate", *marks)
    assert failed.exit_code == 3
    assert "on-topic articles scored below 5" in failed.stdout
    with pytest.raises(InputError, match=r"900 articles would be labelled, but the calibration .* says FAIL"):
        distillery(demo, tmp_path, "label")
    assert distillery(demo, tmp_path, "calibrate", "--marks", "reference", *marks[2:]).exit_code == 0
    assert distillery(demo, tmp_path, "label").exit_code == 0


def test_a_sample_is_written_with_its_rules(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "sample.jsonl"
    done = distillery(demo, tmp_path, "select", "--n", "50", "--rule", "random=0.6", "--rule", "stratified=0.4",
                      "--out", str(out), "--json")  # fmt: skip
    assert json.loads(done.stdout)["drawn"] == {"random": 30, "stratified": 20}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 50
    assert {row["drawn_by"] for row in rows} == {"random", "stratified"}
    with pytest.raises(InputError, match="nothing to go by"):
        distillery(demo, tmp_path, "select", "--n", "50", "--rule", "enrich=1")
    with pytest.raises(InputError, match="is not a share"):
        distillery(demo, tmp_path, "select", "--n", "50", "--rule", "random=most")
