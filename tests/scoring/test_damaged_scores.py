"""Scores that are lost or damaged are noticed by the objects themselves, named, and done again; what is whole stays."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.label_table import read_table
from distillery.components.artifacts.scores import Scores
from distillery.components.scoring.completion import finish, missing
from distillery.components.scoring.job import follow, submit
from distillery.components.scoring.plan import Plan
from distillery.components.scoring.score import score
from distillery.components.store import Store, open_store
from distillery.components.store.layout import REJECTS, SCORING_PLAN, SUCCESS, part_facts_key, part_rejects_key
from distillery.filters.errors import InputError
from tests.scoring.played import ADAPTER, PLACE, Jobs, Said, do, end
from tests.scoring.test_score import FILTER, Reader, corpus

SHARDS = 3
ROWS = [{"id": f"a{n}", "content": f"{n % 10} 5 text {n}"} if n % 5 else "{torn" for n in range(30)]
PART, FACTS, BAD_ROWS = "part-00001.parquet", part_facts_key(1), part_rejects_key(1)


class Noted(Said):
    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        pass


@pytest.fixture(params=["folder", "bucket"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "scores") if request.param == "folder" else request.getfixturevalue("s3_uri"))


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    return corpus(tmp_path / "corpus.jsonl", ROWS)


def run(articles: Path, out: Store, student: Reader | None = None) -> tuple[dict[str, Any], list[str], Reader]:
    noted, student = Noted(), student or Reader()
    found = score(FILTER, student, articles, out.uri, adapter=ADAPTER, shards=SHARDS, progress=noted)
    return found, noted.notes, student


def lose(out: Store, key: str) -> None:
    objects: Any = out._objects
    if out.uri.startswith("s3:"):
        objects._client.delete_object(**objects._at(key))
    else:
        (Path(out.uri.removeprefix("file://")) / key).unlink()


def flip(out: Store, key: str) -> None:
    data = bytearray(out.get(key))
    data[len(data) // 2] ^= 1
    out.put(key, bytes(data))


def cut(out: Store, key: str) -> None:
    out.put(key, out.get(key)[:-20])


def empty(out: Store, key: str) -> None:
    out.put(key, b"")


def contents(out: Store) -> dict[str, bytes]:
    """Every object; _SUCCESS by what it says, since two ways to write it say one thing."""
    keys = [key for key in out.keys("") if not key.startswith("_probe")]
    return {key: Scores.load(out, key).to_bytes() if key == SUCCESS else out.get(key) for key in keys}


@pytest.mark.parametrize("damage", [lose, flip, cut, empty])
@pytest.mark.parametrize(
    ("key", "says", "scored"),
    [
        (PART, PART, 7),
        (FACTS, "", 0),
        (SUCCESS, "_SUCCESS can't be read: it is written anew", 0),
        (SCORING_PLAN, "", 0),
        (REJECTS, "", 0),
        (BAD_ROWS, "", 0),
    ],
)
def test_what_is_lost_of_finished_scores_is_done_again(
    articles: Path, out: Store, damage: Callable[[Store, str], None], key: str, says: str, scored: int
) -> None:
    run(articles, out)
    whole = contents(out)
    damage(out, key)
    found, notes, student = run(articles, out)
    now = contents(out)
    if key in (FACTS, BAD_ROWS):  # _SUCCESS has all that they say
        now |= {key: whole[key]}
    assert now == whole
    assert len(student.seen) == scored
    if says and not (key == SUCCESS and damage in (lose, flip)):  # one that reads well is put right without a word
        assert any(says in note and ("again" in note or "anew" in note) for note in notes), notes
    assert found["reused"] == (scored == 0)
    again, notes, student = run(articles, out)
    assert (again["reused"], notes, student.seen) == (True, [], [])


@pytest.mark.parametrize("damage", [lose, flip, cut, empty])
@pytest.mark.parametrize(
    ("key", "says", "scored"),
    [(PART, PART, 7), (FACTS, "the facts of part-00001", 0), (BAD_ROWS, "the bad rows of part-00001", 0)],
)
def test_what_is_lost_of_scores_under_way_is_done_again(
    articles: Path, out: Store, damage: Callable[[Store, str], None], key: str, says: str, scored: int
) -> None:
    run(articles, out)
    whole = contents(out)
    for last in (SUCCESS, REJECTS):
        lose(out, last)
    damage(out, key)
    _, notes, student = run(articles, out)
    assert contents(out) == whole
    assert len(student.seen) == scored
    if not (key == FACTS and damage is lose):  # a part that nobody noted is one that was never begun
        assert any(says in note and "again" in note for note in notes), notes


def test_a_part_and_its_facts_are_lost_together(articles: Path, out: Store) -> None:
    run(articles, out)
    whole = contents(out)
    flip(out, PART)
    empty(out, FACTS)
    _, notes, student = run(articles, out)
    assert contents(out) == whole
    assert (len(student.seen), len(notes)) == (7, 1)


def test_a_part_whose_scores_were_changed_is_done_again_even_where_its_facts_are_lost(articles: Path, out: Store) -> None:
    run(articles, out)
    whole = contents(out)
    out.put(PART, whole["part-00002.parquet"])
    lose(out, FACTS)
    with pytest.raises(InputError, match=r"part-00001.parquet: holds the scores of other articles; delete it, and score again"):
        run(articles, out)
    lose(out, PART)
    run(articles, out)
    assert contents(out) == whole


def test_many_damaged_parts_are_named_in_six_lines(tmp_path: Path) -> None:
    articles, out = corpus(tmp_path / "a.jsonl", ROWS), open_store(str(tmp_path / "scores"))
    score(FILTER, Reader(), articles, out.uri, adapter=ADAPTER, shards=12)
    for index in range(9):
        flip(out, f"part-{index:05d}.parquet")
    noted = Noted()
    score(FILTER, Reader(), articles, out.uri, adapter=ADAPTER, shards=12, progress=noted)
    assert len(noted.notes) == 6
    assert noted.notes[-1] == "and so are 4 other parts"


@pytest.mark.parametrize("damage", [lose, flip, cut])
def test_a_job_does_again_what_is_damaged_and_its_follower_says_so(
    store: Store, plan: Plan, jobs: Jobs, damage: Callable[[Store, str], None]
) -> None:
    job = submit(store, plan, PLACE)
    do(job.out, plan, *range(6))
    damage(job.out, "part-00003.parquet")

    def complete(played: Any) -> None:
        played.status.completed_indexes = "0-5" if len(jobs.created) == 1 else "0"
        end(played, "Complete")

    jobs.on_read = complete
    with pytest.raises(InputError, match=r"part 3 is (missing|damaged) \(part-00003.parquet .*; score again"):
        follow(job)
    noted = Said()
    again = submit(store, plan, PLACE, progress=noted)
    assert again.left == [3]
    assert noted.notes[0].startswith("part-00003.parquet")
    do(again.out, plan, 3)
    done = follow(again)
    assert [part.sha256 for part in done.parts] == [finish(job.out, plan).parts[n].sha256 for n in range(6)]
    assert missing(job.out, plan) == []
    damage(job.out, "part-00005.parquet")  # … and once more, behind the _SUCCESS
    assert submit(store, plan, PLACE).left == [5]


def test_in_a_bucket_whole_parts_are_not_read_again(store: Store, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    out = submit_done(store, plan)
    read = list[str]()
    objects: Any = out._objects
    opened = objects.open
    monkeypatch.setattr(objects, "open", lambda key: read.append(key) or opened(key))
    assert missing(out, plan) == []
    assert read == []
    out.put("part-00002.parquet", out.get("part-00002.parquet") + b"")  # the same bytes, so the same etag
    assert (missing(out, plan), read) == ([], [])


def submit_done(store: Store, plan: Plan) -> Store:
    out = open_store(f"{store.uri}/scores/{plan.job}")
    from distillery.components.scoring.plan import begin

    begin(out, plan)
    do(out, plan, *range(plan.shards))
    finish(out, plan)
    return out


def test_a_refused_scoring_leaves_nothing(tmp_path: Path) -> None:
    bad = corpus(tmp_path / "bad.jsonl", ["{torn", "[]"])
    with pytest.raises(InputError, match=r"no row is an article: bad.jsonl:1: is not JSON"):
        score(FILTER, Reader(), bad, tmp_path / "out", adapter=ADAPTER)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="dimensions"):
        score(FILTER, lambda: Reader(["other"]), corpus(tmp_path / "a.jsonl", ROWS), tmp_path / "out", adapter=ADAPTER)
    assert not (tmp_path / "out").exists()
    good = corpus(tmp_path / "bad.jsonl", ROWS)  # mended, and the same command
    assert score(FILTER, Reader(), good, tmp_path / "out", adapter=ADAPTER)["articles"] == 24


def test_a_folder_that_was_there_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(InputError):
        score(FILTER, Reader(), corpus(tmp_path / "bad.jsonl", ["{torn"]), tmp_path / "out", adapter=ADAPTER)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


# Corrupted documents, by seed.

WRONG: list[Any] = [None, True, -1, 0, 2**70, 1.5, "", "x", "0" * 64, [], {}, [[]], {"a": 1}]


def corrupted(chance: random.Random, data: bytes, others: list[bytes]) -> bytes | None:
    """Return a corrupted copy of a document; None for a folder in its place."""
    kind = chance.randrange(9)
    if kind == 0:
        return data[: chance.randrange(len(data))]
    if kind == 1:
        place = chance.randrange(len(data))
        return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]
    if kind == 2:
        return chance.choice([b"", b"\0" * len(data), b"NaN", b"[" * 100_000, b"\xef\xbb\xbf" + data, data + data])
    if kind == 3:
        return chance.choice(others)
    if kind == 4:
        return None
    try:
        root = json.loads(data)
    except ValueError:
        return data.replace(b"1", b"NaN", 1) if kind < 7 else data[::-1]
    place, key = _somewhere(chance, root)
    if place is None:
        return b"{}"
    if kind == 5:
        del place[key]
    elif kind == 6 and isinstance(place, dict):
        place["more"] = chance.choice(WRONG)
    elif kind == 7:
        place[key] = float(chance.choice(["nan", "inf"]))
    else:
        place[key] = chance.choice(WRONG)
    return json.dumps(root).encode()


def _somewhere(chance: random.Random, root: Any) -> tuple[Any, Any]:
    place, key, value = None, None, root
    while isinstance(value, dict | list) and value and (place is None or chance.random() < 0.6):
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        place, value = value, value[key]
    return place, key


def _same_or_one_line(articles: Path, out: Path, whole: dict[str, bytes], key: str, data: bytes | None) -> bool:
    """Score once more after a document was corrupted: the same result, or one line that says what to do; nothing is lost."""
    target = out / key
    target.unlink()
    if data is None:
        target.mkdir()
    else:
        target.write_bytes(data)
    opened = open_store(str(out))
    if line := _refusal(articles, opened):
        assert key in line or out.name in line
        return False
    now = contents(opened) | {name: whole[name] for name in (key,) if name.startswith("_job/")}
    assert now == whole, (key, data)
    assert run(articles, opened)[0]["reused"]
    return True


def _refusal(articles: Path, out: Store) -> str:
    try:
        run(articles, out)
    except InputError as error:
        text, hint = str(error), error.hint
    else:
        return ""
    assert hint, text
    assert "\n" not in text
    return text


@pytest.fixture
def scored(tmp_path: Path, articles: Path) -> tuple[Path, Path, dict[str, bytes]]:
    """Finished scores, to be copied; and the same without an end."""
    done, begun = tmp_path / "done", tmp_path / "begun"
    run(articles, open_store(str(done)))
    whole = contents(open_store(str(done)))
    shutil.copytree(done, begun)
    for last in (SUCCESS, REJECTS):
        (begun / last).unlink()
    return done, begun, whole


def fuzz(tmp_path: Path, articles: Path, scored: tuple[Path, Path, dict[str, bytes]], seeds: range) -> int:
    done, begun, whole = scored
    redone = 0
    for seed in seeds:
        chance = random.Random(seed)
        source = chance.choice([done, begun])
        keys = [key for key in whole if (source / key).is_file()]
        key, out = chance.choice(keys), tmp_path / "out"
        data = corrupted(chance, whole[key], [whole[other] for other in keys if other != key])
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(source, out)
        redone += _same_or_one_line(articles, out, whole, key, data)
    return redone


def cuts(tmp_path: Path, articles: Path, scored: tuple[Path, Path, dict[str, bytes]], step: int) -> None:
    """Cut every document of finished and of begun scores, at every `step`-th byte; the part itself at fewer."""
    done, begun, whole = scored
    for source in (done, begun):
        for key in (SCORING_PLAN, FACTS, BAD_ROWS, SUCCESS, REJECTS, PART):
            each = step * 40 if key == PART else step
            for length in range(0, len(whole[key]), each) if (source / key).is_file() else ():
                shutil.rmtree(tmp_path / "out", ignore_errors=True)
                shutil.copytree(source, tmp_path / "out")
                assert _same_or_one_line(articles, tmp_path / "out", whole, key, whole[key][:length]), (key, length)


def test_corrupted_documents(tmp_path: Path, articles: Path, scored: tuple[Path, Path, dict[str, bytes]]) -> None:
    assert fuzz(tmp_path, articles, scored, range(20)) > 10
    cuts(tmp_path, articles, scored, 100)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("block", range(4))
def test_two_thousand_corrupted_documents(
    tmp_path: Path, articles: Path, scored: tuple[Path, Path, dict[str, bytes]], block: int
) -> None:
    assert fuzz(tmp_path, articles, scored, range(500 * block, 500 * (block + 1))) > 250


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_cut_at_every_byte(tmp_path: Path, articles: Path, scored: tuple[Path, Path, dict[str, bytes]]) -> None:
    cuts(tmp_path, articles, scored, 1)


def test_rows_are_those_of_an_undisturbed_scoring(articles: Path, out: Store) -> None:
    run(articles, out)
    flip(out, PART)
    run(articles, out)
    ids = [name for index in range(SHARDS) for name in read_table(out.get(f"part-{index:05d}.parquet"))["id"].to_pylist()]
    assert ids == [row["id"] for row in ROWS if isinstance(row, dict)]
