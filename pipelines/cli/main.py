"""The `distillery` command: its commands, the groups its help shows them in, and its exit codes.

It starts in 0.2 s, since heavy packages are imported by the command that uses them. Exit codes are a contract, which
`distillery.components.runtime.exit_codes` states. With --json, standard output holds one JSON object, however a command ends.
"""

from __future__ import annotations

import atexit
import os
import platform
import signal
import sys
import threading
from collections.abc import Sequence
from itertools import pairwise
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from distillery.components.runtime.collector import leave_garbage
from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import Rejected
from distillery.pipelines.cli import (
    adapters,
    calibrate,
    channels,
    check,
    compare,
    distill,
    drift,
    filters,
    gc,
    get,
    label,
    learning_curve,
    logs,
    measure,
    models,
    operator,
    publish,
    registries,
    review,
    schedule,
    score,
    select_student,
    serve,
    share,
    steps,
    submit,
)
from distillery.pipelines.cli.printing import one_object, print_error

# What `distillery --help` shows, group by group; a test holds every command to one place here.
GROUPS = {
    "Start here": ("demo", "check", "distill", "plan", "report"),
    "Filters": ("filters", "explain"),
    "Labels": ("select", "calibrate", "noise", "label", "labels", "audit", "split"),
    "Student": ("train", "select-student", "learning-curve", "benchmark", "measure", "gate"),
    "Look": ("get", "describe", "compare", "logs"),
    "Adapters": ("score", "serve", "drift", "history", "approve", "refuse", "promote", "rollback", "unpin"),
    "Share": ("predictions", "data", "export", "import", "registries", "review"),
    "Upkeep": ("gc",),
    "Cluster": ("submit", "schedule", "suspend", "operator", "pipelines", "models"),
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


COMMANDS = (
    check,
    distill,
    calibrate,
    label,
    steps,
    select_student,
    learning_curve,
    score,
    serve,
    drift,
    adapters,
    measure,
    channels,
    get,
    compare,
    logs,
    schedule,
    operator,
    share,
    registries,
    review,
    gc,
)
for module in COMMANDS:
    app.add_typer(module.app)
app.add_typer(filters.keys)
app.add_typer(filters.app, name="filters")
app.add_typer(models.app, name="models")
app.add_typer(publish.app, name="pipelines")
app.add_typer(steps.labels, name="labels")
app.add_typer(submit.app, name="submit")
app.add_typer(share.exports, name="export")


def main() -> None:
    """Run the command. Whatever ends it is one line and an exit code; a defect of this program alone shows its traceback."""
    atexit.register(leave_garbage)  # not here: who calls this within a process goes on with it
    with one_object(_asks_for_json(sys.argv[1:])):
        _main()


def _asks_for_json(typed: Sequence[str]) -> bool:
    words = set(typed)
    wanted = words & {"--json", "--output=json", "-ojson"} or {("-o", "json"), ("--output", "json")} & set(pairwise(typed))
    return bool(wanted) and not words & {"-h", "--help", "--version"}


def _main() -> None:
    if platform.system() == "Windows":
        what, hint = "Windows is not supported", "use WSL 2, a container, or a cluster"
        print(f"error: {what}: {hint}", file=sys.stderr)
        print_error(what, hint=hint, code=ExitCode.INPUT)
        sys.exit(ExitCode.INPUT)
    ended = end_by_signals()
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        sys.exit(ExitCode.FAILED)
    except (KeyboardInterrupt, SystemExit) as error:
        # typer makes an exit of KeyboardInterrupt; a command that ends so by itself has said what goes on.
        if isinstance(error, SystemExit) and not isinstance(getattr(error.__context__, "__cause__", None), KeyboardInterrupt):
            if error.code:
                _print_end(error)
            raise
        number = ended[-1] if ended else signal.SIGINT
        what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        hint, code = "the same command goes on from here", ExitCode(128 + number)
        print(f"{what}; {hint}", file=sys.stderr)
        print_error(what, hint=hint, code=code)
        sys.exit(code)
    except Exception as error:
        from distillery.components.runtime.outside_errors import told
        from distillery.components.runtime.step import EXIT_CODES, cause_of

        shown = told(error)
        if shown is None:
            from distillery.filters.errors import one_line

            hint = "a fault of this program: report it with what `distillery check --bug-report` prints"
            print_error(one_line(f"{type(error).__name__}: {error}"), hint=hint, code=ExitCode.FAILED)
            raise
        code = ExitCode.REJECTED if isinstance(shown, Rejected) else EXIT_CODES[cause_of(shown)]
        # How far a run came that ended itself; `mend` is deprecated.
        came: dict[str, Any] = getattr(shown, "facts", {})
        came = {**came, "stopped": shown.what, "hint": shown.hint, "mend": shown.hint} if hasattr(shown, "facts") else {}
        print_error(shown.what, where=getattr(shown, "where", ""), hint=shown.hint, code=code, more=came)
        print(f"error: {shown}", file=sys.stderr)
        sys.exit(code)


def _print_end(error: SystemExit) -> None:
    """Print as JSON what a command said before it ended by itself: what click found wrong with its usage, or its exit code."""
    usage = error.__context__
    if usage is not None and hasattr(usage, "format_message"):
        command = context.command_path if (context := getattr(usage, "ctx", None)) else "distillery"
        what = usage.format_message() or "a command is missing"
        print_error(what, where=command, hint=f"see `{command} --help`", code=int(error.code or 0))
    else:
        print_error(f"ended with exit code {error.code}", hint="standard error says why", code=int(error.code or 0))


def end_by_signals() -> list[int]:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, so that its temporary folders go with it.

    Returns:
        A list that gets the number of each signal that came.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if callable(handler := signal.getsignal(signal.SIGINT)):  # an event loop has one of its own, which cancels its tasks
            handler(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores the one, and is heeded
                signal.signal(number, end)
    return came


if __name__ == "__main__":
    main()
