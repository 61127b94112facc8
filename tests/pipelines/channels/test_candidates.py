"""What waits for a person: approved, refused, replaced while its report is read."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest

from distillery.components.gating import gate, rules
from tests.pipelines.channels.conftest import UNSTATED, WHY, Town, typed
from tests.pipelines.harness import (
    typed_in_a_terminal,
)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"gates": [{"metric": "mae", "below": 0.001}]}, "mae: "),
        ({"gates": [{"metric": "mae", "below": 9.0}, {"metric": "articles", "atLeast": 5000}]}, "is less than 5000"),
        (  # the gate stays, and what it judges is another tier now
            {
                "tiers": [{"name": "high", "when": "overall >= 9.99"}, {"name": "low"}],
                "gates": [{"metric": "tier_recall", "tier": "high", "atLeast": 0.0}],
            },
            "tier_recall high: ",
        ),
    ],
    ids=["a gate tightened", "a gate added", "a tier moved"],
)
def test_approve_judges_by_the_filter_as_it_is_now(town: Town, spec: dict[str, Any], says: str) -> None:
    adapter = town.held(3)
    town.filter(**spec)
    refused = town("approve", "filter.yaml", adapter[:12], *WHY)
    assert refused.code == 3, refused.err
    (line,) = [line for line in refused.err.splitlines() if line.startswith("error: ")]
    assert f"adapter {adapter[:12]}: fails the gates of small-town as they are now: " in line
    assert says in line
    assert town.serving() == []
    town.filter()
    approved = town("approve", "filter.yaml", adapter, *WHY)
    assert approved.code == 0, approved.err
    assert town.serving() == [adapter]


def test_approve_compares_with_what_serves_now(town: Town) -> None:
    other = town.held(4)
    assert town("approve", "filter.yaml", other, *WHY).code == 0
    adapter = town.held(3)
    town.filter(gates=[{"metric": "mae", "below": 9.0}, {"metric": "mae_vs_incumbent", "below": -8.0}])
    refused = town("approve", "filter.yaml", adapter, *WHY)
    assert refused.code == 3, refused.err
    assert "mae_vs_incumbent: " in refused.err
    assert town.serving() == [other]


def test_what_a_candidate_was_judged_on_is_gone(town: Town) -> None:
    adapter = town.held(3)
    for folder in ("judgements", "datasets", "steps"):
        shutil.rmtree(town.folder / ".distillery" / folder)
    gone = town("approve", "filter.yaml", adapter, *WHY)
    assert gone.code == 2, gone.err
    assert "can't be judged again: " in gone.err
    assert town.serving() == []


def test_approve_wants_a_digest_and_a_reason_where_nobody_can_be_asked(town: Town) -> None:
    nothing = town("approve", "filter.yaml")
    assert (nothing.code, "no candidate waits for approval" in nothing.err) == (2, True)
    first, second = town.held(3), town.held(4)
    for arguments, says in (
        ((*WHY,), f"2 candidates wait; name the one whose report you have read: .* ADAPTER; {second[:12]}, {first[:12]}"),
        ((first,), "--reason: an approval needs a reason"),
        (("0" * 12, *WHY), f"'000000000000' is no candidate; these wait: {second[:12]}, {first[:12]}"),
        ((first, *WHY, "--channel", "staging"), "small-town/staging: no candidate waits"),
        ((first, *WHY, "--channel", "No/Channel"), "--channel No/Channel: is not the name of a channel"),
    ):
        refused = town("approve", "filter.yaml", *arguments)
        assert refused.code == 2, refused.err
        assert re.search(says, refused.err), refused.err
    assert town.serving() == []
    assert town("approve", "filter.yaml", first[:8], *WHY).out == f"small-town/production → {first}\n"
    shown = town("history", "filter.yaml")
    waits, now = shown.out.splitlines()
    assert waits.split()[:2] == ["waiting", second[:12]]
    assert f"{town.folder}/.distillery/runs/run-4/report.html" in waits
    assert re.fullmatch(
        r"now \S+Z  promote   \w{12}  v1  MAE \d\.\d{3}  7 of 7 gates  verdict \w{12}  by ada \(read its report\)", now
    )


def test_a_candidate_that_passed_before_losers_were_rejected_is_judged_anew(town: Town) -> None:
    town.filter(gates=UNSTATED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "CODE", 1)
        patch.setattr(rules, "unstated", lambda *_: [])
        adapter = town.held(3)
    for command in (("approve", "filter.yaml", adapter), ("promote", adapter, "--to", "production")):
        refused = town(*command, *WHY)
        assert refused.code == 3, refused.err
        says = r"fails the gates of small-town as they are now: skill \w+: .*no gate of the filter permits"
        assert re.search(says, refused.err)
    assert town.serving() == []
    town.filter()
    assert town("approve", "filter.yaml", adapter, *WHY).code == 0


def test_a_person_in_a_terminal_is_shown_the_only_candidate_and_asked(town: Town) -> None:
    adapter = town.held(3)
    refused = typed_in_a_terminal(town.folder, "approve", "filter.yaml", "--as", "ada", answers="n\n")
    assert refused.code == 4, refused.out
    assert adapter[:12] in refused.out
    assert "promote it to production? [y/N]" in refused.out
    assert "nothing was promoted; the candidate still waits" in refused.out
    assert town.serving() == []
    silent = typed_in_a_terminal(town.folder, "approve", "filter.yaml", "--as", "ada", answers="y\n\n")
    assert (silent.code, "an approval needs a reason" in silent.out) == (2, True), silent.out
    assert town.serving() == []
    approved = typed_in_a_terminal(town.folder, "approve", "filter.yaml", "--as", "ada", answers="y\nread its report\n")
    assert approved.code == 0, approved.out
    assert town.serving() == [adapter]
    (entry,) = town("history", "filter.yaml", "--json").json["history"]
    assert (entry["by"], entry["reason"]) == ("ada", "read its report")


def test_two_candidates_are_not_guessed_at_in_a_terminal_either(town: Town) -> None:
    town.held(3), town.held(4)
    refused = typed_in_a_terminal(town.folder, "approve", "filter.yaml", "--as", "ada", answers="y\nwhy\n")
    assert (refused.code, "2 candidates wait" in refused.out) == (2, True), refused.out
    assert town.serving() == []


@pytest.mark.parametrize(
    ("what", "says"),
    [("another is held", ""), ("it is refused", "it was refused for"), ("it is rolled back", "was rolled back from it")],
)
def test_a_candidate_is_replaced_while_a_person_reads_its_report(town: Town, what: str, says: str) -> None:
    other = town.held(4)
    assert town("approve", "filter.yaml", other, *WHY).code == 0
    read = town.held(3)
    left: list[str] = []

    def meanwhile() -> None:
        if what == "another is held":
            left.append(town.held(5))
        elif what == "it is refused":
            assert town("refuse", "filter.yaml", read, "--reason", "adverts", "--as", "bob").code == 0
        else:
            assert town("approve", "filter.yaml", read, *WHY).code == 0
            assert town("rollback", "filter.yaml", "--as", "bob").code == 0

    told = typed_in_a_terminal(town.folder, "approve", "filter.yaml", *WHY, answers="y\n", after="[y/N]", meanwhile=meanwhile)
    assert read[:12] in told.out
    waiting = [row["adapter"] for row in town("history", "filter.yaml", "--json").json["candidates"]]
    assert waiting == left
    if says:
        served = [other] if what == "it is refused" else [other, read, other]
        assert (told.code, town.serving()) == (4, served), told.out
        assert says in told.out.replace("\r\n", " ")
    else:
        assert (told.code, town.serving()) == (0, [read, other]), told.out


def test_a_refused_candidate_and_the_run_that_makes_it_again(town: Town) -> None:
    adapter = town.held(3)
    for arguments, says in (
        ((adapter,), "--reason: a refusal needs a reason"),
        (("0" * 12, "--reason", "adverts"), f"'000000000000' is no candidate; these wait: {adapter[:12]}"),
        ((adapter, "--reason", "adverts", "--channel", "staging"), "small-town/staging: no candidate waits"),
    ):
        wrong = town("refuse", "filter.yaml", *arguments)
        assert (wrong.code, says in wrong.err) == (2, True), wrong.err
    refused = town("refuse", "filter.yaml", adapter[:12], "--reason", "it sells shoes", "--as", "bob")
    assert (refused.code, refused.out.splitlines()) == (
        0,
        [
            f"small-town/production: {adapter} waits no longer",
            f"refused   {adapter[:12]}, until: distillery promote {adapter[:12]} --to production --reason …",
        ],
    )
    first, nothing = town("history", "filter.yaml").out.splitlines()
    assert re.fullmatch(rf"refused   {adapter[:12]} by bob \S+Z \(it sells shoes\)", first)
    assert nothing.startswith("nothing was promoted on channel production of small-town yet in ")
    assert town("approve", "filter.yaml", adapter, *WHY).code == 4
    for setting in ((), ("promotion.approval=required",)):
        nightly = town.run(3, *setting)
        assert nightly.code == 4
        assert "NOT PROMOTED, IT WAS REFUSED FOR production BY bob (it sells shoes): small-town " in nightly.out
        assert "Held back, since this adapter was refused for production, by bob at " in town.report(3)
    assert town.serving() == []
    assert town(*typed(nightly.out, "promote")).code == 0
    assert town.serving() == [adapter]
