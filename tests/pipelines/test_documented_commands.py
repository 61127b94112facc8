"""Every command in the README runs, in its order, as a newcomer would type it; `make run` does its job on a smaller corpus.

Trainings are cut short with `--set`; nothing else is added to what the page says.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.pipelines.harness import KNOWINGLY, filter_document, label_rows, run_distillery, run_here, write_rows

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--set", "training.epochs=1", "--set", "training.learningRate=0.003", "--set", "training.precision=fp32"]


CLUSTER = {"models", "pipelines", "submit"}  # run by tests/cluster, from docs/cluster.md


def commands(text: str) -> list[list[str]]:
    """The `distillery` command lines of a page's code blocks, comments cut off."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("distillery ")]


def lenient(path: Path) -> None:
    """What "edit it" means here: gates that a student of sixty articles can meet, and that take a loser knowingly."""
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition("  gates:\n")
    _, _, tail = rest.partition("  promotion:")
    gates = "".join(f"    - {json.dumps(gate)}\n" for gate in ({"metric": "articles", "atLeast": 3}, *KNOWINGLY))
    path.write_text(f"{head}  gates:\n{gates}  promotion:{tail}", encoding="utf-8")


@pytest.mark.timeout(600)
def test_every_command_of_the_readme(tmp_path: Path) -> None:
    rows = [
        {
            **row,
            "scores": {
                "substance": row["scores"]["benefit"],
                "effect": row["scores"]["evidence"],
                "evidence": row["scores"]["benefit"],
            },
        }
        for row in label_rows(90)
    ]
    write_rows(tmp_path / "labels.jsonl", rows)
    write_rows(tmp_path / "others.jsonl", rows[:20])
    write_rows(
        tmp_path / "articles.jsonl", [{key: value for key, value in row.items() if key != "scores"} for row in rows[:20]]
    )
    feed = "".join(f"Headline {number};{row['content']}\n" for number, row in enumerate(rows[:20]))
    (tmp_path / "feed.csv").write_text(f"headline;body\n{feed}", encoding="utf-8")
    typed = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"distill", "plan", "score", "benchmark", "report", "history", "rollback", "filters"} <= {line[0] for line in typed}
    shown = commands((ROOT / "docs" / "cluster.md").read_text(encoding="utf-8"))
    assert [line for line in typed if line[0] in CLUSTER and line not in shown] == []
    for line in typed:
        if line[0] in CLUSTER:
            continue
        more = QUICK if line[0] in {"distill", "plan"} else []
        if line[0] == "rollback":
            again = [
                "distill",
                "my-filter",
                "--labels",
                "labels.jsonl",
                "--profile",
                "laptop",
                *QUICK,
                "--set",
                "training.epochs=3",
            ]
            assert run_distillery(*again, cwd=tmp_path).code == 0
        ran = run_distillery(*line, *more, cwd=tmp_path)
        assert ran.code == 0, f"distillery {shlex.join(line)}\n{ran.out}\n{ran.err}"
        if line[:2] == ["filters", "new"]:
            lenient(tmp_path / "filters" / "my-filter" / "v1" / "filter.yaml")
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert (tmp_path / "scores" / "_SUCCESS").exists()


def test_every_command_of_the_page_on_choosing(tmp_path: Path, tiny_encoder: Path) -> None:
    page = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    (candidates,) = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "candidates.yaml").write_text(candidates, encoding="utf-8")
    write_rows(tmp_path / "labels.jsonl", label_rows(60))
    flt = {**filter_document(tiny_encoder, gates=[{"metric": "articles", "atLeast": 3}, *KNOWINGLY])}
    flt["metadata"] = {"name": "my-filter"}
    path = tmp_path / "filters" / "my-filter" / "v1" / "filter.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(flt), encoding="utf-8")
    typed = commands(page)
    assert [line[0] for line in typed] == ["select-student", "select-student", "compare"]
    for line in typed:
        ran = run_here(*line, cwd=tmp_path)
        assert ran.code == 0, f"distillery {shlex.join(line)}\n{ran.out}\n{ran.err}"
    assert "Error against memory" in (tmp_path / "selection.html").read_text(encoding="utf-8")
    shown = run_here(*typed[0], "--json", cwd=tmp_path)
    assert shown.json is not None
    assert {row["name"] for row in shown.json["candidates"]} == {"as it is", "another seed", "higher rank", "longer"}
    first, second = (row["adapter"] for row in shown.json["candidates"][:2])
    assert run_here("compare", first, second, cwd=tmp_path).code == 2  # only the chosen one was judged on the test part


def recipe(target: str) -> list[list[str]]:
    """The `distillery` lines of a Makefile target."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, flags=re.MULTILINE)
    assert found
    return [shlex.split(line)[1:] for line in found[1].splitlines() if "$(BIN)/distillery" in line]


def agents_commands(folder: Path, verdict: int) -> None:
    """What AGENTS.md types, after `make run`: one JSON document each, with the keys that its table promises."""
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, flags=re.MULTILINE))
    corpus = (folder / ".demo" / "articles.jsonl").read_bytes()
    for line in commands(text):
        name = (
            "label --quote" if "--quote" in line else " ".join(word for word in line[:2] if not re.search("sustain|[.]", word))
        )
        ran = run_distillery(*line, *(QUICK if line[0] in {"distill", "plan"} else []), cwd=folder)
        if line[0] == "demo":
            (folder / ".demo" / "articles.jsonl").write_bytes(corpus)
            continue
        assert ran.code == (verdict if line[0] == "distill" else 0), f"distillery {shlex.join(line)}\n{ran.err}"
        shown = ran.out
        assert shown
        assert ran.json is not None
        promised = re.findall(r"`(\w+)`", table[name])
        empty = (
            name == "filters lint" and '"findings": []' in shown
        ) or '"history": []' in shown  # nothing found, nothing promoted
        assert empty or [key for key in promised if f'"{key}":' not in shown] == [], name


@pytest.mark.timeout(600)
def test_make_run_ends_with_a_verdict_and_where_to_look(tmp_path: Path) -> None:
    demo, distill = recipe("run")
    assert run_distillery(*demo, cwd=tmp_path).code == 0
    corpus = tmp_path / ".demo" / "articles.jsonl"
    corpus.write_text("".join(corpus.read_text("utf-8").splitlines(keepends=True)[:220]), encoding="utf-8")
    first = run_distillery(*distill, *QUICK, cwd=tmp_path)
    assert first.code in {0, 3}, first.err  # a student of 180 articles need not pass the gates
    assert "report" in first.out
    again = run_distillery(*distill, *QUICK, "--json", cwd=tmp_path)
    assert again.code == first.code
    redone = {step for step, found in again.json["steps"].items() if not found["reused"]}
    assert redone <= {"preflight", "promote", "reject", "report"}
    assert set(again.json["gates"][0]) >= {"metric", "value", "verdict", "reason"}
    agents_commands(tmp_path, first.code)
    shutil.rmtree(tmp_path / ".distillery")
