"""Shows a running pipeline: a live table on a terminal, one plain line every 15 s elsewhere.

Everything goes to standard error, so that standard output is free for results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from distillery.components.runtime.progress import LINE_SECONDS, clock
from distillery.pipelines.run_view import Source, StepView, Watched

MARKS = {"waiting": "·", "started": "▸", "done": "✓", "reused": "↺", "skipped": "–", "failed": "✗"}
POLL_SECONDS = 0.1


def watch(source: Source, steps: Iterable[str]) -> Watched:
    """Follow a run to its end, and show it on standard error.

    Args:
        source: The run's events.
        steps: Names of the steps that are shown from the start.

    Returns:
        What the events told.
    """
    watched = Watched({name: StepView(name) for name in steps})
    follow = _live if sys.stderr.isatty() else _plain
    follow(source, watched)
    return watched


def say(text: str) -> None:
    """Print a line on standard error at once.

    Args:
        text: The line.
    """
    print(text, file=sys.stderr, flush=True)


def _plain(source: Source, watched: Watched) -> None:
    said, ended = time.monotonic(), False
    while not ended:
        ended = source.ended()  # asked first, so that what a run says last is read after its end
        for event in source.events():
            if text := watched.take(event):
                say(text)
                said = time.monotonic()
        if not ended and time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            for view in watched.steps.values():
                if view.state == "started":
                    say(f"{view.name}: {view.detail() or 'working'}, {clock(time.time() - view.began)} so far")
        time.sleep(0 if ended else POLL_SECONDS)


def _live(source: Source, watched: Watched) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    def table() -> Table:
        grid = Table.grid(padding=(0, 2))
        for view in watched.steps.values():
            seconds = time.time() - view.began if view.state == "started" else view.seconds
            style = {"started": "bold", "failed": "red", "waiting": "dim"}.get(view.state, "")
            shown = {"waiting": "", "reused": "reused", "skipped": "skipped"}.get(view.state, clock(seconds))
            grid.add_row(MARKS[view.state], view.name, shown, view.detail(), style=style)
        return grid

    # Drawn by a thread of its own: clocks go on while a far store is asked.
    with Live(get_renderable=table, console=Console(stderr=True), refresh_per_second=4):
        ended = False
        while not ended:
            ended = source.ended()
            for event in source.events():
                watched.take(event)
            time.sleep(0 if ended else POLL_SECONDS)
