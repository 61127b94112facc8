"""Approval by commit, rollback, pins and reverts: a person's word counts until the spec changes or they take it back."""

from __future__ import annotations

import pytest

from distillery.components.artifacts.channel import Channel, read_channel
from distillery.components.promotion.by_hand import Said, refuse, rollback, unpin
from tests.operator.world import Town
from tests.promotion.made import fine

ANN = Said("ann", "it misses the best articles")
APPROVAL = ("  gates:", "  promotion: {approval: required}\n  gates:")
OTHER_TIER = ("overall >= 6", "overall >= 7")
MORE_EPOCHS = ("  gates:", "  training: {epochs: 4}\n  gates:")


def approved(digest: str) -> tuple[str, str]:
    return ("  gates:", f"  promotion: {{approval: required, approved: {digest!r}}}\n  gates:")


def channel(town: Town) -> Channel:
    return read_channel(town.store, "demo", "production").channel


def message(town: Town, kind: str) -> str:
    return next(str(row["message"]) for row in town.status()["conditions"] if row["type"] == kind)


def roll_back(town: Town) -> None:
    rollback(town.store, "demo", "production", said=ANN, verify=fine)


def two_served(town: Town) -> tuple[str, str]:
    """The first and the second adapter; the second one serves."""
    town.objects.apply(town.text())
    town.through()
    first = town.adapter()
    town.objects.apply(town.text(MORE_EPOCHS))
    town.through()
    second = town.adapter()
    assert first
    assert second
    assert first != second
    return first, second


# ---- approval -------------------------------------------------------------------------------------------------------


def test_a_candidate_waits_without_a_pod_and_the_status_says_how_to_approve_it(town: Town) -> None:
    town.objects.apply(town.text(APPROVAL))
    town.through()
    assert (town.status()["phase"], town.adapter()) == ("AwaitingApproval", None)
    assert town.condition("AwaitingApproval") == ("True", "Candidate")
    digest = town.status()["adapter"]
    assert f"spec.promotion.approved: {digest}" in message(town, "AwaitingApproval")
    assert not any(town.kubeflow.active(run) for run in town.kubeflow.runs)


@pytest.mark.parametrize("digits", [64, 12])
def test_a_commit_that_names_the_candidate_promotes_it_and_the_history_says_who(town: Town, digits: int) -> None:
    town.objects.apply(town.text(APPROVAL))
    town.through()
    digest = town.status()["adapter"]
    words = {"llm-distillery.io/by": "ann", "llm-distillery.io/reason": "read its report"}
    town.objects.apply(town.text(approved(digest[:digits])), annotations=words)
    town.pass_over()
    assert (town.adapter(), town.status()["phase"]) == (digest, "Promoted")
    entry = channel(town).history[0]
    assert (entry.action, entry.by, entry.reason) == ("promote", "ann", "read its report")
    assert len(town.kubeflow.runs) == 1, "nothing is run for it"
    assert town.condition("AwaitingApproval") == ("False", "Nothing")


def test_who_is_the_object_where_it_names_nobody(town: Town) -> None:
    town.objects.apply(town.text(APPROVAL))
    town.through()
    town.objects.apply(town.text(approved(town.status()["adapter"])))
    town.pass_over()
    entry = channel(town).history[0]
    assert (entry.by, entry.reason) == ("the Filter object distillery/demo", "spec.promotion.approved in generation 2")


def test_a_digest_that_was_never_judged_is_refused_with_the_reason(town: Town) -> None:
    town.objects.apply(town.text(APPROVAL))
    town.through()
    town.objects.apply(town.text(approved("f" * 64)))
    town.pass_over()
    assert town.adapter() is None
    assert town.condition("AwaitingApproval") == ("True", "ApprovalRefused")
    assert "was never judged" in message(town, "AwaitingApproval")
    assert any(told.kind == "Warning" and "never judged" in told.message for told in town.objects.events.values())


def test_a_digest_that_nothing_begins_with_is_refused(town: Town) -> None:
    town.objects.apply(town.text(APPROVAL))
    town.through()
    town.objects.apply(town.text(approved("0" * 12)))
    town.pass_over()
    assert town.adapter() is None
    assert "these wait: " in message(town, "AwaitingApproval")


def test_a_digest_that_was_judged_under_an_older_policy_is_refused(town: Town) -> None:
    town.objects.apply(town.text(APPROVAL))
    town.through()
    digest = town.status()["adapter"]
    stricter = ("mae, below: 0.8", "mae, below: 0.7")
    town.objects.apply(town.text(approved(digest), stricter))
    town.pass_over()
    assert town.adapter() is None
    assert "other gates" in message(town, "AwaitingApproval")
    town.play("run-2")  # judges it under these gates, and holds it again
    town.pass_over()
    assert town.adapter() == digest, "what was refused is looked at again when the channel has changed"


def test_a_bundle_of_which_a_byte_was_altered_is_not_promoted(town: Town) -> None:
    town.objects.apply(town.text(APPROVAL))
    town.through()
    digest = town.status()["adapter"]
    town.store.put(f"adapters/demo/{digest}/golden.json", b"[]")
    town.objects.apply(town.text(approved(digest)))
    town.pass_over()
    assert town.adapter() is None
    assert town.condition("AwaitingApproval") == ("True", "ApprovalRefused")


def test_an_approval_is_carried_out_once(town: Town) -> None:
    """The key stays in the spec; what a person does later counts."""

    def with_epochs(digest: str) -> tuple[str, str]:
        old, new = approved(digest)
        return old, f"  training: {{epochs: 4}}\n{new}"

    town.objects.apply(town.text(APPROVAL))
    town.through()
    town.objects.apply(town.text(approved(town.status()["adapter"])))
    town.pass_over()
    first = town.adapter()
    assert first
    town.objects.apply(town.text(with_epochs(first)))
    town.through()
    second = town.status()["adapter"]
    town.objects.apply(town.text(with_epochs(second)))
    town.pass_over()
    assert town.adapter() == second != first
    roll_back(town)
    for _ in range(3):
        town.pass_over()
    assert town.adapter() == first
    assert town.condition("Pinned") == ("True", "ByHand")


def test_a_gate_that_asks_for_a_persons_look_is_told_as_an_approval(town: Town) -> None:
    """Without approval: required: the figure lies between a gate's bound and its review."""
    between = ("mae, below: 0.8", "mae, below: 0.4, review: 0.9")
    town.objects.apply(town.text(between))
    town.through()  # its MAE is 0.5
    assert (town.status()["phase"], town.condition("AwaitingApproval")) == ("AwaitingApproval", ("True", "Candidate"))


# ---- rollback, pins -------------------------------------------------------------------------------------------------


def test_a_rollback_by_hand_pins_and_the_operator_does_not_fight_it(town: Town) -> None:
    first, _ = two_served(town)
    roll_back(town)
    town.time += 7200
    for _ in range(3):
        town.pass_over()
    assert (town.adapter(), len(town.kubeflow.runs), town.status()["phase"]) == (first, 2, "Pinned")
    assert "by ann" in message(town, "Pinned")
    assert "it misses the best articles" in message(town, "Pinned")


def test_a_description_lifts_no_pin(town: Town) -> None:
    first, _ = two_served(town)
    roll_back(town)
    town.objects.apply(town.text(MORE_EPOCHS, ("A filter for tests.", "Another text.")))
    town.pass_over()
    assert (town.adapter(), town.status()["phase"], channel(town).pin is not None) == (first, "Pinned", True)


def test_a_change_of_the_spec_lifts_the_pin_and_never_the_block(town: Town) -> None:
    _, second = two_served(town)
    roll_back(town)
    town.objects.apply(town.text(("  gates:", "  training: {epochs: 5}\n  gates:")))
    town.through()
    assert channel(town).pin is None
    assert channel(town).block_of(second)
    assert (town.status()["phase"], town.adapter()) == ("Promoted", town.status()["adapter"])
    assert len(town.kubeflow.runs) == 3


def test_unpin_alone_brings_nothing_back_that_was_rolled_back_from(town: Town) -> None:
    first, second = two_served(town)
    roll_back(town)
    unpin(town.store, "demo", "production", ANN)
    town.pass_over()
    assert (town.adapter(), len(town.kubeflow.runs)) == (first, 2)
    assert (town.status()["phase"], channel(town).block_of(second) is not None) == ("Blocked", True)


def test_what_passed_under_a_pin_is_promoted_once_that_is_lifted(town: Town) -> None:
    two_served(town)
    roll_back(town)
    town.objects.apply(town.text(("  gates:", "  training: {epochs: 5}\n  gates:")))
    town.pass_over()  # lifts the pin, starts the run
    roll_back_again = channel(town)
    assert roll_back_again.pin is None
    pin_by_hand(town)
    town.play("run-3")
    town.pass_over()
    assert town.status()["phase"] == "Pinned"
    unpin(town.store, "demo", "production", ANN)
    town.through()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (4, "Promoted")


def pin_by_hand(town: Town) -> None:
    """A pin on what serves, as a rollback leaves it."""
    from distillery.components.artifacts.channel import Pin
    from distillery.components.promotion.move import change

    pin = Pin(by="ann", at="2027-01-15T09:00:00Z", reason="wait")
    change(town.store, "demo", "production", lambda now: now.model_copy(update={"pin": pin}))


def test_approving_by_commit_brings_back_what_was_refused(town: Town) -> None:
    town.objects.apply(town.text(APPROVAL))
    town.through()
    digest = town.status()["adapter"]
    refuse(town.store, "demo", "production", digest, ANN)
    town.pass_over()
    assert (town.status()["phase"], town.adapter()) == ("Blocked", None)
    town.objects.apply(town.text(approved(digest)))
    town.pass_over()
    assert (town.adapter(), channel(town).block_of(digest)) == (digest, None)


# ---- reverts --------------------------------------------------------------------------------------------------------


def test_a_reverted_commit_brings_the_earlier_adapter_back_and_trains_nothing(town: Town) -> None:
    first, second = two_served(town)
    town.objects.apply(town.text())
    passed = town.pass_over()
    assert (town.adapter(), len(town.kubeflow.runs), town.status()["phase"]) == (first, 2, "Promoted")
    assert "Restore" in passed.done
    newest, before = channel(town).history[:2]
    assert (newest.adapter, before.adapter) == (first, second)
    assert newest.verdict == channel(town).history[2].verdict, "on the verdict that it had"
    assert newest.by == "the Filter object distillery/demo"
    for _ in range(3):
        town.pass_over()
    assert len(channel(town).history) == 3


def test_a_revert_brings_back_an_adapter_that_went_on_by_another_tier(town: Town) -> None:
    """Its second filter trained nothing, and is one that it served by all the same."""
    town.objects.apply(town.text())
    town.through()
    first = town.adapter()
    town.objects.apply(town.text(OTHER_TIER))
    town.through()
    assert town.adapter() == first
    town.objects.apply(town.text(OTHER_TIER, MORE_EPOCHS))
    town.through()
    assert town.adapter() != first
    runs = len(town.kubeflow.runs)
    town.objects.apply(town.text(OTHER_TIER))
    town.pass_over()
    assert (town.adapter(), len(town.kubeflow.runs), town.status()["phase"]) == (first, runs, "Promoted")


def test_a_revert_brings_back_what_was_rolled_back_from(town: Town) -> None:
    first, second = two_served(town)
    roll_back(town)
    town.objects.apply(town.text(("  gates:", "  training: {epochs: 5}\n  gates:")))
    town.through()
    assert town.adapter() not in (first, second)
    town.objects.apply(town.text(MORE_EPOCHS))
    town.pass_over()
    assert (town.adapter(), channel(town).block_of(second), len(town.kubeflow.runs)) == (second, None, 3)


def test_a_revert_to_what_serves_already_after_a_rollback_lifts_the_pin_alone(town: Town) -> None:
    first, second = two_served(town)
    roll_back(town)
    town.objects.apply(town.text())
    town.pass_over()
    assert (town.adapter(), channel(town).pin, len(town.kubeflow.runs)) == (first, None, 2)
    assert channel(town).block_of(second)
    assert town.status()["phase"] == "Promoted"


def test_a_revert_to_an_adapter_whose_bytes_were_altered_is_told(town: Town) -> None:
    first, second = two_served(town)
    town.store.put(f"adapters/demo/{first}/golden.json", b"[]")
    town.objects.apply(town.text())
    passed = town.pass_over()
    assert town.adapter() == second
    assert passed.trouble is not None
    assert "golden.json" in passed.trouble.message


def test_an_operator_that_sees_an_object_for_the_first_time_brings_nothing_back(town: Town) -> None:
    """It can't tell a revert from what is: the word of a person who rolled back counts."""
    first, _ = two_served(town)
    roll_back(town)
    town.store.put("intents/demo/production.json", b"{}")
    passed = town.pass_over()
    assert passed.trouble is not None, "a document that can't be read is told, and nothing is done on a guess"
    assert town.adapter() == first


# ---- a spec that changes during a run; an object that is deleted ----------------------------------------------------


def test_a_run_whose_spec_has_changed_promotes_nothing_and_the_next_one_follows(town: Town) -> None:
    town.objects.apply(town.text())
    town.pass_over()
    town.objects.apply(town.text(MORE_EPOCHS))
    town.pass_over()
    assert len(town.kubeflow.runs) == 1, "it waits for the run that goes on"
    assert town.status()["phase"] == "Running"
    town.play("run-1")
    assert town.adapter() is None
    town.pass_over()
    assert len(town.kubeflow.runs) == 2
    town.play("run-2")
    town.pass_over()
    assert (town.status()["phase"], town.adapter()) == ("Promoted", town.status()["adapter"])
    assert town.worked.count("label") == 1, "the labels of the first run are kept"


def test_a_spec_that_came_back_during_its_run_is_promoted(town: Town) -> None:
    town.objects.apply(town.text())
    town.pass_over()
    town.objects.apply(town.text(MORE_EPOCHS))
    town.pass_over()
    town.objects.apply(town.text())
    town.pass_over()
    town.play("run-1")
    town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (1, "Promoted")


def test_a_spec_that_came_back_after_its_run_was_superseded_is_run_again(town: Town) -> None:
    town.objects.apply(town.text())
    town.pass_over()
    town.objects.apply(town.text(MORE_EPOCHS))
    town.pass_over()
    town.play("run-1")
    town.objects.apply(town.text())
    town.pass_over()
    town.time += 60
    town.through()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (2, "Promoted")


def test_a_deleted_objects_run_promotes_nothing_and_its_data_stay(town: Town) -> None:
    from distillery.pipelines.operator.main import Operator

    town.objects.apply(town.text())
    town.pass_over()
    kept = town.objects.objects.pop(("distillery", "demo"))
    operator = Operator(town.world(), "distillery")
    operator.listed()
    town.play("run-1")
    assert town.adapter() is None
    assert list(town.store.keys("adapters/demo"))
    town.objects.objects["distillery", "demo"] = kept  # created again: what it asks for is done
    town.pass_over()
    town.time += 60
    town.through()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (2, "Promoted")


def test_an_object_of_another_namespace_that_asks_for_the_same_channel_gets_nothing(town: Town) -> None:
    town.objects.apply(town.text())
    town.through()
    town.objects.apply(town.text(MORE_EPOCHS), namespace="elsewhere")
    passed = town.pass_over(namespace="elsewhere")
    assert passed.status["phase"] == "NameTaken"
    assert len(town.kubeflow.runs) == 1
    del town.objects.objects["distillery", "demo"]
    town.pass_over(namespace="elsewhere")
    assert len(town.kubeflow.runs) == 2
