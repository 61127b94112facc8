"""An adapter that names content types names them as an ONNX file, too; every other export says who does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from distillery.components.artifacts.bundle import ContentTypesFile, TypeRow
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.run_summary import remember_adapter
from distillery.components.sharing import onnx_file
from distillery.components.sharing.bundle_copy import copy_bundle
from distillery.components.sharing.model_card import model_card, peft_form
from distillery.components.store import Store, open_store
from distillery.components.student.bundle import Student, check_golden, save_bundle
from distillery.components.student.content_types import TypeHead
from distillery.components.student.tokens import Tokenizing
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.pipelines.harness import Ran, run_here
from tests.sharing.test_export_folder import code_of
from tests.student.conftest import NAMES
from tests.student.conftest import make_student as make_student
from tests.training.conftest import filter_of
from tests.training.typed import typed_labels

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

# Two of which a row has a threshold, one that is likely and never named, one without a row.
CAPS = {"notice": 1.0, "rumour": 3.0, "gossip": 4.0, "sermon": 2.0}


class Typed(NamedTuple):
    store: Store
    adapter: str

    def export(self, out: Path) -> Ran:
        return run_here("export", "onnx", self.adapter, "--store", self.store.uri, "--out", out, "--json", cwd=out.parent)


def typed(student: Student, names: tuple[str, ...] = ("notice", "rumour", "gossip")) -> Student:
    """A student with drawn rows for these types, of which the golden texts have some and lack some."""
    import torch

    drawn = torch.Generator().manual_seed(5)
    rows = [
        TypeRow(
            name=name,
            train=30,
            validation=9,
            weights=(torch.randn(student.base.hidden, generator=drawn) * 0.6).tolist() if name in names else [],
            bias=0.5 if name in names else 0.0,
            threshold=0.5 if name in names and name != "gossip" else None,
            precision=None,
            recall=None,
        )
        for name in CAPS
    ]
    file = ContentTypesFile(strength=1.0, types=rows, golden=[[0.0] * len(names)] * len(student.golden[0]))
    student = replace(student, types=TypeHead(file), _forward=None)
    found = student.with_probabilities(student.tokens(student.golden[0]))[1]
    return replace(student, types=TypeHead(file.model_copy(update={"golden": found.tolist()})))


def keep(store: Store, student: Student) -> Typed:
    document = filter_of(student.base.path).model_dump()
    document["spec"]["dimensions"] = [{"name": name, "weight": 1 / 3, "description": name} for name in NAMES]
    document["spec"]["contentTypes"] = [{"name": name, "description": name, "cap": cap} for name, cap in CAPS.items()]
    document["spec"]["student"]["contentTypes"] = "head" if student.types else "none"
    adapter = str(save_bundle(store, "tiny", student))
    remember_adapter(store, publish_filter(store, Filter.model_validate(document)), adapter)
    return Typed(store, adapter)


@pytest.fixture(scope="module", params=["tiny_encoder", "tiny_decoder"])
def kept(
    request: pytest.FixtureRequest, make_student: Callable[[Path], Student], tmp_path_factory: pytest.TempPathFactory
) -> Typed:
    student = typed(make_student(request.getfixturevalue(request.param)))
    check_golden(student)
    return keep(open_store(str(tmp_path_factory.mktemp("typed"))), student)


@pytest.fixture(scope="module")
def exported(kept: Typed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "onnx"
    ran = kept.export(out)
    assert ran.code == 0, ran.err
    assert ran.json["difference"] < 1e-3
    return out


def test_the_cards_own_code_names_the_types_that_the_student_names(
    exported: Path, kept: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported)
    names = dict[str, Any]()
    exec(code_of(exported / "README.md"), names)
    student = copy_bundle(kept.store, kept.adapter).student
    texts = [*student.golden[0], *((label.article.title, label.article.content) for label in typed_labels(60, 9))]
    raw, types = student.read(texts)
    assert {*types} == {"notice", "rumour", None}  # type: ignore[misc]
    assert {*types[: len(student.golden[0])]} > {None}  # type: ignore[index]
    found = names["read"](texts)
    assert [kind for _, kind in found] == types
    assert [kind for text in texts for _, kind in names["read"]([text])] == types
    assert np.abs(np.array([list(row.values()) for row, _ in found]) - student.scores(raw)).max() < 1e-3
    assert names["scores"](texts) == [row for row, _ in found]
    probabilities = student.with_probabilities(student.tokens(texts))[1]
    assert np.abs(np.array(names["outputs"](texts)["content_type_probabilities"]) - probabilities).max() < 1e-5


def test_the_file_and_its_record_say_names_and_thresholds(exported: Path) -> None:
    import onnx

    model, thresholds = onnx.load(exported / "model.onnx"), {"notice": 0.5, "rumour": 0.5, "gossip": None}
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.output] == ["scores", "raw", "content_type", "content_type_probabilities"]
    about = {each.key.rpartition(".")[2]: each.value for each in model.metadata_props}
    assert json.loads(about["content_types"]) == [{"name": name, "threshold": at} for name, at in thresholds.items()]
    record = json.loads((exported / "onnx.json").read_bytes())["content types"]
    assert 0 <= record.pop("difference") < 1e-4
    assert record == {"thresholds": thresholds}


def test_the_card_says_what_is_capped_and_what_never_is(exported: Path, kept: Typed) -> None:
    text = (exported / "README.md").read_text("utf-8")
    assert "- content type rumour, which the code of this page names: at most 3\n" in text
    assert "The student never names these content types, so their caps do not apply: gossip (4), sermon (2)." in text
    assert "`content_type_probabilities`" in text
    assert {*re.findall(r"`([\w.]+\.(?:json|yaml|onnx))`", text)} <= {path.name for path in exported.iterdir()}
    bundle = copy_bundle(kept.store, kept.adapter)
    text = model_card(kept.store, bundle, peft_form(bundle, inside=False))
    assert "- content type rumour, which `content_types.json` names, and the code of this page doesn't: at most 3\n" in text


Change = dict[str, Any]
WRONG: dict[str, tuple[Change, str]] = {
    "rows": ({"weights": [0.1] * 32}, "gives other content types than the adapter (probabilities off by"),
    "bias": ({"bias": 0.7}, "gives other content types than the adapter (probabilities off by"),
    "thresholds": ({"threshold": 0.2}, "names content types otherwise than by their thresholds"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_names_other_types_when_read_back_is_not_exported(
    what: str, kept: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, (change, said) = onnx_file.write_graph, WRONG[what]

    def damaged(student: Student, path: Path, about: dict[str, str]) -> None:
        assert student.types is not None
        rows = [row.model_copy(update=change) if row.weights else row for row in student.types.file.types]
        other = TypeHead(student.types.file.model_copy(update={"types": rows}))
        real(replace(student, types=other), path, about)

    monkeypatch.setattr(onnx_file, "write_graph", damaged)
    ran = kept.export(tmp_path / "out")
    assert ran.code == 2
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


def test_openvino_reads_the_file_and_names_the_same_types(exported: Path, kept: Typed) -> None:
    openvino = pytest.importorskip("openvino")
    compiled = openvino.Core().compile_model(exported / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    student = copy_bundle(kept.store, kept.adapter).student
    assert student.types is not None
    texts = [(label.article.title, label.article.content) for label in typed_labels(30, 9)]
    tokens = Tokenizing(student.base, student.preprocessing)(texts)
    ids, lengths = tokens.batch(np.arange(len(tokens)))
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    _, raw, types, probabilities = compiled([ids, mask]).values()
    ours, wanted = student.with_probabilities(tokens)
    assert np.abs(raw - ours).max() < 1e-4
    assert np.abs(probabilities - wanted).max() < 1e-4
    assert [student.types.names[at] if at >= 0 else None for at in types] == student.types.named(wanted)


@pytest.mark.parametrize("head", [True, False])
def test_a_student_that_never_names_a_type_is_exported_as_one_without_the_head(
    head: bool, make_student: Callable[[Path], Student], tiny_encoder: Path, tmp_path: Path
) -> None:
    student = make_student(tiny_encoder)
    out = tmp_path / "out"
    ran = keep(open_store(str(tmp_path / "store")), typed(student, ()) if head else student).export(out)
    assert ran.code == 0, ran.err
    session = ort.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["scores", "raw"]
    assert "content types" not in json.loads((out / "onnx.json").read_bytes())
    said = "never names these content types, so their caps do not apply: notice (1), rumour (3), gossip (4), sermon (2)."
    assert said in (out / "README.md").read_text("utf-8")


def test_probabilities_that_are_no_numbers_fail() -> None:
    row = TypeRow(name="a", train=9, validation=9, weights=[1.0], bias=0, threshold=0.5, precision=None, recall=None)
    types = TypeHead(ContentTypesFile(strength=1, types=[row], golden=[[0.2]]))
    with pytest.raises(InputError, match=r"off by nan\); export oci"):
        onnx_file._require_types(types, np.array([[float("nan")], [0.2]]), [None, None], "there", "export oci")
