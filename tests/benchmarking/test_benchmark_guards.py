"""Each guard of the benchmark, firing."""

import json

import numpy as np
import pytest

from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.evaluate import evaluate
from distillery.components.benchmarking.predict import read_predictions
from distillery.components.runtime.progress import Progress
from distillery.filters.errors import InputError


def run(house, flt, reader, **about):
    split = house.split()
    adapter = house.adapter(reader, split, **about)
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    return json.loads(house.store.get(record.outputs["key"]))


def test_a_predictor_that_says_nearly_the_same_of_everything(house, flt, readers):
    found = run(house, flt, lambda texts: 5 + 0.01 * readers.exact(texts))
    assert len(found["alarms"]) == 1
    assert found["alarms"][0].startswith("predictor ignores its input")
    assert found["spearman"] is not None  # ranks alone would not have told


def test_a_constant_predictor_leaves_null_never_nan(house, flt):
    found = run(house, flt, lambda texts: np.full((len(texts), 2), 4.0))
    assert found["alarms"]
    assert found["spearman"] is None
    assert found["score_compression"] == 0
    assert found["tiers"]["high"]["precision"] is None


def test_a_predictor_that_follows_the_position_not_the_text(house, flt):
    found = run(house, flt, lambda texts: np.stack([np.arange(len(texts)) % 11, np.arange(len(texts)) % 7], axis=1) * 1.0)
    assert [alarm for alarm in found["alarms"] if "another order" in alarm]


def test_an_honest_predictor_raises_no_alarm(house, flt, readers):
    assert run(house, flt, readers.noisy(2.0))["alarms"] == []


def test_one_dimension_that_is_learnt_is_no_alarm(house, flt, readers):
    found = run(house, flt, lambda texts: readers.exact(texts) * [1.0, 0.0])
    assert found["alarms"] == []
    assert found["dimensions"]["benefit"]["compression"] == 0


def test_dimensions_in_another_order(house, flt, readers, labelled):
    split = house.split()
    adapter = house.adapter(readers.exact, split, ["benefit", "readiness"])
    with pytest.raises(InputError, match="not the filter's dimensions in their order"):
        benchmark(house.store, flt, adapter=adapter, split=split)
    assert not list(house.store.keys("judgements"))
    with pytest.raises(InputError, match="not the filter's dimensions in their order"):
        evaluate(flt, house.students[adapter], labelled(5))


def test_a_prediction_that_is_not_a_number(house, flt, readers):
    def broken(texts):
        found = readers.exact(texts)
        found[3, 1] = np.nan
        return found

    split = house.split()
    adapter = house.adapter(broken, split)
    with pytest.raises(InputError, match="1 predictions are not numbers, first benefit of article 's0-153'"):
        benchmark(house.store, flt, adapter=adapter, split=split)
    assert not list(house.store.keys("judgements"))


def test_a_test_part_other_than_the_frozen_one(house, flt, readers):
    split = house.split(test=60)
    folder = house.store.folder("datasets", split)
    other = house.store.folder("datasets", house.split(test=50))
    files = {name: folder.read(name) for name in folder.files} | {"test.parquet": other.read("test.parquet")}
    swapped = house.store.commit("datasets", files, folder.meta)
    adapter = house.adapter(readers.exact, split)
    with pytest.raises(InputError, match="not the frozen one"):
        benchmark(house.store, flt, adapter=adapter, split=swapped)


def test_altered_bytes_of_stored_predictions_are_named_and_made_again(house, flt, changed, readers):
    split = house.split()
    adapter = house.adapter(readers.exact, split)
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    key = next(key for key in record.keys if key.endswith(".parquet"))
    whole, notes = house.store.get(key), []
    data = bytearray(whole)
    data[len(data) // 2] ^= 1
    house.store.put(key, bytes(data))

    class Notes(Progress):
        def __call__(self, *_, **__):
            pass

        def note(self, text):
            notes.append(text)

    other = changed("overall >= 6", "overall >= 7")
    again = benchmark(house.store, other, adapter=adapter, split=split, progress=Notes())
    assert f"{key} was damaged or altered: predict is done again" in notes
    assert house.store.get(key) == whole
    assert not again.reused
    house.store.put(key, bytes(data))
    with pytest.raises(InputError, match="other bytes"):  # whoever reads it, and makes nothing
        read_predictions(house.store, adapter, record.outputs["test"], record.outputs["predictions"])


def test_no_labelled_article(flt, house, labelled, readers):
    student = house.adapter(readers.exact, "0" * 64)
    with pytest.raises(InputError, match="no labelled articles"):
        evaluate(flt, house.students[student], labelled(1).slice(0, 0))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_one_labelled_article_has_figures_and_no_nan(flt, house, labelled, readers):
    student = house.adapter(readers.exact, "0" * 64, train_mae=0.0)
    found = evaluate(flt, house.students[student], labelled(1)).to_json()
    assert found["n"] == 1
    assert found["mae"] == 0
    assert found["train_val_gap"] is None
    assert found["slices"]["source"][0]["interval"] is None
    json.dumps(found, allow_nan=False)


def test_what_training_found_odd_stays_an_alarm(house, flt, readers):
    assert run(house, flt, readers.noisy(1.0), alarms=["loss did not fall"])["alarms"] == ["loss did not fall"]


def test_a_student_that_does_not_reproduce_its_golden_predictions(house, flt, readers, monkeypatch):
    import sys

    def refuse(student):
        raise InputError("the loaded student doesn't reproduce its golden predictions")

    monkeypatch.setattr(sys.modules["distillery.components.student.bundle"], "check_golden", refuse)
    with pytest.raises(InputError, match="golden"):
        run(house, flt, readers.exact)
    assert not list(house.store.keys("judgements"))


def test_an_adapter_that_is_not_there(house, flt):
    with pytest.raises(InputError, match="no adapter ffffffffffff"):
        benchmark(house.store, flt, adapter="f" * 64, split=house.split())


def test_one_of_one_is_no_certainty(flt, house, labelled, readers):
    student = house.adapter(readers.exact, "0" * 64)
    found = evaluate(flt, house.students[student], labelled(2).slice(1)).to_json()
    low, high = found["intervals"]["tier_agreement"]
    assert low < 0.25  # Wilson's 0.2065 for 1 of 1
    assert high == 1
