"""`submit score`: the score pipeline started and followed as `distill` is, with what the channel points at."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.artifacts.channel import Entry
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.promotion.move import change
from distillery.components.runtime.events import Done, Started
from distillery.components.store import Store
from distillery.filters.loading import load_filter
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.pipelines.submit.conftest import FILTER

Command = Callable[..., SimpleNamespace]
ADAPTER, OTHER = "a" * 64, "b" * 64
COUNTS = {"articles": 5, "scored": 4, "prefiltered": 1, "rejected": 0, "shards": 1, "tiers": {"high": 1, "low": 3}}


@pytest.fixture
def serving(store: Store, fake: FakeKubeflow) -> Callable[..., None]:
    """Points a channel at an adapter; production already points at one."""
    fake.publish("score-000000000001")
    key = publish_filter(store, load_filter(FILTER))

    def serve(adapter: str, channel: str = "production") -> None:
        entry = Entry(adapter=adapter, verdict="0" * 64, filter=key, action="promote", at="now")
        change(store, FILTER, channel, lambda now: now.moved(entry))

    serve(ADAPTER)
    return serve


def scored(fake: FakeKubeflow, store: Store, run: str) -> None:
    """What the step leaves of a run that ends well."""
    outputs = {"job": "c" * 64, "scores": f"{store.uri}/scores/c", "adapter": ADAPTER, "filter": FILTER, **COUNTS}
    record = StepRecord.of("score", {}, outputs, [], {"seconds": 2.0})
    record.put(store, f"runs/{run}/score.json")
    rows = [Started(n=1, at=time.time(), step="score"), Done(n=2, at=time.time(), step="score", record=record)]
    store.put(f"runs/{run}/events/score.jsonl", "".join(row.to_line() for row in rows).encode())
    fake.runs[run]["state"] = "SUCCEEDED"


def sent(fake: FakeKubeflow) -> list[dict[str, Any]]:
    return [run["runtime_config"]["parameters"] for run in fake.runs.values()]


def test_a_corpus_is_uploaded_and_the_channel_named(
    command: Command, fake: FakeKubeflow, store: Store, labels: Path, serving: Callable[..., None]
) -> None:
    ran = command("score", FILTER, labels, "--map", "headline=title", "--shards", "3", "--json")
    assert ran.code == 0, ran.err
    (parameters,) = sent(fake)
    assert parameters.pop("articles").startswith(f"{store.uri}/inputs/")
    assert parameters == {"adapter": FILTER, "store": store.uri, "shards": 3, "columns": ["headline=title"]}
    (run,) = fake.runs.values()
    assert (run["pipeline_version_reference"]["pipeline_version_id"], run["display_name"][: len(FILTER)]) == (
        "id-of-score-000000000001",
        FILTER,
    )
    assert json.loads(ran.out)["started"] is True


def test_the_same_corpus_twice_is_one_run_until_the_channel_moves(
    command: Command, fake: FakeKubeflow, labels: Path, serving: Callable[..., None]
) -> None:
    assert command("score", FILTER, labels).code == 0
    assert "already running, not started again" in command("score", FILTER, labels).err
    command("score", FILTER, labels, "--out", "s3://elsewhere/scores")
    assert len(fake.runs) == 2
    serving(OTHER)
    command("score", FILTER, labels)
    assert len(fake.runs) == 3


def test_another_channel_and_an_adapter_by_its_digest(
    command: Command, fake: FakeKubeflow, labels: Path, serving: Callable[..., None]
) -> None:
    serving(OTHER, "staging")
    command("score", FILTER, labels, "--channel", "staging")
    command("score", ADAPTER[:12], labels)
    by_channel, by_digest = sent(fake)
    assert (by_channel["adapter"], by_channel["channel"]) == (FILTER, "staging")
    assert (by_digest["adapter"], "channel" in by_digest) == (ADAPTER, False)


@pytest.mark.parametrize("way", ["--watch", "--follow"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_it_is_followed_to_its_scores(
    way: str, form: list[str], command: Command, fake: FakeKubeflow, store: Store, labels: Path, serving: Callable[..., None]
) -> None:
    fake.on_create = lambda run: scored(fake, store, run)
    ran = command("score", FILTER, labels, *(["--watch"] if way == "--watch" else []), *form)
    if way == "--follow":
        ran = command("--follow", next(iter(fake.runs)), *form)
    assert ran.code == 0, ran.err
    if form:
        assert json.loads(ran.out).items() >= {**COUNTS, "out": f"{store.uri}/scores/c", "reused": False}.items()
    else:
        assert f"scores: {store.uri}/scores/c" in ran.out
        assert "4 articles scored in 2 s: high 1, low 3" in ran.out


@pytest.mark.parametrize(("cause", "code"), [("input", 2), ("stopped", 1), ("fault", 1)])
def test_a_failed_run_has_the_exit_code_of_its_cause(
    cause: str, code: int, command: Command, fake: FakeKubeflow, store: Store, labels: Path, serving: Callable[..., None]
) -> None:
    def fails(run: str) -> None:
        failure = {"step": "score", "kind": cause, "message": "part 3 is bad"}
        store.put(f"runs/{run}/failure.json", json.dumps(failure).encode())
        fake.runs[run]["state"] = "FAILED"

    fake.on_create = fails
    ran = command("score", FILTER, labels, "--watch")
    assert (ran.code, "error: score: part 3 is bad" in ran.err) == (code, True)


def test_a_run_that_ended_without_a_record_is_no_success(
    command: Command, fake: FakeKubeflow, labels: Path, serving: Callable[..., None]
) -> None:
    fake.on_create = lambda run: fake.runs[run].update(state="SUCCEEDED")
    ran = command("score", FILTER, labels, "--watch")
    assert (ran.code, "error: score: it ended without a record" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["uplifting", "LABELS"], "nothing is promoted on channel production of uplifting"),
        ([FILTER, "LABELS", "--channel", "nowhere"], "nothing is promoted on channel nowhere"),
        ([FILTER, "nowhere.jsonl"], "no such file"),
        ([FILTER, "LABELS", "--out", "scores"], "--out scores: is no place that a cluster reaches"),
        ([ADAPTER[:12], "LABELS", "--channel", "staging"], "an adapter is named already"),
        ([FILTER, "LABELS", "--map", "headline"], "headline"),
        (["nosuch", "LABELS"], "nosuch"),
        ([FILTER, "LABELS", "--store", "local"], "pods can't reach it"),
    ],
)
def test_what_the_first_step_would_refuse_is_refused_here(
    words: list[str], said: str, command: Command, fake: FakeKubeflow, labels: Path, serving: Callable[..., None]
) -> None:
    ran = command("score", *[str(labels) if word == "LABELS" else word for word in words])
    assert (ran.code, fake.runs) == (2, {})
    assert said in ran.err
