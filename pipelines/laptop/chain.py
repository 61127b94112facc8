"""The steps of `distill` in this process, up to one of them: what the single commands (`audit`, `train`, …) run."""

from __future__ import annotations

from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.run_summary import remember_adapter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import through
from distillery.components.runtime.progress import reporter
from distillery.pipelines.steps import TASKS, RunState


def run_through(last: str, run: RunState) -> dict[str, StepRecord]:
    """Run or reuse every working step up to and including `last`; promote nothing.

    Args:
        last: Name of a working step: label, audit, split, train, benchmark or gate.
        run: The run's store, filter and data; gets the outputs of each step.

    Returns:
        The records of the steps, by name and in order.

    Raises:
        InputError: A step refuses its input.
        Stopped: A step ended itself before its work was done.
        ValueError: `last` is not a working step.
    """
    records: dict[str, StepRecord] = {}
    for name in through(last):
        records[name] = TASKS[name](run, reporter(name))
        run.outputs |= records[name].outputs
    if "adapter" in run.outputs:  # which `train` has left under its digest: here with what was found of it
        remember_adapter(run.store, publish_filter(run.store, run.filter), run.outputs["adapter"], *records.values())
    return records
