"""Bad input at the command line: exit code 2, one clear line that says what and where, nothing written."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from distillery.pipelines.cli.main import main
from tests.pipelines.harness import filter_document, label_rows, write_rows


class Refusal(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Refusal]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Refusal:
        monkeypatch.setattr(sys, "argv", ["distillery", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return Refusal(code, out, err)

    return run


def written(folder: Path) -> list[str]:
    """What a refused command left in the store, journals of rejects aside."""
    return sorted(str(path.relative_to(folder)) for path in (folder / ".distillery").rglob("*") if path.is_file())


def one_line(refused: Refusal) -> str:
    errors = [text for text in refused.err.splitlines() if text.startswith("error: ")]
    assert refused.code == 2, refused
    assert len(errors) == 1, refused.err
    assert "Traceback" not in refused.err
    return errors[0]


def make_filter(path: Path, edit: Callable[[dict[str, Any]], None] = lambda spec: None) -> Path:
    document = filter_document(path.parent / "no-base-is-needed")
    edit(document["spec"])
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def unknown_key(spec: dict[str, Any]) -> None:
    spec["treshold"] = 3


def weight_of_letters(spec: dict[str, Any]) -> None:
    spec["dimensions"][0]["weight"] = "much"


def unknown_dimension(spec: dict[str, Any]) -> None:
    spec["tiers"][0]["when"] = "benefits >= 3"


def twice(spec: dict[str, Any]) -> None:
    spec["dimensions"][1]["name"] = "benefit"


def code_in_tier(spec: dict[str, Any]) -> None:
    spec["tiers"][0]["when"] = "__import__('os').system('true')"


def climbing(spec: dict[str, Any]) -> None:
    spec["student"]["baseModel"] = "../../etc"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (unknown_key, "treshold"),
        (weight_of_letters, "dimensions[0].weight"),
        (unknown_dimension, "benefits"),
        (twice, "benefit"),
        (code_in_tier, "tiers[0].when"),
        (climbing, "baseModel"),
    ],
)
def test_a_bad_filter_is_refused_with_file_and_line(
    edit: Callable[[dict[str, Any]], None], said: str, command: Command, tmp_path: Path
) -> None:
    flt = make_filter(tmp_path / "filter.yaml", edit)
    labels = write_rows(tmp_path / "labels.jsonl", label_rows(40))
    for name in ("distill", "label", "plan"):
        error = one_line(command(name, flt, "--labels", labels))
        assert "filter.yaml:" in error
        assert said in error
    assert written(tmp_path) == []


def lacks_dimension(rows: list[dict[str, Any]]) -> None:
    del rows[3]["scores"]["evidence"]


def one_too_many(rows: list[dict[str, Any]]) -> None:
    rows[3]["scores"]["evidnce"] = 3


def eleven(rows: list[dict[str, Any]]) -> None:
    rows[3]["scores"]["benefit"] = 11


def not_a_number(rows: list[dict[str, Any]]) -> None:
    rows[3]["scores"]["benefit"] = float("nan")


def same_id(rows: list[dict[str, Any]]) -> None:
    rows[3]["id"] = rows[2]["id"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [(lacks_dimension, "evidence"), (one_too_many, "evidnce"), (eleven, "11"), (not_a_number, "benefit"), (same_id, "a2")],
)
def test_bad_labels_are_refused_with_their_line(
    edit: Callable[[list[dict[str, Any]]], None], said: str, command: Command, tmp_path: Path
) -> None:
    rows = label_rows(40)
    edit(rows)
    labels = write_rows(tmp_path / "labels.jsonl", rows)
    error = one_line(command("label", make_filter(tmp_path / "filter.yaml"), "--labels", labels))
    assert "labels.jsonl:4" in error
    assert said in error
    assert not [key for key in written(tmp_path) if "labelsets" in key]


def test_one_bad_row_may_be_left_out(command: Command, tmp_path: Path) -> None:
    rows = label_rows(40)
    eleven(rows)
    labels = write_rows(tmp_path / "labels.jsonl", rows)
    flt = make_filter(tmp_path / "filter.yaml")
    assert "--max-rejects" in one_line(command("label", flt, "--labels", labels))
    done = command("label", flt, "--labels", labels, "--max-rejects", "5%", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["labeled"] == 39


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated_gzip(path: Path) -> None:
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in label_rows(40)).encode())
    path.write_bytes(whole[: len(whole) // 2])


def latin_1(path: Path) -> None:
    path.write_bytes('{"id": "a", "title": "caf\xe9"}\n'.encode("latin-1"))


def other_columns(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"name": ["a"], "value": [1]}), path)


@pytest.mark.parametrize("make", [empty, truncated_gzip, latin_1, other_columns])
def test_a_file_that_cannot_be_read_is_refused(make: Callable[[Path], None], command: Command, tmp_path: Path) -> None:
    path = tmp_path / "labels.bin"
    make(path)
    assert "labels.bin" in one_line(command("label", make_filter(tmp_path / "filter.yaml"), "--labels", path))
    assert not [key for key in written(tmp_path) if "labelsets" in key]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (label_rows(20), "20"),
        ([{**row, "scores": {"benefit": 5, "evidence": 5}} for row in label_rows(80)], "constant"),
    ],
)
def test_labels_unfit_to_learn_from_are_refused(
    rows: list[dict[str, Any]], said: str, command: Command, tmp_path: Path
) -> None:
    labels = write_rows(tmp_path / "labels.jsonl", rows)
    refused = command("split", make_filter(tmp_path / "filter.yaml"), "--labels", labels)
    assert said in one_line(refused)
    assert not [key for key in written(tmp_path) if "datasets" in key]


def test_usage_errors_exit_with_2(command: Command, tmp_path: Path) -> None:
    flt = make_filter(tmp_path / "filter.yaml")
    assert "neither" in one_line(command("distill", flt))
    assert "both" in one_line(command("distill", flt, "--labels", "a", "--articles", "b"))
    assert "no such file" in one_line(command("distill", flt, "--labels", "missing.jsonl"))
    assert "../climb" in one_line(command("distill", "../climb", "--labels", "a"))
    assert "--profile" in one_line(command("distill", flt, "--labels", "a", "--profile", "lapdog"))
    assert "trainin" in one_line(command("distill", flt, "--labels", "a", "--set", "trainin.epochs=3"))
    assert command("distil", flt).code == 2


def test_a_run_without_its_base_model_or_its_marks_is_never_started(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillery.pipelines.laptop.run.start", lambda *_, **__: pytest.fail("a run was started"))
    flt = make_filter(tmp_path / "filter.yaml")
    labels = write_rows(tmp_path / "labels.jsonl", label_rows(40))
    refused = command("distill", flt, "--labels", labels, "--set", "student.baseModel=package://no_such_model")
    assert "no_such_model" in one_line(refused)
    assert "marks" in one_line(command("distill", flt, "--labels", labels, "--marks", "nobody.json"))


def test_a_store_that_cannot_be_written_is_refused(command: Command, tmp_path: Path) -> None:
    blocked = tmp_path / "file-not-folder"
    blocked.write_text("in the way")
    labels = write_rows(tmp_path / "labels.jsonl", label_rows(40))
    error = one_line(
        command("distill", make_filter(tmp_path / "filter.yaml"), "--labels", labels, "--store", blocked / "store")
    )
    assert "file-not-folder" in error


def test_nothing_promoted_yet_says_what_to_type(command: Command, tmp_path: Path) -> None:
    flt = make_filter(tmp_path / "filter.yaml")
    articles = write_rows(tmp_path / "articles.jsonl", label_rows(5))
    (tmp_path / ".distillery").mkdir()
    assert "distillery distill" in one_line(command("score", flt, articles, "--out", tmp_path / "out"))
    assert "distillery distill" in one_line(command("report", flt, "--out", tmp_path / "report.html"))
    assert "no adapter" in one_line(command("benchmark", "0123456789ab", "--labels", articles))


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="has no device that is always full")
def test_a_full_disk_is_one_line(command: Command, tmp_path: Path) -> None:
    labels = write_rows(tmp_path / "labels.jsonl", label_rows(40))
    error = one_line(
        command("select", make_filter(tmp_path / "filter.yaml"), "--articles", labels, "--n", 5, "--out", "/dev/full")
    )
    assert "No space left on device; free some space, or choose another place" in error
    assert Path("/dev/full").is_char_device()


def test_a_place_that_takes_no_file_is_one_line(command: Command, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("in the way")
    assert "taken" in one_line(command("demo", "--out", tmp_path / "taken" / "demo"))
    assert "no place for a file" in one_line(
        command("label", make_filter(tmp_path / "filter.yaml"), "--labels", "l.jsonl", "--out", "/dev/null")
    )
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["report.odt", "report.png", "report.doc", "report.txt"])
def test_a_report_has_the_forms_that_it_has(name: str, command: Command, tmp_path: Path) -> None:
    assert "has no form" in one_line(command("report", make_filter(tmp_path / "filter.yaml"), "--out", tmp_path / name))
    assert "has no form" in one_line(command("report", "0123456789ab", "--md", "--out", tmp_path / name))
    assert "asks for Markdown" in one_line(command("report", "0123456789ab", "--md", "--out", tmp_path / "report.html"))
    assert not (tmp_path / name).exists()


def test_pipelines_are_not_compiled_for_images_that_nobody_has(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISTILLERY_IMAGE_LIGHT", "DISTILLERY_IMAGE_TORCH"):
        monkeypatch.delenv(name, raising=False)
    assert "--light-image: which image?" in one_line(command("pipelines", "compile", "--out", tmp_path / "compiled"))
    assert "--torch-image: which image?" in one_line(command("pipelines", "compile", "--light-image", "a:1"))
    assert not (tmp_path / "compiled").exists()


def test_history_and_rollback_by_a_digest_of_no_adapter(command: Command, tmp_path: Path) -> None:
    (tmp_path / ".distillery").mkdir()
    assert "no adapter" in one_line(command("history", "0123456789ab"))
    assert "no adapter" in one_line(command("rollback", "0123456789ab"))
    assert "named already" in one_line(command("rollback", "0123456789ab", "--to", "0123456789ab"))


def test_findings_as_json_have_their_hint_under_both_names(command: Command, tmp_path: Path) -> None:
    def narrow(spec: dict[str, Any]) -> None:
        spec["scope"]["outOfScope"] = []

    ran = command("filters", "lint", make_filter(tmp_path / "filter.yaml", narrow), "--json")
    findings = json.loads(ran.out)["findings"]
    assert findings
    assert all(finding["hint"] == finding["mend"] for finding in findings)
