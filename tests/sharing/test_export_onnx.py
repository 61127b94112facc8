"""An exported ONNX file gives final scores by its card's own code, whatever the base, or is not there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.artifacts.bundle import StudentFacts
from distillery.components.artifacts.serving import Candidate, ParityFile, Plan
from distillery.components.sharing import onnx_file
from distillery.components.sharing.bundle_copy import copy_bundle
from distillery.components.store import open_store
from distillery.components.student.architectures import ARCHITECTURES
from distillery.components.student.base_files import parse_config
from distillery.components.student.body import random_body, settings_of
from distillery.components.student.bundle import Student
from distillery.components.student.graph import Corrected, example
from distillery.components.student.model import StudentModel
from distillery.components.student.score_curves import ScoreCurves
from distillery.components.student.tokens import Preprocessing, Tokenizing
from distillery.filters.errors import InputError
from tests.pipelines.harness import run_here
from tests.sharing.conftest import ADAPTER, Distillery
from tests.sharing.test_export_folder import code_of, golden
from tests.student.conftest import make_student as make_student
from tests.student.tiny import TINY

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "onnx"
    ran = run_here("export", "onnx", "filter.yaml", "--out", out, "--json", cwd=home)
    assert ran.code == 0, ran.err
    assert ran.json["adapter"] == ADAPTER
    assert ran.json["difference"] < 1e-3
    return out


def test_the_cards_own_code_gives_the_golden_scores(exported: Path, home: Path) -> None:
    texts, wanted = golden(home)
    code = "import sys\nfor name in ('distillery', 'torch', 'transformers'): sys.modules[name] = None\n"
    more = f"\nimport json\nprint(json.dumps([list(row.values()) for row in scores({texts!r})]))\n"
    words = [sys.executable, "-P", "-c", code + code_of(exported / "README.md") + more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=exported, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.array(json.loads(done.stdout.splitlines()[-1])) - wanted).max() < 1e-3


def test_the_record_says_how_near_it_is_to_the_adapter_and_the_file_whose_it_is(exported: Path) -> None:
    import onnx

    record = json.loads((exported / "onnx.json").read_bytes())
    assert record["adapter"] == ADAPTER
    assert set(record["differences"]) == {"reach", "proof", "thrift", "largest"}
    assert 0 <= max(record["differences"].values()) < record["tolerance"] == 0.001
    assert record["judged"] == {"plan": "fp32 on cpu by torch", "difference": record["differences"]["largest"]}
    model = onnx.load(exported / "model.onnx")
    onnx.checker.check_model(model)
    assert {each.key.rpartition(".")[2]: each.value for each in model.metadata_props} == {
        "adapter": ADAPTER,
        "filter": "village-gain",
        "dimensions": '["reach", "proof", "thrift"]',
    }
    assert b"site-packages" not in (exported / "model.onnx").read_bytes()


def test_what_lies_beside_it_is_what_a_folder_has_and_the_card_names_nothing_else(exported: Path) -> None:
    files = {str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file() and path.parent.name != "plots"}
    beside = {"config.json", "tokenizer.json", "tokenizer_config.json", "filter.yaml", "golden.json"}
    assert files == {"model.onnx", "onnx.json", "README.md"} | beside
    text = (exported / "README.md").read_text("utf-8")
    assert 'library_name: "onnx"' in text
    assert set(re.findall(r"`([\w.]+\.(?:json|yaml|onnx))`", text)) <= files


def test_the_same_export_again_changes_nothing(exported: Path, distillery: Distillery) -> None:
    before = {path: path.stat().st_mtime_ns for path in exported.rglob("*")}
    assert distillery("export", "onnx", ADAPTER[:12], "--out", exported).code == 0
    assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} == before


@pytest.mark.parametrize(
    ("file", "said"),
    [("model.onnx", "gives other scores than the adapter (off by"), ("tokenizer.json", "what was written can't be loaded")],
)
def test_what_reads_back_otherwise_is_not_exported(
    file: str, said: str, distillery: Distillery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onnx_file.write_graph

    def damaged(student: Student, path: Path, about: dict[str, str]) -> None:
        if file == "tokenizer.json":
            (path.parent / file).write_text("{}")
        other = {name: tensor * 1.1 for name, tensor in student.tensors.items()}
        real(replace(student, tensors=other) if file == path.name else student, path, about)

    monkeypatch.setattr(onnx_file, "write_graph", damaged)
    ran = distillery("export", "onnx", "filter.yaml", "--out", tmp_path / "out")
    assert ran.code == 2
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


def test_raw_scores_are_compared_where_curves_hide_that_they_are_others(
    make_student: Any, tiny_encoder: Path, tmp_path: Path
) -> None:
    student: Student = replace(make_student(tiny_encoder), score_curves=ScoreCurves(True, [([0.0, 1.0], [5.0, 5.0])] * 3, 1, 0))
    (tmp_path / "tokenizer.json").write_bytes((student.base.path / "tokenizer.json").read_bytes())
    onnx_file.write_graph(student, tmp_path / "model.onnx", {})
    onnx_file.check(student, tmp_path)
    texts, raw = student.golden
    with pytest.raises(InputError, match=r"gives other scores than the adapter \(off by 0.5 points\)"):
        onnx_file.check(replace(student, golden=(texts, raw + 0.5)), tmp_path)


def test_a_student_too_large_for_one_file_is_refused_before_it_is_loaded(
    distillery: Distillery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "weights_of", lambda base: 10**9)
    monkeypatch.setattr(onnx_file, "write_graph", None)
    ran = distillery("export", "onnx", "filter.yaml", "--out", tmp_path / "out")
    assert ran.code == 2
    assert "has 3.7 GiB of weights in fp32, and one ONNX file holds less than 2; export a folder" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_what_torch_cant_export_is_one_line(
    make_student: Any, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fails(*words: Any, **more: Any) -> None:
        raise RuntimeError("operator x is not supported\nand a long trace")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(InputError, match="can't export this student as ONNX: operator x is not supported; export a folder"):
        onnx_file.write_graph(make_student(tiny_encoder), tmp_path / "model.onnx", {})


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
@pytest.mark.parametrize(("share", "instruction"), [(None, ""), (0.6, "the farm opens")])
def test_the_code_scores_as_we_do_whatever_base_and_cut(
    kind: str, share: float | None, instruction: str, make_student: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    student: Student = make_student(request.getfixturevalue(kind))
    preprocessing = Preprocessing(24, share, instruction)
    facts = student.facts.model_dump() | {"maxLength": 24, "headTail": share, "preprocessing": preprocessing.facts()}
    facts = StudentFacts.model_validate(facts | {"instruction": instruction})
    knots = [([-1.0, -0.5, 0.2], [1.0, 4.0, 9.0]), ([0.0, 0.1], [2.0, 8.0]), ([-3.0, 3.0], [0.0, 10.0])]
    curves = ScoreCurves(True, knots, 1, 0)
    student = replace(student, facts=facts, score_curves=curves, _tokenizing=Tokenizing(student.base, preprocessing))
    texts = [*student.golden[0], ("", ""), ("A\x07 title\x00", "café " * 300), ("x" * 2000, "y" * 9000), ("Text", "wind " * 23)]
    (tmp_path / "tokenizer.json").write_bytes((student.base.path / "tokenizer.json").read_bytes())
    onnx_file.write_graph(student, tmp_path / "model.onnx", {})
    ours = student.predict(texts)
    student = replace(student, golden=(texts, ours))
    assert onnx_file.apart(onnx_file.check(student, tmp_path).scores, student.scores(ours)).max() < 1e-3
    names = dict[str, Any]()
    exec(onnx_file.onnx_code(student, folder=tmp_path, use=False), names)
    found = np.array([list(row.values()) for row in names["scores"](texts)])
    assert np.abs(found - student.scores(ours)).max() < 1e-3


SOME = ("bert", "mpnet", "gemma3_text", "qwen2")  # the others take a minute


@pytest.mark.parametrize("name", [pytest.param(each, marks=() if each in SOME else pytest.mark.slow) for each in TINY])
def test_every_architecture_can_be_exported(name: str, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(3)
    body = random_body(settings_of(parse_config(json.dumps({"model_type": name, **TINY[name]}).encode(), name)))
    head = torch.nn.Linear(body.config.hidden_size, 3, bias=False)  # type: ignore[attr-defined, arg-type]
    model = StudentModel(body, head, ARCHITECTURES[name].kind).requires_grad_(False).eval()
    drawn = np.random.default_rng(1)
    knots = [(np.sort(drawn.normal(size=k)).tolist(), np.sort(drawn.uniform(0, 10, k)).tolist()) for k in (2, 9, 40)]
    curves = ScoreCurves(True, knots, 1, 0)
    onnx_file.write(Corrected(model, curves), tmp_path / "model.onnx", {})
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for rows, longest in [(1, 1), (3, 11), (2, 60)]:
        ids, lengths = torch.randint(2, 60, (rows, longest)), torch.randint(1, longest + 1, (rows,))
        lengths[0] = longest
        mask = (torch.arange(longest) < lengths[:, None]).long()
        scores, raw = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        assert np.abs(raw - model(ids, lengths).numpy()).max() < 1e-4
        assert np.abs(scores - curves.apply(raw.astype(np.float64))).max() < 1e-5


@pytest.mark.parametrize("value", [-1e9, -2.0, 0.0, 0.25, 1.0, 7.0, 1e9, float("nan")])
def test_curves_in_the_graph_are_those_of_numpy(value: float) -> None:
    import torch

    curves = ScoreCurves(True, [([0.0, 0.25, 1.0], [1.0, 1.0, 9.5]), ([-2.0, 7.0], [0.0, 10.0])], 1, 0)
    graph = Corrected(StudentModel(torch.nn.Identity(), torch.nn.Linear(1, 2), "encoder"), curves)
    graph.raw.forward = lambda ids, mask: torch.full((3, 2), value)  # type: ignore[method-assign]
    scores, raw = graph(*example())
    np.testing.assert_allclose(scores.numpy(), curves.apply(raw.double().numpy()), atol=1e-6)


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_a_student_of_which_every_weight_was_trained_is_exported_likewise(
    kind: str, make_student: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    student: Student = make_student(request.getfixturevalue(kind), None)
    (tmp_path / "tokenizer.json").write_bytes((student.base.path / "tokenizer.json").read_bytes())
    onnx_file.write_graph(student, tmp_path / "model.onnx", {})
    found = onnx_file.check(student, tmp_path)
    assert onnx_file.apart(found.scores, student.scores(student.golden[1])).max() < 1e-3


def test_the_record_holds_scores_against_those_of_the_plan_that_was_judged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, plan = open_store(str(home / ".distillery")), Plan(precision="bf16")
    bundle = copy_bundle(store, ADAPTER)
    raw = bundle.student.golden[1]
    golden = (raw + 0.02).tolist()
    fine: dict[str, Any] = {"p999": 0.03, "largest": 0.03, "mae": 0.6, "mae_fp32": 0.6, "tiers_flipped": 0, "passed": True}
    bundle.student.parity = ParityFile(articles=200, candidates=[Candidate(plan=plan, golden=golden, **fine)])
    monkeypatch.setattr(onnx_file, "judged_plan", lambda store, adapter, precision: plan)
    record = json.loads(onnx_file._record(store, bundle, onnx_file.ReadBack([bundle.student.scores(raw)] * 2, [])))
    assert record["differences"]["largest"] == 0
    assert record["judged"]["plan"] == "bf16 on cpu by torch"
    assert record["judged"]["difference"] == pytest.approx(0.02, abs=1e-5)


def test_openvino_reads_the_file_and_gives_the_same_scores(make_student: Any, tiny_encoder: Path, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    drawn, student = np.random.default_rng(1), make_student(tiny_encoder)
    knots = [(np.sort(drawn.normal(size=k)).tolist(), np.sort(drawn.uniform(0, 10, k)).tolist()) for k in (2, 9, 40)]
    student = replace(student, score_curves=ScoreCurves(True, knots, 1, 0))
    onnx_file.write_graph(student, tmp_path / "model.onnx", {})
    compiled = openvino.Core().compile_model(tmp_path / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    tokens = Tokenizing(student.base, student.preprocessing)(student.golden[0])
    ids, lengths = tokens.batch(np.arange(len(tokens)))
    mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
    scores, raw = compiled([ids, mask]).values()
    assert np.abs(raw - student.golden[1]).max() < 1e-4
    assert np.abs(scores - student.scores(raw.astype(np.float64))).max() < 1e-2
