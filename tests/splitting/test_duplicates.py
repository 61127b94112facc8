"""Near-duplicate grouping against a comparison of every pair, and on the scripts it must cope with."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.components.articles import close_copies, near_pairs
from distillery.components.articles.near_duplicates import exact_groups, fingerprint, jaccard, near_groups
from distillery.components.articles.shingle_sets import ShingleSets, Spill
from distillery.components.articles.word_hashes import words

SEQUENCE = 11889625182675498428
SHINGLES = 15289113742989975509


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


def families(rng: random.Random) -> list[str]:
    """Pages of a few bodies, each changed a little or a lot, among articles of their own."""
    bodies = [[f"w{rng.randrange(400)}" for _ in range(rng.randint(12, 60))] for _ in range(3)]
    bodies.append([*bodies[0][: rng.randrange(20)], *bodies[1]])
    contents = []
    for _ in range(rng.randrange(30, 70)):
        page = list(rng.choice(bodies))
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            page[rng.randrange(len(page))] = f"w{rng.randrange(400)}"
        contents.append(" ".join(page))
    return contents + [" ".join(f"w{rng.randrange(400)}" for _ in range(30)) for _ in range(9)]


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 100))])
def test_pages_that_follow_a_leader_are_grouped_as_every_pair_would_be(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(close_copies, "LEAST", 2)
    monkeypatch.setattr(close_copies, "RADIUS", 0.3)
    monkeypatch.setattr(near_pairs, "PRODUCTS", 50)
    contents = families(random.Random(seed))
    prints = fingerprint([""] * len(contents), contents)
    monkeypatch.setattr(ShingleSets.blocks, "__defaults__", (None, 200))
    for threshold in (0.3, 0.5, 0.7, 0.9):
        clusters = close_copies.gather(prints.shingles, np.ones(len(contents), bool), threshold)
        assert clusters.followers or threshold > 0.5
        assert near_groups(prints, threshold).tolist() == by_every_pair([""] * len(contents), contents, threshold)


def test_a_page_like_a_follower_and_unlike_its_leader_is_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(close_copies, "LEAST", 2)
    body = [f"w{at}" for at in range(120)]
    pages = [[*body, f"end{at}", "of", "page"] for at in range(4)]
    bridge = [*body[:106], *(f"x{at}" for at in range(14)), "end3", "of", "page"]
    far = [*body[:84], *(f"y{at}" for at in range(4)), *bridge[88:]]
    contents = [" ".join(page) for page in (*pages, bridge, far)]
    prints = fingerprint([""] * len(contents), contents)
    for threshold in (0.5, 0.6, 0.65, 0.7, 0.75, 0.8):
        assert near_groups(prints, threshold).tolist() == by_every_pair([""] * len(contents), contents, threshold)


def test_sets_on_the_disk_are_those_in_memory() -> None:
    spill = Spill(np.int32, 100)
    for start in range(0, 90, 9):
        spill.append(np.arange(start, start + 9))
    assert spill.read().tolist() == list(range(90))
    assert spill.read(40, 43).tolist() == [40, 41, 42]
    prints = fingerprint(["a b c", "", "d e f g"], ["", "", "h"])
    assert [len(each) for each in prints.shingles] == [1, 0, 3]
    assert [block.rows.tolist() for block in prints.shingles.blocks(block=1)] == [[0], [2]]
    with pytest.raises(IndexError):
        prints.shingles[3]


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
