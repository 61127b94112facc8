"""Promotions and rollbacks take over without a dropped request; what can't be served leaves the old adapter in service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from distillery.components.runtime.progress import Progress
from distillery.components.serving import follow, models
from distillery.components.serving.app import Service
from distillery.components.serving.batching import Batcher
from distillery.components.serving.follow import Follower
from distillery.components.serving.metrics import Metrics
from distillery.components.serving.models import Shelf, Target, targets
from distillery.components.store import Store, StoreError
from distillery.components.student.bundle import Student
from distillery.filters.errors import InputError
from tests.serving.made import FILTER, Client, changed, loaded, made_filter, point, running, stored

TEXT = "a village builds a cheap wind turbine of steel and the whole city is warm"


class Notes(Progress):
    def __init__(self) -> None:
        self.lines = list[str]()

    def note(self, text: str) -> None:
        self.lines.append(text)


class Watch:
    """A server of one filter, its channel looked at when a test says so, and by a clock of its own."""

    def __init__(self, store: Store) -> None:
        self.store, self.now, self.notes, self.metrics = store, 0.0, Notes(), Metrics()
        self.shelf = Shelf({"demo": loaded(store)})
        self.metrics.took_over("demo", "production", self.served)
        self.follower = Follower(
            store,
            [Target("demo", "production")],
            self.shelf,
            self.metrics,
            every=5,
            progress=self.notes,
            clock=lambda: self.now,
        )

    @property
    def served(self) -> Any:
        return self.shelf.get("demo")

    def look(self, later: float = 0.0) -> str:
        """Look at the channel; return the digest of what serves then."""
        self.now += later
        self.follower.look()
        return str(self.served.adapter)

    def figures(self) -> dict[str, float]:
        text = self.metrics.exposition(lambda: (0, 0)).decode()
        return {
            f"{sample.name}{sample.labels.get('outcome', '')}": sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def watch(store: Store) -> Watch:
    return Watch(store)


def test_who_serves_is_told_of_caps_that_are_not_applied(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(models, "tell_caps", lambda store, flt, adapter, progress: told.append(flt.name))
    made_model = loaded(store)
    assert told == [made_model.filter.name]


def test_a_promotion_and_a_rollback_take_over(watch: Watch, store: Store, student: Student) -> None:
    old = watch.look()
    new = point(store, stored(store, changed(student, 1.5)))
    assert watch.look() == new != old
    assert point(store, old) == old
    assert watch.look() == old
    assert watch.figures()["distillery_swaps_totaldone"] == 2
    assert watch.figures()["distillery_behind_channel"] == 0
    assert len(watch.notes.lines) == 2
    assert old[:12] in watch.notes.lines[0]


def test_nothing_is_read_while_the_channel_stays(watch: Watch, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.look()
    monkeypatch.setattr(store, "get", lambda *_, **__: pytest.fail("the channel was read"))
    monkeypatch.setattr(store, "current", lambda *_, **__: pytest.fail("the channel was read"))
    watch.look()


def test_other_tiers_of_the_same_adapter_take_over_without_loading_it_again(watch: Watch, store: Store) -> None:
    before = watch.served
    point(store, before.adapter, made_filter(old="overall >= 1.36", new="overall >= 0.1"))
    watch.look()
    assert watch.served.filter.spec.tiers[0].when == "overall >= 0.1"
    assert watch.served.student is before.student


def test_an_adapter_that_fails_its_golden_check_is_never_served(watch: Watch, store: Store, student: Student) -> None:
    old = watch.look()
    point(store, stored(store, changed(student, 3.0, golden=False)))
    assert watch.look() == old
    assert "doesn't reproduce its golden predictions" in watch.follower.behind("demo")
    assert watch.figures()["distillery_behind_channel"] == 1
    assert f"{old[:12]} goes on serving" in watch.notes.lines[0]
    watch.look(5)
    watch.look(10)
    assert len(watch.notes.lines) == 1, "the same fault is told once"
    better = point(store, stored(store, changed(student, 0.5)))
    assert watch.look() == better, "tried at once when the channel moves on"
    assert watch.follower.behind("demo") == ""


def test_a_damaged_adapter_is_tried_again_ever_more_rarely(
    watch: Watch, store: Store, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = watch.look()
    new = stored(store, changed(student, 0.5))
    key = f"adapters/demo/{new}/adapter_model.safetensors"
    whole = store.get(key)
    store.put(key, whole[:-1] + bytes([whole[-1] ^ 1]))
    point(store, new)
    assert watch.look() == old
    tries = list[float]()
    load = follow.load
    monkeypatch.setattr(follow, "load", lambda *a, **k: (tries.append(watch.now), load(*a, **k))[1])
    for _ in range(60):
        watch.look(1)
    assert tries == [5.0, 15.0, 35.0]
    store.put(key, whole)
    assert watch.look(300) == new


def test_a_store_that_is_away_changes_nothing(watch: Watch, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = watch.look()
    with monkeypatch.context() as away:

        def fail(key: str) -> str:
            raise StoreError("is out of reach", where=store.uri)

        away.setattr(store, "etag", fail)
        assert watch.look() == old
        assert "is out of reach" in watch.follower.behind("demo")
    watch.look(10)
    assert watch.follower.behind("demo") == ""


@pytest.fixture
def asking(store: Store, watch: Watch) -> Iterator[Callable[[], list[Any]]]:
    """A server under load: four clients ask until the returned function is called, which gives all replies."""
    service = Service(watch.shelf, Batcher(wait=0.001), behind=watch.follower.behind)
    ended, replies = threading.Event(), list[Any]()
    with running(service) as server:

        def ask(client: Client) -> None:
            while not ended.is_set():
                replies.append(client.score(TEXT, TEXT + " and more"))

        threads = [threading.Thread(target=ask, args=[server.client()], daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()

        def end() -> list[Any]:
            while len(replies) < 20:
                ended.wait(0.01)
            ended.set()
            for thread in threads:
                thread.join(20)
            return replies

        yield end
        ended.set()


def test_swaps_under_load_lose_no_request_and_mix_no_adapters(
    watch: Watch, store: Store, student: Student, asking: Callable[[], list[Any]]
) -> None:
    old = watch.served
    others = [stored(store, changed(student, factor)) for factor in (0.5, 1.5)]
    expected = {old.adapter: old.student.predict([("", TEXT)])[0]}
    for _ in range(3):
        for adapter in others:
            point(store, adapter)
            assert watch.look() == adapter
            expected[adapter] = watch.served.student.predict([("", TEXT)])[0]
    expected = {name: watch.served.student.scores(raw[None])[0] for name, raw in expected.items()}
    replies = asking()
    assert {reply.status for reply in replies} == {200}
    seen = set[str]()
    for reply in replies:
        found = reply.json
        seen.add(found["adapter"])
        scores = [found["scores"][0]["scores"][name] for name in FILTER.dimensions]
        assert scores == pytest.approx(expected[found["adapter"]], abs=1e-4)
    assert others[1] in seen


def test_ready_says_what_is_behind(watch: Watch, store: Store, student: Student) -> None:
    service = Service(watch.shelf, Batcher(), behind=watch.follower.behind)
    assert service.ready()["models"] == [{"name": "demo", "version": watch.look(), "plan": "fp32 on cpu by torch"}]
    point(store, stored(store, changed(student, 3.0, golden=False)))
    watch.look()
    found = service.ready()
    assert found["ready"]
    assert "golden" in found["models"][0]["behind"]
    service.batcher.close()


def test_a_digest_is_served_and_not_followed(store: Store, watch: Watch) -> None:
    with pytest.raises(InputError, match="no adapter"):
        targets(store, ["0" * 64])
    adapter = watch.served.adapter
    assert targets(store, [adapter]) == [Target("demo", "", adapter)]
    assert targets(store, ["demo"], "canary") == [Target("demo", "canary")]
