"""After training, each faster plan is compared with fp32 on the validation part; only one that predicts the same serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from distillery.components.artifacts.serving import Plan
from distillery.components.artifacts.split import StoredSplit
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.predict import predict
from distillery.components.promotion.move import reproduce
from distillery.components.store import Digest, Store
from distillery.components.student import devices, engines
from distillery.components.student.bundle import open_bundle
from distillery.components.student.devices import cluster_plan, serving_plan
from distillery.components.student.predict import TorchForward
from distillery.components.training.train import train
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.training.conftest import Notes, store_split

Make = Callable[..., Filter]
BF16 = Plan(precision="bf16")
ENOUGH = (48, 200, 20)


class Near(TorchForward):
    """Predicts a hundredth of a point too much, as bf16 might."""

    def __call__(self, ids: Any, lengths: Any) -> Any:
        return super().__call__(ids, lengths) + 0.01


class Off(TorchForward):
    """Predicts a sixth of a point too much."""

    def __call__(self, ids: Any, lengths: Any) -> Any:
        return super().__call__(ids, lengths) + 1 / 6


class Broken(TorchForward):
    """Predicts no numbers."""

    def __call__(self, ids: Any, lengths: Any) -> Any:
        return super().__call__(ids, lengths) * np.nan


@pytest.fixture(autouse=True)
def bf16(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[TorchForward]], None]:
    """A CPU with bf16, without OpenVINO: `bf16(Off)` says how it predicts."""
    whole = engines.engine

    def predicts(kind: type[TorchForward]) -> None:
        def engine(plan: Plan, *others: Any) -> Any:
            if plan.engine == "openvino":
                raise InputError("OpenVINO can't compile this student: no such operation")
            made: Any = whole(plan.model_copy(update={"precision": "fp32"}), *others)
            return kind(made.model) if plan.precision == "bf16" else made

        monkeypatch.setattr("distillery.components.student.student.engine", engine)

    monkeypatch.setattr(devices, "native_bf16", lambda: True)
    monkeypatch.setattr(devices, "find_spec", lambda _: None)
    predicts(Near)
    return predicts


def trained(store: Store, flt: Filter, counts: tuple[int, int, int] = ENOUGH) -> tuple[str, str, list[str]]:
    """Return adapter, split and notes of a training."""
    notes, split = Notes(), store_split(store, counts)
    return str(train(store, flt, split=split, progress=notes).outputs["adapter"]), split, notes.notes


def test_bf16_serves_where_it_predicts_what_fp32_predicts(store: Store, tiny_filter: Make) -> None:
    flt = tiny_filter(epochs=1)
    adapter, split, notes = trained(store, flt)
    (told,) = [note for note in notes if note.startswith("bf16 on cpu by torch may serve: scores differ by at most 0.0")]
    assert told.endswith("of 200 tiers changed")
    plain, served = open_bundle(store, "tiny", adapter), open_bundle(store, "tiny", adapter, plan=BF16)
    assert plain.parity is not None
    (candidate,) = plain.parity.candidates
    texts = [(f"{row}", "the city opens a wind farm after years of study " * (row % 7)) for row in range(60)]
    together = served.predict(texts)
    assert 0 < np.abs(together - plain.predict(texts)).max() < 0.1
    assert np.abs(together - np.concatenate([served.predict([text]) for text in texts])).max() < 0.1
    assert served.predict(texts).tobytes() == together.tobytes()
    assert candidate.golden == served.predict(served.golden[0]).round(6).tolist()

    judged = benchmark(store, flt, adapter=adapter, split=split)
    assert store.get_json(judged.outputs["key"])["served"] == BF16.to_json()
    assert serving_plan(store, "tiny", adapter, flt.spec.student) == BF16
    assert cluster_plan(store, "tiny", adapter, flt.spec.student) == BF16
    assert reproduce(store, "tiny", Digest(adapter)) < 0.05


def test_a_filter_that_wants_fp32_is_judged_in_it(store: Store, tiny_filter: Make) -> None:
    flt = tiny_filter(epochs=1)
    wants = Filter.model_validate(flt.model_dump() | {"spec": flt.spec.model_dump() | {
        "student": flt.spec.student.model_dump() | {"precision": "fp32"}}})  # fmt: skip
    adapter, split, _ = trained(store, flt)
    assert trained(store, wants)[0] == adapter
    test = StoredSplit(store, split)
    records = [predict(store, each, adapter, test.test, lambda: test.tables().test) for each in (flt, wants, flt)]
    assert [record.outputs.get("served") for record in records] == [BF16.to_json(), None, BF16.to_json()]
    assert [record.reused for record in records] == [False, False, True]
    for each, plan in ((flt, BF16), (wants, Plan())):
        assert serving_plan(store, "tiny", adapter, each.spec.student) == plan


def test_two_hundred_articles_are_needed(store: Store, tiny_filter: Make) -> None:
    adapter, _, notes = trained(store, tiny_filter(epochs=1), (48, 199, 20))
    assert "it serves in fp32: 199 validation articles, and 200 are needed to compare" in notes
    assert open_bundle(store, "tiny", adapter).parity is None
    assert "parity.json" not in store.folder("adapters/tiny", Digest(adapter)).files


@pytest.mark.parametrize(("kind", "says"), [(Off, "is too far from fp32"), (Broken, "can't serve: its predictions are not")])
def test_what_predicts_otherwise_does_not_serve(
    store: Store, tiny_filter: Make, bf16: Callable[[type[TorchForward]], None], kind: type[TorchForward], says: str
) -> None:
    bf16(kind)
    flt = tiny_filter(epochs=1)
    adapter, split, notes = trained(store, flt)
    assert any(says in note for note in notes)
    assert serving_plan(store, "tiny", adapter, flt.spec.student) == Plan()
    assert "served" not in store.get_json(benchmark(store, flt, adapter=adapter, split=split).outputs["key"])


def test_an_engine_that_cannot_take_the_architecture_is_left_out(
    store: Store, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "find_spec", lambda _: SimpleNamespace())
    adapter, _, notes = trained(store, tiny_filter(epochs=1))
    assert any("bf16 on cpu by openvino can't serve: OpenVINO can't compile this student" in note for note in notes)
    parity = open_bundle(store, "tiny", adapter).parity
    assert parity is not None
    assert [candidate.plan for candidate in parity.candidates] == [BF16]


def test_a_large_body_is_not_converted(store: Store, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A converter holds copies of it in fp32, and pods have room for one."""
    monkeypatch.setattr(devices, "find_spec", lambda _: SimpleNamespace())
    monkeypatch.setattr("distillery.components.student.parity.CONVERTED", 1000)
    _, _, notes = trained(store, tiny_filter(epochs=1))
    assert not [note for note in notes if "openvino" in note]


@pytest.mark.parametrize("folder", ["tiny_encoder", "tiny_decoder"])
def test_openvino_predicts_what_torch_predicts(
    folder: str, request: pytest.FixtureRequest, store: Store, tiny_filter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.undo()
    path: Path = request.getfixturevalue(folder)
    adapter, _, _ = trained(store, tiny_filter(folder=path, epochs=1), (48, 20, 20))
    plain = open_bundle(store, "tiny", adapter)
    served = open_bundle(store, "tiny", adapter, plan=Plan(engine="openvino"))
    texts = [(f"{row}", "the city opens a wind farm after years of study " * (row % 7)) for row in range(40)]
    together = served.predict(texts)
    assert np.abs(together - plain.predict(texts)).max() < 1e-4
    assert np.abs(together - np.concatenate([served.predict([text]) for text in texts])).max() < 1e-4
    assert served.predict(texts).tobytes() == together.tobytes()
