"""The template files, read once and compiled: clauses per dimension and level, frames around them, topics, outlets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.demo.generator.grammar import Template, capital, compile_template

DIMENSIONS = (
    "technology_readiness_level",
    "technical_performance",
    "economic_competitiveness",
    "life_cycle_environmental_impact",
    "social_equity_impact",
    "governance_systemic_impact",
)
LEVELS = (1, 3, 5, 7, 9)
_AFTER_CONNECTIVE = {"affirm", "deny", "claim", "mixed", "before"}
FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Outlet:
    name: str
    slug: str
    language: str
    weight: float
    tilt: float
    off_topic: float
    consent: float
    promo: float
    length: float
    style: str


@dataclass(frozen=True)
class Theme:
    name: str
    title: tuple[Template, ...]
    body: tuple[Template, ...]


@dataclass(frozen=True)
class Bank:
    """One language: `clauses[dimension][level]`, `frames[kind]`, topics as fixed slots, pools for drawn slots."""

    language: str
    clauses: dict[str, dict[int, tuple[Template, ...]]]
    frames: dict[str, tuple[Template, ...]]
    consent: dict[str, tuple[Template, ...]]
    themes: tuple[Theme, ...]
    topics: tuple[dict[str, Any], ...]
    pools: dict[str, tuple[str, ...]]
    towns: tuple[str, ...]
    firms: tuple[str, ...]


def _load(path: Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)


def _templates(block: str, lower: bool = False) -> tuple[Template, ...]:
    # A sentence that opens with the clause is capitalised later, since a connective may come before it.
    lines = [line.strip() for line in block.strip().splitlines()]
    lines = ["{c}" + line[3:] if line.startswith("{C}") else line for line in lines]
    return tuple(compile_template(line[0].lower() + line[1:] if lower else line) for line in lines)


_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
}
_DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    "nl": ("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag"),
}
_WORDS = {
    "en": ("two", "three", "four", "five", "six"),
    "nl": ("twee", "drie", "vier", "vijf", "zes"),
}
_MORE = {"en": ("seven", "eight", "nine", "ten"), "nl": ("zeven", "acht", "negen", "tien")}
_ONE = {"en": ("one", "nil"), "nl": ("één", "nul")}
_HOURS = {
    "en": ("seven", "eight o'clock", "half past eight", "a quarter past nine", "ten", "half past ten"),
    "nl": ("zeven uur", "acht uur", "half negen", "kwart over negen", "tien uur"),
}


def _pools(language: str, names: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    suffix = "" if language == "en" else "s_nl"
    first, last = names["first" + suffix], names["last" + suffix]
    people = tuple(f"{a} {b}" for a in first for b in last)
    return {
        "few": _WORDS[language],
        "few_more": _MORE[language],
        "one": _ONE[language],
        "n2": tuple(str(n) for n in range(12, 80) if n not in (18, 80)),
        "n3": tuple(str(n) for n in range(120, 790, 10)),
        "pct_small": tuple(str(n) for n in (3, 4, 5, 6, 7, 9)),
        "pct_high": tuple(str(n) for n in range(55, 72)),
        "pct_big": tuple(str(n) for n in range(81, 97)),
        "years": tuple(str(n) for n in range(12, 25)),
        "past": tuple(str(n) for n in range(2014, 2023)),
        "future": tuple(str(n) for n in range(2028, 2036)),
        "minute": tuple(str(n) for n in range(21, 90)),
        "month": tuple(_MONTHS[language].split()),
        "day": _DAYS[language],
        "hour": _HOURS[language],
        "person": people,
        "person2": people,
    }


@cache
def bank(language: str) -> Bank:
    """The compiled templates of "en" or "nl"."""
    folder = FOLDER / language
    names = _load(FOLDER / "names.yaml")
    clauses = {
        dimension: {level: _templates(_load(folder / f"{dimension}.yaml")[f"level{level}"]) for level in LEVELS}
        for dimension in DIMENSIONS
    }
    themes = tuple(
        Theme(theme["theme"], _templates(theme["title"]), _templates(theme["body"]))
        for theme in _load(folder / "offtopic.yaml")
    )
    tails = names["tails" if language == "en" else "tails_nl"]
    return Bank(
        language=language,
        clauses=clauses,
        frames={
            kind: _templates(block, lower=kind in _AFTER_CONNECTIVE) for kind, block in _load(folder / "frames.yaml").items()
        },
        consent={kind: _templates(block) for kind, block in _load(folder / "consent.yaml").items()},
        themes=themes,
        topics=tuple(_topic(topic, language) for topic in _load(folder / "topics.yaml")),
        pools=_pools(language, names),
        towns=tuple(names["towns" if language == "en" else "towns_nl"]),
        firms=tuple(f"{stem} {tail}" for stem in names["stems"] for tail in tails),
    )


def _topic(topic: dict[str, Any], language: str) -> dict[str, Any]:
    things = topic["things"]
    if language == "nl":
        variants = [{"the_thing": definite, "The_thing": capital(definite), "a_thing": a} for definite, a in things]
        others = [{"the_thing2": definite} for definite, _ in things]
    else:
        variants = [{"thing": thing} for thing in things]
        others = [{"thing2": thing} for thing in things]
    fixed = {key: value for key, value in topic.items() if key != "things"}
    if "serves" in fixed:
        fixed["serves"] = compile_template(fixed["serves"])
    return {"fixed": {**fixed, "field_cap": capital(fixed["field"])}, "variants": variants, "others": others}


@cache
def outlets() -> tuple[Outlet, ...]:
    """All invented outlets."""
    rows = _load(FOLDER / "sources.yaml")
    return tuple(Outlet(slug=row["name"].lower().replace("'", "").replace(" ", "-"), **row) for row in rows)
