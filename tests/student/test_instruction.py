"""A text before every article: its tokens, what it must leave to the article, and that serving reads what training read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from distillery.components.artifacts.bundle import StudentFacts
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Preprocessing, Tokenizing
from distillery.filters.digests import parts
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.instruction import student_instruction
from distillery.filters.loading import load_filter, load_filter_text, with_overrides
from tests.documents import student_json
from tests.training.conftest import filter_of

TEXT = "the farm opens\nnear a river"
LONG = [("a title", "wind and energy " * 200)]


@pytest.mark.parametrize("base", ["tiny_encoder", "tiny_decoder"])
@pytest.mark.parametrize("share", [None, 0.5])
def test_it_stands_before_the_article_and_takes_its_tokens_from_the_length(
    base: str, share: float | None, request: pytest.FixtureRequest
) -> None:
    folder = resolve_base(str(request.getfixturevalue(base)))
    plain, instructed = Tokenizing(folder, Preprocessing(64, share)), Tokenizing(folder, Preprocessing(64, share, TEXT))
    count = instructed.instruction_tokens
    assert count > 0
    assert instructed.room == plain.room - count
    (with_text,), (without,) = ([row[at] for at in range(1)] for row in (instructed(LONG), plain(LONG)))
    assert len(with_text) == len(without) == 64
    start = len(plain.cut()["prefix"])
    article = [*instructed.cut()["prefix"]]
    assert list(with_text[: start + count]) == article
    assert list(with_text[start + count : start + count + 5]) == list(without[start : start + 5])


def test_one_that_crowds_out_the_article_is_refused_with_both_counts(tiny_encoder: Path) -> None:
    base = resolve_base(str(tiny_encoder))
    words = "farm " * 40
    with pytest.raises(InputError) as error:
        Tokenizing(base, Preprocessing(64, None, words))
    count = int(error.value.what.split("takes ")[1].split(" ")[0])
    assert count >= 40
    assert f"leaves {62 - count} of 64 to the article" in error.value.what
    enough = int(error.value.hint.rpartition(" ")[2])
    assert Tokenizing(base, Preprocessing(enough, None, words)).room >= enough / 2
    with pytest.raises(InputError):
        Tokenizing(base, Preprocessing(enough - 1, None, words))
    with pytest.raises(InputError, match="this base model reads 512 tokens"):
        Tokenizing(base, Preprocessing(512, None, "farm " * 400))


def test_preprocessing_without_one_has_the_digest_that_it_had() -> None:
    assert "instruction" not in Preprocessing(64, None).facts()
    assert Preprocessing(64, None).digest != Preprocessing(64, None, TEXT).digest


def test_it_is_written_into_the_bundle_where_there_is_one_alone() -> None:
    facts = StudentFacts.model_validate(student_json())
    assert "instruction" not in facts.model_dump()
    assert "instruction" not in facts.to_json()
    assert facts.model_copy(update={"instruction": TEXT}).to_json()["instruction"] == TEXT


def test_by_default_it_is_made_of_scope_and_dimensions(tmp_path: Path) -> None:
    flt = filter_of(tmp_path)
    assert student_instruction(flt) == ""
    asked = with_overrides(load_filter("uplifting"), ["student.mode=instruction"])
    text = student_instruction(asked)
    assert text.startswith("Score from 0 to 10: ")
    assert len(text.splitlines()) >= 1 + len(asked.dimensions)
    own = with_overrides(asked, ['student.instruction="Judge it."'])
    assert student_instruction(own) == "Judge it."


def test_it_is_part_of_the_training_where_it_is_read() -> None:
    plain = load_filter("uplifting")
    asked = with_overrides(plain, ["student.mode=instruction"])
    assert "instruction" not in parts(plain, "train")
    assert not {"mode", "instruction"} & {*parts(plain, "train")["student"]}
    assert parts(asked, "train")["instruction"] == student_instruction(asked)
    meant = asked.model_dump(mode="json")
    meant["spec"]["dimensions"][0]["description"] = "Something else."
    changed = Filter.model_validate(meant)
    assert parts(changed, "train") != parts(asked, "train")


def test_a_text_that_no_mode_reads_is_refused() -> None:
    with pytest.raises(InputError, match="read in mode instruction alone"):
        with_overrides(load_filter("uplifting"), ["student.instruction=x"])
    assert load_filter_text(json.dumps(load_filter("uplifting").model_dump(mode="json")), "f").spec.student.mode == "regression"


def test_a_student_of_that_mode_is_trained_saved_and_opened(tmp_path: Path, tiny_encoder: Path) -> None:
    from distillery.components.store import open_store
    from distillery.components.student.bundle import check_golden, open_bundle
    from distillery.components.training.train import train
    from tests.training.conftest import Notes, store_split

    store = open_store(str(tmp_path / "store"))
    document = filter_of(tiny_encoder, epochs=1).model_dump(mode="json")
    document["spec"]["student"] |= {"mode": "instruction", "instruction": TEXT}
    flt, notes = Filter.model_validate(document), Notes()
    record = train(store, flt, split=store_split(store, (24, 16, 8)), progress=notes)
    opened = open_bundle(store, "tiny", record.outputs["adapter"])
    check_golden(opened)
    assert opened.facts.instruction == TEXT
    assert opened.preprocessing == Preprocessing(64, None, TEXT)
    count = Tokenizing(opened.base, opened.preprocessing).instruction_tokens
    assert [note for note in notes.notes if note == f"instruction {count} tokens, article up to {62 - count}"]
    assert np.isfinite(opened.predict([("a", "b")])).all()
