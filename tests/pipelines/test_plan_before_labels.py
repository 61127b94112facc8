"""What `distillery plan` says of articles that are still to be labelled: calibration, and what the labels will cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.rubric_calibration import FREE, oracle_digest
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.preflight.request import RunRequest
from distillery.components.store import Store, open_store
from distillery.components.store.layout import calibration_key
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from distillery.pipelines.cluster.submit import prepare
from distillery.pipelines.estimates import Work
from distillery.pipelines.plan import Planned, _calibration, _price_labels
from tests.artifacts.made import made_calibration
from tests.labeling.conftest import FILTER
from tests.labeling.oracles.servers import OpenAIServer

PLAIN = "provider: openai, model: gpt-4o-mini"


def paid(oracle: str = PLAIN) -> Filter:
    return load_filter_text(FILTER.replace("model: recorded", oracle), "demo.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    path = tmp_path / "articles.jsonl"
    rows = [{"id": f"a{n}", "title": f"Pump {n}", "content": f"Pump {n} heats a house. " * 40} for n in range(50)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def judged(store: Store, flt: Filter, **fields: Any) -> None:
    rubric, by = rubric_digest(flt), oracle_digest(oracle_identity(flt))
    document = made_calibration(filter=flt.name, rubric=rubric, oracle=by, **fields)
    document.put(store, calibration_key(flt.name, rubric, by))


def planned(store: Store, flt: Filter, marks: str = "", waived: str = "") -> tuple[str, str]:
    found: Planned = _calibration(store, flt, marks, waived)
    return found.action, "; ".join(found.why)


def test_calibration_runs_with_a_reason_is_reused_or_skipped(store: Store) -> None:
    flt = paid()
    action, why = planned(store, flt)
    assert action == "run"
    assert "not calibrated with this oracle yet; without --marks it can't pass" in why
    assert planned(store, flt, marks="reference") == ("run", "this rubric is not calibrated with this oracle yet")
    assert planned(store, flt, waived="in a hurry") == ("skip", "waived: in a hurry")
    judged(store, flt, verdict="FAIL")
    assert planned(store, flt, marks="reference") == ("run", "says FAIL")
    judged(store, flt, verdict="PASS")
    assert planned(store, flt) == ("reuse", "")


def test_recorded_replies_need_none(store: Store, tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_text('{"id": "a1", "reply": "x"}\n')
    flt = load_filter_text(FILTER.replace("recorded,", f"recorded, replies: '{tmp_path / 'replies.jsonl'}',"), "demo.yaml")
    assert planned(store, flt) == ("skip", FREE)
    assert planned(store, flt, marks="reference")[0] == "run"


def test_what_the_labels_will_cost(store: Store, articles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cost(flt: Filter) -> str:
        planned = Planned("label", "run")
        _price_labels(planned, Work(flt), store, str(articles), articles)
        return planned.cost

    def dollars(oracle: str) -> float:
        return float(cost(paid(oracle)).split("$")[1].split()[0])

    assert cost(paid()) == "about $0.01 for 50 articles"
    unknown = "paid calls: `distillery label --quote` says how many dollars"
    assert cost(paid("provider: openai, model: unheard-of")) == unknown
    online = dollars("provider: vertex, model: gemini-2.5-pro, project: p")
    batch = dollars("provider: vertex-batch, model: gemini-2.5-pro, project: p, batchPrefix: 'gs://bucket/folder'")
    own = "price: {input: 1.25, output: 10"
    assert dollars(f"provider: openai-batch, model: house-llm, {own}, batch: 0.5}}") == pytest.approx(batch, abs=0.02)
    assert dollars(f"provider: openai-batch, model: house-llm, {own}}}") == pytest.approx(2 * batch, abs=0.02), "no discount"
    assert batch == pytest.approx(online / 2, abs=0.006)
    monkeypatch.setattr("distillery.pipelines.plan.QUOTED", 100)
    assert cost(paid()) == unknown


def test_the_command_takes_the_flags_of_distill(
    distillery: Callable[..., Any], store: Store, articles: Path, tmp_path: Path
) -> None:
    (tmp_path / "filter.yaml").write_text(FILTER.replace("model: recorded", PLAIN), encoding="utf-8")
    given = ["filter.yaml", "--articles", articles, "--without-calibration", "a test", "--budget", "5"]
    ran = distillery("plan", *given)
    assert ran.code in (0, 2), ran.err
    if ran.code == 2:  # the tiny base model is nowhere: said before anything is planned
        assert "baseModel" in ran.err
    assert distillery("plan", *given[:-1], "0").code == 2
    assert "leave it out for no limit" in distillery("distill", *given[:-1], "0").err


def test_a_base_model_of_the_hub_is_not_fetched_to_plan(
    distillery: Callable[..., Any], labels_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    text = FILTER.replace("tiny/base", "somebody/some-model")
    (tmp_path / "filter.yaml").write_text(text, encoding="utf-8")
    rows = [json.loads(line) for line in labels_file.read_text(encoding="utf-8").splitlines()]
    scored = [{**row, "scores": dict.fromkeys(("readiness", "benefit"), 4 + n % 3)} for n, row in enumerate(rows)]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scored), encoding="utf-8")
    given = ("filter.yaml", "--labels", "labels.jsonl", "--json")
    assert distillery("split", *given).code == 0
    ran = distillery("plan", *given)
    assert ran.code == 0, ran.err
    steps = {step["step"]: step for step in ran.json["steps"]}
    assert (steps["split"]["action"], steps["train"]["action"]) == ("reuse", "run")
    assert "was not fetched from the model hub yet" in steps["train"]["why"][0]
    assert steps["benchmark"]["why"] == ["follows train"]


def test_a_budget_that_no_price_could_keep_is_refused_before_anything_is_started(
    distillery: Callable[..., Any], articles: Path, tmp_path: Path, tiny_encoder: Path
) -> None:
    text = FILTER.replace("model: recorded", "provider: openai, model: unheard-of").replace("tiny/base", str(tiny_encoder))
    (tmp_path / "filter.yaml").write_text(text, encoding="utf-8")
    given = ["filter.yaml", "--articles", articles, "--without-calibration", "a test", "--budget", "5"]
    for command in ("distill", "plan"):
        ran = distillery(command, *given)
        assert ran.code == 2
        assert "no price is known for unheard-of" in ran.err
        assert "oracle.price" in ran.err
    priced = distillery("plan", *given, "--set", "oracle.price={input: 1, output: 2}", "--json")
    assert priced.code == 0, priced.err
    assert "$" in next(step["cost"] for step in priced.json["steps"] if step["step"] == "label")
    with pytest.raises(InputError, match="no price is known for unheard-of"):
        prepare(open_store(str(tmp_path / "st")), RunRequest(str(tmp_path / "filter.yaml"), articles=str(articles), budget=5.0))


def test_a_key_that_is_not_set_is_told_by_the_plan(
    distillery: Callable[..., Any], articles: Path, tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def why(variable: str) -> str:
        oracle = f"provider: openai, model: gpt-4o-mini, apiKeyEnv: {variable}, baseUrl: '{url}'"
        text = FILTER.replace("model: recorded", oracle).replace("tiny/base", str(tiny_encoder))
        (tmp_path / "filter.yaml").write_text(text, encoding="utf-8")
        ran = distillery("plan", "filter.yaml", "--articles", articles, "--without-calibration", "a test", "--json")
        assert ran.code == 0, ran.err
        return "; ".join(next(step["why"] for step in ran.json["steps"] if step["step"] == "label"))

    monkeypatch.setenv("A_KEY_THAT_IS_SET", "sk-test")
    with OpenAIServer() as server:
        url = server.url
        assert "environment variable A_KEY_THAT_IS_NOT: is not set" in why("A_KEY_THAT_IS_NOT")
        assert "can't be asked" not in why("A_KEY_THAT_IS_SET")
    assert server.counters.calls == 0
    assert "can't be asked from here: the endpoint" in why("A_KEY_THAT_IS_SET"), "nobody is there any more"
