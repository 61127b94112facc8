"""A channel moves only by a passing verdict for exactly the stored bytes, and one process at a time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from distillery.components.artifacts.channel import current
from distillery.components.artifacts.filter import publish_filter
from distillery.components.promotion import move as channel_module
from distillery.components.promotion.by_hand import rollback
from distillery.components.promotion.promote import hold, promote, reject
from distillery.components.store import Digest, Store, StoreError, canonical_json, digest_bytes, open_store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.gating.judged import make_filter
from tests.promotion.made import ADA, FILTER, HELD, fine, history, judged, promoted

KEY = "channels/demo/production.json"


def test_promotion_points_the_channel_and_keeps_history(store: Store) -> None:
    assert current(store, "demo", "production") is None
    assert history(store, "demo", "production") == []
    first, second = promoted(store, 1), promoted(store, 2)
    pointer = current(store, "demo", "production")
    assert pointer is not None
    assert (pointer.adapter, pointer.filter) == (second, "filters/demo/2")
    entries = history(store, "demo", "production")
    assert [(e.adapter, e.action) for e in entries] == [(second, "promote"), (first, "promote")]
    assert all(len(e.at) == 20 and e.at.endswith("Z") for e in entries)
    assert json.loads(store.get(KEY))["current"]["adapter"] == second


def test_outputs_say_what_was_before(store: Store) -> None:
    first = promoted(store, 1)
    adapter, verdict = judged(store, 2)
    outputs = promote(store, FILTER, verdict=verdict, verify=fine).outputs
    assert outputs["promoted"] == {"adapter": adapter, "channel": "production", "previous": first}


def test_promoting_what_serves_already_changes_nothing(store: Store) -> None:
    adapter, verdict = judged(store, 1)
    once = promote(store, FILTER, verdict=verdict, verify=fine)
    before = store.get(KEY)
    again = promote(store, FILTER, verdict=verdict, verify=fine)
    assert store.get(KEY) == before
    assert again.outputs == once.outputs
    assert again.outputs["adapter"] == adapter


SEVEN = make_filter("overall >= 6", "overall >= 7")


def by(store: Store, flt: Filter, number: int = 1) -> str:
    """Let a run promote a student by a filter; return the filter's key."""
    _, verdict = judged(store, number, flt)
    key = publish_filter(store, flt)
    promote(store, flt, verdict=verdict, filter_key=key, verify=fine)
    return key


def test_what_serves_already_serves_by_the_new_tiers(store: Store) -> None:
    """Scores are made with the filter that the channel keeps: a new tier would never reach them."""
    first, second = by(store, FILTER), by(store, SEVEN)
    pointer = current(store, "demo", "production")
    assert pointer is not None
    assert pointer.filter == second != first
    newest, before = history(store, "demo", "production")
    assert (newest.adapter, newest.action, before.filter) == (before.adapter, "promote", first)
    assert by(store, SEVEN) == second
    assert len(history(store, "demo", "production")) == 2


def test_a_filter_of_which_no_step_reads_the_change_is_no_move(store: Store) -> None:
    by(store, FILTER)
    by(store, make_filter("A filter for tests.", "Another description."))
    assert len(history(store, "demo", "production")) == 1


def test_a_pinned_channel_keeps_its_filter(store: Store) -> None:
    by(store, FILTER, 1)
    by(store, FILTER, 2)
    rollback(store, "demo", "production", to=None, said=ADA, verify=fine)
    before = store.get(KEY)
    by(store, SEVEN, 1)
    assert store.get(KEY) == before


def test_a_rollback_goes_to_the_adapter_before_and_to_its_newest_filter(store: Store) -> None:
    by(store, FILTER, 1)
    key = by(store, SEVEN, 1)
    by(store, SEVEN, 2)
    by(store, FILTER, 2)
    first = history(store, "demo", "production")[-1].adapter
    pointer = rollback(store, "demo", "production", to=None, said=ADA, verify=fine)
    assert (pointer.adapter, pointer.filter) == (first, key)


def test_a_verdict_that_fails_promotes_nothing(store: Store) -> None:
    _, verdict = judged(store, 1, mae=0.9)
    for attempt in (promote, hold):
        with pytest.raises(InputError, match="doesn't pass"):
            attempt(store, FILTER, verdict=verdict)
    assert reject(store, FILTER, verdict=verdict).outputs["reasons"] == ["mae: 0.9 is not below 0.8"]
    assert not store.exists(KEY)


def test_a_verdict_for_other_bytes_is_refused(store: Store) -> None:
    adapter, verdict = judged(store, 1)
    store.put(f"adapters/demo/{adapter}/golden.json", b"{ }")
    with pytest.raises(StoreError, match="other bytes than its digest names"):
        promote(store, FILTER, verdict=verdict, verify=fine)
    assert not store.exists(KEY)


def test_an_altered_bundle_is_found_even_where_it_serves_already(store: Store) -> None:
    adapter, verdict = judged(store, 1)
    promote(store, FILTER, verdict=verdict, verify=fine)
    store.put(f"adapters/demo/{adapter}/golden.json", b"{ }")
    with pytest.raises(StoreError, match="other bytes"):
        promote(store, FILTER, verdict=verdict, verify=fine)


def test_an_altered_or_foreign_verdict_is_refused(store: Store) -> None:
    _, verdict = judged(store, 1, mae=0.9)
    key = f"verdicts/demo/{verdict}.json"
    forged = {**json.loads(store.get(key)), "passed": True, "decision": "promote"}
    store.put(key, canonical_json(forged))
    with pytest.raises(StoreError, match="other bytes"):
        promote(store, FILTER, verdict=verdict, verify=fine)
    foreign = canonical_json({**forged, "filter": "other"})
    store.put(f"verdicts/demo/{digest_bytes(foreign)}.json", foreign)
    with pytest.raises(InputError, match="judges other, not demo"):
        promote(store, FILTER, verdict=digest_bytes(foreign), verify=fine)
    for passed in (1, "true", None, False):  # only true is true
        odd = canonical_json({**forged, "passed": passed})
        store.put(f"verdicts/demo/{digest_bytes(odd)}.json", odd)
        says = "doesn't pass" if passed is False else "is not a verdict: passed: Input should be a valid boolean"
        with pytest.raises(InputError, match=says):
            promote(store, FILTER, verdict=digest_bytes(odd), verify=fine)
    with pytest.raises(InputError, match="there is no verdict"):
        promote(store, FILTER, verdict=digest_bytes(b"none"), verify=fine)
    assert not store.exists(KEY)


def test_a_verdict_under_other_gates_is_refused(store: Store) -> None:
    _, verdict = judged(store, 1)
    for now in (make_filter("below: 0.8", "below: 0.75"), HELD):
        with pytest.raises(InputError, match="under other gates"):
            promote(store, now, verdict=verdict, verify=fine)
    assert not store.exists(KEY)


def test_a_verdict_against_another_incumbent_is_refused(store: Store) -> None:
    _, stale = judged(store, 1)
    second = promoted(store, 2)
    with pytest.raises(InputError, match=f"another process changed the channel meanwhile: it points at {second[:12]}"):
        promote(store, FILTER, verdict=stale, verify=fine)
    assert [entry.adapter for entry in history(store, "demo", "production")] == [second]


def test_a_bundle_that_does_not_reproduce_itself_is_not_pointed_at(store: Store) -> None:
    def off(*_: object) -> float:
        raise InputError("the loaded student doesn't reproduce its golden predictions")

    _, verdict = judged(store, 1)
    with pytest.raises(InputError, match="golden predictions"):
        promote(store, FILTER, verdict=verdict, verify=off)
    assert not store.exists(KEY)


def test_promotion_verifies_by_loading_unless_told_otherwise(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    _, verdict = judged(store, 1)
    with pytest.raises(InputError):  # these bundles are of no use to a student
        promote(store, FILTER, verdict=verdict)
    assert not store.exists(KEY)
    reproduce = "distillery.components.promotion.promote.reproduce"
    monkeypatch.setattr(reproduce, lambda store, name, adapter, *, student: fine(store, name, adapter))
    promote(store, FILTER, verdict=verdict)
    assert store.exists(KEY)


@pytest.mark.parametrize("same", [False, True])
def test_of_two_promotions_at_once_one_wins(store: Store, same: bool) -> None:
    verdicts = [judged(store, number)[1] for number in ((1, 1) if same else (1, 2))]
    barrier, won, lost = threading.Barrier(2), [], []

    def slow(store: Store, name: str, adapter: Digest) -> float:
        barrier.wait()  # both have read the channel by now
        return fine(store, name, adapter)

    def run(verdict: str) -> None:
        try:
            won.append(promote(store, FILTER, verdict=verdict, verify=slow).outputs["adapter"])
        except InputError as error:
            lost.append(str(error))

    threads = [threading.Thread(target=run, args=(verdict,)) for verdict in verdicts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == ((2, 0) if same else (1, 1))
    assert all("another process changed the channel meanwhile" in text and "run again" in text for text in lost)
    pointer = current(store, "demo", "production")
    assert pointer is not None
    assert pointer.adapter == won[0]
    assert len(pointer.history) == 1


def test_a_write_that_does_not_stick_is_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, verdict = judged(store, 1)
    monkeypatch.setattr(store, "put_if", lambda *_, **__: None)
    with pytest.raises(StoreError, match="did not keep what was written"):
        promote(store, FILTER, verdict=verdict, verify=fine)


def test_rollback_goes_back_and_further_back(store: Store) -> None:
    with pytest.raises(InputError, match="nothing was promoted yet"):
        rollback(store, "demo", "production", verify=fine)
    first, second, third = (promoted(store, number) for number in (1, 2, 3))
    assert rollback(store, "demo", "production", verify=fine).adapter == second
    assert rollback(store, "demo", "production", verify=fine).adapter == first
    with pytest.raises(InputError, match="there is no adapter before"):
        rollback(store, "demo", "production", verify=fine)
    assert rollback(store, "demo", "production", third[:12], verify=fine).adapter == third
    assert rollback(store, "demo", "production", verify=fine).adapter == first
    actions = [(entry.adapter, entry.action) for entry in history(store, "demo", "production")]
    assert actions == [
        (first, "rollback"),
        (third, "rollback"),
        (first, "rollback"),
        (second, "rollback"),
        (third, "promote"),
        (second, "promote"),
        (first, "promote"),
    ]


def test_rollback_to_what_serves_changes_nothing(store: Store) -> None:
    adapter = promoted(store, 1)
    before = store.get(KEY)
    assert rollback(store, "demo", "production", adapter, verify=fine).adapter == adapter
    assert store.get(KEY) == before


def test_rollback_refuses_strangers_and_altered_bundles(store: Store) -> None:
    first, second = promoted(store, 1), promoted(store, 2)
    for stranger in (digest_bytes(b"stranger"), first[:7], "", "../../x"):
        with pytest.raises(InputError, match="is not one adapter that this channel held"):
            rollback(store, "demo", "production", stranger, verify=fine)
    store.put(f"adapters/demo/{first}/adapter_model.safetensors", b"evil")
    with pytest.raises(StoreError, match="other bytes"):
        rollback(store, "demo", "production", verify=fine)
    pointer = current(store, "demo", "production")
    assert pointer is not None
    assert pointer.adapter == second


@pytest.mark.parametrize(
    "pointer",
    [
        b"",
        b"{}",
        b"[]",
        b'{"current": {"adapter": "x"}, "history": []}',
        b"\xff",
        b'{"current": {}, "history": [{"adapter": "../x"}]}',
    ],
)
def test_a_channel_that_is_none_is_refused(store: Store, pointer: bytes) -> None:
    store.put(KEY, pointer)
    with pytest.raises(StoreError, match=r"production.json: is not"):
        current(store, "demo", "production")


def test_a_channel_whose_pointer_was_edited_by_hand_is_refused(store: Store) -> None:
    first, second = promoted(store, 1), promoted(store, 2)
    store.put(KEY, store.get(KEY).replace(second.encode(), first.encode(), 1))
    with pytest.raises(StoreError, match="its current entry is not the newest"):
        current(store, "demo", "production")


@pytest.mark.parametrize("name", ["../x", "a b", ""])
def test_a_channel_name_that_climbs_out_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="can't be a name in the store"):
        current(store, name, "production")


def test_a_killed_promotion_leaves_old_or_new(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    first = promoted(store, 1)
    adapter, verdict = judged(store, 2)
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.promotion.made import FILTER, fine\n"
        "from distillery.components.promotion.promote import promote\nfrom distillery.components.store import open_store\n"
        "store = open_store(sys.argv[1]); print('up', flush=True)\n"
        "promote(store, FILTER, verdict=sys.argv[2], verify=fine)"
    )
    seen = set()
    for delay in (0.0, 0.001, 0.002, 0.004, 0.2):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), verdict], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        pointer = current(store, "demo", "production")
        assert pointer is not None
        assert [e.adapter for e in pointer.history] in ([first], [adapter, first])
        seen.add(pointer.adapter)
    promote(store, FILTER, verdict=verdict, verify=fine)
    assert [e.adapter for e in history(store, "demo", "production")] == [adapter, first]
    assert seen <= {first, adapter}


def test_importing_promotion_loads_no_torch() -> None:
    modules = "distillery.components.promotion.promote, distillery.components.gating.gate"
    code = f"import sys, {modules}; print({{'torch', 'kfp'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
    assert callable(channel_module.reproduce)
