"""The noise floor: how far an oracle's labels of a rubric are from one another, and from another oracle's.

The document lies under the digests of rubric and oracle, so editing the rubric or switching the model invalidates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from distillery.components.artifacts.document import Document, Sha256
from distillery.components.artifacts.folder_meta import LabelSetMeta
from distillery.components.artifacts.rubric_calibration import oracle_digest, require_its_name
from distillery.components.store import Json, NotFound, Store, as_digest, canonical_json
from distillery.components.store.layout import LABEL_SETS, noise_key
from distillery.filters.strict_json import loads


class Floor(Document):
    """The oracle's own noise, in points: mean absolute errors that no student can go below.

    Attributes:
        n: articles that got a label every time.
        repeat: labels of each article.
        mae: over all dimensions.
        interval: of `mae`, 95%.
        overall_mae: of the overall score.
        identical: share of articles whose labels were all the same.
        dimensions: the error by dimension.
    """

    n: int
    repeat: int
    mae: float
    interval: tuple[float, float]
    overall_mae: float
    identical: float
    dimensions: dict[str, float]


class Difference(Document):
    """The other oracle minus ours on one dimension, in points."""

    bias: float
    mae: float


class SecondOracle(Document):
    """How another oracle labels the same articles, in points.

    Attributes:
        provider: of the other oracle.
        model: of the other oracle.
        label_set: digest of its labels.
        n: articles that both labelled.
        mae: mean absolute difference over all dimensions.
        bias: mean difference, the other one's minus ours.
        overall_mae: mean absolute difference of the overall score.
        dimensions: differences by dimension.
    """

    provider: str
    model: str
    label_set: str
    n: int
    mae: float
    bias: float
    overall_mae: float
    dimensions: dict[str, Difference]


class NoiseFloor(Document):
    """What was measured of an oracle's noise on a rubric.

    Attributes:
        code: version of the measurement.
        filter: name of the filter.
        rubric: digest of the rubric.
        oracle: digest of the oracle's identity.
        identity: the oracle's identity.
        model: the oracle's model, for people.
        sample: digest of the articles that were labelled.
        floor: the oracle's own noise; None where it was not measured.
        second: the comparison with another oracle; None where there was none.
    """

    KIND = "a noise floor"
    HINT = "delete it and run `distillery noise` again: no label is paid for twice"

    format: Literal[1] = 1
    code: int
    filter: str
    rubric: Sha256
    oracle: Sha256
    identity: dict[str, Json]
    model: str
    sample: str
    floor: Floor | None
    second: SecondOracle | None

    def measured(self) -> dict[str, Json]:
        """Return floor and comparison as plain JSON with sorted keys, which benchmarks contain and are keyed by.

        Returns:
            {"floor": …, "second": …}, each None where it was not measured.
        """
        measured: dict[str, Json] = loads(canonical_json(self.model_dump(mode="json", include={"floor", "second"})))
        return measured


def read_noise(store: Store, name: str, rubric: str, oracle: Mapping[str, Any]) -> NoiseFloor | None:
    """Return the noise measured for a rubric with an oracle; None where there is none.

    Args:
        store: where it is.
        name: of the filter.
        rubric: digest of the rubric.
        oracle: the oracle's identity.

    Returns:
        The document, or None.

    Raises:
        StoreError: the document cannot be read, or is about another rubric or oracle than its key.
    """
    by = oracle_digest(oracle)
    key = noise_key(name, rubric, by)
    try:
        document = NoiseFloor.load(store, key)
    except NotFound:
        return None
    require_its_name((document.filter, document.rubric, document.oracle), (name, rubric, by), f"{store.uri}/{key}")
    return document


def noise_of(store: Store, name: str, label_set: str) -> NoiseFloor | None:
    """Return the noise measured for the rubric and oracle that made a label set.

    Args:
        store: where label set and noise are.
        name: of the filter.
        label_set: digest of the label set.

    Returns:
        None for labels that people brought, or where nothing was measured.

    Raises:
        NotFound: there is no such label set.
        StoreError: its manifest or the document cannot be read.
    """
    meta = LabelSetMeta.of(store.folder(LABEL_SETS, as_digest(label_set)))
    return read_noise(store, name, meta.rubric, meta.oracle) if meta.rubric and meta.oracle else None
