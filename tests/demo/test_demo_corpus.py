"""The demo corpus: the same each time, planted things at their rates, references that a reader could check."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from random import Random

import pytest

from tests.demo.generator.bank import DIMENSIONS, FOLDER, LEVELS, Bank, bank, outlets
from tests.demo.generator.corpus import DemoArticle, generate
from tests.demo.generator.grammar import Slot, Template, capital, compile_template, indefinite, render, slots
from tests.demo.generator.latent import CENTRE, conclude, draw_state, nearest

REAL_NAMES = [
    "Tesla", "Siemens", "Shell", "Exxon", "Chevron", "Vestas", "Orsted", "Ørsted", "Vattenfall", "Enel",
    "Iberdrola", "Equinor", "TotalEnergies", "Philips", "ASML", "Google", "Microsoft", "Amazon", "Apple",
    "Samsung", "Nvidia", "OpenAI", "Anthropic", "Meta", "Huawei", "Sony", "Intel", "Guardian", "Reuters",
    "Bloomberg", "Times", "Telegraaf", "Volkskrant", "NRC", "Trouw", "Economist", "Spiegel", "Ajax",
    "Feyenoord", "Arsenal", "Bitcoin", "Ikea", "Unilever", "Climeworks", "Northvolt",
]  # fmt: skip
CONTEXT = {"S": "the plant", "c": "the plant works", "C": "The plant works", "A": "the inspector", "A_cap": "The inspector"}


@pytest.fixture(scope="module")
def articles() -> list[DemoArticle]:
    return list(generate(1500))


def shingles(text: str, size: int = 5) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


def near_duplicates(articles: list[DemoArticle], threshold: float = 0.7) -> set[tuple[str, str]]:
    """Exact: every pair that shares a shingle is compared."""
    sets = {article.id: shingles(article.content) for article in articles}
    holders: dict[tuple[str, ...], list[str]] = {}
    for name, grams in sets.items():
        for gram in grams:
            holders.setdefault(gram, []).append(name)
    shared: Counter[tuple[str, str]] = Counter()
    for names in holders.values():
        if 1 < len(names) <= 60:  # a shingle of sixty articles tells nothing; a duplicate shares rarer ones too
            shared.update(combinations(names, 2))
    candidates = (pair for pair, count in shared.items() if count >= 8)
    return {(a, b) for a, b in candidates if len(sets[a] & sets[b]) >= threshold * len(sets[a] | sets[b])}


def all_templates(language: str) -> list[tuple[str, Template]]:
    it = bank(language)
    found = [(f"{name} {level}", part) for name in DIMENSIONS for level in LEVELS for part in it.clauses[name][level]]
    found += [(kind, part) for kind, parts in {**it.frames, **it.consent}.items() for part in parts]
    found += [(theme.name, part) for theme in it.themes for part in (*theme.title, *theme.body)]
    return found


def topic_slots(it: Bank) -> dict[str, str]:
    topic = it.topics[0]
    names = ("firm", "rival", "town", "town2", "outlet", "firm_s", "rival_s")
    fixed = {**CONTEXT, **{name: name.title() for name in names}}
    sides = ("works", "world", "works_side", "world_side", "works_side_cap", "world_side_cap")
    fixed |= dict.fromkeys(sides, "so to speak")
    return {**fixed, **topic["fixed"], **topic["variants"][0], **topic["others"][0], "serves": "heats a town"}


def test_same_seed_same_articles() -> None:
    assert list(generate(200, seed=3)) == list(generate(200, seed=3))


def test_another_seed_other_articles() -> None:
    assert [a.content for a in generate(50, seed=3)] != [a.content for a in generate(50, seed=4)]


def test_fewer_articles_are_the_first_of_more() -> None:
    assert list(generate(60)) == list(generate(200))[:60]


def test_none_asked_for_none_made() -> None:
    assert list(generate(0)) == []


def test_ids_are_unique(articles: list[DemoArticle]) -> None:
    assert len({article.id for article in articles}) == 1500


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("copy", 0.018, 0.036), ("consent", 0.028, 0.052), ("off-topic", 0.12, 0.18), ("promo", 0.035, 0.068)],
)
def test_planted_rates(articles: list[DemoArticle], kind: str, low: float, high: float) -> None:
    share = sum(article.planted == kind for article in articles) / len(articles)
    assert low <= share <= high


def test_share_of_dutch(articles: list[DemoArticle]) -> None:
    assert 0.09 <= sum(article.language == "nl" for article in articles) / len(articles) <= 0.15


def test_every_outlet_writes(articles: list[DemoArticle]) -> None:
    assert {article.source for article in articles} == {outlet.slug for outlet in outlets()}
    assert len(outlets()) >= 25


def test_lengths_vary(articles: list[DemoArticle]) -> None:
    lengths = sorted(len(article.content.split()) for article in articles)
    assert lengths[0] >= 35
    assert lengths[-1] >= 400
    assert 80 <= lengths[len(lengths) // 2] <= 150


def test_references_are_scores(articles: list[DemoArticle]) -> None:
    for article in articles:
        assert tuple(article.reference) == DIMENSIONS
        assert all(0 <= score <= 10 for score in article.reference.values())


def test_every_tier_is_populated(articles: list[DemoArticle]) -> None:
    overall = [overall_of(article) for article in articles]
    assert 0.08 <= sum(value >= 6 for value in overall) / 1500 <= 0.18
    assert 0.20 <= sum(4 <= value < 6 for value in overall) / 1500 <= 0.42


def test_gatekeeper_has_work(articles: list[DemoArticle]) -> None:
    """Some articles would reach the medium tier were it not for their readiness."""
    held = [a for a in articles if a.reference["technology_readiness_level"] < 3 and weighted(a) >= 2.9]
    assert len(held) >= 30


def test_off_topic_and_consent_score_next_to_nothing(articles: list[DemoArticle]) -> None:
    for article in articles:
        if article.planted in ("off-topic", "consent"):
            assert max(article.reference.values()) <= 1.5


def test_dimensions_are_not_one(articles: list[DemoArticle]) -> None:
    import numpy as np

    scores = np.array([list(article.reference.values()) for article in articles])
    correlation = np.corrcoef(scores.T)
    # Within a side (works, world) what is not told is inferred from the same gist; the sides differ.
    assert (correlation - np.eye(6)).max() < 0.97
    assert correlation[:3, 3:].max() < 0.90
    assert np.linalg.eigvalsh(correlation)[-1] / 6 < 0.92


def test_only_planted_near_duplicates(articles: list[DemoArticle]) -> None:
    planted = {(a.copy_of, a.id) for a in articles if a.copy_of}
    assert len(planted) >= 27
    found = near_duplicates(articles)
    assert found == planted


def test_a_planted_copy_keeps_its_scores_and_changes_its_outlet(articles: list[DemoArticle]) -> None:
    by_id = {article.id: article for article in articles}
    for copy in (article for article in articles if article.copy_of):
        original = by_id[copy.copy_of]
        assert copy.reference == original.reference
        assert copy.source != original.source
        assert copy.content != original.content


def test_an_article_does_not_repeat_a_sentence(articles: list[DemoArticle]) -> None:
    repeated = 0
    for article in articles:
        found = [part for part in re.split(r"(?<=[.!?…])\s+", article.content) if len(part) > 25]
        repeated += len(found) != len(set(found))
    assert repeated <= 0.004 * len(articles)


def test_no_slot_or_bracket_is_left(articles: list[DemoArticle]) -> None:
    for article in articles:
        assert not set(article.title + article.content) & set("{}[]|")
        assert "  " not in article.content
        assert article.content[0].isupper() or article.content[0] in "\"'–"


def test_english_articles_before_vowels(articles: list[DemoArticle]) -> None:
    for article in articles:
        if article.language == "en":
            assert not re.search(r"\b[Aa] (?:old|electr|insul|irrig|offshore|agro|unit of 8)", article.content)
            assert not re.search(r"\b[Aa]n (?:one|[bcdfgjklmnpqrstvwxz])", article.content)


@pytest.mark.parametrize("language", ["en", "nl"])
def test_every_template_renders(language: str) -> None:
    it = bank(language)
    fixed = topic_slots(it)
    templates = all_templates(language)
    for where, template in templates:
        known = set(fixed) | set(it.pools)
        assert slots(template) <= known, where
        assert render(template, Random(1), fixed, it.pools).strip(), where
    assert len(templates) >= (500 if language == "en" else 250)


@pytest.mark.parametrize("language", ["en", "nl"])
def test_every_clause_names_its_subject_once(language: str) -> None:
    for name in DIMENSIONS:
        for level in LEVELS:
            clauses = bank(language).clauses[name][level]
            assert len(clauses) >= (7 if language == "en" else 5)
            assert len(set(clauses)) == len(clauses)
            for clause in clauses:
                assert "S" in slots(clause), (name, level, clause)


def test_no_real_names() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.yaml"))
    found = [name for name in REAL_NAMES if re.search(rf"\b{name}\b", text)]
    assert found == []


def test_the_check_for_real_names_would_fire() -> None:
    assert re.search(r"\bShell\b", "a chain owned by Shell")
    assert "Shell" in REAL_NAMES


def test_source_of_copy_is_never_told_in_the_row(articles: list[DemoArticle]) -> None:
    keys = {"id", "title", "content", "source", "language", "url", "published", "reference"}
    assert set(articles[0].row()) == keys
    assert all("example.org" in article.url for article in articles)


def test_without_a_gist_the_rest_is_inferred_from_what_is_told() -> None:
    scores = conclude({"technical_performance": 8.0, "economic_competitiveness": 6.0}, {})
    assert scores["technical_performance"] == 8.0
    assert 4.0 < scores["technology_readiness_level"] < 7.0
    assert tuple(scores) == DIMENSIONS


def test_a_gist_colours_its_own_side_only() -> None:
    good = conclude({"technical_performance": 5.0}, {"works": CENTRE[9], "world": CENTRE[1]})
    bad = conclude({"technical_performance": 5.0}, {"works": CENTRE[1], "world": CENTRE[1]})
    assert good["technical_performance"] > bad["technical_performance"]
    assert good["technology_readiness_level"] > good["social_equity_impact"] + 3
    assert good["social_equity_impact"] == bad["social_equity_impact"]


@pytest.mark.parametrize(("value", "level"), [(0.0, 1), (1.9, 1), (2.1, 3), (5.2, 5), (9.9, 9)])
def test_nearest_level(value: float, level: int) -> None:
    assert nearest(value) == level


def test_tilt_moves_the_state() -> None:
    def mean(tilt: float) -> float:
        rng = Random(5)
        return sum(sum(draw_state(rng, tilt).latent.values()) for _ in range(300)) / 1800

    assert mean(0.8) - mean(-0.8) > 1.0


def test_grammar_alternatives_and_slots() -> None:
    template = compile_template("a [{x}|{x}] day")
    assert slots(template) == {"x"}
    assert template[0] == "a "
    assert isinstance(template[1], tuple)
    assert not isinstance(template[1], Slot)
    assert render(template, Random(1), {"x": "fine"}, {}) == "a fine day"


@pytest.mark.parametrize("text", ["a [b", "{open", "x | y", "[a|[b|c]]"])
def test_unbalanced_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unbalanced"):
        compile_template(text)


def test_unknown_slot_is_an_error() -> None:
    with pytest.raises(KeyError):
        render(compile_template("{nowhere}"), Random(1), {}, {})


def test_small_helpers() -> None:
    assert indefinite("a old mill, a one-off, A electrolyser") == "an old mill, a one-off, An electrolyser"
    assert indefinite("a utter failure, a unit, a university") == "an utter failure, a unit, a university"
    assert capital('"quoted') == '"Quoted'
    assert capital("") == ""


def weighted(article: DemoArticle) -> float:
    weights = (0.15, 0.15, 0.20, 0.30, 0.10, 0.10)
    return sum(weight * article.reference[name] for weight, name in zip(weights, DIMENSIONS, strict=True))


def overall_of(article: DemoArticle) -> float:
    """As the filter has it: weighted mean, capped where the technology is not ready."""
    value = weighted(article)
    return min(value, 2.9) if article.reference["technology_readiness_level"] < 3 else value
