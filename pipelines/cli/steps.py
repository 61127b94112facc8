"""Commands that run the steps up to one of them: audit, split, train or gate. Each step is the same function as in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from distillery.pipelines.cli.options import (
    DEFAULT_STORE,
    ArticlesOpt,
    FilterArg,
    JsonOpt,
    LabelsOpt,
    ProfileOpt,
    RejectsOpt,
    SetOpt,
    StoreOpt,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json, short

if TYPE_CHECKING:
    from distillery.components.artifacts.step_record import StepRecord

app = typer.Typer()
labels = typer.Typer(help="Import labels that people already have.", no_args_is_help=True, rich_markup_mode=None)


def _run(
    last: str, filter: str, labels: str, articles: str, store: str, profile: str, set: list[str],
    max_rejects: str, as_json: bool,
) -> None:  # fmt: skip
    """Run the steps up to `last` and print what each left."""
    from distillery.components.runtime.extras import LABELS, STUDENT, require

    require(STUDENT if last in ("train", "gate") else LABELS)
    from distillery.components.preflight.preflight import resolve
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import open_store
    from distillery.pipelines.laptop.chain import run_through
    from distillery.pipelines.steps import RunState

    request = RunRequest(filter, "", articles, labels, profile, tuple(set), max_rejects).absolute()
    resolved = resolve(request)
    records = run_through(last, RunState(open_store(store_uri(store)), *resolved, max_rejects))
    if as_json:
        print_json({step: {"reused": record.reused, **record.outputs} for step, record in records.items()})
        _end(records[last])
        return
    for step, record in records.items():
        state = "reused" if record.reused else f"done in {record.facts['seconds']:.1f} s"
        outputs = ", ".join(f"{key} {short(value)}" for key, value in record.outputs.items())
        print(f"{step:<10} {state:<14} {outputs}")
    _end(records[last])


def _end(record: StepRecord) -> None:
    """End with the exit code of a decision, where the step came to one."""
    from distillery.pipelines.results import EXIT_CODES

    if "decision" in record.outputs:
        raise typer.Exit(EXIT_CODES[record.outputs["decision"]])


def _command(last: str, help: str) -> object:
    """Return the command that runs the steps up to `last`."""

    def command(
        filter: FilterArg,
        labels: LabelsOpt = "",
        articles: ArticlesOpt = "",
        store: StoreOpt = DEFAULT_STORE,
        profile: ProfileOpt = "",
        set: SetOpt = [],  # noqa: B006 - typer reads the default
        max_rejects: RejectsOpt = "0",
        as_json: JsonOpt = False,
    ) -> None:
        _run(last, filter, labels, articles, store, profile, set, max_rejects, as_json)

    command.__doc__ = help
    return command


COMMANDS = {
    "audit": "Label or import, then look for what makes labels unfit to learn from.",
    "split": "Label or import and audit, then split into train, validation and the frozen test part.",
    "train": "Do all steps up to the split, then train the student. A training that was killed goes on from its checkpoint.",
    "gate": "Do all steps up to the training, then benchmark the student and apply the filter's gates. Nothing is promoted.",
}


@labels.command("import")
def import_labels(
    filter: FilterArg,
    file: Annotated[str, typer.Argument(metavar="FILE", help="labels: JSONL, JSONL.gz or Parquet")],
    store: StoreOpt = DEFAULT_STORE,
    max_rejects: RejectsOpt = "0",
    as_json: JsonOpt = False,
) -> None:
    """Bring labels that exist already into the store."""
    _run("label", filter, file, "", store, "", [], max_rejects, as_json)


for name, help in COMMANDS.items():
    app.command(name)(_command(name, help))  # type: ignore[type-var]
