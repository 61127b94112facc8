"""The card of a folder of data: its head is what Hugging Face reads, its text what a person must know before using it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from distillery.components.artifacts.folder_meta import LabelSetMeta, SplitMeta
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.reporting.markdown_text import plain, table
from distillery.components.sharing.table_files import data_file
from distillery.components.store import Digest, Store
from distillery.components.store.layout import LABEL_SETS, SPLITS

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

SIZES: Final = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))


def data_card(store: Store, flt: Filter, summary: RunSummary, tables: Mapping[str, pa.Table]) -> str:
    """Return the README.md of a folder with these parts.

    Args:
        store: where split and label set are.
        flt: the run's filter.
        summary: the run.
        tables: by part.

    Returns:
        Markdown with a head in YAML; nothing in it is left to be filled in.
    """
    split = SplitMeta.of(store.folder(SPLITS, Digest(str(summary.outputs["split"]))))
    labels = LabelSetMeta.of(store.folder(LABEL_SETS, Digest(split.label_set)))
    rows = [[part, f"{one.num_rows:,}"] for part, one in tables.items()]
    dimensions = [[f"`{each.name}`", plain(each.description), f"{each.weight:g}"] for each in flt.spec.dimensions]
    texts = "title" in next(iter(tables.values())).column_names
    parts = [
        f"# {flt.name}: articles and scores",
        plain(flt.spec.description, 2_000),
        f"Each article is scored from 0 to 10 in {len(dimensions)} dimensions by {_who(labels)}.",
        table(["part", "articles"], rows),
        f"The test part is frozen: no article in it, nor a near-duplicate of one, trains. Split `{summary.outputs['split']}`.",
        "## Dimensions",
        table(["dimension", "what it means", "weight"], dimensions, right=2),
        "Scores are in columns `score.<dimension>`."
        + ("" if texts else " Titles and texts of the articles are not included; `url` and `id` say which article is meant."),
        '```python\nfrom datasets import load_dataset\n\ndata = load_dataset(".")  # the folder of this page\n```',
    ]
    return f"{_head(flt, tables)}\n" + "\n\n".join(parts) + "\n"


def _who(labels: LabelSetMeta) -> str:
    model = (labels.oracle or {}).get("model")
    return f"the model {plain(str(model))}" if model else "people, or a program of theirs"


def _head(flt: Filter, tables: Mapping[str, pa.Table]) -> str:
    """Return the head; JSON is YAML, and quotes whatever a name holds."""
    tongues: Counter[str] = Counter()
    for one in tables.values():
        tongues.update(value for value in one["language"].to_pylist() if value)
    count = sum(one.num_rows for one in tables.values())
    head: dict[str, Any] = {
        "pretty_name": f"{flt.name}: articles and scores",
        "task_categories": ["text-classification"],
        "size_categories": [next((name for upto, name in SIZES if count < upto), "n>1M")],
        "configs": [{"config_name": "default", "data_files": [{"split": part, "path": data_file(part)} for part in tables]}],
    }
    if known := [name for name, _ in tongues.most_common() if len(name) in (2, 3) and name.isalpha()]:
        head["language"] = known
    return "---\n" + "".join(f"{name}: {json.dumps(value)}\n" for name, value in head.items()) + "---\n"
