"""The wheel: real files under one import name, and commands that work in a folder with packages called as ours."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from tests.package.test_extras import BASE, INSTALLED, distributions
from tests.package.wheel import ROOT, build, copy_of_checkout, hostile, install, run_installed
from tests.pipelines.harness import Ran, label_rows, write_filter, write_rows

pytestmark = pytest.mark.timeout(600)


class Built(NamedTuple):
    wheel: Path
    sdist: Path
    bin: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Built:
    """Built and installed once, by whichever worker asks first."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = shared / "wheel"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            (folder / "checkout").mkdir(parents=True)
            wheel, _ = build(copy_of_checkout(folder / "checkout"), folder / "dist")
            declared = {module for module in INSTALLED if distributions(module) & BASE}
            install(wheel, folder / "venv", {*sys.stdlib_module_names, *declared, "distillery"})
            (folder / "done").touch()
    return Built(next(folder.glob("dist/*.whl")), next(folder.glob("dist/*.tar.gz")), folder / "venv" / "bin")


def product() -> set[str]:
    folders = ("components", "filters", "pipelines")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {f"distillery/{path.relative_to(ROOT)}" for path in files if path.suffix == ".py"}


def test_the_wheel_has_one_top_level_package_with_every_module(built: Built) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"distillery"}
    assert product() - names == set()
    assert {"distillery/py.typed", "distillery/filters/schema.json", "distillery/filters/profiles/laptop.yaml"} <= names


CARRIED = ("manifests", "images", "docs")


def carried() -> set[str]:
    """What git has of the folders that no code is in, so that nothing generated is in the wheel."""
    listed = subprocess.run(["git", "ls-files", "-z", *CARRIED], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name}


def test_the_wheel_carries_what_a_cluster_needs(built: Built, tmp_path: Path) -> None:
    names = {name.removeprefix("distillery/") for name in zipfile.ZipFile(built.wheel).namelist()}
    assert {name for name in names if name.startswith(CARRIED)} == carried()
    ran = run_installed(built.bin, "pipelines", "files", "--out", "mine", cwd=tmp_path)
    assert ran.code == 0, ran.err
    copied = {path.relative_to(tmp_path / "mine").as_posix() for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    assert copied == carried()
    kept = (tmp_path / "mine/docs/cluster.md").stat().st_mtime_ns
    again = run_installed(built.bin, "pipelines", "files", "--out", "mine", cwd=tmp_path)
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "is there already" in again.err
    assert (tmp_path / "mine/docs/cluster.md").stat().st_mtime_ns == kept


def test_the_sdist_has_the_same_as_files_and_not_as_links(built: Built) -> None:
    with tarfile.open(built.sdist) as tar:
        members = {member.name.partition("/")[2]: member for member in tar.getmembers()}
    assert [name for name, member in members.items() if member.issym() or member.islnk()] == []
    assert product() - set(members) == set()
    assert {"components", "filters", "pipelines", *CARRIED} & {name.partition("/")[0] for name in members} == set()


def test_demo_distill_score_and_report_in_a_folder_with_packages_called_as_ours(
    built: Built, tmp_path: Path, tiny_encoder: Path
) -> None:
    folder = hostile(tmp_path / "work")
    write_filter(folder / "small-town.yaml", tiny_encoder)
    write_rows(folder / "labels.jsonl", label_rows(160))

    def run(*arguments: str | Path) -> Ran:
        ran = run_installed(built.bin, *arguments, cwd=folder)
        assert ran.code == 0, f"{arguments}\n{ran.out}\n{ran.err}"
        return ran

    run("demo", "--out", "demo")
    assert (folder / "demo" / "articles.jsonl").stat().st_size > 100_000
    result = run("distill", "small-town.yaml", "--labels", "labels.jsonl", "--json").json
    assert result["verdict"] == "promote"
    run("score", "small-town.yaml", "labels.jsonl", "--out", "scores")
    assert (folder / "scores" / "_SUCCESS").exists()
    run("report", "small-town.yaml", "--out", "report.html")
    assert "small-town" in (folder / "report.html").read_text("utf-8")


@pytest.fixture
def bare(built: Built, tmp_path: Path, tiny_encoder: Path) -> Callable[..., Ran]:
    """The command without any extra, in a folder with packages called as ours and some labels."""
    folder = hostile(tmp_path / "work")
    write_filter(folder / "small-town.yaml", tiny_encoder)
    write_rows(folder / "labels.jsonl", label_rows(20))
    (folder / ".distillery").mkdir()
    return lambda *arguments: run_installed(built.bin, *arguments, cwd=folder, bare=True)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("demo --out demo", "articles"),
        ("filters lint uplifting", "'.[light]'"),
        ("filters show uplifting --profile laptop", "baseModel"),
        ("filters prompt uplifting", "The article's title"),
        ("filters new my-filter", "next: edit it"),
        ("filters diff uplifting investment-risk", "spec"),
        ("plan small-town.yaml --labels labels.jsonl", "would run: label"),
        ("history uplifting", "nothing was promoted"),
        ("models list --store .distillery", "no base models"),
        ("--version", "distillery"),
    ],
)
def test_without_an_extra_it_works(line: str, shown: str, bare: Callable[..., Ran]) -> None:
    ran = bare(*line.split())
    assert (ran.code, ran.err) == (0, "")
    assert shown in ran.out


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("labels import small-town.yaml labels.jsonl", "light"),
        ("label small-town.yaml --articles labels.jsonl", "light"),
        ("select small-town.yaml --articles labels.jsonl --n 5", "light"),
        ("calibrate small-town.yaml --articles labels.jsonl", "light"),
        ("noise small-town.yaml --articles labels.jsonl", "light"),
        ("audit small-town.yaml --labels labels.jsonl", "light"),
        ("split small-town.yaml --labels labels.jsonl", "light"),
        ("train small-town.yaml --labels labels.jsonl", "torch"),
        ("gate small-town.yaml --labels labels.jsonl", "torch"),
        ("distill small-town.yaml --labels labels.jsonl", "torch"),
        ("score small-town.yaml labels.jsonl --out scores", "torch"),
        ("benchmark small-town.yaml --labels labels.jsonl", "torch"),
    ],
)
def test_without_an_extra_it_names_the_one_to_install(line: str, extra: str, bare: Callable[..., Ran]) -> None:
    ran = bare(*line.split())
    assert ran.code == 2, ran.err
    assert ran.err.count("\n") == 1
    assert f"pip install '.[{extra}]'" in ran.err
