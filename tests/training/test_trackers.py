"""Trackers get what the log gets, and the training gets nothing from them: no byte, no failure, no wait."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from distillery.components.remote.json_api import ApiError, JsonApi
from distillery.components.runtime import extras
from distillery.components.runtime.progress import Reporter
from distillery.components.store import Store, open_store
from distillery.components.store.layout import curves_folder
from distillery.components.training import tracked as module
from distillery.components.training.tracked import Tracked, figures_of, tracked
from distillery.components.training.trackers.base import Beat
from distillery.components.training.trackers.loggers import Logger
from distillery.components.training.trackers.mlflow import MLflow
from distillery.components.training.trackers.open import open_trackers, require_trackers
from distillery.components.training.trackers.tensorboard import TensorBoard
from distillery.components.training.trackers.trainjob_status import TrainJobStatus, in_trainjob
from distillery.components.training.train import train
from distillery.components.training.worker_progress import relay_line
from distillery.filters.digests import training_part
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.mlflow_server import MLflowServer, mlflow_server
from tests.training.conftest import Notes

Make = Callable[..., Filter]
A = "a1b2c3d4" * 8


class Kept:
    """A tracker that keeps what it is told, after failing as often as it should."""

    name = "kept"

    def __init__(self, failures: int = 0, wait: float = 0.0) -> None:
        self.beats: list[Beat] = []
        self.failures, self.wait, self.ends = failures, wait, list[bool]()
        self.threads = set[int]()

    def report(self, beats: Sequence[Beat]) -> None:
        self.threads.add(threading.get_ident())
        time.sleep(self.wait)
        if self.failures:
            self.failures -= 1
            raise OSError("https://key@host/ is away")
        self.beats += beats

    def close(self, *, failed: bool) -> None:
        self.ends.append(failed)


class Figures(Notes):
    def __init__(self) -> None:
        super().__init__()
        self.measured: list[tuple[int, dict[str, float]]] = []

    def figures(self, done: int, values: Any) -> None:
        self.measured.append((done, dict(values)))


@pytest.fixture
def server() -> Iterator[MLflowServer]:
    with mlflow_server() as running:
        yield running


def beats(*losses: float, start: int = 8, at: float = 1000.0) -> list[Beat]:
    return [Beat(at + n, start * (n + 1), 80, {"train/loss": loss}) for n, loss in enumerate(losses)]


def test_one_heartbeat_feeds_the_log_and_every_tracker() -> None:
    log, first, second = Figures(), Kept(), Kept()
    with tracked(log, [first, second]) as told:
        told.note("begins")
        told(8, 80, "articles read")
        told(8, 80, "articles", epoch="1/2", loss=2.0)
        told.figures(40, {"validation/mae": 1.5, "odd": float("nan")})
    assert log.notes == ["begins"]
    assert log.calls == [(8, 80, "articles read", {}), (8, 80, "articles", {"epoch": "1/2", "loss": 2.0})]
    assert log.measured[0][1]["validation/mae"] == 1.5
    for tracker in (first, second):
        rows = [(beat.done, beat.total, beat.figures, beat.lasting) for beat in tracker.beats]
        assert rows == [(8, 80, {"train/loss": 2.0}, False), (40, 80, {"validation/mae": 1.5}, True)]
        assert tracker.ends == [False]
        assert threading.get_ident() not in tracker.threads


def test_a_thousand_steps_a_second_are_few_figures_and_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(module.time, "time", lambda: next(clock) / 100)
    tracker = Kept()
    told = Tracked(Notes(), [tracker], seconds=60)
    for step in range(1, 3001):
        told(step, 3000, "articles", loss=float(step))
        if step % 1000 == 0:
            told.figures(step, {"validation/mae": float(step)})
    told.close(failed=False)
    running = [beat for beat in tracker.beats if not beat.lasting]
    assert 30 <= len(running) <= 40, "one a second, of 30 seconds"
    assert running[-1].figures == {"train/loss": 3000.0}
    assert [beat.done for beat in tracker.beats if beat.lasting] == [1000, 2000, 3000]


@pytest.mark.parametrize("steps", range(200, 320, 17))
def test_an_epochs_figures_do_not_take_the_place_of_the_step_before(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(module.time, "time", lambda: next(clock) / 100)
    tracker = Kept()
    told = Tracked(Notes(), [tracker], seconds=60)
    for step in range(1, steps + 1):
        told(step, steps, "articles", loss=float(step))
    told.figures(steps, {"validation/mae": 1.0})
    told.close(failed=False)
    assert [beat.figures for beat in tracker.beats[-2:]] == [{"train/loss": float(steps)}, {"validation/mae": 1.0}]


def test_a_tracker_that_fails_is_told_again_and_the_log_names_no_address() -> None:
    log, tracker = Notes(), Kept(failures=2)
    told = Tracked(log, [tracker], seconds=0.01)
    told(8, 80, "articles", loss=2.0)
    deadline = time.monotonic() + 5
    while not tracker.beats and time.monotonic() < deadline:
        time.sleep(0.01)
    told.close(failed=False)
    assert [beat.done for beat in tracker.beats] == [8]
    assert log.notes == ["tracker kept failed (OSError), and is told again"]


def test_a_tracker_that_stays_away_is_given_up_and_the_training_goes_on() -> None:
    log, away, fine = Notes(), Kept(failures=10**6), Kept()
    told = Tracked(log, [away, fine], seconds=0.001)
    told(8, 80, "articles", loss=2.0)
    deadline = time.monotonic() + 5
    while len(log.notes) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    told(16, 80, "articles", loss=1.0)
    told.close(failed=True)
    assert "told nothing more; the training is not affected" in log.notes[1]
    assert (fine.ends, away.ends) == ([True], [])


def test_a_tracker_that_hangs_holds_up_neither_a_step_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    log, hung = Notes(), Kept(wait=30)
    told = Tracked(log, [hung])
    began = time.monotonic()
    for step in range(100):
        told(step, 100, "articles", loss=1.0)
    told.close(failed=False)
    assert time.monotonic() - began < 2
    assert log.notes == ["tracker kept has not answered; its last figures may be missing"]


def test_figures_of_an_epoch_pass_through_another_process() -> None:
    out, seen = StringIO(), Figures()
    Reporter("train", out, StringIO(), seconds=2.0).figures(96, {"validation/mae": 1.25, "bad": float("inf")})
    relay_line(out.getvalue().strip(), seen)
    assert seen.measured == [(96, {"validation/mae": 1.25})]


def test_an_epoch_has_figures_of_each_dimension_where_they_are_kept() -> None:
    row = {"epoch": 2, "train_loss": 0.5, "learning_rate": 1e-3, "validation_mae": 1.0, "validation_rmse": 1.2}
    assert set(figures_of(row)) == {
        "epoch",
        "train/epoch_loss",
        "train/learning_rate",
        "validation/mae",
        "validation/rmse",
    }
    found = figures_of({**row, "dimensions": {"reach": {"train": 0.4, "validation": 0.9}}})
    assert (found["train/mae/reach"], found["validation/mae/reach"]) == (0.4, 0.9)


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(row.step, pytest.approx(row.value)) for row in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_reads_the_files_while_the_training_works(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    tracker, folder = TensorBoard(store, "tiny", A), tmp_path / curves_folder("tiny", A)
    tracker.report(beats(2.0, 1.5))
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert curves(folder) == {"train/loss": [(8, 2.0), (16, 1.5)]}
    tracker.report([Beat(1010.0, 24, 80, {"train/loss": 1.25, "validation/mae": 0.9}, True)])
    assert curves(folder) == {"train/loss": [(8, 2.0), (16, 1.5), (24, 1.25)], "validation/mae": [(24, 0.9)]}
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in first} == first, "none is written twice"


def test_a_training_that_goes_on_adds_to_its_curve(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    TensorBoard(store, "tiny", A).report(beats(2.0))
    TensorBoard(store, "tiny", A).report(beats(1.0, start=16, at=2000.0))
    assert curves(tmp_path / curves_folder("tiny", A)) == {"train/loss": [(8, 2.0), (16, 1.0)]}


def test_a_server_of_mlflow_gets_one_run_for_each_training(server: MLflowServer) -> None:
    settings = {"MLFLOW_TRACKING_URI": f"{server.uri}/", "MLFLOW_TRACKING_TOKEN": "s3cret"}
    tracker = MLflow("tiny", A, settings)
    tracker.report(beats(2.0, 1.5))
    tracker.report([Beat(1010.0, 24, 80, {"validation/mae": 0.9}, True)])
    tracker.close(failed=True)
    assert list(server.experiments) == ["tiny"]
    assert server.runs["run1"]["status"] == "FAILED"
    again = MLflow("tiny", A, settings)
    again.report(beats(1.0, start=32))
    again.close(failed=False)
    (run,) = server.runs.values()
    assert run["status"] == "FINISHED"
    rows = [(row["key"], row["value"], row["step"]) for row in run["metrics"]]
    assert rows == [("train/loss", 2.0, 8), ("train/loss", 1.5, 16), ("validation/mae", 0.9, 24), ("train/loss", 1.0, 32)]
    assert server.headers["Authorization"] == "Bearer s3cret"
    MLflow("tiny", "b" * 64, settings).report(beats(1.0))
    assert len(server.runs) == 2


def test_figures_beyond_a_thousand_are_sent_in_several_requests(server: MLflowServer) -> None:
    tracker = MLflow("tiny", A, {"MLFLOW_TRACKING_URI": server.uri})
    tracker.report(beats(*map(float, range(2500))))
    assert len(server.runs["run1"]["metrics"]) == 2500


def test_a_server_that_refuses_is_told_without_its_key(server: MLflowServer) -> None:
    server.broken = 403
    tracker = MLflow("tiny", A, {"MLFLOW_TRACKING_URI": server.uri.replace("http://", "http://anna:s3cret@")})
    with pytest.raises(ApiError) as error:
        tracker.report(beats(1.0))
    assert str(error.value) == "127.0.0.1 answers 403 (INTERNAL_ERROR)"
    assert server.headers["Authorization"] == "Basic YW5uYTpzM2NyZXQ="


@pytest.mark.parametrize("address", ["", "sqlite:///x.db", "http://", "http://[::", "ftp://host"])
def test_what_is_no_address_of_a_server_is_said_without_it(address: str) -> None:
    with pytest.raises(ApiError, match=r"^the address is none of http or https$"):
        JsonApi(address)


def test_a_trainjob_is_told_how_far_it_is(tmp_path: Path) -> None:
    bodies, auth = list[dict[str, Any]](), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["trainerStatus"])
            auth.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
    (tmp_path / "token").write_text("t0ken\n")
    url, token = f"http://127.0.0.1:{listening.server_port}", str(tmp_path / "token")
    settings = {"KUBEFLOW_TRAINER_SERVER_URL": url, "KUBEFLOW_TRAINER_SERVER_TOKEN": token}
    assert in_trainjob(settings)
    assert not in_trainjob({})
    tracker = TrainJobStatus(settings)
    tracker.report(beats(2.0, 1.5))
    tracker.close(failed=False)
    listening.shutdown()
    listening.server_close()
    assert [row["progressPercentage"] for row in bodies] == [20, 100]
    assert bodies[0]["estimatedRemainingSeconds"] == 8
    assert bodies[0]["metrics"] == [{"name": "train/loss", "value": "1.5"}]
    assert auth == ["Bearer t0ken"] * 2


def test_trackers_move_no_digest_and_no_byte(
    store: Store, split: str, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain, told = tiny_filter(epochs=2), tiny_filter(epochs=2, reportTo=["tensorboard", "tensorboard"])
    assert training_part(plain) == training_part(told)
    other = open_store(str(tmp_path / "other"))
    for each in ("datasets",):
        for key in store.keys(each):
            other.put(key, store.get(key))
    first, second = train(store, plain, split=split), train(other, told, split=split)
    assert second.reused is False
    assert first.outputs == second.outputs, "the adapter has the same bytes"
    assert first.inputs_digest == second.inputs_digest
    found = curves(tmp_path / "other" / curves_folder("tiny", second.inputs_digest))
    assert [step for step, _ in found["validation/mae"]] == [96, 192]
    assert "train/loss" in found
    assert train(other, tiny_filter(epochs=2, reportTo=["wandb"]), split=split).reused, "asking for another redoes nothing"


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb", "trackio"])
def test_a_missing_package_is_one_line_before_anything_is_paid(
    name: str, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    flt = tiny_filter(reportTo=[name])
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    with pytest.raises(InputError) as error:
        require_trackers(flt, in_pod=False, settings={})
    assert error.value.where == "spec.training.reportTo"
    assert str(error.value).count("\n") == 0
    assert f".[{name}]" in error.value.hint
    monkeypatch.setattr(extras, "find_spec", lambda module: object())
    require_trackers(flt, in_pod=False, settings={})


def test_a_server_of_mlflow_needs_no_package(tiny_filter: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    require_trackers(tiny_filter(reportTo=["mlflow"]), in_pod=True, settings={"MLFLOW_TRACKING_URI": "https://mlflow"})


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mlflow", {"MLFLOW_TRACKING_URI": "https://mlflow.example"}),
        ("wandb", {"WANDB_MODE": "online"}),
        ("trackio", {"TRACKIO_SPACE_ID": "team/curves"}),
    ],
)
def test_what_would_be_lost_with_a_pod_is_refused(
    name: str, settings: dict[str, str], tiny_filter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: object())
    flt = tiny_filter(reportTo=["tensorboard", name])
    with pytest.raises(InputError, match=f"{name} would write into the pod"):
        require_trackers(flt, in_pod=True, settings={})
    require_trackers(flt, in_pod=True, settings=settings)


def test_each_tracker_is_opened_once_and_asks_nothing_yet(store: Store, tiny_filter: Make) -> None:
    flt = tiny_filter(reportTo=["wandb", "mlflow", "tensorboard", "wandb"])
    assert [tracker.name for tracker in open_trackers(store, flt, A)] == ["wandb", "mlflow", "tensorboard"]
    assert open_trackers(store, tiny_filter(), A) == []


def installed(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is an option, and not installed here")


@pytest.mark.slow
def test_wandb_itself_writes_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed("wandb")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    tracker = Logger("wandb", "tiny", A, {})
    tracker.report(beats(2.0, 1.5))
    tracker.close(failed=False)
    (written,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    data = written.read_bytes()
    assert [word in data for word in (b"loss", b"1.5", b"tiny-a1b2c3d4")] == [True] * 3


@pytest.mark.slow
def test_trackio_itself_writes_a_run_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    installed("trackio")
    tracker = Logger("trackio", "tiny", A, {})
    tracker.report(beats(2.0, 1.5))
    tracker.close(failed=False)
    with sqlite3.connect(tmp_path / "tiny.db") as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY step").fetchall()
    told = [(name, step, json.loads(figures)) for name, step, figures in rows]
    assert told == [("tiny-a1b2c3d4", 8, {"train/loss": 2.0}), ("tiny-a1b2c3d4", 16, {"train/loss": 1.5})]


@pytest.mark.slow
def test_mlflow_itself_keeps_a_run_in_a_database_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed("mlflow")
    installed("sqlalchemy")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for losses in ((2.0, 1.5), (1.0,)):
        tracker = MLflow("tiny", A)
        tracker.report(beats(*losses))
        tracker.close(failed=False)
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    assert run.info.status == "FINISHED"
    assert sorted(row.value for row in client.get_metric_history(run.info.run_id, "train/loss")) == [1.0, 1.5, 2.0]
