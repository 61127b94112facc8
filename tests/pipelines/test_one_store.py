"""One store for all commands: as typed, else DISTILLERY_STORE, else the nearest `.distillery`; reading leaves it as it is."""

from __future__ import annotations

import os
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.components.store import Address, open_store
from distillery.components.store.layout import CHANNELS, LABEL_SETS
from distillery.pipelines.cli import options
from distillery.pipelines.cli.options import open_existing, store_uri
from tests.pipelines.harness import label_rows, run_here, write_filter, write_rows
from tests.store.test_stores_of_the_first_layout import ARCHIVE

ADAPTER = "4bbd883ec4ec"
INPUTS = "--articles {folder}/articles.jsonl --set oracle.replies={folder}/replies.jsonl"
READING = {
    "get filters": "village-gain",
    "get runs -o wide": "20261128-202617",
    "get adapters village-gain": ADAPTER,
    "get channels -o json": "production",
    "get calibrations": "PASS",
    "get samples": "NAME",
    "get jobs": "done",
    "describe adapters 4bbd883ec4ec": "gates",
    "describe runs 20261128-202409": "promoted",
    "compare 4bbd883ec4ec 61f4b046e87d": "What is compared",
    "compare --all": "village-gain",
    "history {folder}/filter.yaml": "rollback",
    "history 4bbd883ec4ec --json": "history",
    "report 4bbd883ec4ec --md": "village-gain",
    "report {folder}/filter.yaml --out {out}/report.html": "report.html",
    f"plan {{folder}}/filter.yaml {INPUTS}": "reuse",
    f"label {{folder}}/filter.yaml {INPUTS} --quote": "94",
    "models list": "tiny-bert",
    "gc": "could be removed",
    "predictions 4bbd883ec4ec --out {out}/p.csv": "p.csv",
    "data 4bbd883ec4ec --out {out}/data": "data",
    "export folder 4bbd883ec4ec --out {out}/adapter": "read back",
    "export kserve 4bbd883ec4ec --out {out}/kserve.yaml": "read back",
    "export onnx 4bbd883ec4ec --out {out}/onnx": "read back",
    "review 4bbd883ec4ec --out {out}/review.html": "review.html",
    "benchmark 4bbd883ec4ec --labels {folder}/labels.jsonl --max-rejects 1": "mae",
    "score 4bbd883ec4ec {folder}/articles.jsonl --out {out}/scores": "articles",
}
CHANGING = (
    "approve sustainability-technology 4bbd883ec4ec --reason x",
    "promote 4bbd883ec4ec --to production --reason x",
    "rollback sustainability-technology --reason x",
    "unpin sustainability-technology",
    "measure 4bbd883ec4ec",
)
TOLERANT = ("plan", "label")  # they say what would be done, also before anything was


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store `.distillery`, and the inputs of its runs."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(folder, filter="data")
    (folder / "store").rename(folder / ".distillery")
    (folder / "deep" / "down").mkdir(parents=True)
    return folder


@pytest.fixture(autouse=True)
def none_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DISTILLERY_STORE", "DISTILLERY_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISTILLERY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def locked(unpacked: Path) -> Iterator[Path]:
    """The folder, its store without permission to write."""
    folders = [unpacked / ".distillery", *(path for path in (unpacked / ".distillery").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield unpacked
    for folder in folders:
        folder.chmod(0o755)


def state(store: Path) -> dict[str, int]:
    """Every file and folder, hidden ones, too; a file that was made and removed moves the time of its folder."""
    return {str(path): path.stat().st_mtime_ns for path in (store, *store.rglob("*"))}


def typed(line: str, folder: Path, out: Path) -> list[str]:
    return shlex.split(line.format(folder=folder, out=out))


# ---- which one ------------------------------------------------------------------------------------------------------


def test_what_is_typed_comes_before_the_variable_and_that_before_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert store_uri() == str(Address("file", "", str(below / ".distillery"))), "none anywhere: it is made here"
    (tmp_path / ".distillery").mkdir()
    assert store_uri() == f"file://{tmp_path}/.distillery"
    (tmp_path / "a" / ".distillery").mkdir()
    assert store_uri() == f"file://{tmp_path}/a/.distillery"
    (below / ".distillery").write_text("a file is no store", "utf-8")
    assert store_uri() == f"file://{tmp_path}/a/.distillery"
    monkeypatch.setenv("DISTILLERY_STORE", "s3://bucket/prefix")
    assert store_uri() == "s3://bucket/prefix"
    assert store_uri("typed") == f"file://{below}/typed"
    monkeypatch.setenv("DISTILLERY_STORE", "")
    assert store_uri() == f"file://{tmp_path}/a/.distillery"


def test_a_store_above_that_is_somebody_elses_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "shared" / "mine"
    below.mkdir(parents=True)
    (tmp_path / "shared" / ".distillery").mkdir()
    monkeypatch.chdir(below)
    theirs = (tmp_path / "shared" / ".distillery").stat().st_uid + 1
    real = os.stat

    def stat(path: object, *args: object, **more: object) -> os.stat_result:
        found = real(path, *args, **more)  # type: ignore[call-overload]
        if str(path).endswith(".distillery"):
            return os.stat_result([*found[:4], theirs, *found[5:10]])
        return found  # type: ignore[no-any-return]

    assert store_uri() == f"file://{tmp_path}/shared/.distillery"
    monkeypatch.setattr(options.os, "stat", stat)
    assert store_uri() == f"file://{below}/.distillery"
    assert store_uri("../.distillery") == f"file://{below}/../.distillery", "whoever names it may have it"


# ---- commands that read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", READING)
def test_what_reads_finds_the_store_above_and_leaves_it_as_it_is(line: str, locked: Path, tmp_path: Path) -> None:
    before = state(locked / ".distillery")
    ran = run_here(*typed(line, locked, tmp_path), cwd=locked / "deep" / "down")
    assert ran.code == 0, ran.err
    assert READING[line] in ran.out
    assert state(locked / ".distillery") == before
    assert list((locked / "deep" / "down").iterdir()) == []


@pytest.mark.parametrize("line", [line for line in READING if line.split()[0] not in TOLERANT])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_reads_says_that_there_is_none_and_makes_none(line: str, form: list[str], unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = run_here(*typed(line, unpacked, tmp_path), *form, cwd=tmp_path / "empty")
    assert ran.code == 2
    said = [text for text in ran.err.splitlines() if text.startswith("error: ")]
    assert said == [
        f"error: no store at {tmp_path}/empty/.distillery, nor above; --store or DISTILLERY_STORE names one; "
        "`distillery distill` makes one"
    ]
    assert list((tmp_path / "empty").iterdir()) == []
    if form or "-o json" in line:
        assert ran.json["error"]["code"] == 2


@pytest.mark.parametrize("line", CHANGING)
def test_what_changes_a_store_makes_none(line: str, tmp_path: Path) -> None:
    ran = run_here(*line.split(), cwd=tmp_path)
    assert (ran.code, list(tmp_path.iterdir())) == (2, [])
    assert f"no store at {tmp_path}/.distillery, nor above" in ran.err


@pytest.mark.parametrize("way", ["typed", "variable"])
def test_a_store_that_was_named_and_is_not_there_is_said_by_that_name(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".distillery").mkdir()  # not what was named
    more = ["--store", "nowhere"] if way == "typed" else []
    if not more:
        monkeypatch.setenv("DISTILLERY_STORE", str(tmp_path / "nowhere"))
    for line in ("get runs", "history uplifting", "models list"):
        ran = run_here(*line.split(), *more, cwd=tmp_path)
        assert ran.code == 2
        assert f"error: no store at {tmp_path}/nowhere; check " + ("--store" if more else "DISTILLERY_STORE") in ran.err


@pytest.mark.parametrize(
    "line",
    [
        "get runs",
        "history uplifting",
        "models list",
        "report uplifting --md",
        "score uplifting x.jsonl --out scores",
        "score 00000000 x.jsonl --out scores",
        "describe runs x",
        "rollback uplifting --reason x",
        "approve uplifting 00000000 --reason x --as me",
        "approve uplifting --reason x --as me",
        "refuse uplifting 00000000 --reason x --as me",
        "logs 2024",
        "benchmark uplifting --labels x.jsonl",
        "measure uplifting",
    ],
)
def test_who_finds_nothing_says_where_it_looked(line: str, tmp_path: Path) -> None:
    (tmp_path / ".distillery").mkdir()
    (tmp_path / "below").mkdir()
    ran = run_here(*line.split(), cwd=tmp_path / "below")
    assert f"{tmp_path}/.distillery" in ran.out + ran.err


def test_what_cannot_be_looked_at_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)
    assert open_existing(str(tmp_path / "hidden")).uri == f"file://{tmp_path}/hidden"  # and its reader says what is wrong


# ---- commands that write --------------------------------------------------------------------------------------------


def test_what_writes_makes_a_store_here_and_uses_it_from_below(tmp_path: Path) -> None:
    write_filter(tmp_path / "filter.yaml", tmp_path / "base")
    write_rows(tmp_path / "labels.jsonl", label_rows(20))
    ran = run_here("labels", "import", "filter.yaml", "labels.jsonl", "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    (tmp_path / "below").mkdir()
    again = run_here("labels", "import", "../filter.yaml", "../labels.jsonl", "--json", cwd=tmp_path / "below")
    assert (again.json["label"]["label_set"], again.json["label"]["reused"]) == (ran.json["label"]["label_set"], True)
    assert list((tmp_path / "below").iterdir()) == []
    assert list(open_store(str(tmp_path / ".distillery")).folders(LABEL_SETS)) == [ran.json["label"]["label_set"]]


def test_a_plan_and_a_quote_need_no_store_and_make_none(unpacked: Path, tmp_path: Path) -> None:
    for line in READING:
        if line.startswith(TOLERANT):
            ran = run_here(*typed(line, unpacked, tmp_path), cwd=tmp_path)
            assert ran.code == 0, ran.err
            assert list(tmp_path.iterdir()) == []
            assert line.startswith("label") or f"no store at {tmp_path}/.distillery yet" in ran.out


def test_a_run_that_is_refused_makes_no_store(tmp_path: Path) -> None:
    for words in (["nosuch", "--labels", "x"], ["uplifting", "--labels", "nowhere.jsonl"], ["uplifting"]):
        assert run_here("distill", *words, cwd=tmp_path).code == 2
        assert list(tmp_path.iterdir()) == []


def test_an_approval_uses_the_store_above(unpacked: Path, tmp_path: Path) -> None:
    shutil.copytree(unpacked, tmp_path / "work")
    below = tmp_path / "work" / "deep" / "down"
    ran = run_here("unpin", ADAPTER, cwd=below)
    assert (ran.code, "is not pinned" in ran.out) == (0, True)
    ran = run_here("rollback", "../../filter.yaml", "--to", "fd203044ac4e", "--reason", "so it is", cwd=below)
    assert ran.code == 0, ran.err
    assert list(open_store(str(tmp_path / "work" / ".distillery")).keys(CHANNELS))
    assert list(below.iterdir()) == []
