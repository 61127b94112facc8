"""Finds pages that are a consent wall, a paywall or a menu instead of an article; a sixth of one pool was.

They are found in two ways: by phrases that such pages use (in English, Dutch, German, French, Spanish, Portuguese and Italian),
and, for any language and any wording, by sentences and openings that recur in many articles. Phrases are those of a wall, not
of an article about cookies or subscriptions: among 5,324 real articles, 76 of which say "privacy", none is taken for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distillery.components.articles.shingle_sets import Indices
from distillery.components.articles.word_counts import word_count
from distillery.components.articles.word_hashes import word_hashes
from distillery.components.auditing.checks import EXAMPLES, rounded
from distillery.components.auditing.text_pass import SENTENCE_END, TextPass, Texts, sentence_keys
from distillery.components.auditing.wall_phrases import PHRASES
from distillery.components.store import Json
from distillery.filters.normal_form import normal_texts
from distillery.filters.patterns import matching

if TYPE_CHECKING:
    import pyarrow as pa

HEAD = 1_500  # characters in which a wall shows itself
RECURS = 5  # distinct articles at least
RECURS_SHARE = 0.005
DOMINATED = 0.5
AT_ONCE = 4  # phrases looked for together: faster than one by one; eight outgrow RE2's cache and are slower


def walls(titles: Sequence[str], contents: Sequence[str]) -> list[int]:
    """Return which articles are a consent wall or paywall: their phrases are counted, and weighed against their length.

    Args:
        titles: n titles.
        contents: n texts.

    Returns:
        Indices of the rows, rising.
    """
    heads = normal_texts([f"{title}\n\n{content[:HEAD]}" for title, content in zip(titles, contents, strict=True)])
    hits = phrases_found(heads)
    rows = []
    for row in np.flatnonzero(hits).tolist():
        length = word_count(contents[row])
        if hits[row] >= 4 or (hits[row] >= 2 and length < 250) or length < 60:
            rows.append(row)
    return rows


def phrases_found(texts: pa.LargeStringArray) -> Indices:
    """Count the phrases of a wall in texts.

    Args:
        texts: n texts in normal form.

    Returns:
        (n,) how many of PHRASES each has.
    """
    hits = np.zeros(len(texts), dtype=np.int64)
    for first in range(0, len(PHRASES), AT_ONCE):
        phrases = PHRASES[first : first + AT_ONCE]
        met = np.flatnonzero(matching(texts, "|".join(phrases)))
        for phrase in phrases if len(met) else ():
            hits[met] += matching(texts.take(met), phrase)
    return hits


def boilerplate(
    ids: Sequence[str],
    sources: Sequence[str | None],
    groups: Indices,
    consent: Sequence[int],
    passed: TextPass,
    texts: Texts,
) -> dict[str, Json]:
    """Return counts and examples of walls, of recurring sentences and openings, and of pages that hold little else.

    Exact copies count once when recurrence is counted, or every copied article would look like boilerplate.

    Args:
        ids: n ids.
        sources: n sources, None where one is not known.
        groups: (n,) the group of copies of each article.
        consent: rows that are a wall.
        passed: what was kept of the n texts.
        texts: gives them once more, for the examples.

    Returns:
        Fields of `Boilerplate`.
    """
    count = len(ids)
    least = max(RECURS, round(RECURS_SHARE * len(np.unique(groups))))
    recurrences, repeated, where = passed.recurring(groups, least)
    total = np.array(passed.total, dtype=np.int64)
    dominated = np.flatnonzero((total > 0) & (repeated >= DOMINATED * total)).tolist()
    same = _same_openings(passed, groups, least)
    pages = sorted({*consent, *dominated, *(at for rows in same for at in rows)})
    by_source = Counter(sources[at] or "" for at in pages)
    limit = sorted(recurrences.values(), reverse=True)[:10][-1:]
    shown = [key for key, articles in recurrences.items() if articles >= limit[0]]
    opened = sorted(((rows, sorted(ids[at] for at in rows)) for rows in same), key=lambda each: (-len(each[0]), each[1]))[:10]
    wording, heads = _examples(texts, count, {key: where[key] for key in shown}, [rows[0] for rows, _ in opened])
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
                ((recurrences[key], wording[key]) for key in shown), key=lambda each: (-each[0], each[1])
            )[:10]
        ],
        "openings": [{"text": heads[rows[0]][:80], "articles": len(rows), "ids": names[:EXAMPLES]} for rows, names in opened],
        "sources": [
            {"source": source, "n": number}
            for source, number in sorted(by_source.items(), key=lambda item: (-item[1], item[0]))[:10]
        ],
    }


def _same_openings(passed: TextPass, groups: Indices, least: int) -> list[list[int]]:
    """Return the rows of each opening that recurs, rising."""
    keys, rows = np.array(passed.openings, dtype=np.uint64), np.array(passed.opened, dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
    several = (rows[each] for each in np.split(order, cuts) if len(each) >= least)
    return [each.tolist() for each in several if len(np.unique(groups[each])) >= least]


def _examples(
    texts: Texts, count: int, sentence_rows: dict[int, Indices], opening_rows: Sequence[int]
) -> tuple[dict[int, str], dict[int, str]]:
    """Return the least wording of each sentence, by its key, and the contents of rows whose openings are shown."""
    wanted = np.zeros(count, dtype=bool)
    for rows in (*sentence_rows.values(), opening_rows):
        wanted[np.asarray(rows, dtype=np.int64)] = True
    if not wanted.any():
        return {}, {}
    opening, start = set(opening_rows), 0
    keys, wording, heads = np.array(list(sentence_rows), dtype=np.uint64), dict[int, str](), dict[int, str]()
    for _, contents in texts():
        pieces = list[str]()
        for row in (np.flatnonzero(wanted[start : start + len(contents)]) + start).tolist():
            content = contents[row - start]
            if row in opening:
                heads[row] = content
            pieces += SENTENCE_END.split(content)
        found = word_hashes(pieces)
        each, _ = sentence_keys(found.hashes, found.begins)
        piece = np.repeat(np.arange(len(pieces)), found.counts)[found.begins]
        for at in np.flatnonzero(np.isin(each, keys)).tolist():
            key, sentence = int(each[at]), pieces[piece[at]]
            wording[key] = min(wording.get(key, sentence), sentence)
        start += len(contents)
    return wording, heads
