"""The end of a selection on a cluster: a page, a sentence and a notice, whatever happened in it."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest

from distillery.components.artifacts.run_summary import Failure, RunSummary, read_last_summary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.choosing import component
from distillery.components.choosing.ending import publish_selection
from distillery.components.choosing.sheet import selection_sheet
from distillery.components.choosing.steps import choose_student
from distillery.components.reporting.publish import NO_WORD
from distillery.components.reporting.sheet import sheet_html, sheet_markdown
from distillery.components.runtime.events import Failed, Started
from distillery.components.store import open_store
from distillery.components.store.layout import events_key, failure_key, last_summary_key, run_record_key
from tests.choosing.test_select import THREE

NAMES = {"candidate-01": "one epoch", "candidate-02": "one epoch again", "candidate-03": "two epochs"}


@pytest.fixture
def empty(tmp_path):
    return open_store(str(tmp_path / "empty"))


def left(store, run, step, outputs, facts=None, **more):
    StepRecord.of(step, {}, outputs, [], facts or {}, **more).put(store, run_record_key(run, step))


def began(store, run, step, *more):
    rows = [Started(n=1, at=time.time(), step=step), *more]
    store.put(events_key(run, step), "".join(row.to_line() for row in rows).encode())


def fails(store, run, step, message, kind="input"):
    """What a step leaves that fails."""
    began(store, run, step, Failed(n=2, at=time.time(), step=step, cause=kind, message=message))
    Failure(step=step, kind=kind, message=message).put(store, failure_key(run))


def rows_of(pages):
    """The cells of the page's table, by candidate's step."""
    lines = (line.strip("| ").split(" | ") for line in pages.verdict.splitlines() if "| candidate-0" in line)
    return {cells[1]: cells for cells in lines}


def until_candidates(store, run, trained=()):
    """What the steps up to the candidates leave, and those that are trained."""
    left(store, run, "preflight", {"name": "demo", "filter_key": "filters/x"})
    left(store, run, "candidates", {"candidates": NAMES})
    for step in trained:
        facts = {"validation_mae": 0.71234, "training_seconds": 61.0}
        left(store, run, step, {"adapter": step[-1] * 64, "validation": "b" * 64}, facts)


def test_a_selection_that_ended_well_leaves_the_page_of_a_laptop(store, split, tiny_filter):
    flt = tiny_filter(epochs=1)
    selected, record = choose_student(store, flt, THREE, split=split, rule="best")
    until_candidates(store, "well", NAMES)
    left(store, "well", "preflight", {"name": flt.name})
    record.put(store, run_record_key("well", "select-student"))
    pages = publish_selection(store, "well", message="")
    sheet = selection_sheet(selected)
    assert pages.html == sheet_html(sheet) == store.get("runs/well/report.html").decode()
    assert pages.verdict == sheet_markdown(sheet) == store.get("runs/well/report.md").decode()
    assert pages.record.outputs == {"report": "runs/well/report.html"}
    chosen = selected.selection.chosen
    assert pages.ended.verdict == "selected"
    assert pages.ended.filter == flt.name
    assert pages.ended.adapter == selected.selection.candidate(chosen).adapter
    assert pages.ended.report == f"{store.uri}/runs/well/report.html"
    assert pages.ended.sentence.startswith(f"Chosen: {chosen}, best: ")
    assert "3 of 3 candidates are trained: one epoch, one epoch again, two epochs." in pages.ended.sentence
    assert pages.ended.sentence.endswith(f" {store.uri}/selections/{flt.name}/{selected.digest}.json")


def test_a_runner_that_says_failed_does_not_undo_a_choice(store, split, tiny_filter):
    """Kubeflow Pipelines 2.14 tells an exit task other states than SUCCEEDED after runs that ended well."""
    flt = tiny_filter(epochs=1)
    _, record = choose_student(store, flt, THREE, split=split, rule="best")
    left(store, "odd", "preflight", {"name": flt.name})
    record.put(store, run_record_key("odd", "select-student"))
    assert publish_selection(store, "odd", message="some task was not taken").ended.verdict == "selected"


def test_what_an_earlier_attempt_left_does_not_undo_a_choice(store, split, tiny_filter):
    """Kubeflow's retry of a run is the same run: its first attempt's failure stays in the store."""
    flt = tiny_filter(epochs=1)
    _, record = choose_student(store, flt, THREE, split=split, rule="best")
    until_candidates(store, "retried", NAMES)
    left(store, "retried", "preflight", {"name": flt.name})
    record.put(store, run_record_key("retried", "select-student"))
    Failure(step="candidate-02", kind="fault", message="evicted").put(store, failure_key("retried"))
    ended = publish_selection(store, "retried", message="").ended
    assert (ended.verdict, ended.adapter) == ("selected", record.outputs["adapter"])
    assert "evicted" not in ended.sentence


def test_a_candidate_that_failed_is_named_and_the_others_are_told(empty):
    until_candidates(empty, "r", ["candidate-01"])
    left(empty, "r", "candidate-01", {"adapter": "a" * 64}, {"validation_mae": 0.71234}, reused=True)
    message = "training: the loss is not a number any more (epoch 1, step 2); lower learningRate"
    fails(empty, "r", "candidate-02", message)
    pages = publish_selection(empty, "r", message="")
    assert pages.ended.sentence == (
        f"Stopped at step candidate-02 (one epoch again): {message}. 1 of 3 candidates are trained: one epoch. None was chosen."
    )
    assert (pages.ended.filter, pages.ended.verdict, pages.ended.adapter) == ("demo", "failed", "")
    rows = rows_of(pages)
    assert rows["candidate-01"] == ["one epoch", "candidate-01", "**reused**", "a" * 12, "0.712", "–"]
    assert rows["candidate-02"][2].startswith("**failed: training: the loss is not a number")
    assert rows["candidate-03"][2] == "not begun"
    assert "Mend that before you submit again." in pages.html
    goes_on = (
        "Nothing is lost: the same submission goes on from the last finished step, and what is trained is not trained again."
    )
    assert goes_on in pages.html
    assert empty.get("runs/r/report.html").decode() == pages.html


def test_several_candidates_that_failed_are_all_named(empty):
    until_candidates(empty, "r", ["candidate-01"])
    fails(empty, "r", "candidate-03", "no room", kind="stopped")
    fails(empty, "r", "candidate-02", "evicted", kind="stopped")
    pages = publish_selection(empty, "r", message="")
    assert pages.ended.sentence == (
        "Stopped at step candidate-02 (one epoch again): evicted. Failed, too: two epochs. "
        "1 of 3 candidates are trained: one epoch. None was chosen."
    )
    assert pages.ended.sentence in pages.html
    assert [cells[2] for cells in rows_of(pages).values()] == ["**trained**", "**failed: evicted**", "**failed: no room**"]
    assert "Mend that" not in pages.html


def test_events_that_are_too_long_to_read_leave_a_candidate_unknown(empty):
    until_candidates(empty, "r", ["candidate-01"])
    fails(empty, "r", "candidate-02", "evicted", kind="stopped")
    empty.put(events_key("r", "candidate-03"), b"x" * ((1 << 20) + 1))
    pages = publish_selection(empty, "r", message="")
    assert pages.ended.sentence.startswith("Stopped at step candidate-02 (one epoch again): evicted. 1 of 3 candidates")
    assert rows_of(pages)["candidate-03"][2] == "unknown"


def test_a_candidate_whose_pod_was_killed_is_named_by_its_events(empty):
    until_candidates(empty, "r", ["candidate-01", "candidate-03"])
    for step in ("preflight", "candidate-01", "candidate-02"):
        began(empty, "r", step)
    empty.put(events_key("r", "candidate-02"), empty.get(events_key("r", "candidate-02")) + b'{"torn')
    ended = publish_selection(empty, "r", message="").ended
    assert ended.sentence.startswith(f"Stopped at step candidate-02 (one epoch again): {NO_WORD}. 2 of 3 candidates")
    assert "Stopped at step candidate-02 (one epoch again): gone." in publish_selection(empty, "r", message="gone").verdict


def test_a_run_that_stopped_before_it_had_candidates_says_so(empty):
    Failure(step="preflight", kind="input", message="profile: unknown").put(empty, failure_key("r"))
    pages = publish_selection(empty, "r", message="")
    assert pages.ended.sentence == "Stopped at step preflight: profile: unknown. No candidate was trained."
    assert pages.ended.filter == ""
    assert "No filter was read" in pages.html
    assert "Mend that before you submit again." in pages.html
    assert "lost" not in pages.verdict, "there is nothing to lose"


def test_a_run_that_stopped_at_its_candidates_names_its_filter_and_has_no_table(empty):
    left(empty, "r", "preflight", {"name": "demo", "filter_key": "filters/x"})
    fails(empty, "r", "candidates", "candidates: line 2: unknown key")
    pages = publish_selection(empty, "r", message="")
    assert pages.ended.sentence == "Stopped at step candidates: candidates: line 2: unknown key. No candidate was trained."
    assert pages.ended.filter == "demo"
    assert pages.verdict.startswith("## demo\n")
    assert "|" not in pages.verdict
    assert "goes on from the last finished step." in pages.html


def test_a_choice_that_failed_has_trained_candidates(empty):
    until_candidates(empty, "r", NAMES)
    Failure(step="select-student", kind="fault", message="no room").put(empty, failure_key("r"))
    sentence = publish_selection(empty, "r", message="").ended.sentence
    assert sentence.startswith("Stopped at step select-student: no room. 3 of 3 candidates are trained: ")


def test_many_candidates_are_counted_and_some_are_named(empty):
    many = {f"candidate-{at:02}": f"seed {at}" for at in range(1, 21)}
    until_candidates(empty, "r", many)
    left(empty, "r", "candidates", {"candidates": many})
    sentence = publish_selection(empty, "r", message="").ended.sentence
    assert "20 of 20 candidates are trained: seed 1, seed 2, seed 3, seed 4, seed 5, seed 6 and 14 more." in sentence


def test_the_summary_of_the_last_run_of_distill_stays(empty):
    RunSummary(run="before", steps=[]).put(empty, last_summary_key("demo"))
    until_candidates(empty, "r", NAMES)
    publish_selection(empty, "r", message="")
    summary = read_last_summary(empty, "demo")
    assert summary is not None
    assert summary.run == "before"


def test_the_exit_step_leaves_the_pages_and_tells(empty, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("distillery.components.runtime.notify.tell", lambda ended, progress: told.append(ended))
    until_candidates(empty, "r", ["candidate-01"])
    pages = {name: SimpleNamespace(path=str(tmp_path / name)) for name in ("html", "verdict")}
    status = SimpleNamespace(state="FAILED", error_message="the pod was evicted")
    component.report.python_func(store=empty.uri, run="r", status=status, **pages)
    assert (tmp_path / "html").read_text("utf-8") == empty.get("runs/r/report.html").decode()
    assert (tmp_path / "verdict").read_text("utf-8") == empty.get("runs/r/report.md").decode()
    (ended,) = told
    assert ended.sentence.startswith("Stopped: the pod was evicted. 1 of 3 candidates are trained: one epoch.")
    assert StepRecord.load(empty, run_record_key("r", "report")).outputs == {"report": "runs/r/report.html"}
    notes = [json.loads(line) for line in empty.get(events_key("r", "report")).splitlines()]
    assert ended.sentence in [note.get("text") for note in notes]
