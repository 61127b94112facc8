"""A cluster with Filter objects, a Kubeflow that plays what the steps of a run leave, and a clock, all in memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.run_summary import Failure, RunSummary, put_summary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.verdict import read_verdict
from distillery.components.promotion.promote import hold, promote, reject
from distillery.components.store import Store, digest_json, open_store
from distillery.components.store.layout import failure_key, run_record_key
from distillery.filters.digests import step_digest
from distillery.pipelines.cluster.kubeflow import Published, Refused
from distillery.pipelines.operator.kubernetes import event
from distillery.pipelines.operator.reconcile import Pass, World, reconcile
from distillery.pipelines.operator.status import Told
from tests.gating.judged import TEXT
from tests.promotion.made import again, against, fine, judged

START = 1_800_000_000.0
MADE = ("label", "split", "train", "benchmark", "gate")


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class Kubeflow:
    """Runs that go on until `play` ends them. `failing` is raised by every request; `before` is called before each write."""

    def __init__(self) -> None:
        self.runs: dict[str, SimpleNamespace] = {}
        self.failing: Exception | None = None
        self.before: Callable[[str], None] = lambda what: None

    def _ask(self) -> None:
        if self.failing:
            raise self.failing

    def published(self, pipeline: str, **images: str) -> Published:
        self._ask()
        return Published("p1", "v1", f"{pipeline}-000000000001")

    def start(self, version: Published, name: str, parameters: Mapping[str, Any], **more: Any) -> str:
        self._ask()
        if found := self.find(name):
            return found
        self.before("run")
        run = f"run-{len(self.runs) + 1}"
        self.runs[run] = SimpleNamespace(
            run_id=run, name=name, state="RUNNING", parameters=dict(parameters), state_history=[], finished_at=None
        )
        self.before("run is there")
        return run

    def find(self, name: str) -> str | None:
        self._ask()
        return next((run for run, one in self.runs.items() if one.name == name), None)

    def get(self, run: str, **more: Any) -> SimpleNamespace:
        self._ask()
        if run not in self.runs:
            raise Refused(404, f"no run {run}", where="kubeflow")
        return self.runs[run]

    def active(self, run: str) -> bool:
        return self.get(run).state == "RUNNING"

    def cancel(self, run: str) -> None:
        self.runs[run].state = "FAILED"
        self.runs[run].state_history = [SimpleNamespace(state="CANCELING")]

    def page(self, run: str) -> str:
        return f"http://kubeflow/#/runs/details/{run}"


class Objects:
    """Filter objects as the API server has them."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.events: dict[str, Told] = {}
        self.writes = 0
        self.before: Callable[[str], None] = lambda what: None

    def apply(self, text: str, *, namespace: str = "distillery", **metadata: Any) -> dict[str, Any]:
        """Create or change an object, as `kubectl apply` does."""
        given = json.loads(json.dumps(yaml.safe_load(text)))
        key = (namespace, given["metadata"]["name"])
        old = self.objects.get(key)
        generation = old["metadata"]["generation"] + (old["spec"] != given["spec"]) if old else 1
        given["metadata"] |= {"namespace": namespace, "generation": generation, "uid": f"uid-{key[1]}", **metadata}
        self.objects[key] = {**given, **({"status": old["status"]} if old and "status" in old else {})}
        return self.objects[key]

    def list(self) -> list[dict[str, Any]]:
        return copy.deepcopy(list(self.objects.values()))

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        return copy.deepcopy(self.objects.get((namespace, name)))

    def put_status(self, value: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        self.before("status")
        key = (value["metadata"]["namespace"], value["metadata"]["name"])
        if key in self.objects:
            self.objects[key]["status"] = json.loads(json.dumps(status))
            self.writes += 1

    def tell(self, value: Mapping[str, Any], told: Told, at: str) -> None:
        self.before("event")
        self.events.setdefault(event(value, told, at)["metadata"]["name"], told)


class Town:
    """Everything, with a clock that moves when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(str(folder / "store"))
        self.kubeflow, self.objects, self.time = Kubeflow(), Objects(), START
        self.labels = folder / "labels.jsonl"
        self.labels.write_text('{"id": "1"}\n')
        self.worked: list[str] = []  # steps that did their work, and did not find it done
        self._known: dict[str, set[str]] = {step: set() for step in MADE}

    def world(self, store: Store | None = None) -> World:
        return World(
            store or self.store,
            lambda: self.kubeflow,
            self.objects,
            clock=lambda: self.time,
            grace=0.05,
            judge=again(),  # type: ignore[arg-type, return-value]
        )

    def text(self, *changes: tuple[str, str], data: str = "") -> str:
        text = TEXT.replace("  gates:", f"  data: {data or f'{{labels: {self.labels}}}'}\n  gates:")
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        return text

    def pass_over(self, name: str = "demo", namespace: str = "distillery", world: World | None = None) -> Pass:
        value = self.objects.get(namespace, name)
        assert value is not None
        return reconcile(world or self.world(), value)

    def status(self, name: str = "demo") -> dict[str, Any]:
        found: dict[str, Any] = self.objects.objects["distillery", name]["status"]
        return found

    def condition(self, kind: str, name: str = "demo") -> tuple[str, str]:
        found = {row["type"]: (row["status"], row["reason"]) for row in self.status(name)["conditions"]}
        return found.get(kind, ("", ""))

    def through(self, *, good: bool = True) -> str:
        """Pass, let the run end that it started, pass again; return the run."""
        self.pass_over()
        run = list(self.kubeflow.runs)[-1]
        self.play(run, good=good)
        self.pass_over()
        return run

    def play(self, run: str, *, good: bool = True) -> None:
        """Leave what the steps of a run leave, and end it."""
        one = self.kubeflow.runs[run]
        store, key = self.store, one.parameters["filter"].removeprefix(f"{self.store.uri}/")
        flt = read_filter(store, key)
        made = {step: digest_json([step, *(step_digest(flt, each) for each in MADE[: at + 1])]) for at, step in enumerate(MADE)}  # type: ignore[arg-type]
        number = int(made["train"][:6], 16)
        against_whom = against(store, flt)
        adapter, verdict = judged(store, number, flt, mae=0.5 if good else 2.0)
        if against_whom and against_whom["adapter"] == adapter:
            adapter, verdict = judged(store, number, flt, mae=0.5 if good else 2.0, incumbent=None)
        decision = read_verdict(store, flt.name, verdict).decision
        outputs: dict[str, dict[str, Any]] = {
            "preflight": {"name": flt.name, "filter_key": key, "articles": "", "labels": "x"},
            "train": {"adapter": adapter},
            "gate": {"verdict": verdict, "decision": decision},
        }
        steps = []
        for step in ("preflight", *MADE):
            reused = made.get(step, "") in self._known.get(step, set())
            if step in MADE:
                self._known[step].add(made[step])
                self.worked += [] if reused else [step]
            facts = {"mae": 0.5} if step == "benchmark" else {"usd_total": 1.25} if step == "label" else {}
            steps.append(StepRecord.of(step, {}, outputs.get(step, {}), [], facts, reused=reused))
        if decision == "promote":
            steps.append(promote(store, flt, verdict=verdict, filter_key=key, run=run, verify=fine))
        elif decision == "approve":
            steps.append(hold(store, flt, verdict=verdict, filter_key=key, run=run))
        else:
            steps.append(reject(store, flt, verdict=verdict))
        for record in steps:
            record.put(store, run_record_key(run, record.step))
        put_summary(store, RunSummary(run=run, steps=steps), name=flt.name)
        self.end(one, "SUCCEEDED")

    def fail(self, run: str, kind: str, message: str, *, step: str = "train", limit: float | None = None) -> None:
        Failure(step=step, kind=kind, message=message, limit=limit).put(self.store, failure_key(run))  # type: ignore[arg-type]
        self.end(self.kubeflow.runs[run], "FAILED")

    def end(self, run: SimpleNamespace, state: str) -> None:
        run.state, run.finished_at = state, datetime.fromtimestamp(self.time, UTC)

    def adapter(self) -> str | None:
        from distillery.components.artifacts.channel import read_channel

        return read_channel(self.store, "demo", "production").channel.adapter
