"""Records that the journal lost are told before their articles are asked about, and paid, once more; and told once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.labeling.label import label, open_journal
from distillery.components.labeling.lost_records import tell_lost
from distillery.components.labeling.run_lock import RunLock
from distillery.components.store import NotFound, Store, open_store
from distillery.filters.filter import Filter
from tests.labeling.test_label import Counting, Notes, Write, good, row

ARTICLES = 200  # four segments, of 64, 64, 64 and 8 records


def gone(path: Path) -> None:
    path.unlink()


def cut_at_a_line(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-5]))


def run(store: Store, flt: Filter, write: Write, count: int) -> tuple[Notes, Counting]:
    notes, oracle = Notes(), Counting(good)
    articles = write("articles.jsonl", map(row, range(count)))
    label(store, flt, articles=articles, oracle=oracle, without_calibration="a test", progress=notes)
    return notes, oracle


@pytest.mark.parametrize(
    ("segments", "damage", "lost"),
    [
        ([0], gone, 64),
        ([1], gone, 64),
        ([3], gone, 8),
        ([0, 2], gone, 128),
        ([2, 3], gone, 72),
        ([0, 1, 2, 3], gone, 200),
        ([1], cut_at_a_line, 5),
        ([3], cut_at_a_line, 5),
    ],
)
def test_what_is_gone_is_told_before_it_is_asked_again(
    store: Store, flt: Filter, write: Write, segments: list[int], damage: Callable[[Path], None], lost: int
) -> None:
    run(store, flt, write, ARTICLES)
    prefix = open_journal(store, flt, {"provider": "counting"}).prefix
    folder = Path(store.uri.removeprefix("file://")) / prefix
    for number in segments:
        damage(folder / f"{number:06d}.jsonl")
    notes, oracle = run(store, flt, write, ARTICLES + 1)
    assert len(oracle.asked) == lost + 1
    [told] = [note for note in notes.notes if "are gone" in note]
    assert told.startswith(f"{lost:,} records of the journal {store.uri}/{prefix}")
    assert f"{lost} calls at most are made again" in told
    assert "restore the journal from a copy" in told
    assert "\n" not in told
    assert ("(000000.jsonl, 000002.jsonl)" in told) == (segments == [0, 2])
    again, oracle = run(store, flt, write, ARTICLES + 2)
    assert len(oracle.asked) == 1
    assert not [note for note in again.notes if "are gone" in note]


def test_later_segments_are_read_behind_a_gap(store: Store, flt: Filter, write: Write) -> None:
    run(store, flt, write, ARTICLES)
    before = open_journal(store, flt, {"provider": "counting"})
    gone(Path(store.uri.removeprefix("file://")) / before.prefix / "000001.jsonl")
    after = open_journal(store, flt, {"provider": "counting"})
    assert (before.count(), before.gaps) == (200, [])
    assert (after.count(), after.gaps, after.records) == (136, [1], 136)
    after.close_gaps()
    assert open_journal(store, flt, {"provider": "counting"}).gaps == []


def test_a_segment_that_appears_while_later_ones_are_read_is_no_gap(store: Store, flt: Filter, write: Write) -> None:
    run(store, flt, write, ARTICLES)
    journal = open_journal(store, flt, {"provider": "counting"})
    missed = {journal._key(1)}
    get = store.get

    def late(key: str, **more: object) -> bytes:
        if key in missed:
            missed.clear()
            raise NotFound(key)
        return get(key, **more)  # type: ignore[arg-type]

    store.get = late  # type: ignore[method-assign, assignment]
    again = open_journal(store, flt, {"provider": "counting"})
    assert (again.gaps, again.count()) == ([], 200)


def test_the_price_of_what_is_asked_again_is_told(store: Store, flt: Filter, write: Write) -> None:
    run(store, flt, write, 70)
    journal, notes = open_journal(store, flt, {"provider": "counting"}), Notes()
    tell_lost(journal, 100, 500, 0.01, notes)
    assert notes.notes[0].startswith("30 records of the journal ")
    assert "30 calls at most are made again, for $0.3000 at most;" in notes.notes[0]
    tell_lost(journal, 70, 500, 0.01, notes)
    tell_lost(journal, 0, 500, 0.01, notes)
    assert len(notes.notes) == 1


def test_the_lock_notes_how_many_records_there_are(tmp_path: Path) -> None:
    store, records = open_store(str(tmp_path / "store")), 7
    first = RunLock(store, "labels/x", records=lambda: records)
    first.acquire()
    assert first.records == 0
    records = 9
    first.release()
    second = RunLock(store, "labels/x", records=lambda: 3)
    second.acquire()
    assert second.records == 9
