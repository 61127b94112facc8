"""What the models of objects share: strict models, and the kinds of values that their fields take."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

UNCHECKED = object()  # validation context: values only, for distillery.filters.diff to look at one change out of several
API_VERSION = "llm-distillery.io/v1alpha1"

Score = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Bound = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,61}[a-z0-9]$", max_length=63)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$", max_length=63)]
TierName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$", max_length=63)]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Phrase = Annotated[str, Field(min_length=1, max_length=500)]
Location = Annotated[str, Field(min_length=1, max_length=1_000)]
Rule = Annotated[str, Field(min_length=1, max_length=1_000)]
Pattern = Annotated[str, Field(min_length=1, max_length=1_000)]
Column = Annotated[str, Field(min_length=1, max_length=500)]
Scale = Annotated[list[Bound], Field(min_length=2, max_length=2)]
ColumnTarget = Annotated[str, Field(min_length=1, max_length=100)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$", max_length=500)]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]{0,127}$", max_length=128)]


def _title(name: str, _: object) -> str:
    return re.sub(r"(?=[A-Z])", " ", name).lower()


class Strict(BaseModel):
    """Refuse unknown keys and values of the wrong kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, field_title_generator=_title)
