"""Fits the head that names content types: logistic rows on pooled vectors of the train part; validation chooses all the rest.

A wrong cap hides an article from its readers, a missing one leaves it as it would be without the head. So a type is named only
where validation says that four in five are right; of the thresholds that keep this, the one with the best F1 is taken.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.bundle import ContentTypesFile, TypeRow
from distillery.components.artifacts.content_caps import require_types
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.content_types import TypeHead, head_name, softmax

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.components.student.student import Student
    from distillery.components.student.tokens import Tokens
    from distillery.components.training.package import Part
    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]

MIN_TRAIN: Final = 20  # articles of a type, below which it is never named
MIN_VALIDATION: Final = 5
PRECISION: Final = 0.8  # on validation, for a type to be named
STRENGTHS: Final = (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)  # inverse strengths of the regularisation, tried in turn
MOST_ARTICLES: Final = 20_000  # of the train part
ITERATIONS: Final = 2000
CERTAIN: Final = 30.0  # logit of a class that every article has
DIGITS: Final = 9  # as many as tell one 32-bit number from the next


class Cut(NamedTuple):
    """A threshold of one type, with its precision and recall on validation; precision is None where nothing reaches it."""

    threshold: float | None
    precision: float | None
    recall: float | None


def types_of(flt: Filter, *tables: pa.Table) -> list[list[str | None]]:
    """Return the content types of labels, where the student is to name them.

    Args:
        flt: the filter.
        tables: labels; the first are those of the train part.

    Returns:
        A list for each table; empty ones where no head is asked for.

    Raises:
        InputError: no label of the train part names a type of the filter.
    """
    if flt.spec.student.contentTypes == "none":
        return [[] for _ in tables]
    found: list[list[str | None]] = [
        table["content_type"].to_pylist() if "content_type" in table.column_names else [None] * table.num_rows
        for table in tables
    ]
    require_types(flt, set(found[0]))
    return found


def fit_types(flt: Filter, student: Student, train: Part, validation: Part, seed: int, progress: Progress = quiet) -> TypeHead:
    """Fit the head on a student's pooled vectors.

    Args:
        flt: the filter.
        student: trained, without such a head; what it computes with is put away afterwards.
        train: the train part; at most 20,000 articles of it are used.
        validation: the validation part, which chooses regularisation and thresholds.
        seed: decides which articles are used where there are more.
        progress: told of each type.

    Returns:
        The head, with the probabilities of the golden texts.
    """
    from distillery.components.student.golden import golden_texts

    if len(train.labels) > MOST_ARTICLES:
        train = train.take(np.random.default_rng([seed, 2]).permutation(len(train.labels))[:MOST_ARTICLES].astype(np.int64))
    counts = [Counter(part.types) for part in (train, validation)]
    names = [name for name in flt.content_types if counts[0][name] >= MIN_TRAIN and counts[1][name] >= MIN_VALIDATION]
    progress.note(f"reading {len(train.labels):,} train articles once more, for the head that names content types")
    texts = student.tokens(golden_texts())
    vectors = [_vectors(student, tokens, progress) for tokens in (train.tokens, validation.tokens, texts)]
    number = {name: at for at, name in enumerate(names)}
    classes = [np.array([number.get(kind or "", len(names)) for kind in part.types]) for part in (train, validation)]
    strength, weights, bias = _fit(vectors[0], classes[0], vectors[1], classes[1], len(names))
    of_validation, of_golden = (softmax(each @ weights.T + bias) for each in vectors[1:])
    rows = []
    for name in flt.content_types:
        at = names.index(name) if name in names else None
        cut = Cut(None, None, None) if at is None else choose_threshold(of_validation, classes[1], at)
        row = TypeRow(
            name=name,
            train=counts[0][name],
            validation=counts[1][name],
            weights=[] if at is None else _rounded(weights[at]),
            bias=0.0 if at is None else _rounded(bias[[at]])[0],
            threshold=cut.threshold,
            precision=cut.precision,
            recall=cut.recall,
        )
        rows.append(row)
        progress.note(_told(row))
    return TypeHead(ContentTypesFile(strength=strength, types=rows, golden=[_rounded(row) for row in of_golden]))


def choose_threshold(probabilities: Floats, classes: NDArray[np.int64], at: int) -> Cut:
    """Return the threshold with the best F1 of those at which four in five articles that are named so are labelled so.

    Args:
        probabilities: (n, K) of the validation articles.
        classes: (n,) number of each one's type; K for none.
        at: number of the type.

    Returns:
        The cut, halfway to the next probability below; none where no threshold is precise enough.
    """
    likeliest = np.flatnonzero(probabilities.argmax(axis=1) == at)
    order = likeliest[np.argsort(-probabilities[likeliest, at], kind="stable")]
    values, right = probabilities[order, at], (classes[order] == at).cumsum()
    labelled = int((classes == at).sum())
    best, cut = 0.0, Cut(None, None, None)
    for last, hits in enumerate(right.tolist()):
        below = float(values[last + 1]) if last + 1 < len(values) else 0.0
        if below == values[last]:
            continue  # equal probabilities can't be told apart
        precision, recall = hits / (last + 1), hits / labelled
        score = 2 * hits / (last + 1 + labelled)
        if precision >= PRECISION and score > best:
            best, cut = score, Cut((float(values[last]) + below) / 2, precision, recall)
    return cut


def _told(row: TypeRow) -> str:
    counted = f"content type {row.name}: {row.train:,} train and {row.validation:,} validation articles"
    if not row.weights:
        return f"{counted}; it is never named, which takes {MIN_TRAIN} and {MIN_VALIDATION}"
    if row.threshold is None:
        return f"{counted}; it is never named, since no threshold has a precision of {PRECISION} on validation"
    return f"{counted}; named from {row.threshold:.2f} on: precision {row.precision:.2f}, recall {row.recall:.2f} on validation"


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]


def _vectors(student: Student, tokens: Tokens, progress: Progress) -> Floats:
    """Return the pooled vectors (n, hidden) of articles: what the student gives with the unit matrix as its head."""
    import torch

    from distillery.components.student.model import DTYPES, merged
    from distillery.components.student.predict import TorchForward, predictions

    name, hidden = head_name(student.facts), student.base.hidden
    student._forward = None  # memory holds one body at a time
    tensors, plan, facts = {**student.tensors, name: torch.eye(hidden)}, student.plan, student.facts
    dtype = DTYPES[plan.precision]
    model = merged(student.base, facts.lora, hidden, tensors, plan.device, dtype, pooling=facts.pooling)
    return predictions(TorchForward(model), tokens, hidden, progress)


def logistic(x: Floats, y: NDArray[np.int64], none: int, strength: float) -> tuple[Floats, Floats]:
    """Fit a multinomial logistic regression, with none as the class whose row is zero.

    Args:
        x: (n, hidden) inputs.
        y: (n,) classes, each of 0 to K - 1 at least once.
        none: K, the class of articles of no type; there may be no such article.
        strength: inverse strength of the regularisation.

    Returns:
        (K, hidden) rows and (K,) bias.
    """
    from sklearn.linear_model import LogisticRegression

    classes = sorted(set(y.tolist()))
    if len(classes) == 1:  # all articles are of one type
        return np.zeros((none, x.shape[1])), np.full(none, CERTAIN)
    model = LogisticRegression(C=strength, max_iter=ITERATIONS, tol=1e-6).fit(x, y)
    rows, bias = np.asarray(model.coef_, dtype=np.float64), np.asarray(model.intercept_, dtype=np.float64)
    if len(classes) == 2:  # one row, of the second class against the first
        rows, bias = np.concatenate([np.zeros_like(rows), rows]), np.concatenate([np.zeros(1), bias])
    if none not in classes:
        return rows, bias + CERTAIN - bias.min()
    return rows[:-1] - rows[-1], bias[:-1] - bias[-1]


def _fit(x: Floats, y: NDArray[np.int64], held: Floats, classes: NDArray[np.int64], none: int) -> tuple[float, Floats, Floats]:
    """Return the strength of least log loss on validation, (K, hidden) weights and (K,) bias beside the zero row of none."""
    if not none:
        return STRENGTHS[0], np.zeros((0, x.shape[1])), np.zeros(0)
    centre = x.mean(axis=0)
    scale = float(np.sqrt(((x - centre) ** 2).mean())) or 1.0
    best, found = np.inf, (STRENGTHS[0], np.zeros((none, x.shape[1])), np.zeros(none))
    for strength in STRENGTHS:
        rows, bias = logistic((x - centre) / scale, y, none, strength)
        rows = rows / scale
        bias = bias - rows @ centre
        given = softmax(held @ rows.T + bias)
        whole = np.concatenate([given, 1 - given.sum(axis=1, keepdims=True)], axis=1)
        loss = float(-np.log(np.clip(whole[np.arange(len(classes)), classes], 1e-12, None)).mean())
        if loss < best:
            best, found = loss, (strength, rows, bias)
    return found
