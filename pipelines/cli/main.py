"""The `distillery` command: its commands, the groups its help shows them in, and its exit codes.

It starts in 0.2 s, since heavy packages are imported by the command that uses them. Exit codes are a contract: 0 done (and
promoted, where a run was to promote), 2 bad input or usage, 3 the gates rejected, 4 waiting for a person (approval, marks), 1
anything else.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from distillery.filters.errors import Rejected
from distillery.pipelines.cli import (
    adapters,
    calibrate,
    channels,
    check,
    distill,
    filters,
    label,
    models,
    publish,
    score,
    steps,
    submit,
)
from distillery.pipelines.cli.printing import print_json

REJECTED = 3

# What `distillery --help` shows, group by group; a test holds every command to one place here.
GROUPS = {
    "Start here": ("demo", "check", "distill", "plan", "report"),
    "Filters": ("filters",),
    "Labels": ("select", "calibrate", "noise", "label", "labels", "audit", "split"),
    "Student": ("train", "benchmark", "gate"),
    "Adapters": ("score", "history", "approve", "promote", "rollback", "unpin"),
    "Cluster": ("submit", "pipelines", "models"),
}


class Grouped(TyperGroup):
    """Show the commands in groups. In plain text: importing rich to draw boxes would triple the time `--help` takes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each group.

        Args:
            ctx: click's context.
            formatter: click's help formatter, which knows the terminal's width.
        """
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=200)) for name in names])


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"distillery {version('llm-distillery')}")
        raise typer.Exit


app = typer.Typer(
    cls=Grouped,
    help="Distil an LLM's judgement of articles into a small student: label, train, benchmark, gate, promote, score.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    """Take the options that no command is needed for."""


for module in (check, distill, calibrate, label, steps, score, adapters, channels):
    app.add_typer(module.app)
app.add_typer(filters.app, name="filters")
app.add_typer(models.app, name="models")
app.add_typer(publish.app, name="pipelines")
app.add_typer(steps.labels, name="labels")
app.add_typer(submit.app, name="submit")


def main() -> None:
    """Run the command. Whatever ends it is one line and an exit code; a defect of this program alone shows its traceback."""
    if platform.system() == "Windows":
        print("error: Windows is not supported: use WSL 2, a container, or a cluster", file=sys.stderr)
        sys.exit(2)
    ended = end_by_signals()
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as error:
        # typer makes an exit of KeyboardInterrupt; a command that ends so by itself has said what goes on.
        if isinstance(error, SystemExit) and not isinstance(getattr(error.__context__, "__cause__", None), KeyboardInterrupt):
            raise
        number = ended[-1] if ended else signal.SIGINT
        what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        print(f"{what}; the same command goes on from here", file=sys.stderr)
        sys.exit(128 + number)
    except Exception as error:
        from distillery.components.runtime.outside_errors import told
        from distillery.components.runtime.step import EXIT_CODES, cause_of

        shown = told(error)
        if shown is None:
            raise
        code = REJECTED if isinstance(shown, Rejected) else EXIT_CODES[cause_of(shown)]
        if "--json" in sys.argv[1:]:
            where = getattr(shown, "where", "")
            # How far a run came that ended itself; `mend` is deprecated.
            came = (
                {**shown.facts, "stopped": shown.what, "hint": shown.hint, "mend": shown.hint}
                if hasattr(shown, "facts")
                else {}
            )
            print_json({**came, "error": {"what": shown.what, "where": where, "hint": shown.hint, "code": code}})
        print(f"error: {shown}", file=sys.stderr)
        sys.exit(code)


def end_by_signals() -> list[int]:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, so that its temporary folders go with it.

    Returns:
        A list that gets the number of each signal that came.
    """
    came: list[int] = []

    def end(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores the one, and is heeded
                signal.signal(number, end)
    return came


if __name__ == "__main__":
    main()
