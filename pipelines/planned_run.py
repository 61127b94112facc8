"""A plan as a document: what a run would start from, do and cost; and what moved since, line by line.

`distill --plan FILE` makes the plan anew and runs only what is in the file.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from distillery.components.articles.folders import input_digest
from distillery.components.articles.hub import NotFetched, nothing_fetched
from distillery.components.articles.input_files import local_input
from distillery.components.artifacts.channel import read_channel
from distillery.components.artifacts.document import MAX_DOCUMENT, Document, Sha256
from distillery.components.preflight.preflight import Resolved, check, resolve
from distillery.components.preflight.request import MARKS, RunRequest
from distillery.components.store import Json, digest_bytes, in_bucket, open_store
from distillery.filters.errors import InputError, disk_hint
from distillery.filters.loading import dump_filter
from distillery.pipelines.plan import Planned, changes, make_plan
from distillery.pipelines.steps import RunState


class Asked(Document):
    """The arguments of the run, as `RunRequest` has them."""

    KIND = "the arguments of a run"

    filter: str
    store: str
    articles: str = ""
    labels: str = ""
    profile: str = ""
    overrides: list[str] = Field(default_factory=list)
    max_rejects: str = "0"
    marks: str = ""
    without_calibration: str = ""
    budget: float = 0.0
    trainer: str = "pod"
    gpus: int = 0

    def request(self) -> RunRequest:
        """Return the arguments.

        Returns:
            The request.
        """
        return RunRequest(**{**self.model_dump(), "overrides": tuple(self.overrides)})


class PlannedFilter(Document):
    """The resolved filter.

    Attributes:
        name: its name.
        digest: of its canonical text.
        settings: the filter itself, for what moved.
    """

    KIND = "the filter of a plan"

    name: str
    digest: Sha256
    settings: dict[str, Json]


class PlannedStep(Document):
    """What the run would do about one step, as `Planned` has it."""

    KIND = "a step of a plan"

    step: str
    action: Literal["reuse", "run", "skip"]
    why: list[str]
    cost: str
    seconds: float | None
    usd: float | None
    articles: int | None
    inputs_digest: Sha256 | None


class PlannedChannel(Document):
    """The channel that the run may move: its name, and the adapter that it points at."""

    KIND = "the channel of a plan"

    name: str
    adapter: Sha256 | None


class RunPlan(Document):
    """A plan that was made.

    Attributes:
        program: version of the program.
        request: the run's arguments.
        filter: the resolved filter.
        inputs: digests of the files that the run reads, by what they are; null for one that was not fetched.
        channel: the channel that the run may move.
        steps: what each step would do, in order.
        seconds: what the steps would take, as far as it is known.
        usd: what the oracle would be paid, as far as it is known.
    """

    KIND = "a plan"
    HINT = "make it again with `distillery plan … --out FILE`"

    format: Literal[1] = 1
    program: str
    request: Asked
    filter: PlannedFilter
    inputs: dict[str, Sha256 | None]
    channel: PlannedChannel
    steps: list[PlannedStep]
    seconds: float
    usd: float


def plan_run(request: RunRequest) -> tuple[RunPlan, list[Planned]]:
    """Plan a run; nothing is written, and no hub is asked.

    Args:
        request: the run's arguments, absolute.

    Returns:
        The plan as a document, and its steps.

    Raises:
        InputError: the first steps would refuse the request.
    """
    with nothing_fetched():
        try:
            resolved = check(request)
        except NotFetched:
            resolved = resolve(request)
    flt, store = resolved.filter, open_store(request.store, write=False)
    run = RunState(store, *resolved, request.max_rejects)
    steps = make_plan(run, marks=request.marks, waived=request.without_calibration, budget=request.budget)
    channel = flt.spec.promotion.channel
    head = read_channel(store, flt.name, channel, lenient=True).channel.adapter
    arguments = {**asdict(request), "overrides": list(request.overrides)}
    plan = RunPlan(
        program=version("llm-distillery"),
        request=Asked(**arguments),
        filter=PlannedFilter(
            name=flt.name, digest=digest_bytes(dump_filter(flt).encode()), settings=flt.model_dump(mode="json")
        ),
        inputs=_inputs(request, resolved, run),
        channel=PlannedChannel(name=channel, adapter=head),
        steps=[PlannedStep(**step.to_json()) for step in steps],
        seconds=round(sum(step.seconds or 0.0 for step in steps), 1),
        usd=round(sum(step.usd or 0.0 for step in steps), 6),
    )
    return plan, steps


def _inputs(request: RunRequest, resolved: Resolved, run: RunState) -> dict[str, str | None]:
    """Return the digests of the files that the run reads, recorded replies and marks among them."""
    found: dict[str, str | None] = {"articles" if resolved.articles else "labels": run.data}
    files = {"marks": "" if request.marks in MARKS else request.marks}
    if resolved.articles and resolved.filter.spec.oracle.provider == "replay":
        files["replies"] = resolved.filter.spec.oracle.replies or ""
    for name, file in files.items():
        if file and not in_bucket(file):
            with local_input(file, parameter="marks" if name == "marks" else "spec.oracle.replies") as path:
                found[name] = input_digest(path)
    return found


def write_plan(plan: RunPlan, file: Path) -> None:
    """Write a plan.

    Args:
        plan: the plan.
        file: where to.

    Raises:
        InputError: it can't be written.
    """
    try:
        file.write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't be written: {error.strerror}", where=f"--out {file}", hint=disk_hint(error)) from None


def read_plan(file: Path) -> RunPlan:
    """Read a plan.

    Args:
        file: what `write_plan` wrote.

    Returns:
        The plan.

    Raises:
        InputError: it can't be read, or is no plan.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_DOCUMENT)
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", where=f"--plan {file}", hint=disk_hint(error)) from None
    return RunPlan.read(data, f"--plan {file}")


def moved(before: RunPlan, now: RunPlan) -> list[str]:
    """Return what is not as it was planned.

    Args:
        before: the plan.
        now: the same request's plan, made now.

    Returns:
        A line for each difference that changes what is read, run, paid or promoted; none where the plan still holds. How long a
        step takes is no such difference.
    """
    lines = changes(before.program, now.program, "program")
    if before.filter.digest != now.filter.digest:
        lines += changes(before.filter.settings, now.filter.settings, "filter") or ["filter: its text"]
    lines += changes(before.inputs, now.inputs, "inputs")
    lines += changes(before.channel.model_dump(), now.channel.model_dump(), "channel")
    return lines + changes(_kept(before), _kept(now), "steps")


def _kept(plan: RunPlan) -> dict[str, Any]:
    fields = {"action", "usd", "articles", "inputs_digest"}
    return {step.step: step.model_dump(include=fields) for step in plan.steps}
