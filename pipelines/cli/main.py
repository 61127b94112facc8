"""The `distillery` command.

Starts in 0.3 s: what is heavy is imported by the command that uses it. Exit codes are a contract: 0 done (and promoted,
where a run was to promote), 2 bad input or usage, 3 the gates rejected, 4 waiting for approval, 1 anything else.
"""

from __future__ import annotations

import errno
import os
import sys

import typer

from distillery.filters.errors import InputError, Stopped
from distillery.pipelines.cli import adapters, calibrate, distill, filters, label, models, publish, score, steps, submit

UNUSABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}

app = typer.Typer(
    help="Distil an LLM's judgement of articles into a small student: label, train, benchmark, gate, promote, score.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
distill.add_to(app)
calibrate.add_to(app)
label.add_to(app)
steps.add_to(app)
score.add_to(app)
adapters.add_to(app)
app.add_typer(filters.app, name="filters")
app.add_typer(models.app, name="models")
app.add_typer(publish.app, name="pipelines")
app.add_typer(steps.labels, name="labels")
app.add_typer(submit.app, name="submit")


def main() -> None:
    """Runs the command; a fault in the input is one line and exit code 2, a store that stays away one line and 1."""
    try:
        app()
    except InputError as error:
        from distillery.components.runtime.step import cause_of

        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if cause_of(error) == "input" else 1)
    except Stopped as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror}; make room, allow it, or name another place", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
