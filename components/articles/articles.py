"""Articles and labels, and how they are read from people's files.

Rows from outside are checked one by one; a bad one is recorded with its line and the reason, never guessed at and never
turned into a zero. Scores are matched to dimensions by name only. Text is kept as it is, with three exceptions without which
nothing downstream works: NUL characters are dropped, lone surrogates become U+FFFD, and digests are taken over NFC. Reading
keeps about 100 bytes an article to notice ids used twice, so a million articles take 100 MB.
"""

from __future__ import annotations

import difflib
import json
import math
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.components.articles.cells import WORDS_FOR_MISSING, clean, is_missing, long_text, score, short_text, title_text
from distillery.components.articles.columns import COLUMNS, Renamed
from distillery.components.articles.folders import FolderColumns, shards
from distillery.components.articles.forms import unknown_form
from distillery.components.articles.near_names import bare_name
from distillery.components.articles.readers import read_rows
from distillery.components.articles.rejects import Reject, Rejects
from distillery.components.articles.score_forms import ANALYSIS, LABELS, flat, plain_score, scores_of
from distillery.components.store import Digest, digest_json
from distillery.filters.columns import AS_OURS, ScoreForm
from distillery.filters.errors import InputError
from distillery.filters.prompt import NO_TYPE

__all__ = [
    "COLUMNS",
    "Article",
    "Label",
    "Reject",
    "Rejects",
    "article_digest",
    "as_article",
    "check_content_type",
    "clean",
    "match",
    "parse_max_rejects",
    "read_articles",
    "read_labels",
]

MAX_CHARACTERS = 1_000_000
ADVICE = {
    "is outside 0 to 10": "where all scores have another scale: {overrides} 'data.scale=[0, 100]'",
    "is not an object but \"{'": "where Python wrote objects with single quotes: df['scores'].map(json.dumps) before to_csv",
    "is not a number but an object": "where each is an object with a score and its reason: {map} scores=scores",
}


def article_digest(title: str, content: str) -> Digest:
    """Return the identity of an article's text.

    Args:
        title: the title.
        content: the text below it.

    Returns:
        The sha256 of both, cleaned and in NFC.
    """
    return digest_json([unicodedata.normalize("NFC", clean(title)), unicodedata.normalize("NFC", clean(content))])


def own_id(digest: str) -> str:
    """Return the id of an article that its file gives none.

    Args:
        digest: of the article's text.

    Returns:
        The first 16 digits.
    """
    return digest[:16]


@dataclass(frozen=True, slots=True)
class Article:
    """An article.

    Attributes:
        id: what its owner calls it.
        title: the title.
        content: the text below it.
        source: who published it.
        language: a code such as "en".
        url: where it was found.
        published: when it was published, as its owner writes it.
        reference: true scores where somebody knows them; never shown to oracle or student.
        drawn_by: the rule of a sample that drew it (random, stratified, enrich, weak); empty where no rule did.
    """

    id: str
    title: str
    content: str
    source: str = ""
    language: str = ""
    url: str = ""
    published: str = ""
    reference: dict[str, float] | None = None
    drawn_by: str = ""

    @property
    def digest(self) -> Digest:
        """The identity of the article's text."""
        return article_digest(self.title, self.content)


@dataclass(frozen=True, slots=True)
class Label:
    """An article with a score of 0 to 10 for each dimension, and the content type where the filter has any."""

    article: Article
    scores: dict[str, float]
    content_type: str | None = None


def read_articles(path: str | Path, *, rejects: Rejects, columns: Mapping[str, str] | None = None) -> Iterator[Article]:
    """Yield the articles of a file or of a folder of files; memory stays flat.

    Args:
        path: the file, of any form that `forms` tells, or the folder.
        rejects: where bad rows are counted and kept.
        columns: our names for columns of the file, as a filter has them; None for none.

    Yields:
        Each article once; a row that repeats an earlier one exactly is only counted.

    Raises:
        InputError: the file as a whole can't be used, or (at the end) not one row was good.
    """
    path, seen, good = Path(path), dict[int, int](), 0
    for file, line, row in _rows(path, rejects, columns):
        try:
            article = as_article(row)
        except ValueError as error:
            rejects.add(file, line, str(error))
            continue
        key, text = hash(article.id), hash((article.title, article.content))
        if key not in seen:
            seen[key] = text
            good += 1
            yield article
        elif seen[key] == text:
            rejects.collapsed += 1
        else:
            rejects.add(file, line, f"id '{article.id}' was used above for another text")
    if not good:
        raise _stopped(path, rejects, "no row is an article", _near_hint(rejects, "content"))


def read_labels(
    path: str | Path,
    dimensions: Sequence[str],
    *,
    rejects: Rejects,
    max_rejects: str = "0",
    content_types: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    form: ScoreForm = AS_OURS,
) -> Iterator[Label]:
    """Yield the labels of a file or of a folder of files, each with exactly one score for each dimension.

    Nothing may be written before the iterator has ended, since only then the bad rows are counted.

    Args:
        path: the file, of any form that `forms` tells, or the folder.
        dimensions: names of the dimensions, in the order that the scores are to have.
        rejects: where bad rows are counted and kept.
        max_rejects: how many bad rows are acceptable, "20" or "1%".
        content_types: names of the filter's content types, one of which (or "none") a row that has a content type must have;
            without any, a content type means nothing and is kept as it is.
        columns: our names for columns of the file, as a filter has them; None for none.
        form: the file's names of dimensions and its scales, as a filter has them; true scores are 0 to 10 under our names.

    Yields:
        Each label once; a row that repeats an earlier one exactly is only counted.

    Raises:
        InputError: the file as a whole can't be used, an id stands for two texts or two sets of scores, or (at the end) too
            many rows were bad or none was good.
    """
    allowed, reasoned = parse_max_rejects(max_rejects), "scores" in (columns or {}).values()  # who names them knows them
    path, seen, dims = Path(path), dict[str, tuple[str, Digest, Label]](), list(dimensions)
    for file, line, row in _rows(path, rejects, columns, scores=True):
        try:
            label = _label(row, dims, content_types, form, reasoned)
        except ValueError as error:
            rejects.add(file, line, str(error))
            continue
        digest = label.article.digest
        if earlier := seen.get(label.article.id):
            before = earlier[2]
            if earlier[1] != digest or (before.scores, before.content_type) != (label.scores, label.content_type):
                scored = "scores" if before.scores != label.scores else "content type"
                other = "text" if earlier[1] != digest else scored
                raise InputError(
                    f"id '{label.article.id}' has other {other} in {earlier[0]}",
                    where=f"{file}:{line}",
                    hint="give each article its own id, once",
                )
            rejects.collapsed += 1
            continue
        place = f"line {line}" if file == path else f"{file.name}:{line}"
        seen[label.article.id] = (place, digest, label)
        yield label
    if rejects.count > (allowed * rejects.rows if "%" in max_rejects else allowed):
        hint = "mend them, or go on without them: {max_rejects} 20 or {max_rejects} 1%"
        if not seen:  # nothing would be left to go on with
            hint = _near_hint(rejects, "content", "scores", dimensions=dims) or "mend them"
        for fault, advice in ADVICE.items():
            if any(fault in each.reason for each in rejects.first[:3]):
                hint += f"; {advice}"
        raise _stopped(path, rejects, f"{rejects.count:,} of {rejects.rows:,} rows are bad", hint)
    if not seen:
        raise _stopped(path, rejects, "no row is a label", _near_hint(rejects, "content", "scores", dimensions=dims))


def parse_max_rejects(text: str) -> float:
    """Parse how many bad rows are acceptable.

    Args:
        text: a count such as "20" or a percentage such as "1%".

    Returns:
        The count, or the share of the rows (0 to 1) where the text ends with "%".

    Raises:
        InputError: it is neither.
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number) / 100 if "%" in text else int(number)
    except ValueError:
        value = -1
    if not 0 <= value < math.inf or ("%" in text and value > 1):
        raise InputError(
            f"{text!r} is neither a count nor a percentage",
            parameter="max_rejects",
            hint="write {max_rejects} 20 or {max_rejects} 1%",
        )
    return value


def _rows(
    path: Path, rejects: Rejects, columns: Mapping[str, str] | None, *, scores: bool = False
) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """Yield the good rows of a file or a folder, under our names, each with its file and line; count the others."""
    renamed, rejects.folder = Renamed(columns), path if path.is_dir() else None
    wanted = COLUMNS | LABELS if scores else COLUMNS
    prefixes, endings = ("reference.", *(["score."] if scores else [])), (ANALYSIS,) if scores else ()
    for name, file in shards(path):
        folders = FolderColumns(name, renamed)
        for line, row, fault in read_rows(file, wanted, prefixes, renamed, endings):
            rejects.rows += 1
            if row is None:
                rejects.add(file, line, fault)
                continue
            row = folders.row(row)
            rejects.seen.add(row)
            yield file, line, row
    rejects.unmet = renamed.notes()


def _near_hint(rejects: Rejects, *columns: str, dimensions: Sequence[str] = ()) -> str:
    """Return what to add where rows lack a column that they have by another name; empty where they don't."""
    seen = rejects.seen
    if seen.listed and seen.rows == 1 and not seen.names["content"]:
        return f"its one object holds the articles: take them out: jq '.{seen.listed}' FILE > articles.json"
    for column in columns:
        if not seen.names[column] and (near := seen.near(column)) and not (column == "scores" and seen.names.keys() >= LABELS):
            return f"no row has {column!r}; the file has {near[0]!r}: add {{map}} {shlex.quote(f'{near[0]}={column}')}"
    if seen.names and "content" in columns and not seen.names["content"]:
        has = ", ".join(repr(name[:60]) for name, _ in seen.names.most_common(8))
        return f"no row has 'content'; the file has {has}: add {{map}} COLUMN=content for the column of the article's text"
    if not (dimensions and seen.rows) or seen.names["scores"] or any(f"score.{name}" in seen.names for name in dimensions):
        return ""
    own = {name: next((other for other in seen.names if name in (other, bare_name(other))), "") for name in dimensions}
    maps = " ".join(f"{{map}} {shlex.quote(f'{other}={name}')}" for name, other in own.items() if other)
    called = "bare" if all(other in ("", name) for name, other in own.items()) else "other"
    if maps or any(seen.names[name] for name in LABELS) or any(name.endswith(ANALYSIS) for name in seen.names):
        return f"the scores have {called} names: add {maps}" if maps else ""
    return f"no row has 'scores': add {{map}} COLUMN={dimensions[0]}, and so for the column of each dimension's scores"


def _stopped(path: Path, rejects: Rejects, what: str, hint: str = "") -> InputError:
    if not rejects.seen.rows and not rejects.folder and (error := unknown_form(path)):
        return error
    first = "; ".join(f"{path / file if rejects.folder else path}:{line}: {reason}" for file, line, reason in rejects.first[:3])
    return InputError(f"{what}: {first}" if first else what, where=str(path), hint=hint)


def as_article(row: dict[str, Any]) -> Article:
    """Convert a row of a table to an article.

    Args:
        row: the row, from outside and not to be trusted.

    Returns:
        The article; without an id of its own it is named by its digest.

    Raises:
        ValueError: the row is not an article; the message says what is wrong with it.
    """
    title, content = _text(row, "title", title_text), _text(row, "content", long_text)
    if not content.strip():
        raise ValueError("has no content" if is_missing(row.get("content")) else "its content is empty")
    if len(title) + len(content) > MAX_CHARACTERS:
        raise ValueError(f"has {len(title) + len(content):,} characters, more than {MAX_CHARACTERS:,}")
    return Article(
        id=_plain(row, "id") or own_id(article_digest(title, content)),
        title=title,
        content=content,
        source=_plain(row, "source"),
        language=_plain(row, "language"),
        url=_plain(row, "url"),
        published=_plain(row, "published") or _plain(row, "published_date"),
        reference=_reference(row),
        drawn_by=_plain(row, "drawn_by"),
    )


def _text(row: dict[str, Any], key: str, read: Callable[[Any], str]) -> str:
    try:
        return read(row.get(key))
    except ValueError as error:
        raise ValueError(f"its {key} {error}") from None


def _plain(row: dict[str, Any], key: str) -> str:
    """Return a short field as text; what stands for a missing value is empty."""
    try:
        text = short_text(row.get(key))
    except ValueError as error:
        raise ValueError(f"its {key} {error}") from None
    if text in WORDS_FOR_MISSING and key != "id" and (key, text) != ("language", "nan"):  # nan is Min Nan Chinese
        return ""
    return text


def _reference(row: dict[str, Any]) -> dict[str, float] | None:
    scores = flat(row, "reference", "reference.")
    known = {name: value for name, value in (scores or {}).items() if not is_missing(value)}
    return {name: score(name, value, "reference") for name, value in known.items()} or None


def _label(row: dict[str, Any], dimensions: list[str], content_types: Sequence[str], form: ScoreForm, reasoned: bool) -> Label:
    article, stated = as_article(row), scores_of(row, form)
    # a column of structs has a field for every name that any row has; null says that this row has not
    match([name for name, value in stated.cells.items() if value is not None or name in dimensions], dimensions)
    kind = _plain(row if row.get("content_type") else {"content_type": stated.kind}, "content_type") or None
    if kind is not None and content_types:
        check_content_type(kind, content_types)
    reasoned = reasoned or stated.reasoned
    return Label(article, {name: plain_score(name, stated.cells[name], form, reasoned=reasoned) for name in dimensions}, kind)


def check_content_type(name: str, content_types: Sequence[str]) -> None:
    """Raise unless a content type is one of the filter's.

    Args:
        name: the content type; "none" stands for any other article.
        content_types: names of the filter's content types, at least one.

    Raises:
        ValueError: the filter lacks it; the message has the nearest name and all others.
    """
    if name != NO_TYPE and name not in content_types:
        near = difflib.get_close_matches(name.lower(), [*content_types, NO_TYPE], 1, cutoff=0)[0]
        quoted = json.dumps(name[:60], ensure_ascii=False)
        raise ValueError(f"content_type is {quoted}, not one of {', '.join(content_types)} (nearest: '{near}')")


def match(scored: Iterable[str], dimensions: Sequence[str]) -> None:
    """Raise unless the scores are those of the filter's dimensions.

    Args:
        scored: names of the scores, in any order.
        dimensions: names of the filter's dimensions.

    Raises:
        ValueError: a dimension is missing or one too many; the message names the first, and the nearest other name.
    """
    names = list(scored)
    missing = [name for name in dimensions if name not in names]
    extra = [name for name in names if name not in dimensions]
    if missing:
        near = difflib.get_close_matches(missing[0], extra, 1)
        raise ValueError(f"lacks dimension '{missing[0]}'" + (f" (it has '{near[0]}')" if near else ""))
    if extra:
        near = difflib.get_close_matches(extra[0], dimensions, 1, cutoff=0)
        hint = f" (nearest: '{near[0]}')" if near else ""
        raise ValueError(f"has dimension '{extra[0]}', which the filter lacks{hint}")
