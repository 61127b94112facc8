"""The noise floor: what an oracle that repeats itself, wavers, or differs from another one measures."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error

from distillery.components.articles.articles import Article
from distillery.components.artifacts.noise_floor import read_noise
from distillery.components.calibration.noise import Again, deviation, floor, measure, second
from distillery.components.store import Store
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from tests.calibration.conftest import FILTER, Scripted, truth


def wavering(deviation: float, seed: int) -> Callable[[Article], dict[str, float]]:
    def scores(article: Article) -> dict[str, float]:
        rng = random.Random(f"{seed} {article.id}")
        return {"readiness": 5 + rng.gauss(0, deviation), "benefit": 5 + int(article.id[1:]) % 3}

    return scores


def test_the_floor_is_the_spread_around_the_oracles_own_mean(store: Store, flt: Filter, corpus: str) -> None:
    oracles = [Scripted(wavering(0.5, seed)) for seed in range(3)]
    again = [Again(oracle, at) for at, oracle in enumerate(oracles[1:], 2)]
    document = measure(store, flt, articles=corpus, repeat=3, n=120, oracle=oracles[0], again=again).outputs
    found = document["floor"]
    assert found["dimensions"]["readiness"] == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=0.12)
    assert found["dimensions"]["benefit"] == 0
    assert (found["n"], found["repeat"], [oracle.asked for oracle in oracles]) == (120, 3, [120, 120, 120])
    assert found["interval"][0] < found["mae"] < found["interval"][1]
    known = read_noise(store, flt.name, rubric_digest(flt), oracles[0].identity)
    assert known is not None
    assert known.to_json() == document
    measure(store, flt, articles=corpus, repeat=3, n=120, oracle=oracles[0], again=again)
    assert [oracle.asked for oracle in oracles] == [120, 120, 120], "paid twice"


def test_few_repetitions_measure_the_same_floor_as_many() -> None:
    rng = np.random.default_rng(1)
    found = [deviation(rng.normal(0, 1, (k, 20_000))).mean() for k in (2, 3, 10)]
    assert found == pytest.approx([np.sqrt(2 / np.pi)] * 3, rel=0.02)


@pytest.mark.parametrize("seed", range(6))
def test_the_floor_is_that_of_scikit_learn(flt: Filter, seed: int) -> None:
    """An article at a time: the error of each repetition against their mean, with what a mean of so few lies too near."""
    rng = np.random.default_rng(seed)
    repeat = int(rng.integers(2, 6))
    values = np.rint(rng.uniform(0, 10, (repeat, 30, 2)))
    values[:, :4] = values[0, :4]  # said alike each time
    tables = [{f"{at:02}": (row, float(row.mean())) for at, row in enumerate(table)} for table in values]
    found = floor(flt, tables, "5eed" * 4)
    wider = (repeat / (repeat - 1)) ** 0.5
    each = [
        [mean_absolute_error(np.full(repeat, scores.mean()), scores) * wider for scores in values[:, at].T] for at in range(30)
    ]
    assert found.mae == pytest.approx(np.mean(each), abs=1e-6)
    assert list(found.dimensions.values()) == pytest.approx(np.mean(each, axis=0), abs=1e-6)
    overall = values.mean(axis=2)
    errors = [mean_absolute_error(np.full(repeat, column.mean()), column) * wider for column in overall.T]
    assert found.overall_mae == pytest.approx(np.mean(errors), abs=1e-6)
    alike = [all(len(set(scores)) == 1 for scores in values[:, at].T) for at in range(30)]
    assert found.identical == pytest.approx(np.mean(alike), abs=1e-6)
    assert sum(alike) >= 4


def test_recorded_repetitions_are_replayed(store: Store, corpus: str, tmp_path: Any) -> None:
    import json

    lines = [{"id": f"a{at}", "repeat": repeat, "reply": json.dumps({"readiness": repeat, "benefit": at % 5})}
             for at in range(400) for repeat in (1, 2, 3)]  # fmt: skip
    replies = tmp_path / "replies.jsonl"
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines))
    flt = load_filter_text(FILTER.replace("recorded,", f"recorded, replies: '{replies}',"), "demo.yaml")
    found = measure(store, flt, articles=corpus, repeat=3, n=20).outputs["floor"]
    assert found["dimensions"]["readiness"] == pytest.approx(2 / 3 * np.sqrt(3 / 2), abs=1e-6)
    assert (found["dimensions"]["benefit"], found["identical"]) == (0, 0)
    with pytest.raises(InputError, match='repeat": 4'):
        measure(store, flt, articles=corpus, repeat=4, n=20)


def test_a_second_oracle_is_compared(store: Store, corpus: str, tmp_path: Any) -> None:
    import json

    def filter_over(name: str, shift: float) -> Filter:
        path = tmp_path / name
        path.write_text(
            "".join(
                json.dumps(
                    {
                        "id": f"a{at}",
                        "reply": json.dumps({"readiness": 4 + shift, "benefit": 5 + (shift if at % 2 else -shift)}),
                    }
                )
                + "\n"
                for at in range(400)
            )
        )
        return load_filter_text(FILTER.replace("recorded,", f"{name}, replies: '{path}',"), "demo.yaml")

    ours, theirs = filter_over("ours", 0), filter_over("theirs", 1.5)
    document = measure(store, ours, articles=corpus, repeat=1, second=theirs, n=40).outputs
    assert document["floor"] is None
    assert document["second"]["dimensions"]["readiness"] == {"bias": 1.5, "mae": 1.5}
    assert document["second"]["dimensions"]["benefit"]["mae"] == 1.5
    assert abs(document["second"]["dimensions"]["benefit"]["bias"]) < 0.8
    assert document["second"]["model"] == "theirs"


def test_what_was_measured_before_stays(store: Store, flt: Filter, corpus: str) -> None:
    oracle = Scripted(truth)
    measure(store, flt, articles=corpus, repeat=2, n=20, oracle=oracle, again=[Again(Scripted(truth), 2)])
    known = read_noise(store, flt.name, rubric_digest(flt), oracle.identity)
    assert known is not None
    assert known.floor is not None
    assert known.floor.identical == 1.0
    with pytest.raises(InputError, match="says nothing of noise"):
        measure(store, flt, articles=corpus, repeat=1, oracle=oracle)


def test_how_a_second_oracle_is_named() -> None:
    assert second("openai:deepseek-chat") == ["oracle.provider=openai", "oracle.model=deepseek-chat"]
    assert second("model=x,oracle.temperature=1") == ["oracle.model=x", "oracle.temperature=1"]
    with pytest.raises(InputError, match="names no oracle"):
        second("gpt")
