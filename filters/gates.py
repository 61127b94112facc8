"""What decides whether an adapter is promoted, and where to: the sections `gates` and `promotion` of a filter."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from distillery.filters.fields import Bound, Name, Slug, Strict, TierName
from distillery.filters.registries import Registry


class Gate(Strict):
    """One rule a student must pass. A missing or NaN value fails. Metrics are listed in distillery.filters.metrics."""

    metric: Name = Field(description="Metric to judge; `distillery filters metrics` lists them.")
    tier: TierName | None = Field(default=None, description="Tier, for tier_recall and tier_precision.")
    dimension: Name | None = Field(default=None, description="Dimension, for dimension_mae and dimension_spearman.")
    baseline: Name | None = Field(default=None, description="Baseline, for skill.")
    below: Bound | None = Field(default=None, description="Passes if the value is below this …")
    atLeast: Bound | None = Field(default=None, description="… or at least this; exactly one of the two.")
    review: Bound | None = Field(
        default=None,
        description="On the failing side of the bound: between the two a person decides, as where approval is required.",
    )
    by: Literal["point", "interval"] = Field(
        default="point", description="interval: the worse end of the 95% interval must pass."
    )  # not `on`: a boolean to kubectl

    @model_serializer(mode="wrap")
    def _without_review(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a review that is not stated: gates from before there was one keep their digests."""
        fields: dict[str, Any] = dump(self)
        return {name: value for name, value in fields.items() if name != "review" or value is not None}


class Promotion(Strict):
    """Where a student that passed goes."""

    channel: Slug = Field(default="production", description="Channel whose pointer is moved.")
    approval: Literal["none", "required"] = Field(default="none", description="required: a person approves first.")
    approved: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$", max_length=64)] | None = Field(
        default=None, description="In a cluster: digest of the adapter to promote, or its first 8 or more digits."
    )
    registries: Annotated[list[Registry], Field(max_length=8)] = Field(
        default=[], description="Model registries that follow the channel; none of them holds up a promotion."
    )

    @model_serializer(mode="wrap")
    def _without_unsaid(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what names no adapter and no registry: filters that say nothing of them keep their digests."""
        fields: dict[str, Any] = dump(self)
        return {key: value for key, value in fields.items() if key not in ("approved", "registries") or value}
