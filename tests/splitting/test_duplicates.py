"""Near-duplicate grouping against a comparison of every pair, and on the scripts it must cope with."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.components.articles.near_duplicates import exact_groups, fingerprint, jaccard, near_groups, words

SEQUENCE = 7628326289342310501
SHINGLES = 11292727608555341638


def by_every_pair(titles: list[str], contents: list[str], threshold: float) -> list[int]:
    sets = []
    for title, content in zip(titles, contents, strict=True):
        found = words(f"{title}\n{content}")
        sets.append({tuple(found[at : at + 3]) for at in range(max(len(found) - 2, min(len(found), 1)))})
    group = list(range(len(sets)))
    for left, right in combinations(range(len(sets)), 2):
        union = len(sets[left] | sets[right])
        if union and len(sets[left] & sets[right]) / union >= threshold - 1e-12:
            old, new = group[right], group[left]
            group = [new if each == old else each for each in group]
    first: dict[int, int] = {}
    for at, each in enumerate(group):
        first.setdefault(each, at)
    return [first[each] for each in group]


text = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(text, max_size=12), st.sampled_from([0.3, 0.5, 0.7, 0.75, 0.9, 1.0]))
def test_groups_are_those_of_comparing_every_pair(contents: list[str], threshold: float) -> None:
    titles = [""] * len(contents)
    assert near_groups(fingerprint(titles, contents), threshold).tolist() == by_every_pair(titles, contents, threshold)


def test_long_texts_with_changed_words_are_grouped_as_every_pair_would_be() -> None:
    rng = random.Random(7)
    contents = []
    for _ in range(40):
        base = [f"w{rng.randrange(3000)}" for _ in range(rng.randint(20, 200))]
        contents.append(" ".join(base))
        for _ in range(rng.randrange(3)):
            for _ in range(rng.randrange(1, 12)):
                base[rng.randrange(len(base))] = f"w{rng.randrange(3000)}"
            contents.append(" ".join(base))
    titles = ["a shared title"] * len(contents)
    for threshold in (0.5, 0.7, 0.9):
        found = near_groups(fingerprint(titles, contents), threshold).tolist()
        assert found == by_every_pair(titles, contents, threshold)
        assert len(set(found)) < len(found)


def test_many_pages_of_one_text_become_one_group() -> None:
    wall = " ".join(f"consent{at}" for at in range(100))
    titles = [f"story number {at} about thing{at}" for at in range(1500)]
    groups = near_groups(fingerprint(titles, [wall] * 1500), 0.7)
    assert set(groups.tolist()) == {0}


def test_exact_copies_differ_in_case_punctuation_and_invisible_marks_only() -> None:
    titles = ["De Brug, gesloten!", "de brug gesloten", "De brug open", "", ""]
    contents = ["Het water\u200f stijgt.", "HET  WATER STIJGT", "Het water stijgt.", "…", "—"]
    assert exact_groups(fingerprint(titles, contents)).tolist() == [0, 0, 2, 3, 4]


@pytest.mark.parametrize(
    "sample",
    [
        "يعتمد المشروع على الطاقة الشمسية لتشغيل مضخات المياه في القرى النائية",
        "הפרויקט משתמש באנרגיה סולארית להפעלת משאבות מים בכפרים מרוחקים",
        "这个项目利用太阳能为偏远村庄的水泵供电并培训当地的技术人员",
        "โครงการนี้ใช้พลังงานแสงอาทิตย์เพื่อเดินเครื่องสูบน้ำในหมู่บ้านห่างไกล",
        "Überlandleitungen für Bürgerstrom: Straße für Straße, Gemeinde für Gemeinde, Jahr für Jahr",
    ],
)
def test_a_small_change_is_near_in_any_script(sample: str) -> None:
    longer = sample + " " + sample[::-1]
    changed = longer + " x"
    prints = fingerprint(["", "", ""], [longer, changed, "something else altogether is written here"])
    assert near_groups(prints, 0.7).tolist() == [0, 0, 2]


def test_lone_surrogates_and_empty_texts_are_nobodys_copy() -> None:
    prints = fingerprint(["\ud800 a b", "", ""], ["c d", "", " \u200b"])
    assert near_groups(prints, 0.5).tolist() == [0, 1, 2]
    assert jaccard(prints.shingles[1], prints.shingles[2]) == 0.0


def test_fingerprints_are_the_same_in_every_process() -> None:
    prints = fingerprint(["one two"], ["three four"])
    assert prints.sequence.tolist() == [SEQUENCE]
    assert int(np.bitwise_xor.reduce(prints.shingles[0])) == SHINGLES


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        near_groups(fingerprint(["a"], ["b"]), threshold)
