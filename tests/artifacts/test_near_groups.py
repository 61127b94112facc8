"""Near-duplicates of a label set are found once, whoever asks first, and found again where what is stored was damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distillery.components.articles import near_duplicates
from distillery.components.articles.articles import Article, Label
from distillery.components.articles.label_table import label_table, write_table
from distillery.components.artifacts.near_groups import NearGroups, stored_groups
from distillery.components.auditing.audit import audit
from distillery.components.splitting.split import split
from distillery.components.store import Store, open_store
from tests.artifacts.made import made_label_set_meta
from tests.made_up_filter import small_filter

FLT = small_filter(["clarity"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def label_set(store: Store, count: int = 60) -> str:
    rng = np.random.default_rng(4)
    texts = [" ".join(f"w{number}" for number in rng.integers(900, size=40)) for _ in range(count)]
    texts += [f"{text} more" for text in texts[:5]] + texts[:2]
    labels = [Label(Article(f"a{at}", "", text), {"clarity": float(at % 11)}) for at, text in enumerate(texts)]
    return store.commit("labelsets", {"labels.parquet": write_table(label_table(labels, ["clarity"]))}, made_label_set_meta())


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made, original = list[int](), near_duplicates.near_groups

    def counted(prints: near_duplicates.Fingerprints, threshold: float) -> np.ndarray:
        made.append(len(prints.sequence))
        return original(prints, threshold)

    monkeypatch.setattr(near_duplicates, "near_groups", counted)
    return made


def test_audit_and_split_search_once(store: Store, searches: list[int]) -> None:
    labels = label_set(store)
    audit(store, FLT, label_set=labels)
    assert searches == [67]
    record = split(store, FLT, label_set=labels)
    assert searches == [67]
    other = open_store(f"{store.uri}-alone")
    for name in ("manifest.json", "labels.parquet"):
        other.put(f"labelsets/{labels}/{name}", store.get(f"labelsets/{labels}/{name}"))
    assert split(other, FLT, label_set=labels).outputs == record.outputs  # it has searched itself
    assert searches == [67, 67]


@pytest.mark.parametrize("harm", ["gone", "cut", "altered"])
def test_groups_that_were_damaged_are_found_again(store: Store, searches: list[int], harm: str) -> None:
    labels = label_set(store)
    audit(store, FLT, label_set=labels)
    (key,) = store.keys("duplicates")
    path, data = Path(store.uri.removeprefix("file://")) / key, store.get(key)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-9] if harm == "cut" else data[:40] + b"x" + data[41:])
    split(store, FLT, label_set=labels)
    assert searches == [67, 67]
    assert store.get(key) == data


def test_another_similarity_is_another_search(store: Store) -> None:
    asked = list[float]()

    def finding(threshold: float) -> NearGroups:
        asked.append(threshold)
        return NearGroups(np.arange(3), np.array([0, 0, 2]))

    for threshold in (0.7, 0.7, 0.8):
        assert stored_groups(store, "1" * 64, threshold, lambda each=threshold: finding(each)).near.tolist() == [0, 0, 2]
    assert asked == [0.7, 0.8]
