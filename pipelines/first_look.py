"""A first look at the file that a run starts from: what the label step would refuse, refused before anything is started.

It reads for some seconds at most, so a long file is not read whole; what is wrong further down, the step itself says.
"""

from __future__ import annotations

import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Final

from distillery.components.articles.articles import parse_max_rejects, read_articles, read_labels
from distillery.components.articles.languages import language_code
from distillery.components.articles.rejects import Rejects
from distillery.components.artifacts.content_caps import require_types
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

SECONDS: Final = 3.0
SAMPLE: Final = 64


class _Enough(Exception):
    """The time for a first look is over."""


class _Hasty(Rejects):
    """Count bad rows until a deadline, where a file may have nothing else."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._deadline = time.monotonic() + seconds

    def add(self, file: Path, line: int, reason: str) -> None:
        super().add(file, line, reason)
        self.look_at_the_clock()

    def look_at_the_clock(self) -> None:
        if time.monotonic() > self._deadline:
            raise _Enough


def look(
    flt: Filter,
    path: Path,
    *,
    labels: bool,
    max_rejects: str = "0",
    seconds: float = SECONDS,
    languages: Counter[str] | None = None,
) -> int | None:
    """Refuse a file that the label step would refuse for one of its first rows.

    Args:
        flt: The resolved filter.
        path: The file, on this machine.
        labels: True for labels, False for articles.
        max_rejects: How many bad rows of labels may be left out, "20" or "1%".
        seconds: How long to read.
        languages: Gets the codes of the languages of what was read, "" for articles that declare none; None not to count.

    Returns:
        How many labels the file holds; None where not all of it was read.

    Raises:
        InputError: The file has a form that is not read, lacks a dimension, holds too many bad rows, or no good one; the
            prompt crowds out its articles; or a student is to name content types, and none of its labels does.
    """
    rejects, languages = _Hasty(seconds), Counter[str]() if languages is None else languages
    try:
        if not labels:
            _look_at_articles(flt, path, rejects, languages)
            return None
        labelled = read_labels(
            path,
            flt.dimensions,
            rejects=rejects,
            max_rejects=max_rejects,
            content_types=flt.content_types,
            columns=flt.columns,
            form=flt.score_form,
        )
        count, named = 0, set[str | None]()
        for label in labelled:
            named.add(label.content_type)
            languages[language_code(label.article.language)] += 1
            rejects.look_at_the_clock()
            count += 1
        require_types(flt, named)
        return count
    except _Enough:
        allowed = parse_max_rejects(max_rejects)
        few = rejects.count <= allowed if "%" not in max_rejects else rejects.count < rejects.rows
        if few or not labels:
            return None
        first = rejects.first[0]
        what = f"{rejects.count:,} of the first {rejects.rows:,} rows are bad: {path}:{first.line}: {first.reason}"
        raise InputError(what, where=str(path), hint="mend them, or go on without them: {max_rejects} 1%") from None


def _look_at_articles(flt: Filter, path: Path, rejects: _Hasty, languages: Counter[str]) -> None:
    from distillery.components.labeling.prompt_check import check_prompts

    articles = read_articles(path, rejects=rejects, columns=flt.columns)
    sample = {article.digest: article for article in islice(articles, SAMPLE)}
    languages.update(language_code(article.language) for article in sample.values())
    if sample:
        check_prompts(flt, list(sample.values()))
