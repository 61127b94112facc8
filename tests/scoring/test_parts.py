"""A part is committed once: run twice, killed at any moment, or met by somebody else's."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distillery.components.articles.label_table import read_table, write_table
from distillery.components.artifacts.scores import Facts
from distillery.components.runtime.progress import quiet
from distillery.components.scoring.completion import finish, missing, success
from distillery.components.scoring.corpus import find_corpus
from distillery.components.scoring.own_code import own_code
from distillery.components.scoring.part import score_part
from distillery.components.scoring.plan import Plan, begin, plan_for, read_plan
from distillery.components.scoring.whole import look_at, look_at_all
from distillery.components.store import Store, StoreError, open_store
from distillery.components.store.layout import part_facts_key
from distillery.filters.errors import InputError
from tests.scoring.test_score import FILTER, Reader

SHARDS = 6


class Killed(BaseException):
    """No code may catch it."""


class Deadly:
    """Objects whose process dies before or after its n-th write."""

    def __init__(self, objects: Any, at: int, after: bool) -> None:
        self.objects, self.left, self.after, self.uri = objects, at, after, objects.uri

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.objects, name)
        if name not in ("put", "put_if"):
            return call

        def write(*arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Killed
            result = call(*arguments)
            if self.left == 0:
                raise Killed
            return result

        return write


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    rows = [json.dumps({"id": f"a{n}", "content": f"{n % 10} {n % 7} text {n}"}) if n % 9 else "{torn" for n in range(120)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows))
    return tmp_path / "corpus.jsonl"


@pytest.fixture
def plan(articles: Path) -> Plan:
    return plan_for(FILTER, "a" * 64, find_corpus(str(articles)), SHARDS, part_bytes=1, code="image:1")


@pytest.fixture
def out(tmp_path: Path, plan: Plan) -> Store:
    store = open_store(str(tmp_path / "scores"))
    begin(store, plan)
    return store


def do(out: Store, plan: Plan, index: int, student: Reader | None = None) -> Facts:
    return score_part(out, plan, index, FILTER, lambda: student or Reader(), progress=quiet)


def ids(out: Store, plan: Plan) -> list[str]:
    return [id for index in range(plan.shards) for id in read_table(out.get(plan.part(index)))["id"].to_pylist()]


WANTED = [f"a{n}" for n in range(120) if n % 9]


def test_every_row_once_and_the_sum_says_so(out: Store, plan: Plan) -> None:
    for index in (3, 0, 5, 1, 2, 4):
        do(out, plan, index)
    found = finish(out, plan)
    assert ids(out, plan) == WANTED
    assert (found.articles, found.rejected, sum(found.tiers.values())) == (106, 14, 106)
    lines = [json.loads(line) for line in out.get("_rejects.jsonl").splitlines()]
    assert [each["line"] for each in lines] == [n + 1 for n in range(0, 120, 9)]
    assert [part.rows for part in found.parts] == [
        each.facts.articles for each in look_at_all(out, plan, range(6)) if each.facts
    ]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_killed_at_each_write_and_run_again(out: Store, plan: Plan, at: int, after: bool) -> None:
    """Writes of a part with rejects: part, rejects, facts."""
    with pytest.raises(Killed):
        do(Store(Deadly(out._objects, at, after)), plan, 2)
    student = Reader()
    facts = do(out, plan, 2, student)
    # Once the part is there, nobody scores it again.
    assert bool(student.seen) == (at == 1 and not after)
    whole = open_store(f"{out.uri}-whole")
    begin(whole, plan)
    assert do(whole, plan, 2) == facts
    assert out.get(plan.part(2)) == whole.get(plan.part(2))
    for index in (0, 1, 3, 4, 5):
        do(out, plan, index)
    finish(out, plan)
    assert ids(out, plan) == WANTED


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
def test_killed_while_finishing(out: Store, plan: Plan, at: int, after: bool) -> None:
    """Writes of an end with rejects: rejects, histograms, _SUCCESS."""
    for index in range(SHARDS):
        do(out, plan, index)
    with pytest.raises(Killed):
        finish(Store(Deadly(out._objects, at, after)), plan)
    assert (success(out, plan.job) is not None) == (at == 3 and after)
    assert finish(out, plan).articles == 106


def test_done_twice_at_once(out: Store, plan: Plan) -> None:
    """Two workers with other last decimals: one part stands, and both say the same of it."""

    class Other(Reader):
        def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.clip(raw + 1e-4, 0, 10)

    meet, found = threading.Barrier(2), list[Facts]()

    def work(student: Reader) -> None:
        predict = student.predict

        def late(*arguments: Any, **more: Any) -> Any:
            meet.wait(10)
            return predict(*arguments, **more)

        student.predict = late  # type: ignore[method-assign]
        found.append(do(out, plan, 1, student))

    threads = [threading.Thread(target=work, args=(student,)) for student in (Reader(), Other())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == look_at(out, plan, 1).facts
    scores = set(read_table(out.get(plan.part(1)))["score.readiness"].to_pylist())
    assert len({round(value % 1, 6) for value in scores if value not in (0.0, 10.0)}) == 1


@pytest.mark.parametrize("when", ["before", "while"])
@pytest.mark.parametrize(("data", "says"), [(b"PAR1 garbage", "is not a part of scores"), (b"other", "of other articles")])
def test_a_part_that_is_there_with_other_rows_is_refused(out: Store, plan: Plan, when: str, data: bytes, says: str) -> None:
    if data == b"other":
        elsewhere = open_store(f"{out.uri}-other")
        begin(elsewhere, plan)
        do(elsewhere, plan, 3)
        data = elsewhere.get(plan.part(3))

    class Meets(Reader):
        def predict(self, *arguments: Any, **more: Any) -> Any:
            if when == "while" and not out.exists(plan.part(1)):
                out.put(plan.part(1), data)
            return super().predict(*arguments, **more)

    if when == "before":
        out.put(plan.part(1), data)
    with pytest.raises(StoreError, match=says):
        do(out, plan, 1, Meets())
    assert look_at(out, plan, 1).facts is None
    assert out.get(plan.part(1)) == data


def other_job(plan: Plan) -> Plan:
    """The same corpus in the same parts, by another adapter."""
    return replace(plan, adapter="b" * 64)


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_part_of_another_job_is_refused(out: Store, plan: Plan, when: str) -> None:
    """Its articles are the same; its pods may still write when a user has deleted the folder and begun anew."""
    other = open_store(f"{out.uri}-other")
    do(other, other_job(plan), 1)
    data = other.get(plan.part(1))

    class Meets(Reader):
        def predict(self, *arguments: Any, **more: Any) -> Any:
            if when == "while" and not out.exists(plan.part(1)):
                out.put(plan.part(1), data)
            return super().predict(*arguments, **more)

    if when == "before":
        out.put(plan.part(1), data)
    with pytest.raises(StoreError, match=r"part-00001.parquet: is of another job \([0-9a-f]{12}\); delete it, or"):
        do(out, plan, 1, Meets())
    assert look_at(out, plan, 1).facts is None


def test_a_part_that_names_no_job_is_refused(out: Store, plan: Plan) -> None:
    do(out, plan, 1)
    out.put(plan.part(1), write_table(read_table(out.get(plan.part(1)))))
    (Path(out.uri.removeprefix("file://")) / part_facts_key(1)).unlink()
    with pytest.raises(StoreError, match=r"is of another job \(unnamed\)"):
        do(out, plan, 1)


@pytest.mark.parametrize("fmt", ["parquet", "jsonl"])
def test_facts_of_another_job_are_refused_by_all_who_read_them(out: Store, plan: Plan, fmt: Any) -> None:
    plan = replace(plan, fmt=fmt)
    for index in range(SHARDS):
        do(out, plan if index != 3 else other_job(plan), index)
    readers: list[Callable[[], object]] = [
        lambda: do(out, plan, 3),
        lambda: missing(out, plan),
        lambda: list(look_at_all(out, plan, [3])),
        lambda: finish(out, plan),
    ]
    for read in readers:
        with pytest.raises(StoreError, match=r"_job/part-00003.json: is of another job .*; delete it, or give another place"):
            read()
    assert success(out, plan.job) is None


def test_a_success_of_another_job_is_not_this_one_s(out: Store, plan: Plan) -> None:
    other = open_store(f"{out.uri}-other")
    for index in range(SHARDS):
        do(other, other_job(plan), index)
        do(out, plan, index)
    finish(other, other_job(plan))

    class Late:
        """The other job's follower writes it while this one gathers."""

        uri = out.uri

        def __getattr__(self, name: str) -> Any:
            return getattr(out._objects, name)

        def put_if(self, key: str, data: bytes, etag: str | None) -> None:
            out.put("_SUCCESS", other.get("_SUCCESS"))
            out.put_if(key, data, etag=etag)

    for read in (lambda: finish(Store(Late()), plan), lambda: missing(out, plan), lambda: finish(out, plan)):  # type: ignore[arg-type]
        with pytest.raises(StoreError, match="_SUCCESS: is of another job"):
            read()


def test_a_corpus_that_moved_is_read_where_it_is_now(out: Store, plan: Plan, articles: Path, tmp_path: Path) -> None:
    """The same files, so the same job; its plan says where they are."""
    do(out, plan, 0)
    (tmp_path / "moved").mkdir()
    articles.rename(tmp_path / "moved" / articles.name)
    moved = replace(plan, corpus=find_corpus(str(tmp_path / "moved" / articles.name)))
    assert moved.job == plan.job
    begin(out, moved)
    read = read_plan(out, plan.job)
    assert read.corpus.where == str(tmp_path / "moved")
    for index in missing(out, read):
        do(out, read, index)
    assert finish(out, read).articles == 106


def test_another_writer_of_the_plan_at_the_same_moment(out: Store, plan: Plan) -> None:
    raced = iter([True])
    moved = replace(plan, corpus=replace(plan.corpus, where="/elsewhere"))

    class Raced:
        uri = out.uri

        def __getattr__(self, name: str) -> Any:
            return getattr(out._objects, name)

        def put_if(self, key: str, data: bytes, etag: str | None) -> None:
            if next(raced, False):
                out.put(key, replace(plan, corpus=replace(plan.corpus, where="/a third place")).to_bytes())
            out.put_if(key, data, etag=etag)

    begin(Store(Raced()), moved)  # type: ignore[arg-type]
    assert read_plan(out, plan.job).corpus.where == "/elsewhere"


@pytest.mark.parametrize("held", [b"{}", b"[]", b"no", b'{"job": "0"}'])
def test_a_plan_of_something_else_is_left_alone(out: Store, plan: Plan, held: bytes) -> None:
    out.put("_job/plan.json", held)
    with pytest.raises(InputError, match=r"holds (scores of other articles|a plan that can't be read)"):
        begin(out, plan)
    assert out.get("_job/plan.json") == held


def test_on_s3_a_job_may_still_write_there(plan: Plan, s3_uri: str) -> None:
    out = open_store(s3_uri)
    begin(out, other_job(plan))
    with pytest.raises(InputError, match=r"give another place, or end its Job \(--cancel\) and delete this one$"):
        begin(out, plan)


def test_no_success_before_all_are_there(out: Store, plan: Plan) -> None:
    for index in range(SHARDS - 1):
        do(out, plan, index)
        with pytest.raises(InputError, match=r"part \d is missing"):
            finish(out, plan)
        assert success(out, plan.job) is None
    assert missing(out, plan) == [5]
    do(out, plan, 5)
    (Path(out.uri.removeprefix("file://")) / plan.part(2)).unlink()  # facts alone are no part
    with pytest.raises(InputError, match="part 2 is missing"):
        finish(out, plan)
    assert success(out, plan.job) is None


def test_what_makes_another_job(plan: Plan, articles: Path, tmp_path: Path) -> None:
    def other(**change: Any) -> str:
        given = {"shards": SHARDS, "part_bytes": 1, "code": "image:1"} | change
        return plan_for(FILTER, given.pop("adapter", "a" * 64), find_corpus(str(articles)), **given).job

    assert other() == plan.job
    assert len({other(adapter="b" * 64), other(shards=7), other(code="image:2"), other(fmt="jsonl"), plan.job}) == 5
    moved = tmp_path / "moved" / "corpus.jsonl"
    moved.parent.mkdir()
    moved.write_bytes(articles.read_bytes())
    assert plan_for(FILTER, "a" * 64, find_corpus(str(moved)), SHARDS, part_bytes=1, code="image:1").job == plan.job
    articles.write_bytes(articles.read_bytes() + b"\n")
    assert other() != plan.job


def test_the_plan_is_verified(out: Store, plan: Plan) -> None:
    assert read_plan(out, plan.job) == plan
    with pytest.raises(StoreError, match="is of job"):
        read_plan(out, "0" * 64)
    document = json.loads(out.get("_job/plan.json")) | {"adapter": "b" * 64}
    out.put("_job/plan.json", json.dumps(document).encode())
    with pytest.raises(StoreError, match="is of job"):
        read_plan(out, plan.job)
    for text in (b"{}", b"[]", b"no"):
        out.put("_job/plan.json", text)
        with pytest.raises(StoreError):
            read_plan(out, plan.job)
    out.put(part_facts_key(0), b"{}")
    assert look_at(out, plan, 0) == (0, None, "the facts of part-00000.parquet can't be read", False, False)


def test_bad_rows_that_find_no_room_among_the_temporary_files_are_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.jsonl").write_text(json.dumps({"id": "a", "content": "5 5 text"}) + '\n{"id": "b"}\n')
    plan = plan_for(FILTER, "a" * 64, find_corpus(str(tmp_path / "bad.jsonl")), 1, part_bytes=1)
    other = open_store(str(tmp_path / "bad"))
    begin(other, plan)
    do(other, plan, 0)

    def full(path: Path, *arguments: Any, **more: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(InputError, match=r"no room for temporary files.*set TMPDIR to a folder that has some"):
            finish(other, plan)
    assert finish(other, plan).rejected == 1


@pytest.mark.parametrize("shards", [-1, 100_001])
def test_shards_beyond_the_bounds(articles: Path, shards: int) -> None:
    with pytest.raises(InputError, match="--shards"):
        plan_for(FILTER, "a" * 64, find_corpus(str(articles)), shards, part_bytes=1)


def test_more_parts_than_rows(out: Store, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(json.dumps({"id": "a", "content": "5 5 text"}))
    plan = plan_for(FILTER, "a" * 64, find_corpus(str(tmp_path / "one.jsonl")), 40, part_bytes=1)
    other = open_store(f"{out.uri}-one")
    begin(other, plan)
    for index in range(40):
        do(other, plan, index)
    assert finish(other, plan).articles == 1
    assert ids(other, plan) == ["a"]


def test_a_source_file_that_was_moved_is_an_error_and_not_left_out_of_the_digest() -> None:
    with pytest.raises(ValueError, match=r"scoring/gone\.py matches no file"):
        own_code(("scoring/plan.py", "scoring/gone.py"))
