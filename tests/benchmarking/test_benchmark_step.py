"""The step: what it writes, what it reuses, what it compares with."""

import json

import numpy as np
import pyarrow as pa
import pytest

from distillery.components.artifacts.rubric_calibration import oracle_digest
from distillery.components.artifacts.step_record import look_up
from distillery.components.benchmarking.benchmark import (
    benchmark,
    benchmark_inputs,
    current_incumbent,
    read_benchmark,
    scalars,
)
from distillery.components.benchmarking.evaluate import evaluate, evaluate_file
from distillery.components.benchmarking.predict import read_predictions
from distillery.components.store.layout import noise_key
from distillery.filters.errors import InputError
from tests.artifacts.made import made_label_set_meta, made_noise


def document(house, record):
    return json.loads(house.store.get(record.outputs["key"], digest=record.outputs["benchmark"]))


def test_writes_predictions_and_every_figure(house, flt, readers):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    assert record.outputs.keys() == {"predictions", "benchmark", "test", "key"}
    found = read_benchmark(house.store, adapter, record.outputs["test"], record.outputs["benchmark"]).to_json()
    table = read_predictions(house.store, adapter, record.outputs["test"], record.outputs["predictions"])
    for name in flt.dimensions:
        error = np.abs(table[f"prediction.{name}"].to_numpy() - table[f"score.{name}"].to_numpy()).mean()
        assert found["dimensions"][name]["mae"] == pytest.approx(error)
    assert found["mae"] == pytest.approx(np.mean([row["mae"] for row in found["dimensions"].values()]))
    assert found["n"] == 60
    assert found["train_val_gap"] == pytest.approx(0.2)
    assert found["val_test_gap"] == pytest.approx((found["mae"] - 0.55) / 0.55)
    assert found["calibration"] == {"kept": True, "validation_mae_raw": 0.65, "validation_mae_calibrated": 0.55}
    assert found["incumbent"] is None
    assert found["reference"] is None
    assert found["alarms"] == []
    assert set(found["baselines"]) == {"mean", "median", "source_median", "tfidf_ridge"}
    assert all(row["mae"] > found["mae"] for row in found["baselines"].values())
    assert found["baselines"]["mean"]["skill"] == pytest.approx(1 - found["mae"] / found["baselines"]["mean"]["mae"])
    matrix = np.array(found["confusion"]["matrix"])
    assert matrix.sum() == 60
    assert np.trace(matrix) / 60 == pytest.approx(found["tier_agreement"])
    for path in ("mae", "overall_mae", "spearman", "dimensions.benefit.mae", "tiers.medium.recall", "val_test_gap"):
        low, high = found["intervals"][path]
        value = found
        for key in path.split("."):
            value = value[key]
        assert low <= value <= high, path
    assert {row["value"]: row["n"] for row in found["slices"]["language"]}.keys() == {"en", "nl"}
    for rows in found["slices"].values():
        assert sum(row["n"] for row in rows) == 60
        assert sum(row["n"] * row["mae"] for row in rows) / 60 == pytest.approx(found["mae"])
    assert [len(found["examples"][key]) for key in ("best", "worst")] == [5, 8]
    assert scalars(house.store, record)["dimensions.benefit.mae"] == found["dimensions"]["benefit"]["mae"]


def test_a_second_run_redoes_nothing(house, flt, readers):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    first = benchmark(house.store, flt, adapter=adapter, split=split)
    calls = house.students[adapter].calls
    again = benchmark(house.store, flt, adapter=adapter, split=split)
    assert again.reused
    assert again.outputs == first.outputs
    assert house.students[adapter].calls == calls
    assert look_up(house.store, "benchmark", benchmark_inputs(flt, adapter, split, None)) is not None


def test_the_split_is_opened_once_and_its_tables_are_read_once(house, flt, readers, monkeypatch):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    opened, read = [], []
    folder, get = type(house.store).folder, type(house.store).get
    monkeypatch.setattr(type(house.store), "folder", lambda *a, **k: opened.append(a[1]) or folder(*a, **k))
    monkeypatch.setattr(type(house.store), "get", lambda *a, **k: read.append(a[1]) or get(*a, **k))
    benchmark(house.store, flt, adapter=adapter, split=split)
    assert opened.count("datasets") == 1
    assert [key for key in read if key.startswith("datasets/") and key.endswith(".parquet")] == [
        f"datasets/{split}/{name}" for name in ("train.parquet", "val.parquet", "test.parquet")
    ]
    read.clear()
    assert benchmark(house.store, flt, adapter=adapter, split=split).reused
    assert not [key for key in read if key.endswith(".parquet")]


def test_a_new_tier_redoes_arithmetic_without_inference(house, flt, changed, readers, monkeypatch):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    first = benchmark(house.store, flt, adapter=adapter, split=split)
    calls = house.students[adapter].calls
    monkeypatch.setattr("distillery.components.benchmarking.benchmark.fit_baselines", None)  # calling it would raise
    stricter = changed("overall >= 6", "overall >= 8")
    second = benchmark(house.store, stricter, adapter=adapter, split=split)
    assert not second.reused
    assert house.students[adapter].calls == calls
    assert second.outputs["predictions"] == first.outputs["predictions"]
    old, new = document(house, first), document(house, second)
    assert new["mae"] == old["mae"]
    assert new["tiers"]["high"]["labelled"] < old["tiers"]["high"]["labelled"]


def test_gates_and_descriptions_are_no_input_but_weights_and_the_incumbent_are(flt, changed):
    before = benchmark_inputs(flt, "a", "s", None)
    assert benchmark_inputs(changed("below: 0.8", "below: 0.1"), "a", "s", None) == before
    assert benchmark_inputs(changed("A filter for tests.", "Other words."), "a", "s", None) == before
    lighter = changed("weight: 0.5, description: How close", "weight: 0.2, description: How close")
    assert benchmark_inputs(lighter, "a", "s", None) != before
    assert benchmark_inputs(flt, "a", "s", "b" * 64) != before


def test_the_incumbent_is_judged_on_the_same_articles_paired(house, flt, readers):
    split = house.split()
    old, new = house.adapter(readers.noisy(3.0), split, steps=1), house.adapter(readers.noisy(1.0), split, steps=2)
    house.promoted(old)
    found = document(house, benchmark(house.store, flt, adapter=new, split=split))
    rival = found["incumbent"]
    assert rival["adapter"] == old
    alone = document(house, benchmark(house.store, flt, adapter=old, split=split))
    assert alone["incumbent"] is None  # it is the incumbent itself
    assert rival["mae"] == pytest.approx(alone["mae"])
    assert rival["overall_mae"] == pytest.approx(alone["overall_mae"])
    assert rival["difference"] == pytest.approx(found["mae"] - alone["mae"])
    assert found["intervals"]["incumbent.mae"] == alone["intervals"]["mae"]  # the same draws
    low, high = rival["interval"]
    assert low < rival["difference"] < high < 0
    spread = found["intervals"]["mae"][1] - alone["intervals"]["mae"][0]
    assert high - low < abs(spread)  # paired: narrower than the two apart
    assert rival["seen"] == 0


def test_says_how_many_test_articles_the_incumbent_was_trained_on(house, flt, readers):
    split, other = house.split(), house.split(train=140, test=40)  # 140 + 30 of 210: its train part reaches into no test
    overlapping = house.split(train=180, test=60)  # articles 0-179 train; `split` tests 150-209
    old = house.adapter(readers.noisy(2.0), overlapping)
    house.promoted(old)
    new = house.adapter(readers.noisy(1.0), split)
    assert document(house, benchmark(house.store, flt, adapter=new, split=split))["incumbent"]["seen"] == 30
    house.promoted(house.adapter(readers.noisy(2.5), other))
    assert document(house, benchmark(house.store, flt, adapter=new, split=split))["incumbent"]["seen"] == 0


def test_an_incumbent_that_cannot_be_read_is_named_not_passed_over(house, flt, readers):
    split = house.split()
    house.promoted("f" * 64)
    found = document(house, benchmark(house.store, flt, adapter=house.adapter(readers.exact, split), split=split))
    assert found["incumbent"]["adapter"] == "f" * 64
    assert found["incumbent"]["difference"] is None
    assert found["incumbent"]["interval"] is None
    assert found["incumbent"]["reason"]


def test_an_incumbent_with_another_dimension_is_compared_on_the_shared_ones(house, flt, readers):
    split = house.split()
    house.promoted(house.adapter(readers.noisy(3.0), split, ["readiness", "depth"]))
    adapter = house.adapter(readers.noisy(1.0), split)
    found = document(house, benchmark(house.store, flt, adapter=adapter, split=split))
    assert found["incumbent"]["overall_mae"] is None
    ours = found["dimensions"]["readiness"]["mae"]
    assert found["incumbent"]["difference"] == pytest.approx(ours - found["incumbent"]["mae"])


def test_whom_an_adapter_is_compared_with(house, flt):
    one, two, three = "1" * 64, "2" * 64, "3" * 64
    assert current_incumbent(house.store, flt, one) is None
    house.promoted(one)
    assert current_incumbent(house.store, flt, two) == one
    assert current_incumbent(house.store, flt, one) is None
    house.promoted(two, one)
    assert current_incumbent(house.store, flt, three) == two
    assert current_incumbent(house.store, flt, two) == one  # the one it replaced
    house.promoted(one, two, one, action="rollback")
    assert current_incumbent(house.store, flt, one) is None  # as when it was promoted
    assert current_incumbent(house.store, flt, two) == one


def test_a_run_repeated_after_its_promotion_redoes_nothing(house, flt, readers):
    split = house.split()
    old, new = house.adapter(readers.noisy(3.0), split, steps=1), house.adapter(readers.noisy(1.0), split, steps=2)
    house.promoted(old)
    first = benchmark(house.store, flt, adapter=new, split=split)
    house.promoted(new, old)
    again = benchmark(house.store, flt, adapter=new, split=split)
    assert again.reused
    assert again.outputs == first.outputs


def test_a_channel_that_is_none(house, flt):
    house.store.put("channels/demo/production.json", b'{"current": null}')
    with pytest.raises(InputError, match="is not a channel"):
        current_incumbent(house.store, flt, "1" * 64)


def test_true_scores_where_somebody_knows_them(house, flt, readers):
    split = house.split(truth=True)  # labels are half a point below the truth, this student says the labels
    found = document(house, benchmark(house.store, flt, adapter=house.adapter(readers.exact, split), split=split))
    assert found["mae"] == 0
    assert found["reference"]["student_mae"] == pytest.approx(0.5)
    assert found["reference"]["label_mae"] == pytest.approx(0.5)
    assert found["reference"]["dimensions"]["benefit"]["label_mae"] == pytest.approx(0.5)


def test_predictions_follow_the_article_not_the_row(house, flt, readers):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    folder = house.store.folder("datasets", split)
    from distillery.components.articles.label_table import read_table, write_table

    files = {name: folder.read(name) for name in folder.files}
    test = read_table(files["test.parquet"])
    files["test.parquet"] = write_table(test.take(list(range(test.num_rows))[::-1]))
    turned = house.store.commit("datasets", files, folder.meta)
    calls = house.students[adapter].calls
    other = benchmark(house.store, flt, adapter=adapter, split=turned)
    assert house.students[adapter].calls == calls
    assert other.outputs["test"] == record.outputs["test"]
    assert document(house, other)["mae"] == document(house, record)["mae"]


def test_any_labelled_set_gives_the_same_document(house, flt, readers, labelled):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    stored = document(house, benchmark(house.store, flt, adapter=adapter, split=split))
    student, frame, train = house.students[adapter], labelled(80, seed=9), labelled(120)
    found = evaluate(flt, student, frame, train, adapter=adapter).to_json()
    assert found.keys() == stored.keys()
    assert found["n"] == 80
    assert found["alarms"] == []
    assert found["train_val_gap"] == pytest.approx(0.2)
    assert set(found["baselines"]) == set(stored["baselines"])
    trained_on = evaluate(flt, student, pa.concat_tables([frame, train.slice(0, 7)]), train).to_json()
    assert trained_on["alarms"] == ["7 of 87 articles were trained on: these figures flatter it"]
    assert evaluate(flt, student, frame).baselines == {}


def test_a_file_of_labels(house, flt, readers, labelled, tmp_path):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    rows = [
        {
            "id": row["id"],
            "title": row["title"],
            "content": row["content"],
            "source": row["source"],
            "scores": {name: row[f"score.{name}"] for name in flt.dimensions},
        }
        for row in labelled(40, seed=9).to_pylist()
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = evaluate_file(house.store, flt, adapter, path).to_json()
    assert found["n"] == 40
    assert found["adapter"] == adapter
    assert found["mae"] < found["baselines"]["tfidf_ridge"]["mae"]
    gone = house.adapter(readers.noisy(1.0), "0" * 64)
    assert evaluate_file(house.store, flt, gone, path).baselines == {}  # judged all the same
    path.write_text(path.read_text() + json.dumps({**rows[0], "id": "x", "scores": {"readiness": 11, "benefit": 1}}) + "\n")
    with pytest.raises(InputError, match=r"labels\.jsonl:41: score 11 of 'readiness'"):
        evaluate_file(house.store, flt, adapter, path)
    assert evaluate_file(house.store, flt, adapter, path, max_rejects="1").mae == found["mae"]


def test_the_oracles_own_noise_stands_beside_the_error(house, flt, readers):
    origin = made_label_set_meta(rubric="a" * 64, oracle={"provider": "replay", "model": "m"})
    split = house.split(label_set=house.store.commit("labelsets", {"labels.parquet": b""}, origin))
    adapter = house.adapter(readers.noisy(1.0), split)
    before = benchmark(house.store, flt, adapter=adapter, split=split)
    assert document(house, before)["noise"] is None
    by = oracle_digest(origin["oracle"])
    floor = made_noise().floor.model_copy(update={"dimensions": dict.fromkeys(flt.dimensions, 0.4)})
    measured = made_noise(filter=flt.name, rubric=origin["rubric"], oracle=by, floor=floor)
    measured.put(house.store, noise_key(flt.name, origin["rubric"], by))
    after = benchmark(house.store, flt, adapter=adapter, split=split)
    assert not after.reused, "what was measured since is shown"
    found = document(house, after)
    assert found["noise"]["difference"] == pytest.approx(found["mae"] - 0.4)
    low, high = found["intervals"]["noise.difference"]
    assert (low, high) == pytest.approx((found["intervals"]["mae"][0] - 0.45, found["intervals"]["mae"][1] - 0.35))
    assert benchmark(house.store, flt, adapter=adapter, split=split).reused
