"""How the scores of articles are spread: counts in bins of a quarter point, and articles by source and language.

Counts of several parts add up, so a corpus of any size is described by some kilobytes, and nobody reads its rows again to ask
whether they have drifted. The price: what differs by less than a quarter point inside a bin is not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from distillery.components.articles.languages import language_code
from distillery.components.artifacts.document import Document
from distillery.components.store import canonical_json

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BINS: Final = 40
WIDTH: Final = 10 / BINS  # points; a quarter is exact in binary, so a score on an edge is always in the bin above it
NAMED: Final = 100  # sources and languages that are counted by name, the most frequent first
MAX_NAME: Final = 200  # characters of a source that count

Count = Annotated[int, Field(ge=0)]
Bins = Annotated[list[Count], Field(min_length=BINS, max_length=BINS)]
Named = Annotated[dict[str, Count], Field(max_length=NAMED)]


class Histograms(Document):
    """How the articles that a student scored are spread.

    Attributes:
        scored: articles.
        dimensions: articles in each bin of a dimension, in the order of the filter.
        overall: articles in each bin of the overall score, after caps.
        sources: articles by source, "" for none; those of further sources are what is left to `scored`.
        languages: the same by language.
    """

    KIND: ClassVar[str] = "histograms of scores"
    HINT: ClassVar[str] = "delete it: it is counted again from the rows"

    format: Literal[1] = 1
    scored: Count
    dimensions: dict[str, Bins]
    overall: Bins
    sources: Named
    languages: Named

    @model_validator(mode="after")
    def _adds_up(self) -> Histograms:
        whole = all(sum(bins) == self.scored for bins in (*self.dimensions.values(), self.overall))
        if not whole or max(sum(self.sources.values()), sum(self.languages.values())) > self.scored:
            raise PydanticCustomError("sums", "the counts don't add up to {n} articles", {"n": self.scored})
        return self

    def to_bytes(self) -> bytes:
        """Return the bytes by whose digest it is found: canonical JSON.

        Returns:
            JSON in UTF-8.
        """
        return canonical_json(self.to_json())


def binned(values: NDArray[np.float64]) -> list[int]:
    """Count scores in bins of a quarter point; the last bin holds 10, too.

    Args:
        values: (n,) scores from 0 to 10; what lies beyond counts at the nearest end.

    Returns:
        BINS counts.
    """
    import numpy as np

    places = np.clip(np.floor(values / WIDTH), 0, BINS - 1).astype(np.int64)
    return [int(count) for count in np.bincount(places, minlength=BINS)]


def histograms_of(table: pa.Table, dimensions: Sequence[str]) -> Histograms:
    """Count the rows of scores that a student scored.

    Args:
        table: rows with `prefiltered`, `overall`, `source`, `language` and `score.<dimension>`.
        dimensions: names, in the order of the filter.

    Returns:
        The histograms.
    """
    kept = table.filter(table["prefiltered"].is_null())
    return Histograms(
        scored=kept.num_rows,
        dimensions={name: binned(kept[f"score.{name}"].to_numpy()) for name in dimensions},
        overall=binned(kept["overall"].to_numpy()),
        sources=counted(str(name or "")[:MAX_NAME] for name in kept["source"].to_pylist()),
        languages=counted(language_code(str(name or ""))[:MAX_NAME] for name in kept["language"].to_pylist()),
    )


def counted(names: Iterable[str]) -> dict[str, int]:
    """Count names.

    Args:
        names: one for each article.

    Returns:
        The NAMED most frequent ones by name, the most frequent first and equal ones by name.
    """
    return _largest(Counter(names))


def _largest(counts: Counter[str]) -> dict[str, int]:
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return dict(ranked[:NAMED])


def summed(parts: Sequence[Histograms]) -> Histograms:
    """Add up the histograms of several sets of articles.

    A source that is not among the 100 most frequent of a part is not counted by name there, so beyond 100 sources the counts by
    source are the least that can be.

    Args:
        parts: one or more, of the same dimensions.

    Returns:
        The histograms of all their articles.
    """
    names: dict[str, Counter[str]] = {"sources": Counter(), "languages": Counter()}
    for part in parts:
        for field, counter in names.items():
            counter.update(getattr(part, field))
    fields: dict[str, Any] = {field: _largest(counter) for field, counter in names.items()}
    return Histograms(
        scored=sum(part.scored for part in parts),
        dimensions={name: _added([part.dimensions[name] for part in parts]) for name in parts[0].dimensions},
        overall=_added([part.overall for part in parts]),
        **fields,
    )


def _added(rows: Sequence[list[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]
