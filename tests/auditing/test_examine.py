"""Each check of the audit on labels made to trip it, and on labels that must not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distillery.components.articles.articles import Article, Label
from distillery.components.artifacts.audit import Audit
from distillery.components.auditing.audit import examine, score_matrix
from distillery.components.auditing.boilerplate import walls
from distillery.components.auditing.checks import distribution, redundancy, sources
from distillery.components.store import canonical_json
from distillery.filters.errors import InputError
from tests.tables import with_columns

DIMENSIONS = ["clarity", "depth", "reach"]
Makes = Callable[..., list[Label]]
Frames = Callable[[Sequence[Label]], pa.Table]


def look(frame: pa.Table) -> dict[str, Any]:
    document = examine(frame, DIMENSIONS, score_matrix(frame, DIMENSIONS).mean(axis=1))
    json.dumps(document, allow_nan=False)
    whole = {"format": 1, "filter": "f", "label_set": "l", **document}
    assert Audit.model_validate(whole).to_bytes() == canonical_json(whole)  # every audit has the form of the model
    return document


def found(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(finding["level"], finding["check"]) for finding in document["findings"]}


def with_scores(label: Label, **scores: float) -> Label:
    return Label(label.article, {**label.scores, **scores})


def with_text(label: Label, at: int, title: str | None = None, content: str | None = None, **fields: str) -> Label:
    article = label.article
    changed = {"source": article.source, "language": article.language, **fields}
    return Label(
        Article(
            id=f"x{at:04}",
            title=article.title if title is None else title,
            content=article.content if content is None else content,
            **changed,
        ),
        label.scores,
    )


def test_sound_labels_give_no_warning(make_labels: Makes, frame_of: Frames) -> None:
    document = look(frame_of(make_labels(320)))
    assert document["rows"] == document["articles"] == document["duplicates"]["distinct"] == 320
    assert found(document) == set()
    assert document["sources"]["n"] == 5
    assert [row["n"] for row in document["sources"]["table"]] == [64] * 5
    assert document["languages"]["table"][0]["value"] == "en"
    assert document["boilerplate"]["pages"] == 0


def test_a_distribution_is_counted_by_hand() -> None:
    table = distribution(np.array([0, 0.4, 0.5, 9.5, 10, 10, np.nan]))
    assert table["histogram"] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert (table["n"], table["missing"], table["min"], table["max"]) == (6, 1, 0, 10)
    assert (table["mode"], table["mode_share"]) == (10, round(2 / 6, 6))
    assert table["mean"] == round(30.4 / 6, 6)
    assert table["quantiles"]["p50"] == 5.0
    assert not table["dead"]
    assert distribution(np.full(9, np.nan)) == {"n": 0, "missing": 9, "dead": True, "histogram": [0] * 11}


def test_a_dead_dimension_and_a_crowded_one_are_named(make_labels: Makes, frame_of: Frames) -> None:
    labels = [
        with_scores(label, depth=3.0 if at else 4.0, reach=2.0 if at % 3 else 7.0) for at, label in enumerate(make_labels(310))
    ]
    document = look(frame_of(labels))
    assert document["dimensions"]["depth"]["dead"]
    messages = {finding["check"]: finding["message"] for finding in document["findings"]}
    assert messages["dead dimension"] == "depth is nearly constant: 100% of its scores are 3"
    assert messages["mode"] == "66% of the scores of reach are 2"


def test_dimensions_that_say_the_same_are_found(make_labels: Makes, frame_of: Frames) -> None:
    labels = [
        with_scores(label, depth=label.scores["clarity"], reach=min(10, label.scores["clarity"] * 0.9 + at % 2))
        for at, label in enumerate(make_labels(310))
    ]
    document = look(frame_of(labels))
    assert [finding["check"] for finding in document["findings"]].count("redundancy") == 4
    assert document["redundancy"]["pc1_share"] > 0.95
    assert document["redundancy"]["pairs"][0] == {"left": "clarity", "right": "depth", "r": 1.0}


def test_independent_dimensions_share_no_component() -> None:
    values = np.random.default_rng(0).uniform(0, 10, (4000, 3))
    assert redundancy(values, DIMENSIONS)["pc1_share"] == pytest.approx(1 / 3, abs=0.03)
    assert redundancy(np.column_stack([values[:, 0], np.full((4000, 2), 1.0)]), DIMENSIONS)["pc1_share"] is None


def test_missing_scores_stop(make_labels: Makes, frame_of: Frames) -> None:
    frame = frame_of(make_labels(40))
    frame = with_columns(frame, {"score.depth": [None] * 3 + frame["score.depth"].to_pylist()[3:]})
    document = look(frame)
    assert document["findings"][0]["message"] == "3 of 40 rows lack depth"
    assert document["findings"][0]["level"] == "stop"
    with pytest.raises(InputError, match="differ in dimension 'depth'"):
        score_matrix(frame.drop_columns("score.depth"), DIMENSIONS)


@pytest.mark.parametrize(("count", "level"), [(0, "stop"), (1, "stop"), (20, "stop"), (60, "warn")])
def test_few_articles(make_labels: Makes, frame_of: Frames, count: int, level: str) -> None:
    document = look(frame_of(make_labels(count)))
    finding = document["findings"][0]
    assert (finding["level"], finding["check"]) == (level, "articles")
    assert finding["message"].startswith(f"{count} distinct article")


def test_constant_scores_stop(make_labels: Makes, frame_of: Frames) -> None:
    labels = [with_scores(label, clarity=3.0, depth=5.0, reach=0.0) for label in make_labels(40)]
    document = look(frame_of(labels))
    assert ("stop", "constant") in found(document)


def test_one_text_under_many_ids_stops(make_labels: Makes, frame_of: Frames) -> None:
    first = make_labels(1)[0]
    document = look(frame_of([with_text(first, at) for at in range(50)]))
    assert document["findings"][0]["message"] == "all 50 articles are one text"


def test_copies_near_duplicates_and_their_labels(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(310)
    copy = with_text(labels[0], 1, title=labels[0].article.title.upper())
    copy = with_scores(copy, clarity=10 - labels[0].scores["clarity"], depth=10 - labels[0].scores["depth"])
    near = with_text(labels[1], 2, content=labels[1].article.content + " And one word more.")
    document = look(frame_of([*labels, copy, near]))
    copies = document["duplicates"]
    assert (copies["exact_copies"], copies["near_copies"], copies["groups"], copies["largest"]) == (1, 2, 2, 2)
    assert {tuple(each["ids"]) for each in copies["examples"]} == {("id0-0000", "x0001"), ("id0-0001", "x0002")}
    assert copies["conflicts"] == 1
    difference = np.mean([abs(copy.scores[name] - labels[0].scores[name]) for name in DIMENSIONS])
    assert copies["conflict_examples"] == [{"ids": ["id0-0000", "x0001"], "difference": round(difference, 6)}]
    assert ("info", "duplicates") in found(document)


def test_many_copies_warn(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(310)
    document = look(frame_of([*labels, *(with_text(labels[0], at) for at in range(40))]))
    assert ("warn", "duplicates") in found(document)
    assert document["duplicates"]["largest"] == 41


WALLS = [
    (
        "Before you continue",
        "We and our partners use cookies to store and access information on your device. Accept all "
        "cookies or manage your privacy settings to go on.",
    ),
    ("De krant", "Wij gebruiken cookies. Accepteer alle cookies of wijzig uw cookie-instellingen om verder te gaan."),
    ("Story", "This article is for subscribers. Already a subscriber? Log in to continue reading."),
    ("Verhaal", "Dit artikel is alleen voor abonnees. Al abonnee? Log in om verder te lezen."),
    ("Just a moment", "Please enable JavaScript and cookies to continue. Checking your browser."),
    ("Die Zeitung", "Wir verwenden Cookies. Alle Cookies akzeptieren oder ablehnen."),
]
ARTICLES = [
    (
        "Regulator fines firm over cookies",
        "The regulator fined a firm for the way its site asks for consent to cookies. Its "
        "design, the ruling says, made refusing harder than agreeing, and the choice was not free. " * 6,
    ),
    (
        "Abonnementen worden duurder",
        "Wie een abonnement op een krant heeft, betaalt volgend jaar meer. De uitgever zegt dat "
        "papier en bezorging duurder zijn geworden en dat lezers blijven. " * 6,
    ),
    (
        "Newsletter",
        "The town newsletter turns fifty. "
        + "Volunteers print it in the cellar of the library every month. " * 9
        + "Subscribe to continue reading.",
    ),
]


def test_walls_are_told_from_articles_about_them() -> None:
    pages = WALLS + ARTICLES
    assert walls([title for title, _ in pages], [content for _, content in pages]) == list(range(len(WALLS)))


def test_consent_pages_in_the_labels_warn(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(310)
    pages = [with_text(labels[at], at, content=WALLS[at % len(WALLS)][1], source="walled") for at in range(12)]
    document = look(frame_of([*labels, *pages]))
    assert ("warn", "boilerplate") in found(document)
    assert document["boilerplate"]["walls"] == 12
    assert document["boilerplate"]["sources"] == [{"source": "walled", "n": 12}]
    assert document["boilerplate"]["wall_ids"] == [f"x{at:04}" for at in range(5)]


def test_unknown_boilerplate_in_any_language_is_found_by_its_recurrence(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(310)
    text = "Tämä sivusto tarvitsee luvan tallentaa tietoja laitteellesi ennen jatkamista. Valitse hyväksyn tai hylkään alla."
    pages = [with_text(labels[at], at, content=f"{text} Numero {at}.") for at in range(10)]
    footer = "Sign this petition of the reading club before the end of the month."
    signed = [with_text(labels[at], at, content=f"{labels[at].article.content} {footer}") for at in range(20, 40)]
    document = look(frame_of([*labels[:20], *labels[40:], *pages, *signed]))
    repeated = document["boilerplate"]
    assert repeated["walls"] == 0
    assert repeated["dominated_ids"] == [f"x{at:04}" for at in range(5)]
    assert repeated["dominated"] == 10
    assert repeated["sentences"][0] == {"text": footer, "articles": 20}


def test_a_shared_opening_is_found(make_labels: Makes, frame_of: Frames) -> None:
    labels = make_labels(310)
    opening = "Home News Sport Weather Culture " * 7
    pages = [with_text(label, at, content=f"{opening}\n{label.article.content}") for at, label in enumerate(labels[:8])]
    document = look(frame_of([*labels[8:], *pages]))
    assert document["boilerplate"]["openings"][0]["articles"] == 8
    assert document["boilerplate"]["pages"] == 8


def test_languages_are_detected_where_undeclared_and_doubted_where_wrong(make_labels: Makes, frame_of: Frames) -> None:
    dutch = (
        "De gemeente wil dat bewoners hun huizen beter isoleren en geeft daarvoor volgend jaar meer subsidie. Volgens de "
        "wethouder is dat goedkoper dan een nieuw warmtenet."
    )
    labels = make_labels(310)
    undeclared = [
        with_text(labels[at], at, content=f"{dutch} Wijk {at}.", title="Wonen in de stad", language="") for at in range(20)
    ]
    wrong = [
        with_text(labels[at], at, content=f"{dutch} Straat {at}.", title="Nieuws uit de buurt", language="en-GB")
        for at in range(20, 60)
    ]
    document = look(frame_of([*labels, *undeclared, *wrong]))
    spoken = document["languages"]
    assert spoken["undeclared"] == 20
    assert {row["value"]: row["n"] for row in spoken["table"]} == {"en": 350, "nl": 20}
    assert spoken["disagreements"] == [{"declared": "en", "detected": "nl", "n": 40}]
    assert {("warn", "language"), ("info", "language")} <= found(document)


def test_a_source_that_gives_the_score_away_warns(make_labels: Makes, frame_of: Frames) -> None:
    rng = random.Random(1)
    labels = [
        with_scores(label, **{name: 2.0 * (at % 5) + rng.random() for name in DIMENSIONS})
        for at, label in enumerate(make_labels(310))
    ]
    document = look(frame_of(labels))
    assert ("warn", "source") in found(document)
    assert document["sources"]["omega2"] > 0.95


def test_many_small_sources_explain_nothing_by_chance() -> None:
    score = np.random.default_rng(2).normal(5, 1, 400)
    table = sources([f"s{at % 200}" for at in range(400)], score)
    assert table["eta2"] == pytest.approx(0.5, abs=0.1)
    assert table["omega2"] < 0.12
    assert sources(["only"] * 400, score)["eta2"] is None


def test_short_texts_warn(make_labels: Makes, frame_of: Frames) -> None:
    labels = [with_text(label, at, content=label.article.content[:150]) for at, label in enumerate(make_labels(310))]
    document = look(frame_of(labels))
    assert ("warn", "length") in found(document)
    assert document["lengths"]["short"] == 310
