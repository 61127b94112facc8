"""The label step: articles through the replay oracle, labels of one's own, and every way to refuse."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from distillery.components.articles.articles import Article
from distillery.components.articles.label_table import read_table
from distillery.components.articles.listing import Listing, data_version
from distillery.components.labeling import label as step
from distillery.components.labeling import prompt_check
from distillery.components.labeling.label import label, label_inputs
from distillery.components.labeling.oracles.base import OracleError, RawReply, Request
from distillery.components.labeling.prompt_check import check_prompts
from distillery.components.runtime.progress import Progress
from distillery.components.store import Digest, Store
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter

Write = Callable[..., str]
Replaying = Callable[[str], Filter]


def row(number: int, **fields: object) -> dict[str, object]:
    content = f"Pump number {number} heats {number * 7} homes."
    return {"id": f"a{number}", "title": f"Pump {number}", "content": content, "source": f"s{number % 3}", **fields}


def recorded(number: int, text: str | None = None, **fields: object) -> dict[str, object]:
    good = json.dumps({"reasoning": "It heats.", "readiness": number % 11, "benefit": number % 21 / 2})
    return {"id": f"a{number}", "reply": good if text is None else text, **fields}


class Counting:
    """An oracle in memory that keeps what it was asked."""

    def __init__(self, answer: Callable[[Request], str]) -> None:
        self.identity: Mapping[str, Any] = {"provider": "counting"}
        self.asked: list[Request] = []
        self._answer = answer

    async def ask(self, request: Request) -> RawReply:
        self.asked.append(request)
        await asyncio.sleep(0)
        return RawReply(self._answer(request))


def good(request: Request) -> str:
    return str(recorded(int(request.article.id[1:]))["reply"])


class Notes(Progress):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.done: list[tuple[int, int | None]] = []

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        self.done.append((done, total))

    def note(self, text: str) -> None:
        self.notes.append(text)


def frame_of(store: Store, outputs: Mapping[str, Any]) -> pa.Table:
    return read_table(store.folder("labelsets", outputs["label_set"]).read("labels.parquet"))


def test_recorded_replies_become_a_label_set(store: Store, write: Write, replaying: Replaying) -> None:
    articles = write(
        "articles.jsonl",
        [row(number, reference={"readiness": 1, "benefit": 2}) for number in range(40)] + [{"id": "bad"}, row(3, id="copy")],
    )
    replies = write(
        "replies.jsonl",
        [
            *(recorded(number) for number in range(40) if number not in (5, 6, 7)),
            recorded(5, "no JSON"),
            recorded(5),  # good at the second attempt
            recorded(6, '{"readiness": 11, "benefit": 3}', attempt=2),
            recorded(6, "a", attempt=1),
            recorded(6, "{}", attempt=3),
            recorded(6, attempt=4),  # three attempts are all it gets
            recorded(7, '{"readiness": 7}'),
        ],
    )
    progress = Notes()
    record = label(store, replaying(replies), articles=articles, progress=progress)
    assert {key: record.outputs[key] for key in ("rows", "dead", "rejected")} == {"rows": 39, "dead": 2, "rejected": 1}
    assert {key: record.facts[key] for key in ("asked", "cached", "calls", "repaired", "usd")} == {
        "asked": 40,
        "cached": 0,
        "calls": 45,
        "repaired": 0,
        "usd": 0,
    }
    assert progress.done[-1] == (40, 40)

    frame = frame_of(store, record.outputs)
    assert frame["article"].to_pylist() == sorted(frame["article"].to_pylist())
    five = frame.filter(pc.field("id") == "a5").to_pylist()[0]
    assert (five["score.readiness"], five["score.benefit"], five["reference.benefit"]) == (5.0, 2.5, 2.0)
    three = frame.filter(pc.field("id").isin(["a3", "copy"]))
    assert three.num_rows == 2
    assert len(set(three["article"].to_pylist())) == 1

    folder = store.folder("labelsets", record.outputs["label_set"])
    dead = {letter["id"]: letter for letter in map(json.loads, folder.read("dead.jsonl").splitlines())}
    assert [one["reply"] for one in dead["a6"]["attempts"]] == ["a", '{"readiness": 11, "benefit": 3}', "{}"]
    assert [one["reason"] for one in dead["a7"]["attempts"]] == [
        "benefit is missing",
        *["no further reply is recorded for this article"] * 2,
    ]
    (reject,) = map(json.loads, folder.read("rejects.jsonl").splitlines())
    assert reject["line"] == 41
    assert folder.meta["dimensions"] == ["readiness", "benefit"]
    assert any("rejects.jsonl" in note and "line 41" in note for note in progress.notes)
    assert any("dead.jsonl" in note for note in progress.notes)
    assert label(store, replaying(replies), articles=articles).reused


def test_the_label_set_does_not_depend_on_order_or_place(store: Store, write: Write, replaying: Replaying) -> None:
    flt = replaying(write("replies.jsonl", [recorded(number) for number in range(30)]))
    forward = label(store, flt, articles=write("one.jsonl", [row(number) for number in range(30)]))
    back = label(store, flt, articles=write("two.jsonl", [row(number) for number in reversed(range(30))]), concurrency=3)
    assert back.inputs_digest != forward.inputs_digest
    assert back.outputs == forward.outputs
    assert back.facts["asked"] == 0


def test_new_articles_are_the_only_ones_asked_for(store: Store, write: Write, flt: Filter) -> None:
    oracle = Counting(good)
    label(store, flt, articles=write("few.jsonl", [row(number) for number in range(25)]), oracle=oracle)
    assert len(oracle.asked) == 25
    oracle.asked.clear()
    more = write("more.jsonl", [row(99), *(row(number) for number in range(27))])
    record = label(store, flt, articles=more, oracle=oracle)
    assert {request.article.id for request in oracle.asked} == {"a99", "a25", "a26"}
    assert (record.outputs["rows"], record.facts["cached"]) == (28, 25)


def test_a_copy_is_asked_for_once_and_no_prompt_shows_what_is_not_the_articles_text(
    store: Store, write: Write, flt: Filter
) -> None:
    oracle = Counting(lambda request: '{"readiness": 1, "benefit": 2}')
    rows = [
        row(number % 4, id=f"a{number}", url="https://example.org/x", reference={"readiness": 8.125, "benefit": 9.375})
        for number in range(12)
    ]
    record = label(store, flt, articles=write("articles.jsonl", rows), oracle=oracle)
    assert len(oracle.asked) == 4
    assert record.outputs["rows"] == 12
    for request in oracle.asked:
        assert request.article.content in request.prompt
        assert not any(hidden in request.prompt for hidden in ("8.125", "9.375", "example.org"))


def test_dead_letters_are_remembered_and_unreachable_oracles_are_not(store: Store, write: Write, flt: Filter) -> None:
    def failing(request: Request) -> str:
        if request.article.id == "a1":
            return "no"
        if request.article.id == "a2":
            raise OracleError("timed out")
        return good(request)

    oracle = Counting(failing)
    first = label(store, flt, articles=write("one.jsonl", [row(number) for number in range(9)]), oracle=oracle)
    assert first.outputs["dead"] == 2
    assert Counter(request.article.id for request in oracle.asked)["a2"] == 3
    oracle.asked.clear()
    label(store, flt, articles=write("two.jsonl", [row(number) for number in range(10)]), oracle=oracle)
    assert Counter(request.article.id for request in oracle.asked) == {"a2": 3, "a9": 1}


def test_a_run_in_which_most_articles_end_dead_is_stopped_and_kept(store: Store, write: Write, flt: Filter) -> None:
    def failing(request: Request) -> str:
        number = int(request.article.id[1:])
        return good(request) if number % 3 == 0 else f'{{"readiness": {number}, "benefit": 3}}'

    oracle = Counting(failing)
    articles = write("articles.jsonl", [row(number) for number in range(200, 600)])
    with pytest.raises(Stopped, match=r"of \d+ articles failed 3 attempts, most often because readiness is outside"):
        label(store, flt, articles=articles, oracle=oracle, concurrency=4, without_calibration="a test")
    assert len(oracle.asked) < 100
    assert not list(store.keys("labelsets"))
    asked = {request.article.id for request in oracle.asked}
    oracle.asked.clear()
    with pytest.raises(Stopped, match=r"the \d+ labels so far are kept"):
        label(store, flt, articles=articles, oracle=oracle, concurrency=4, without_calibration="a test")
    assert not oracle.asked, "a second start paid for more of the same"
    kept = label(store, flt, articles=write("good.jsonl", [row(number) for number in range(201, 216, 3)]), oracle=oracle)
    assert kept.facts["cached"] == len(asked & {f"a{number}" for number in range(201, 216, 3)}) > 0


def test_a_listing_is_labelled_as_its_folder_was_whatever_came_since(store: Store, flt: Filter, tmp_path: Path) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    for file in ("a", "b"):
        (folder / f"{file}.jsonl").write_text(
            "".join(json.dumps(row(number)) + "\n" for number in range(ord(file), ord(file) + 3))
        )
    oracle = Counting(good)
    whole = label(store, flt, articles=str(folder), oracle=oracle)
    files = data_version(str(folder))
    assert isinstance(files, dict)
    address = Listing(of=str(folder), files=files).keep(store, "demo")
    (folder / "c.jsonl").write_text(json.dumps(row(500)) + "\n")
    asked = len(oracle.asked)
    again = label(store, flt, articles=address, oracle=oracle)
    assert (again.reused, again.outputs, len(oracle.asked)) == (True, whole.outputs, asked)


def test_bad_input_from_the_oracle_stops_the_run_at_once(store: Store, write: Write, flt: Filter) -> None:
    def refused(request: Request) -> str:
        raise InputError("the key is refused", where="oracle")

    oracle = Counting(refused)
    with pytest.raises(InputError, match="the key is refused"):
        label(store, flt, articles=write("a.jsonl", [row(number) for number in range(50)]), oracle=oracle, concurrency=4)
    assert len(oracle.asked) <= 4


def test_no_label_at_all_is_an_error(store: Store, write: Write, flt: Filter) -> None:
    with pytest.raises(InputError, match="none of the 5 articles got a label, most often because the reply is empty"):
        label(store, flt, articles=write("a.jsonl", [row(number) for number in range(5)]), oracle=Counting(lambda _: ""))


def test_articles_that_differ_only_where_they_are_cut_off_stop_the_run(store: Store, write: Write, flt: Filter) -> None:
    banner = "We value your privacy. " * 20
    oracle = Counting(good)
    rows = [row(number, title="News", content=banner + f"Pump {number}.") for number in range(20)]
    with pytest.raises(InputError, match="20 different articles give only 1 different prompts"):
        label(store, flt, articles=write("articles.jsonl", rows), oracle=oracle)
    assert not oracle.asked


def test_a_prompt_that_crowds_out_the_article_stops_the_run(
    store: Store, write: Write, flt: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    render, oracle = prompt_check.render_prompt, Counting(good)
    sample = [Article(f"a{number}", f"Pump {number}", "It heats homes well. " * 30) for number in range(8)]
    check_prompts(flt, sample)
    limit = len(render(flt, "", ""))  # as a model does whose context the rubric fills
    monkeypatch.setattr(prompt_check, "render_prompt", lambda *text: render(*text)[:limit])
    with pytest.raises(InputError, match="the prompt crowds out the article"):
        check_prompts(flt, sample)
    with pytest.raises(InputError, match="the prompt crowds out the article"):
        label(store, flt, articles=write("a.jsonl", [row(number) for number in range(5)]), oracle=oracle)
    assert not oracle.asked


def test_a_cut_file_is_refused_before_anything_is_asked(store: Store, tmp_path: Path, flt: Filter) -> None:
    import gzip

    oracle = Counting(good)
    whole = gzip.compress("".join(json.dumps(row(number)) + "\n" for number in range(500)).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-200])
    with pytest.raises(InputError, match="cut short"):
        label(store, flt, articles=str(tmp_path / "cut.jsonl.gz"), oracle=oracle)
    assert not oracle.asked


def test_a_file_that_changes_while_it_is_read_is_refused_before_anything_is_asked(
    store: Store, write: Write, flt: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("articles.jsonl", [row(number) for number in range(5)])
    oracle, read = Counting(good), step.read_articles

    def changing(*arguments: Any, **options: Any) -> Iterator[Article]:
        yield from read(*arguments, **options)
        with open(path, "a") as file:
            file.write("\n")

    monkeypatch.setattr(step, "read_articles", changing)
    with pytest.raises(InputError, match="was changed while it was read"):
        label(store, flt, articles=path, oracle=oracle)
    assert not oracle.asked


def test_works_inside_a_running_event_loop(store: Store, write: Write, flt: Filter) -> None:
    path = write("articles.jsonl", [row(number) for number in range(5)])

    async def notebook() -> int:
        return int(label(store, flt, articles=path, oracle=Counting(good)).outputs["rows"])

    assert asyncio.run(notebook()) == 5


def test_labels_of_ones_own_become_a_label_set(store: Store, write: Write, flt: Filter) -> None:
    rows = [row(number, scores={"readiness": number % 11, "benefit": 2}, content_type="opinion") for number in range(30)]
    record = label(store, flt, labels=write("labels.jsonl", rows))
    assert record.outputs | {"label_set": ""} == {"label_set": "", "rows": 30, "dead": 0, "rejected": 0}
    frame = frame_of(store, record.outputs)
    assert frame["article"].to_pylist() == sorted(frame["article"].to_pylist())
    assert set(frame["content_type"].to_pylist()) == {"opinion"}
    assert list(store.folder("labelsets", record.outputs["label_set"]).files) == ["labels.parquet"]
    assert label(store, flt, labels=write("back.jsonl", rows[::-1])).outputs == record.outputs
    assert not list(store.keys("labels"))


def test_bad_labels_stop_the_import_unless_some_may_be_left_out(store: Store, write: Write, flt: Filter) -> None:
    rows = [row(number, scores={"readiness": 1, "benefit": 2 + 9 * (number == 3)}) for number in range(30)]
    path, progress = write("labels.jsonl", rows), Notes()
    with pytest.raises(InputError, match=r"labels\.jsonl:4: score 11 of 'benefit'.*--max-rejects"):
        label(store, flt, labels=path)
    assert not list(store.keys("labelsets"))
    record = label(store, flt, labels=path, max_rejects="1", progress=progress)
    assert (record.outputs["rows"], record.outputs["rejected"]) == (29, 1)
    assert b'"line": 4' in store.folder("labelsets", record.outputs["label_set"]).read("rejects.jsonl")
    assert "rejects.jsonl" in progress.notes[0]
    with pytest.raises(InputError):
        label(store, flt, labels=path)  # what was allowed once is not allowed for good


@pytest.mark.parametrize("given", [{}, {"articles": "a.jsonl", "labels": "b.jsonl"}])
def test_exactly_one_of_articles_and_labels(store: Store, flt: Filter, given: dict[str, str]) -> None:
    with pytest.raises(InputError, match="give exactly one of articles and labels"):
        label(store, flt, **given)


def test_inputs_cover_what_the_result_depends_on(write: Write, replaying: Replaying, flt: Filter) -> None:
    articles, labels = Digest("a" * 64), Digest("b" * 64)
    one = replaying(write("one.jsonl", [recorded(1)]))
    assert label_inputs(one, articles, None) == label_inputs(replaying(write("same.jsonl", [recorded(1)])), articles, None)
    assert label_inputs(one, articles, None) != label_inputs(replaying(write("two.jsonl", [recorded(2)])), articles, None)
    assert label_inputs(one, None, labels) == label_inputs(flt, None, labels)
    assert label_inputs(one, None, labels) != label_inputs(flt, None, labels, max_rejects="5")
    with pytest.raises(InputError, match="no recorded replies"):
        label_inputs(flt, articles, None)


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"id": "a1"}, "is not a recorded reply"),
        ({"reply": "x"}, "is not a recorded reply"),
        ({"id": "a1", "reply": 7}, "is not a recorded reply"),
        ({"id": "a1", "reply": "x", "attempt": 0}, "attempt 0 is not a new number"),
        ({"id": "a0", "reply": "x", "attempt": 1}, "attempt 1 is not a new number"),
    ],
)
def test_recordings_that_can_not_be_used_are_named(
    store: Store, write: Write, replaying: Replaying, bad: dict[str, object], what: str
) -> None:
    flt = replaying(write("replies.jsonl", [recorded(0), bad]))
    with pytest.raises(InputError, match=rf"replies\.jsonl:2: {what}"):
        label(store, flt, articles=write("articles.jsonl", [row(0)]))


def test_recordings_by_article_digest_go_before_those_by_id(store: Store, write: Write, replaying: Replaying) -> None:
    digest = Article("", str(row(1)["title"]), str(row(1)["content"])).digest
    replies = write("replies.jsonl", [recorded(1), {"article": digest, "reply": '{"readiness": 9, "benefit": 8}'}])
    record = label(store, replaying(replies), articles=write("articles.jsonl", [row(1)]))
    assert frame_of(store, record.outputs)["score.readiness"][0].as_py() == 9.0


def test_the_rule_that_drew_an_article_comes_with_its_label(store: Store, write: Write, flt: Filter) -> None:
    rows = [{**row(number), "drawn_by": ("random", "enrich")[number % 2]} for number in range(20)]
    done = label(store, flt, articles=write("a.jsonl", rows), oracle=Counting(good))
    frame = read_table(store.folder("labelsets", done.outputs["label_set"]).read("labels.parquet"))
    assert dict(zip(frame["id"].to_pylist(), frame["drawn_by"].to_pylist(), strict=True)) == {
        each["id"]: each["drawn_by"] for each in rows
    }
    plain = label(store, flt, articles=write("b.jsonl", [row(number) for number in range(5)]), oracle=Counting(good))
    table = read_table(store.folder("labelsets", plain.outputs["label_set"]).read("labels.parquet"))
    assert "drawn_by" not in table.column_names
