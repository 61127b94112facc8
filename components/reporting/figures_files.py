"""The figures of a report as files of their own: plots, as PNG and SVG, and a summary in plain text.

They are for slides, tickets and other documents; the report draws its own. Equal runs give equal bytes under one version of
matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from distillery.components.reporting.context import Context
from distillery.components.reporting.epochs import dimension_rows
from distillery.components.reporting.formatting import count, number, predictors, sentence, span, words
from distillery.components.reporting.judgement import judgement
from distillery.components.reporting.sections.run import split_facts
from distillery.components.reporting.sections.speed import memory_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STUDENT, OTHER, GRID = "#1d5fa8", "#8a8f98", "#d3d0c9"
SUMMARY: Final = "training_summary.txt"


def plot_files(context: Context, forms: tuple[str, ...] = ("png", "svg")) -> dict[str, bytes]:
    """Return the plots that a run has figures for, and the summary.

    Args:
        context: the run.
        forms: "png", "svg" or both.

    Returns:
        Contents by file name.
    """
    plots: dict[str, Callable[[Context], Any]] = {
        "overall_metrics": _overall,
        "per_dimension_mae": _dimensions,
        "loss_curves": _losses,
        "dimension_curves": _dimension_curves,
    }
    files: dict[str, bytes] = {}
    with _style():
        for name, draw in plots.items():
            figure = draw(context)
            if figure is None:
                continue
            for form in forms:
                data = io.BytesIO()
                metadata = {"Date": None} if form == "svg" else {"Software": None}
                figure.savefig(data, format=form, dpi=150, metadata=metadata)
                files[f"{name}.{form}"] = data.getvalue()
    return {**files, SUMMARY: summary(context).encode()}


def summary(context: Context) -> str:
    """Return a run in plain text: verdict, data, errors, epochs, what the figures mean, speed.

    Args:
        context: the run.

    Returns:
        Lines of text.
    """
    name = f"{context.filter.name} v{context.filter.spec.version}" if context.filter else "a filter that could not be read"
    lines = [name, sentence(context), *(f"{what}: {text}" for what, text in split_facts(context))]
    bench, history, found = context.benchmark, context.history, judgement(context)
    if bench is not None:
        lines += [f"{row.name}: MAE {number(row.mae, 3)}, RMSE {number(row.rmse, 3)}" for row in predictors(bench)]
        lines += [_dimension(context, at) for at in context.by_dimension(bench.dimensions)]
    for epoch in history.epochs if history is not None else ():
        kept = " (kept)" if history is not None and epoch.epoch == history.best_epoch else ""
        lines.append(
            f"epoch {epoch.epoch}: loss {number(epoch.train_loss, 3)}, validation MAE {number(epoch.validation_mae, 3)}, "
            f"RMSE {number(epoch.validation_rmse, 3)}, rate {epoch.learning_rate:.3g}{kept}"
        )
        lines += [
            f"epoch {epoch.epoch}, {words(row.name)}: train MAE {number(each.train, 3)}, "
            f"validation MAE {number(each.validation, 3)}"
            for row in dimension_rows(context, [epoch])
            for each in row.errors
            if each
        ]
    if found is not None:
        lines += [text for text in (found.convergence, found.size) if text]
        lines += [f"{use.name}: {use.fit} ({use.because}; rule: {use.rule})" for use in found.uses]
        lines += [f"strength: {one.text}" for one in found.strengths]
        lines += [f"weakness: {one.text}; {one.advice}" for one in found.weaknesses]
    for each in context.measurements:
        lines.append(
            f"on {each.machine}, {each.plan}: {number(each.latency_ms, 1)} ms an article alone, 19 in 20 within "
            f"{number(each.latency_p95_ms, 1)} ms, {number(each.articles_per_second, 1)} articles/s together, "
            f"memory {memory_of(each)}"
        )
    return "\n".join(line for line in lines) + "\n"


def _dimension(context: Context, at: tuple[str, Any]) -> str:
    name, row = at
    interval = context.benchmark.interval(f"dimensions.{name}.mae") if context.benchmark else None
    return f"{words(name)}: MAE {number(row.mae, 3)} ({span(interval, 3)}), rank correlation {number(row.spearman)}"


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    matplotlib.use("agg")
    look: dict[Any, Any] = {
        "svg.hashsalt": "distillery",
        "font.family": "DejaVu Sans",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context({**look, "font.size": 10, "savefig.bbox": "tight", "text.parse_math": False}):
        yield


def _axes(wide: float, high: float) -> tuple[Any, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, high), layout="constrained")
    return figure, figure.subplots()


def _overall(context: Context) -> Any:
    """Draw the error of the student beside those of the baselines."""
    bench = context.benchmark
    rows = [row for row in predictors(bench) if row.mae is not None] if bench else []
    if not rows or bench is None:
        return None
    figure, axes = _axes(7, 1 + 0.45 * len(rows))
    bars = axes.barh([row.name for row in rows], [row.mae or 0 for row in rows])
    for bar, row in zip(bars, rows, strict=True):
        bar.set_color(STUDENT if row.kind == "student" else OTHER)
    axes.bar_label(bars, [number(row.mae) for row in rows], padding=4)
    return _finished(figure, axes, f"mean error in points of 10, over {count(bench.n)} test articles")


def _dimensions(context: Context) -> Any:
    """Draw the error of each dimension with its interval, and the oracle's own noise."""
    bench = context.benchmark
    rows = [(name, row) for name, row in context.by_dimension(bench.dimensions) if row.mae is not None] if bench else []
    if not rows or bench is None:
        return None
    figure, axes = _axes(7, 1 + 0.45 * len(rows))
    names, errors = [words(name) for name, _ in rows], [row.mae or 0.0 for _, row in rows]
    ends = [bench.interval(f"dimensions.{name}.mae") or (row.mae or 0.0,) * 2 for name, row in rows]
    sides = [[max(0.0, error - low) for error, (low, _) in zip(errors, ends, strict=True)]]
    sides.append([max(0.0, high - error) for error, (_, high) in zip(errors, ends, strict=True)])
    axes.barh(names, errors, xerr=sides, color=STUDENT, ecolor="#1b1d21", capsize=3, label="student, 95% interval")
    floor = bench.noise.dimensions if bench.noise else {}
    known = {words(name): noise for name, _ in rows if (noise := floor.get(name)) is not None}
    if known:
        axes.plot(list(known.values()), list(known), "o", mfc="white", mec="#1b1d21", label="oracle's noise")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return _finished(figure, axes, "mean error in points of 10")


def _finished(figure: Any, axes: Axes, across: str) -> Any:
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
    axes.set_xlabel(across)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def _losses(context: Context) -> Any:
    """Draw loss and validation error by epoch."""
    if context.history is None or not context.history.epochs:
        return None
    from matplotlib.ticker import MaxNLocator

    epochs, best = context.history.epochs, context.history.best_epoch
    xs = [epoch.epoch for epoch in epochs]
    figure, axes = _axes(7, 3.6)
    axes.plot(xs, [epoch.train_loss for epoch in epochs], "o-", color=OTHER, label="training loss")
    axes.plot(xs, [epoch.validation_mae for epoch in epochs], "s-", color=STUDENT, label="validation MAE, points")
    axes.axvline(best, color=OTHER, linestyle=":", label=f"kept: epoch {best}")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color=GRID, linewidth=0.6)
    axes.legend(frameon=False)
    return figure


def _dimension_curves(context: Context) -> Any:
    """Draw train and validation error of each dimension by epoch, all to one scale."""
    epochs = [epoch for epoch in context.history.epochs if epoch.dimensions] if context.history else []
    rows = dimension_rows(context, epochs)
    if not rows or context.history is None:
        return None
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    wide = min(3, len(rows))
    high = -(-len(rows) // wide)
    figure = Figure(figsize=(9, 0.6 + 2.2 * high), layout="constrained")
    grid = figure.subplots(high, wide, sharex=True, sharey=True, squeeze=False)
    for axes, row in zip(grid.flat, rows, strict=False):
        known = [(epoch.epoch, each) for epoch, each in zip(epochs, row.errors, strict=True) if each]
        xs = [at for at, _ in known]
        axes.plot(xs, [each.validation for _, each in known], "s-", color=STUDENT, ms=4, label="validation")
        axes.plot(xs, [each.train for _, each in known], "o--", color=OTHER, ms=4, label="train")
        axes.axvline(context.history.best_epoch, color=OTHER, linestyle=":")
        axes.set_title(words(row.name), fontsize=9)
        axes.grid(color=GRID, linewidth=0.6)
    for axes in grid.flat[len(rows) :]:
        axes.set_visible(False)
    grid[0, 0].set_ylim(bottom=0)
    grid[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=2)
    figure.supylabel("mean error, points of 10", fontsize=9)
    return figure
