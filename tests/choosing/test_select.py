"""A selection: cheapest first, reused and gone on with, chosen on validation, the test part opened for the chosen alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error

from distillery.components.artifacts.split import StoredSplit, test_digest
from distillery.components.benchmarking.predict import read_predictions
from distillery.components.choosing.document import Selection
from distillery.components.choosing.rule import Rule
from distillery.components.choosing.select import Selected, select_student
from distillery.components.choosing.sheet import selection_sheet, sentence
from distillery.components.reporting.sheet import sheet_html, sheet_markdown
from distillery.components.store import open_store
from distillery.components.store.layout import selection_key
from distillery.components.training import train as training
from distillery.filters.errors import InputError
from tests.reporting.test_report_page import Page
from tests.training.conftest import Notes, store_split

THREE = """\
candidates:
  - {name: two epochs, set: {training.epochs: 2}}
  - {name: one epoch}
  - {name: one epoch again, set: {training.seed: 7}}
"""


def test_one_is_chosen_and_the_test_part_opened_for_it_alone(store, split, tiny_filter, candidates):
    flt = tiny_filter(epochs=1)
    notes = Notes()
    found = select_student(store, flt, candidates(flt, THREE), split=split, rule=Rule(0.0), progress=notes)
    selection = found.selection
    assert [row.name for row in selection.candidates] == sorted(
        (row.name for row in selection.candidates), key=lambda name: (selection.candidate(name).mae, name)
    )
    order = [note.partition(": ")[2] for note in notes.notes if note.startswith("candidate ")]
    assert order == ["one epoch", "one epoch again", "two epochs"]  # the cheapest first
    tables = StoredSplit(store, split).tables()
    part = test_digest(tables.validation)
    for row in selection.candidates:
        (key,) = store.keys(f"judgements/{row.adapter}/{part}/predictions")
        table = read_predictions(store, row.adapter, part, key.rpartition("/")[2].removesuffix(".parquet"))
        raw = np.column_stack([np.clip(table[f"raw.{d}"].to_numpy(), 0, 10) for d in flt.dimensions])
        labels = np.column_stack([table[f"score.{d}"].to_numpy() for d in flt.dimensions])
        assert row.mae == pytest.approx(np.abs(raw - labels).mean(), abs=1e-6)
        assert row.mae == pytest.approx(np.mean(list(row.dimensions.values())), abs=1e-6)
        opened = [key for key in store.keys(f"judgements/{row.adapter}/{selection.opened.test}") if "predictions" in key]
        assert bool(opened) == (row.name == selection.chosen)
        assert row.memory_mb > 100
        assert row.work > 0
        assert found.rates[row.name] > 0
        assert found.seconds[row.name] > 0
    best = selection.candidate(selection.best)
    assert best.mae == min(row.mae for row in selection.candidates if row.name in selection.recipes[0].candidates)
    assert (best.difference, best.judgement) == (0, "")
    seeds = next(recipe for recipe in selection.recipes if recipe.spread is not None)
    assert sorted(seeds.candidates) == ["one epoch", "one epoch again"]
    before = {name: value for name, value in selection.to_json().items() if name != "ensembles"}
    assert Selection.read(json.dumps(before).encode(), "of before there were any").ensembles == []
    averaged = {tuple(sorted(mean.candidates)): mean for mean in selection.ensembles}
    assert ("one epoch", "one epoch again") in averaged
    members = [row.mae for row in selection.candidates if row.name in seeds.candidates]
    assert averaged["one epoch", "one epoch again"].mae <= np.mean(members)  # the absolute error is convex
    assert selection.opened.articles == 12
    assert selection.opened.incumbent is None
    assert store.get(selection_key("tiny", found.digest)) == selection.to_bytes()
    assert "seconds" not in json.dumps(selection.to_json())

    again = Notes()
    repeated = select_student(store, flt, candidates(flt, THREE), split=split, rule=Rule(0.0), progress=again)
    assert repeated == found
    assert not [note for note in again.notes if "trainable parameters" in note]

    sheet = selection_sheet(found)
    page, text = sheet_html(sheet), sheet_markdown(sheet)
    assert Page(page).tags["svg"] >= 2
    assert sentence(selection) in " ".join(text.split()) or "Chosen: " in text
    assert "← chosen" in text
    assert all(len(row) == len(table.head) for table in sheet.shown for row in table.cells)


def test_a_selection_that_was_stopped_goes_on(tmp_path, tiny_filter, candidates, monkeypatch):
    store = open_store(str(tmp_path / "store"))
    split, flt = store_split(store, (32, 24, 12)), tiny_filter(epochs=1)
    two = "candidates: [{name: a}, {name: b, set: {training.seed: 7}}]\n"
    wanted, trained = candidates(flt, two), list[int]()
    work = training._work

    def counted(*args, **kwargs):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(1)
        return work(*args, **kwargs)

    monkeypatch.setattr(training, "_work", counted)
    with pytest.raises(KeyboardInterrupt):
        select_student(store, flt, wanted, split=split, rule=Rule(0.02))
    assert list(store.keys("selections")) == []
    monkeypatch.setattr(training, "_work", work)
    notes = Notes()
    select_student(store, flt, wanted, split=split, rule=Rule(0.02), progress=notes)
    assert len([note for note in notes.notes if "trainable parameters" in note]) == 1  # the first is there


def test_halving_stops_what_is_behind_on_validation(store, split, tiny_filter, candidates, monkeypatch):
    flt = tiny_filter(epochs=2)
    text = "candidates:\n" + "".join(
        f"  - {{name: rate {rate}, set: {{training.learningRate: {rate}}}}}\n" for rate in (0.005, 0.004, 0.000001)
    )
    found = select_student(store, flt, candidates(flt, text), split=split, rule=Rule(0.0), halving=True).selection
    assert [rung.epochs for rung in found.rungs] == [1, 2]
    first = found.rungs[0]
    (behind,) = set(first.errors) - set(first.kept)
    assert len(first.kept) == 2
    assert all(first.errors[name] <= first.errors[behind] for name in first.kept)
    last = found.candidates[-1]
    assert (last.name, last.stopped, last.interval, last.dimensions) == (behind, 1, None, {})
    assert last.mae == first.errors[behind]
    assert all(row.stopped is None for row in found.candidates[:-1])
    assert found.chosen != behind


def test_errors_are_told_by_language_where_there_are_several(tmp_path, store, split, tiny_filter, candidates):
    flt, two = tiny_filter(epochs=1), "candidates: [{name: a}, {name: b, set: {training.seed: 7}}]\n"
    several = open_store(str(tmp_path / "store"))
    tongues = ("en", "en", "Dutch", "")
    mixed = store_split(several, (32, 24, 12), languages=tongues)
    found = select_student(several, flt, candidates(flt, two), split=mixed, rule=Rule(0.0))
    selection, table = found.selection, StoredSplit(several, mixed).tables().validation
    assert [(one.language, one.articles) for one in selection.languages] == [("en", 12), ("(none)", 6), ("nl", 6)]
    labels = np.column_stack([table[f"score.{name}"].to_numpy() for name in flt.dimensions])
    for row in selection.candidates:
        (key,) = several.keys(f"judgements/{row.adapter}/{test_digest(table)}/predictions")
        read = read_predictions(several, row.adapter, test_digest(table), key.rpartition("/")[2].removesuffix(".parquet"))
        place = {article: at for at, article in enumerate(read["article"].to_pylist())}
        rows = [place[article] for article in table["article"].to_pylist()]
        raw = np.column_stack([np.clip(read[f"raw.{name}"].to_numpy()[rows], 0, 10) for name in flt.dimensions])
        for one, stated in zip(selection.languages, ("en", "", "Dutch"), strict=True):
            of = np.equal(table["language"].to_pylist(), stated)
            assert one.errors[row.name] == pytest.approx(mean_absolute_error(labels[of], raw[of]))
    text = sheet_markdown(selection_sheet(found))
    assert "### Error by language" in text
    assert "| nl | 6 |" in text
    of_one = select_student(store, flt, candidates(flt, two), split=split, rule=Rule(0.0))
    assert of_one.selection.languages == []
    assert "Error by language" not in sheet_markdown(selection_sheet(of_one))


def test_modes_on_unequal_terms_are_told_before_training_and_on_the_page(tmp_path, store, split, tiny_filter, candidates):
    flt, said = tiny_filter(epochs=1), "student.mode: instruction, student.instruction: Score the good it does"
    text = "candidates: [{{name: plain}}, {{name: told, set: {{{0}, student.maxLength: {1}}}}}]\n".format
    notes = Notes()
    found = select_student(store, flt, candidates(flt, text(said, 64)), split=split, rule=Rule(0.0), progress=notes).selection
    plain, told = (found.candidate(name) for name in ("plain", "told"))
    cost = told.instruction_tokens
    assert (plain.instruction_tokens, plain.article_tokens - told.article_tokens) == (0, cost)
    (note,) = [
        at for at, each in enumerate(notes.notes) if each.startswith("Modes are not compared on equal terms: told reads")
    ]
    assert notes.notes[note].endswith(f"plain reads {plain.article_tokens}; raise its student.maxLength by {cost} for that.")
    assert not any("trainable parameters" in each for each in notes.notes[:note])
    assert notes.notes[note] in sheet_markdown(selection_sheet(Selected(found, "0" * 64, {}, {})))

    even = select_student(store, flt, candidates(flt, text(said, 64 + cost)), split=split, rule=Rule(0.0))
    assert len({row.article_tokens for row in even.selection.candidates}) == 1
    assert "equal terms" not in sheet_markdown(selection_sheet(even))
    alone = text(said, 64).replace("{name: plain}", f"{{name: plain, set: {{{said} at all}}}}")
    both = select_student(store, flt, candidates(flt, alone), split=split, rule=Rule(0.0))
    assert "equal terms" not in sheet_markdown(selection_sheet(both))  # no mode is compared

    crowded, empty = said.replace("good", "good " * 40), open_store(str(tmp_path / "store"))
    with pytest.raises(InputError, match="candidate 'told': the instruction takes") as error:
        select_student(empty, flt, candidates(flt, text(crowded, 64)), split=split, rule=Rule(0.0))
    assert error.value.where.endswith(":1")
    assert not list(empty.keys("adapters"))


def test_a_difference_that_spans_zero_is_not_decisive(store, split, tiny_filter, candidates):
    flt = tiny_filter(epochs=1)
    text = "candidates:\n  - {name: a}\n  - {name: b, set: {training.weightDecay: 0.0101}}\n"
    found = select_student(store, flt, candidates(flt, text), split=split, rule=Rule(0.5)).selection
    assert not found.decisive
    assert "not decisive" in sentence(found)


def test_another_rule_redoes_no_training(store, split, tiny_filter, candidates):
    flt = tiny_filter(epochs=1)
    first = select_student(store, flt, candidates(flt, THREE), split=split, rule=Rule(0.0))
    notes = Notes()
    second = select_student(store, flt, candidates(flt, THREE), split=split, rule=Rule(9.0), progress=notes)
    assert first.digest != second.digest
    assert not [note for note in notes.notes if "trainable parameters" in note]
    assert second.selection.rule == "cheapest within 9 of the best"
