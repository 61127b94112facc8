"""`drift`: what is compared with what, when, and that a look is counted once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from distillery.components.artifacts.drift import DriftLog, drift_status, read_drift_log
from distillery.components.artifacts.histograms import Histograms
from distillery.components.drift.drift import drift
from distillery.components.drift.sample import read_scores, sample_of_scores
from distillery.components.store import Store, StoreError, open_store
from distillery.components.store.layout import SUCCESS, drift_key
from distillery.filters.errors import InputError
from tests.drift.made import ADAPTER, drawn, put_test, scored


@dataclass
class Clock:
    """A clock that is set by hand."""

    time: datetime = datetime(2027, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "store"))
    put_test(store, drawn(1, 200))
    return store


def test_the_same_topics_do_not_drift_and_shifted_topics_do(store: Store, tmp_path: Path) -> None:
    same = drift(store, "demo", open_store(str(scored(tmp_path / "a", drawn(2, 600)))))
    assert (same.comparison.drifted, same.moved, same.number) == ([], [], 1)
    assert drift_status(store, "demo", ADAPTER)[:2] == ("False", "ScoresSteady")
    place = scored(tmp_path / "b", drawn(3, 600, shifted=2.5), source="new", shards=3)
    found = drift(store, "demo", open_store(str(place)))
    assert "benefit" in [feature.name for feature in found.comparison.drifted]
    assert found.number == 2
    assert (found.looked_through, len(found.moved)) == (600, 10)
    assert min(article.score for article in found.moved if article.feature == "benefit") > 7
    assert {article.source for article in found.moved} == {"new"}
    status = drift_status(store, "demo", ADAPTER)
    assert status[:2] == ("True", "ScoresDrifted")
    assert "600 articles against the test predictions, look 2" in status.message
    assert status.job == found.scores.job


def test_a_look_keeps_the_articles_that_moved_most_and_an_older_one_none(store: Store, tmp_path: Path) -> None:
    put_test(store, drawn(1, 200))
    for number in (1, 2):
        found = drift(store, "demo", open_store(str(scored(tmp_path / str(number), drawn(number + 1, 300, shifted=3)))))
        looks = read_drift_log(store, "demo", ADAPTER).looks
        assert [each.id for each in looks[0].moved] == [each.id for each in found.moved[:5]]
        assert len(looks[0].moved) == 5
    assert looks[1].moved == []


def test_one_scoring_is_one_look_however_often_it_is_looked_at(store: Store, tmp_path: Path) -> None:
    place = open_store(str(scored(tmp_path / "a", drawn(2, 300))))
    first = drift(store, "demo", place)
    before = store.get(drift_key("demo", ADAPTER))
    assert drift(store, "demo", place) == first
    assert store.get(drift_key("demo", ADAPTER)) == before


def test_after_a_month_the_first_month_is_the_reference(store: Store, tmp_path: Path) -> None:
    """The corpus is not as the test part from the first day on; what it was in its first month is what counts then."""
    clock, looks = Clock(), []
    for week in range(6):
        place = scored(tmp_path / f"week {week}", drawn(10 + week, 200, shifted=2.5 if week < 5 else 5))
        looks.append(drift(store, "demo", open_store(str(place)), now=clock))
        clock.time += timedelta(days=10)
    assert [found.reference for found in looks] == ["test"] * 3 + ["first month"] * 3
    assert [bool(found.comparison.drifted) for found in looks] == [True, True, True, False, False, True]
    assert {found.comparison.reference for found in looks} == {200, 600}
    log = read_drift_log(store, "demo", ADAPTER)
    assert log.month is not None
    assert log.month.spread.scored == 600
    assert [each.number for each in log.looks] == [6, 5, 4, 3, 2, 1]
    again = drift(store, "demo", open_store(str(tmp_path / "week 0" / "scores")), now=clock)
    assert (again.reference, again.number) == ("test", 1)


def test_too_few_articles_are_no_look(store: Store, tmp_path: Path) -> None:
    found = drift(store, "demo", open_store(str(scored(tmp_path / "a", drawn(2, 99, shifted=5)))))
    assert (found.comparison.enough, found.comparison.drifted) == (False, [])
    assert not store.exists(drift_key("demo", ADAPTER))
    assert drift_status(store, "demo", ADAPTER).status == "Unknown"


def test_another_look_that_came_between_takes_its_turn(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (open_store(str(scored(tmp_path / str(n), drawn(n, 200)))) for n in (2, 3))
    taken = list[int]()
    update = DriftLog.update.__func__  # type: ignore[attr-defined]

    def late(cls: type[DriftLog], *arguments: object) -> object:
        if not taken:
            taken.append(1)
            assert drift(store, "demo", second).number == 1
        return update(cls, *arguments)

    monkeypatch.setattr(DriftLog, "update", classmethod(late))
    assert drift(store, "demo", first).number == 2
    assert [each.number for each in read_drift_log(store, "demo", ADAPTER).looks] == [2, 1]


def test_given_scores_are_a_reference_of_their_own_and_no_look(store: Store, tmp_path: Path) -> None:
    before, after = (scored(tmp_path / str(n), drawn(n, 300, shifted=shifted)) for n, shifted in ((2, 0), (3, 2.5)))
    found = drift(store, "demo", open_store(str(after)), given=open_store(str(before)))
    assert (found.reference, found.number, bool(found.comparison.drifted)) == ("given scores", 1, True)
    assert not store.exists(drift_key("demo", ADAPTER))
    with pytest.raises(InputError, match="are the scores that are compared"):
        drift(store, "demo", open_store(str(after)), given=open_store(str(after)))


@pytest.mark.parametrize("fmt", ["parquet", "jsonl"])
@pytest.mark.parametrize("how", ["an earlier program's", "lost", "damaged"])
def test_scores_without_histograms_are_counted_from_their_rows(store: Store, tmp_path: Path, how: str, fmt: str) -> None:
    place = open_store(str(scored(tmp_path / "a", drawn(2, 150), shards=3, fmt=fmt)))
    wanted = sample_of_scores(place, read_scores(place))
    (key,) = (key for key in place.keys("_job") if "histograms" in key)
    if how == "an earlier program's":
        fields = json.loads(place.get(SUCCESS))
        del fields["histograms"]
        place.put(SUCCESS, json.dumps({**fields, "format": 3}).encode())
    elif how == "lost":
        (tmp_path / "a" / "scores" / key).unlink()
    else:
        place.put(key, b"{torn")
    assert sample_of_scores(place, read_scores(place)) == wanted
    assert drift(store, "demo", place).comparison.n == 150


def test_a_part_that_was_altered_is_never_shown(store: Store, tmp_path: Path) -> None:
    folder = scored(tmp_path / "a", drawn(2, 150, shifted=5))
    other = scored(tmp_path / "b", drawn(3, 150))
    (folder / "part-00000.parquet").write_bytes((other / "part-00000.parquet").read_bytes())
    with pytest.raises(StoreError, match=r"part-00000\.parquet"):
        drift(store, "demo", open_store(str(folder)))
    (folder / "part-00000.parquet").unlink()
    with pytest.raises(InputError, match=r"part-00000\.parquet: is gone; score again"):
        drift(store, "demo", open_store(str(folder)))


def test_what_cannot_be_compared_is_one_line(store: Store, tmp_path: Path) -> None:
    place = open_store(str(scored(tmp_path / "a", drawn(2, 150))))
    with pytest.raises(InputError, match=r"holds scores of filter demo; give scores of other"):
        drift(store, "other", place)
    with pytest.raises(InputError, match="holds scores of adapter aaaaaaaaaaaa, not of bbbbbbbbbbbb"):
        drift(store, "demo", place, adapter="b" * 64)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no finished scores; give the address"):
        drift(store, "demo", open_store(str(tmp_path / "empty")))
    other = open_store(str(scored(tmp_path / "c", drawn(2, 150), adapter="c" * 64)))
    with pytest.raises(InputError, match=r"no test predictions of adapter c{12} are in this store.*--reference"):
        drift(store, "demo", other)
    store.put(drift_key("demo", ADAPTER), b"{torn")
    with pytest.raises(StoreError, match=r"drift/demo/a{64}\.json"):
        drift(store, "demo", place)


def test_a_sample_is_the_rows_whatever_the_format(tmp_path: Path) -> None:
    scores = drawn(5, 120)
    place = open_store(str(scored(tmp_path / "a", scores)))
    found = sample_of_scores(place, read_scores(place)).spread
    assert isinstance(found, Histograms)
    assert found.dimensions["readiness"] == np.histogram(scores[:, 0], np.linspace(0, 10, 41))[0].tolist()
