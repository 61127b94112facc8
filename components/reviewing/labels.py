"""People's scores as labels: rows that `--labels` reads, with the names of those who gave them."""

from __future__ import annotations

import json
from typing import Any

from distillery.components.artifacts.review import Review
from distillery.components.reviewing.draw import Judged


def label_rows(judged: Judged, review: Review) -> list[dict[str, Any]]:
    """Return a label for each article that people scored in every dimension: the mean of those who scored it.

    Args:
        judged: the test part.
        review: what people said.

    Returns:
        Rows in the order of the test part; `labelled_by` and `review` say where the scores are from.
    """
    rows = []
    for row in judged.frame.to_pylist():
        given = {name: scores[row["article"]] for name, scores in review.scores.items() if row["article"] in scores}
        means = {
            dimension: [scores[dimension] for scores in given.values() if dimension in scores]
            for dimension in judged.filter.dimensions
        }
        if not given or not all(means.values()):
            continue
        about = ("id", "title", "content", "url", "source", "language", "published")
        label = {name: row[name] for name in about if row.get(name)}
        label["scores"] = {name: round(sum(values) / len(values), 6) for name, values in means.items()}
        label["labelled_by"] = sorted(given)
        label["review"] = judged.adapter
        rows.append(label)
    return rows


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    """Return labels as JSON Lines.

    Args:
        rows: the labels.

    Returns:
        The file.
    """
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()
