"""Whatever pays an oracle says first what it costs, and asks in a terminal: real ones, and a service of our own that bills."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labeling.oracles.servers import OpenAIServer
from tests.pipelines.harness import run_distillery, typed_in_a_terminal, write_filter

PRICE = {"input": 1.0, "output": 2.0}
ASKED = "Go on? [y/N]"
COMMON = ("filter.yaml", "--articles", "articles.jsonl")
SPENDERS = {
    "label": ("label", *COMMON, "--without-calibration", "a test"),
    "distill": ("distill", *COMMON, "--without-calibration", "a test"),
    "calibrate": ("calibrate", *COMMON, "--n", "10"),
    **{step: (step, *COMMON) for step in ("audit", "split", "train", "gate")},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, tiny_encoder: Path, server: OpenAIServer) -> Path:
    """A folder with a filter whose oracle is the server, and 25 articles."""
    oracle = {"provider": "openai", "model": "house-llm", "baseUrl": server.url, "price": PRICE, "maxOutputTokens": 64}
    write_filter(tmp_path / "filter.yaml", tiny_encoder, oracle=oracle)
    rows = ({"id": f"a{i}", "title": f"Pump {i}", "content": f"Pump number {i} heats {7 * i} homes."} for i in range(25))
    (tmp_path / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", SPENDERS)
def test_a_person_in_a_terminal_says_no_and_nothing_is_asked(command: str, folder: Path, server: OpenAIServer) -> None:
    ran = typed_in_a_terminal(folder, *SPENDERS[command], answers="n\n")
    assert "house-llm: at most 2" in ran.out, ran.out
    assert "about $0.0" in ran.out
    assert ASKED in ran.out
    assert "nothing was asked and nothing was spent; answer y, or give --yes" in ran.out
    assert (ran.code, server.counters.calls) == (1, 0)


@pytest.mark.parametrize("command", ["label", "distill", "calibrate", "audit"])
@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("\x04", 1), ("\n", 1), ("maybe\n", 1)])
def test_whatever_is_no_yes_asks_nothing_and_leaves_nothing(
    command: str, key: str, code: int, folder: Path, server: OpenAIServer
) -> None:
    before = sorted(folder.iterdir())
    ran = typed_in_a_terminal(folder, *SPENDERS[command], answers=key, after=ASKED)
    assert (ran.code, server.counters.calls) == (code, 0), ran.out
    assert "Traceback" not in ran.out
    assert [path for path in sorted(folder.iterdir()) if path.name != ".distillery"] == before


@pytest.mark.parametrize("command", ["label", "audit"])
def test_yes_typed_or_given_goes_on_and_what_is_labelled_is_not_asked_about_again(
    command: str, folder: Path, server: OpenAIServer
) -> None:
    ran = typed_in_a_terminal(folder, *SPENDERS[command], answers="y\n")
    assert server.counters.paid == 25, ran.out
    assert "house-llm: at most 25 labels, about $0.0" in ran.out
    again = typed_in_a_terminal(folder, *SPENDERS[command], answers="")
    assert (ASKED in again.out, server.counters.paid) == (False, 25), again.out
    with open(folder / "articles.jsonl", "a", encoding="utf-8") as more:
        more.write(json.dumps({"id": "new", "title": "Another", "content": "A dam opens."}) + "\n")
    given = typed_in_a_terminal(folder, *SPENDERS[command], "--yes", answers="")
    assert "house-llm: at most 1 labels" in given.out
    assert (ASKED in given.out, server.counters.paid) == (False, 26), given.out


def test_without_a_terminal_it_is_said_and_not_asked(folder: Path, server: OpenAIServer) -> None:
    ran = run_distillery(*SPENDERS["label"], "--budget", "1", "--json", cwd=folder)
    assert (ran.code, server.counters.paid) == (0, 25), ran.err
    assert "house-llm: at most 25 labels, about $0.0" in ran.err
    assert "never more than $1, earlier labels included" in ran.err
    assert ASKED not in ran.err
    assert ran.json["labeled"] == 25


def test_a_model_without_a_price_is_asked_about_by_the_number_of_labels(folder: Path, server: OpenAIServer) -> None:
    unheard = (*SPENDERS["label"], "--set", "oracle.model=unheard-of")
    ran = typed_in_a_terminal(folder, *unheard, answers="n\n")
    assert "unheard-of: at most 25 labels, no price is known, so no money is counted" in ran.out
    (folder / "prices.yaml").write_text("models: {unheard-of: {input: 1000, output: 2000}}", encoding="utf-8")
    dear = typed_in_a_terminal(folder, *unheard, "--prices", "prices.yaml", answers="n\n")
    assert re.search(r"unheard-of: at most 25 labels, about \$\d+", dear.out), dear.out
    assert server.counters.calls == 0


def test_recorded_replies_and_labels_that_exist_cost_nothing_and_nothing_is_asked(folder: Path, tiny_encoder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "articles.jsonl").read_text().splitlines()]
    replies = [{"id": row["id"], "reply": json.dumps({"benefit": n % 9, "evidence": 4})} for n, row in enumerate(rows)]
    (folder / "replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies), encoding="utf-8")
    oracle = {"model": "recorded", "replies": str(folder / "replies.jsonl")}
    write_filter(folder / "filter.yaml", tiny_encoder, oracle=oracle)
    ran = typed_in_a_terminal(folder, *SPENDERS["label"], "--out", "labels.jsonl", answers="")
    assert (ran.code, ASKED in ran.out) == (0, False), ran.out
    ran = typed_in_a_terminal(folder, "label", "filter.yaml", "--labels", "labels.jsonl", answers="")
    assert (ran.code, ASKED in ran.out) == (0, False), ran.out


def test_a_second_oracle_has_its_own_price_in_the_users_file(folder: Path, server: OpenAIServer) -> None:
    prices = "models: {house-llm: {input: 100, output: 200}, other-llm: {input: 10000, output: 20000}}"
    (folder / "prices.yaml").write_text(prices, encoding="utf-8")
    noise = ("noise", *COMMON, "--n", "10", "--repeat", "2", "--second-oracle", "openai:other-llm", "--prices", "prices.yaml")
    said = typed_in_a_terminal(folder, *noise, answers="n\n").out
    costs = {model: float(usd) for model, usd in re.findall(r"(\S+-llm): at most \d+ labels, about \$([\d,]+\.\d+)", said)}
    assert costs["other-llm"] == pytest.approx(50 * costs["house-llm"], rel=0.01), said  # half as many labels
    assert "house-llm: at most 20 labels" in said
    assert server.counters.calls == 0
    (folder / "prices.yaml").write_text("models: {house-llm: {input: 100, output: 200}}", encoding="utf-8")
    ran = run_distillery(*noise, "--budget", "1", cwd=folder)
    assert (ran.code, "no price is known for other-llm" in ran.err) == (2, True), ran.err
    assert server.counters.calls == 0
