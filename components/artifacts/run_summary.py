"""Run summaries: one run in one document, and the failure that ended one."""

from __future__ import annotations

from typing import Final, Literal, TypeVar

from distillery.components.artifacts.document import MAX_DOCUMENT, Document, Sha256
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import Json, NotFound, Store, StoreError, as_digest
from distillery.components.store.layout import adapters_beginning_key, last_summary_key, summary_key

D = TypeVar("D", bound=Document)
Cause = Literal["input", "waiting", "stopped", "fault"]
NO_RUN: Final = "python"  # the name of the run in a summary that no pipeline's run wrote
BEGINNING: Final = 8  # digits of a digest that name an adapter


class Failure(Document):
    """Why a run stopped.

    Attributes:
        step: the step that failed; "" where it is not known.
        kind: "input" must be mended, "waiting" needs a person's word, "stopped" may be tried again as it is, "fault" is ours.
        message: one line for people.
    """

    KIND = "a failure of a run"

    format: Literal[1] = 1
    step: str
    kind: Cause
    message: str


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
        _list(store, summary.adapter)
        summary.put(store, summary_key(summary.adapter))


class Beginning(Document):
    """The adapters whose digests begin alike, so that one is found by its first digits without a listing.

    A list that cannot be read counts as empty and is written anew: what it held is found by listing the summaries.

    Attributes:
        adapters: their digests.
    """

    KIND = "a list of adapters"

    format: Literal[1] = 1
    adapters: list[Sha256]


def adapters_beginning(store: Store, digits: str) -> list[str]:
    """Return the adapters that begin so, going by keys alone; those of stores made earlier may be missing.

    Args:
        store: where adapters are.
        digits: the first 8 digits of a digest, or more.

    Returns:
        Their digests, sorted.
    """
    key = adapters_beginning_key(digits[:BEGINNING])
    version = store.current(key, max_bytes=MAX_DOCUMENT)
    listed = _or_none(Beginning, version[0] if version else None, f"{store.uri}/{key}")
    return sorted(adapter for adapter in (listed.adapters if listed else []) if adapter.startswith(digits))


def _or_none(form: type[D], data: bytes | None, where: str) -> D | None:
    """Return the document that these bytes hold; None where there are none, or they are torn or of another form."""
    try:
        return None if data is None else form.read(data, where)
    except StoreError:
        return None


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
        before = _or_none(RunSummary, data, f"{store.uri}/{key}")
        if before is not None and before.run != NO_RUN:
            return None
        return made_outside(filter_key, adapter, *(before.steps if before else ()), *records).to_bytes()

    _list(store, adapter)
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


def _list(store: Store, adapter: str) -> None:
    key = adapters_beginning_key(adapter[:BEGINNING])

    def change(data: bytes | None) -> bytes | None:
        listed = _or_none(Beginning, data, f"{store.uri}/{key}")
        before = listed.adapters if listed else []
        return None if adapter in before else Beginning(adapters=sorted([*before, adapter])).to_bytes()

    store.update(key, change, max_bytes=MAX_DOCUMENT)
