"""Files of marks: what one reviewer saved from the review page, and the plain form {article: "on" | "off"}.

The page's form names the filter and the samples that it was shown, so marks of other articles are refused. The plain form
names neither: it goes by the digest or the id of an article, and what it says of articles outside the samples is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from distillery.components.articles.articles import Article
from distillery.components.articles.input_files import local_file, parse_address
from distillery.components.artifacts.document import Document, Sha256
from distillery.components.store import Digest, Json, StoreError, digest_bytes, parse_json
from distillery.filters.errors import InputError, one_line

ON, OFF, UNSURE = "on", "off", "unsure"
CALIBRATION, FRESH = "calibration", "fresh"  # the two samples of a review page
MAX_BYTES: Final = 16 * 2**20
MAX_NAME: Final = 80  # characters of a reviewer's name
MAX_NOTE: Final = 2_000  # characters of a note
MAX_REVIEWERS: Final = 20
SHAPE: Final = 'save the marks of the review page, or write {"<article id>": "on", "<another>": "off"}'


class SampleMarks(Document):
    """The marks of one sample.

    Attributes:
        sample: digest of the sample.
        marks: "on", "off" or "unsure", by the article's digest.
        notes: what the reviewer wrote of an article, by its digest.
        missing: digests of the articles without a mark; for people, since a reader counts them itself.
    """

    sample: Sha256
    marks: dict[Sha256, Literal["on", "off", "unsure"]]
    notes: dict[Sha256, Annotated[str, Field(max_length=MAX_NOTE)]] = Field(default_factory=dict)
    missing: list[Sha256] = Field(default_factory=list)


class ReviewFile(Document):
    """What the review page saves.

    Attributes:
        format: of the file.
        filter: name of the filter.
        reviewer: who marked; "" where the reviewer gave no name.
        complete: True if every article of the page has a mark; for people.
        samples: the marks of each sample of the page.
    """

    KIND = "a file of marks"
    HINT = "save it again from the review page"
    FORMAT = 2

    format: Literal[2] = 2
    filter: str
    reviewer: Annotated[str, Field(max_length=MAX_NAME)] = ""
    complete: bool
    samples: dict[Literal["calibration", "fresh"], SampleMarks]


@dataclass(frozen=True)
class MarksFile:
    """A file of marks, read.

    Attributes:
        where: its address, for errors.
        reviewer: who marked; "" where the file has no name.
        marks: "on", "off" or "unsure" by the article's digest, or its id.
        notes: what the reviewer wrote, by the article's digest.
        filter: the filter it was saved for; "" in the plain form.
        samples: digest of each sample, and the articles that it marks; empty in the plain form.
    """

    where: str
    reviewer: str
    marks: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)
    filter: str = ""
    samples: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)

    def mark(self, article: Article) -> str | None:
        """Return the mark of an article.

        Args:
            article: the article.

        Returns:
            "on", "off" or "unsure"; None where it has no mark.

        Raises:
            InputError: the article is marked by its digest and, otherwise, by its id.
        """
        by_digest = self.marks.get(article.digest)
        if self.samples:
            return by_digest
        by_id = self.marks.get(article.id)
        if by_digest and by_id and by_digest != by_id:
            what = f"marks article {article.id[:60]!r} {by_id} by its id, but {by_digest} by its digest"
            raise InputError(what, where=self.where, hint="delete one of the two")
        return by_digest or by_id

    def require(self, filter_name: str, kind: str, sample: Digest, articles: Sequence[Article]) -> MarksFile:
        """Raise unless the marks are of this sample; return the file without those of another fresh one.

        A changed rubric has another fresh sample, and marks of the earlier one can't be used for it. The calibration sample
        stays, so a file that is about another calibration sample is a file for something else.

        Args:
            filter_name: name of the filter that is calibrated.
            kind: "calibration" or "fresh".
            sample: digest of the sample.
            articles: the sample's articles.

        Returns:
            The file, as far as its marks can be used.

        Raises:
            InputError: the file is for another filter or sample, or marks an article that is not in the sample.
        """
        if not self.samples:
            self._require_distinct(articles)
            return self
        if self.filter != filter_name:
            what = f"holds marks for the filter {self.filter[:60]!r}, not {filter_name!r}"
            raise InputError(what, where=self.where, hint="give the marks of this filter's review page")
        found = self.samples.get(kind)
        if found is None or found[0] != sample:
            if kind == FRESH:
                return self._without(kind) if found else self
            of = f"of the sample {found[0][:12]}" if found else "without a calibration sample"
            hint = "articles or --n changed: calibrate without marks, load this file into the new page and save it there"
            raise InputError(f"holds marks {of}, but this calibration's is {sample[:12]}", where=self.where, hint=hint)
        if unknown := sorted(found[1] - {article.digest for article in articles}):
            what = f"marks article {unknown[0][:12]}, which is not in the {kind} sample that the file names"
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise InputError(what + more, where=self.where, hint=ReviewFile.HINT)
        return self

    def _without(self, kind: str) -> MarksFile:
        """Return the file without the marks of one sample."""
        gone = self.samples[kind][1]
        return replace(
            self,
            marks={article: mark for article, mark in self.marks.items() if article not in gone},
            samples={name: part for name, part in self.samples.items() if name != kind},
        )

    def _require_distinct(self, articles: Sequence[Article]) -> None:
        """Raise if a mark by id would mark two articles."""
        ids = Counter(article.id for article in articles)
        for name in self.marks:
            if ids[name] > 1:
                what = f"marks {name[:60]!r}, the id of {ids[name]} articles of the sample"
                raise InputError(what, where=self.where, hint="mark them on the review page, which goes by their text")


def read_files(marks: Sequence[str]) -> list[MarksFile]:
    """Read files of marks.

    Args:
        marks: addresses of JSON files, and folders of this machine that hold them.

    Returns:
        One for each file, in their order; those of a folder in the order of their names.

    Raises:
        InputError: a file holds no marks, a file is given twice, or a folder holds none.
    """
    found: list[MarksFile] = []
    known: dict[Digest, str] = {}
    for where in [file for one in marks for file in _expanded(one)]:
        with local_file(where, parameter="marks") as path:
            if path.stat().st_size > MAX_BYTES:
                raise InputError("is too large for marks", where=where, hint=SHAPE)
            data = path.read_bytes()
        digest = digest_bytes(data)
        if digest in known:
            what = "is given twice" if known[digest] == where else f"holds the very same marks as {known[digest]}"
            raise InputError(what, where=where, hint="give each file once, and have each reviewer save under a name")
        known[digest] = where
        found.append(_read(data, where))
    if len(found) > MAX_REVIEWERS:
        raise InputError(f"{len(found)} files are given, {MAX_REVIEWERS} are the most", parameter="marks")
    return found


def _expanded(marks: str) -> list[str]:
    """Return the files that a value of --marks names: those of a folder, else itself."""
    address = parse_address(marks, parameter="marks")
    if address.in_bucket or not address.local.is_dir():
        return [marks]
    files = sorted(str(path) for path in Path(address.local).glob("*.json") if path.is_file())
    if not files:
        raise InputError("holds no file of marks", where=marks, hint="put the reviewers' .json files there", parameter="marks")
    return files


def _read(data: bytes, where: str) -> MarksFile:
    """Return what a file of marks holds."""
    try:
        document = parse_json(data, where)
    except StoreError as error:
        raise InputError(error.what, where=where, hint=SHAPE) from error
    if not isinstance(document, dict):
        raise InputError("is not a JSON object", where=where, hint=SHAPE)
    version = document.get("format")
    of_page = isinstance(version, int) and not isinstance(version, bool)
    found = _of_page(ReviewFile.read(data, where), where) if of_page else _plain(document, where)
    if not found.marks:
        raise InputError("marks no article", where=where, hint=SHAPE)
    return found


def _plain(document: dict[str, Json], where: str) -> MarksFile:
    found: dict[str, str] = {}
    for name, mark in document.items():
        if mark is None:
            continue
        if mark not in (ON, OFF):
            raise InputError(f"marks {name[:60]!r} as {str(mark)[:40]!r}, neither on nor off", where=where, hint=SHAPE)
        found[name] = str(mark)
    return MarksFile(where, "", found)


def _of_page(document: ReviewFile, where: str) -> MarksFile:
    parts = document.samples
    marks: dict[str, str] = {}
    for part in parts.values():
        if twice := sorted(marks.keys() & part.marks.keys()):
            raise InputError(f"marks article {twice[0][:12]} in both samples", where=where, hint=ReviewFile.HINT)
        marks |= part.marks
    if not parts:
        raise InputError("names no sample", where=where, hint=ReviewFile.HINT)
    return MarksFile(
        where,
        one_line(" ".join(document.reviewer.split())),
        marks,
        {article: note for part in parts.values() for article, note in part.notes.items() if note.strip()},
        document.filter,
        {kind: (part.sample, frozenset(part.marks)) for kind, part in parts.items()},
    )
