"""`distillery submit select-student` on a real Kubeflow: a pod for each candidate, and the choice of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from tests.cluster.harness import run_distillery, wait_for
from tests.cluster.runs import FILTER, documented
from tests.demo.generator.files import write_files
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(1800)
THREE = """\
candidates:
  - name: one epoch
  - name: another seed
    set: {training.seed: 7}
  - name: higher rank
    set: {student.lora.r: 8}
"""
QUICK = ["--profile", "laptop"]
for setting in ("training.epochs=1", "training.learningRate=0.002", "training.precision=fp32", "student.maxLength=128"):
    QUICK += ["--set", setting]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the page says, for 200 labels of the demo and three candidates."""
    folder = tmp_path_factory.mktemp("selection")
    made, labels, candidates = write_files(folder, n=200), folder / "labels.jsonl", folder / "candidates.yaml"
    given = ["--set", f"oracle.replies={made.replies}", "--without-calibration", "a test", "--yes", "--out", labels]
    run_distillery("label", FILTER, "--articles", made.articles, *given, "--store", folder / "store", check=True)
    candidates.write_text(THREE, encoding="utf-8")
    places = {"candidates.yaml": str(candidates), "labels.jsonl": str(labels)}
    words = [places.get(word, word) for word in documented("distillery submit select-student")[2:] if word != "--watch"]
    return [*words, *QUICK]


def test_candidates_side_by_side_come_to_the_choice_of_this_machine(
    distillery: Callable[..., Ran], store: Store, kfp: Any, typed: list[str], tmp_path: Path
) -> None:
    there = distillery("submit", *typed, "--store", store.uri, "--watch", "--json")
    print(there.err)
    assert there.code == 0, there.err
    found = there.json
    assert kfp.get(found["run"]).state == "SUCCEEDED"
    assert sorted(each["name"] for each in found["candidates"]) == ["another seed", "higher rank", "one epoch"]
    assert store.exists(f"selections/{FILTER}/{found['selection']}.json")
    for at in (1, 2, 3):
        record = json.loads(store.get(f"runs/{found['run']}/candidate-0{at}.json"))
        assert record["outputs"]["adapter"] in {each["adapter"] for each in found["candidates"]}
    here = run_distillery(*typed, "--store", tmp_path / "store", "--json")
    assert here.code == 0, here.err
    assert here.json["split"] == found["split"]
    for each in here.json["candidates"]:
        other = next(row for row in found["candidates"] if row["name"] == each["name"])
        assert other["mae"] == pytest.approx(each["mae"], abs=0.02)
        assert (other["work"], other["memory_mb"]) == (each["work"], each["memory_mb"])
    again = distillery("submit", *typed, "--store", store.uri, "--watch", "--json")
    assert again.code == 0, again.err
    assert again.json["selection"] == found["selection"]
    assert again.json["run"] != found["run"]
    assert all(json.loads(store.get(f"runs/{again.json['run']}/candidate-0{at}.json"))["reused"] for at in (1, 2, 3)), (
        "nothing is trained twice"
    )


def test_a_base_model_that_no_pod_has_is_told_before_anything_is_trained(
    distillery: Callable[..., Ran], store: Store, kfp: Any, typed: list[str], tmp_path: Path
) -> None:
    candidates = tmp_path / "candidates.yaml"
    candidates.write_text(THREE.replace("{training.seed: 7}", "{student.baseModel: nobody/has-it}"), encoding="utf-8")
    words = [str(candidates) if word.endswith("candidates.yaml") else word for word in typed]
    ran = distillery("submit", *words, "--store", store.uri, "--watch")
    assert ran.code == 2, ran.err
    assert "candidate 'another seed': student.baseModel nobody/has-it: is not mirrored" in ran.err
    run = ran.err.partition("submitted run ")[2].split()[0] if "submitted run " in ran.err else ""
    assert not run or wait_for("the run's end", lambda: not kfp.active(run), 120)
