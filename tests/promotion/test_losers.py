"""A loser is not promoted by anybody unless the filter says so; what serves already is promoted again and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.components.artifacts.channel import current, read_channel
from distillery.components.gating import gate as step
from distillery.components.gating import rules
from distillery.components.gating.gate import gate
from distillery.components.promotion.by_hand import approve, promote_by_name
from distillery.components.promotion.promote import hold, promote, reject
from distillery.components.store import Store
from distillery.filters.errors import InputError, Rejected
from tests.documents import benchmark_json, incumbent_json
from tests.gating.judged import make_filter, ready
from tests.promotion.made import ADA, BY_HAND, again, fine, history, judged

WHERE = ("demo", "production")
OWN = ", {metric: mae_vs_incumbent, below: 0.0}"
ALONE, HELD = make_filter(OWN), make_filter(f"{OWN}]", "]\n  promotion: {approval: required}")
BASELINE = benchmark_json()["baselines"]["mean"]
BEHIND: dict[str, Any] = {"baselines": {"mean": {**BASELINE, "mae": 0.5}}}


def level(adapter: str) -> dict[str, Any]:
    return {"incumbent": incumbent_json(adapter=adapter)}


def test_a_run_promotes_no_loser_and_says_by_what_it_lost(store: Store) -> None:
    first, good = judged(store, 1, ALONE)  # nothing serves yet
    assert promote(store, ALONE, verdict=good, verify=fine).outputs["promoted"]["adapter"] == first
    for changes, reason in ((BEHIND, "skill mean: "), (level(first), "mae_vs_incumbent: upper end of the interval, ")):
        _, verdict = judged(store, 2, ALONE, **changes)
        with pytest.raises(InputError, match="it doesn't pass, so nothing may be promoted by it"):
            promote(store, ALONE, verdict=verdict, verify=fine)
        with pytest.raises(InputError, match="it doesn't pass"):
            hold(store, ALONE, verdict=verdict)
        (told,) = reject(store, ALONE, verdict=verdict).outputs["reasons"]
        assert told.startswith(reason)
        assert told.endswith(", and no gate of the filter permits it")
    assert [entry.adapter for entry in history(store, *WHERE)] == [first]


@pytest.mark.parametrize("order", [approve, promote_by_name])
def test_a_person_promotes_no_loser_either(store: Store, order: Any) -> None:
    first, good = judged(store, 1, ALONE)
    promote(store, ALONE, verdict=good, verify=fine)
    second, verdict = judged(store, 2, HELD)
    hold(store, HELD, verdict=verdict)
    for changes, name in ((BEHIND, "skill mean"), (level(first), "mae_vs_incumbent")):
        said = f"fails the gates of demo as they are now: {name}: .*, and no gate of the filter permits it"
        with pytest.raises(Rejected, match=said):
            order(store, HELD, second, ADA, judge=again(**changes), verify=fine)
    assert [entry.adapter for entry in history(store, *WHERE)] == [first]
    assert [row.adapter for row in read_channel(store, *WHERE).channel.candidates] == [second]
    knowing = make_filter(f"{OWN}]", ", {metric: skill, baseline: mean, atLeast: -9}]\n  promotion: {approval: required}")
    assert order(store, knowing, second, ADA, judge=again(**BEHIND), verify=fine).outputs["adapter"] == second


def test_what_passed_before_such_rules_is_judged_by_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter, benchmark = ready(store, number=1, **BEHIND)
    with monkeypatch.context() as patch:
        patch.setattr(step, "CODE", 1)
        patch.setattr(rules, "unstated", lambda *_: [])
        hold(store, HELD, verdict=gate(store, HELD, adapter=adapter, benchmark=benchmark).outputs["verdict"])
    for order in (approve, promote_by_name):
        with pytest.raises(Rejected, match="skill mean: "):
            order(store, HELD, adapter, ADA, judge=again(**BEHIND), verify=fine)
    assert current(store, *WHERE) is None


def test_what_serves_is_promoted_again_and_changes_nothing(store: Store) -> None:
    adapter, verdict = judged(store, 1, ALONE)
    for _ in range(2):  # it is compared with the one it replaced: with none
        assert promote(store, ALONE, verdict=verdict, verify=fine).outputs["promoted"]["adapter"] == adapter
    assert promote_by_name(store, ALONE, adapter, ADA, **BY_HAND).outputs["adapter"] == adapter
    assert approve(store, HELD, adapter, ADA, **BY_HAND).outputs["adapter"] == adapter
    assert len(history(store, *WHERE)) == 1
