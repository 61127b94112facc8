"""Run summaries: one run in one document, and the failure that ended one."""

from __future__ import annotations

from typing import Final, Literal

from distillery.components.artifacts.adapter_index import list_adapter
from distillery.components.artifacts.document import MAX_DOCUMENT, Document, or_none
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import Json, NotFound, Store, as_digest
from distillery.components.store.layout import last_summary_key, summary_key

Cause = Literal["input", "waiting", "stopped", "fault"]
NO_RUN: Final = "python"  # the name of the run in a summary that no pipeline's run wrote


class Failure(Document):
    """Why a run stopped.

    Attributes:
        step: the step that failed; "" where it is not known.
        kind: "input" must be mended, "waiting" needs a person's word, "stopped" may be tried again as it is, "fault" is ours.
        message: one line for people.
        limit: the budget that had no room for the next call, in US dollars; None where that was not the reason.
    """

    KIND = "a failure of a run"
    OMITTED = ("limit",)

    format: Literal[1] = 1
    step: str
    kind: Cause
    message: str
    limit: float | None = None


class RunSummary(Document):
    """One run: its steps' records in order, and the failure where there was one.

    Format 1, which had no version, repeated every step's outputs beside the records; they are dropped when it is read.
    """

    KIND = "the summary of a run"
    HINT = "run `distillery distill` again: what is done is reused, and the summary is written anew"
    FORMAT = 2

    format: Literal[2] = 2
    run: str
    steps: list[StepRecord]
    failure: Failure | None = None

    @classmethod
    def older(cls, fields: dict[str, Json]) -> dict[str, Json]:
        """Return a summary without a version as the present form has it.

        Args:
            fields: the parsed object, whatever its format.

        Returns:
            The object to be validated.

        Raises:
            KeyError: a field is missing that every summary has.
        """
        if "format" in fields:
            return fields
        return {"format": 2, **{name: fields[name] for name in ("run", "steps", "failure")}}

    @property
    def records(self) -> dict[str, StepRecord]:
        """Return the records by step."""
        return {record.step: record for record in self.steps}

    @property
    def outputs(self) -> dict[str, Json]:
        """Return what all steps put out, by name; the calibration's is apart, since its verdict is not the gates'."""
        return {name: value for each in self.steps if each.step != "calibrate" for name, value in each.outputs.items()}

    @property
    def calibrated(self) -> dict[str, Json] | None:
        """Return what the calibrate step put out; None where the run had none."""
        record = self.records.get("calibrate")
        return record.outputs if record else None

    @property
    def filter_key(self) -> str | None:
        """Return the key of the run's published filter; None where the run stopped before there was one."""
        return self.outputs.get("filter_key")

    @property
    def adapter(self) -> str | None:
        """Return the digest of the adapter that the run made or reused; None where it came to none."""
        return self.outputs.get("adapter")


def read_last_summary(store: Store, name: str) -> RunSummary | None:
    """Return the summary of a filter's last run; None where it has had none in this store.

    Args:
        store: where summaries are.
        name: of the filter.

    Returns:
        The summary, or None.

    Raises:
        StoreError: the summary cannot be read.
    """
    try:
        return RunSummary.load(store, last_summary_key(name))
    except NotFound:
        return None


def read_adapter_summary(store: Store, adapter: str) -> RunSummary | None:
    """Return the summary of the last run that made or reused an adapter; None where no run of this store did.

    Args:
        store: where summaries are.
        adapter: digest of the adapter, all 64 digits.

    Returns:
        The summary, or None.

    Raises:
        InputError: `adapter` is no digest.
        StoreError: the summary cannot be read.
    """
    try:
        return RunSummary.load(store, summary_key(as_digest(adapter, "adapter")))
    except NotFound:
        return None


def put_summary(store: Store, summary: RunSummary, *, name: str | None) -> None:
    """Write the summary where the filter's last run and the adapter's run are looked up.

    Args:
        store: where it goes.
        summary: the run.
        name: of the filter; None where the run stopped before the filter was read.
    """
    if name is not None:
        summary.put(store, last_summary_key(name))
    if summary.adapter is not None:
        list_adapter(store, summary.adapter)
        summary.put(store, summary_key(summary.adapter))


def remember_adapter(store: Store, filter_key: str, adapter: str, *records: StepRecord) -> None:
    """Leave an adapter where it is looked up by its digest, as soon as it is made and whoever made it.

    A run that ends with its report writes its own summary over this one; one that is there stays.

    Args:
        store: where summaries are.
        filter_key: key of the published filter.
        adapter: digest of the adapter.
        *records: of the steps that made or judged it.
    """
    key = summary_key(as_digest(adapter, "adapter"))

    def change(data: bytes | None) -> bytes | None:
        before = or_none(RunSummary, data, f"{store.uri}/{key}")
        if before is not None and before.run != NO_RUN:
            return None
        return made_outside(filter_key, adapter, *(before.steps if before else ()), *records).to_bytes()

    list_adapter(store, adapter)
    store.update(key, change, max_bytes=MAX_DOCUMENT)


def made_outside(filter_key: str, adapter: str, *records: StepRecord) -> RunSummary:
    """Return the summary of an adapter that no pipeline's run has summed up.

    Args:
        filter_key: key of the published filter.
        adapter: digest of the adapter.
        *records: what is known of the steps that made or judged it; of each step the last counts.

    Returns:
        The summary.
    """
    known = {
        "preflight": StepRecord.of("preflight", {"filter": filter_key}, {"filter_key": filter_key}, [filter_key]),
        "train": StepRecord.of("train", {}, {"adapter": adapter}, []),
    }
    known |= {record.step: record for record in records if record.step != "preflight"}
    return RunSummary(run=NO_RUN, steps=list(known.values()))
