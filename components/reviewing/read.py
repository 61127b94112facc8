"""Reads what reviewers gave back: workbooks, files of the page, exports of Label Studio. One damaged file spoils no other."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from distillery.components.articles.cells import NUMBER
from distillery.components.articles.columns import Renamed
from distillery.components.articles.workbook import sheet_rows
from distillery.components.artifacts.review import ORACLE, STUDENT
from distillery.components.reviewing.agreement import PEOPLE
from distillery.components.reviewing.draw import Judged
from distillery.components.reviewing.forms import ABOUT, ANYBODY, PAGE
from distillery.filters.errors import InputError, one_line
from distillery.filters.strict_json import loads

MAX_BYTES: Final = 64 * 2**20
MAX_NAME: Final = 80
MAX_REVIEWERS: Final = 20
TAKEN: Final = (PEOPLE, ORACLE, STUDENT)
ENDINGS: Final = (".xlsx", ".json")

Scores = dict[str, dict[str, dict[str, float]]]  # by reviewer, article and dimension


class ReadBack(NamedTuple):
    """What was read. scores: by reviewer, article and dimension. left_out: a line for each file that could not be used."""

    scores: Scores
    left_out: list[str]


class _Cell(NamedTuple):
    """One score as a file has it. where: its place in the file."""

    where: str
    reviewer: str
    article: str
    dimension: str
    value: object


def read_reviews(judged: Judged, paths: Sequence[str]) -> ReadBack:
    """Read reviewers' files; one that is damaged, or contradicts one read before, is left out with one line.

    Args:
        judged: the test part that the articles are of.
        paths: files, or folders of files.

    Returns:
        The scores, and what was left out.

    Raises:
        InputError: there is no file at a path, or none could be used.
    """
    scores: Scores = {}
    left_out = []
    known = set(judged.articles())
    for path in _files(paths):
        try:
            _merge(scores, _read(judged, known, path), str(path))
        except InputError as error:
            left_out.append(one_line(str(error)))
    if not scores:
        if len(left_out) == 1:
            raise InputError(left_out[0])
        raise InputError(f"no file could be used: {'; '.join(left_out)}", hint="save them again, and read them anew")
    return ReadBack(scores, left_out)


def _files(paths: Sequence[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text).expanduser()
        inside = sorted(each for each in path.iterdir() if each.suffix.lower() in ENDINGS) if path.is_dir() else [path]
        if not inside or not inside[0].is_file():
            raise InputError("no such file", where=f"--read {text[:200]}", hint="name a reviewer's file, or a folder of them")
        found |= dict.fromkeys(inside)
    return list(found)


def _read(judged: Judged, known: set[str], path: Path) -> Scores:
    """Return what one file says; raise InputError at the first thing in it that can't be."""
    scores: Scores = {}
    for cell in _cells(judged, path):
        where = f"{path}, {cell.where}"
        name = " ".join(cell.reviewer.split())
        if not name or len(name) > MAX_NAME or name in TAKEN:
            raise InputError(f"{name[:80]!r} can't be a reviewer's name", where=where, hint=f"at most {MAX_NAME} characters")
        if cell.article not in known:
            what = f"article {cell.article[:12]!r} is none of the test part of adapter {judged.adapter[:12]}"
            raise InputError(what, where=where, hint="read it with the adapter that the file was made for")
        value = _points(cell.value)
        if value is None:
            raise InputError(f"{str(cell.value)[:40]!r} is no score from 0 to 10", where=where, hint="mend it in the file")
        given = scores.setdefault(name, {}).setdefault(cell.article, {})
        if given.setdefault(cell.dimension, value) != value:
            raise InputError(f"{name} scores an article twice, and not alike", where=where, hint="delete one of the two")
    if not scores:
        raise InputError("holds no score", where=str(path), hint="fill it in, save it, and read it again")
    return scores


def _merge(scores: Scores, more: Scores, where: str) -> None:
    """Add what a file says, all of it or nothing."""
    if len(scores.keys() | more.keys()) > MAX_REVIEWERS:
        raise InputError(f"is of a reviewer beyond the {MAX_REVIEWERS} that are read", where=where, hint="leave it out")
    for name, articles in more.items():
        for article, given in articles.items():
            before = scores.get(name, {}).get(article, {})
            if any(before.get(dimension, value) != value for dimension, value in given.items()):
                what = f"contradicts another file of {name}"
                raise InputError(what, where=where, hint="give the one that counts, or another name to one of them")
    for name, articles in more.items():
        for article, given in articles.items():
            scores.setdefault(name, {}).setdefault(article, {}).update(given)


def _points(value: object) -> float | None:
    """Return a score; None for what is none. A workbook may hold a number as text, with a comma in many countries."""
    if isinstance(value, str):
        text = value.replace(",", ".")
        value = float(text) if NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:  # written so that NaN fails
        return None
    return float(value) + 0.0  # -0.0 becomes 0.0


def _cells(judged: Judged, path: Path) -> Iterator[_Cell]:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"is {size:,} bytes, more than a reviewer's file", where=str(path), hint="read the right file")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", where=str(path), hint="check the file") from error
    if data[:2] == b"PK":
        yield from _of_workbook(judged, list(sheet_rows(io.BytesIO(data), size, str(path), Renamed())), str(path))
        return
    try:
        value = loads(data, constants=False)
    except (ValueError, RecursionError) as error:
        raise InputError("is neither a workbook nor JSON", where=str(path), hint="save it again") from error
    try:
        yield from _of_tasks(judged, value) if isinstance(value, list) else _of_page(judged, value)
    except (KeyError, TypeError, AttributeError) as error:
        hint = "give what the review page saved, or Label Studio exported as JSON"
        raise InputError("is no file of a review", where=str(path), hint=hint) from error


def _of_workbook(judged: Judged, rows: Sequence[Any], where: str) -> Iterator[_Cell]:
    dimensions = set(judged.filter.dimensions)
    seen = False
    for row in rows:
        if row.value is None:
            raise InputError(row.fault, where=f"{where}, row {row.line}", hint="delete what lies beside the table")
        if "article" not in row.value:
            raise InputError("has no article", where=f"{where}, row {row.line}", hint="keep the column `article` as it was")
        for column, value in row.value.items():
            reviewer, colon, dimension = column.rpartition(": ")
            if column in ABOUT:
                continue
            if not colon or dimension not in dimensions:
                what = f"has a column {column[:60]!r}, which is no reviewer's score"
                raise InputError(what, where=where, hint="name it NAME: DIMENSION, or delete it")
            seen = True
            name = Path(where).stem if reviewer == ANYBODY else reviewer
            yield _Cell(f"row {row.line}, {column}", name, str(row.value["article"]), dimension, value)
    if rows and not seen:
        raise InputError("holds no score", where=where, hint="fill it in, save it, and read it again")


def _of_page(judged: Judged, value: Mapping[str, Any]) -> Iterator[_Cell]:
    if value["kind"] != PAGE or value["filter"] != judged.filter.name:
        raise KeyError(PAGE)
    name = str(value.get("reviewer") or "") or ANYBODY
    for article, given in value["scores"].items():
        for dimension, score in given.items():
            yield _known(judged, _Cell(f"article {article[:12]}", name, article, dimension, score))


def _of_tasks(judged: Judged, value: Sequence[Mapping[str, Any]]) -> Iterator[_Cell]:
    for number, task in enumerate(value, 1):
        for annotation in task["annotations"]:
            if annotation.get("was_cancelled"):
                continue
            by = annotation.get("completed_by")
            name = str(by.get("email") or by.get("id") if isinstance(by, Mapping) else by or ANYBODY)
            for result in annotation["result"]:
                if result.get("type") == "number":
                    score = result["value"]["number"]
                    place = _Cell(f"task {number}", name, str(task["data"]["article"]), result["from_name"], score)
                    yield _known(judged, place)


def _known(judged: Judged, cell: _Cell) -> _Cell:
    """Return the score of a dimension of this filter; a file for another filter has others."""
    if cell.dimension not in judged.filter.dimensions:
        raise KeyError(cell.dimension)
    return cell


__all__ = ["ReadBack", "read_reviews"]
