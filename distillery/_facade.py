"""The functions behind `import distillery`: each calls the step or the reader that the command line uses, and adds nothing.

Progress is written to standard error, one line every 15 seconds. Work that is done is found in the store and not done again.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from distillery._rows import as_file, rows_of
from distillery.components.articles.articles import Article, as_article
from distillery.components.artifacts.adapter import find_adapter
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.run_summary import NO_RUN, RunSummary, put_summary, read_adapter_summary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import through
from distillery.components.artifacts.verdict import Verdict, read_verdict
from distillery.components.runtime.extras import STUDENT, require
from distillery.components.runtime.progress import reporter
from distillery.components.runtime.whole_file import write_whole
from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.verdict import judge as judge_scores
from distillery.pipelines.steps import TASKS, RunState

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.components.artifacts.benchmark import Benchmark
    from distillery.components.student.bundle import Student

RUN: Final = NO_RUN
CHUNK: Final = 2048  # articles that are scored at once


class LabelSet(NamedTuple):
    """Labels in the store.

    Attributes:
        store: where they are.
        record: what the label step read and left.
    """

    store: Store
    record: StepRecord

    @property
    def digest(self) -> str:
        """Return the digest that names the label set."""
        return str(self.record.outputs["label_set"])

    def table(self) -> pa.Table:
        """Read the labels.

        Returns:
            An Arrow table: a row for each article, a column `score.<dimension>` for each dimension.
        """
        from distillery.components.artifacts.split import load_labels

        return load_labels(self.store, self.digest)


class Score(NamedTuple):
    """What became of one article.

    Attributes:
        overall: weighted mean of the scores after caps, 0 to 10; None where the prefilter refused the article.
        tier: name of the tier; None where the prefilter refused the article.
        reason: what capped the overall; None where nothing did.
        prefiltered: why the prefilter refused the article; None where it did not.
        scores: score by dimension, 0 to 10; empty where the prefilter refused the article.
        content_type: what the student takes the article for; None where it names no type.
    """

    overall: float | None
    tier: str | None
    reason: str | None
    prefiltered: str | None
    scores: dict[str, float]
    content_type: str | None = None


@dataclass(frozen=True)
class Adapter:
    """A trained student in a store, with the filter it serves.

    Attributes:
        store: where it is.
        filter: the filter that judges its scores.
        digest: what names it.
        summary: records of the steps that made and judged it.
    """

    store: Store
    filter: Filter
    digest: str
    summary: RunSummary

    @cached_property
    def student(self) -> Student:
        """Return the student, every byte verified; it is loaded once."""
        from distillery.components.runtime.caps import tell_caps
        from distillery.components.student.bundle import open_bundle
        from distillery.components.student.devices import serving_plan

        tell_caps(self.store, self.filter, self.digest, reporter("score"))
        plan = serving_plan(self.store, self.filter.name, self.digest, self.filter.spec.student)
        return open_bundle(self.store, self.filter.name, self.digest, flt=self.filter, plan=plan)

    def __repr__(self) -> str:
        return f"<Adapter {self.digest[:12]} of {self.filter.name}>"


class Report(NamedTuple):
    """A report in both of its forms; a notebook shows it as it is.

    Attributes:
        html: one page without anything to load.
        markdown: the same in brief.
    """

    html: str
    markdown: str

    def save(self, path: str | Path) -> Path:
        """Write the page, or for a name that ends in .md the Markdown.

        Args:
            path: the file; its folder must exist.

        Returns:
            The path.
        """
        target = Path(path)
        write_whole(target, self.markdown if target.suffix == ".md" else self.html)
        return target

    def _repr_html_(self) -> str:
        # In a frame of its own: the page has styles for everything, and the notebook has its own.
        frame = '<iframe srcdoc="{}" style="width:100%;height:80vh;border:0" title="report"></iframe>'
        return frame.format(html.escape(self.html, quote=True))


def label(
    store: Store, filter: Filter, articles: Any, *, budget: float | None = None, without_calibration: str = ""
) -> LabelSet:
    """Label articles with the filter's oracle; what was labelled before is not asked again.

    Args:
        store: where answers and labels go.
        filter: names the oracle and its rubric.
        articles: a file (JSONL, JSONL.gz, Parquet; a path or s3://), or rows with `content`, `title`, `id` …: a DataFrame,
            an Arrow table or a list of dicts.
        budget: US dollars that all labels of this rubric may cost, earlier runs included; None for no limit.
        without_calibration: why more than 120 articles are labelled though no calibration passed; it is recorded.

    Returns:
        The label set.

    Raises:
        InputError: the articles cannot be used, or the oracle cannot be reached with these settings.
        Stopped: the labelling ended itself (budget, credit, unusable replies); paid answers are kept.
    """
    from distillery.components.labeling.label import label as work

    with as_file(articles) as path:
        record = work(
            store, filter, articles=path, budget=budget, without_calibration=without_calibration, progress=reporter("label")
        )
    return LabelSet(store, record)


def train(store: Store, filter: Filter, labels: Any, *, max_rejects: str = "0") -> Adapter:
    """Train the filter's student: import the labels, audit, split, train. A killed training goes on from its checkpoint.

    Args:
        store: where everything goes.
        filter: names dimensions, base model and settings of the training.
        labels: a label set of `label`; or a file (JSONL, JSONL.gz, Parquet; a path or s3://); or rows with `content`,
            `title`, `id` … and `scores` (or columns `score.<dimension>`): a DataFrame, an Arrow table or a list of dicts.
        max_rejects: bad rows of labels that may be left out, "20" or "1%".

    Returns:
        The adapter. Nothing is promoted.

    Raises:
        InputError: the labels cannot be used, are not fit to learn from, or the base model cannot be had.
    """
    require(STUDENT)
    if isinstance(labels, LabelSet):
        records = _trained(RunState(store, filter), {"label": labels.record})
    else:
        with as_file(labels) as path:
            records = _trained(RunState(store, filter, labels=path, max_rejects=max_rejects), {})
    key = publish_filter(store, filter)
    outputs = {"name": filter.name, "filter_key": key}
    preflight = StepRecord.of("preflight", {"filter": key}, outputs, [key])
    summary = RunSummary(run=RUN, steps=[preflight, *records.values()])
    return _kept(Adapter(store, filter, str(records["train"].outputs["adapter"]), summary))


def open_adapter(store: Store, adapter: str) -> Adapter:
    """Open an adapter: the one that a filter's channel points at, or the one that a digest names.

    Args:
        store: where it is.
        adapter: a filter's name or the path of a filter.yaml, for the promoted adapter; or the digest of any adapter, whose
            first 8 digits will do.

    Returns:
        The adapter; its bytes are read and verified when it first scores.

    Raises:
        InputError: nothing is promoted, or the store has no such adapter.
    """
    filter, digest = find_adapter(store, adapter)
    summary = read_adapter_summary(store, digest) or RunSummary(run=RUN, steps=[])
    return Adapter(store, filter, digest, summary)


def benchmark(adapter: Adapter, labels: Any = None, *, max_rejects: str = "0") -> Benchmark:
    """Judge an adapter on articles it has not seen, beside baselines fitted on what it has.

    Args:
        adapter: the adapter.
        labels: what to judge on, as in `train`; None for the frozen test part of the adapter's own split.
        max_rejects: bad rows of labels that may be left out, "20" or "1%".

    Returns:
        The benchmark: `mae`, `overall_mae`, `spearman`, `tiers`, `dimensions`, `baselines`, `intervals`, `alarms` …

    Raises:
        InputError: the labels cannot be used, or the adapter is damaged.
    """
    require(STUDENT)
    if labels is None:
        return _benchmark(adapter)[0]
    from distillery.components.articles.input_files import local_input
    from distillery.components.benchmarking.evaluate import evaluate_file

    with as_file(labels) as given, local_input(given, parameter="labels") as path:
        return evaluate_file(
            adapter.store,
            adapter.filter,
            adapter.digest,
            path,
            max_rejects=max_rejects,
            progress=reporter("benchmark"),
        )


def gate(adapter: Adapter) -> Verdict:
    """Hold the adapter's benchmark on its frozen test part against the filter's gates. Nothing is promoted.

    Args:
        adapter: the adapter.

    Returns:
        The verdict: `decision` ("promote", "approve" or "reject"), `passed`, and `rules`, each with its `value`, `bound`,
        `verdict` and `reason`.

    Raises:
        InputError: bundle, split or test part are missing or altered.
    """
    from distillery.components.gating.gate import gate as work

    require(STUDENT)
    _, record = _benchmark(adapter)
    gated = work(
        adapter.store,
        adapter.filter,
        adapter=adapter.digest,
        benchmark=record.outputs["benchmark"],
        test=record.outputs["test"],
        progress=reporter("gate"),
    )
    _kept(adapter, record, gated)
    return read_verdict(adapter.store, adapter.filter.name, gated.outputs["verdict"])


def score(adapter: Adapter, articles: Any) -> list[Score]:
    """Score articles: prefilter, student, caps and tiers. For a corpus in files, use `distillery score`.

    Args:
        adapter: the adapter.
        articles: texts; or rows with `content` and, where there are any, `title` and `language`: a DataFrame, an Arrow table
            or a list of dicts.

    Returns:
        One score for each article, in order. `pandas.DataFrame(...)` of it is a table.

    Raises:
        InputError: a row is no article, or the adapter is damaged.
    """
    require(STUDENT)
    from distillery.components.scoring.rows import judged

    parsed, progress, results = _articles(rows_of(articles)), reporter("score"), list[Score]()
    for first in range(0, len(parsed), CHUNK):
        table = judged(adapter.filter, adapter.student, parsed[first : first + CHUNK])
        for row in table.to_pylist():
            scores = {name: row[f"score.{name}"] for name in adapter.filter.dimensions}
            kept = {} if row["overall"] is None else scores
            results.append(Score(row["overall"], row["tier"], row["reason"], row["prefiltered"], kept, row.get("content_type")))
        progress(len(results), len(parsed), "articles")
    return results


def judge(filter: Filter, scores: Iterable[Mapping[str, float]]) -> list[Score]:
    """Turn scores that you have, of people or of a model, into overall and tier.

    Args:
        filter: has the weights, caps and tiers.
        scores: for each article a score from 0 to 10 by dimension.

    Returns:
        One score for each article, in order.

    Raises:
        InputError: a dimension is missing, unknown, or its score is not a number.
    """
    rows, names = list(scores), filter.dimensions
    for number, row in enumerate(rows):
        if sorted(row) != sorted(names):
            what = f"has scores of {', '.join(sorted(row)) or 'nothing'}"
            raise InputError(what, where=f"article {number}", hint=f"give {', '.join(names)}")
    try:
        matrix = np.array([[row[name] for name in names] for row in rows], dtype=np.float64).reshape(-1, len(names))
        verdicts = judge_scores(filter, matrix)
    except (TypeError, ValueError) as error:
        raise InputError(str(error), where="scores", hint="give numbers from 0 to 10") from None
    each = zip(verdicts.overall.tolist(), verdicts.tier.tolist(), verdicts.reason, rows, strict=True)
    return [Score(overall, tier, reason or None, None, dict(row)) for overall, tier, reason, row in each]


def report(adapter: Adapter) -> Report:
    """Write the report of the run that made or last judged an adapter.

    Args:
        adapter: the adapter.

    Returns:
        The report; a notebook shows it.
    """
    from distillery.components.reporting.gather import gather
    from distillery.components.reporting.render import render_html, render_markdown

    summary = read_adapter_summary(adapter.store, adapter.digest) or adapter.summary
    context = gather(adapter.store, adapter.filter, summary)
    return Report(render_html(context), render_markdown(context))


def _trained(run: RunState, records: dict[str, StepRecord]) -> dict[str, StepRecord]:
    for name in through("train"):
        if name not in records:
            records[name] = TASKS[name](run, reporter(name))
        run.outputs |= records[name].outputs
    return records


def _articles(rows: list[dict[str, Any]]) -> list[Article]:
    articles = []
    for number, row in enumerate(rows):
        try:
            articles.append(as_article(row))
        except ValueError as error:
            raise InputError(str(error), where=f"article {number}", hint="give each article a text") from None
    return articles


def _benchmark(adapter: Adapter) -> tuple[Benchmark, StepRecord]:
    from distillery.components.artifacts.benchmark import read_benchmark
    from distillery.components.benchmarking.benchmark import benchmark as work

    split, progress = adapter.student.facts.split, reporter("benchmark")
    record = work(adapter.store, adapter.filter, adapter=adapter.digest, split=split, progress=progress)
    _kept(adapter, record)
    return read_benchmark(adapter.store, adapter.digest, record.outputs["test"], record.outputs["benchmark"]), record


def _kept(adapter: Adapter, *records: StepRecord) -> Adapter:
    """Record a run where its adapter is looked up later, unless a run of the pipeline has left its summary there."""
    before = read_adapter_summary(adapter.store, adapter.digest) or adapter.summary
    if before.run != RUN:
        return adapter
    steps = {record.step: record for record in (*adapter.summary.steps, *before.steps, *records)}
    summary = RunSummary(run=RUN, steps=list(steps.values()))
    put_summary(adapter.store, summary, name=None)
    return replace(adapter, summary=summary)
