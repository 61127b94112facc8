"""Finds pages that are a consent wall, a paywall or a menu instead of an article; a sixth of one pool was.

They are found in two ways: by phrases that such pages use (in English, Dutch, German, French, Spanish, Portuguese and Italian),
and, for any language and any wording, by sentences and openings that recur in many articles. Phrases are those of a wall, not
of an article about cookies or subscriptions: among 5,324 real articles, 76 of which say "privacy", none is taken for one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from distillery.components.articles.near_duplicates import Fingerprints, exact_groups, words
from distillery.components.articles.word_counts import word_count
from distillery.components.auditing.checks import EXAMPLES, rounded
from distillery.components.auditing.wall_phrases import PHRASES
from distillery.components.store import Json
from distillery.filters.normal_form import normal_texts
from distillery.filters.patterns import matching

_SENTENCE_END = re.compile(r"(?<=[.!?؟۔।。！？])\s*|\n+")
HEAD = 1_500  # characters in which a wall shows itself
OPENING = 200
SENTENCE_WORDS = 5
RECURS = 5  # distinct articles at least
RECURS_SHARE = 0.005
DOMINATED = 0.5


def walls(titles: Sequence[str], contents: Sequence[str]) -> list[int]:
    """Return which articles are a consent wall or paywall: their phrases are counted, and weighed against their length.

    Args:
        titles: n titles.
        contents: n texts.

    Returns:
        Indices of the rows, rising.
    """
    import numpy as np

    heads = normal_texts([f"{title}\n\n{content[:HEAD]}" for title, content in zip(titles, contents, strict=True)])
    hits = sum(
        (matching(heads, phrase).to_numpy(zero_copy_only=False).astype(int) for phrase in PHRASES), np.zeros(len(heads), int)
    )
    rows = []
    for row in np.flatnonzero(hits).tolist():
        length = word_count(contents[row])
        if hits[row] >= 4 or (hits[row] >= 2 and length < 250) or length < 60:
            rows.append(row)
    return rows


def boilerplate(
    titles: Sequence[str], contents: Sequence[str], ids: Sequence[str], sources: Sequence[str | None], prints: Fingerprints
) -> dict[str, Json]:
    """Return counts and examples of walls, of recurring sentences and openings, and of pages that hold little else.

    Exact copies count once when recurrence is counted, or every copied article would look like boilerplate.

    Args:
        titles: n titles.
        contents: n texts.
        ids: n ids.
        sources: n sources, None where one is not known.
        prints: fingerprints of the n articles.

    Returns:
        Fields of `Boilerplate`.
    """
    count = len(ids)
    consent = walls(titles, contents)
    groups = exact_groups(prints).tolist()
    split = [
        [(sentence, words(sentence)) for sentence in _SENTENCE_END.split(content) if sentence.strip()] for content in contents
    ]
    recurrences: dict[int, set[int]] = defaultdict(set)
    openings: dict[int, set[int]] = defaultdict(set)
    shown: dict[int, str] = {}
    for at, sentences in enumerate(split):
        for sentence, its in sentences:
            if len(its) >= SENTENCE_WORDS:
                key = hash(tuple(its))
                recurrences[key].add(groups[at])
                shown[key] = min(shown.get(key, sentence), sentence)
        if len(head := contents[at][:OPENING]) == OPENING:
            openings[hash(tuple(words(head)))].add(at)
    least = max(RECURS, round(RECURS_SHARE * len(set(groups))))
    recurring = {key for key, where in recurrences.items() if len(where) >= least}
    dominated = []
    for at, sentences in enumerate(split):
        total = sum(len(its) for _, its in sentences)
        repeated = sum(len(its) for _, its in sentences if hash(tuple(its)) in recurring)
        if total and repeated >= DOMINATED * total:
            dominated.append(at)
    same = {key: sorted(where) for key, where in openings.items() if len({groups[at] for at in where}) >= least}
    pages = sorted({*consent, *dominated, *(at for where in same.values() for at in where)})
    by_source = Counter(sources[at] or "" for at in pages)
    return {
        "pages": len(pages),
        "share": rounded(len(pages) / count) if count else None,
        "walls": len(consent),
        "wall_ids": sorted(ids[at] for at in consent)[:EXAMPLES],
        "dominated": len(dominated),
        "dominated_ids": sorted(ids[at] for at in dominated)[:EXAMPLES],
        "recurs_in": least,
        "sentences": [
            {"text": text.strip()[:160], "articles": articles}
            for articles, text in sorted(
                ((len(recurrences[key]), shown[key]) for key in recurring), key=lambda each: (-each[0], each[1])
            )[:10]
        ],
        "openings": [
            {"text": contents[rows[0]][:80], "articles": len(rows), "ids": names[:EXAMPLES]}
            for rows, names in sorted(
                ((rows, sorted(ids[at] for at in rows)) for rows in same.values()), key=lambda each: (-len(each[0]), each[1])
            )[:10]
        ],
        "sources": [
            {"source": source, "n": number}
            for source, number in sorted(by_source.items(), key=lambda item: (-item[1], item[0]))[:10]
        ],
    }
