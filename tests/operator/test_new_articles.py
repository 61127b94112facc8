"""Articles that come to a prefix start a run within the limits of spec.retrain, once, and not otherwise."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from distillery.components.articles.input_files import local_input
from distillery.components.promotion.by_hand import Said, rollback, unpin
from distillery.components.store import open_store, s3_objects
from distillery.pipelines.cluster import submit
from distillery.pipelines.operator import wanted
from distillery.pipelines.operator.articles import SeenArticles
from distillery.pipelines.operator.observe import Seen
from tests.operator.growing import DAY, UPLOAD, add, files_of, numbered, text
from tests.operator.test_oracle import message
from tests.operator.world import Town
from tests.promotion.made import fine
from tests.store.memory_s3 import MemoryS3

pytestmark = pytest.mark.usefixtures("a_folder_is_as_good_as_a_prefix")


def test_without_limits_what_comes_is_told_and_starts_nothing(grown: Callable[..., Town]) -> None:
    town = grown("", *numbered(3, 4))
    for _ in range(3):
        town.time += 30 * DAY
        town.pass_over(world=town.world())
    assert len(town.kubeflow.runs) == 1
    assert (town.condition("NewArticles"), town.status()["newArticles"]) == (("True", "NotAsked"), 4)
    assert message(town, "NewArticles") == "4 articles in 1 file are new; without spec.retrain they start no run"
    assert town.condition("Ready") == ("True", "Promoted"), "what serves is what the spec asks for"


def test_as_many_as_are_asked_for_start_one_run(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 5", *numbered(3, 4))
    assert len(town.kubeflow.runs) == 1
    assert message(town, "NewArticles") == "4 of 5 new articles"
    add(town, "c", *numbered(6, 2))  # one of them was in b, too
    town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (2, "Running")
    assert town.condition("NewArticles") == ("Unknown", "Running")
    town.play("run-2")
    for _ in range(3):
        town.pass_over(world=town.world())
    assert len(town.kubeflow.runs) == 2
    assert (town.condition("NewArticles"), town.status()["newArticles"]) == (("False", "AllTaken"), 0)


def test_a_file_that_is_appended_to_counts_for_what_is_new_in_it(
    grown: Callable[..., Town], monkeypatch: pytest.MonkeyPatch
) -> None:
    town = grown("minNew: 3")
    labelled(monkeypatch, *numbered(0, 3))
    add(town, "a", *numbered(0, 5))
    town.pass_over()
    assert message(town, "NewArticles") == "2 of 3 new articles"
    add(town, "merged", *numbered(0, 5))
    town.pass_over()
    assert message(town, "NewArticles") == "2 of 3 new articles"


def labelled(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """Let the oracle's journal have labels of these texts."""
    from distillery.components.articles.articles import article_digest
    from distillery.components.labeling.journal import Journal

    known = {article_digest(one, f"The text of {one}.") for one in texts}
    monkeypatch.setattr(Journal, "answer", lambda self, article: object() if article in known else None)


def test_what_is_no_article_counts_for_nothing(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 1")
    folder = town.labels.with_name("articles")
    (folder / "README.md").write_text("What this is.")
    (folder / "_SUCCESS").write_text("")
    (folder / "empty.jsonl").write_text("")
    town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("NewArticles")) == (1, ("False", "AllTaken"))


def test_a_file_that_cant_be_read_is_told_and_stops_nothing_else(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 1")
    bad = town.labels.with_name("articles") / "bad.jsonl"
    bad.write_text('{"id": "1"}\n')
    town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("NewArticles")) == (1, ("True", "Unreadable"))
    assert "bad.jsonl" in message(town, "NewArticles")
    assert town.condition("Ready") == ("True", "Promoted")
    add(town, "bad", *numbered(3, 1))
    town.pass_over()
    assert len(town.kubeflow.runs) == 2


def test_a_listing_that_somebody_deletes_is_made_anew(grown: Callable[..., Town], monkeypatch: pytest.MonkeyPatch) -> None:
    town = grown("minNew: 5", *numbered(3, 2))
    (key,) = town.store.keys("listings")
    town.store.delete(key)
    monkeypatch.setattr("distillery.pipelines.operator.reconcile.what_is_due", lambda *_: ())
    town.pass_over(world=town.world())
    assert town.condition("NewArticles") == ("False", "AllTaken")
    assert (len(town.kubeflow.runs), len(list(town.store.keys("listings")))) == (1, 1)


def test_files_that_go_away_start_nothing(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 1")
    (town.labels.with_name("articles") / "a.jsonl").unlink()
    town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (1, "Promoted")


def test_a_change_of_the_limits_alone_starts_nothing(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 5", *numbered(3, 2))
    town.objects.apply(text(town, "minNew: 4, coolDown: 1d, onDrift: retrain"))
    town.pass_over()
    assert len(town.kubeflow.runs) == 1
    assert message(town, "NewArticles") == "2 of 4 new articles"
    town.time += 2 * DAY
    town.objects.apply(text(town, "minNew: 2"))
    town.pass_over()
    assert len(town.kubeflow.runs) == 2


def test_a_pinned_channel_is_left_alone(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 1")
    town.objects.apply(text(town, "minNew: 1", ("spec:\n", "spec:\n  training: {epochs: 4}\n")))
    town.through()
    rollback(town.store, "demo", "production", said=Said.of("ana", "a look first"), verify=fine)
    add(town, "b", *numbered(3, 2))
    town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("NewArticles")) == (2, ("True", "Pinned"))
    unpin(town.store, "demo", "production", Said.of("ana", "go on"))
    town.pass_over()
    assert len(town.kubeflow.runs) == 3


def test_what_comes_during_a_run_waits_for_its_end_and_counts_then(town: Town) -> None:
    add(town, "a", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 1"))
    town.pass_over()
    for number in range(3):
        add(town, f"b{number}", *numbered(3 + number, 1))
        town.pass_over()
    assert len(town.kubeflow.runs) == 1
    town.play("run-1")
    town.pass_over()
    town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (2, "Running")


def test_bad_input_is_run_again_when_a_file_of_it_is_mended_not_when_others_come(town: Town) -> None:
    add(town, "a", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 1"))
    town.pass_over()
    town.fail("run-1", "input", "a.jsonl:3: no text", step="label")
    add(town, "b", *numbered(3, 2))
    town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"], town.condition("NewArticles")[1]) == (1, "BadInput", "Later")
    add(town, "a", *numbered(0, 4))
    town.pass_over()
    assert len(town.kubeflow.runs) == 2


def test_a_run_is_given_the_files_that_were_there_when_it_was_ordered(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 2", *numbered(3, 2))
    add(town, "c", *numbered(5, 2))
    assert [files_of(town, run) for run in town.kubeflow.runs] == [["a.jsonl"], ["a.jsonl", "b.jsonl"]]


def test_a_change_of_the_training_redoes_the_training_whatever_has_come(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 5", *numbered(3, 2))
    town.objects.apply(text(town, "minNew: 5", ("spec:\n", "spec:\n  training: {epochs: 4}\n")))
    town.through()
    assert files_of(town, "run-2") == ["a.jsonl"]
    assert message(town, "NewArticles") == "2 of 5 new articles"


def test_where_the_files_of_the_last_run_are_gone_a_change_takes_what_is_there(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 5", *numbered(3, 2))
    (town.labels.with_name("articles") / "a.jsonl").unlink()
    town.objects.apply(text(town, "minNew: 5", ("spec:\n", "spec:\n  training: {epochs: 4}\n")))
    town.through()
    assert files_of(town, "run-2") == ["b.jsonl"]
    assert town.condition("NewArticles") == ("False", "AllTaken")


def test_a_revert_runs_nothing_though_articles_have_come_since(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 3")
    first = town.adapter()
    town.objects.apply(text(town, "minNew: 3", ("How close to everyday use it is.", "How close to use it is.")))
    add(town, "b", *numbered(3, 2))
    town.through()
    assert (town.adapter() != first, files_of(town, "run-2")) == (True, ["a.jsonl", "b.jsonl"])
    town.objects.apply(text(town, "minNew: 3"))
    for _ in range(3):
        town.pass_over(world=town.world())
    assert (town.adapter(), len(town.kubeflow.runs)) == (first, 2)
    assert (town.condition("Ready"), town.status()["adapter"]) == (("True", "Promoted"), first)
    add(town, "c", *numbered(5, 3))
    town.through()
    assert len(town.kubeflow.runs) == 3, "what comes then is within the limits"


def test_a_change_of_what_is_labelled_takes_all_that_is_there(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 5", *numbered(3, 2))
    town.objects.apply(text(town, "minNew: 5", ("How close to everyday use it is.", "How close to use it is.")))
    town.through()
    assert (len(town.kubeflow.runs), town.condition("NewArticles")) == (2, ("False", "AllTaken"))


def test_the_same_files_at_another_address_are_taken_without_limits(
    grown: Callable[..., Town], monkeypatch: pytest.MonkeyPatch
) -> None:
    town = grown("minNew: 5")
    there = town.labels.with_name("elsewhere")
    town.labels.with_name("articles").rename(there)
    monkeypatch.setattr("distillery.pipelines.operator.reconcile.what_is_due", lambda *_: ())
    changed = text(town, "minNew: 5").replace(str(town.labels.with_name("articles")), str(there))
    town.objects.apply(changed)
    town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("NewArticles")) == (1, ("False", "AllTaken"))
    (there / "b.jsonl").write_text(json.dumps({"id": "x", "title": "t", "content": "new"}) + "\n")
    town.pass_over()
    assert message(town, "NewArticles") == "1 of 5 new articles"


def test_a_prefix_of_a_bucket_is_listed_once_a_look_and_its_new_files_are_read_once(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, bucket = MemoryS3(), f"bucket-{uuid.uuid4().hex}"
    monkeypatch.setattr(s3_objects, "make_client", lambda: client)
    monkeypatch.setattr(submit, "upload", UPLOAD)
    town.store = open_store(f"s3://{bucket}/store")

    def put(file: str, *texts: str) -> None:
        rows = "\n".join(json.dumps({"id": f"{file} {one}", "title": one, "content": f"The text of {one}."}) for one in texts)
        client.put_object(Bucket=bucket, Key=f"news/articles/{file}.jsonl", Body=rows.encode())

    here = f"{{articles: {town.labels.with_name('articles')}}}"
    put("2027-01-14", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 5").replace(here, f"{{articles: 's3://{bucket}/news/articles/'}}"))
    town.through()
    (run,) = town.kubeflow.runs.values()
    with local_input(run.parameters["articles"], parameter="articles") as path:
        assert [file.name for file in path.iterdir()] == ["2027-01-14.jsonl"]
    put("2027-01-15", *numbered(3, 4))
    world = town.world()
    town.pass_over(world=world)
    assert message(town, "NewArticles") == "4 of 5 new articles"
    for _ in range(3):
        client.asked.clear()
        town.pass_over(world=world)
        assert [asked for asked in client.asked if "articles" in asked] == ["ListObjectsV2 news/articles/"]
        assert len(client.asked) <= 8, "and some small reads of the store"
    put("2027-01-16", *numbered(7, 1))
    client.asked.clear()
    town.pass_over(world=world)
    assert not any("2027-01-15.jsonl" in asked for asked in client.asked)
    assert len(town.kubeflow.runs) == 2


class Forgetful(dict[Any, Any]):
    """Keeps nothing, as where another worker clears it at once."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def test_what_another_worker_forgets_meanwhile_is_found_again(
    grown: Callable[..., Town], monkeypatch: pytest.MonkeyPatch
) -> None:
    town = grown("minNew: 5", *numbered(3, 4))
    world = town.world()
    world.seen = Seen(Forgetful(), Forgetful(), SeenArticles(Forgetful(), Forgetful()))
    monkeypatch.setattr(wanted, "_LINTED", Forgetful())
    for _ in range(2):
        assert town.pass_over(world=world).trouble is None
        assert message(town, "NewArticles") == "4 of 5 new articles"
