"""The documents of a scored corpus: the plan, the facts of each part, and the _SUCCESS that names all parts.

They are stored at the address of the scores, and each names its job: what another job wrote there is refused.
"""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import override

from distillery.components.articles.forms import Kind
from distillery.components.articles.near_names import Unread
from distillery.components.artifacts.document import Document, Sha256
from distillery.components.artifacts.histograms import Histograms
from distillery.components.artifacts.serving import Plan
from distillery.components.store import Digest, canonical_json, digest_json

ANOTHER = "delete it, or give another place"  # what mends something of another job
Format = Literal["parquet", "jsonl"]


class PlannedCorpus(Document):
    """The corpus of a plan.

    Attributes:
        where: its folder, "s3://bucket/prefix" or a path.
        files: [name below the folder, bytes, etag or sha256, kind] of each file.
    """

    where: str
    files: list[tuple[str, int, str, Kind]]


class ScoringPlan(Document):
    """What is scored, with what, into how many parts.

    Attributes:
        job: digest of everything that decides the rows.
        filter: name of the filter.
        version: of the filter.
        filter_key: key of the published filter.
        dimensions: in the order of the filter.
        adapter: digest of the adapter.
        corpus: the files.
        shards: number of parts.
        fmt: format of the parts.
        code: the image, or a digest of the program's source.
        served: where the student runs and in which precision; None, and not written, for fp32 on a CPU by torch.
        file_bytes: bytes of a file that make a part, where no part has rows of two files; None, and not written, where the
            files are cut as if they were one.
    """

    KIND: ClassVar[str] = "a plan of scoring"
    HINT: ClassVar[str] = "submit the corpus again"
    OMITTED: ClassVar = ("served", "file_bytes")

    job: Sha256
    filter: str
    version: int
    filter_key: str
    dimensions: list[str]
    adapter: str
    corpus: PlannedCorpus
    shards: int
    fmt: Format
    code: str
    served: Plan | None = None
    file_bytes: Annotated[int, Field(ge=1)] | None = None

    @override
    def to_bytes(self) -> bytes:
        return canonical_json(self.to_json())


def _of_row(value: object) -> object:
    """Return what [our column, the files' column, rows] stands for."""
    if isinstance(value, list) and len(value) == len(_ROW):
        return dict(zip(_ROW, value, strict=True))
    if not isinstance(value, Unread):
        raise ValueError(f"is not [{', '.join(_ROW)}]")
    return value


_ROW: Final = tuple(Unread.model_fields)
UnreadRow = Annotated[Unread, BeforeValidator(_of_row), PlainSerializer(lambda each: [getattr(each, name) for name in _ROW])]


class _Ordered(Document):
    """A document whose keys stay in the order of its fields, and tiers in the order of the filter.

    Attributes:
        unread: [column of ours, column of the files, rows] that lack the one, have the other, and were not told to read it.
        unmet: columns that were to be read under another name, and that no row has.
    """

    HINT = ANOTHER
    OMITTED: ClassVar[tuple[str, ...]] = ("unread", "unmet")

    unread: list[UnreadRow] = Field(default_factory=list)
    unmet: list[str] = Field(default_factory=list)

    def to_bytes(self) -> bytes:
        """Return the bytes in which the document is stored: indented JSON in the order of the fields."""
        return json.dumps(self.to_json(), indent=1, allow_nan=False).encode()


class Facts(_Ordered):
    """What a part holds.

    Attributes:
        job: digest of the job that wrote it.
        index: number of the part, from 0.
        sha256: of the part's bytes.
        articles: rows of the part.
        prefiltered: articles that the prefilter refused.
        rejected: rows that are no article.
        tiers: articles by tier.
        lines: [file number, lines read of it], so that a reject's line can be told.
        etag: what the store said of the part's bytes when they were written; "" where that is their digest. While it says
            so, they need not be read.
        rejects: digest of the list of the part's bad rows; "" where there are none.
        histograms: how the scores are spread; None where an earlier program wrote it: formats 1 and 2 had none.
        check: digest of the rest, by which a damaged document is known. Format 1 had neither this nor `etag` and `rejects`.
    """

    KIND = "the facts of a part"
    FORMAT = 3
    READS = (1, 2)
    OMITTED = (*_Ordered.OMITTED, "histograms")

    format: Literal[3] = 3
    job: str
    index: int
    sha256: Sha256
    articles: int
    prefiltered: int
    rejected: int
    tiers: dict[str, int]
    lines: list[tuple[int, int]]
    etag: str = ""
    rejects: str = ""
    histograms: Histograms | None = None
    check: str = ""

    @model_validator(mode="after")
    def _is_what_was_written(self) -> Facts:
        if self.check not in ("", self._digest()):
            raise PydanticCustomError("altered", "it is not what was written")
        return self

    def _digest(self) -> Digest:
        fields = self.to_json()
        return digest_json({name: fields[name] for name in fields if name not in ("format", "check")})

    def sealed(self) -> Facts:
        """Return the facts with their check.

        Returns:
            The facts as they are stored.
        """
        return self.model_copy(update={"check": self._digest()})


class ScoredPart(Document):
    """One part, by name."""

    name: str
    rows: int
    sha256: Sha256


class Scores(_Ordered):
    """What _SUCCESS says of a scored corpus.

    Attributes:
        job: digest of everything that decides the rows.
        filter: name of the filter.
        version: of the filter.
        filter_key: key of the published filter.
        dimensions: in the order of the filter.
        adapter: digest of the adapter.
        corpus: digest of the corpus.
        files: [name, bytes, etag] of each file of the corpus.
        code: the image, or a digest of the program's source.
        articles: rows of all parts.
        scored: articles that the student scored.
        prefiltered: articles that the prefilter refused.
        rejected: rows that are no article.
        tiers: articles by tier.
        parts: every part, in order.
        rejects: digest of _rejects.jsonl; "" where there is none. Format 2 had none.
        histograms: digest of how the scores of all parts are spread; "" where a part's facts don't say. Formats 2 and 3 had
            none.
    """

    KIND = "the _SUCCESS of a scored corpus"
    FORMAT = 4
    READS = (2, 3)
    OMITTED = (*_Ordered.OMITTED, "histograms")

    format: Literal[4] = 4
    job: str
    filter: str
    version: int
    filter_key: str
    dimensions: list[str]
    adapter: str
    corpus: str
    files: list[tuple[str, int, str]]
    code: str
    articles: int
    scored: int
    prefiltered: int
    rejected: int
    tiers: dict[str, int]
    parts: list[ScoredPart]
    rejects: str = ""
    histograms: str = ""
