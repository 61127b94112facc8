"""docs/scoring.md, typed from top to bottom in a store that has a promoted adapter."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from tests.pipelines.harness import run_here
from tests.pipelines.test_documented_commands import ROOT, commands
from tests.store.test_stores_of_the_first_layout import ARCHIVE

ADAPTER = "4bbd883ec4ec"  # stands for my-filter


def test_every_command_of_the_page(tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(tmp_path / "old", filter="data")
    (tmp_path / "old" / "store").rename(tmp_path / ".distillery")
    (tmp_path / "incoming").mkdir()
    lines = (tmp_path / "old" / "articles.jsonl").read_text("utf-8").splitlines()
    (tmp_path / "incoming" / "monday.jsonl").write_text("\n".join(lines[:20]), "utf-8")
    store = tmp_path / ".distillery"
    for kind in ("adapters", "channels"):
        shutil.copytree(store / kind / "village-gain", store / kind / "second")
    text = (tmp_path / "old" / "filter.yaml").read_text("utf-8").replace("village-gain", "second")
    (tmp_path / "second.yaml").write_text(text, "utf-8")
    named = {"my-filter": ADAPTER, "my-second-filter": "second.yaml"}
    typed = commands((ROOT / "docs" / "scoring.md").read_text("utf-8"))
    assert len(typed) >= 3
    for line in typed:
        ran = run_here(*(named.get(word, word) for word in line), cwd=tmp_path)
        assert ran.code == 0, f"{line}\n{ran.out}\n{ran.err}"
    (tmp_path / "incoming" / "tuesday.jsonl").write_text("\n".join(lines[20:25]), "utf-8")
    found = run_here("score", ADAPTER, "incoming", "--out", "growing", "--new-only", "--json", cwd=tmp_path).json
    assert (found["new"], found["articles"], len(found["parts"]), found["passes"][0]["number"]) == (1, 5, 1, 2)
    again = run_here("score", ADAPTER, "incoming", "--out", "growing", "--new-only", cwd=tmp_path)
    assert again.out.startswith("no file is new\nscores: file://")
