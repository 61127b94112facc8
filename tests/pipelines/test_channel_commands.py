"""Commands that move a channel, with students that were really trained: what a person says, and what the gates say of it."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.gating import gate, rules
from distillery.components.promotion.promote import hold, promote
from distillery.components.reporting.publish import publish
from distillery.components.store import Store, open_store
from distillery.components.store.layout import report_key, run_record_key
from distillery.filters.loading import load_filter
from distillery.pipelines.cli.ending import end_decided
from distillery.pipelines.laptop.chain import run_through
from distillery.pipelines.run_view import StepView, Watched
from distillery.pipelines.steps import RunState
from tests.pipelines.harness import (
    KNOWINGLY,
    Ran,
    label_rows,
    run_here,
    typed_in_a_terminal,
    write_filter,
    write_rows,
)

SEEDS = (3, 4)
UNSTATED: list[dict[str, Any]] = [{"metric": "mae", "below": 9.0}]  # says nothing of baselines and of what serves
WHY = ("--reason", "read its report", "--as", "ada")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, labels_file: Path) -> Path:
    """A folder with a store in which two students were trained and judged; nothing was promoted."""
    folder = tmp_path_factory.mktemp("trained")
    flt = load_filter(str(write_filter(folder / "filter.yaml", tiny_encoder)))
    for seed in SEEDS:
        changed = load_filter(str(folder / "filter.yaml"), overrides=[f"training.seed={seed}"])
        run_through("gate", RunState(open_store(str(folder / ".distillery")), changed, labels=str(labels_file)))
    assert flt.name == "small-town"
    return folder


class Town(NamedTuple):
    """A copy of what was trained, for one test."""

    folder: Path
    base: Path
    labels: Path

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / ".distillery"))

    def filter(self, **spec: Any) -> Path:
        return write_filter(self.folder / "filter.yaml", self.base, **spec)

    def __call__(self, *arguments: str | Path) -> Ran:
        return run_here(*arguments, cwd=self.folder)

    def held(self, seed: int) -> str:
        """Hold the student of this seed, as a run does; return its digest."""
        overrides = [f"training.seed={seed}", "promotion.approval=required"]
        flt = load_filter(str(self.folder / "filter.yaml"), overrides=overrides)
        records = run_through("gate", RunState(self.store, flt, labels=str(self.labels)))
        key = publish_filter(self.store, flt)
        hold(self.store, flt, verdict=records["gate"].outputs["verdict"], filter_key=key, run=f"run-{seed}")
        return str(records["train"].outputs["adapter"])

    def run(self, seed: int, *settings: str) -> Ran:
        """Do what a run does, each step in this process, and end as `distill` ends; its report is written."""
        overrides, name = [f"training.seed={seed}", *settings], f"run-{seed}"
        flt, store = load_filter(str(self.folder / "filter.yaml"), overrides=overrides), self.store
        key = publish_filter(store, flt)
        given = StepRecord.of("preflight", {}, {"name": flt.name, "filter_key": key}, [key])
        records = {"preflight": given, **run_through("gate", RunState(store, flt, labels=str(self.labels)))}
        decided = records["gate"].outputs
        end = {"promote": promote, "approve": hold}.get(decided["decision"])
        if end:
            records[end.__name__] = end(store, flt, verdict=decided["verdict"], filter_key=key, run=name)
        for step, record in records.items():
            record.put(store, run_record_key(name, step))
        publish(store, name, failed=False, message="")
        watched = Watched({step: StepView(step, record=record) for step, record in records.items()})
        out, code = io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
            patch.chdir(self.folder)
            patch.setenv("COLUMNS", "200")
            try:
                end_decided(watched, store, store.uri, name, filter="filter.yaml", shown_store="", as_json=False)
            except typer.Exit as ended:
                code = ended.exit_code
        return Ran(code, out.getvalue(), "")

    def report(self, seed: int) -> str:
        return self.store.get(report_key(f"run-{seed}", "md")).decode()

    def serving(self, channel: str = "production") -> list[str]:
        return [entry["adapter"] for entry in self("history", "filter.yaml", "--channel", channel, "--json").json["history"]]


@pytest.fixture
def town(trained: Path, tmp_path: Path, tiny_encoder: Path, labels_file: Path) -> Town:
    shutil.copytree(trained, tmp_path / "town")
    return Town(tmp_path / "town", tiny_encoder, labels_file)


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


def typed(out: str, verb: str) -> list[str]:
    """The command of this kind that a run prints at its end, as one would type it."""
    (line,) = re.findall(rf"^{verb} +distillery ({verb} .*)$", out, re.MULTILINE)
    return shlex.split(line)


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
