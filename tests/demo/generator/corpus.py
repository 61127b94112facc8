"""Articles made of latent facts, put into words that are the same for good and bad outcomes.

What differs is who is spoken of, and what is denied, claimed or undone. Some 5% of the articles hold a denial and 3% a
reversal; README.md says how far the student gets with them and what was tried to have more.

Each article: draw a state (latent.py), choose which dimensions are told of, render each as a frame around a clause
(a plain statement, a denial of the opposite, a claim without evidence, a half-truth), mix in facts about other projects
that count for nothing, and write down what a careful reader would conclude: the reference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

from tests.demo.generator.bank import DIMENSIONS, Bank, Outlet, bank, outlets
from tests.demo.generator.grammar import Slot, Template, capital, indefinite, pick, render
from tests.demo.generator.latent import CENTRE, PERFORMANCE, READINESS, SIDE, SIDES, State, conclude, draw_state, nearest

COPY_RATE, CONSENT_RATE, OFF_TOPIC_RATE, PROMO_RATE = 0.027, 0.04, 0.15, 0.05
# How a level is put into words other than plainly: share, and the levels of the clause that is denied or claimed.
DENIED = {1: (0.06, (7, 9)), 7: (0.04, (1, 3)), 3: (0.0, ()), 5: (0.0, ()), 9: (0.0, ())}
CLAIMED = 0.20
HALF_TRUE = 0.12
TURN_DOWN, TURN_UP = 0.03, 0.03
GIST, PAIRED = 1.0, 0.35
# Shares of articles that tell of two, three, four or five dimensions; good work is described at more length.
TOLD, STAR_TOLD = (0.75, 0.2, 0.05, 0.0), (0.6, 0.3, 0.1, 0.0)
# What another outlet adds to a copy, by language.
CREDITS = {
    "en": ("This article first appeared in {}.", "With permission of {}.", "From our partner paper {}."),
    "nl": ("Dit artikel verscheen eerder in {}.", "Overgenomen uit {}."),
}
PREFIXES = {"en": ("", "", "From the region: ", "Reprint: "), "nl": ("", "Uit de regio: ")}
_DAY_ONE = date(2023, 1, 2)


@dataclass(frozen=True)
class DemoArticle:
    """An article. `reference`: dimension to true score, 0-10. `planted`: news, promo, consent, off-topic or copy."""

    id: str
    title: str
    content: str
    source: str
    language: str
    url: str
    published: str
    reference: dict[str, float]
    planted: str
    copy_of: str = ""

    def row(self) -> dict[str, Any]:
        """The article as one row of articles.jsonl; what was planted is not told."""
        return {name: value for name, value in asdict(self).items() if name not in ("planted", "copy_of")}


def _possessive(name: str) -> str:
    return f"{name}'" if name.endswith("s") else f"{name}'s"


class Sentence(NamedTuple):
    text: str
    role: str  # lead, fact, other, background, tail, closing


@dataclass(frozen=True)
class _Draft:
    article: DemoArticle
    outlet: Outlet
    sentences: list[Sentence]
    town: str


class _Writer:
    """One article's words: its fixed slots and its random stream. Sentences are not repeated within an article."""

    def __init__(self, rng: Random, outlet: Outlet) -> None:
        self.rng = rng
        self.outlet = outlet
        self.bank: Bank = bank(outlet.language)
        self.used: set[int] = set()
        topic = pick(rng, self.bank.topics)
        firms, towns = rng.sample(self.bank.firms, 2), rng.sample(self.bank.towns, 2)
        self.fixed: dict[str, str] = {
            **topic["fixed"],
            **pick(rng, topic["variants"]),
            **pick(rng, topic["others"]),
            "firm": firms[0],
            "rival": firms[1],
            "firm_s": _possessive(firms[0]),
            "rival_s": _possessive(firms[1]),
            "town": towns[0],
            "town2": towns[1],
            "outlet": outlet.name,
        }
        if "serves" in topic["fixed"]:
            self.fixed["serves"] = render(topic["fixed"]["serves"], rng, {}, self.bank.pools)

    def fresh(self, options: tuple[Template, ...]) -> Template:
        """A template not yet used in this article, as long as there is one."""
        for _ in range(6):
            template = pick(self.rng, options)
            if id(template) not in self.used:
                break
        self.used.add(id(template))
        return template

    def fill(self, template: Template) -> str:
        return render(template, self.rng, self.fixed, self.bank.pools)

    def frame(self, kind: str, clause: str = "") -> str:
        """A sentence of one kind around a clause."""
        fixed = self.fixed
        attribution = self.fill(pick(self.rng, self.bank.frames["attribution"]))
        fixed["c"], fixed["C"] = clause, capital(clause)
        fixed["A"], fixed["A_cap"] = attribution, capital(attribution)
        return self.fill(self.fresh(self.bank.frames[kind]))

    def sentence(self, kind: str, role: str) -> Sentence:
        return Sentence(capital(self.frame(kind)), role)

    def tail(self, parts: list[Template]) -> list[Sentence]:
        """Sentences that say nothing of a project."""
        return [Sentence(capital(self.fill(part)), "tail") for part in parts]

    def clause(self, dimension: str, level: int, pronoun: bool = False) -> str:
        """A clause about the project. `it` only as the grammatical subject, and where nobody else was spoken of."""
        template = self.fresh(self.bank.clauses[dimension][level])
        subject = self.fill(pick(self.rng, self.bank.frames["own_subject"]))
        if subject == "it" and not (pronoun and template[0] == Slot("S")):
            subject = f"the {self.fixed['thing']}"
        self.fixed["S"] = subject
        return self.fill(template)

    def other_clause(self, dimension: str, level: int) -> str:
        """A clause about somebody else's project, in the other town."""
        fixed = self.fixed
        fixed["S"] = self.fill(pick(self.rng, self.bank.frames["other_subject"]))
        fixed["town"], fixed["town2"] = fixed["town2"], fixed["town"]
        text = self.fill(self.fresh(self.bank.clauses[dimension][level]))
        fixed["town"], fixed["town2"] = fixed["town2"], fixed["town"]
        return text


def _fact(writer: _Writer, dimension: str, state: State, level: int, pronoun: bool, past: bool) -> tuple[str, float]:
    """One sentence about the project, and the score a reader concludes from it."""
    rng = writer.rng
    chance = rng.random()
    denied, opposite = DENIED[level]
    # Half-truths and claims are about praise; a half-true disaster would read as one.
    if past:
        return writer.frame("before", writer.clause(dimension, level)), CENTRE[level]
    kind, said, centre = "affirm", level, CENTRE[level]
    if chance < denied:
        kind, said, centre = "deny", pick(rng, opposite), 1.7 if level < 5 else 6.2
    elif level == 3 and chance < denied + CLAIMED:
        kind, said, centre = "claim", pick(rng, (7, 9)), 2.9
    elif level == 5 and chance < HALF_TRUE:
        kind, said, centre = "mixed", pick(rng, (7, 9)), 4.5
    text = writer.frame(kind, writer.clause(dimension, said, pronoun))
    residue = max(-0.3, min(0.3, 0.3 * (state.latent[dimension] - level)))
    return text, centre + residue


def _joined(writer: _Writer, text: str, score: float, before: float | None) -> str:
    """A connective that fits what was said before: another word in favour, or a turn."""
    # A Dutch connective ends in a colon; two colons in a row read badly.
    if before is None or writer.rng.random() > 0.22 or ":" in text:
        return capital(text)
    turn = (before - 5) * (score - 5) < 0
    if not turn and abs(before - score) >= 2.5:
        return capital(text)
    return f"{writer.frame('connective_turn' if turn else 'connective_same')} {text}"


def _facts(writer: _Writer, state: State, promo: bool) -> tuple[list[Sentence], dict[str, float], dict[str, float]]:
    """Sentences, the score told by dimension, and where each side (works, world) stands in the end."""
    rng = writer.rng
    told = rng.sample(DIMENSIONS, rng.choices((2, 3, 4, 5), STAR_TOLD if state.archetype == "star" else TOLD)[0])
    levels = {dimension: state.level(dimension) for dimension in told}
    turn = ""
    sides = {side: sum(state.latent[name] for name in names) / len(names) for side, names in SIDES.items()}
    if not promo and READINESS in told:
        if levels[READINESS] >= 7 and rng.random() < TURN_DOWN:
            turn = "turn_down"
            sides = {"works": 1.0, "world": 0.6 * sides["world"]}
        elif levels[READINESS] >= 5 and rng.random() < TURN_UP:
            turn = "turn_up"
            sides["works"] = max(6.6, sides["works"])
            told.sort(key=lambda dimension: dimension not in (READINESS, PERFORMANCE))
            levels |= {name: pick(rng, (1, 3)) for name in (READINESS, PERFORMANCE) if name in levels}
    sentences: list[Sentence] = []
    scores: dict[str, float] = {}
    before: float | None = None
    others = rng.choices((0, 1), (0.85, 0.15))[0] if not promo else 0
    slots = set(rng.sample(range(1, len(told) + 1), min(others, len(told) - 1)))
    for position, dimension in enumerate(told):
        if turn == "turn_up" and dimension not in (READINESS, PERFORMANCE):
            _turn_up(writer, sentences, scores)
            turn, before = "", None
        if position in slots:
            # A fact about somebody else, by preference the opposite of what holds here.
            about = pick(rng, DIMENSIONS)
            far = pick(rng, (1, 3) if state.latent[about] > 5 else (7, 9)) if rng.random() < 0.75 else pick(rng, (1, 9))
            sentences.append(Sentence(writer.frame("other", writer.other_clause(about, far)), "other"))
            before = None
        if promo:
            score = 2.8
            praise = writer.clause(dimension, pick(rng, (7, 9)))
            text = writer.frame("claim", praise) if rng.random() < 0.25 else f"{praise}."
        else:
            text, score = _fact(writer, dimension, state, levels[dimension], before is not None, turn == "turn_up")
        sentences.append(Sentence(_joined(writer, text, score, before), "fact"))
        scores[dimension] = before = score
    if turn == "turn_up":
        _turn_up(writer, sentences, scores)
    if turn == "turn_down":
        sentences.append(Sentence(writer.frame("turn_down"), "fact"))
        # Gone is gone: what it did well, it does no longer.
        scores = {name: min(1.6, score) if SIDE[name] == "works" else 0.6 * score for name, score in scores.items()}
    return sentences, scores, sides


def _gist(writer: _Writer, sides: dict[str, float]) -> tuple[list[Sentence], dict[str, float]]:
    """One or two sentences that sum up both sides, and what a reader takes from them."""
    rng = writer.rng
    levels = {side: nearest(value) for side, value in sides.items()}
    scores = {side: CENTRE[level] for side, level in levels.items()}
    if rng.random() < PAIRED:
        for side, level in levels.items():
            phrase = writer.fill(pick(rng, writer.bank.frames[f"{side}_side"]))
            writer.fixed[side] = writer.fill(pick(rng, writer.bank.frames[f"grade{level}"]))
            writer.fixed[f"{side}_side"], writer.fixed[f"{side}_side_cap"] = phrase, capital(phrase)
        texts = [writer.frame("pair")]
    else:
        texts = [writer.frame(f"{side}{level}") for side, level in levels.items()]
        rng.shuffle(texts)
    return [Sentence(capital(text), "gist") for text in texts], scores


def _turn_up(writer: _Writer, sentences: list[Sentence], scores: dict[str, float]) -> None:
    sentences.append(Sentence(writer.frame("turn_up"), "fact"))
    scores.update({name: 6.6 for name in (READINESS, PERFORMANCE) if name in scores})


def _length(writer: _Writer, sentences: list[Sentence]) -> None:
    """Padding that says nothing of the project: a little inside, and in one article of six a long tail."""
    rng = writer.rng
    if rng.random() < 0.7:
        return
    if rng.random() < 0.4 * writer.outlet.length:
        sentences.insert(rng.randrange(2, len(sentences) + 1), writer.sentence("background", "background"))
    chance = rng.random() / writer.outlet.length
    tail = 1 if chance < 0.36 else 0
    tail += rng.randrange(1, 3) if chance < 0.2 else 0
    tail += rng.randrange(3, 7) if chance < 0.08 else 0
    kept = min(tail, len(writer.bank.frames["long_tail"]))
    sentences += [writer.sentence("long_tail", "tail") for _ in range(kept)]
    if rng.random() < 0.15:
        sentences.append(writer.sentence("closing", "closing"))


def _title(writer: _Writer, mean: float) -> str:
    rng = writer.rng
    # Headlines lean the right way more often than not, and no more than that.
    kind = "title"
    if rng.random() < 0.28:
        leaning = (mean > 4.5) == (rng.random() < 0.7)
        kind = "title_up" if leaning else "title_down"
    return capital(writer.frame(kind))


def _news(writer: _Writer, promo: bool) -> tuple[str, list[Sentence], dict[str, float]]:
    state = draw_state(writer.rng, writer.outlet.tilt)
    facts, told, sides = _facts(writer, state, promo)
    gist, summary = _gist(writer, sides) if not promo and writer.rng.random() < GIST else ([], {})
    reference = conclude(told, summary)
    lead = writer.sentence("promo" if promo else "lead", "lead")
    sentences = [lead, *gist, *facts] if writer.rng.random() < 0.7 else [lead, *facts, *gist]
    if promo:
        reference = dict.fromkeys(DIMENSIONS, 2.8)
        sentences.append(writer.sentence("promo_close", "closing"))
        title = capital(writer.frame("title_up"))
    else:
        _length(writer, sentences)
        title = _title(writer, sum(reference.values()) / len(reference))
    return title, sentences, reference


def _off_topic(writer: _Writer) -> tuple[str, list[Sentence], dict[str, float]]:
    rng = writer.rng
    theme = pick(rng, writer.bank.themes)
    count = min(len(theme.body), rng.randrange(5, 9))
    sentences = writer.tail(rng.sample(theme.body, count))
    level = 0.2 + 0.5 * rng.random()
    reference = {name: round(min(1.4, max(0.0, level + rng.gauss(0.0, 0.25))), 1) for name in DIMENSIONS}
    return capital(writer.fill(pick(rng, theme.title))), sentences, reference


def _consent(writer: _Writer) -> tuple[str, list[Sentence], dict[str, float]]:
    rng = writer.rng
    sentences = writer.tail(rng.sample(writer.bank.consent["wall"], rng.randrange(5, 9)))
    writer.frame("attribution")
    if rng.random() < 0.5:
        teaser = capital(writer.fill(pick(rng, writer.bank.consent["teaser"])))
        sentences.insert(0, Sentence(teaser, "lead"))
    reference = {name: round(max(0.0, rng.gauss(0.1, 0.15)), 1) for name in DIMENSIONS}
    return _title(writer, 5.0), sentences, reference


def _text(rng: Random, outlet: Outlet, town: str, sentences: list[Sentence]) -> str:
    """Paragraphs of one to four sentences; a tail is a paragraph of its own."""
    paragraphs: list[list[str]] = [[]]
    size = rng.randrange(2, 5)
    for sentence in sentences:
        if len(paragraphs[-1]) >= size or (sentence.role == "tail" and paragraphs[-1] and len(sentence.text) > 160):
            paragraphs.append([])
            size = rng.randrange(1, 5)
        paragraphs[-1].append(sentence.text)
    text = "\n\n".join(" ".join(paragraph) for paragraph in paragraphs)
    if outlet.style == "dateline":
        text = f"{town.upper()} – {text}"
    return indefinite(text) if outlet.language == "en" else text


def _copy(rng: Random, draft: _Draft) -> tuple[Outlet, str, list[Sentence]]:
    """The same piece in another outlet: another dateline, the last words changed, sometimes an agency's name."""
    shelf = [outlet for outlet in outlets() if outlet.language == draft.outlet.language and outlet != draft.outlet]
    outlet = pick(rng, shelf)
    sentences = [sentence for sentence in draft.sentences if sentence.role != "closing"]
    credit = pick(rng, CREDITS[outlet.language]).format(draft.outlet.name)
    title = pick(rng, PREFIXES[outlet.language]) + draft.article.title
    return outlet, title, [*sentences, Sentence(credit, "closing")]


def generate(n: int = 1500, seed: int = 7) -> Iterator[DemoArticle]:
    """Yield `n` articles, the same for the same seed; the first k of n are those of `generate(k)`.

    About 12% Dutch, 15% off-topic, 4% consent walls, 5% promotion and 2.7% syndicated copies of one of the last
    300 articles.
    """
    rng = Random(seed)
    everywhere = outlets()
    weights = [outlet.weight for outlet in everywhere]
    shares = {
        kind: [outlet.weight * getattr(outlet, kind) for outlet in everywhere] for kind in ("off_topic", "consent", "promo")
    }
    recent: deque[_Draft] = deque(maxlen=300)
    for index in range(n):
        chance = rng.random()
        copy_of = ""
        if chance < COPY_RATE and len(recent) > 20:
            at = rng.randrange(len(recent))
            draft = recent[at]
            del recent[at]
            outlet, title, sentences = _copy(rng, draft)
            reference, town, planted, copy_of = draft.article.reference, draft.town, "copy", draft.article.id
        else:
            planted = _kind(chance - COPY_RATE)
            outlet = rng.choices(everywhere, shares.get(planted.replace("-", "_"), weights))[0]
            writer = _Writer(rng, outlet)
            town = writer.fixed["town"]
            if planted == "off-topic":
                title, sentences, reference = _off_topic(writer)
            elif planted == "consent":
                title, sentences, reference = _consent(writer)
            else:
                title, sentences, reference = _news(writer, planted == "promo")
        published = _DAY_ONE + timedelta(days=rng.randrange(1000))
        identity = f"demo-{index + 1:05d}"
        article = DemoArticle(
            id=identity,
            title=indefinite(title) if outlet.language == "en" else title,
            content=_text(rng, outlet, town, sentences),
            source=outlet.slug,
            language=outlet.language,
            url=f"https://{outlet.slug}.example.org/{published:%Y/%m}/{identity}",
            published=published.isoformat(),
            reference=dict(reference),
            planted=planted,
            copy_of=copy_of,
        )
        if planted == "news":
            recent.append(_Draft(article, outlet, sentences, town))
        yield article


def _kind(chance: float) -> str:
    for kind, rate in (("consent", CONSENT_RATE), ("off-topic", OFF_TOPIC_RATE), ("promo", PROMO_RATE)):
        if chance < rate:
            return kind
        chance -= rate
    return "news"
