"""The documents in an adapter bundle: what training says of the student, its score curves, its history, its golden texts.

They can be read without opening the student, so benchmark, gate and report need no torch. A bundle is untrusted input: every
number is finite, every list has a longest length.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distillery.components.artifacts.document import Document
from distillery.components.store import Digest, Folder, NotFound, Store
from distillery.components.store.layout import adapters_folder
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.spec import Lora, Pooling

STUDENT, CURVES, GOLDEN, HISTORY = "student.json", "calibration.json", "golden.json", "training_history.json"
CONTENT_TYPES = "content_types.json"  # bundles without it name no content type
MAX_JSON = 16 * 2**20
REDO = "train it again, or restore the bundle from a copy"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BundleFile(Document):
    """One JSON file of a bundle."""

    HINT: ClassVar[str] = REDO


class BaseFacts(BundleFile):
    """The base model. digest: of its files. hidden: width of its last layer."""

    ref: str = Field(max_length=500)
    revision: str | None = Field(max_length=200)
    digest: Sha
    kind: Literal["encoder", "decoder"]
    hidden: int = Field(ge=1, le=65536)


class StudentFacts(BundleFile):
    """student.json: everything about the student that isn't a tensor. MAE in score points.

    lora: None where every weight was trained.
    instruction: the text that stands before every article; "" for none, and then it is not written.
    """

    KIND: ClassVar[str] = "the student.json of a bundle"
    OMITTED: ClassVar[tuple[str, ...]] = ("instruction",)

    format: Literal[1]
    filter: str = Field(max_length=200)
    dimensions: list[str] = Field(min_length=1, max_length=16)
    base: BaseFacts
    maxLength: int = Field(ge=1, le=8192)
    headTail: Finite | None
    pooling: Pooling
    preprocessing: dict[str, int | float | str | None]
    lora: Lora | None
    training: dict[str, int | float | str | None]
    split: Sha
    trainable_parameters: int
    train_mae: Finite
    validation_mae: Finite
    label_variance: Finite
    steps: int
    tokens: int
    alarms: list[str] = Field(max_length=16)
    instruction: str = Field(default="", max_length=100_000)


class Curve(BundleFile):
    """Knots of one dimension's score curve: raw scores x, rising, and corrected scores y, 0-10."""

    x: list[Finite] = Field(min_length=2, max_length=100_000)
    y: list[Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]] = Field(min_length=2, max_length=100_000)


class CurvesFile(BundleFile):
    """calibration.json: the score curves by dimension, none where they were not kept, and validation MAE in score points."""

    KIND: ClassVar[str] = "the calibration.json of a bundle"

    kept: bool
    dimensions: dict[str, Curve]
    validation_mae_raw: Finite
    validation_mae_calibrated: Finite


class GoldenFile(BundleFile):
    """golden.json: (title, content) pairs, and the raw and final scores a loaded student must reproduce for them.

    Bundles made before final scores were kept have none.
    """

    KIND: ClassVar[str] = "the golden.json of a bundle"

    texts: list[list[str]] = Field(min_length=1, max_length=64)
    raw: list[list[Finite]] = Field(min_length=1, max_length=64)
    scores: list[list[Finite]] | None = Field(default=None, max_length=64)


Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class TypeRow(BundleFile):
    """One content type of the filter.

    Attributes:
        name: its name.
        train: train articles that the labels call so.
        validation: the same of the validation part.
        weights: its row of the head, of the width of the pooled vector; empty where there were too few articles.
        bias: what is added to the row's product.
        threshold: probability from which on it is named; None where it never is.
        precision: on validation, of the articles that are named so; None where none is.
        recall: on validation, of the articles that the labels call so; None where the type is never named.
    """

    name: str = Field(max_length=64)
    train: int = Field(ge=0)
    validation: int = Field(ge=0)
    weights: list[Finite] = Field(max_length=65536)
    bias: Finite
    threshold: Probability | None
    precision: Probability | None
    recall: Probability | None


class ContentTypesFile(BundleFile):
    """content_types.json: the head that names an article's content type, logistic rows beside the zero row of none.

    Attributes:
        format: 1.
        strength: inverse strength of the regularisation, as it was chosen on validation.
        types: of the filter, in its order.
        golden: probability of each type with a row, of each golden text.
    """

    KIND: ClassVar[str] = "the content_types.json of a bundle"

    format: Literal[1] = 1
    strength: Finite
    types: list[TypeRow] = Field(min_length=1, max_length=32)
    golden: list[list[Probability]] = Field(min_length=1, max_length=64)


class EpochErrors(BundleFile):
    """MAE of one dimension after an epoch, on as many train articles as validate and on the validation part."""

    train: Finite
    validation: Finite


class Epoch(BundleFile):
    """One pass over the training articles; steps and tokens are counted from the start.

    dimensions: errors of each, where the filter asks for them; else None, and then not written.
    """

    OMITTED: ClassVar[tuple[str, ...]] = ("dimensions",)

    epoch: int
    train_loss: Finite
    validation_mae: Finite
    validation_rmse: Finite
    learning_rate: Finite
    steps: int
    tokens: int
    dimensions: dict[str, EpochErrors] | None = None


class HistoryFile(BundleFile):
    """training_history.json: every epoch, and the one that was kept."""

    KIND: ClassVar[str] = "the training_history.json of a bundle"

    epochs: list[Epoch] = Field(max_length=1000)
    best_epoch: int


def bundle_folder(store: Store, name: str, adapter: str) -> Folder:
    """Return the folder of a bundle, its manifest verified.

    Args:
        store: where it is.
        name: name of the filter.
        adapter: digest of the bundle.

    Returns:
        The folder, from which the files of the bundle are read.

    Raises:
        InputError: there is no such bundle, or one of its JSON files is larger than 16 MB.
    """
    try:
        folder = store.folder(adapters_folder(name), Digest(adapter))
    except NotFound as error:
        raise InputError(f"there is no adapter {adapter[:12]}…", where=f"{store.uri}/{adapters_folder(name)}") from error
    for file, entry in folder.files.items():
        if file.endswith(".json") and entry.size > MAX_JSON:
            raise InputError(f"{file} is {entry.size:,} bytes, more than a bundle may hold", where=folder.where, hint=REDO)
    return folder


def require_dimensions(dimensions: list[str], flt: Filter, where: str, hint: str = "") -> None:
    """Raise unless a student gives the filter's dimensions in the filter's order.

    Args:
        dimensions: the student's, in the order of its outputs.
        flt: the filter it is to serve.
        where: which student, for the error.
        hint: what the user can do; by default, train a student of this filter.

    Raises:
        InputError: they are other dimensions, or in another order.
    """
    if dimensions != flt.dimensions:
        raise InputError(
            f"it scores {', '.join(dimensions)}, not the filter's dimensions in their order",
            where=where,
            hint=hint or f"train one for {', '.join(flt.dimensions)}",
        )
