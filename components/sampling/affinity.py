"""The measures that articles are ranked by: similarity to a few examples, a student's scores, or how far students disagree.

Both take one pass of a model over the pool (some 60 articles a second for MiniLM on two cores), never over the corpus.
A student's scores find more of what it knows already; examples also find what it misses. Neither belongs in a test part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.articles import Article
from distillery.components.artifacts.bundle import require_dimensions
from distillery.components.runtime.progress import Progress, quiet
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    from distillery.components.sampling.draw import Affinity
    from distillery.components.store import Store

Floats = NDArray[np.float64]
TOKENS = 256  # of an article: its topic shows early


class Scorer(Protocol):
    """What enrichment needs of a student; `distillery.components.student.bundle.Student` is one."""

    @property
    def dimensions(self) -> list[str]:
        """Return the names of the dimensions, in the order of the scores."""

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = ...) -> Floats:
        """Predict raw scores.

        Args:
            texts: n pairs of title and content.
            progress: shows what is done.

        Returns:
            (n, D) raw scores.
        """

    def scores(self, raw: Floats) -> Floats:
        """Convert raw scores by the score curves.

        Args:
            raw: (n, D) raw scores.

        Returns:
            (n, D) scores, 0 to 10.
        """


def by_student(flt: Filter, student: Scorer, progress: Progress = quiet) -> Affinity:
    """Rank articles by the overall score that a student gives, before caps.

    Args:
        flt: the filter, with the weights.
        student: the student.
        progress: shows what is done.

    Returns:
        A function from n articles to (n,) overall scores.

    Raises:
        InputError: the student's dimensions are not the filter's.
    """
    require_dimensions(student.dimensions, flt, "the student", hint="give --examples FILE instead")

    def affinity(articles: Sequence[Article]) -> Floats:
        from distillery.filters.verdict import weighted_mean

        raw = student.predict([(article.title, article.content) for article in articles], progress)
        return weighted_mean(flt, student.scores(raw))

    return affinity


def by_disagreement(flt: Filter, students: Sequence[Scorer], weakest: Sequence[str], progress: Progress = quiet) -> Affinity:
    """Rank articles by how far several students disagree about them in some dimensions.

    Students that learned the same labels from other seeds differ where the labels tell them least: a label is worth most there.

    Args:
        flt: the filter.
        students: two or more of them.
        weakest: names of the dimensions that count.
        progress: shows what is done.

    Returns:
        A function from n articles to (n,) standard deviations over students, in points, the mean of the dimensions.

    Raises:
        InputError: there are fewer than two students, or one has other dimensions than the filter.
    """
    if len(students) < 2:
        raise InputError("one student can't disagree with itself", where="--student", hint="name two or more")
    for student in students:
        require_dimensions(student.dimensions, flt, "the student", hint="name students of this filter: --student ADAPTER")
    places = [flt.dimensions.index(name) for name in weakest]

    def affinity(articles: Sequence[Article]) -> Floats:
        texts = [(article.title, article.content) for article in articles]
        scores = np.stack([student.scores(student.predict(texts, progress))[:, places] for student in students])
        spread: Floats = scores.std(axis=0).mean(axis=1)
        return spread

    return affinity


def by_examples(flt: Filter, examples: Sequence[Article], store: Store | None = None, progress: Progress = quiet) -> Affinity:
    """Rank articles by how far they lie in the direction of the examples, seen from the pool's mean embedding.

    Similarity to the nearest example finds texts that are written alike, cookie notices included. The direction from the
    pool's mean to the examples' mean finds what the examples have in common: where a tier was 7% of the corpus, it was 24%
    of the articles drawn this way, 11% of those nearest to an example (README.md).

    Args:
        flt: the filter, with the base model.
        examples: articles of the kind that is wanted.
        store: a store that may hold the base model.
        progress: shows what is done.

    Returns:
        A function from n articles to (n,) cosines, -1 to 1.

    Raises:
        InputError: there are no examples.
    """
    if not examples:
        raise InputError("there are no examples", where="--examples", hint="give a file of three or more articles")
    embed = _embedder(flt, store, progress)
    wanted = embed(examples).mean(axis=0)

    def affinity(articles: Sequence[Article]) -> Floats:
        pool = embed(articles)
        middle = pool.mean(axis=0)
        toward = pool - middle
        nearness: Floats = toward @ (wanted - middle) / np.maximum(np.linalg.norm(toward, axis=1), 1e-9)
        return nearness

    return affinity


def _embedder(flt: Filter, store: Store | None, progress: Progress) -> Any:
    import torch

    from distillery.components.student.body import load_body
    from distillery.components.student.resolve import resolve_base
    from distillery.components.student.tokens import Preprocessing, Tokenizing, by_length

    spec = flt.spec.student
    base = resolve_base(spec.baseModel, spec.revision, store)
    tokenizing = Tokenizing(base, Preprocessing(min(TOKENS, spec.maxLength), None))
    body: Any = load_body(base)

    def embed(articles: Sequence[Article]) -> Floats:
        """Return (n, hidden) embeddings, each of length 1."""
        tokens = tokenizing([(article.title, article.content) for article in articles])
        out = np.empty((len(tokens), base.hidden))
        done = 0
        with torch.inference_mode():
            for rows in by_length(tokens.lengths, 4096):
                ids, lengths = (torch.from_numpy(each) for each in tokens.batch(rows))
                mask = torch.arange(ids.shape[1]) < lengths[:, None]
                states = body(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
                mean = (states * mask[..., None]).sum(1) / lengths[:, None]
                out[rows] = torch.nn.functional.normalize(mean, dim=1).double().numpy()
                done += len(rows)
                progress(done, len(tokens), "articles embedded")
        return out

    return embed
