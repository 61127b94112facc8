"""A benchmark notes how fast it read, beside its figures and never in them."""

import pytest

from distillery.components.artifacts.measurement import read_measurement, read_measurements
from distillery.components.benchmarking import measuring
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.measuring import ALONE, Alone, measure
from distillery.components.runtime.progress import Progress
from distillery.components.store import Conflict, StoreError
from distillery.components.store.layout import measured_key


class Told(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


TEXTS = [(f"title {at}", f"readiness={at % 9}.5 benefit=2.0 words") for at in range(50)]


def judged(house, flt, readers):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    return adapter, benchmark(house.store, flt, adapter=adapter, split=split)


def test_a_benchmark_leaves_a_measurement_of_this_machine(house, flt, readers):
    adapter, _ = judged(house, flt, readers)
    found = read_measurement(house.store, flt.name, adapter)
    assert found.alone == ALONE
    assert found.articles == 60 + 16
    assert 0 < found.latency_ms <= found.latency_p95_ms
    assert found.words > 40
    assert found == read_measurement(house.store, flt.name, adapter, machine=found.machine, precision="fp32")


def test_no_time_moves_the_digest_of_predictions_or_benchmark(house, flt, readers, tmp_path, monkeypatch):
    adapter, first = judged(house, flt, readers)
    for entry in list(house.store.entries("judgements")) + list(house.store.entries("steps")):
        house.store.delete(entry.key)
    monkeypatch.setattr(measuring.time, "perf_counter", iter(range(0, 10**6, 7)).__next__)
    monkeypatch.setattr(measuring, "SECONDS", 1e9)
    again = benchmark(house.store, flt, adapter=adapter, split=house.split())
    assert again.outputs == first.outputs
    assert read_measurement(house.store, flt.name, adapter).latency_ms == 7000


def test_one_that_is_reused_keeps_the_measurement_that_is_there(house, flt, readers):
    adapter, _ = judged(house, flt, readers)
    before = read_measurements(house.store, flt.name, adapter)
    assert benchmark(house.store, flt, adapter=adapter, split=house.split()).reused
    assert read_measurements(house.store, flt.name, adapter) == before


def test_a_measurement_that_cannot_be_kept_costs_a_benchmark_a_line(house, flt, readers):
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    house.store.put(measured_key(adapter), b"torn")
    progress = Told()
    assert benchmark(house.store, flt, adapter=adapter, split=split, progress=progress).outputs["benchmark"]
    assert [note for note in progress.notes if "is not kept" in note]
    with pytest.raises(StoreError, match="delete it, and measure again"):
        read_measurement(house.store, flt.name, adapter)


def test_others_who_write_all_the_time_cost_a_benchmark_a_line(house, flt, readers, monkeypatch):
    def lose(*_):
        raise Conflict("others wrote it")

    monkeypatch.setattr(measuring, "note_measurement", lose)
    split, progress = house.split(), Told()
    adapter = house.adapter(readers.exact, split)
    assert benchmark(house.store, flt, adapter=adapter, split=split, progress=progress).outputs["benchmark"]
    assert [note for note in progress.notes if "others wrote it" in note]


def test_a_slow_student_is_not_read_many_times_alone(house, flt, readers, monkeypatch):
    adapter = house.adapter(readers.exact, house.split())
    monkeypatch.setattr(measuring.time, "perf_counter", iter(range(0, 10**6, 2)).__next__)
    found = Alone(house.students[adapter], TEXTS, own_process=True)
    assert found.milliseconds == [2000.0, 2000.0, 2000.0]


def test_in_a_process_that_did_other_work_its_memory_says_nothing(house, flt, readers):
    adapter = house.adapter(readers.exact, house.split())
    found = Alone(house.students[adapter], TEXTS, own_process=False).measurement(measuring.Plan(), TEXTS, 1.0)
    assert (found.memory_mb, found.peak_memory_mb, found.gpu_memory_mb) == (None, None, None)
    assert found.articles_per_second == 50.0


def test_measuring_reads_the_test_part_and_golden_texts_where_that_is_gone(house, flt, readers):
    split = house.split()
    adapter = house.adapter(readers.exact, split)
    student = house.students[adapter]
    student.golden = ([("", "readiness=1.0 benefit=2.0 gold")], None)
    read = []
    student.reader = lambda texts: read.append(texts) or readers.exact(texts)
    assert measure(house.store, flt, adapter, count=40).articles == 40
    assert measure(house.store, flt, adapter, count=130).articles == 130, "of 60 test articles"
    assert not any("gold" in content for texts in read for _, content in texts)
    for entry in list(house.store.entries("datasets")):
        house.store.delete(entry.key)
    read.clear()
    progress = Told()
    assert measure(house.store, flt, adapter, count=40, progress=progress).articles == 40
    assert all("gold" in content for texts in read for _, content in texts)
    assert [note for note in progress.notes if "golden texts are read instead" in note]
    assert len(read_measurements(house.store, flt.name, adapter)) == 1
