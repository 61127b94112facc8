"""A store on a server that is busy, slow, forgetful or lies: commands end as on a sound one, or refuse in one line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.channel import Channel, Entry, current, read_channel
from distillery.components.promotion.move import change, landed
from distillery.components.store import Conflict, Store, StoreError, open_store
from distillery.components.store import s3_objects as s3
from tests.faults.commands import run
from tests.faults.conftest import again
from tests.faults.results import results
from tests.faults.s3_proxy import Proxy, Rule

WORK = ("label", "gate", "rollback", "benchmark")


def undisturbed(folder: Path) -> dict[str, Any]:
    """What the same commands leave in a folder."""
    store = open_store(str(folder / "store"))
    for key in filter(again, store.keys("")):
        (folder / "store" / key).unlink()
    for command in WORK:
        assert run(command, folder).code == 0
    return results(store)


BUSY = [Rule("SlowDown", method, share=0.3) for method in ("GET", "HEAD", "PUT")]
SLOW = [Rule("stall", method, share=0.1) for method in ("GET", "HEAD", "PUT")]
ONCE_LOST = [Rule("lost", "PUT", share=0.3), Rule("cut", "GET", share=0.1), Rule("lost", "HEAD", share=0.5)]
CONFLICTS = [
    Rule("ConditionalRequestConflict", "PUT", times=2),
    Rule("ConditionalRequestConflict", "PUT", r"labels/", times=2),
    Rule("ConditionalRequestConflict", "PUT", r"channels/", times=2),
]
UPLOADS = [Rule("lost", "PUT", first=at, times=1) for at in (1, 2, 3, 5, 8, 13, 21)]


def end_as_undisturbed(folder: Path, stored: Store, before: Proxy, rules: list[Rule], seed: int = 1) -> int:
    """Let the commands run while the server goes wrong by rules; how many requests went wrong."""
    before.follow(*rules, seed=seed)
    for command in WORK:
        ran = run(command, folder, store=stored.uri)
        assert ran.code == 0, f"{command}: {ran.err[-1500:]}"
    fired = sum(rule.fired for rule in before.relent())
    assert results(stored) == undisturbed(folder)
    return fired


@pytest.mark.parametrize("rules", [BUSY, SLOW, ONCE_LOST, CONFLICTS, UPLOADS], ids=["503", "slow", "lost", "409", "each"])
def test_commands_end_as_on_a_sound_server(folder: Path, stored: Store, before: Proxy, rules: list[Rule]) -> None:
    end_as_undisturbed(folder, stored, before, rules)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_many_bad_days(
    folder: Path, stored: Store, before: Proxy, record_property: Callable[[str, object], None], seed: int
) -> None:
    wrong = {"SlowDown": "GET|HEAD|PUT", "stall": "GET|HEAD|PUT", "lost": "PUT|HEAD", "cut": "GET"}
    rules = [Rule(do, method, share=0.15) for do, method in wrong.items()]
    record_property("counted", {"as undisturbed": 1})
    record_property("seen", f"{end_as_undisturbed(folder, stored, before, rules, seed)} requests went wrong")


def test_a_server_that_ignores_conditions_is_refused_before_anything_is_moved(
    folder: Path, stored: Store, before: Proxy
) -> None:
    before.follow(Rule("unheeded", "PUT", probes=True))
    pointer = stored.get("channels/village-gain/production.json")
    ran = run("rollback", folder, store=stored.uri)
    assert ran.code == 2
    (line,) = ran.errors
    assert "ignores IfNoneMatch on writes: two promotions could both win; use a server with conditional writes" in line
    assert stored.get("channels/village-gain/production.json") == pointer


def test_a_race_that_is_lost_leaves_the_winners_pointer(folder: Path, stored: Store, before: Proxy) -> None:
    before.follow(Rule("raced", "PUT", r"channels/.*production\.json", times=1))
    ran = run("rollback", folder, store=stored.uri)
    assert ran.code == 2, ran.err
    (line,) = ran.errors
    assert "production.json: is not JSON" in line  # what the other wrote is none of ours, and stays
    assert stored.get("channels/village-gain/production.json") == b"another's"


def move(store: Store, name: str, entry: Entry) -> Channel:
    """Make a move once, whatever others do meanwhile."""
    before = read_channel(store, name, "production").channel

    def work(now: Channel) -> Channel | None:
        return None if landed(entry, before, now) else now.moved(entry)

    return change(store, name, "production", work)


def test_fifty_promoters_have_one_history(stored: Store, before: Proxy) -> None:
    """Each tries until its own move stands; none is lost, and each follows the one that it was made from."""
    before.follow(Rule("SlowDown", "PUT", r"channels/", share=0.1), Rule("lost", "PUT", r"channels/", share=0.1))
    name = "fifty"

    def promote(number: int) -> None:
        entry = Entry(adapter=f"{number:064x}", verdict="0" * 64, filter="f", action="promote", at="2026-01-31T12:00:00Z")
        move(open_store(stored.uri, write=False), name, entry)

    threads = [threading.Thread(target=promote, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pointer = current(stored, name, "production")
    assert pointer is not None
    assert sorted(int(entry.adapter, 16) for entry in pointer.history) == list(range(50))


def test_a_move_whose_reply_was_lost_before_anothers_move_is_not_made_twice(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = (
        Entry(adapter=letter * 64, verdict="0" * 64, filter="f", action="promote", at="2026-01-31T12:00:00Z") for letter in "ab"
    )
    real = Store.put_if

    def applied_and_told_otherwise(self: Store, key: str, data: bytes, *, etag: str | None) -> None:
        monkeypatch.setattr(Store, "put_if", real)
        self.put_if(key, data, etag=etag)
        move(self, "two", theirs)
        raise Conflict(key)

    monkeypatch.setattr(Store, "put_if", applied_and_told_otherwise)
    assert move(stored, "two", ours).history == [theirs, ours]


@pytest.mark.parametrize("do", ["AccessDenied", "cut"])
def test_an_upload_that_breaks_off_shows_nothing_and_is_aborted(
    tmp_path: Path, stored: Store, before: Proxy, monkeypatch: pytest.MonkeyPatch, do: str
) -> None:
    monkeypatch.setattr(s3, "PATIENCE", 0.5)
    monkeypatch.setattr(s3, "FIRST_CONTACT", 0.5)
    before.follow(Rule(do, "PUT", r"partNumber=2"))
    (tmp_path / "large").write_bytes(bytes(20 * 2**20))
    store = open_store(stored.uri)
    with pytest.raises(StoreError) as refused:
        store.put("inputs/large", tmp_path / "large")
    assert "; " in str(refused.value)
    assert not stored.exists("inputs/large")
    client = s3.make_client()
    assert "Uploads" not in client.list_multipart_uploads(Bucket=stored.uri.split("/")[2])
    before.relent()
    store.put("inputs/large", tmp_path / "large")
    assert len(stored.get("inputs/large")) == 20 * 2**20


def test_a_listing_that_hides_what_is_new_decides_nothing(folder: Path, stored: Store, before: Proxy) -> None:
    before.follow(Rule("stale", "GET", r"list-type=2"))
    for command in ("label", "rollback", "history of an adapter", "benchmark of what serves", "label"):
        ran = run(command, folder, store=stored.uri)
        assert ran.code == 0, f"{command}: {ran.err[-1500:]}"
    assert "(95 of them before)" in ran.out
