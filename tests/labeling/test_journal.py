"""The journal: durable before counted, one object per 64 labels, several writers, torn and damaged lines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.labeling.journal import SEGMENT_LINES, Answer, Attempt, DeadLetter, Journal
from distillery.components.store import Conflict, Digest, Store, digest_json

DIMENSIONS = ["readiness", "benefit"]


@pytest.fixture
def opened(store: Store) -> Callable[[], Journal]:
    rubric, oracle = digest_json("rubric"), digest_json("oracle")
    return lambda: Journal(store, "demo", rubric=rubric, oracle=oracle, dimensions=DIMENSIONS)


def name(number: int) -> Digest:
    return digest_json(number)


def answer(number: int) -> Answer:
    return Answer(name(number), (number % 11 / 1.0, 0.1 + number % 9), "opinion" if number % 2 else None)


def known(journal: Journal) -> dict[Digest, Answer]:
    return {answer.article: answer for answer in journal.answers()}


def segments(store: Store, journal: Journal) -> list[str]:
    return list(store.keys(journal.prefix))


def test_what_was_added_is_there_after_a_restart(opened: Callable[[], Journal], store: Store) -> None:
    journal = opened()
    letter = DeadLetter(name(999), (Attempt("benefit is missing", '{"readiness": 7}'), Attempt("no reply", None)))
    journal.append([answer(number) for number in range(200)])
    journal.append([letter])
    again = opened()
    assert known(again) == {name(number): answer(number) for number in range(200)}
    assert again.dead_letter(name(999)) == letter
    assert not any(again.dead_letter(name(number)) for number in range(200))
    assert again.damaged == 0
    assert len(segments(store, journal)) == 201 // SEGMENT_LINES + 1


def test_one_by_one_takes_no_more_objects_and_leaves_sealed_segments_alone(opened: Callable[[], Journal], store: Store) -> None:
    journal = opened()
    journal.append([answer(number) for number in range(SEGMENT_LINES)])
    first = segments(store, journal)[0]
    sealed = store.etag(first)
    for number in range(SEGMENT_LINES, SEGMENT_LINES * 2 + 6):
        journal.append([answer(number)])
    assert store.etag(first) == sealed
    assert len(segments(store, journal)) == 3


def test_the_first_answer_stays_and_replaces_a_dead_letter(opened: Callable[[], Journal]) -> None:
    journal = opened()
    journal.append([DeadLetter(name(1), (Attempt("empty", ""),))])
    journal.append([answer(1)])
    journal.append([Answer(name(1), (9.0, 9.0)), DeadLetter(name(1), (Attempt("late", ""),))])
    for one in (journal, opened()):
        assert known(one) == {name(1): answer(1)}
        assert one.dead_letter(name(1)) is None


def test_another_rubric_or_oracle_has_another_journal(store: Store) -> None:
    prefixes = {
        Journal(store, "demo", rubric=digest_json(rubric), oracle=digest_json(oracle), dimensions=DIMENSIONS).prefix
        for rubric in (1, 2)
        for oracle in (3, 4)
    }
    assert len(prefixes) == 4


def test_a_torn_last_line_is_kept_out_and_redone(opened: Callable[[], Journal], store: Store, tmp_path: Path) -> None:
    opened().append([answer(number) for number in range(3)])
    path = tmp_path / "store" / segments(store, opened())[0]
    path.write_bytes(path.read_bytes()[:-20])
    torn = opened()
    assert torn.damaged == 1
    assert set(known(torn)) == {name(0), name(1)}
    torn.append([answer(2), answer(3)])
    assert set(known(opened())) == {name(number) for number in range(4)}


def test_a_score_changed_in_place_is_no_label(opened: Callable[[], Journal], store: Store, tmp_path: Path) -> None:
    opened().append([answer(3), answer(4)])
    path = tmp_path / "store" / segments(store, opened())[0]
    path.write_bytes(path.read_bytes().replace(b'"readiness":3.0', b'"readiness":8.0'))
    again = opened()
    assert again.damaged == 1
    assert set(known(again)) == {name(4)}


def test_writers_at_once_lose_nothing(opened: Callable[[], Journal], store: Store) -> None:
    def write(first: int) -> None:
        journal = opened()
        for number in range(first, 120, 2):
            journal.append([answer(number), answer(number // 4)])

    writers = [threading.Thread(target=write, args=(number % 2,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert known(opened()) == {name(number): answer(number) for number in range(120)}
    data = b"".join(store.get(key) for key in segments(store, opened()))
    assert data.count(b"\n") == 120, "an answer was written twice"


def test_a_writer_that_wakes_up_late_overwrites_nothing(opened: Callable[[], Journal]) -> None:
    late = opened()
    late.append([answer(0)])
    opened().append([answer(number) for number in range(1, 300)])
    late.append([answer(300)])
    assert opened().count() == 301
    assert late.answer(name(5)), "what others wrote on the way is known"


def test_added_records_share_a_put_and_count_only_when_durable(
    opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, puts, put_if = opened(), [], journal_put(opened)

    def counting(key: str, data: bytes, *, etag: str | None) -> None:
        puts.append(data.count(b"\n"))
        if len(puts) == 2:
            raise Conflict(key)
        put_if(key, data, etag=etag)

    monkeypatch.setattr(journal.store, "put_if", counting)

    async def all_at_once() -> None:
        async def add(number: int) -> None:
            await journal.add(answer(number))
            assert opened().answer(name(number))

        await asyncio.gather(*(add(number) for number in range(50)))
        await asyncio.gather(*(add(number) for number in range(50, 60)))
        await journal.settle()

    asyncio.run(all_at_once())
    assert puts == [50, 60, 60]


def journal_put(opened: Callable[[], Journal]) -> Callable[..., None]:
    return opened().store.put_if


def test_a_store_that_fails_fails_the_label(opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened()

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(journal.store, "put_if", full)
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(journal.add(answer(1)))
    assert journal.count() == 0
