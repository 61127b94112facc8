"""Which articles a sample holds: by content and seed alone, by the rules asked for, with memory that stays flat."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.articles.articles import Article
from distillery.components.sampling.draw import Sample, draw
from distillery.components.sampling.select import FILE, read_sample, select
from distillery.components.store import open_store
from distillery.filters.errors import InputError
from distillery.filters.loading import load_filter_text
from distillery.filters.spec import Prefilter

Rows = list[dict[str, Any]]
FOOTBALL = Prefilter(exclude=["football"])


def rows(count: int) -> Rows:
    """One in ten is about football, one in fifty is long, source "rare" has one in a hundred."""
    found = []
    for at in range(count):
        source = "rare" if at % 100 == 0 else f"paper-{at % 3}"
        text = f"{'football' if at % 10 == 3 else 'bridges'} {at} " + "word " * (900 if at % 50 == 1 else 20)
        found.append({"id": f"a{at}", "title": f"Title {at}", "content": text, "source": source})
    return found


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Rows], Path]:
    def to_file(table: Rows) -> Path:
        path = tmp_path / f"articles-{len(list(tmp_path.iterdir()))}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
        return path

    return to_file


def long_first(articles: Sequence[Article]) -> Any:
    return np.array([float(len(article.content)) for article in articles])


MIXED = {"random": 0.5, "stratified": 0.3, "enrich": 0.2}


def picked(sample: Sample) -> dict[str, str]:
    return {article.id: article.drawn_by for article in sample.articles}


def test_the_order_of_the_file_makes_no_difference(write: Callable[[Rows], Path]) -> None:
    table = rows(600)
    table += [{**row, "id": f"copy-{row['id']}", "source": "agency"} for row in table[::7]]
    one = draw(write(table), FOOTBALL, 80, MIXED, affinity=long_first)
    random.Random(1).shuffle(table)
    other = draw(write(table), FOOTBALL, 80, MIXED, affinity=long_first)
    assert one.articles == other.articles
    assert one.strata == other.strata
    assert one.corpus == 600 + 86
    assert len({article.digest for article in one.articles}) == 80


def test_each_rule_draws_its_share(write: Callable[[Rows], Path]) -> None:
    sample = draw(write(rows(1000)), FOOTBALL, 100, MIXED, affinity=long_first)
    assert sample.drawn() == {"random": 50, "stratified": 30, "enrich": 20}
    enriched = [article for article in sample.articles if article.drawn_by == "enrich"]
    assert all(sample.passes[article.digest] for article in enriched)
    long = [article for article in enriched if len(article.content) > 4_000]
    assert len(long) >= 5  # 2% of the corpus, and of a pool of 400 all that the plain draw left
    refused = [article for article in sample.articles if article.drawn_by == "stratified" and not sample.passes[article.digest]]
    assert len(refused) >= 10  # a tenth of the corpus


def test_the_plain_draw_knows_nothing_of_the_other_rules(write: Callable[[Rows], Path]) -> None:
    path = write(rows(500))
    plain = picked(draw(path, FOOTBALL, 50, {"random": 1.0}))
    mixed = picked(draw(path, FOOTBALL, 100, {"random": 0.5, "stratified": 0.5}))
    assert {name for name, rule in mixed.items() if rule == "random"} == set(plain)
    assert picked(draw(path, FOOTBALL, 50, {"random": 1.0}, seed="other")).keys() != plain.keys()


def test_a_plain_draw_is_even(write: Callable[[Rows], Path]) -> None:
    counts: Counter[str] = Counter()
    path = write(rows(100))
    for seed in range(60):
        counts.update(picked(draw(path, Prefilter(), 20, {"random": 1.0}, seed=str(seed))).keys())
    assert len(counts) == 100
    assert min(counts.values()) >= 2
    assert max(counts.values()) <= 26  # 12 expected, standard deviation 3.1


def test_a_corpus_that_grew_keeps_most_of_its_sample(write: Callable[[Rows], Path]) -> None:
    small = picked(draw(write(rows(500)), FOOTBALL, 50, {"random": 1.0}))
    grown = picked(draw(write(rows(550)), FOOTBALL, 50, {"random": 1.0}))
    assert len(small.keys() & grown.keys()) >= 40


def test_strata_are_even_and_their_rest_is_drawn_plainly(write: Callable[[Rows], Path]) -> None:
    sample = draw(write(rows(300)), FOOTBALL, 90, {"stratified": 1.0})
    sizes = {(each["prefilter"], each["length"]): each for each in sample.strata}
    assert sizes["refused", "short"]["sample"] >= 25  # 30 in the corpus
    assert sizes["passed", "long"]["sample"] == sizes["passed", "long"]["corpus"] == 6
    assert sum(article.source == "rare" for article in sample.articles) == 3  # every one there is


def test_left_out_articles_are_not_drawn(write: Callable[[Rows], Path]) -> None:
    path = write(rows(100))
    first = draw(path, FOOTBALL, 60, {"random": 0.5, "stratified": 0.5})
    rest = draw(path, FOOTBALL, 60, {"random": 0.5, "stratified": 0.5}, exclude=first.passes)
    assert len(rest.articles) == 40
    assert not picked(first).keys() & picked(rest).keys()
    assert sum(rest.drawn().values()) == 40


@pytest.mark.parametrize(("shares", "error"), [
    ({"random": 0.5}, "sum to 0.5"), ({"lucky": 1.0}, "no rule of sampling"),
    ({"random": 1.5, "stratified": -0.5}, "between 0"),
    ({"random": float("nan")}, "between 0"), ({"enrich": 1.0}, "nothing to go by"),
])  # fmt: skip
def test_shares_that_are_none(write: Callable[[Rows], Path], shares: dict[str, float], error: str) -> None:
    with pytest.raises(InputError, match=error):
        draw(write(rows(20)), FOOTBALL, 10, shares)


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    peaks = []
    for count in (5_000, 10_000):
        path = tmp_path / f"{count}.jsonl"
        with path.open("w") as out:
            for at in range(count):
                out.write(json.dumps({"id": str(at), "content": f"{at} " + "words and words " * 130}) + "\n")
        tracemalloc.start()
        draw(path, Prefilter(), 60, {"random": 0.5, "stratified": 0.5})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 5_000 * 250  # what reading keeps to tell ids apart; the texts have 2,100 bytes each


FILTER = """\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata: {name: demo}
spec:
  version: 1
  description: A filter for tests.
  scope: {judge: Whether a technology helps.}
  dimensions: [{name: benefit, weight: 1, description: How much good it does.}]
  tiers: [{name: all}]
  oracle: {model: recorded}
  student: {baseModel: 'BASE', maxLength: 64}
  gates: [{metric: mae, below: 0.8}]
"""


def test_a_sample_is_kept_with_what_each_rule_drew(write: Callable[[Rows], Path], tmp_path: Path) -> None:
    store, flt = open_store(str(tmp_path / "store")), load_filter_text(FILTER, "demo.yaml")
    table = rows(200)
    sample, digest = select(store, flt, write(table), 40, {"random": 0.75, "stratified": 0.25})
    meta = store.folder("samples", digest).meta
    assert meta["drawn"] == {"random": 30, "stratified": 10}
    assert (meta["corpus"], meta["shares"]) == (200, {"random": 0.75, "stratified": 0.25})
    assert list(read_sample(store, digest, tmp_path / "unpacked")) == sample.articles
    assert {json.loads(line)["drawn_by"] for line in (tmp_path / "unpacked" / FILE).read_text().splitlines()} == {
        "random", "stratified"}  # fmt: skip
    assert select(store, flt, write(table[::-1]), 40, {"random": 0.75, "stratified": 0.25})[1] == digest


def test_examples_draw_what_resembles_them(tiny_encoder: Path) -> None:
    from distillery.components.sampling.affinity import by_examples

    flt = load_filter_text(FILTER.replace("BASE", str(tiny_encoder)), "demo.yaml")
    solar = [Article(f"s{at}", "", f"solar panel roof heat pump {at} solar energy storage battery") for at in range(6)]
    law = [Article(f"l{at}", "", f"court law rule school clinic {at} tax court rule law report") for at in range(6)]
    nearness = by_examples(flt, solar[:2])([*solar[2:], *law])
    assert nearness.shape == (10,)
    assert nearness[:4].min() > nearness[4:].max()
    with pytest.raises(InputError, match="no examples"):
        by_examples(flt, [])


class Half:
    dimensions = ("benefit",)

    def predict(self, texts: Sequence[tuple[str, str]], progress: Any = None) -> Any:
        return np.array([[float(len(content))] for _, content in texts])

    def scores(self, raw: Any) -> Any:
        return np.clip(raw / 2, 0, 10)


def test_a_student_draws_what_it_scores_high() -> None:
    from distillery.components.sampling.affinity import by_student

    flt, student = load_filter_text(FILTER, "demo.yaml"), Half()
    student.dimensions = ["benefit"]  # type: ignore[assignment]
    articles = [Article("a", "", "1234"), Article("b", "", "12345678")]
    assert by_student(flt, student, lambda *_, **__: None)(articles).tolist() == [2.0, 4.0]  # type: ignore[arg-type]
    student.dimensions = ["other"]  # type: ignore[assignment]
    with pytest.raises(InputError, match="not the filter's"):
        by_student(flt, student)  # type: ignore[arg-type]


def test_where_students_disagree_is_drawn_and_the_plain_draw_stays(write: Callable[[Rows], Path], tmp_path: Path) -> None:
    path, shares = write(rows(600)), {"random": 0.8, "weak": 0.2}
    sample = draw(path, FOOTBALL, 50, shares, doubt=long_first)
    chosen = picked(sample)
    assert Counter(chosen.values()) == {"random": 40, "weak": 10}
    weak = [article for article in sample.articles if article.drawn_by == "weak"]
    assert sum(len(article.content) > 4_000 for article in weak) >= 3  # one in fifty of the corpus
    assert not any("football" in article.content for article in weak)  # what the prefilter refuses is not worth a label
    plain = picked(draw(path, FOOTBALL, 40, {"random": 1.0}))
    assert {name for name, rule in chosen.items() if rule == "random"} == set(plain)
    with pytest.raises(InputError, match="there are no students to disagree"):
        draw(path, FOOTBALL, 50, shares)
    store, flt = open_store(str(tmp_path / "store")), load_filter_text(FILTER, "demo.yaml")
    _, digest = select(store, flt, path, 50, shares, doubt=long_first, doubted_by="adapters a, b in benefit", sources=["rare"])
    meta = store.folder("samples", digest).meta
    assert (meta["doubted_by"], meta["sources"]) == ("adapters a, b in benefit", ["rare"])
    _, plain_digest = select(store, flt, path, 50, {"random": 1.0})
    assert not {"doubted_by", "sources"} & store.folder("samples", plain_digest).meta.keys()


@pytest.mark.parametrize("shares", [{"random": 1.0}, MIXED])
def test_only_the_sources_asked_for_are_drawn(write: Callable[[Rows], Path], shares: dict[str, float]) -> None:
    path = write(rows(600))
    sample = draw(path, FOOTBALL, 20, shares, sources=["rare", "paper-1"], affinity=long_first)
    assert {article.source for article in sample.articles} <= {"rare", "paper-1"}
    assert len(sample.articles) == 20
    assert sample.corpus == sum(row["source"] in ("rare", "paper-1") for row in rows(600))
    with pytest.raises(InputError, match="no article has the source 'rarely'") as error:
        draw(path, FOOTBALL, 20, shares, sources=["rare", "rarely"], affinity=long_first)
    assert "'paper-" in error.value.hint


class Guess(Half):
    def __init__(self, *more: float) -> None:
        self.dimensions = ["benefit", "cost"]  # type: ignore[assignment]
        self.more = more

    def predict(self, texts: Sequence[tuple[str, str]], progress: Any = None) -> Any:
        return np.array([[2 * len(content), 2 * self.more[at]] for at, (_, content) in enumerate(texts)])


def test_disagreement_is_the_spread_of_the_students_in_the_dimensions_that_count() -> None:
    from distillery.components.sampling.affinity import by_disagreement

    one, two = "How much good it does.}", "Good.}, {name: cost, weight: 0, description: Bad.}"
    flt = load_filter_text(FILTER.replace(one, two), "demo.yaml")
    students, articles = [Guess(1, 4), Guess(3, 4), Guess(5, 4)], [Article("a", "", "12"), Article("b", "", "12")]
    found = by_disagreement(flt, students, ["cost"])(articles)  # type: ignore[arg-type]
    assert found == pytest.approx([np.std([1, 3, 5]), 0])
    both = by_disagreement(flt, students, ["benefit", "cost"])(articles)  # type: ignore[arg-type]
    assert both == pytest.approx([np.std([1, 3, 5]) / 2, 0])
    with pytest.raises(InputError, match="one student can't disagree with itself"):
        by_disagreement(flt, students[:1], ["cost"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not the filter's"):
        by_disagreement(flt, [_other(), *students], ["cost"])  # type: ignore[list-item]


def _other() -> Half:
    student = Half()
    student.dimensions = ["other"]  # type: ignore[assignment]
    return student
