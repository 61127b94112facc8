"""`submit select-student`: candidates are checked here, uploaded, and the selection is printed as a laptop prints it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.choosing.document import CandidateFigures, Opened, RecipeFigures, Selection
from distillery.components.runtime.events import Done, Event, Started
from distillery.components.store import Store, digest_bytes
from distillery.components.store.layout import selection_key
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.pipelines.submit.conftest import FILTER

Command = Callable[..., SimpleNamespace]
TWO = "candidates:\n  - {name: as it is}\n  - {name: longer, set: {training.epochs: 9}}\n"


@pytest.fixture
def listed(tmp_path: Path, fake: FakeKubeflow) -> Path:
    fake.publish("select-student-000000000001")
    path = tmp_path / "candidates.yaml"
    path.write_text(TWO, encoding="utf-8")
    return path


@pytest.fixture
def words(listed: Path, labels: Path) -> list[Any]:
    return ["select-student", FILTER, "--candidates", listed, "--labels", labels]


def sent(fake: FakeKubeflow) -> list[dict[str, Any]]:
    return [run["runtime_config"]["parameters"] for run in fake.runs.values()]


def row(name: str, mae: float, **more: Any) -> CandidateFigures:
    known = {"settings": [], "base": "b", "adapter": name[0] * 64, "stopped": None, "interval": (mae - 0.1, mae + 0.1)}
    figures = {"train_mae": 0.5, "dimensions": {"reach": mae}, "trainable": 1, "work": 1.0, "memory_mb": 100.0}
    return CandidateFigures(name=name, mae=mae, **known, **figures, **more)  # type: ignore[arg-type]


def selected(fake: FakeKubeflow, store: Store, run: str) -> None:
    """What the steps leave of a selection that ends well."""
    opened = Opened(
        benchmark="e" * 64, test="f" * 64, articles=9, mae=0.7, interval=(0.6, 0.8), overall_mae=0.5, incumbent=None,
        incumbent_mae=None, difference=None, difference_interval=None,
    )  # fmt: skip
    document = Selection(
        filter=FILTER, split="d" * 64, validation=8, rule="best", best="longer", chosen="longer", decisive=False, rungs=[],
        candidates=[
            row("longer", 0.6, difference=0.0, difference_interval=None, judgement=""),
            row("as it is", 0.7, difference=0.1, difference_interval=(-0.1, 0.3), judgement="not decisive"),
        ],
        recipes=[RecipeFigures(candidates=[name], mae=0.6, spread=None) for name in ("longer", "as it is")],
        opened=opened,
    )  # fmt: skip
    data = document.to_bytes()
    digest = digest_bytes(data)
    store.put(selection_key(FILTER, digest), data)
    outputs = {"selection": digest, "chosen": "longer", "adapter": "l" * 64, "filter": FILTER}
    facts = {"seconds": 2.0, "articles_per_second": {"longer": 12.5, "as it is": None}, "training_seconds": {"longer": 61.0}}
    report = {"report": f"runs/{run}/report.html"}
    for name, found in (("candidate-01", {"adapter": "a" * 64}), ("select-student", outputs), ("report", report)):
        record = StepRecord.of(name, {}, found, [], facts)
        record.put(store, f"runs/{run}/{name}.json")
        rows: list[Event] = [Started(n=1, at=time.time(), step=name), Done(n=2, at=time.time(), step=name, record=record)]
        store.put(f"runs/{run}/events/{name}.jsonl", "".join(each.to_line() for each in rows).encode())
    fake.runs[run]["state"] = "SUCCEEDED"


def test_the_candidates_are_uploaded_and_the_filter_travels_as_it_is_here(
    command: Command, fake: FakeKubeflow, store: Store, words: list[Any]
) -> None:
    ran = command(*words, "--rule", "best", "--set", "training.batchSize=4", "--json")
    assert ran.code == 0, ran.err
    (parameters,) = sent(fake)
    assert parameters.keys() == {"filter", "store", "labels", "candidates", "rule"}
    assert store.get(parameters["candidates"].removeprefix(f"{store.uri}/")).decode() == TWO
    assert parameters["rule"] == "best"
    assert b"batchSize" in store.get(parameters["filter"].removeprefix(f"{store.uri}/"))
    (run,) = fake.runs.values()
    assert run["pipeline_version_reference"]["pipeline_version_id"] == "id-of-select-student-000000000001"
    assert json.loads(ran.out)["started"] is True


def test_the_same_candidates_twice_are_one_run_and_others_another(
    command: Command, fake: FakeKubeflow, words: list[Any], listed: Path
) -> None:
    assert command(*words).code == 0
    assert "already running, not started again" in command(*words).err
    command(*words, "--rule", "best")
    assert len(fake.runs) == 2
    listed.write_text(TWO.replace("9", "8"), encoding="utf-8")
    command(*words)
    assert len(fake.runs) == 3


@pytest.mark.parametrize("way", ["--watch", "--follow"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_it_is_followed_to_the_choice(
    way: str, form: list[str], command: Command, fake: FakeKubeflow, store: Store, words: list[Any]
) -> None:
    fake.on_create = lambda run: selected(fake, store, run)
    ran = command(*words, *(["--watch"] if way == "--watch" else []), *form)
    if way == "--follow":
        ran = command("--follow", next(iter(fake.runs)), *form)
    assert ran.code == 0, ran.err
    assert "candidate-01: done" in ran.err
    if form:
        found = json.loads(ran.out)
        assert (found["chosen"], found["decisive"]) == ("longer", False)
        assert found["articles_per_second"] == {"longer": 12.5, "as it is": None}
        assert found["report"] == f"{store.uri}/runs/{found['run']}/report.html"
    else:
        assert "longer ← chosen" in ran.out
        assert "not decisive" in ran.out
        assert f"report    {store.uri}/runs/{next(iter(fake.runs))}/report.html" in ran.out


@pytest.mark.parametrize(("cause", "code"), [("input", 2), ("stopped", 1), ("fault", 1)])
def test_a_failed_candidate_ends_the_run_with_the_exit_code_of_its_cause(
    cause: str, code: int, command: Command, fake: FakeKubeflow, store: Store, words: list[Any]
) -> None:
    def fails(run: str) -> None:
        failure = {"step": "candidate-02", "kind": cause, "message": "out of memory"}
        store.put(f"runs/{run}/failure.json", json.dumps(failure).encode())
        record = StepRecord.of("report", {}, {"report": f"runs/{run}/report.html"}, [])
        record.put(store, f"runs/{run}/report.json")
        fake.runs[run]["state"] = "FAILED"

    fake.on_create = fails
    ran = command(*words, "--watch")
    assert (ran.code, "error: candidate-02: out of memory" in ran.err) == (code, True)
    assert f"report: {store.uri}/runs/{next(iter(fake.runs))}/report.html" in ran.err
    assert "the same submission goes on" in ran.err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--rule", "fastest"], "--rule: no rule 'fastest'"),
        (["--set", "training.epoch=1"], "training.epoch"),
        (["--labels", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--store", "local"], "pods can't reach it"),
        (["--candidates", "nowhere.yaml"], "--candidates nowhere.yaml: cannot be read"),
        (["--trainer", "nobody"], "trainer"),
    ],
)
def test_what_the_first_steps_would_refuse_is_refused_here(
    changed: list[str], said: str, command: Command, fake: FakeKubeflow, words: list[Any]
) -> None:
    ran = command(*words, *changed)
    assert (ran.code, fake.runs) == (2, {})
    assert said in ran.err


def test_candidates_that_set_what_is_shared_are_refused_before_anything_is_sent(
    command: Command, fake: FakeKubeflow, store: Store, words: list[Any], listed: Path
) -> None:
    listed.write_text(TWO.replace("training.epochs: 9", "split.seed: 9"), encoding="utf-8")
    ran = command(*words)
    assert (ran.code, fake.runs) == (2, {})
    assert "candidates.yaml:3: candidate 'longer' sets split.seed, which split reads" in ran.err
    assert not list(store.keys("inputs"))
