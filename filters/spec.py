"""The strict model of `filter.yaml`, which is also the schema of the Kubernetes object.

An unknown key, a key twice, or a value of the wrong kind is an error; distillery.filters.loading adds file and line. Keys are
spelled as Kubernetes spells them (camelCase), since one model reads both; the price is names that Python would write
otherwise.
What one field says about another (a tier that names a dimension, a gate that names a tier) is in distillery.filters.checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from distillery.filters.fields import (
    Column,
    ColumnTarget,
    Location,
    Name,
    Pattern,
    Phrase,
    Positive,
    Rule,
    Scale,
    Score,
    Seed,
    Share,
    Slug,
    Strict,
    Text,
    TierName,
    Url,
    Variable,
)
from distillery.filters.gates import Gate, Promotion
from distillery.filters.operation import Retrain, Run


class Metadata(Strict):
    """The object's own name and, in a cluster, what Kubernetes keeps beside it; no step reads the latter."""

    name: Slug = Field(description="The one slug: folder, store, cluster and UI all use it.")
    namespace: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)] | None = Field(
        default=None, description="Kubernetes namespace."
    )
    labels: dict[str, str] = Field(default={}, max_length=64, description="Kubernetes labels.")
    annotations: dict[str, str] = Field(default={}, max_length=64, description="Kubernetes annotations.")


class Scope(Strict):
    """What is judged, and what the oracle must leave near zero."""

    judge: Text = Field(description="What to judge in an article, in a sentence or a few; opens the prompt.")
    outOfScope: list[Phrase] = Field(
        default=[], max_length=64, description="Topics that score low on every dimension, however well they sound."
    )


class Anchor(Strict):
    """A point of the scale that oracle and reader can recognise."""

    score: Score = Field(description="Score from 0 to 10.")
    meaning: Text = Field(description="What an article with this score looks like.")


class Dimension(Strict):
    """One thing to score from 0 to 10."""

    name: Name = Field(description="Name in snake_case, used in rules, labels, bundles and reports.")
    weight: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        description="Share of the overall score; weights are normalised to sum 1. 0: used by rules only."
    )
    description: Text = Field(description="What the dimension measures, and what it does not.")
    anchors: list[Anchor] = Field(default=[], max_length=11, description="Points of the scale, lowest first.")


class Tier(Strict):
    """A class of the verdict: the first tier whose `when` holds; the last has none."""

    name: TierName = Field(description="Name of the tier, best first in the list.")
    when: Rule | None = Field(default=None, description="Rule over dimension names and `overall`, e.g. overall >= 6.")


class Gatekeeper(Strict):
    """A weakness that no other strength makes up for: it caps the overall score."""

    when: Rule = Field(description="Rule over dimension names and `overall` (before caps).")
    cap: Score = Field(description="Highest overall score where the rule holds.")
    because: Phrase = Field(description="The reason a reader sees.")


class ContentType(Strict):
    """A kind of article that the oracle names; it may cap the overall score."""

    name: Name = Field(description="Name the oracle replies with.")
    description: Text = Field(description="How to recognise it.")
    cap: Score = Field(description="Highest overall score of such an article.")
    unless: Rule | None = Field(default=None, description="The cap does not apply where this rule holds.")


class Prefilter(Strict):
    """What is left out before scoring. Patterns: RE2 (linear time), case-insensitive, title and content."""

    minChars: int = Field(default=0, ge=0, le=1_000_000, description="Shortest content that is worth judging, in characters.")
    exclude: list[Pattern] = Field(default=[], max_length=256, description="An article matching any of these is left out …")
    unless: list[Pattern] = Field(default=[], max_length=256, description="… unless it matches one of these too.")
    requireAny: list[Pattern] = Field(default=[], max_length=256, description="If given, an article must match one of these.")


class Price(Strict):
    """What a model costs, in US dollars for a million tokens; no digest depends on it."""

    input: float = Field(ge=0, le=1e6, allow_inf_nan=False, description="US dollars for a million input tokens.")
    output: float = Field(ge=0, le=1e6, allow_inf_nan=False, description="US dollars for a million output tokens.")
    cached: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None, description="US dollars for a million cached input tokens; null: as all others."
    )
    batch: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None, description="What batch jobs cost of the prices above, as a factor: 0.5 is half; null: no batch."
    )
    cacheFrom: Annotated[int, Field(ge=0, le=10_000_000)] | None = Field(
        default=None, description="Tokens of the shortest prefix that can be cached; null: none can."
    )


# Providers that answer by batch jobs: each by the one that answers the same calls online.
ONLINE: Final[Mapping[str, str]] = {"openai-batch": "openai", "vertex-batch": "vertex"}


class Oracle(Strict):
    """The large model whose judgement is distilled."""

    provider: Literal["replay", "openai", "openai-batch", "vertex", "vertex-batch"] = Field(
        default="replay",
        description="replay: recorded raw replies, no key needed. openai: any OpenAI-compatible endpoint. "
        "vertex: Gemini on Vertex AI. openai-batch, vertex-batch: as batch jobs within a day, at about half the price.",
    )
    model: str = Field(min_length=1, max_length=200, description="Model name; part of every label's key.")
    price: Price | None = Field(
        default=None, description="What the model costs; null: its list price. A file given with --prices goes before both."
    )
    replies: Location | None = Field(default=None, description="replay: a JSONL file of recorded raw replies, {id, reply}.")
    baseUrl: Url | None = Field(default=None, description="Address of the service; null: the provider's own.")
    apiKeyEnv: Variable | None = Field(
        default=None,
        description="Environment variable that holds the key (openai; null: OPENAI_API_KEY) or an access token (vertex; "
        "null: application default credentials). With _FILE behind its name it holds the path of a file with the key.",
    )
    project: Phrase | None = Field(default=None, description="vertex: project; null: GOOGLE_CLOUD_PROJECT.")
    location: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$", max_length=63)] | None = Field(
        default=None, description="vertex: region; null: GOOGLE_CLOUD_LOCATION."
    )
    batchPrefix: Annotated[str, Field(pattern=r"^gs://[a-z0-9][a-z0-9._-]+(/[A-Za-z0-9._=@-]+)*/?$", max_length=500)] | None = (
        Field(default=None, description="vertex-batch: where requests and replies lie, gs://bucket/folder.")
    )
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = Field(
        default=0.0, description="0: the likeliest reply. null: not sent, for models that refuse it."
    )
    maxOutputTokens: int = Field(default=4096, ge=16, le=1_000_000, description="Longest reply in tokens, thinking included.")
    thinkingBudget: int | None = Field(
        default=None, ge=-1, le=1_000_000, description="vertex: tokens of thinking; 0: none, -1: the model decides."
    )
    requestsPerMinute: int | None = Field(default=None, ge=1, le=10_000_000, description="Calls a minute, at most.")
    tokensPerMinute: int | None = Field(default=None, ge=1, le=10**12, description="Tokens a minute, in and out, at most.")
    timeoutSeconds: float = Field(default=120, gt=0, le=86_400, description="Seconds after which a call is given up.")
    maxWords: int = Field(default=800, ge=50, le=20_000, description="Words of an article that the oracle sees.")
    instructions: Text | None = Field(default=None, description="Further instructions, placed after the rubric.")


class Lora(Strict):
    """Low-rank adapters on the base model."""

    r: int = Field(default=16, ge=1, le=512, description="Rank.")
    alpha: int = Field(default=32, ge=1, le=1024, description="Scale; alpha / r multiplies the update.")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="Dropout before the adapter.")
    targets: Literal["all-linear"] | Annotated[list[Phrase], Field(min_length=1, max_length=64)] = Field(
        default="all-linear", description="all-linear, or a list of module names."
    )


Pooling = Literal["mean", "cls", "last", "attention"]


class Student(Strict):
    """The small model that learns the oracle's scores."""

    baseModel: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$",
        description="Model-hub id, folder, s3://bucket/prefix, or package://installed_package.",
    )
    revision: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")] | None = Field(
        default=None, description="Commit, tag or branch of a model-hub base; pin a commit."
    )
    maxLength: int = Field(default=512, ge=16, le=8192, description="Tokens of an article that the student sees.")
    headTail: Share | None = Field(
        default=None,
        description="Share of the tokens kept from the head of a long article, "
        "the rest from its tail; null keeps the head only.",
    )
    mode: Literal["regression", "instruction"] = Field(
        default="regression",
        description="instruction: a text about the rubric stands before every article; it takes its tokens from maxLength.",
    )
    instruction: Annotated[str, Field(min_length=1, max_length=8_000)] | None = Field(
        default=None, description="mode instruction: this text; null: the scope and a line for each dimension."
    )
    contentTypes: Literal["none", "head"] = Field(
        default="none",
        description="head: the student also names the article's content type, so that caps of content types apply to its "
        "scores; labels must name them.",
    )
    pooling: Pooling | None = Field(
        default=None,
        description="What the head reads of an article's tokens: their mean, the first one (cls), the last one, or a mean "
        "weighted by a trained query (attention); null: mean for encoders, last for decoders.",
    )
    lora: Lora | None = Field(
        default=Lora(), description="Low-rank adapters on the base model; null trains every weight, for small base models."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto takes a GPU where there is one.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="Of predictions; auto takes the fastest whose predictions are fp32's to 0.1 points on validation.",
    )

    @model_serializer(mode="wrap")
    def _without_auto(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what has its default: filters that say nothing of it keep their digests."""
        fields: dict[str, Any] = dump(self)
        absent: dict[str, str | None] = {"device": "auto", "precision": "auto", "mode": "regression", "contentTypes": "none"}
        absent |= {"instruction": None, "pooling": None}
        return {name: value for name, value in fields.items() if name not in absent or value != absent[name]}


# Keys of `training` from after the first release, with their defaults.
LATER: Final[Mapping[str, object]] = {
    "warmupSteps": None,
    "dimensionWeights": "equal",
    "sampleWeights": "equal",
    "layerDecay": None,
    "headDropout": 0.0,
    "stopOn": "mae",
    "epochFigures": "together",
    "reportTo": [],
    "quantize": "none",
}


Quantize = Literal["none", "nf4"]
Tracker = Literal["tensorboard", "mlflow", "trackio", "wandb"]


class Training(Strict):
    """How the student is fitted."""

    epochs: int = Field(default=3, ge=1, le=100, description="Passes over the train part, at most.")
    batchSize: int = Field(default=8, ge=1, le=4096, description="Articles per optimizer step.")
    tokensPerBatch: int = Field(default=8192, ge=64, le=10_000_000, description="Tokens, padding counted, per forward pass.")
    learningRate: Positive = Field(default=2.0e-5, description="Peak learning rate.")
    weightDecay: float = Field(default=0.01, ge=0, le=10, description="AdamW weight decay.")
    warmupRatio: float = Field(default=0.1, ge=0, lt=1, description="Share of the steps that the rate rises.")
    maxGradNorm: Positive = Field(default=1.0, description="Gradients are clipped to this norm.")
    loss: Literal["mse", "huber", "mae", "ordinal"] = Field(
        default="mse", description="Loss on raw scores; ordinal: is the score above 0.5, 1.5 … 9.5, each by its cross-entropy."
    )
    warmupSteps: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="Steps that the rate rises; null: warmupRatio of all steps."
    )
    dimensionWeights: Literal["equal", "filter"] = Field(
        default="equal", description="filter: a dimension counts in the loss as it does in the overall score."
    )
    sampleWeights: Literal["equal", "balanced"] = Field(
        default="equal", description="balanced: each whole mean score counts alike in the loss, up to 10 to 1."
    )
    layerDecay: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None, description="Factor of the learning rate from each layer to the one below it; null: one rate for all."
    )
    headDropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout of the pooled vector before the head.")
    stopOn: Literal["mae", "rmse", "overall", "dimension", "spearman"] = Field(
        default="mae",
        description="Validation error by which an epoch is kept; overall: of the weighted mean of dimensions; dimension: of "
        "the worst one; spearman: 1 less the rank correlation of the weighted mean.",
    )
    epochFigures: Literal["together", "dimensions"] = Field(
        default="together",
        description="dimensions: train and validation error of each dimension after every epoch, at a pass over as many train "
        "articles as validate.",
    )
    patience: int = Field(default=2, ge=1, le=100, description="Epochs without a better validation MAE before stopping.")
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="auto measures the machine, then chooses.")
    quantize: Quantize = Field(
        default="none",
        description="nf4: while LoRA trains, the base model's linear weights are held in 4 bits (QLoRA; extra qlora).",
    )
    seed: Seed = Field(default=42, description="Seed of initialisation, order and dropout.")
    strategy: Literal["ddp", "zero2", "zero3"] = Field(
        default="ddp",
        description="Several workers: ddp, a copy each; zero2, zero3: DeepSpeed shares out the optimizer, and the base model.",
    )
    nodes: int = Field(default=1, ge=1, le=1024, description="trainer=trainjob: pods that share each step's articles.")
    reportTo: Annotated[list[Tracker], Field(max_length=4)] = Field(
        default=[],
        description="Where curves go while it trains: tensorboard into the store, the others where their own variables say. "
        "No digest depends on it.",
    )

    @model_serializer(mode="wrap")
    def _without_unset(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out later keys that have their default: filters that say nothing of them keep their digests."""
        fields: dict[str, Any] = dump(self)
        return {name: value for name, value in fields.items() if name not in LATER or value != LATER[name]}


class Split(Strict):
    """How labels are divided; the test part is frozen once made."""

    validation: Share = Field(default=0.1, description="Share of the articles for validation.")
    test: Share = Field(default=0.1, description="Share of the articles for the test set.")
    seed: Seed = Field(default=42, description="Seed of the division.")
    duplicateJaccard: Share = Field(default=0.7, description="Articles at least this similar stay on one side.")


class Data(Strict):
    """Where the data lie; content counts, not place, so moving them redoes nothing."""

    articles: Location | None = Field(default=None, description="Articles to label, as file or URI.")
    labels: Location | None = Field(default=None, description="Labelled articles, as file or URI.")
    columns: dict[Column, ColumnTarget] = Field(
        default={}, max_length=64, description="What columns of the files are here, such as headline: title."
    )
    dimensions: dict[Column, Name] = Field(
        default={}, max_length=64, description="What names within the scores of the labels are here, such as climate: impact."
    )
    scale: Scale | None = Field(
        default=None, description="Of the labels' scores: what becomes 0, then what becomes 10, such as [1, 5]; null: as here."
    )
    scales: dict[Column, Scale] = Field(default={}, max_length=16, description="The same for single dimensions, by our names.")


class Spec(Strict):
    """What is judged, by whom, how a student learns it, and when it is good enough."""

    version: int = Field(ge=1, le=1_000_000, description="Version; the folder is named v<version>.")
    description: Text = Field(description="What the filter is for; read by people only.")
    scope: Scope = Field(description="What is judged, and what is out of scope.")
    dimensions: list[Dimension] = Field(
        min_length=1, max_length=16, description="Their order is the order of the model's outputs."
    )
    tiers: list[Tier] = Field(
        min_length=1, max_length=16, description="Best first; the first that holds; the last has no `when`."
    )
    gatekeepers: list[Gatekeeper] = Field(default=[], max_length=32, description="Weaknesses that cap the overall score.")
    contentTypes: list[ContentType] = Field(
        default=[], max_length=32, description="Kinds of article that cap the overall score."
    )
    prefilter: Prefilter = Field(default=Prefilter(), description="What is left out before scoring.")
    oracle: Oracle = Field(description="The large model whose judgement is distilled.")
    student: Student = Field(description="The small model that learns it.")
    training: Training = Field(default=Training(), description="How the student is fitted.")
    split: Split = Field(default=Split(), description="How labels are divided.")
    gates: list[Gate] = Field(min_length=1, max_length=64, description="What a student must pass to be promoted.")
    promotion: Promotion = Field(default=Promotion(), description="Where a student that passed goes.")
    data: Data = Field(default=Data(), description="Where the data lie.")
    run: Run | None = Field(default=None, description="What the cluster's operator starts a run with; null: its defaults.")
    retrain: Retrain | None = Field(
        default=None, description="When new articles and drift start a run in a cluster; null: they start none."
    )

    @model_serializer(mode="wrap")
    def _without_operation(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says nothing, as in filters that were written before there was an operator."""
        return _without(_without(dump(self), "run"), "retrain")


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name or value is not None}
