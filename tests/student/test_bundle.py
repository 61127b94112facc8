"""A bundle comes back as it went, also into plain peft + transformers; anything else in it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, load_file, save

from distillery.components.store import open_store
from distillery.components.student.bundle import (
    FILES,
    Student,
    bundle_files,
    check_golden,
    open_bundle,
    save_bundle,
)
from distillery.components.student.tokens import Tokenizing
from distillery.filters.errors import InputError

Make = Callable[[Path], Student]
TEXTS = [("Wind for the village", "A village builds wind and storage. " * n) for n in (1, 3, 9)] + [("Bus", "stops")]


def write(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def stored(files: dict[str, bytes], folder: Path) -> Student:
    """The bundle of these files, out of a store."""
    store = open_store(str(folder / "store"))
    return open_bundle(store, "tiny", store.commit("adapters/tiny", files, {}))


@pytest.fixture(params=["tiny_encoder", "tiny_decoder"])
def student(request: pytest.FixtureRequest, make_student: Make) -> Student:
    return make_student(request.getfixturevalue(request.param))


@pytest.fixture
def files(tiny_encoder: Path, make_student: Make) -> dict[str, bytes]:
    return bundle_files(make_student(tiny_encoder))


def test_store_round_trip(student: Student, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    digest = save_bundle(store, "tiny", student)
    assert save_bundle(store, "tiny", student) == digest
    opened = open_bundle(store, "tiny", digest)
    raw = student.predict(TEXTS)
    assert raw.shape == (4, 3)
    np.testing.assert_allclose(opened.predict(TEXTS), raw, atol=1e-6)
    assert check_golden(opened) < 1e-5
    assert opened.facts == student.facts
    scores = opened.scores(np.array([[-5.0, 5.0, 25.0]]))
    assert scores.tolist() == [[1.0, 5.0, 9.0]]


def test_the_bytes_of_a_bundle_depend_on_the_student_alone(student: Student) -> None:
    assert bundle_files(student) == bundle_files(student)


def test_order_of_texts_is_kept(student: Student) -> None:
    raw = student.predict(TEXTS)
    np.testing.assert_allclose(student.predict(TEXTS[::-1]), raw[::-1], atol=1e-5)


def padded(student: Student) -> dict[str, torch.Tensor]:
    tokens = Tokenizing(student.base, student.preprocessing)(TEXTS)
    ids, lengths = tokens.batch(np.arange(len(TEXTS)))
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask).long()}


def test_plain_peft_and_transformers_load_a_decoder(tiny_decoder: Path, make_student: Make, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    student = make_student(tiny_decoder)
    folder = write(bundle_files(student), tmp_path / "bundle")
    plain = AutoModelForSequenceClassification.from_pretrained(tiny_decoder, num_labels=3)
    model = PeftModel.from_pretrained(plain, folder).eval()
    with torch.no_grad():
        raw = model(**padded(student)).logits
    np.testing.assert_allclose(raw.numpy(), student.predict(TEXTS), atol=1e-5)


def test_plain_peft_and_transformers_load_an_encoder(tiny_encoder: Path, make_student: Make, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModel

    student = make_student(tiny_encoder)
    folder = write(bundle_files(student), tmp_path / "bundle")
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_encoder), folder).eval()
    head = load_file(folder / "adapter_model.safetensors")["head.weight"]
    batch = padded(student)
    with torch.no_grad():
        states, mask = model(**batch).last_hidden_state, batch["attention_mask"][..., None]
        raw = ((states * mask).sum(1) / mask.sum(1)) @ head.T
    np.testing.assert_allclose(raw.numpy(), student.predict(TEXTS), atol=1e-5)


def test_a_random_head_doesnt_pass_for_the_trained_one(student: Student) -> None:
    name = next(name for name in student.tensors if "head" in name or "score" in name)
    other = Student(
        student.facts,
        student.base,
        {**student.tensors, name: torch.randn(3, 32)},
        student.score_curves,
        student.golden,
        student.history,
    )
    with pytest.raises(InputError, match="golden predictions"):
        check_golden(other)


def test_golden_predictions_that_are_not_numbers_fail(student: Student) -> None:
    texts, raw = student.golden
    student = Student(student.facts, student.base, student.tensors, student.score_curves, (texts, raw * np.nan), {})
    with pytest.raises(InputError, match="golden predictions"):
        check_golden(student)


def test_a_flipped_byte_is_found(student: Student, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    digest = save_bundle(store, "tiny", student)
    path = tmp_path / "store" / "adapters" / "tiny" / digest / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="other bytes"):
        open_bundle(store, "tiny", digest)


def test_no_such_adapter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no adapter"):
        open_bundle(open_store(str(tmp_path)), "tiny", "0" * 64)


def test_extra_and_missing_files(files: dict[str, bytes], tmp_path: Path) -> None:
    stored(files, tmp_path)
    with pytest.raises(InputError, match=r"pytorch_model\.bin"):
        stored({**files, "pytorch_model.bin": b""}, tmp_path)
    with pytest.raises(InputError, match=r"calibration\.json"):
        stored({name: data for name, data in files.items() if name != FILES[3]}, tmp_path)
    with pytest.raises(InputError, match=r"custom\.py"):
        stored({**files, "custom.py": b"print()"}, tmp_path)


def changed(files: dict[str, bytes], name: str, change: Callable[[dict[str, Any]], object]) -> dict[str, bytes]:
    value = json.loads(files[name])
    change(value)
    return {**files, name: json.dumps(value).encode()}


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (
            "adapter_config.json",
            lambda c: c.update(auto_mapping={"parent_library": "os"}),
            "'auto_mapping' is a key nobody needs",
        ),
        ("adapter_config.json", lambda c: c.update(r=8), "'r' is not what student.json says"),
        ("adapter_config.json", lambda c: c.pop("peft_type"), "'peft_type' is not"),
        ("adapter_config.json", lambda c: c["target_modules"].append("pooler.dense"), "'target_modules' is not"),
        ("student.json", lambda c: c.update(trust_remote_code=True), "trust_remote_code"),
        ("student.json", lambda c: c.update(dimensions=["reach", "reach", "cost"]), "two dimensions"),
        ("student.json", lambda c: c["preprocessing"].update(unicode="NFD"), "preprocessing"),
        ("student.json", lambda c: c.update(headTail=0.5), "preprocessing"),
        ("student.json", lambda c: c["base"].update(digest="0" * 64), "the adapter was trained on 000000000000"),
        ("student.json", lambda c: c["base"].update(kind="decoder"), "is encoder of width 32, not decoder of width 32"),
        ("student.json", lambda c: c["base"].update(hidden=31), "is encoder of width 32, not encoder of width 31"),
        ("student.json", lambda c: c.update(pooling="last"), "pooling"),
        ("student.json", lambda c: c["lora"].update(r=8), "not what student.json says"),
        ("student.json", lambda c: c.update(dimensions=["reach", "proof"]), "not a float32 tensor"),
        ("calibration.json", lambda c: c["dimensions"].pop("cost"), "one for each dimension"),
        ("calibration.json", lambda c: c["dimensions"]["cost"].update(x=[5.0, 0.0, 10.0]), "rising in x"),
        ("calibration.json", lambda c: c["dimensions"]["cost"].update(y=[5.0, 0.0, 11.0]), "less than or equal to 10"),
        ("calibration.json", lambda c: c["dimensions"]["cost"].update(y=[5.0, 1.0, 9.0]), "its curve of cost falls"),
        ("calibration.json", lambda c: c["dimensions"]["cost"].update(y=[1.0, 9.0, 8.9]), "its curve of cost falls"),
        ("calibration.json", lambda c: c["dimensions"]["cost"].update(y=[1.0, 1.0, 9.0]), "not those of its curves"),
        ("golden.json", lambda c: c["scores"][0].__setitem__(0, 9.5), "not those of its curves"),
        ("golden.json", lambda c: c["scores"].pop(), "its scores and predictions"),
        ("golden.json", lambda c: c["scores"][3].pop(), "its scores and predictions"),
        ("training_history.json", lambda c: c.update(note="x"), "note: Extra inputs"),
        ("golden.json", lambda c: c["raw"].pop(), "match the dimensions"),
    ],
)
def test_altered_json_is_refused(
    files: dict[str, bytes], tmp_path: Path, name: str, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        stored(changed(files, name, change), tmp_path)


def test_a_bundle_from_before_final_scores_opens(files: dict[str, bytes], tmp_path: Path) -> None:
    opened = stored(changed(files, "golden.json", lambda golden: golden.pop("scores")), tmp_path)
    assert check_golden(opened) < 1e-5


def test_final_scores_are_in_the_bundle(student: Student) -> None:
    golden = json.loads(bundle_files(student)["golden.json"])
    assert golden["scores"] == student.scores(student.golden[1]).tolist()


def test_a_score_that_depends_on_its_batch_is_seen(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = Student.predict

    def moved(self: Student, texts: list[tuple[str, str]]) -> Any:
        return predict(self, texts) + 0.01 * (len(texts) == 1)

    monkeypatch.setattr(Student, "predict", moved)
    with pytest.raises(InputError, match="when others share its batch"):
        check_golden(student)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.update({"head.weight": torch.zeros(3, 31)}), "head.weight is not a float32 tensor of shape"),
        (lambda t: t.update({"head.weight": t["head.weight"].half()}), "head.weight is not a float32"),
        (lambda t: t.update({"head.weight": t["head.weight"] * float("nan")}), "not finite"),
        (lambda t: t.pop("head.weight"), "head.weight is missing"),
        (lambda t: t.update({"extra": torch.zeros(1)}), "extra is unknown"),
        (lambda t: t.update({"a.lora_A.default.weight": t.pop(next(k for k in t if "lora_A" in k))}), "is unknown"),
    ],
)
def test_altered_tensors_are_refused(
    files: dict[str, bytes], tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], says: str
) -> None:
    tensors = load(files["adapter_model.safetensors"])
    change(tensors)
    with pytest.raises(InputError, match=says):
        stored({**files, "adapter_model.safetensors": save(tensors)}, tmp_path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda d: d[:-4], "cut short"),
        (lambda d: d + b"more", "holds more"),
        (lambda d: b"PK\x03\x04", "not a safetensors"),
        (lambda d: (2**60).to_bytes(8, "little") + d[8:], "not a safetensors"),
    ],
)
def test_files_that_are_no_safetensors(
    files: dict[str, bytes], tmp_path: Path, data: Callable[[bytes], bytes], says: str
) -> None:
    name = "adapter_model.safetensors"
    with pytest.raises(InputError, match=says):
        stored({**files, name: data(files[name])}, tmp_path)
