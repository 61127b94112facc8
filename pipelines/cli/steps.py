"""Commands that run the steps up to one of them: audit, split, train or gate. Each step is the same function as in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.pipelines.cli.options import (
    ArticlesOpt,
    FilterArg,
    JsonOpt,
    LabelsOpt,
    MapOpt,
    MappingOpt,
    PricesOpt,
    ProfileOpt,
    RejectsOpt,
    SetOpt,
    StoreOpt,
    YesOpt,
    settings,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json, short
from distillery.pipelines.cli.spending import agree, priced

if TYPE_CHECKING:
    from distillery.components.artifacts.step_record import StepRecord
    from distillery.components.store import Store
    from distillery.filters.filter import Filter

app = typer.Typer()
labels = typer.Typer(help="Import labels that people already have.", no_args_is_help=True, rich_markup_mode=None)


def _run(
    last: str, filter: str, labels: str, articles: str, store: str | None, profile: str, set: list[str], map: list[str],
    mapping: str, max_rejects: str, as_json: bool, prices: str = "", yes: bool = False,
) -> None:  # fmt: skip
    """Run the steps up to `last` and print what each left."""
    from distillery.components.runtime.extras import LABELS, STUDENT, require

    require(STUDENT if last in ("train", "gate") else LABELS)
    from distillery.components.preflight.preflight import resolve
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import open_store
    from distillery.components.student.devices import require_packing
    from distillery.components.training.trackers.open import require_trackers
    from distillery.pipelines.laptop.chain import run_through
    from distillery.pipelines.steps import RunState

    changed = settings(set, map, mapping, filter=filter, profile=profile)
    request = RunRequest(filter, "", articles, labels, profile, changed, max_rejects).absolute()
    resolved = resolve(priced(request, prices))
    if last in ("train", "gate"):
        require_trackers(resolved.filter, in_pod=False)
        require_packing(resolved.filter.spec.training)
    opened = open_store(store_uri(store))
    if resolved.articles:
        agree(opened, resolved.articles, [(resolved.filter, None)], budget=None, yes=yes)
    records = run_through(last, RunState(opened, *resolved, max_rejects))
    figures = _figures(opened, resolved.filter, records)
    if as_json:
        print_json(
            {step: {"reused": record.reused, **record.outputs, **figures.get(step, {})} for step, record in records.items()}
        )
        _end(records[last])
        return
    for step, record in records.items():
        state = "reused" if record.reused else f"done in {record.facts['seconds']:.1f} s"
        outputs = ", ".join(f"{key} {short(value)}" for key, value in record.outputs.items())
        print(f"{step:<10} {state:<14} {outputs}")
        if step in figures:
            print(
                f"{'':<25} " + ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in figures[step].items())
            )
    _end(records[last])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _figures(store: Store, flt: Filter, records: dict[str, StepRecord]) -> dict[str, dict[str, Any]]:
    """Return what is worth reading of steps that leave digests alone, by step and name."""
    from distillery.components.store import Digest
    from distillery.components.store.layout import adapters_folder

    figures = dict[str, dict[str, Any]]()
    if record := records.get("train"):
        bundle = store.folder(adapters_folder(flt.name), Digest(record.outputs["adapter"]))
        student, history = bundle.read_json("student.json"), bundle.read_json("training_history.json")
        figures["train"] = {
            "train_mae": student["train_mae"],
            "validation_mae": student["validation_mae"],
            "best_epoch": history["best_epoch"],
            "epochs": len(history["epochs"]),
        }
    if record := records.get("benchmark"):
        from distillery.components.artifacts.benchmark import read_benchmark

        outputs = {**records["split"].outputs, **records["train"].outputs, **record.outputs}
        judged = read_benchmark(store, outputs["adapter"], outputs["test"], outputs["benchmark"])
        figures["benchmark"] = {"n": judged.n, "mae": judged.mae, "overall_mae": judged.overall_mae}
    if record := records.get("gate"):
        from distillery.components.artifacts.verdict import read_verdict

        rules = read_verdict(store, flt.name, record.outputs["verdict"]).rules
        figures["gate"] = {"failed": [" ".join(filter(None, [r.metric, r.argument])) for r in rules if r.verdict == "fail"]}
    return figures


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
        store: StoreOpt = None,
        profile: ProfileOpt = "",
        set: SetOpt = [],  # noqa: B006 - typer reads the default
        map: MapOpt = [],  # noqa: B006
        mapping: MappingOpt = "",
        max_rejects: RejectsOpt = "0",
        prices: PricesOpt = "",
        yes: YesOpt = False,
        as_json: JsonOpt = False,
    ) -> None:
        _run(last, filter, labels, articles, store, profile, set, map, mapping, max_rejects, as_json, prices, yes)

    command.__doc__ = help
    return command


COMMANDS = {
    "audit": "Label or import, then look for what makes labels unfit to learn from.",
    "split": "Label or import and audit, then split into train, validation and the frozen test part.",
    "train": "Do all steps up to the split, then train the student. A training that was killed goes on from its checkpoint.",
    "gate": "Do all steps up to the training, then benchmark and apply the gates: passed 0, rejected 3, to be approved 4.",
}


@labels.command("import")
def import_labels(
    filter: FilterArg,
    file: Annotated[str, typer.Argument(metavar="FILE", help="labels: a file or a folder of JSONL, CSV, Parquet …")],
    store: StoreOpt = None,
    map: MapOpt = [],  # noqa: B006
    mapping: MappingOpt = "",
    max_rejects: RejectsOpt = "0",
    as_json: JsonOpt = False,
) -> None:
    """Bring labels that exist already into the store."""
    _run("label", filter, file, "", store, "", [], map, mapping, max_rejects, as_json)


for name, help in COMMANDS.items():
    app.command(name)(_command(name, help))  # type: ignore[type-var]
