"""What a person approves is what they named by digest; what a person rolled back stays back until a person says otherwise."""

from __future__ import annotations

import json

import pytest

from distillery.components.artifacts.channel import LoneCandidate, current, on_channel, read_channel
from distillery.components.promotion.by_hand import Said, approve, promote_by_name, rollback, unpin
from distillery.components.promotion.history import told
from distillery.components.promotion.promote import hold, promote
from distillery.components.store import Store, StoreError, digest_bytes, open_store
from distillery.filters.errors import InputError, Rejected, Waiting
from tests.documents import incumbent_json
from tests.gating.judged import make_filter
from tests.promotion.made import ADA, BY_HAND, FILTER, HELD, again, fine, held, history, judged, promoted

WHERE = ("demo", "production")


def waiting(store: Store, channel: str = "production") -> list[str]:
    return [candidate.adapter for candidate in read_channel(store, "demo", channel).channel.candidates]


def served(store: Store, channel: str = "production") -> list[str]:
    return [entry.adapter for entry in history(store, "demo", channel)]


def test_approval_names_the_digest_says_who_and_why_and_consumes_the_candidate(store: Store) -> None:
    with pytest.raises(InputError, match="no candidate waits for approval"):
        approve(store, HELD, digest_bytes(b"any"), ADA, **BY_HAND)
    _, verdict = judged(store, 1, HELD)
    with pytest.raises(InputError, match="waits for approval; approve it: distillery approve demo"):
        promote(store, HELD, verdict=verdict, verify=fine)
    adapter = held(store, 1)
    assert (current(store, *WHERE), waiting(store)) == (None, [adapter])
    assert approve(store, HELD, adapter[:8], ADA, **BY_HAND).outputs["promoted"]["adapter"] == adapter
    (entry,) = history(store, *WHERE)
    assert (entry.adapter, entry.action, entry.by, entry.reason) == (adapter, "promote", "ada", "read its report")
    assert waiting(store) == []
    assert approve(store, HELD, adapter, ADA, **BY_HAND).outputs["adapter"] == adapter  # serves already
    assert len(history(store, *WHERE)) == 1


def test_another_digest_is_refused(store: Store) -> None:
    adapter, (other, _) = held(store, 1), judged(store, 2, HELD)
    for name in (other, other[:12], adapter[:7], "", "../../x", adapter[:-1] + ("0" if adapter[-1] != "0" else "1")):
        with pytest.raises(InputError, match="is no candidate; these wait: " + adapter[:12]):
            approve(store, HELD, name, ADA, **BY_HAND)
    assert (served(store), waiting(store)) == ([], [adapter])


def test_candidates_are_kept_each_with_its_report(store: Store) -> None:
    adapters = [held(store, number, run=f"night-{number}") for number in (1, 2, 3)]
    shown = told(store, "demo", read_channel(store, *WHERE).channel)["candidates"]
    assert [row["adapter"] for row in shown] == adapters[::-1]
    assert [row["report"] for row in shown] == [f"runs/night-{number}/report.html" for number in (3, 2, 1)]
    assert [(row["mae"], row["rules"]) for row in shown] == [(0.7, [2, 2])] * 3
    held(store, 2, run="night-4")  # the same bytes again: one candidate, with its newest report
    shown = told(store, "demo", read_channel(store, *WHERE).channel)["candidates"]
    assert [row["run"] for row in shown] == ["night-4", "night-3", "night-1"]
    approve(store, HELD, adapters[0], ADA, **BY_HAND)
    assert (served(store), waiting(store)) == ([adapters[0]], [adapters[1], adapters[2]])


def test_a_channel_has_its_own_candidates(store: Store) -> None:
    staging = on_channel(HELD, "staging")
    first, second = held(store, 1), held(store, 2, staging)
    with pytest.raises(InputError, match="is no candidate"):
        approve(store, staging, first, ADA, **BY_HAND)
    approve(store, staging, second, ADA, **BY_HAND)
    assert (served(store), served(store, "staging"), waiting(store)) == ([], [second], [first])
    for odd in ("Staging", "a.candidate", "../x", "x" * 70):
        with pytest.raises(InputError, match="is not the name of a channel"):
            on_channel(HELD, odd)


def test_what_serves_already_waits_for_nobody(store: Store) -> None:
    adapter = held(store, 1)
    approve(store, HELD, adapter, ADA, **BY_HAND)
    _, verdict = judged(store, 1, HELD, incumbent=None)
    assert hold(store, HELD, verdict=verdict).outputs["promoted"]["adapter"] == adapter
    assert waiting(store) == []
    store.put(f"adapters/demo/{adapter}/golden.json", b"{ }")
    with pytest.raises(StoreError, match="other bytes"):
        hold(store, HELD, verdict=verdict)


def test_a_candidate_is_approved_by_the_gates_of_today(store: Store) -> None:
    adapter = held(store, 1)
    tightened = make_filter("below: 0.8", "below: 0.65")
    with pytest.raises(Rejected) as error:
        approve(store, tightened, adapter, ADA, **BY_HAND)
    said = f"adapter {adapter[:12]}: fails the gates of demo as they are now: mae: 0.7 is not below 0.65"
    assert str(error.value) == said
    assert (served(store), waiting(store)) == ([], [adapter])
    loosened = make_filter("below: 0.8", "below: 0.9")
    assert approve(store, loosened, adapter, ADA, **BY_HAND).outputs["adapter"] == adapter


def test_a_candidate_is_approved_against_what_serves_today(store: Store) -> None:
    adapter = held(store, 1)
    better = promoted(store, 2)
    worse = incumbent_json(adapter=better, difference=0.1, interval=[0.01, 0.2])
    with pytest.raises(Rejected, match=r"mae_vs_incumbent: 0\.1 is not below 0"):
        approve(store, HELD, adapter, ADA, judge=again(incumbent=worse), verify=fine)
    stale = again(incumbent=None)  # whoever judged it did not see that another serves now
    with pytest.raises(InputError, match="another process changed the channel meanwhile"):
        approve(store, HELD, adapter, ADA, judge=stale, verify=fine)
    assert served(store) == [better]


def test_an_altered_candidate_is_not_promoted(store: Store) -> None:
    adapter = held(store, 1)
    store.put(f"adapters/demo/{adapter}/golden.json", b"{ }")
    with pytest.raises(StoreError, match="other bytes"):
        approve(store, HELD, adapter, ADA, **BY_HAND)
    assert served(store) == []


def test_a_rollback_pins_blocks_and_a_run_then_promotes_nothing(store: Store) -> None:
    first, second = promoted(store, 1), promoted(store, 2)
    _, verdict = judged(store, 2, incumbent=incumbent_json(adapter=first, difference=-0.1, interval=[-0.2, -0.01]))
    rollback(store, *WHERE, said=Said("bob", "spam in the top tier"), verify=fine)
    before = store.get("channels/demo/production.json")
    nightly = promote(store, FILTER, verdict=verdict, run="nightly", verify=fine).outputs
    assert (nightly["promoted"], nightly["adapter"]) == (None, second)
    assert {name: nightly["held"][name] for name in ("why", "by", "reason")} == {
        "why": "blocked",
        "by": "bob",
        "reason": "spam in the top tier",
    }
    assert hold(store, FILTER, verdict=verdict).outputs["held"]["why"] == "blocked"
    assert store.get("channels/demo/production.json") == before
    other, verdict = judged(store, 3)
    nightly = promote(store, FILTER, verdict=verdict, run="nightly", verify=fine).outputs
    assert (nightly["promoted"], nightly["held"]["why"]) == (None, "pinned")
    assert (served(store)[0], waiting(store)) == (first, [other])


def test_approval_brings_nothing_back_that_was_rolled_back(store: Store) -> None:
    first, second = promoted(store, 1), held(store, 2)
    approve(store, HELD, second, ADA, **BY_HAND)
    rollback(store, *WHERE, said=ADA, verify=fine)
    for digest in (second, second[:10]):
        with pytest.raises(Waiting, match=f"{second[:12]} is not promoted: demo/production was rolled back from it by ada"):
            approve(store, HELD, digest, ADA, **BY_HAND)
    other = held(store, 3)
    with pytest.raises(Waiting, match=r"demo/production was pinned by ada .*distillery unpin demo --channel production"):
        approve(store, HELD, other, ADA, **BY_HAND)
    assert served(store) == [first, second, first]
    unpin(store, *WHERE, ADA)
    with pytest.raises(Waiting, match="was rolled back from it"):
        approve(store, HELD, second, ADA, **BY_HAND)
    approve(store, HELD, other, ADA, **BY_HAND)
    assert served(store)[0] == other


def test_a_candidate_that_is_rolled_back_from_waits_no_longer(store: Store) -> None:
    promoted(store, 1)
    second = promoted(store, 2)
    _, verdict = judged(store, 3, HELD)
    hold(store, HELD, verdict=verdict)
    channel = read_channel(store, *WHERE).channel
    raced = channel.with_candidate(channel.candidates[0].model_copy(update={"adapter": second}))
    raced.put(store, "channels/demo/production.json")  # held by a run that had read the channel before it was promoted
    rollback(store, *WHERE, said=ADA, verify=fine)
    assert second not in waiting(store)


def test_unpin_lets_runs_promote_again_but_not_what_was_rolled_back(store: Store) -> None:
    first, second = promoted(store, 1), promoted(store, 2)
    rollback(store, *WHERE, said=ADA, verify=fine)
    unpin(store, *WHERE, Said("bob", "the feed is mended"))
    newest = history(store, *WHERE)[0]
    assert (newest.action, newest.adapter, newest.by, newest.reason) == ("unpin", first, "bob", "the feed is mended")
    _, verdict = judged(store, 2)
    assert promote(store, FILTER, verdict=verdict, verify=fine).outputs["held"]["why"] == "blocked"
    third = promoted(store, 3)
    assert served(store)[0] == third
    before = store.get("channels/demo/production.json")
    unpin(store, *WHERE, ADA)  # is not pinned
    assert store.get("channels/demo/production.json") == before
    assert rollback(store, *WHERE, said=ADA, verify=fine).adapter == first
    assert [block.adapter for block in read_channel(store, *WHERE).channel.blocked] == [third, second]


def test_promotion_by_name_lifts_pin_and_block(store: Store) -> None:
    promoted(store, 1)
    second = promoted(store, 2)
    rollback(store, *WHERE, said=ADA, verify=fine)
    record = promote_by_name(store, FILTER, second, Said("bob", "it was the feed"), **BY_HAND)
    assert record.outputs["promoted"]["adapter"] == second
    channel = read_channel(store, *WHERE).channel
    assert (channel.adapter, channel.pin, channel.blocked) == (second, None, [])
    assert (channel.history[0].action, channel.history[0].by) == ("promote", "bob")


def test_promotion_by_name_needs_gates_bytes_and_goldens(store: Store) -> None:
    (adapter, _), strict = judged(store, 1), make_filter("below: 0.8", "below: 0.6")
    with pytest.raises(Rejected, match=r"mae: 0\.7 is not below 0\.6"):
        promote_by_name(store, strict, adapter, ADA, **BY_HAND)

    def off(*_: object) -> float:
        raise InputError("the loaded student doesn't reproduce its golden predictions")

    with pytest.raises(InputError, match="golden predictions"):
        promote_by_name(store, FILTER, adapter, ADA, judge=again(), verify=off)
    assert read_channel(store, *WHERE).etag is None
    promote_by_name(store, on_channel(FILTER, "staging"), adapter, ADA, **BY_HAND)
    assert (served(store), served(store, "staging")) == ([], [adapter])


def test_promotion_by_name_of_what_serves_ends_the_pin(store: Store) -> None:
    first, _ = promoted(store, 1), promoted(store, 2)
    rollback(store, *WHERE, said=ADA, verify=fine)
    promote_by_name(store, FILTER, first, ADA, **BY_HAND)
    channel = read_channel(store, *WHERE).channel
    assert (channel.adapter, channel.pin, channel.history[0].action) == (first, None, "unpin")
    assert len(channel.blocked) == 1


def test_a_rollback_goes_by_bytes_and_goldens_not_by_todays_gates(store: Store) -> None:
    first, _ = promoted(store, 1), promoted(store, 2)
    for key in list(store.keys("verdicts")):
        store.put(key, b"{")  # no verdict can be read any more
    assert rollback(store, *WHERE, said=ADA, verify=fine).adapter == first
    store.put(f"adapters/demo/{first}/golden.json", b"{ }")
    with pytest.raises(StoreError, match="other bytes"):
        rollback(store, *WHERE, served(store)[1], said=ADA, verify=lambda s, n, a: fine(s, n, first))


def test_who_and_why_are_one_line_of_some_length() -> None:
    assert Said.of(" ada \n", "two\nlines\x1b[31m") == Said("ada", "two lines�[31m")
    for by, reason, says in (
        ("  ", "x", "--as: is empty"),
        ("a" * 501, "", "--as: has 501"),
        ("a", "x" * 501, "--reason: has 501"),
    ):
        with pytest.raises(InputError, match=says):
            Said.of(by, reason)


def test_a_candidate_of_the_first_layout_is_approved_once(store: Store) -> None:
    adapter, verdict = judged(store, 1, HELD)
    lone = LoneCandidate(adapter=adapter, verdict=verdict, filter="filters/demo/v1/x.yaml")
    lone.put(store, "channels/demo/production.candidate.json")
    held(store, 2)  # takes it along
    assert len(waiting(store)) == 2
    assert approve(store, HELD, adapter, ADA, **BY_HAND).outputs["adapter"] == adapter
    assert adapter not in waiting(store)
    assert json.loads(store.get("channels/demo/production.json"))["format"] == 2


def test_a_torn_candidate_of_the_first_layout_stops_no_rollback(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = open_store(str(tmp_path_factory.mktemp("torn")))
    first, _ = promoted(store, 1), promoted(store, 2)
    store.put("channels/demo/production.candidate.json", b"{")
    channel = json.loads(store.get("channels/demo/production.json"))
    older = {"format": 1, "current": channel["current"], "history": channel["history"]}
    store.put("channels/demo/production.json", json.dumps(older).encode())
    with pytest.raises(StoreError, match="it holds the candidate anew"):
        approve(store, HELD, digest_bytes(b"x"), ADA, **BY_HAND)
    assert rollback(store, *WHERE, said=ADA, verify=fine).adapter == first
