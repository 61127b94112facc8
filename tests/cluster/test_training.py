"""A TrainJob over two nodes: it outlives its step and a lost pod, and leaves nothing however it ends.

The step that follows it runs here, as a process of its own, by the rights that KUBECONFIG gives; the workers run on the
cluster.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.filter import publish_filter
from distillery.components.store import Store
from distillery.filters.filter import Filter
from tests.cluster.harness import NAMESPACE, ROOT, Cluster, environment, trainings_left, wait_for

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1200), pytest.mark.usefixtures("trainer_here")]
STEP = """
import sys
from distillery.components.artifacts.filter import read_filter
from distillery.components.store import open_store
from distillery.components.training.launch import launch_training
from distillery.components.runtime.progress import reporter
uri, key, split = sys.argv[1:]
store = open_store(uri)
launch_training("trainjob", store, read_filter(store, key), key, split=split, progress=reporter("train"))
"""


@dataclass(frozen=True)
class Prepared:
    store: Store
    split: str
    document: dict[str, Any] = field(repr=False)
    tiny: Path
    folder: Path

    def filter(self, **training: Any) -> Filter:
        """One filter a test, told apart by its seed: a training that is there already would not be started."""
        settings = {**self.document["spec"]["training"], **training}
        return Filter.model_validate({**self.document, "spec": {**self.document["spec"], "training": settings}})

    def tiny_filter(self, **training: Any) -> Filter:
        """The same with a random base of thirty thousand weights: for what is not about the student."""
        for path in self.tiny.iterdir():
            self.store.put(f"tiny/{path.name}", path)
        document = self.filter(**training).model_dump()
        document["spec"]["student"] |= {"baseModel": f"{self.store.uri}/tiny", "revision": None}
        return Filter.model_validate(document)


@pytest.fixture(scope="module")
def prepared(store: Store, demo: Path, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    from distillery.components.labeling.label import label
    from distillery.components.splitting.split import split
    from distillery.filters.loading import load_filter

    overrides = [f"oracle.replies={demo / 'replies.jsonl'}", "training.learningRate=0.002", "training.precision=fp32"]
    flt = load_filter("sustainability-technology", profile="laptop", overrides=overrides)
    labels = label(store, flt, articles=str(demo / "articles.jsonl"), labels="", without_calibration="a test")
    parts = split(store, flt, label_set=labels.outputs["label_set"])
    return Prepared(store, parts.outputs["split"], flt.model_dump(), tiny_encoder, tmp_path_factory.mktemp("steps"))


class Step:
    """The train step with trainer=trainjob, as a process."""

    def __init__(self, cluster: Cluster, prepared: Prepared, flt: Filter, **settings: str) -> None:
        command = [sys.executable, "-u", "-c", STEP, prepared.store.uri, publish_filter(prepared.store, flt), prepared.split]
        env = environment(cluster) | {"DISTILLERY_NAMESPACE": NAMESPACE, "PYTHONPATH": str(ROOT)} | settings
        self.log = prepared.folder / f"step-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float = 240) -> None:
        wait_for(f'"{text}" in what the step says', lambda: text in self.said or self.process.poll() is not None, seconds, 0.5)
        assert text in self.said, self.said

    def end(self, seconds: float = 600) -> int:
        code = self.process.wait(seconds)
        print(self.said)
        return code


Start = Callable[..., Step]


def trained(prepared: Prepared, flt: Filter) -> Any:
    from distillery.components.artifacts.step_record import look_up
    from distillery.components.student.resolve import resolve_base
    from distillery.components.training.train import train_inputs

    base = resolve_base(flt.spec.student.baseModel, flt.spec.student.revision, prepared.store)
    return look_up(prepared.store, "train", train_inputs(flt, prepared.split, base.digest))


@pytest.fixture
def step(cluster: Cluster, prepared: Prepared) -> Iterator[Start]:
    """Starts steps; none outlives the test, and no object of theirs does."""
    started: list[Step] = []

    def start(flt: Filter, **settings: str) -> Step:
        started.append(Step(cluster, prepared, flt, **settings))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.end(60)
    wait_for("no orphan", lambda: not trainings_left(cluster), 90)


def test_a_killed_step_is_taken_up_and_a_killed_pod_goes_on_from_the_checkpoint(
    step: Start, cluster: Cluster, prepared: Prepared
) -> None:
    """By DeepSpeed, and in the cluster's own queue where it has one."""
    queues = cluster.kubectl("get", "localqueues", "-n", NAMESPACE, "-o", "name", check=False).split()
    queue = {"DISTILLERY_QUEUE": queues[0].rsplit("/", 1)[-1]} if queues else {}
    flt = prepared.tiny_filter(epochs=30, patience=30, nodes=2, seed=7, strategy="zero2")
    first = step(flt, **queue)
    first.wait_for("epoch 1 of 30")
    if queue:
        [workload] = cluster.get("workloads", "-n", NAMESPACE)["items"]
        assert workload["spec"]["queueName"] == queue["DISTILLERY_QUEUE"]
    first.process.kill()
    first.end()
    [job] = cluster.get("trainjobs", "-n", NAMESPACE)["items"]
    second = step(flt, **queue)
    second.wait_for("goes on following TrainJob")
    again = cluster.get("trainjobs", "-n", NAMESPACE, job["metadata"]["name"])
    assert again["metadata"]["uid"] == job["metadata"]["uid"]
    selector = f"jobset.sigs.k8s.io/jobset-name={job['metadata']['name']},batch.kubernetes.io/job-completion-index=1"
    cluster.kubectl("delete", "pod", "-n", NAMESPACE, "-l", selector, "--grace-period=0", "--force")
    second.wait_for("a worker was lost; restart 1, from the last checkpoint")
    assert second.end() == 0
    assert "resumed in epoch" in second.said
    assert trained(prepared, flt).facts["workers"] == 2


def test_a_cancelled_step_takes_its_trainjob_with_it(step: Start, cluster: Cluster, prepared: Prepared) -> None:
    flt = prepared.tiny_filter(epochs=100, patience=100, nodes=2, seed=8)
    cancelled = step(flt)
    cancelled.wait_for("trainable parameters")
    cancelled.process.send_signal(signal.SIGTERM)
    assert cancelled.end(60) == 143
    assert "cancelled: TrainJob" in cancelled.said
    wait_for("the TrainJob is gone", lambda: not cluster.get("trainjobs", "-n", NAMESPACE)["items"], 30)
    assert trained(prepared, flt) is None


def test_bad_input_is_the_steps_and_is_not_tried_again(step: Start, prepared: Prepared) -> None:
    """A batch that no worker can learn from: the loss stops being a number, on all of them at once."""
    flt = prepared.tiny_filter(epochs=1, nodes=2, seed=9, learningRate=1e6, maxGradNorm=1e6, warmupRatio=0.0)
    refused = step(flt)
    assert refused.end() == 1
    assert "InputError: training: the loss is not a number any more" in refused.said
    assert "restart" not in refused.said
