"""`distillery get` and `describe`: what is there in a store, from a folder and from a bucket, also where documents are torn."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.artifacts.run_summary import Failure
from distillery.components.artifacts.scores import ScoringPlan
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import Store, digest_bytes, layout, open_store
from distillery.components.store import s3_objects as s3
from distillery.pipelines.cli import main as cli
from distillery.pipelines.cli.get import COLUMNS, age, size
from distillery.pipelines.inventory.kinds import KINDS, describe_thing, kind_of, list_things
from tests.faults.mutations import MUTATIONS
from tests.promotion.made import held, promoted
from tests.store.conftest import s3_server, s3_uri, store  # noqa: F401 - fixtures
from tests.store.test_stores_of_the_first_layout import ARCHIVE

Command = Callable[..., SimpleNamespace]
FULL = 2000  # damages of `-m slow`; a hundredth of them in `make test`


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(folder, filter="data")
    return folder / "store"


@pytest.fixture
def full(archive: Path, tmp_path: Path) -> Store:
    """A store with runs, adapters, calibrations and scores."""
    return open_store(str(shutil.copytree(archive, tmp_path / "full")))


@pytest.fixture
def bucket(archive: Path, s3_uri: str) -> Store:  # noqa: F811
    """The same in a bucket."""
    store = open_store(s3_uri)  # noqa: F811
    for path in archive.rglob("*"):
        if path.is_file():
            store.put(path.relative_to(archive).as_posix(), path)
    return store


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`distillery …` in this process."""

    def run(*arguments: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["distillery", *map(str, arguments)])
        try:
            cli.main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


def by_name(store: Store, kind: Any) -> dict[str, Any]:  # noqa: F811
    return {row["name"][:12] if len(row["name"]) == 64 else row["name"]: row for row in list_things(store, kind)}


def test_each_kind_says_what_became_of_it(full: Store) -> None:
    adapters = by_name(full, "adapters")
    assert {name: row["state"] for name, row in adapters.items()} == {
        "4bbd883ec4ec": "promoted",
        "61f4b046e87d": "candidate",
        "4a775b7e0aee": "rejected",
        "fd203044ac4e": "replaced",
    }
    assert adapters["4bbd883ec4ec"]["channels"] == ["production"]
    assert adapters["4a775b7e0aee"]["channels"] == []
    assert adapters["4a775b7e0aee"]["reason"].startswith("mae: 4.027 is not below 0.001")
    assert adapters["4bbd883ec4ec"]["size"] == 14552
    runs = by_name(full, "runs")
    assert {name: row["outcome"] for name, row in runs.items()} == {
        "20240502-100000-0ff1ce": "rejected",
        "20240502-110000-ba5e00": "failed",
        "20240502-120000-ca9ce1": "cancelled",
        "20261128-202409-7f7108": "promoted",
        "20261128-202443-5c343a": "promoted",
        "20261128-202508-0699dc": "candidate",
        "20261128-202617-983c20": "promoted",
    }
    assert runs["20240502-110000-ba5e00"]["reason"].startswith("audit: label set 3d4fe1352758")
    assert runs["20261128-202409-7f7108"]["mae"] == pytest.approx(2.068, abs=1e-3)
    (channel,) = list_things(full, "channels")
    assert (channel["name"], channel["adapter"][:12]) == ("village-gain/production", "4bbd883ec4ec")
    assert [adapter[:12] for adapter in channel["candidates"]] == ["61f4b046e87d"]
    (flt,) = list_things(full, "filters")
    assert flt["promoted"] == {"production": channel["adapter"]}
    assert (flt["versions"], flt["last"], flt["usd"]) == ([1], "promoted", 0.0)
    assert {row["verdict"] for row in list_things(full, "calibrations")} == {"PASS", "REVIEW"}
    assert sorted(row["articles"] for row in list_things(full, "samples")) == [0, 12, 16, 20, 36, 60]
    assert {(row["state"], row["articles"]) for row in list_things(full, "jobs")} == {("done", 30)}
    assert all(row["error"] is None for kind in KINDS for row in list_things(full, kind))


def test_a_bucket_is_listed_as_a_folder_is(full: Store, bucket: Store) -> None:
    def told(store: Store) -> dict[str, Any]:  # noqa: F811
        rows = {kind: list_things(store, kind) for kind in KINDS}
        text = json.dumps(rows, sort_keys=True).replace(store.uri, "")
        shown: dict[str, Any] = json.loads(text)
        for row in (row for rows in shown.values() for row in rows):
            row["modified"] = row["seconds"] = None
        return {kind: sorted(rows, key=lambda row: str(row["name"])) for kind, rows in shown.items()}

    assert told(bucket) == told(full)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_a_wide_one_and_one_json_object(full: Store, command: Command, kind: str) -> None:
    table, wide = command("get", kind, "--store", full.uri), command("get", kind, "-o", "wide", "--store", full.uri)
    found = command("get", kind, "-o", "json", "--store", full.uri)
    assert (table.code, wide.code, found.code) == (0, 0, 0), table.err + wide.err + found.err
    shown = json.loads(found.out)
    assert shown == json.loads(command("get", kind, "--json", "--store", full.uri).out)
    assert (shown["kind"], shown["store"]) == (kind, full.uri)
    assert len(shown["items"]) == len(table.out.splitlines()) - 1 == len(wide.out.splitlines()) - 1 > 0
    normal, more = COLUMNS[kind]
    assert all(head in table.out.splitlines()[0] for head, _ in normal)
    assert all(head in wide.out.splitlines()[0] for head, _ in (*normal, *more))
    name = shown["items"][0]["name"]
    described = command("describe", kind, name, "--store", full.uri)
    assert described.code == 0, described.err
    assert f"name: {name}" in described.out
    assert json.loads(command("describe", kind, name, "-o", "json", "--store", full.uri).out)["name"] == name


def test_what_is_described_has_gates_steps_history_and_strata(full: Store) -> None:
    assert {gate["metric"] for gate in describe_thing(full, "adapters", "4a775b7e")["gates"]} >= {"mae", "skill"}
    run = describe_thing(full, "runs", "20240502-10")
    assert list(run["results"]) == ["preflight", "calibrate", "label", "audit", "split", "train", "benchmark", "gate", "reject"]
    assert describe_thing(full, "channels", "village-gain")["history"][0]["action"] == "rollback"
    assert describe_thing(full, "samples", "7e4fd0a2d4bf")["strata"]
    assert describe_thing(full, "calibrations", "59ede05c")["marks"]["by"] == "person"
    job = describe_thing(full, "jobs", "d7bc2140")
    assert job["files"] == 1
    assert job["size"] == sum(entry.size for entry in full.entries(f"scores/{job['name']}")) > 1000


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        ("adapters", "99999999", "no adapter '99999999'"),
        ("runs", "2024", "3 runs are meant by '2024': "),
        ("runs", "", "no run ''"),
        ("calibrations", "village-gain", "2 calibrations are meant"),
        ("channels", "village-gain/staging", "no channel 'village-gain/staging'"),
        ("lions", "x", "there is no kind 'lions'"),
    ],
)
def test_a_name_that_means_nothing_or_several_things_is_one_line(
    full: Store, command: Command, kind: str, name: str, what: str
) -> None:
    ran = command("describe", kind, name, "--store", full.uri)
    assert (ran.code, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    assert what in line
    assert "; " in line


def test_one_thing_of_a_kind_names_the_kind() -> None:
    assert [kind_of(kind.removesuffix("s")) for kind in KINDS] == list(KINDS)


def test_a_filter_leaves_others_out(full: Store, command: Command, tmp_path: Path) -> None:
    promoted(full, 1)
    held(full, 2)
    assert {row["filter"] for row in list_things(full, "adapters")} == {"demo", "village-gain"}
    states = {row["state"] for row in list_things(full, "adapters", "demo")}
    assert states == {"promoted", "candidate"}
    assert [row["name"] for row in list_things(full, "channels", "demo")] == ["demo/production"]
    for kind in KINDS:
        assert {row.get("filter", row["name"]) for row in list_things(full, kind, "demo")} <= {"demo"}
    for text in ("village-gain", "village-gain/v1"):
        assert len(json.loads(command("get", "adapters", text, "-o", "json", "--store", full.uri).out)["items"]) == 4
    ran = command("get", "adapters", "nowhere.yaml", "--store", full.uri)
    assert ran.code == 2


def test_what_labels_cost_is_counted_once_for_each_rubric_and_oracle(store: Store) -> None:  # noqa: F811
    for number, (rubric, facts) in enumerate(
        [
            ("a", {"usd_total": 1.5, "usd_unknown": 0.25}),
            ("a", {"usd_total": 4.0}),
            ("b", {"usd_total": 2.0}),
            ("c", {"usd_total": "much"}),
            ("d", {}),
        ]
    ):
        record = StepRecord.of("label", {"filter": "demo", "rubric": rubric, "oracle": "o", "n": number}, {}, [], facts)
        record.put(store, layout.step_record_key("label", record.inputs_digest))
    store.put(layout.published_filter_key("demo", 1, "f" * 64), b"x")
    (row,) = list_things(store, "filters")
    assert row["usd"] == 6.0


def test_a_run_that_goes_on_says_how_far_it_is_and_a_job_how_many_parts_are_done(store: Store) -> None:  # noqa: F811
    for step in ("preflight", "label"):
        StepRecord.of(step, {}, {"name": "demo"} if step == "preflight" else {}, []).put(
            store, layout.run_record_key("20250101-000000-aaaaaa", step)
        )
    (run,) = list_things(store, "runs")
    assert (run["outcome"], run["reason"], run["filter"]) == ("unfinished", "after label", "demo")
    job, corpus = "e" * 64, {"where": "s3://corpus", "files": [("a.jsonl", 1, "etag", "jsonl")]}
    plan = ScoringPlan.model_validate(
        {
            **{"job": job, "filter": "demo", "version": 1, "filter_key": "filters/demo", "dimensions": ["x"]},
            **{"adapter": "a" * 64, "corpus": corpus, "shards": 3, "fmt": "parquet", "code": "1"},
        }
    )
    folder = layout.scores_folder(job)
    plan.put(store, f"{folder}/{layout.SCORING_PLAN}")
    store.put(f"{folder}/{layout.part_facts_key(1)}", b"{}")
    store.put(f"{folder}/{layout.part_rejects_key(1)}", b"{}")
    (row,) = list_things(store, "jobs")
    assert (row["state"], row["parts_done"], row["parts"]) == ("unfinished", 1, 3)


# What a row is made of, and the kinds that read it.
TORN = {
    r"adapters/*/4bbd883ec4ec*/manifest.json": ("adapters",),
    r"summaries/4bbd883ec4ec*.json": ("adapters",),
    r"summaries/last/*.json": ("filters",),
    r"verdicts/*/*.json": ("adapters",),
    r"channels/*/production.json": ("channels", "filters"),
    r"runs/20240502-100000-0ff1ce/gate.json": ("runs",),
    r"runs/20240502-110000-ba5e00/failure.json": ("runs",),
    r"calibrations/*/59ede*.json": ("calibrations",),
    r"samples/7e4f*/manifest.json": ("samples",),
    r"scores/d7bc*/_SUCCESS": ("jobs",),
}


@pytest.mark.parametrize("pattern", TORN)
def test_a_torn_document_is_a_row_that_says_so(archive: Path, full: Store, command: Command, pattern: str) -> None:
    key = next(archive.glob(pattern)).relative_to(archive).as_posix()
    full.put(key, full.get(key)[:-9])
    for kind in TORN[pattern]:
        ran = command("get", kind, "--store", full.uri)
        assert ran.code == 0, ran.err
        assert "unreadable: " in ran.out
        shown = json.loads(command("get", kind, "-o", "json", "--store", full.uri).out)["items"]
        (broken,) = [row for row in shown if row["error"]]
        assert key in broken["error"]["where"]
        assert broken["error"]["hint"]
        assert f"({broken['error']['where']})" in command("get", kind, "-o", "wide", "--store", full.uri).out


def check_damaged(archive: Path, folder: Path, command: Command, count: int, seed: int) -> None:
    """Whatever is damaged, every kind is listed, and each of its things described or refused in one line."""
    keys = sorted(path for path in archive.rglob("*") if path.is_file())
    rng, store = random.Random(seed), open_store(str(folder))  # noqa: F811
    for path in keys:
        store.put(path.relative_to(archive).as_posix(), path)
    for number in range(count):
        path, how = rng.choice(keys), rng.choice(sorted(MUTATIONS))
        key, what = path.relative_to(archive).as_posix(), f"case {number} of seed {seed}: {how}"
        store.put(key, MUTATIONS[how](path.read_bytes(), rng))
        for kind in KINDS:
            ran = command("get", kind, "-o", rng.choice(("table", "wide", "json")), "--store", folder)
            assert ran.code == 0, f"{what} {key}: {ran.err}"
        kind = rng.choice(KINDS)
        name = rng.choice(list_things(store, kind) or [{"name": "x"}])["name"]
        ran = command("describe", kind, name, "-o", rng.choice(("table", "json")), "--store", folder)
        assert ran.code in (0, 2), f"{what} {key}: {ran.err}"
        assert ran.code == 0 or len(ran.err.splitlines()) == 1, f"{what} {key}: {ran.err}"
        store.put(key, path)


def test_damaged_stores_are_listed(archive: Path, tmp_path: Path, command: Command) -> None:
    check_damaged(archive, tmp_path / "store", command, FULL // 100, seed=1)


@pytest.mark.slow
def test_many_damaged_stores_are_listed(archive: Path, tmp_path: Path, command: Command) -> None:
    check_damaged(archive, tmp_path / "store", command, FULL, seed=2)


def test_nothing_is_written_and_no_store_is_made(archive: Path, tmp_path: Path, command: Command) -> None:
    def tree() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in archive.rglob("*")}

    before = tree()
    for kind in KINDS:
        assert command("get", kind, "--store", archive).code == 0
        ran = command("get", kind, "--store", tmp_path / "none")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"error: no store at {tmp_path / 'none'}; check --store\n"
    assert tree() == before
    assert os.listdir(tmp_path) == []


def test_a_large_bucket_is_listed_in_few_requests(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    store = open_store(s3_uri)  # noqa: F811
    for job in range(3):
        folder = layout.scores_folder(digest_bytes(str(job).encode()))
        for part in range(30):
            store.put(f"{folder}/{layout.part_key(part, 'parquet')}", b"x")
    calls: list[str] = []
    monkeypatch.setattr(s3.S3Objects, "_call", counted(s3.S3Objects._call, calls))
    list_things(open_store(s3_uri, write=False), "jobs")
    # One listing of the jobs; of each its folder of facts, _SUCCESS and the plan, but no part.
    assert len(calls) <= 1 + 3 * 3 + 1


def counted(real: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def call(self: Any, *arguments: Any, **more: Any) -> Any:
        calls.append("")
        return real(self, *arguments, **more)

    return call


def test_a_store_that_is_away_is_no_row(store: Store, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def away(self: Store, *arguments: Any, **more: Any) -> None:
        from distillery.components.store import StoreError

        raise StoreError("can't be reached", where="s3://x", hint="look") from ConnectionError()

    promoted(store, 1)
    monkeypatch.setattr(Store, "get", away)
    ran = command("get", "adapters", "--store", store.uri)
    assert (ran.code != 0, ran.out) == (True, "")
    assert "can't be reached" in ran.err


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172799, "47h"), (172800, "2d"), (-5, "0s")],
)
def test_ages(seconds: int, shown: str) -> None:
    assert age("1970-01-02T00:00:00Z", now=86400.0 + seconds) == shown


def test_sizes() -> None:
    assert [size(n) for n in (None, 0, 999, 1000, 4_650_000, 10**9)] == ["–", "0 B", "999 B", "1.0 kB", "4.7 MB", "1.0 GB"]


def test_a_selection_on_a_cluster_is_a_run_that_says_what_it_chose(store: Store) -> None:  # noqa: F811
    def left(run: str, step: str, **outputs: Any) -> None:
        StepRecord.of(step, {}, outputs, [], {"seconds": 1.0}).put(store, layout.run_record_key(run, step))

    for run in ("chosen", "unfinished"):
        left(run, "preflight", name="demo", filter_key="filters/x")
        for step in ("candidate-02", "candidates", "label", "candidate-01"):
            left(run, step, adapter="a" * 64)
    left("chosen", "select-student", selection="b" * 64, chosen="higher rank", adapter="a" * 64, filter="demo")
    store.put(layout.failure_key("chosen"), Failure(step="candidate-02", kind="fault", message="evicted").to_bytes())
    rows = by_name(store, "runs")  # an earlier attempt failed
    assert (rows["chosen"]["outcome"], rows["chosen"]["reason"]) == ("selected", "higher rank")
    assert (rows["chosen"]["filter"], rows["chosen"]["adapter"]) == ("demo", "a" * 64)
    assert (rows["unfinished"]["outcome"], rows["unfinished"]["reason"]) == ("unfinished", "after candidate-02")
    steps = ["preflight", "candidates", "label", "candidate-01", "candidate-02"]
    assert (rows["unfinished"]["steps"], rows["chosen"]["steps"]) == (steps, [*steps, "select-student"])
