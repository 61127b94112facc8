"""Model registries that follow a filter's channel."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from distillery.filters.fields import Strict, Url

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=200)]


class ModelPlace(Strict):
    """A model in a registry."""

    uri: Url = Field(description="Address of the registry's server, without a key: keys are in the environment.")
    name: ModelName | None = Field(default=None, description="Name of the registered model; null: the filter's.")


class Registry(Strict):
    """A registry by its kind: exactly one key."""

    mlflow: ModelPlace | None = Field(
        default=None, description="MLflow: a version of each adapter that served, and an alias that is called like the channel."
    )
    modelRegistry: ModelPlace | None = Field(default=None, description="Kubeflow's Model Registry: the same, as properties.")
