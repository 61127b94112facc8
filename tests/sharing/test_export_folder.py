"""An exported folder gives the golden scores by its card's own code, or is not there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from distillery.components.artifacts.bundle import BaseFacts, StudentFacts
from distillery.components.artifacts.measurement import note_measurement
from distillery.components.sharing import bundle_copy, snippet
from distillery.components.sharing.bundle_copy import copy_bundle
from distillery.components.sharing.model_card import model_card, peft_form
from distillery.components.store import open_store
from distillery.components.student.bundle import Student, bundle_files, open_bundle
from distillery.components.student.tokens import Preprocessing, Tokenizing
from tests.artifacts.made import made_measurement
from tests.pipelines.harness import run_here
from tests.sharing.conftest import ADAPTER, Distillery
from tests.student.conftest import make_student as make_student

NAME = "village-gain"


@pytest.fixture(scope="module")
def exported(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "folder"
    ran = run_here("export", "folder", "filter.yaml", "--out", out, "--with-base", "--json", cwd=home)
    assert ran.code == 0, ran.err
    assert ran.json["adapter"] == ADAPTER
    assert ran.json["difference"] < 1e-3
    return out


def code_of(card: Path) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```", card.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return str(code)


def test_the_cards_own_code_gives_the_golden_scores(exported: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported)
    code, names = code_of(exported / "README.md"), dict[str, Any]()
    exec(code, names)
    texts, wanted = golden(home)
    assert np.abs(np.array([list(names["scores"](*text).values()) for text in texts]) - wanted).max() < 1e-3
    assert "distillery" not in code


@pytest.mark.slow
def test_the_cards_own_code_needs_nothing_of_this_project(exported: Path, home: Path) -> None:
    texts, wanted = golden(home)
    code = f"import sys\nsys.modules['distillery'] = None\n{code_of(exported / 'README.md')}"
    more = f"\nprint(json.dumps([list(scores(*text).values()) for text in {texts!r}]))\n"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-P", "-c", code + more]
    done = subprocess.run(words, cwd=exported, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.array(json.loads(done.stdout.splitlines()[-1])) - wanted).max() < 1e-3


def golden(home: Path) -> tuple[list[tuple[str, str]], np.ndarray]:  # type: ignore[type-arg]
    student = open_bundle(open_store(str(home / ".distillery")), NAME, ADAPTER)
    texts, raw = student.golden
    return texts, student.scores(raw)


def test_the_card_is_made_of_documents_without_a_placeholder(exported: Path) -> None:
    card = ModelCard.load(exported / "README.md")
    text = (exported / "README.md").read_text("utf-8")
    assert card.data.library_name == "peft"
    assert {result.metric_type for result in card.data.eval_results} == {"mae", "rmse", "spearmanr"}
    assert "Promoted to production, though it is behind the baseline tfidf ridge" in text
    for gap in ("TODO", "More Information Needed", "{{", "None", "nan", "–\n"):
        assert gap not in text.replace('folder / "base", None', ""), gap


def test_an_adapter_that_was_measured_again_has_the_same_card(copied_home: Path) -> None:
    store = open_store(str(copied_home / ".distillery"))
    bundle = copy_bundle(store, ADAPTER)
    before = model_card(store, bundle, peft_form(bundle, inside=False))
    note_measurement(store, NAME, ADAPTER, made_measurement())
    assert model_card(store, bundle, peft_form(bundle, inside=False)) == before


def test_the_card_shows_plots_that_lie_beside_it(exported: Path) -> None:
    pytest.importorskip("matplotlib")
    shown = re.findall(r"!\[[a-z ]+\]\(([^)]+)\)", (exported / "README.md").read_text("utf-8"))
    assert shown == [f"plots/{name}.png" for name in ("overall_metrics", "per_dimension_mae", "loss_curves")]
    assert all((exported / path).read_bytes().startswith(b"\x89PNG") for path in shown)


def test_without_what_draws_them_there_are_none(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.sharing import folder

    monkeypatch.setattr(folder, "find_spec", lambda name: None)
    ran = run_here("export", "folder", "filter.yaml", "--out", tmp_path / "out", cwd=home)
    assert ran.code == 0, ran.err
    assert not (tmp_path / "out" / "plots").exists()
    assert "![" not in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_the_bundle_in_it_is_the_same_bytes_and_configuration_names_the_outputs(exported: Path, home: Path) -> None:
    stored = home / ".distillery" / "adapters" / NAME / ADAPTER
    for path in stored.iterdir():
        assert (exported / path.name).read_bytes() == path.read_bytes()
    config = json.loads((exported / "config.json").read_bytes())
    assert config["id2label"] == {"0": "reach", "1": "proof", "2": "thrift"}
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(exported)
    assert tokenizer("solar farm")["input_ids"] == AutoTokenizer.from_pretrained(exported / "base")("solar farm")["input_ids"]


def test_the_filter_in_it_says_neither_where_data_lie_nor_how_the_oracle_is_reached(exported: Path) -> None:
    text = (exported / "filter.yaml").read_text("utf-8")
    assert "village-gain" in text
    for private in ("replies", "labels:", "articles:", "baseUrl", "/tmp", "/work"):
        assert private not in text


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("adapter_model.safetensors", "was not written as it is"),
        ("training_history.json", "was not written as it is"),
        ("base/model.safetensors", "what was written gives other scores than the adapter (off by"),
        ("tokenizer.json", "what was written can't be loaded"),
    ],
)
def test_what_reads_back_otherwise_is_not_exported(
    file: str, said: str, distillery: Distillery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.components.sharing import folder

    real = folder.copied

    def damaged(files: dict[str, Any], to: Path) -> None:
        real(files, to)
        if file in files:
            data = bytearray((to / file).read_bytes())
            data[len(data) // 2 :] = bytes(len(data[len(data) // 2 :]))
            (to / file).write_bytes(data[:-1] if file == "tokenizer.json" else data)

    monkeypatch.setattr(folder, "copied", damaged)
    ran = distillery("export", "folder", "filter.yaml", "--out", tmp_path / "out", "--with-base")
    assert ran.code == 2
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_difference_that_is_no_number_fails() -> None:
    from distillery.filters.errors import InputError

    with pytest.raises(InputError, match="off by nan"):
        bundle_copy.require_same(float("nan"), "there")


def test_a_damaged_adapter_is_not_exported(copied_home: Path, tmp_path: Path) -> None:
    path = copied_home / ".distillery" / "adapters" / NAME / ADAPTER / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-2] ^= 0x40
    path.write_bytes(data)
    ran = run_here("export", "folder", "filter.yaml", "--out", tmp_path / "out", cwd=copied_home)
    assert ran.code == 2
    assert "holds other bytes than its digest names" in ran.err
    assert not (tmp_path / "out").exists()


def test_the_same_export_again_changes_nothing(exported: Path, distillery: Distillery) -> None:
    before = {path: path.stat().st_mtime_ns for path in exported.rglob("*")}
    assert distillery("export", "folder", ADAPTER[:12], "--out", exported, "--with-base").code == 0
    assert {path: path.stat().st_mtime_ns for path in exported.rglob("*")} == before
    ran = distillery("export", "folder", ADAPTER, "--out", exported)
    assert ran.code == 2
    assert "give --replace" in ran.err


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
@pytest.mark.parametrize("share", [None, 0.6])
@pytest.mark.parametrize("instruction", ["", "the farm opens"])
def test_the_code_scores_as_we_do_whatever_base_and_cut(
    kind: str, share: float | None, instruction: str, make_student: object, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    student: Student = make_student(request.getfixturevalue(kind))  # type: ignore[operator]
    preprocessing = Preprocessing(24, share, instruction)
    facts = student.facts.model_dump() | {"maxLength": 24, "headTail": share, "preprocessing": preprocessing.facts()}
    facts |= {"instruction": instruction}
    student.facts = StudentFacts(**facts | {"base": BaseFacts(**facts["base"]), "lora": student.facts.lora})
    student._tokenizing = Tokenizing(student.base, preprocessing)
    for name, data in bundle_files(student).items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "tokenizer.json").write_bytes((student.base.path / "tokenizer.json").read_bytes())
    texts = [
        *student.golden[0],
        ("", ""),
        ("A\x07 title\x00", "café " * 300),
        ("x" * 2000, "y" * 9000),
        ("Ein Text", "wind " * 23),
    ]
    code = snippet.snippet(student.facts, student.base, at=repr(str(student.base.path)), folder=repr(str(tmp_path)), use=False)
    raw, final = snippet.run(code, texts)
    ours = student.predict(texts)
    assert np.abs(raw - ours).max() < 1e-4
    assert np.abs(final - student.scores(ours)).max() < 1e-4
