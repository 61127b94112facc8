"""Every caller opens the student where one plan says; another precision than fp32 serves only behind the bundle's record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import distillery.components.artifacts.adapter as adapters
import distillery.components.artifacts.channel as channels
from distillery import _facade
from distillery.components.artifacts.adapter import Subject
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.serving import Candidate, ParityFile, Plan
from distillery.components.benchmarking.evaluate import evaluate_file
from distillery.components.benchmarking.predict import predict
from distillery.components.promotion.move import reproduce
from distillery.components.scoring import worker
from distillery.components.scoring.corpus import find_corpus
from distillery.components.scoring.plan import begin, plan_for
from distillery.components.store import Store, open_store
from distillery.components.store.layout import judged_key
from distillery.components.student import bundle, devices
from distillery.components.student.bundle import Student, check_golden, open_bundle, save_bundle
from distillery.components.student.devices import cluster_plan, device_for, serving_plan
from distillery.components.student.predict import cpu_budget
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.spec import Student as Section
from distillery.pipelines.cli.calibrate import _affinity
from distillery.pipelines.cli.score import _here
from tests.training.conftest import filter_of

BF16, OPENVINO = Plan(precision="bf16"), Plan(precision="bf16", engine="openvino")
GPU, GPU16 = Plan(device="cuda", precision="bf16"), Plan(device="cuda", precision="fp16")
EVERY = [OPENVINO, BF16, GPU, GPU16]


def record(*plans: Plan, golden: list[list[float]] | None = None, **figures: Any) -> ParityFile:
    fine = {"p999": 0.01, "largest": 0.03, "mae": 0.6, "mae_fp32": 0.6, "tiers_flipped": 0, "passed": True}
    rows = golden or [[1.0, 2.0, 3.0]] * 8
    return ParityFile(articles=200, candidates=[Candidate(plan=plan, golden=rows, **{**fine, **figures}) for plan in plans])


def section(**keys: str) -> Section:
    return Section(baseModel="tiny/base", **keys)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Simulate a machine: `machine(cuda=True, bf16=False)`."""

    def simulate(*, cuda: bool = False, bf16: bool = True, openvino: bool = True) -> None:
        import torch

        found = {"openvino": object()} if openvino else {}
        monkeypatch.setattr(devices, "has_cuda", lambda: cuda)
        monkeypatch.setattr(devices, "native_bf16", lambda: bf16)
        monkeypatch.setattr(devices, "find_spec", found.get)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: cuda and bf16)

    return simulate


@pytest.mark.parametrize(
    ("setting", "cuda", "device"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda"), ("cuda", False, None)],
)
def test_the_device_is_the_gpu_or_what_the_filter_says(
    machine: Callable[..., None], setting: str, cuda: bool, device: str | None
) -> None:
    machine(cuda=cuda)
    if device is None:
        with pytest.raises(InputError, match=r"student.device: says cuda, and torch sees no GPU here; set student.device"):
            device_for(section(device=setting))
    else:
        assert device_for(section(device=setting)) == device


@pytest.mark.parametrize(
    ("here", "wish", "judged", "plan"),
    [
        ({}, {}, None, OPENVINO),
        ({"openvino": False}, {}, None, BF16),
        ({"bf16": False}, {}, None, Plan()),
        ({"cuda": True}, {}, None, GPU),
        ({"cuda": True, "bf16": False}, {}, None, GPU16),
        ({"cuda": True}, {"device": "cpu"}, None, OPENVINO),
        ({"cuda": True}, {"precision": "fp16"}, None, GPU16),
        ({"cuda": True}, {"precision": "fp32"}, None, Plan(device="cuda")),
        ({}, {"precision": "fp32"}, OPENVINO, Plan()),
        ({}, {"precision": "fp16"}, None, Plan()),
        ({}, {}, BF16, BF16),
        ({}, {}, Plan(), Plan()),
        ({"openvino": False}, {}, OPENVINO, Plan()),
        ({}, {}, GPU, Plan()),
        ({"cuda": True}, {}, OPENVINO, Plan(device="cuda")),
    ],
)
def test_what_serves_is_what_was_judged_or_the_fastest_that_passed(
    machine: Callable[..., None], here: dict[str, bool], wish: dict[str, str], judged: Plan | None, plan: Plan
) -> None:
    machine(**here)
    assert devices.plan_for(section(**wish), record(*EVERY), judged).plan == plan
    assert devices.plan_for(section(**wish), None, judged).plan.precision == "fp32"


@pytest.mark.parametrize("figures", [{"p999": 0.051}, {"largest": 0.11}, {"mae": 0.603}, {"mae": 0.597}, {"passed": False}])
def test_what_did_not_pass_never_serves(machine: Callable[..., None], figures: dict[str, float]) -> None:
    machine()
    assert devices.plan_for(section(), record(OPENVINO, BF16, **figures)).plan == Plan()


def test_a_processor_says_whether_it_has_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, native in [
        ("fpu avx2", False),
        ("fpu avx512_bf16 amx", True),
        ("fp asimd bf16", True),
        ("avx512f bf16x", False),
    ]:
        monkeypatch.setattr(Path, "read_text", lambda self, said=flags, **_: f"flags : {said}\n")
        assert devices.native_bf16.__wrapped__() is native


class Opened(Exception):
    """Stands for opening a student by a plan; nothing else has to run."""


@pytest.fixture
def flt(tiny_encoder: Path) -> Filter:
    return filter_of(tiny_encoder)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def student(make_student: Callable[[Path], Student], tiny_encoder: Path) -> Student:
    student = dataclasses.replace(make_student(tiny_encoder))
    student.parity = record(*EVERY, golden=student.golden[1].tolist())
    return student


def _evaluate(store: Store, flt: Filter, adapter: str, folder: Path) -> None:
    (folder / "labels.jsonl").write_text(json.dumps({"content": "a text", "scores": {"reach": 1, "proof": 2}}))
    evaluate_file(store, flt, adapter, folder / "labels.jsonl")


def _work(store: Store, flt: Filter, adapter: str, folder: Path) -> None:
    (folder / "corpus.jsonl").write_text('{"content": "a text"}\n')
    publish_filter(store, flt)
    served = serving_plan(store, flt.name, adapter, flt.spec.student)
    plan = plan_for(flt, adapter, find_corpus(str(folder / "corpus.jsonl")), part_bytes=2**20, served=served)
    out = open_store(str(folder / "out"))
    begin(out, plan)
    worker.work([(out, plan.job)], store.uri, 0)


def _score(store: Store, flt: Filter, adapter: str, folder: Path) -> None:
    (folder / "corpus.jsonl").write_text('{"content": "a text"}\n')
    _here([flt.name], "", str(folder / "corpus.jsonl"), "", 0, store.uri, "parquet", [])


CALLERS: dict[str, Callable[[Store, Filter, str, Path], object]] = {
    "benchmark": lambda store, flt, adapter, folder: predict(store, flt, adapter, "0" * 64, lambda: None),  # type: ignore[arg-type,return-value]
    "evaluate": _evaluate,
    "promote": lambda store, flt, adapter, folder: reproduce(store, flt.name, adapter, flt.spec.student),  # type: ignore[arg-type]
    "a scoring pod": _work,
    "score": _score,
    "select": lambda store, flt, adapter, folder: _affinity(store, flt, ""),
    "Python": lambda store, flt, adapter, folder: _facade.Adapter(store, flt, adapter, None).student,  # type: ignore[arg-type]
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(
    ("here", "judged", "plan"),
    [
        ({"cuda": True}, GPU16, GPU16),
        ({"cuda": True}, Plan(device="cuda"), Plan(device="cuda")),
        ({}, BF16, BF16),
        ({}, Plan(), Plan()),
        ({"bf16": False}, BF16, Plan()),
    ],
)
def test_every_caller_opens_the_student_where_the_plan_says(
    caller: str,
    here: dict[str, bool],
    judged: Plan,
    plan: Plan,
    machine: Callable[..., None],
    store: Store,
    flt: Filter,
    student: Student,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The benchmark chooses for itself, the others follow what it judged."""
    machine(**here)
    adapter = save_bundle(store, flt.name, student)
    judged.put(store, judged_key(adapter, "auto"))

    def opened(*_: Any, plan: Plan, **__: Any) -> None:
        raise Opened(str(plan))

    monkeypatch.setattr(bundle, "open_bundle", opened)
    monkeypatch.setattr(devices, "require_able", lambda plan: None)
    monkeypatch.setattr(adapters, "find_adapter", lambda *_, **__: Subject(flt, adapter))
    monkeypatch.setattr(channels, "current", lambda *_: SimpleNamespace(adapter=adapter))
    with pytest.raises(Opened) as found:
        CALLERS[caller](store, flt, adapter, tmp_path)
    own = {True: GPU, False: Plan() if here else OPENVINO}[bool(here.get("cuda"))]
    assert str(found.value) == str(own if caller == "benchmark" else plan)


def test_training_asks_for_the_same_device(flt: Filter, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.training.train import train
    from tests.training.conftest import store_split

    def asked(student: Section) -> None:
        raise Opened(student.device)

    monkeypatch.setattr(devices, "device_for", asked)
    with pytest.raises(Opened, match="auto"):
        train(store, flt, split=store_split(store))


def test_pods_do_what_was_judged_by_torch_on_a_cpu(store: Store, student: Student, machine: Callable[..., None]) -> None:
    machine(bf16=False, openvino=False)  # who submits computes nothing
    adapter, wish = save_bundle(store, "tiny", student), section()
    assert cluster_plan(store, "tiny", adapter, wish) == Plan()
    for judged, plan in [(OPENVINO, Plan()), (BF16, BF16), (GPU, Plan()), (Plan(), Plan())]:
        judged.put(store, judged_key(adapter, "auto"))
        assert cluster_plan(store, "tiny", adapter, wish) == plan


def test_pods_with_a_gpu_do_what_was_judged_there(store: Store, student: Student, machine: Callable[..., None]) -> None:
    machine(bf16=False, openvino=False)
    adapter, wish, plain = save_bundle(store, "tiny", student), section(), Plan(device="cuda")
    assert cluster_plan(store, "tiny", adapter, wish, gpu=True) == plain
    for judged, plan in [(OPENVINO, plain), (BF16, plain), (GPU, GPU), (Plan(), plain)]:
        judged.put(store, judged_key(adapter, "auto"))
        assert cluster_plan(store, "tiny", adapter, wish, gpu=True) == plan
    with pytest.raises(InputError, match=r"student.device: says cpu, and pods that score have a GPU each; set"):
        cluster_plan(store, "tiny", adapter, section(device="cpu"), gpu=True)


def test_a_pod_without_the_engine_says_so(machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    machine(cuda=False)
    with pytest.raises(InputError, match="no GPU here, and it is served in bf16 on cuda by torch"):
        devices.require_able(GPU)
    monkeypatch.setattr(devices, "require", lambda names: (_ for _ in ()).throw(InputError(f"needs {names[0]}")))
    with pytest.raises(InputError, match="needs openvino"):
        devices.require_able(OPENVINO)
    devices.require_able(Plan())


def test_a_job_of_scoring_is_named_by_its_plan_too(flt: Filter, tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"content": "a text"}\n')
    corpus = find_corpus(str(tmp_path / "corpus.jsonl"))
    plans = [plan_for(flt, "a" * 64, corpus, part_bytes=2**20, served=served) for served in [Plan(), *EVERY]]
    assert len({plan.job for plan in plans}) == 5
    assert b"served" not in plans[0].to_bytes()
    assert [type(plan).of(plan.document()) for plan in plans] == plans


@pytest.mark.parametrize(
    ("parity", "plan", "says"),
    [
        (None, BF16, "does not let bf16 on cpu by torch serve; serve it in fp32"),
        (record(OPENVINO), BF16, "does not let bf16 on cpu by torch serve"),
        (record(BF16, passed=False), BF16, "does not let bf16 on cpu by torch serve"),
        (record(BF16, largest=0.2), Plan(), "are beyond the bounds that it says they passed"),
        (record(BF16, golden=[[1.0, 2.0, 3.0]] * 7), Plan(), "don't match the texts and dimensions"),
        (record(BF16, golden=[[1.0, 2.0]] * 8), Plan(), "don't match the texts and dimensions"),
    ],
)
def test_a_bundle_opens_only_by_a_plan_that_its_record_lets_serve(
    store: Store, student: Student, parity: ParityFile | None, plan: Plan, says: str
) -> None:
    student.parity = parity
    with pytest.raises(InputError, match=says):
        open_bundle(store, "tiny", save_bundle(store, "tiny", student), plan=plan)


def test_golden_predictions_are_kept_for_each_precision(store: Store, student: Student) -> None:
    served = dataclasses.replace(student, plan=BF16, _forward=None)
    golden = served.predict(served.golden[0])
    student.parity = record(BF16, golden=golden.tolist())
    adapter = save_bundle(store, "tiny", student)
    assert check_golden(open_bundle(store, "tiny", adapter)) < 1e-5
    assert check_golden(open_bundle(store, "tiny", adapter, plan=BF16)) < 0.05
    student.parity = record(BF16, golden=(golden + 0.2).tolist())
    moved = save_bundle(store, "tiny", student)
    assert check_golden(open_bundle(store, "tiny", moved)) < 1e-5
    with pytest.raises(InputError, match="doesn't reproduce its golden predictions in bf16"):
        check_golden(open_bundle(store, "tiny", moved, plan=BF16))


@pytest.mark.parametrize(("weights", "tokens"), [(0, 2048), (22_000_000, 2048), (1_500_000_000, 666), (7_000_000_000, 512)])
def test_a_pass_of_a_large_model_is_short_enough_to_tell_of(weights: int, tokens: int) -> None:
    assert cpu_budget(weights) == tokens
