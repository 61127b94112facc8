"""On a real cluster: articles that come to a prefix are labelled, and trained on, by one run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from tests.cluster.harness import Cluster, wait_for
from tests.cluster.operated import (
    a_filter,
    another,
    apply,
    asking,
    conditions,
    look_now,
    operating,
    oracle_files,
    runs,
    status,
    tiny_base,
    until,
)

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1500)]
GROWING, FIRST, NEW = "growing-town", 60, 12
ENDED = ("Promoted", "Rejected")  # what so small a student comes to is chance


@pytest.fixture(scope="module")
def promoted(cluster: Cluster, store: Store, kfp: Any, tiny_encoder: Path) -> Iterator[dict[str, Any]]:
    """A filter, promoted, whose oracle is asked about the articles of a prefix."""
    base, data = tiny_base(store, tiny_encoder), f"{store.uri}/growing"
    files = {name: text.splitlines(keepends=True) for name, text in oracle_files(FIRST + NEW).items()}
    store.put("growing/articles/monday.jsonl", b"".join(files["articles.jsonl"][:FIRST]))
    store.put("growing/tuesday.jsonl", b"".join(files["articles.jsonl"][FIRST:]))
    store.put("growing/replies.jsonl", b"".join(files["replies.jsonl"]))
    growing = a_filter(store, GROWING, base, **asking(data), retrain={"minNew": NEW})
    growing["spec"]["data"] = {"articles": f"{data}/articles/"}
    with operating(cluster, store, kfp):
        apply(cluster, growing)
        yield until(cluster, GROWING, "Promoted")


def labelled(store: Store, name: str) -> int:
    """Answers that the oracle has given for a filter."""
    keys = [key for key in store.keys(f"labels/{name}") if key.endswith(".jsonl")]
    return sum(len(store.get(key).splitlines()) for key in keys)


def test_articles_that_come_to_a_prefix_are_labelled_by_one_run_and_no_others(
    cluster: Cluster, store: Store, kfp: Any, promoted: dict[str, Any]
) -> None:
    had = runs(kfp, GROWING)
    assert (len(had), labelled(store, GROWING)) == (1, FIRST)
    come = store.get("growing/tuesday.jsonl").splitlines(keepends=True)
    store.put("growing/articles/tuesday.jsonl", b"".join(come[:-1]))
    look_now(cluster, GROWING, "tuesday")
    row = wait_for("too few", lambda: (found := conditions(status(cluster, GROWING)).get("NewArticles")) and
                   found["reason"] == "TooFew" and found, 60)  # fmt: skip
    assert f"{NEW - 1} of {NEW} new articles" in row["message"]
    assert runs(kfp, GROWING) == had

    store.put("growing/articles/wednesday.jsonl", come[-1])
    look_now(cluster, GROWING, "wednesday")
    begun = another(cluster, kfp, GROWING, had)
    done = wait_for("what the run came to", lambda: (found := status(cluster, GROWING)).get("phase") in ENDED and found, 120)
    assert done["run"]["id"] == begun
    assert labelled(store, GROWING) == FIRST + NEW
    assert done["adapter"] != promoted["adapter"], "trained on more labels"
    look_now(cluster, GROWING, "thursday")
    found = wait_for("nothing new", lambda: conditions(status(cluster, GROWING)).get("NewArticles"), 60)
    assert (found["status"], len(runs(kfp, GROWING) - had)) == ("False", 1)
