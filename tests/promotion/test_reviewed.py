"""A student between a gate's bound and its review: held as where approval is required, and promoted by a person alone."""

from __future__ import annotations

import pytest

from distillery.components.artifacts.channel import current, read_channel
from distillery.components.artifacts.verdict import read_verdict
from distillery.components.promotion.by_hand import approve
from distillery.components.promotion.promote import hold, promote
from distillery.components.store import Store
from distillery.filters.errors import InputError, Rejected
from distillery.pipelines.inventory.adapters import state_of
from distillery.pipelines.inventory.channels import read_channels
from distillery.pipelines.results import SENTENCES, print_summary
from tests.gating.judged import make_filter
from tests.promotion.made import ADA, again, fine, judged

REVIEWING = make_filter("below: 0.8}", "below: 0.8, review: 0.9}")


def test_it_is_held_as_a_candidate_and_approved_by_a_person(store: Store) -> None:
    adapter, verdict = judged(store, 1, REVIEWING, mae=0.85)
    with pytest.raises(InputError, match="approve"):
        promote(store, REVIEWING, verdict=verdict, filter_key="filters/demo/1", verify=fine)
    hold(store, REVIEWING, verdict=verdict, run="run-1")
    (candidate,) = read_channel(store, "demo", "production").channel.candidates
    assert (candidate.adapter, candidate.verdict) == (adapter, verdict)
    assert current(store, "demo", "production") is None
    state, reason = state_of(adapter, read_verdict(store, "demo", verdict), read_channels(store))
    assert state == "candidate"
    assert reason == "waits for approval; mae: 0.85 is not below 0.8, and below 0.9: a person decides"
    approve(store, REVIEWING, adapter, ADA, judge=again(mae=0.85), verify=fine)
    serving = current(store, "demo", "production")
    assert serving is not None
    assert serving.adapter == adapter


def test_it_is_not_approved_where_it_fails_by_now(store: Store) -> None:
    adapter, verdict = judged(store, 1, REVIEWING, mae=0.85)
    hold(store, REVIEWING, verdict=verdict, run="run-1")
    with pytest.raises(Rejected, match="mae"):
        approve(store, REVIEWING, adapter, ADA, judge=again(mae=0.95), verify=fine)


@pytest.mark.parametrize("outcome", [name for name in SENTENCES if name not in ("promote", "reject")])
def test_the_end_of_the_run_names_what_a_person_must_decide(
    store: Store, capsys: pytest.CaptureFixture[str], outcome: str
) -> None:
    adapter, verdict = judged(store, 1, REVIEWING, mae=0.85)
    rules = [rule.to_json() for rule in read_verdict(store, "demo", verdict).rules]
    result = {"verdict": outcome, "filter": "demo", "adapter": adapter, "channel": "production", "held": {"by": "ada"}}
    result |= {"gates": rules, "losses": [], "baselines": {"mean": {"mae": 1.4}}, "mae": 0.85, "n": 100, "report": None}
    print_summary(result, filter="demo", store="", channel="")
    shown = " ".join(capsys.readouterr().out.split())
    assert "failed no gate, and mae is for a person to decide" in shown
    assert "passed every gate" not in shown
