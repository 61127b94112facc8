"""The parts of the Markdown that tell of a run's data, its training, and the speed of what it made."""

from __future__ import annotations

from distillery.components.reporting.context import Context
from distillery.components.reporting.epochs import dimension_rows, shown_epochs
from distillery.components.reporting.formatting import NONE, count, number, words
from distillery.components.reporting.markdown_text import plain, table

EPOCHS, COLUMNS = 20, 7  # rows, and columns beside the dimension's name


def data(context: Context) -> str:
    """Return how many articles were labelled, and what share of them trains, validates and tests.

    Args:
        context: the run.

    Returns:
        A table; "" where there was no split.
    """
    from distillery.components.reporting.sections.run import split_facts

    labels = context.label_set
    rows = [("labelled articles", count(labels.rows))] if labels else []
    facts = split_facts(context)
    return table(["Articles", "Count"], [list(row) for row in (*rows, *facts)]) if facts else ""


def learning(context: Context) -> str:
    """Return loss and errors of each epoch, overall and by dimension.

    Args:
        context: the run.

    Returns:
        Tables; "" where there is no history.
    """
    epochs = shown_epochs(context, EPOCHS)
    if context.history is None or not epochs:
        return ""
    best = context.history.best_epoch
    shown = table(
        ["Epoch", "Training loss", "Validation error", "RMSE", "Learning rate"],
        [
            [
                f"**{epoch.epoch}, kept**" if epoch.epoch == best else str(epoch.epoch),
                number(epoch.train_loss, 3),
                number(epoch.validation_mae, 3),
                number(epoch.validation_rmse, 3),
                f"{epoch.learning_rate:.3g}",
            ]
            for epoch in epochs
        ],
    )
    if left := len(context.history.epochs) - len(epochs):
        shown += f"\n\n{left} epochs between them are left out."
    return "\n\n".join(part for part in (shown, _by_dimension(context)) if part)


def _by_dimension(context: Context) -> str:
    """Return train and validation error of each dimension, a column an epoch."""
    epochs = shown_epochs(context, COLUMNS)
    rows = [
        [
            plain(words(row.name)),
            *(f"{number(each.train)} / {number(each.validation)}" if each else NONE for each in row.errors),
        ]
        for row in dimension_rows(context, epochs)
    ]
    if not rows:
        return ""
    heads = [f"Epoch {epoch.epoch}" for epoch in epochs]
    return f"Mean error on training / validation articles:\n\n{table(['Dimension', *heads], rows)}"


def speed(context: Context) -> str:
    """Return how fast the student is, and what memory it takes, on each machine where that was measured.

    Args:
        context: the run.

    Returns:
        A table; "" where nobody measured.
    """
    from distillery.components.reporting.sections.speed import memory_of, million

    rows = [
        [
            plain(f"{each.machine}, {each.plan}"),
            f"{number(each.latency_ms, 1)} ms",
            f"{number(each.latency_p95_ms, 1)} ms",
            f"{number(each.articles_per_second, 1)}/s",
            million(each),
            plain(memory_of(each)),
        ]
        for each in context.measurements
    ]
    if not rows:
        return ""
    heads = ["Machine", "An article alone", "19 in 20 within", "Many together", "A million articles", "Memory"]
    length = number(context.measurements[0].words, 0)
    return f"{table(heads, rows)}\n\nFrom text to scores, for articles of {length} words on average."


def drift(context: Context) -> str:
    """Return the looks at what the adapter scored since, and the articles that moved most at the last one.

    Args:
        context: the run.

    Returns:
        Tables; "" where nobody looked.
    """
    from distillery.components.reporting.sections.drift import SHOWN, found

    rows = [
        [f"{look.number}, {plain(look.at)}", number(look.n, 0), look.reference, number(look.psi, 2), plain(found(look))]
        for look in context.looks[:SHOWN]
    ]
    if not rows:
        return ""
    parts = [table(["Look", "Articles", "Against", "Index at most", "Found"], rows)]
    if moved := context.looks[0].moved:
        shown = [
            [plain(each.title or each.id), plain(each.source), plain(words(each.feature)), number(each.score, 1)]
            for each in moved
        ]
        heads = ["Article", "Source", "Where it stands out", "Score there"]
        parts.append(f"The articles that moved most at the last look:\n\n{table(heads, shown)}")
    return "\n\n".join(parts)
