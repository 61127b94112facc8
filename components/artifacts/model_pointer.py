"""The pointer of a mirrored base model: which of its versions in the store counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from distillery.components.artifacts.document import Document, Sha256

MAX_POINTER = 2**16


class ModelPointer(Document):
    """What models/<model>@<revision>/model.json says.

    Attributes:
        base: digest of the base model.
        manifest: digest of the manifest of its files.
        kind: encoder or decoder.
        size: of all files, in bytes.
    """

    KIND = "a model's pointer"
    HINT = "delete it and push the model again (distillery models push)"

    format: Literal[1] = 1
    base: Sha256
    manifest: Sha256
    kind: str = Field(pattern="^(encoder|decoder)$")
    size: int = Field(ge=0)
