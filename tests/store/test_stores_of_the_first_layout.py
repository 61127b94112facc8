"""A store that the first layout's code wrote is still read: every kind of document in it says what it said then.

Commands of commit a9921a4 made the archive beside this file, base model included; the literals were read from it then.
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from distillery.components.artifacts.channel import read_channel
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.folder_meta import AdapterMeta, FolderMeta, LabelSetMeta, SampleMeta, SplitMeta
from distillery.components.artifacts.noise_floor import noise_of
from distillery.components.artifacts.rubric_calibration import Acceptance, read_calibration
from distillery.components.artifacts.run_summary import read_last_summary
from distillery.components.artifacts.split import load_split
from distillery.components.artifacts.step_record import look_up
from distillery.components.artifacts.verdict import read_verdict
from distillery.components.benchmarking.benchmark import read_benchmark
from distillery.components.labeling.label import open_journal
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.promotion.by_hand import rollback
from distillery.components.promotion.promote import passing
from distillery.components.reporting.gather import gather
from distillery.components.reporting.publish import summarise
from distillery.components.reporting.render import render_html, render_markdown
from distillery.components.runtime.events import read_event
from distillery.components.scoring.completion import missing, success
from distillery.components.scoring.plan import read_plan, todo_list
from distillery.components.splitting.frozen import read_frozen
from distillery.components.store import Digest, Store, StoreError, canonical_json, digest_bytes, open_store
from distillery.components.store.layout import SCORING_PLAN
from distillery.components.student.bundle import check_golden, open_bundle
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter
from distillery.pipelines.cli.main import app
from distillery.pipelines.laptop.chain import run_through
from distillery.pipelines.run_view import Watched
from distillery.pipelines.steps import RunState
from tests.promotion.made import history

ARCHIVE = Path(__file__).with_name("store-of-the-first-layout.tar.gz")
OLD = json.loads(Path(__file__).with_name("store-of-the-first-layout.json").read_text(encoding="utf-8"))
NAME = "village-gain"


class Unpacked(NamedTuple):
    """folder: holds the store, the inputs of its runs and a folder of scores. replies: where recorded replies lie now."""

    folder: Path
    store: Store
    filter: Filter
    replies: str


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unpacked]:
    folder = tmp_path_factory.mktemp("old")
    replies = f"oracle.replies={folder / 'replies.jsonl'}"
    with tarfile.open(ARCHIVE) as archive, pytest.MonkeyPatch.context() as patch:
        archive.extractall(folder, filter="data")
        patch.setenv("DISTILLERY_CACHE", str(folder / "cache"))
        flt = load_filter(str(folder / "filter.yaml"), overrides=[replies])
        yield Unpacked(folder, open_store(str(folder / "store")), flt, replies)


def distillery(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_folder_is_whole_and_the_split_is_the_frozen_one(old: Unpacked) -> None:
    manifests = [key.rsplit("/", 2) for key in old.store.keys("") if key.endswith("/manifest.json")]
    for prefix, digest, _ in manifests:
        old.store.folder(prefix, Digest(digest)).verify()
    assert Counter(prefix.split("/")[0] for prefix, _, _ in manifests) == OLD["folders"]
    parts = load_split(old.store, OLD["last"]["split"], expected_test=OLD["last"]["test"])
    assert [part.num_rows for part in parts[:3]] == [56, 19, 19]
    assert [lineage.digest for lineage in read_frozen(old.store, old.filter).lineages] == [parts.meta.frozen]


@pytest.mark.parametrize(
    ("prefix", "meta"),
    [("labelsets", LabelSetMeta), ("datasets", SplitMeta), ("samples", SampleMeta), ("adapters", AdapterMeta)],
)
def test_what_a_manifest_says_beside_its_files(old: Unpacked, prefix: str, meta: type[FolderMeta]) -> None:
    keys = [key.rsplit("/", 2) for key in old.store.keys(prefix) if key.endswith("/manifest.json")]
    folders = [old.store.folder(above, Digest(digest)) for above, digest, _ in keys]
    assert len(folders) == OLD["folders"][prefix]
    for folder in folders:
        assert canonical_json(meta.of(folder).to_json()) == canonical_json(folder.meta)
        wrong = next(each for each in (LabelSetMeta, SplitMeta, SampleMeta, AdapterMeta) if each is not meta)
        with pytest.raises(StoreError, match="is not the manifest of"):
            wrong.of(folder)


def test_the_channel_points_where_it_did_and_can_be_moved(old: Unpacked, tmp_path: Path) -> None:
    moves = [entry.to_json() for entry in history(old.store, NAME, "production")]
    assert moves == OLD["history"]  # the newest, which is the current one, first
    printed = distillery("history", old.folder / "filter.yaml", "--store", old.store.uri).splitlines()
    assert printed[0].split()[0] == "waiting"
    assert [line.removeprefix("now ").split()[1] for line in printed[1:]] == ["rollback", "promote", "promote"]
    (held,) = read_channel(old.store, NAME, "production").channel.candidates
    assert passing(old.store, read_filter(old.store, held.filter), held.verdict).decision == "approve"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    after = rollback(open_store(str(tmp_path / "store")), NAME, "production", to=OLD["history"][1]["adapter"])
    assert [entry.action for entry in after.history] == ["rollback", "rollback", "promote", "promote"]


@pytest.mark.parametrize("adapter", OLD["bundles"])
def test_a_bundle_opens_and_scores_as_it_did(old: Unpacked, adapter: str) -> None:
    student, wanted = open_bundle(old.store, NAME, adapter), OLD["bundles"][adapter]
    assert check_golden(student) < 1e-3
    assert (student.score_curves.kept, student.facts.alarms) == (wanted["kept"], wanted["alarms"])
    scores = student.scores(student.predict([tuple(text) for text in OLD["texts"]]))
    assert scores.tolist() == [pytest.approx(row, abs=1e-4) for row in wanted["scores"]]


def test_what_was_measured_and_judged_says_what_it_said(old: Unpacked) -> None:
    for digest, found in OLD["benchmarks"].items():
        document = read_benchmark(old.store, found["adapter"], OLD["last"]["test"], digest)
        assert {name: document.to_json()[name] for name in found} == found
        assert digest_bytes(document.to_bytes()) == digest
    verdicts = {digest: read_verdict(old.store, NAME, digest) for digest in OLD["verdicts"]}
    assert {digest: verdict.decision for digest, verdict in verdicts.items()} == OLD["verdicts"]
    assert [digest_bytes(verdict.to_bytes()) for verdict in verdicts.values()] == list(verdicts)
    reworded = load_filter(str(old.folder / "filter.yaml"), overrides=[old.replies, "oracle.maxWords=70"])
    passed, accepted = (read_calibration(old.store, flt, oracle_identity(flt)) for flt in (old.filter, reworded))
    assert passed is not None
    assert (passed.verdict, passed.marks.by, len(passed.history)) == ("PASS", "person", 1)
    assert accepted is not None
    assert (accepted.verdict, accepted.accepted) == ("REVIEW", Acceptance(reason="no fresh article is left"))
    noise = noise_of(old.store, NAME, OLD["last"]["label_set"])
    assert noise is not None
    assert (noise.floor and noise.floor.mae, noise.second and noise.second.mae) == (0.290699, 0.848889)
    journal = open_journal(old.store, old.filter, oracle_identity(old.filter))
    dead = [
        json.loads(line)["article"]
        for line in old.store.folder("labelsets", OLD["last"]["label_set"]).read("dead.jsonl").splitlines()
    ]
    assert (journal.count(), len(dead), journal.damaged) == (94, 2, 0)
    assert all(journal.dead_letter(article) for article in dead)


def test_every_step_is_found_and_only_audit_and_gates_which_see_more_now_are_redone(old: Unpacked) -> None:
    kept = [old.store.get_json(key) for key in old.store.keys("steps")]
    assert Counter(record["step"] for record in kept) == OLD["steps"]
    found = [look_up(old.store, record["step"], record["inputs"]) for record in kept]
    assert [record and record.outputs for record in found] == [record["outputs"] for record in kept]
    given = ("--articles", old.folder / "articles.jsonl", "--set", old.replies, "--store", old.store.uri, "--json")
    plan = json.loads(distillery("plan", old.folder / "filter.yaml", *given))
    actions = {step["step"]: step["action"] for step in plan["steps"]}
    assert actions.keys() == set(OLD["planned"])
    assert (actions["calibrate"], actions["label"], actions["audit"]) == ("reuse", "reuse", "run")
    records = run_through("gate", RunState(old.store, old.filter, articles=str(given[1])))
    assert [name for name, record in records.items() if not record.reused] == ["audit", "gate"]
    before = read_verdict(old.store, NAME, OLD["last"]["verdict"])
    now = read_verdict(old.store, NAME, records["gate"].outputs["verdict"])
    assert (before.decision, now.decision) == ("promote", "reject")
    assert now.rules[:-1] == before.rules
    lost = now.rules[-1]  # of which its filter says nothing
    assert (lost.metric, lost.argument, lost.verdict) == ("skill", "tfidf_ridge", "fail")


def test_runs_are_told_and_reported(old: Unpacked) -> None:
    summary = read_last_summary(old.store, NAME)
    assert summary is not None
    last = {"run": summary.run, "failure": summary.failure, **summary.outputs}
    assert {name: last[name] for name in OLD["last"]} == OLD["last"]
    context = gather(old.store, read_filter(old.store, str(summary.filter_key)), summary)
    assert not context.problems
    assert (str(summary.adapter) in render_html(context), "2.068" in render_markdown(context)) == (True, True)
    for run, ended in OLD["runs"].items():
        watched = Watched({})
        for line in b"".join(map(old.store.get, old.store.keys(f"runs/{run}/events"))).splitlines():
            watched.take(read_event(line, run))
        assert {name: view.state for name, view in watched.steps.items()} == ended["states"]
        failure = summarise(old.store, run).failure
        assert (failure and failure.model_dump(exclude={"format"})) == ended["failure"]


@pytest.mark.parametrize("place", OLD["scores"])
def test_scores_are_whole(old: Unpacked, place: str) -> None:
    out, wanted = open_store(str(old.folder / place)), OLD["scores"][place]
    plan, done = read_plan(out, wanted["job"]), success(out, wanted["job"])
    assert plan.to_bytes() == out.get(SCORING_PLAN)
    assert done is not None
    assert (done.tiers, done.rejected, missing(out, plan)) == ({"high": 7, "middle": 14, "low": 7}, 1, [])
    assert [todo_list(out, digest) for digest in wanted["todo"]] == [[0, 2]] * len(wanted["todo"])
