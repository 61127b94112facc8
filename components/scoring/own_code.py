"""Which source turns articles into scores, as one digest: scores of other code are another job's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from distillery.components.store import Digest, digest_bytes, digest_json

# What decides a score, besides what the plan names.
CODE = (
    "articles/arrow_rows.py",
    "articles/arrow_stream.py",
    "articles/articles.py",
    "articles/cells.py",
    "articles/columns.py",
    "articles/csv_rows.py",
    "articles/folders.py",
    "articles/formats.py",
    "articles/forms.py",
    "articles/hub_features.py",
    "articles/json_values.py",
    "articles/label_table.py",
    "articles/near_names.py",
    "articles/parquet_pages.py",
    "articles/parquet_rows.py",
    "articles/prefilter.py",
    "articles/readers.py",
    "articles/score_forms.py",
    "articles/workbook.py",
    "artifacts/bundle.py",
    "scoring/*.py",
    "student/*.py",
    "../filters/*.py",
)


@cache
def own_code(patterns: tuple[str, ...] = CODE) -> Digest:
    """Return a digest of the source that turns articles into scores.

    Args:
        patterns: globs of the files, from the folder of all components.

    Returns:
        The digest.

    Raises:
        ValueError: a pattern names no file, as it would after a file was moved.
    """
    here = Path(__file__).resolve().parent.parent
    sources = {pattern: sorted(here.glob(pattern)) for pattern in patterns}
    if empty := [pattern for pattern, files in sources.items() if not files]:
        raise ValueError(f"{', '.join(empty)} matches no file: CODE in scoring/own_code.py must name what decides a score")
    files = sorted({path for files in sources.values() for path in files})
    return digest_json([[path.name, digest_bytes(path.read_bytes())] for path in files])
