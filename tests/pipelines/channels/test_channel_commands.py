"""Commands that move a channel, with students that were really trained: what a person says, and what the gates say of it."""

from __future__ import annotations

import json
import re

from tests.pipelines.channels.conftest import UNSTATED, WHY, Town, typed
from tests.pipelines.harness import (
    KNOWINGLY,
    label_rows,
    write_filter,
    write_rows,
)


def test_rollback_unpin_and_promote_by_name(town: Town) -> None:
    first, second = town.held(3), town.held(4)
    for adapter in (first, second):
        assert town("approve", "filter.yaml", adapter, *WHY).code == 0
    back = town("rollback", "filter.yaml", "--reason", "it sells shoes", "--as", "bob")
    assert back.code == 0, back.err
    assert back.out.splitlines()[0] == f"small-town/production → {first}"
    assert town("approve", "filter.yaml", second, *WHY).code == 4
    shown = town("history", "filter.yaml", "--json").json
    assert (shown["pin"]["by"], shown["pin"]["reason"]) == ("bob", "it sells shoes")
    assert [block["adapter"] for block in shown["blocked"]] == [second]
    assert set(shown["history"][0]) == {
        *("adapter", "verdict", "filter", "action", "at", "by", "reason", "version", "mae", "rules"),
    }
    assert town("history", "filter.yaml").out.splitlines()[0].startswith("pinned    by bob ")

    done = town("unpin", "filter.yaml", "--as", "bob")
    assert (done.code, done.out.splitlines()[0]) == (0, "small-town/production is no longer pinned")
    assert town("unpin", "filter.yaml").out == "small-town/production is not pinned\n"
    assert town("approve", "filter.yaml", second, *WHY).code == 4  # still blocked
    refused = town("promote", second, "--to", "production")
    assert (refused.code, "--reason: a promotion by hand needs a reason" in refused.err) == (2, True)
    assert town("promote", "small-town", "--to", "production", *WHY).code == 2
    strict = write_filter(town.folder / "strict.yaml", town.base, gates=[{"metric": "mae", "below": 0.001}])
    failed = town("promote", second[:12], "--to", "production", "--filter", strict, *WHY)
    assert (failed.code, "fails the gates of small-town as they are now: mae: " in failed.err) == (3, True)
    other = write_filter(town.folder / "other.yaml", town.base)
    other.write_text(other.read_text().replace("small-town", "big-town"))
    assert "was made for small-town, not big-town" in town("promote", second, "--to", "production", "--filter", other, *WHY).err
    promoted = town("promote", second[:12], "--to", "production", *WHY)
    assert (promoted.code, promoted.out) == (0, f"small-town/production → {second}\n"), promoted.err
    shown = town("history", "filter.yaml", "--json").json
    assert (shown["pin"], shown["blocked"]) == (None, [])
    assert [entry["action"] for entry in shown["history"]] == ["promote", "unpin", "rollback", "promote", "promote"]


def test_every_command_knows_channels_by_name(town: Town) -> None:
    first, second = town.held(3), town.held(4)
    assert town("approve", "filter.yaml", first, *WHY).code == 0
    assert town("promote", second, "--to", "staging", "--reason", "tried out first").code == 0
    assert [town.serving(), town.serving("staging")] == [[first], [second]]
    articles = write_rows(town.folder / "a.jsonl", [{"id": "1", "content": "A solar farm opens.", "title": "Farm"}])
    labels = write_rows(town.folder / "l.jsonl", label_rows(12, 8))
    for adapter, channel in ((first, ()), (second, ("--channel", "staging"))):
        scored = town("score", "filter.yaml", articles, "--out", f"scores-{adapter[:8]}", *channel, "--json")
        assert (scored.code, scored.json["scored"]) == (0, 1), scored.err
        assert adapter in (town.folder / f"scores-{adapter[:8]}" / "_SUCCESS").read_text()
        judged = town("benchmark", "filter.yaml", "--labels", labels, *channel, "--json")
        assert judged.json["adapter"] == adapter, judged.err
    assert town("report", "filter.yaml", "--out", "staging.html", "--channel", "staging").code == 0
    assert second in (town.folder / "staging.html").read_text()
    for command in (("score", first, articles), ("benchmark", first, "--labels", labels), ("report", first, "--out", "x.html")):
        refused = town(*command, "--channel", "staging")
        assert (refused.code, "--channel staging: an adapter is named already" in refused.err) == (2, True)
    nothing = town("score", "filter.yaml", articles, "--channel", "canary")
    assert "nothing is promoted on channel canary of small-town in this store" in nothing.err
    assert town("rollback", "filter.yaml", "--channel", "canary").code == 2
    assert town.serving("staging") == [second]


def test_the_command_after_a_run_approves_the_candidate_of_the_runs_own_channel(town: Town) -> None:
    town.run(4, "promotion.approval=required")
    staged = town.run(3, "promotion.approval=required", "promotion.channel=staging")
    assert (staged.code, "AWAITING APPROVAL: small-town " in staged.out) == (4, True)
    command = typed(staged.out, "approve")
    assert command[3:] == ["--reason", "WHY", "--channel", "staging"]
    assert town(*command).code == 0
    assert (len(town.serving("staging")), town.serving()) == (1, [])
    again = town.run(3, "promotion.approval=required", "promotion.channel=staging")
    assert (again.code, "PROMOTED: " in again.out) == (0, True)  # it serves already: nobody is waited for
    assert typed(again.out, "history")[2:] == ["--channel", "staging"]


def test_after_a_rollback_a_run_promotes_nothing_and_says_who_said_so(town: Town) -> None:
    assert [town.run(seed).code for seed in (3, 4)] == [0, 0]
    first, second = town.serving()[::-1]
    assert town("rollback", "filter.yaml", "--reason", "it sells shoes", "--as", "bob").code == 0
    nightly = town.run(4)
    assert nightly.code == 4
    assert "NOT PROMOTED, production WAS ROLLED BACK FROM IT BY bob (it sells shoes): small-town " in nightly.out
    sentence = "Held back, since production was rolled back from this adapter, by bob at "
    assert sentence in town.report(4)
    assert town.serving() == [first, second, first]
    assert town(*typed(nightly.out, "promote")).code == 0
    assert town.run(4).code == 0
    assert town.serving()[0] == second


def test_a_pinned_channel_keeps_what_a_run_made_until_it_is_unpinned(town: Town) -> None:
    town.run(3)
    first = town.serving()[0]
    second = town.held(4)
    assert town("approve", "filter.yaml", second, *WHY).code == 0
    assert town("rollback", "filter.yaml", "--as", "bob").code == 0
    assert town("promote", second, "--to", "production", *WHY).code == 0  # and back again
    assert town("rollback", "filter.yaml", "--to", first, "--as", "bob").code == 0
    assert town("unpin", "filter.yaml").code == 0
    assert town("promote", second, "--to", "staging", *WHY).code == 0
    pinned = town.store.get_json("channels/small-town/production.json")
    pinned["pin"] = {"by": "bob", "at": "2026-01-01T00:00:00Z", "reason": ""}
    pinned["blocked"] = []
    town.store.put("channels/small-town/production.json", json.dumps(pinned).encode())
    nightly = town.run(4)
    assert (nightly.code, "NOT PROMOTED, production IS PINNED BY bob: small-town " in nightly.out) == (4, True)
    assert "Held back, since production is pinned, by bob at " in town.report(4)
    assert town("approve", "filter.yaml", second, *WHY).code == 4
    assert town(*typed(nightly.out, "unpin")).code == 0
    assert town("approve", "filter.yaml", second, *WHY).code == 0
    assert town.serving()[0] == second


def test_a_loser_is_rejected_unless_the_filter_takes_it_knowingly_and_then_that_is_said_first(town: Town) -> None:
    town.filter(gates=UNSTATED)
    lost = town.run(3)
    assert lost.code == 3, lost.out
    assert re.search(r"^REJECTED: small-town \w{12} failed skill \w+", lost.out, re.MULTILINE)
    assert re.search(r"Not promoted, \d of \d gates failed \(skill over: ", town.report(3))
    assert town.serving() == []
    town.filter()
    taken = town.run(3)
    assert taken.code == 0, taken.out
    loss = r"behind the baseline [a-z ]+ \(MAE \d\.\d{3} against \d\.\d{3}\)"
    promoted = r"PROMOTED: small-town \w{12} passed every gate and is on its channel"
    assert re.search(rf"^{promoted}, THOUGH IT IS {loss}", taken.out, re.MULTILINE)
    assert re.search(rf"Promoted to production, though it is {loss}", town.report(3))
    town.filter(gates=[gate for gate in [*UNSTATED, *KNOWINGLY] if gate["metric"] != "mae_vs_incumbent"])
    level = town.run(4)  # it has passed all but the comparison with the first
    assert level.code == 3, level.out
    assert re.search(r"^REJECTED: small-town \w{12} failed mae_vs_incumbent;", level.out, re.MULTILINE)
    assert town.run(3).code == 0  # what serves is no worse than itself


def test_what_a_person_orders_is_one_json_object(town: Town) -> None:
    first, second = town.held(3), town.held(4)
    approved = town("approve", "filter.yaml", first, *WHY, "--json").json
    named = {"filter": "small-town", "channel": "production"}
    assert {**named, "adapter": first, "previous": None}.items() <= approved.items()
    assert len(approved["verdict"]) == 64
    refused = town("refuse", "filter.yaml", second, "--reason", "adverts", "--as", "bob", "--json").json
    assert {**named, "candidates": []}.items() <= refused.items()
    assert (refused["refused"]["adapter"], refused["refused"]["by"]) == (second, "bob")
    promoted = town("promote", second, "--to", "production", *WHY, "--json").json
    assert (promoted["adapter"], promoted["previous"]) == (second, first)
    for left in (second, None):
        back = town("rollback", "filter.yaml", "--to", first, "--json").json
        assert back == {**named, "adapter": first, "left": left}
    lifted = town("unpin", "filter.yaml", "--as", "bob", "--json").json
    assert (lifted["adapter"], [block["adapter"] for block in lifted["blocked"]]) == (first, [second])
    assert lifted["lifted"]["at"]
    assert town("unpin", "filter.yaml", "--json").json["lifted"] is None
    failed = town("approve", "filter.yaml", second, *WHY, "--json")
    assert (failed.code, failed.json["error"]["code"]) == (4, 4)
