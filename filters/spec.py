"""The strict model of `filter.yaml`, which is also the schema of the Kubernetes object.

An unknown key, a key twice, or a value of the wrong kind is an error with file and line. Each `*_part` method below
returns just what one step reads, so that a digest over it moves only when that step must be redone.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Score = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,61}[a-z0-9]$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Rule = Annotated[str, Field(min_length=1, max_length=1_000)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)


class Metadata(Strict):
    name: Slug


class Scope(Strict):
    judge: Text
    outOfScope: list[Text] = Field(default=[], max_length=64)


class Anchor(Strict):
    score: Score
    meaning: Text


class Dimension(Strict):
    name: Name
    weight: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    description: Text
    anchors: list[Anchor] = Field(default=[], max_length=11)


class Tier(Strict):
    """First tier whose `when` holds; the last has none."""

    name: Name
    when: Rule | None = None


class Gatekeeper(Strict):
    when: Rule
    cap: Score
    because: Text


class ContentType(Strict):
    """The oracle names an article's content type; a type may cap the overall score."""

    name: Name
    description: Text
    cap: Score
    unless: Rule | None = None


class Prefilter(Strict):
    """Rust-regex patterns (linear time), case-insensitive, over title and content."""

    minChars: int = Field(default=0, ge=0)
    exclude: list[Rule] = Field(default=[], max_length=256)
    unless: list[Rule] = Field(default=[], max_length=256)
    requireAny: list[Rule] = Field(default=[], max_length=256)


class Oracle(Strict):
    provider: Literal["replay"] = "replay"
    model: str = Field(min_length=1, max_length=200)
    replies: str | None = Field(default=None, description="replay: a JSONL of recorded raw replies, {id, reply}")
    maxWords: int = Field(default=800, ge=50, le=20_000)
    instructions: Text | None = None


class Lora(Strict):
    r: int = Field(default=16, ge=1, le=512)
    alpha: int = Field(default=32, ge=1, le=1024)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    targets: Literal["all-linear"] | list[str] = "all-linear"


class Student(Strict):
    baseModel: str = Field(min_length=1, max_length=500)
    revision: str | None = Field(default=None, max_length=200)
    maxLength: int = Field(default=512, ge=16, le=8192)
    headTail: Share | None = Field(default=None, description="share of the tokens kept from the head of a long article, "
                                   "the rest from its tail; null keeps the head only")
    lora: Lora = Lora()


class Training(Strict):
    epochs: int = Field(default=3, ge=1, le=100)
    batchSize: int = Field(default=8, ge=1, le=4096, description="articles per optimizer step")
    tokensPerBatch: int = Field(default=8192, ge=64, description="tokens, padding counted, per forward pass")
    learningRate: Positive = 2.0e-5
    weightDecay: float = Field(default=0.01, ge=0)
    warmupRatio: float = Field(default=0.1, ge=0, lt=1)
    maxGradNorm: Positive = 1.0
    loss: Literal["mse", "huber", "mae"] = "mse"
    patience: int = Field(default=2, ge=1, description="epochs without a better validation MAE before stopping")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(default=42, ge=0)


class Split(Strict):
    validation: Share = 0.1
    test: Share = 0.1
    seed: int = Field(default=42, ge=0)
    duplicateJaccard: Share = 0.7


class Gate(Strict):
    """One rule. `metric` is one of components.gating's metrics; `tier`, `dimension`, `baseline` narrow it."""

    metric: Name
    tier: Name | None = None
    dimension: Name | None = None
    baseline: Name | None = None
    below: float | None = Field(default=None, allow_inf_nan=False)
    atLeast: float | None = Field(default=None, allow_inf_nan=False)
    on: Literal["point", "interval"] = Field(default="point", description="interval: the worse end of the 95% interval")


class Promotion(Strict):
    channel: Slug = "production"
    approval: Literal["none", "required"] = "none"


class Data(Strict):
    articles: str | None = None
    labels: str | None = None


class Spec(Strict):
    version: int = Field(ge=1)
    description: Text
    scope: Scope
    dimensions: list[Dimension] = Field(min_length=1, max_length=16)
    tiers: list[Tier] = Field(min_length=1, max_length=16)
    gatekeepers: list[Gatekeeper] = Field(default=[], max_length=32)
    contentTypes: list[ContentType] = Field(default=[], max_length=32)
    prefilter: Prefilter = Prefilter()
    oracle: Oracle
    student: Student
    training: Training = Training()
    split: Split = Split()
    gates: list[Gate] = Field(min_length=1, max_length=64)
    promotion: Promotion = Promotion()
    data: Data = Data()


class Filter(Strict):
    apiVersion: Literal["llm-distillery.io/v1alpha1"]
    kind: Literal["Filter"]
    metadata: Metadata
    spec: Spec

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def dimensions(self) -> list[str]:
        """Dimension names; their order is the order of the model's outputs everywhere."""
        return [dimension.name for dimension in self.spec.dimensions]
