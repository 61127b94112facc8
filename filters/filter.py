"""The root of a filter file: a Kubernetes object whose spec is the filter, consistent in itself.

An object of this type has passed every check that a file alone allows (`distillery.filters.checks`), so no reader can
forget one; the price is a few milliseconds a filter, most of it compiling patterns.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from distillery.filters.checks import faults
from distillery.filters.columns import ScoreForm, our_names, score_form
from distillery.filters.fields import UNCHECKED, Strict
from distillery.filters.spec import Metadata, Spec


class Filter(Strict):
    """A filter: what is judged, and the whole loop that distils it into a small model."""

    apiVersion: Literal["llm-distillery.io/v1alpha1"] = Field(description="API version.")
    kind: Literal["Filter"] = Field(description="Filter.")
    metadata: Metadata = Field(description="Name of the filter.")
    spec: Spec = Field(description="The filter itself.")

    @property
    def name(self) -> str:
        """Name of the filter."""
        return self.metadata.name

    @property
    def dimensions(self) -> list[str]:
        """Dimension names; their order is the order of the model's outputs everywhere."""
        return [dimension.name for dimension in self.spec.dimensions]

    @property
    def content_types(self) -> list[str]:
        """Return the names of the content types.

        Returns:
            Names in the order of the file; none where the filter has none.
        """
        return [kind.name for kind in self.spec.contentTypes]

    @property
    def columns(self) -> dict[str, str]:
        """Return what columns of people's files are read as.

        Returns:
            Our names (`title`, `score.<dimension>`) by the files' names; empty where the files have ours.
        """
        return our_names(self.spec.data.columns, self.dimensions)

    @property
    def score_form(self) -> ScoreForm:
        """Return what the scores in people's labels are here.

        Returns:
            Our dimensions by the files' names, and the files' scales; both empty where the files have ours.
        """
        data = self.spec.data
        return score_form(data.dimensions, data.scale, data.scales, self.dimensions)

    def with_columns(self, columns: dict[str, str]) -> Filter:
        """Return the filter for files whose columns have these names; none for a file that we wrote ourselves.

        Args:
            columns: our names by the files', each of which this filter knows.

        Returns:
            The same filter with another `data.columns`.
        """
        data = self.spec.data.model_copy(update={"columns": columns})
        return self.model_copy(update={"spec": self.spec.model_copy(update={"data": data})})

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Filter:
        if info.context is UNCHECKED:
            return self
        if found := list(faults(self.spec)):
            raise PydanticCustomError("inconsistent", "{what}", {"what": found[0].what, "faults": found})
        return self
