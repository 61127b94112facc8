"""A Scoring object on a real cluster: each file once whatever pods are deleted, and a corpus of other topics is drifted."""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.label_table import read_table
from distillery.components.store import Store, open_store
from distillery.components.student.bundle import open_bundle
from distillery.components.student.mirror import push
from distillery.components.student.resolve import resolve_base
from tests.cluster.harness import NAMESPACE, Cluster, wait_for
from tests.cluster.operated import OPERATOR, apply, conditions, operating, status
from tests.cluster.scoring import Promoted, promote_student
from tests.demo.generator.corpus import generate
from tests.drift.made import put_test

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]
BASE = "made-up/tiny"  # mirrored, so that the memory of both students is known
FILTER, SECOND, NAME = "watched-town", "watched-village", "watched-news"
OTHER = ["goal", "referee", "striker", "penalty", "league", "keeper", "season", "derby", "coach", "whistle", "stadium"]


def articles(n: int, seed: int) -> list[dict[str, Any]]:
    """Articles long enough to be scored."""
    rows = (article.row() for article in generate(3 * n + 200, seed))
    return list(islice((row for row in rows if len(row["content"]) >= 500), n))


@pytest.fixture(scope="module")
def promoted(store: Store, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Promoted:
    """Students of two filters that nobody had to train, and the predictions of a test part by the first."""
    push(store, resolve_base(str(tiny_encoder), None), BASE, None)
    promote_student(store, tmp_path_factory.mktemp("second"), SECOND, BASE)
    found = promote_student(store, tmp_path_factory.mktemp("filter"), FILTER, BASE, margin=0.15)
    student = open_bundle(store, FILTER, found.adapter)
    rows = articles(150, seed=11)
    scores = student.scores(student.predict([(row["title"], row["content"]) for row in rows]))
    put_test(store, scores, adapter=found.adapter, sources=[row["source"] for row in rows], flt=found.filter)
    return found


@pytest.fixture(scope="module")
def corpus(store: Store, cluster: Cluster, kfp: Any, promoted: Promoted) -> Iterator[Store]:
    """Where the corpus lies; an operator scores what comes there, looking every minute."""
    place = open_store(f"{store.uri}/watched/in")
    put(place, "monday", articles(75, seed=1))
    put(place, "tuesday", articles(75, seed=2))
    with operating(cluster, store, kfp):
        spec = {"filters": [{"name": FILTER}, {"name": SECOND}], "corpus": place.uri, "out": f"{store.uri}/watched/out"}
        head = {"apiVersion": "llm-distillery.io/v1alpha1", "kind": "Scoring"}
        metadata = {"name": NAME, "namespace": NAMESPACE}
        apply(cluster, {**head, "metadata": metadata, "spec": {**spec, "schedule": "* * * * *"}})
        yield place


def put(place: Store, name: str, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps({**row, "id": f"{name}-{number}"}) for number, row in enumerate(rows)]
    place.put(f"{name}.jsonl", "\n".join(lines).encode())


def scored(cluster: Cluster, passes: int, seconds: float = 300) -> dict[str, Any]:
    """The status, once so many passes have ended."""

    def done() -> dict[str, Any] | None:
        found = status(cluster, NAME, "scoring")
        rows = found.get("filters", [])
        ready = conditions(found).get("Ready", {})
        return found if rows and min(row["passes"] for row in rows) >= passes and ready.get("status") == "True" else None

    return dict(wait_for(f"{passes} passes", done, seconds, 2))


def parts(place: Store) -> list[str]:
    return [key for key in place.keys("") if key.startswith("part-") and key.endswith(".parquet")]


def ids(shown: dict[str, Any], name: str = FILTER) -> Counter[str]:
    """How often each article was scored for a filter, in all passes."""
    found = Counter[str]()
    for each in (each for each in shown["history"] if each["filter"] == name):
        place = open_store(each["scores"])
        for key in parts(place):
            found.update(read_table(place.get(key))["id"].to_pylist())
    return found


def jobs(cluster: Cluster, store: Store) -> list[set[str]]:
    """The filters of each Job that scores into this store."""
    found = list[set[str]]()
    for job in cluster.get("jobs", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=scoring")["items"]:
        labels, places = job["metadata"]["labels"], job["metadata"]["annotations"]
        if places["llm-distillery.io/scores"].startswith(store.uri):
            found.append(
                {labels["llm-distillery.io/filter"], *(key[5:].partition("/")[2] for key in labels if key[:5] == "also.")}
            )
    return found


def expected(**files: int) -> Counter[str]:
    return Counter(f"{name}-{number}" for name, n in files.items() for number in range(n))


def test_three_files_that_come_are_three_parts_more_though_pods_are_deleted(
    cluster: Cluster, store: Store, corpus: Store
) -> None:
    first = scored(cluster, 1)
    assert ids(first) == ids(first, SECOND) == expected(monday=75, tuesday=75)
    assert jobs(cluster, store) == [{FILTER, SECOND}], "one Job for both"
    assert conditions(first)["Drifted"]["reason"] == "ScoresSteady"

    for seed, name in enumerate(("wednesday", "thursday", "friday"), start=3):
        put(corpus, name, articles(200, seed))
    scoring = ("-n", NAMESPACE, "-l", "app.kubernetes.io/component=scoring", "--field-selector", "status.phase=Running")
    deleted = set[str]()

    def disturbed() -> bool:
        """Two pods that score are deleted, and the operator after the first."""
        for pod in cluster.get("pods", *scoring)["items"]:
            name = pod["metadata"]["name"]
            if "deletionTimestamp" not in pod["metadata"] and len(deleted) < 2 and name not in deleted:
                with contextlib.suppress(AssertionError):  # it has ended meanwhile
                    cluster.kubectl("delete", "pod", name, "-n", NAMESPACE, "--wait=false")
                    deleted.add(name)
                    if len(deleted) == 1:
                        cluster.kubectl("delete", "pod", *OPERATOR, "--wait=false")
        return len(deleted) == 2

    wait_for("pods to delete", disturbed, 240, 0.2)
    second = scored(cluster, 2)
    for name in (FILTER, SECOND):
        assert ids(second, name) == expected(monday=75, tuesday=75, wednesday=200, thursday=200, friday=200)
    assert jobs(cluster, store) == [{FILTER, SECOND}] * 2
    newest = second["history"][0]
    made = parts(open_store(newest["scores"]))
    assert (newest["number"], newest["files"], len(made), newest["articles"]) == (2, 3, 3, 600)
    assert ([row["articles"] for row in second["filters"]], len(second["history"])) == ([750, 750], 4)


def test_a_corpus_of_other_topics_is_drifted(cluster: Cluster, corpus: Store) -> None:
    had = scored(cluster, 1)["filters"][0]["passes"]
    rng = random.Random(3)
    rows = [{**row, "title": "Cup final", "content": " ".join(rng.choices(OTHER, k=120))} for row in articles(150, seed=9)]
    put(corpus, "saturday", rows)
    found = scored(cluster, had + 1)
    row = conditions(found)["Drifted"]
    assert (row["status"], row["reason"]) == ("True", "ScoresDrifted")
    assert FILTER in row["message"]
    events = [one["reason"] for one in cluster.get("events", "-n", NAMESPACE)["items"] if one["involvedObject"]["name"] == NAME]
    assert any("Drifted" in reason for reason in events)
