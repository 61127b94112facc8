"""A candidate that a person refuses is offered no more, by no run and no approval, until somebody promotes it by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distillery.components.artifacts.channel import Candidate, Channel, read_channel
from distillery.components.promotion.by_hand import Said, approve, promote_by_name, refuse, rollback, unpin
from distillery.components.promotion.promote import hold, promote
from distillery.components.store import Store, digest_bytes
from distillery.filters.errors import InputError, Waiting
from tests.promotion.made import ADA, BY_HAND, FILTER, HELD, fine, held, history, judged, promoted

WHERE = ("demo", "production")
BOB = Said("bob", "it calls adverts news")


def now(store: Store) -> Channel:
    return read_channel(store, *WHERE).channel


def waiting(store: Store) -> list[str]:
    return [row.adapter for row in now(store).candidates]


def test_a_refused_candidate_is_off_the_list_with_who_when_and_why(store: Store) -> None:
    first, second = held(store, 1), held(store, 2)
    after = refuse(store, *WHERE, first[:8], BOB)
    assert [row.adapter for row in after.candidates] == waiting(store) == [second]
    (block,) = now(store).blocked
    assert (block.adapter, block.refused, block.by, block.reason) == (first, True, "bob", "it calls adverts news")
    assert block.at.endswith("Z")
    refused = "it was refused for demo/production by bob at .*: it calls adverts news; `distillery promote"
    said = f"{first[:12]} is not promoted: {refused}"
    with pytest.raises(Waiting, match=said):
        approve(store, HELD, first, ADA, **BY_HAND)
    assert approve(store, HELD, second, ADA, **BY_HAND).outputs["adapter"] == second
    assert [entry.adapter for entry in history(store, *WHERE)] == [second]


def test_no_run_offers_it_again(store: Store) -> None:
    adapter = held(store, 1)
    refuse(store, *WHERE, adapter, BOB)
    before = store.get("channels/demo/production.json")
    for flt in (HELD, FILTER):
        _, verdict = judged(store, 1, flt)
        end: Any = hold if flt is HELD else promote
        more = {} if flt is HELD else {"verify": fine}
        outputs = end(store, flt, verdict=verdict, run="nightly", **more).outputs
        assert {name: outputs["held"][name] for name in ("why", "by", "reason")} == {
            "why": "refused",
            "by": "bob",
            "reason": "it calls adverts news",
        }
        assert outputs["promoted"] is None
    assert store.get("channels/demo/production.json") == before
    other = held(store, 2)  # another one is offered
    assert waiting(store) == [other]


def test_promotion_by_name_alone_lifts_it(store: Store) -> None:
    promoted(store, 1)
    adapter, _ = held(store, 2), promoted(store, 3)
    refuse(store, *WHERE, adapter, BOB)
    rollback(store, *WHERE, said=ADA, verify=fine)
    unpin(store, *WHERE, ADA)
    assert now(store).block_of(adapter) is not None
    assert promote_by_name(store, FILTER, adapter, ADA, **BY_HAND).outputs["adapter"] == adapter
    assert (now(store).adapter, now(store).block_of(adapter)) == (adapter, None)


def test_what_is_no_candidate_cannot_be_refused(store: Store) -> None:
    with pytest.raises(InputError, match="no candidate waits for approval"):
        refuse(store, *WHERE, digest_bytes(b"any"), BOB)
    adapter, (other, _) = held(store, 1), judged(store, 2, HELD)
    for name in (other, adapter[:7], "", "../../x"):
        with pytest.raises(InputError, match="is no candidate; these wait: " + adapter[:12]):
            refuse(store, *WHERE, name, BOB)
    assert (waiting(store), now(store).blocked) == ([adapter], [])


def test_a_second_refusal_changes_nothing_and_keeps_the_first_word(store: Store) -> None:
    adapter = held(store, 1)
    refuse(store, *WHERE, adapter, BOB)
    before = store.get("channels/demo/production.json")
    assert refuse(store, *WHERE, adapter, ADA).blocked[0].by == "bob"
    assert store.get("channels/demo/production.json") == before


def test_a_candidate_under_a_pin_can_be_refused_and_the_pin_stays(store: Store) -> None:
    promoted(store, 1)
    promoted(store, 2)
    adapter = held(store, 3)
    rollback(store, *WHERE, said=ADA, verify=fine)
    refuse(store, *WHERE, adapter, BOB)
    assert (waiting(store), now(store).pin is not None) == ([], True)
    assert [block.refused for block in now(store).blocked] == [True, False]


def test_a_block_of_a_rollback_is_written_as_it_was_before_there_were_refusals(store: Store) -> None:
    promoted(store, 1)
    promoted(store, 2)
    rollback(store, *WHERE, said=ADA, verify=fine)
    (block,) = json.loads(store.get("channels/demo/production.json"))["blocked"]
    assert set(block) == {"adapter", "by", "at", "reason"}


def test_what_is_approved_meanwhile_is_not_refused(store: Store) -> None:
    adapter = held(store, 1)

    class Late:
        """The objects of a store, through which somebody approves the candidate after it was read."""

        read = 0

        def __getattr__(self, name: str) -> Any:
            method = getattr(store._objects, name)

            def call(*given: Any) -> Any:
                if name == "versioned" and given[0].startswith("channels/"):
                    self.read += 1
                    if self.read == 2:
                        approve(store, HELD, adapter, ADA, **BY_HAND)
                return method(*given)

            return call if callable(method) else method

    with pytest.raises(InputError, match=f"another process changed the channel meanwhile: it points at {adapter[:12]} now"):
        refuse(Store(Late()), *WHERE, adapter, BOB)  # type: ignore[arg-type]
    assert (now(store).adapter, now(store).blocked) == (adapter, [])


def test_a_held_row_names_what_is_waiting_only(store: Store) -> None:
    """A candidate that a run of an older program put back is none of those that wait for an approval."""
    adapter = held(store, 1)
    refuse(store, *WHERE, adapter, BOB)
    row = Candidate(adapter=adapter, verdict="0" * 64, filter="filters/demo/v1/x.yaml")
    now(store).with_candidate(row).put(store, "channels/demo/production.json")
    with pytest.raises(Waiting, match="it was refused"):
        approve(store, HELD, adapter, ADA, **BY_HAND)
