"""What is kept of an adapter's speed: one measurement for each machine and plan, the latest first."""

from pathlib import Path

import pytest

from distillery.components.artifacts.measurement import (
    KEPT,
    Measurements,
    note_measurement,
    read_measurement,
    read_measurements,
)
from distillery.components.artifacts.serving import Plan
from distillery.components.store import Store, StoreError, open_store
from distillery.components.store.layout import measured_key
from tests.artifacts.made import made_measurement

ADAPTER = "a" * 64
BF16 = Plan(precision="bf16")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_an_adapter_that_nobody_measured_has_none(store: Store) -> None:
    assert read_measurements(store, "demo", ADAPTER) == []
    assert read_measurement(store, "demo", ADAPTER) is None


def test_a_later_measurement_of_a_machine_and_plan_takes_the_earlier_ones_place(store: Store) -> None:
    first, other, again = made_measurement(latency_ms=9.0), made_measurement(plan=BF16), made_measurement(latency_ms=7.0)
    for measured in (first, other, again):
        note_measurement(store, "demo", ADAPTER, measured)
    assert read_measurements(store, "demo", ADAPTER) == [again, other]


@pytest.mark.parametrize(
    ("machine", "precision", "expected"),
    [
        (None, None, 3.0),
        ("slow, 1 thread", None, 2.0),
        (None, "fp32", 2.0),
        ("fast, 8 threads", "fp32", 1.0),
        ("slow, 1 thread", "bf16", None),
    ],
)
def test_a_machine_and_a_precision_narrow_what_is_read(store: Store, machine, precision, expected) -> None:
    note_measurement(store, "demo", ADAPTER, made_measurement(machine="fast, 8 threads", latency_ms=1.0))
    note_measurement(store, "demo", ADAPTER, made_measurement(machine="slow, 1 thread", latency_ms=2.0))
    note_measurement(store, "demo", ADAPTER, made_measurement(machine="fast, 8 threads", plan=BF16, latency_ms=3.0))
    found = read_measurement(store, "demo", ADAPTER, machine, precision)
    assert (found and found.latency_ms) == expected


def test_no_more_machines_are_kept_than_a_document_may_name(store: Store) -> None:
    for number in range(KEPT + 3):
        note_measurement(store, "demo", ADAPTER, made_measurement(machine=f"machine {number}"))
    found = read_measurements(store, "demo", ADAPTER)
    assert len(found) == KEPT
    assert found[0].machine == f"machine {KEPT + 2}"


def test_another_filters_measurements_are_not_this_ones(store: Store) -> None:
    note_measurement(store, "demo", ADAPTER, made_measurement())
    assert read_measurements(store, "other", ADAPTER) == []


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"format": 2}', b'{"filter": "demo", "adapter": "x", "measurements": []}'])
def test_a_torn_document_is_one_line_that_says_what_mends_it(store: Store, data: bytes) -> None:
    store.put(measured_key(ADAPTER), data)
    with pytest.raises(StoreError) as error:
        read_measurement(store, "demo", ADAPTER)
    assert error.value.hint
    assert measured_key(ADAPTER) in str(error.value)


@pytest.mark.parametrize(
    "figures", [{"latency_ms": 0.0}, {"articles_per_second": float("inf")}, {"memory_mb": -1}, {"machine": ""}]
)
def test_a_figure_that_nothing_can_have_is_refused(figures) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        made_measurement(**figures)


def test_it_says_of_itself_what_it_is(store: Store) -> None:
    note_measurement(store, "demo", ADAPTER, made_measurement())
    assert Measurements.load(store, measured_key(ADAPTER)).adapter == ADAPTER
