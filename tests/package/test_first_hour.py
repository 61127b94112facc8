"""docs/first-hour.md, typed from top to bottom by somebody with a CSV file and an endpoint of their own."""

from __future__ import annotations

import csv
import json
import random
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from distillery.filters.loading import load_filter
from distillery.filters.prompt import render_prompt
from distillery.filters.verdict import judge
from tests.labeling.oracles import servers
from tests.labeling.oracles.servers import OpenAIServer
from tests.pipelines.harness import KNOWINGLY, Ran, run_distillery, run_here

PAGE = Path(__file__).resolve().parents[2] / "docs" / "first-hour.md"
# Words that each dimension goes by, and others. The endpoint scores by their share, so there is something to learn.
TOPICS = {
    "substance": ("farm", "market", "harvest", "village"),
    "effect": ("school", "river", "council", "orchard"),
    "evidence": ("report", "figure", "study", "survey"),
}
OTHERS = ("road", "summer", "shop", "plan", "ticket", "engine", "stadium", "phone")
WAITS = ("distill", "calibrate")  # their first run ends with a person to be waited for
QUICK = ["--set", "training.precision=fp32"]


def write_news(path: Path) -> None:
    """300 articles under columns of their own; no two are alike."""
    rng = random.Random(5)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["id", "headline", "body", "source"])
        for n in range(300):
            words = [word for topic in TOPICS.values() for word in rng.choices(topic, k=rng.randrange(1, 20))]
            words += [f"{rng.choice(OTHERS)} {rng.randrange(900)}" for _ in range(30)]
            rng.shuffle(words)
            out.writerow([f"n{n}", f"Report {n}", f"{' '.join(words)}.", f"paper-{n % 5}"])


def scores_of(prompt: str) -> dict[str, float]:
    words = re.findall(r"[a-z]+", prompt[prompt.rindex("\n<article>\n") :])
    return {name: min(10.0, sum(word in topic for word in words) / 2) for name, topic in TOPICS.items()}


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that scores articles by their words, and a key for it."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setattr(servers, "reply_text", lambda prompt: json.dumps({"reasoning": "As it says.", **scores_of(prompt)}))


def edit_filter(path: Path, url: str) -> None:
    """What the page says to edit."""
    text, page = path.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    shown = re.search(r"^```yaml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert shown
    oracle, promotion = shown[1].replace("http://localhost:8000/v1", url).split("  promotion:")
    text = re.sub(r"  oracle:\n(    .*\n)+", lambda _: oracle, text)
    text = re.sub(r"  promotion: .*\n", lambda _: f"  promotion:{promotion}", text)
    path.write_text(text, encoding="utf-8")


def soften_gates(path: Path) -> None:
    """Leave gates that a student of scores which follow nothing can meet, and that take a loser knowingly."""
    head, _, rest = path.read_text(encoding="utf-8").partition("  gates:\n")
    tail = rest.partition("  promotion:")[2]
    gates = "".join(f"    - {json.dumps(gate)}\n" for gate in ({"metric": "articles", "atLeast": 3}, *KNOWINGLY))
    path.write_text(f"{head}  gates:\n{gates}  promotion:{tail}", encoding="utf-8")


def mark(folder: Path) -> None:
    """Mark as a person would who agrees with the oracle."""
    flt, marks = load_filter(str(folder / "filters" / "local-food" / "v1" / "filter.yaml")), {}
    with (folder / "news.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scores = scores_of(render_prompt(flt, row["headline"], row["body"]))
            overall = judge(flt, np.array([[scores[name] for name in flt.dimensions]])).overall[0]
            marks[row["id"]] = "on" if overall >= 5 else "off"
    (folder / "marks-Ada.json").write_text(json.dumps(marks), encoding="utf-8")


def plain(line: str) -> str:
    """A line without its numbers, digests and widths."""
    return re.sub(r"\b[0-9a-f]{12}\b|[\d,.]*\d", "#", " ".join(line.split()))


def blocks() -> list[list[str]]:
    """The lines of the page's blocks of commands and of what they print."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [text.splitlines() for language, text in found if not language]


def waiting(folder: Path) -> str:
    found = run_here("get", "adapters", "local-food", "--json", cwd=folder).json["items"]
    (name,) = [row["name"] for row in found if row["state"] == "candidate"]
    return str(name)


def type_page(folder: Path, url: str, *, until: str) -> list[str]:
    """Type the page's commands up to the first `until`; what it shows below them is what they print. Return what was typed."""
    typed, printed, seen = list[str](), "", set[str]()
    for block in blocks():
        lines = [line for line in block if line.startswith("distillery ")]
        if not lines and printed:
            told = {plain(line) for line in printed.splitlines()}
            assert [line for line in block if plain(line) not in told] == [], printed
        printed = ""
        for line in lines:
            words = shlex.split(line)[1:]
            if words[0] == until:
                return typed
            if words[0] == "distill":
                soften_gates(folder / "filters" / "local-food" / "v1" / "filter.yaml")
            if "ADAPTER" in words:
                words[words.index("ADAPTER")] = waiting(folder)
            ran: Ran = (
                run_distillery(*words, *(QUICK if words[0] == "distill" else []), cwd=folder, timeout=900)
                if words[0] in ("distill", "score")
                else run_here(*words, cwd=folder)
            )
            first = words[0] not in seen or "training.epochs=6" in words
            expected = 4 if words[0] in WAITS and first and "--marks" not in words else 0
            assert ran.code == expected, f"{line}\n{ran.out}\n{ran.err}"
            seen.add(words[0])
            typed.append(line)
            printed += f"{ran.out}\n{ran.err}\n"
            if words[:2] == ["filters", "new"]:
                edit_filter(folder / "filters" / "local-food" / "v1" / "filter.yaml", url)
            if line.endswith("--budget 1") and words[0] == "calibrate":
                mark(folder)
    return typed


def test_the_hour_up_to_the_labels(tmp_path: Path) -> None:
    write_news(tmp_path / "news.csv")
    with OpenAIServer() as server:
        typed = type_page(tmp_path, server.url, until="distill")
        assert server.counters.paid == 300
    assert [line.split()[1] for line in typed] == [
        *("filters", "explain", "filters", "plan", "calibrate", "calibrate", "label", "label"),
    ]


@pytest.mark.slow
def test_the_whole_hour(tmp_path: Path) -> None:
    write_news(tmp_path / "news.csv")
    with OpenAIServer() as server:
        typed = type_page(tmp_path, server.url, until="never")
        assert server.counters.paid == 300
    assert [line.split()[1] for line in typed][8:] == [
        *("distill", "report", "get", "approve", "score", "plan", "distill", "approve", "rollback", "history"),
    ]
    moves = run_here("history", "local-food", "--json", cwd=tmp_path).json
    assert [move["action"] for move in moves["history"]] == ["rollback", "promote", "promote"]
    assert moves["history"][0]["adapter"] == moves["history"][2]["adapter"] != moves["history"][1]["adapter"]
    assert moves["pin"]
    assert (tmp_path / "scores" / "_SUCCESS").exists()
