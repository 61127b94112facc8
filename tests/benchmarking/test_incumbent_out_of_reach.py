"""A store that fails, or a base model that isn't here, is no fault of the adapter in use: nothing is stored that says so."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.evaluate import evaluate_file
from distillery.components.store import Store, StoreError
from distillery.components.store.objects import unreadable
from distillery.components.store.s3_errors import explained
from distillery.components.student.resolve import NotHere, resolve_base
from distillery.filters.errors import InputError


def answer(code: str, status: int) -> ClientError:
    reply: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(reply, "GetObject")


BUSY, REFUSED = answer("SlowDown", 503), answer("AccessDenied", 403)
AWAY = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
BROKEN = OSError(errno.EIO, "Input/output error")


class Failing:
    """The objects of a store, of which those with a text in their key can't be read."""

    def __init__(self, store: Store, part: str, cause: Exception) -> None:
        self.inner, self.part, self.cause = store._objects, part, cause

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        def call(key: str, *more: Any) -> Any:
            if self.part in key:
                if isinstance(self.cause, OSError):
                    raise unreadable(self.cause, Path(key)) from self.cause
                raise explained(self.cause, key, "s3://bucket") from self.cause
            return method(key, *more)

        return method if name in ("uri", "keys") else call


@pytest.mark.parametrize("cause", [BUSY, REFUSED, AWAY, BROKEN], ids=["busy", "refused", "away", "broken"])
@pytest.mark.parametrize("part", ["bundle", "predictions", "split"])
def test_a_store_that_fails_leaves_no_benchmark_without_the_incumbents_figures(
    house: Any, flt: Any, readers: Any, part: str, cause: Exception
) -> None:
    split, other = house.split(), house.split(train=100)
    old, new = house.adapter(readers.noisy(3.0), other, steps=1), house.adapter(readers.noisy(1.0), split, steps=2)
    test = benchmark(house.store, flt, adapter=new, split=split).outputs["test"]
    house.promoted(old)
    where = {"bundle": f"adapters/demo/{old}", "predictions": f"judgements/{old}/{test}", "split": f"datasets/{other}"}
    failing = Store(Failing(house.store, where[part], cause))  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        benchmark(failing, flt, adapter=new, split=split)
    again = benchmark(house.store, flt, adapter=new, split=split)
    assert not again.reused
    rival = json.loads(house.store.get(again.outputs["key"]))["incumbent"]
    assert (rival["adapter"], rival["seen"]) == (old, 0)
    assert rival["difference"] < 0


def test_what_is_damaged_or_gone_is_named_in_the_benchmark(house: Any, flt: Any, readers: Any) -> None:
    split = house.split()
    old, new = house.adapter(readers.noisy(3.0), split, steps=1), house.adapter(readers.noisy(1.0), split, steps=2)
    house.promoted(old)
    manifest = next(key for key in house.store.keys(f"adapters/demo/{old}") if key.endswith("manifest.json"))
    house.store.put(manifest, house.store.get(manifest) + b" ")
    record = benchmark(house.store, flt, adapter=new, split=split)
    assert "other bytes" in json.loads(house.store.get(record.outputs["key"]))["incumbent"]["reason"]


def test_a_base_model_that_is_not_on_this_machine_is_no_fault_of_the_incumbents(
    house: Any, flt: Any, readers: Any, tmp_path: Path
) -> None:
    split = house.split()
    old, new = house.adapter(readers.noisy(3.0), split, steps=1), house.adapter(readers.noisy(1.0), split, steps=2)
    house.promoted(old)

    def reader(texts: Any) -> Any:
        resolve_base(str(tmp_path / "elsewhere"))

    whole, house.students[old].reader = house.students[old].reader, reader
    with pytest.raises(InputError, match=f"can't be compared with {old[:12]}, which serves: no folder .*elsewhere"):
        benchmark(house.store, flt, adapter=new, split=split)
    house.students[old].reader = whole
    found = json.loads(house.store.get(benchmark(house.store, flt, adapter=new, split=split).outputs["key"]))
    assert found["incumbent"]["difference"] < 0


@pytest.mark.parametrize("ref", ["package://no_such_package_here", "./no/such/folder", "nobody/no-such-model"])
def test_a_base_model_that_cannot_be_had_says_so(ref: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotHere):
        resolve_base(ref, fetch=False)


def test_a_store_that_fails_is_no_missing_noise_floor(house: Any, flt: Any, readers: Any) -> None:
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    failing = Store(Failing(house.store, "labels", BUSY))  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        benchmark(failing, flt, adapter=adapter, split=split)


def test_a_store_that_fails_is_no_missing_baseline(house: Any, flt: Any, readers: Any, tmp_path: Path) -> None:
    split = house.split()
    adapter = house.adapter(readers.noisy(1.0), split)
    scores = {"readiness": 3.0, "benefit": 4.0}
    rows = [{"id": str(i), "content": f"readiness=3.0 benefit=4.0 {i} words", "scores": scores} for i in range(5)]
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert evaluate_file(house.store, flt, adapter, labels).baselines
    failing = Store(Failing(house.store, f"datasets/{split}", AWAY))  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        evaluate_file(failing, flt, adapter, labels)
