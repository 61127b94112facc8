"""What scoring tests share: a student in the store that nobody had to train, a corpus, the scores as one table."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.components.artifacts.bundle import BaseFacts, StudentFacts
from distillery.components.artifacts.channel import Entry, current
from distillery.components.artifacts.filter import publish_filter
from distillery.components.promotion.move import change, utc_now
from distillery.components.store import Store, as_digest
from distillery.components.student.bundle import Student, golden_texts, save_bundle
from distillery.components.student.score_curves import ScoreCurves
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from distillery.filters.spec import Lora
from tests.cluster.harness import ROOT

TOOL = Path(os.environ.get("CLUSTER", ROOT.parent / "shared" / "cluster" / "cluster"))
DIMENSIONS = ["readiness", "benefit", "cost"]


@dataclass(frozen=True)
class Promoted:
    """A filter file, and the adapter that its channel points at."""

    path: Path
    filter: Filter
    adapter: str


def promote_student(store: Store, folder: Path, name: str, base: str, margin: float = 1.0) -> Promoted:
    """Publishes a filter with a student of random LoRA weights on `base`, and points its channel at it."""
    path = folder / f"{name}.yaml"
    dimensions = [{"name": each, "weight": 0.25 if i else 0.5, "description": each} for i, each in enumerate(DIMENSIONS)]
    path.write_text(f"""\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata: {{name: {name}}}
spec:
  version: 1
  description: A filter for tests of scoring.
  scope: {{judge: Whether a technology helps.}}
  dimensions: {json.dumps(dimensions)}
  tiers: [{{name: high, when: "overall >= 5"}}, {{name: low}}]
  prefilter: {{minChars: 500}}
  oracle: {{model: recorded}}
  student: {{baseModel: "{base}", maxLength: 128}}
  gates: [{{metric: mae, below: 0.8}}]
""")
    flt = load_filter_text(path.read_text(), str(path))
    adapter = save_bundle(store, name, make_student(store, flt, base, margin))
    before = current(store, name, flt.spec.promotion.channel)
    entry = Entry(
        adapter=adapter, verdict=as_digest("0" * 64), filter=publish_filter(store, flt), action="promote", at=utc_now()
    )
    if before is None or before.adapter != adapter:
        change(store, name, flt.spec.promotion.channel, lambda now: now.moved(entry))
    return Promoted(path, flt, adapter)


def make_student(store: Store, flt: Filter, ref: str, margin: float = 1.0) -> Student:
    import numpy as np
    import torch

    from distillery.components.student.model import expected_shapes
    from distillery.components.student.resolve import resolve_base
    from distillery.components.student.tokens import Preprocessing

    base, lora, preprocessing = resolve_base(ref, None, store), Lora(r=4, alpha=8), Preprocessing(128, None)
    generator = torch.Generator().manual_seed(11)
    shapes = expected_shapes(base, lora, len(flt.dimensions))
    facts = StudentFacts(
        format=1,
        filter=flt.name,
        dimensions=flt.dimensions,
        base=BaseFacts(**base.facts()),
        maxLength=128,
        headTail=None,
        pooling="mean" if base.kind == "encoder" else "last",
        preprocessing=preprocessing.facts(),
        lora=lora,
        training={"epochs": 1, "precision": "fp32"},
        split="0" * 64,
        trainable_parameters=1,
        train_mae=0.5,
        validation_mae=0.6,
        label_variance=4.0,
        steps=1,
        tokens=1,
        alarms=[],
    )
    tensors = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    plain = ScoreCurves(False, [], 0.6, 0.6)
    student = Student(facts, base, tensors, plain, ([], np.zeros((0, 3))), {"epochs": [], "best_epoch": 0})
    texts = [(title, content) for title, content in golden_texts()]
    # Scores spread over 0 to 10 by curves, so that a wrong row shows; the more, the smaller the margin.
    raw = student.predict(texts)
    low, high = raw.min(axis=0) - margin, raw.max(axis=0) + margin
    student.score_curves = ScoreCurves(
        True, [([float(a), float(b)], [0.0, 10.0]) for a, b in zip(low, high, strict=True)], 0.6, 0.5
    )
    student.golden = (texts, raw)
    return student


def write_corpus(path: Path, n: int) -> None:
    """`n` demo articles as JSON Lines."""
    from tests.demo.generator.corpus import generate

    with path.open("w") as out:
        for number, article in enumerate(generate(n, 7)):
            out.write(json.dumps({**article.row(), "id": f"article-{number}"}) + "\n")


def table(where: Store, parts: list[str]) -> Any:
    import pyarrow as pa

    from distillery.components.articles.label_table import read_table

    return pa.concat_tables([read_table(where.get(name)) for name in parts])


def part(*words: str) -> None:
    """The test cluster's own tool, to stop and start a part."""
    subprocess.run([str(TOOL), *words], check=True, capture_output=True, timeout=120)
