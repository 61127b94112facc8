"""`schedule` and `suspend`: Kubeflow starts `distill` by a clock, one schedule a filter, whatever is typed again or lost."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from distillery.components.store import Store
from distillery.filters.cron import FIELDS, NAMED, six_fields
from distillery.filters.errors import InputError
from distillery.pipelines.cli import main as cli
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.pipelines.submit.conftest import FILTER

Command = Callable[..., SimpleNamespace]
NIGHTLY = ["--cron", "0 3 * * *"]


@pytest.fixture
def typed(fake: FakeKubeflow, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`distillery …` in this process, with this Kubeflow and this store."""
    monkeypatch.setenv("KFP_ENDPOINT", fake.endpoint)
    monkeypatch.setenv("DISTILLERY_STORE", store.uri)

    def run(*arguments: str | Path) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["distillery", *map(str, arguments)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


# ---- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "six"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        ("*/15 8-18 * * mon-fri", "0 */15 8-18 * * MON-FRI"),
        ("  5,35   */2 1-7 jan,jul ? ", "0 5,35 */2 1-7 JAN,JUL ?"),
        ("30 0 3 * * *", "30 0 3 * * *"),
        ("0 3 * * 7", "0 0 3 * * 0"),
        ("0 3 * * 5-7", "0 0 3 * * 0,5,6"),
        ("0 3 * * 1-7/3", "0 0 3 * * 0,1,4"),
        ("0 3 * * sun", "0 0 3 * * SUN"),
        ("@daily", "@daily"),
    ],
)
def test_five_fields_become_six_with_seconds_first(text: str, six: str) -> None:
    assert six_fields(text) == six


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has 0 fields"),
        ("3 * * *", "has 4 fields"),
        ("0 0 3 * * * 2026", "has 7 fields"),
        ("60 3 * * *", "minute '60' is out of range"),
        ("0 24 * * *", "hour '24' is out of range"),
        ("0 3 0 * *", "day of month '0' is out of range"),
        ("0 3 * 13 *", "month '13' is out of range"),
        ("0 3 * * 8", "day of week '8' is out of range"),
        ("0 5-3 * * *", "hour '5-3' is out of range"),
        ("*/0 3 * * *", "minute '*/0' is out of range"),
        ("0 3 * jam *", "month 'JAM' is out of range"),
        ("0 mon * * *", "hour 'MON' is out of range"),
        ("0 *-5 * * *", "hour '*-5' is none"),
        ("0 3 L * *", "day of month 'L' is none"),
        ("0 3,, * * *", "hour '' is none"),
        ("@reboot", "has 1 fields"),
        ("@every 5m", "has 2 fields"),
    ],
)
def test_what_kubeflow_would_not_take_or_would_take_for_another_time_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match="--cron") as refused:
        six_fields(text)
    assert said in str(refused.value)


def test_any_text_is_six_fields_a_name_or_refused() -> None:
    rng = random.Random(16)
    for _ in range(2000):
        fields = [
            "".join(rng.choice("0123456789*/-,?LMON ") for _ in range(rng.randint(1, 4))) if rng.random() < 0.3 else "*"
            for _ in range(rng.randint(0, 7))
        ]
        try:
            found = six_fields(" ".join(fields))
        except InputError:
            continue
        assert found in NAMED or len(found.split()) == len(FIELDS) + 1
        assert six_fields(found) == found, "six fields are kept"


# ---- one schedule a filter ------------------------------------------------------------------------------------------


def only(fake: FakeKubeflow) -> dict[str, object]:
    (found,) = fake.recurring.values()
    return found


def test_a_schedule_starts_what_submit_would(typed: Command, fake: FakeKubeflow, store: Store, labels: Path) -> None:
    ran = typed("schedule", FILTER, *NIGHTLY, "--labels", labels, "--set", "training.epochs=2")
    assert ran.code == 0, ran.err
    assert f"created distill-{FILTER}: 0 0 3 * * * (seconds first, as Kubeflow has it), in UTC" in ran.out
    made = only(fake)
    assert made["display_name"] == f"distill-{FILTER}"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (made["max_concurrency"], made["no_catchup"], made["mode"]) == (1, True, "ENABLE")
    assert made["pipeline_version_reference"]["pipeline_version_id"] == "id-of-distill-000000000001"  # type: ignore[index]
    assert typed("submit", "distill", FILTER, "--labels", labels, "--set", "training.epochs=2").code == 0
    (run,) = fake.runs.values()
    assert made["runtime_config"]["parameters"] == run["runtime_config"]["parameters"]  # type: ignore[index]


def test_typed_again_it_is_the_same_schedule_or_replaces_it(typed: Command, fake: FakeKubeflow, labels: Path) -> None:
    words = ("schedule", FILTER, "--labels", labels, "--json")
    first = json.loads(typed(*words, *NIGHTLY).out)
    again = json.loads(typed(*words, *NIGHTLY).out)
    assert (first["done"], again["done"], again["state"], len(fake.recurring)) == ("created", "unchanged", "enabled", 1)
    other = json.loads(typed(*words, "--cron", "30 4 * * 1-5").out)
    assert (other["done"], other["cron"], len(fake.recurring)) == ("replaced", "0 30 4 * * 1-5", 1)
    fake.publish("distill-000000000002")
    assert json.loads(typed(*words, "--cron", "30 4 * * 1-5").out)["done"] == "replaced"
    assert only(fake)["pipeline_version_reference"]["pipeline_version_id"] == "id-of-distill-000000000002"  # type: ignore[index]
    assert len(fake.recurring) == 1


def test_suspended_resumed_and_deleted(typed: Command, fake: FakeKubeflow, labels: Path) -> None:
    words = ("schedule", FILTER, "--labels", labels, *NIGHTLY)
    typed(*words)
    assert f"suspended distill-{FILTER}" in typed("suspend", FILTER).out
    assert only(fake)["status"] == "DISABLED"
    assert "suspended" in typed("get", "schedules").out
    assert "resumed" in typed(*words).out
    assert only(fake)["status"] == "ENABLED"
    assert json.loads(typed("suspend", FILTER, "--delete", "--json").out) == {"name": f"distill-{FILTER}", "done": "deleted"}
    assert fake.recurring == {}
    ran = typed("suspend", FILTER)
    assert (ran.code, "has no schedule; see `distillery get schedules`" in ran.err) == (2, True)


def started_by_clock(fake: FakeKubeflow, schedule: str, state: str) -> str:
    run = f"run-{len(fake.runs)}"
    fake.runs[run] = {"run_id": run, "display_name": f"{schedule[:9]}-1", "recurring_run_id": schedule, "state": state}
    fake.runs[run] |= {"created_at": "2026-01-02T00:00:00Z", "state_history": []}
    return run


def test_a_run_that_goes_on_keeps_its_schedule_from_being_deleted(typed: Command, fake: FakeKubeflow, labels: Path) -> None:
    """Kubeflow 2.14 deletes the workflow of such a run with the schedule, and shows it as running forever."""
    typed("schedule", FILTER, "--labels", labels, *NIGHTLY)
    [schedule] = fake.recurring
    run = started_by_clock(fake, schedule, "RUNNING")
    ended = typed("suspend", FILTER, "--delete")
    assert ended.code == 1
    assert f"suspended, not deleted: run {run} goes on" in ended.err
    assert fake.recurring[schedule]["status"] == "DISABLED"
    fake.runs[run]["state"] = "SUCCEEDED"
    assert typed("suspend", FILTER, "--delete").code == 0
    assert not fake.recurring


def test_a_schedule_that_is_replaced_while_a_run_goes_on_is_deleted_the_next_time(
    typed: Command, fake: FakeKubeflow, labels: Path
) -> None:
    typed("schedule", FILTER, "--labels", labels, *NIGHTLY)
    [first] = fake.recurring
    run = started_by_clock(fake, first, "PENDING")
    assert typed("schedule", FILTER, "--labels", labels, "--cron", "0 4 * * *").code == 0
    assert {name: one["status"] for name, one in fake.recurring.items()}.pop(first) == "DISABLED"
    assert len(fake.recurring) == 2
    fake.runs[run]["state"] = "FAILED"
    assert typed("schedule", FILTER, "--labels", labels, "--cron", "0 5 * * *").code == 0
    assert [one["status"] for one in fake.recurring.values()] == ["ENABLED"]


def test_a_filter_whose_file_is_gone_can_be_suspended(typed: Command, fake: FakeKubeflow, labels: Path) -> None:
    typed("schedule", FILTER, "--labels", labels, *NIGHTLY)
    only(fake)["display_name"] = "distill-gone-from-here"
    assert typed("suspend", "gone-from-here").code == 0
    assert only(fake)["status"] == "DISABLED"
    assert typed("suspend", "filters/gone.yaml").code == 2


def test_schedules_are_listed_those_of_others_left_out(typed: Command, fake: FakeKubeflow, labels: Path) -> None:
    none = typed("get", "schedules")
    assert (none.code, none.out, none.err) == (0, "", f"no schedules in {fake.endpoint}\n")
    typed("schedule", FILTER, "--labels", labels, *NIGHTLY)
    fake.recurring["other"] = {**only(fake), "recurring_run_id": "other", "display_name": "somebody's", "trigger": None}
    head, row = typed("get", "schedules").out.splitlines()
    assert head.split() == ["NAME", "FILTER", "CRON", "STATE", "AGE"]
    assert row.split()[:2] == [f"distill-{FILTER}", FILTER]
    shown = json.loads(typed("get", "schedules", FILTER, "-o", "json").out)
    assert (shown["kind"], shown["items"][0]["cron"]) == ("schedules", "0 0 3 * * *")
    assert json.loads(typed("get", "schedules", "uplifting", "--json").out)["items"] == []


def test_a_dry_run_writes_nothing_anywhere(typed: Command, fake: FakeKubeflow, store: Store, labels: Path) -> None:
    before = list(store.keys(""))
    ran = typed("schedule", FILTER, *NIGHTLY, "--labels", labels, "--dry-run")
    assert ran.code == 0, ran.err
    shown = json.loads(ran.out)
    assert (shown["name"], shown["cron"], shown["created"]) == (f"distill-{FILTER}", "0 0 3 * * *", False)
    assert fake.recurring == {}
    assert list(store.keys("")) == before
    typed("schedule", FILTER, *NIGHTLY, "--labels", labels)
    assert only(fake)["runtime_config"]["parameters"] == shown["parameters"]  # type: ignore[index]


def test_a_reply_that_is_lost_makes_no_second_schedule(typed: Command, fake: FakeKubeflow, labels: Path) -> None:
    fake.lose_replies = 1
    ran = typed("schedule", FILTER, *NIGHTLY, "--labels", labels)
    assert (ran.code, len(fake.recurring)) == (0, 1), ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([FILTER, "--labels", "LABELS"], "--cron"),
        ([FILTER, "--labels", "LABELS", "--cron", "3 * * *"], "has 4 fields"),
        ([FILTER, *NIGHTLY], "neither articles nor labels"),
        ([FILTER, *NIGHTLY, "--labels", "nowhere.jsonl"], "no such file"),
        ([FILTER, *NIGHTLY, "--labels", "LABELS", "--store", "here"], "pods can't reach it"),
        ([FILTER, *NIGHTLY, "--labels", "LABELS", "--budget", "0"], "pays for nothing"),
        (["nosuch", *NIGHTLY, "--labels", "LABELS"], "nosuch"),
    ],
)
def test_what_a_run_would_refuse_is_never_scheduled(
    words: list[str], said: str, typed: Command, fake: FakeKubeflow, labels: Path
) -> None:
    ran = typed("schedule", *[str(labels) if word == "LABELS" else word for word in words])
    assert (ran.code, fake.recurring) == (2, {})
    assert said in ran.err


def test_a_kubeflow_that_says_no_leaves_what_was_scheduled(typed: Command, fake: FakeKubeflow, labels: Path) -> None:
    typed("schedule", FILTER, *NIGHTLY, "--labels", labels)
    before = dict(only(fake))
    fake.refuses = True
    ran = typed("schedule", FILTER, "--cron", "1 1 * * *", "--labels", labels)
    assert (ran.code, "no permission" in ran.err) == (2, True)
    assert only(fake) == before
