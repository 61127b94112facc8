"""A corpus that grows: each pass scores the files that are new, none twice, whatever stops it and whoever else is at it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import distillery.components.scoring.passes as passes
from distillery.components.articles.label_table import read_table
from distillery.components.artifacts.adapter import Subject
from distillery.components.artifacts.passes import Passes
from distillery.components.artifacts.scores import ScoringPlan
from distillery.components.runtime.progress import Progress
from distillery.components.scoring.new_files import score_new_on_cluster
from distillery.components.scoring.plan import Plan
from distillery.components.scoring.score import score_new
from distillery.components.store import Store, StoreError, open_store
from distillery.components.store.layout import PASSES, SCORING_PLAN
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter
from tests.scoring.played import PLACE, Jobs, Pods, do, end
from tests.scoring.test_parts import Killed
from tests.scoring.test_score import FILTER, Mortal, Reader, Stop, corpus

OLD, NEW = "a" * 64, "b" * 64


class Notes(Progress):
    def __init__(self) -> None:
        self.notes = list[str]()

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


class Doomed:
    """Objects of a process that dies before or after its n-th write, wherever it writes."""

    def __init__(self, objects: Any, left: list[int], *, after: bool) -> None:
        self.objects, self.left, self.after, self.uri = objects, left, after, objects.uri

    def below(self, folder: str) -> Any:
        return Doomed(self.objects.below(folder), self.left, after=self.after)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.objects, name)
        if name not in ("put", "put_if"):
            return call

        def write(*arguments: Any) -> Any:
            self.left[0] -= 1
            if self.left[0] == 0 and not self.after:
                raise Killed
            result = call(*arguments)
            if self.left[0] == 0:
                raise Killed
            return result

        return write


class Growing:
    """A folder of files to which more are added, and the place where its scores go."""

    def __init__(self, folder: Path) -> None:
        self.articles, self.out = folder / "corpus", folder / "out"
        self.articles.mkdir()
        self.students = list[tuple[str, Reader]]()

    def add(self, *names: str, rows: int = 4) -> None:
        for name in names:
            lines = [{"id": f"{name} {n}", "content": f"{n % 10} {len(name)} text of {name}"} for n in range(rows)]
            corpus(self.articles / f"{name}.jsonl", lines)

    def score(self, adapter: str = OLD, *, student: Callable[[], Reader] = Reader, **more: Any) -> dict[str, Any]:
        def opened(plan: Plan) -> tuple[Filter, Callable[[], Reader]]:
            def make() -> Reader:
                self.students.append((plan.adapter, student()))
                return self.students[-1][1]

            return FILTER, make

        return score_new(FILTER, self.articles, self.out, adapter=adapter, opened=opened, **more)

    @property
    def listed(self) -> Passes:
        return Passes.load(open_store(str(self.out)), PASSES)

    def ids(self, folder: str = "") -> list[str]:
        """Ids of the articles in the passes of a series that have ended; of the current one by default."""
        series = self.listed.of(folder or self.listed.current)
        assert series
        parts = [part for each in series.ended for part in sorted((self.out / each.folder).glob("part-*.parquet"))]
        return [id for part in parts for id in read_table(part.read_bytes())["id"].to_pylist()]


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing(tmp_path)


def wanted(*names: str, rows: int = 4) -> Counter[str]:
    return Counter(f"{name} {n}" for name in names for n in range(rows))


def test_three_files_that_are_added_are_three_parts_more(growing: Growing) -> None:
    growing.add("a", "b")
    first = growing.score()
    assert (first["new"], len(first["parts"]), first["articles"], first["reused"]) == (2, 2, 8, False)
    growing.add("c", "d", "e")
    second = growing.score()
    assert (second["new"], len(second["parts"]), second["articles"]) == (3, 3, 12)
    assert Counter(growing.ids()) == wanted("a", "b", "c", "d", "e")
    assert len(list(growing.out.rglob("part-*.parquet"))) == 5
    before = {path: path.read_bytes() for path in growing.out.rglob("*") if path.is_file()}
    third = growing.score(student=lambda: pytest.fail("nothing is new"))
    assert (third["reused"], third["new"], third["parts"]) == (True, 0, [])
    assert third["current"] == first["current"]
    assert {path: path.read_bytes() for path in growing.out.rglob("*") if path.is_file()} == before


def test_a_file_is_known_by_its_content(growing: Growing) -> None:
    growing.add("a", "b")
    growing.score()
    (growing.articles / "a.jsonl").rename(growing.articles / "moved.jsonl")
    (growing.articles / "copy.jsonl").write_bytes((growing.articles / "b.jsonl").read_bytes())
    assert growing.score()["reused"]
    growing.add("b", rows=5)
    assert growing.score()["articles"] == 5, "a file that was changed is a new file"
    (growing.articles / "twin 1.jsonl").write_bytes(b'{"id": "twin", "content": "5 5 text"}\n')
    (growing.articles / "twin 2.jsonl").write_bytes(b'{"id": "twin", "content": "5 5 text"}\n')
    assert (growing.score()["new"], growing.score()["new"]) == (1, 0)


def test_a_large_file_has_several_parts_and_no_part_two_files(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    import distillery.components.scoring.score as module

    monkeypatch.setattr(module, "PART_BYTES", 300)
    growing.add("a", rows=3)
    growing.add("large", rows=40)
    found = growing.score()
    assert len(found["parts"]) > 4
    assert Counter(growing.ids()) == wanted("a", rows=3) + wanted("large", rows=40)
    for part in found["parts"]:
        assert len({id.split()[0] for id in read_table((growing.out / part).read_bytes())["id"].to_pylist()}) == 1


def test_many_files_are_cut_by_bytes(growing: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "PER_FILE", 3)
    growing.add("a", "b", "c", "d")
    assert len(growing.score()["parts"]) == 1
    assert Counter(growing.ids()) == wanted("a", "b", "c", "d")


def test_a_stopped_pass_goes_on_where_it_was_and_new_files_come_after_it(growing: Growing) -> None:
    growing.add("a", "b", "c")
    with pytest.raises(Stop):
        growing.score(student=lambda: Mortal("text of b"))
    assert growing.listed.current == ""
    growing.add("d")
    found = growing.score()
    assert [(each["number"], each["files"]) for each in found["passes"]] == [(1, 3), (2, 1)]
    assert Counter(growing.ids()) == wanted("a", "b", "c", "d")
    shown = Counter(content for _, student in growing.students[1:] for _, content in student.seen)
    assert sum(shown.values()) == 12, "a was scored before"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 12))
def test_killed_at_each_write_and_run_again(growing: Growing, monkeypatch: pytest.MonkeyPatch, at: int, after: bool) -> None:
    growing.add("a")
    growing.score()
    growing.add("b", "c", "d")

    import distillery.components.scoring.score as module

    left = [at]
    for each in (module,):
        monkeypatch.setattr(each, "open_store", lambda uri: Store(Doomed(open_store(uri)._objects, left, after=after)))  # type: ignore[arg-type]
    try:
        growing.score()
    except Killed:
        pass
    else:
        assert left[0] > 0, "it was not killed"
        pytest.fail("there are fewer writes: lower the range")
    monkeypatch.undo()
    growing.score()
    assert Counter(growing.ids()) == wanted("a", "b", "c", "d")
    assert len(list(growing.out.rglob("part-*.parquet"))) == 4
    assert [len(series.passes) for series in growing.listed.series] == [2]


def test_over_a_cluster_each_pass_is_a_job_and_pods_that_die_cost_nothing(store: Store, jobs: Jobs, pods: Pods) -> None:
    def put(*names: str) -> None:
        for name in names:
            rows = [json.dumps({"id": f"{name} {n}", "content": f"{n} 5 text of {name}"}) for n in range(4)]
            store.put(f"in/{name}.jsonl", "\n".join(rows).encode())

    def score(adapter: str = OLD) -> dict[str, Any]:
        subject, out = Subject(FILTER, adapter), f"{store.uri}/out"
        return score_new_on_cluster(store, subject, f"{store.uri}/in", out, PLACE, parallelism=2)

    def work(job: Any, *, dies: bool = False) -> None:
        out = open_store(job.metadata.annotations["llm-distillery.io/scores"])
        plan = Plan.of(ScoringPlan.load(out, SCORING_PLAN))
        done = list(range(plan.shards))[: 1 if dies else None]
        do(out, plan, *done)
        if dies:
            del jobs.jobs[job.metadata.name]
        else:
            end(job, "Complete")

    put("a", "b")
    jobs.on_read = work
    assert len(score()["parts"]) == 2
    put("c", "d", "e")
    jobs.on_read = lambda job: work(job, dies=True)
    with pytest.raises(Stopped, match="was deleted"):
        score()
    jobs.on_read = work
    found = score()
    assert (len(found["parts"]), found["new"], found["articles"]) == (3, 3, 12)
    assert score()["reused"]
    assert len(jobs.created) == 3, "two passes, one of them in two Jobs"
    assert len([key for key in store.keys("out") if "/part-" in key and "_job" not in key]) == 5


def test_two_at_once_do_one_pass(growing: Growing) -> None:
    growing.add("a", "b", "c", "d", "e")
    found, meet = list[dict[str, Any]](), threading.Barrier(2)

    class Waits(Reader):
        waited = threading.local()

        def predict(self, *arguments: Any, **more: Any) -> Any:
            if not hasattr(self.waited, "yes"):
                self.waited.yes = True
                meet.wait(20)
            return super().predict(*arguments, **more)

    threads = [threading.Thread(target=lambda: found.append(growing.score(student=Waits))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each["passes"] for each in found] == [found[0]["passes"]] * 2
    assert Counter(growing.ids()) == wanted("a", "b", "c", "d", "e")
    assert len(list(growing.out.rglob("part-*.parquet"))) == 5


def test_after_a_promotion_all_is_scored_again_and_counts_once_it_is_done(growing: Growing) -> None:
    growing.add("a", "b")
    before = growing.score(OLD)
    growing.add("c")
    with pytest.raises(Stop):
        growing.score(NEW, student=lambda: Mortal("text of c"))
    assert growing.listed.current == OLD[:12], "what is half done doesn't count"
    assert Counter(growing.ids()) == wanted("a", "b")
    after = growing.score(NEW)
    assert (after["new"], after["articles"]) == (3, 12)
    assert after["current"] != before["current"]
    assert Counter(growing.ids()) == wanted("a", "b", "c")
    assert Counter(growing.ids(OLD[:12])) == wanted("a", "b")
    back = growing.score(OLD)  # a rollback: only what came since is scored
    assert (back["new"], back["articles"], back["current"]) == (1, 4, before["current"])
    assert growing.score(NEW)["reused"]
    assert growing.listed.current == NEW[:12], "all of it was scored: it counts again at once"


def test_after_a_promotion_only_what_comes_is_scored_where_asked(growing: Growing) -> None:
    growing.add("a", "b")
    growing.score(OLD)
    growing.add("c")
    with pytest.raises(Stop):
        growing.score(OLD, student=lambda: Mortal("text of c"))
    growing.add("d")
    found = growing.score(NEW, on_promotion="new-only")
    assert [(each["files"], each["adapter"]) for each in found["passes"]] == [(1, OLD), (1, NEW)], "a pass ends as it began"
    assert Counter(growing.ids()) == wanted("a", "b", "c", "d")
    assert [adapter for adapter, _ in growing.students[-2:]] == [OLD, NEW]
    assert len(growing.listed.series) == 1


def test_a_pass_of_which_a_file_was_changed_begins_anew_and_says_so(growing: Growing) -> None:
    growing.add("a", "b")
    with pytest.raises(Stop):
        growing.score(student=lambda: Mortal("text of b"))
    growing.add("b", rows=7)
    notes = Notes()
    found = growing.score(progress=notes)
    assert [(each["number"], each["files"]) for each in found["passes"]] == [(1, 2)]
    assert Counter(growing.ids()) == wanted("a") + wanted("b", rows=7)
    (said,) = (note for note in notes.notes if "can't go on" in note)
    left = Path(said.partition("file://")[2].partition(" is no result")[0])
    assert left.is_dir()
    assert str(left.relative_to(growing.out)) not in [each.folder for each in growing.listed.series[0].passes]


def test_a_file_of_bad_rows_alone_is_scored_once_like_any(growing: Growing) -> None:
    (growing.articles / "bad.jsonl").write_text("{torn\n{torn\n")
    found = growing.score()
    assert (found["articles"], found["rejected"], found["tiers"]) == (0, 2, {"high": 0, "low": 0})
    assert growing.score()["reused"]
    growing.add("a")
    assert growing.score()["articles"] == 4


def test_places_that_hold_something_else_are_refused(growing: Growing, tmp_path: Path) -> None:
    growing.add("a")
    growing.score()
    (tmp_path / "other").mkdir()
    corpus(tmp_path / "other" / "x.jsonl", [{"id": "x", "content": "5 5 text"}])
    mine, growing.articles = growing.articles, tmp_path / "other"
    with pytest.raises(InputError, match=r"holds passes over corpus .*/corpus; give another place"):
        growing.score()
    growing.articles, growing.out = mine, mine / "scores"
    with pytest.raises(InputError, match="lies within the corpus; give a place outside"):
        growing.score()
    assert not growing.out.exists()


def test_a_list_of_passes_that_is_torn_or_inconsistent_is_refused(growing: Growing) -> None:
    growing.add("a")
    growing.score()
    path = growing.out / PASSES
    whole = json.loads(path.read_text())
    for change in ({"current": "elsewhere"}, {"series": whole["series"] * 2}, {"format": 2}):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(StoreError, match=r"_passes\.json: is "):
            growing.score()
    whole["series"][0]["passes"][0]["number"] = 2
    path.write_text(json.dumps(whole))
    with pytest.raises(StoreError, match=r"_passes\.json: is .*not in order"):
        growing.score()


def test_old_series_are_listed_no_more_but_the_current_one_is() -> None:
    listed = Passes(filter="demo", corpus="c")
    for number in range(6):
        series = {"folder": f"s{number}", "adapter": f"{number}" * 64, "passes": []}
        listed = listed.with_series(
            Passes.model_validate({"filter": "x", "corpus": "x", "series": [series]}).series[0],
            current="s1" if number == 1 else None,
        )
    assert [series.folder for series in listed.series] == ["s5", "s4", "s3", "s1"]
