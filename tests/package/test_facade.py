"""`import distillery`: what docs/python.md shows works in its order; tables of any kind; errors that say where."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import distillery
from distillery._rows import as_file, rows_of
from tests.pipelines.harness import label_rows, run_distillery, write_filter, write_rows

ROOT = Path(__file__).resolve().parents[2]


class Ran:
    """The page's blocks, run one after another in one folder, with what each printed."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        write_filter(folder / "small-town.yaml", base)
        write_rows(folder / "labels.jsonl", label_rows(160))
        text = (ROOT / "docs" / "python.md").read_text("utf-8")
        self.blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
        self.names: dict[str, Any] = {}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Iterator[Ran]:
    ran = Ran(tmp_path_factory.mktemp("page"), tiny_encoder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ran.folder)
        for block in ran.blocks:
            exec(compile(block, "docs/python.md", "exec"), ran.names)
        yield ran


def test_the_page_trains_judges_scores_and_reports(page: Ran) -> None:
    names = page.names
    assert len(page.blocks) >= 9
    assert names["verdict"].adapter == names["adapter"].digest == names["same"].digest
    assert names["figures"].n == 16
    assert names["score"].tier in {"high", "low"}
    assert set(names["score"].scores) == {"benefit", "evidence"}
    assert (names["mine"].overall, names["mine"].tier) == (7.0, "high")
    assert "small-town" in (page.folder / "report.html").read_text("utf-8")
    shown = set(re.findall(r"distillery\.(\w+)", "".join(page.blocks)))
    assert set(distillery.__all__) - {"label", "Adapter"} <= shown


def test_a_notebook_shows_the_report_in_a_frame_of_its_own(page: Ran) -> None:
    shown = page.names["report"]._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert shown.count("<iframe") == 1
    assert html.unescape(shown.partition('srcdoc="')[2].rpartition('" style=')[0]) == page.names["report"].html


def test_the_same_labels_as_a_table_are_the_same_adapter(page: Ran) -> None:
    import pyarrow as pa

    names = page.names
    table = pa.Table.from_pylist(names["labels"])
    again = distillery.train(names["store"], names["town"], table)
    assert again.digest == names["adapter"].digest
    assert [record.step for record in again.summary.steps][:5] == ["preflight", "label", "audit", "split", "train"]


def test_commands_find_the_adapter(page: Ran) -> None:
    digest = page.names["adapter"].digest
    ran = run_distillery("score", digest, "labels.jsonl", "--out", "scores", "--json", cwd=page.folder)
    assert ran.code == 0, ran.err
    scored = distillery.score(page.names["adapter"], page.names["labels"])
    tiers = {name: sum(one.tier == name for one in scored) for name in ("high", "low")}
    assert ran.json["tiers"] == tiers


def test_a_benchmark_on_other_labels(page: Ran) -> None:
    assert distillery.benchmark(page.names["adapter"], label_rows(30, seed=9)).n == 30


def test_what_the_prefilter_refuses_has_no_score(page: Ran, tiny_encoder: Path) -> None:
    names = page.names
    picky = write_filter(page.folder / "picky.yaml", tiny_encoder, prefilter={"requireAny": ["solar"]})
    adapter = distillery.Adapter(
        names["store"], distillery.load_filter(str(picky)), names["adapter"].digest, names["adapter"].summary
    )
    refused, kept = distillery.score(adapter, ["Nothing of it.", "A solar farm."])
    assert (refused.overall, refused.tier, refused.scores) == (None, None, {})
    assert refused.prefiltered
    assert kept.prefiltered is None
    assert kept.overall is not None


@pytest.mark.parametrize(
    ("articles", "shown"),
    [
        ("one text", "a str holds no rows"),
        (7, "a int holds no rows"),
        ([3], "row 0: is neither a text nor a mapping but a int"),
        ([{"content": "good"}, {"content": ""}], "article 1: its content is empty"),
    ],
)
def test_what_cannot_be_scored_is_named(articles: Any, shown: str, page: Ran) -> None:
    with pytest.raises(distillery.InputError, match=shown):
        distillery.score(page.names["adapter"], articles)


@pytest.mark.parametrize("scores", [{"benefit": 1}, {"benefit": 1, "evidence": 2, "luck": 3}, {"benefit": "x", "evidence": 2}])
def test_scores_that_are_not_the_filters_are_refused(scores: Any, page: Ran) -> None:
    with pytest.raises(distillery.InputError):
        distillery.judge(page.names["town"], [scores])


def test_rows_of_every_kind_of_table() -> None:
    import numpy as np
    import pyarrow as pa

    class Pandas:
        def to_dict(self, orient: str) -> list[dict[str, Any]]:
            assert orient == "records"
            return [{"content": "a", "title": float("nan"), "score.x": np.float64(1.5), "n": np.int64(2), "ok": np.bool_(True)}]

    class Polars:
        def to_dicts(self) -> list[dict[str, Any]]:
            return [{"content": "a", "title": None}]

    assert rows_of(Pandas()) == [{"content": "a", "score.x": 1.5, "n": 2, "ok": True}]
    assert rows_of(Polars()) == [{"content": "a"}]
    assert rows_of(pa.table({"content": ["a"], "scores": [{"x": 1.0}]})) == [{"content": "a", "scores": {"x": 1.0}}]
    assert rows_of(text for text in ("a", "b")) == [{"content": "a"}, {"content": "b"}]


def test_equal_rows_make_equal_files_and_a_path_stays_one(tmp_path: Path) -> None:
    rows = [{"content": "a", "scores": {"x": 1}}]
    with as_file(rows) as one, as_file(list(rows)) as other:
        assert one != other
        assert Path(one).read_bytes() == Path(other).read_bytes()
        assert json.loads(Path(one).read_text("utf-8")) == rows[0]
    assert not Path(one).exists()
    with as_file(tmp_path / "x.jsonl") as path:
        assert path == str(tmp_path / "x.jsonl")
    with as_file((tmp_path / "a b#.jsonl").as_uri()) as path:
        assert path == str(tmp_path / "a b#.jsonl")
    with as_file("s3://bucket/x.jsonl") as path:
        assert path == "s3://bucket/x.jsonl"


def test_every_name_is_there_and_no_other() -> None:
    assert {name for name in distillery.__all__ if getattr(distillery, name) is None} == set()
    assert set(distillery.__all__) <= set(dir(distillery))
    assert re.fullmatch(r"\d+\.\d+\.\d+", distillery.__version__)
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        distillery.distil  # noqa: B018


def test_importing_it_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import distillery; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("distillery")] == ["distillery"]
    assert not {name.partition(".")[0] for name in done.stdout.split()} - {*sys.stdlib_module_names, "distillery"}
