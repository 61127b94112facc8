"""Refuses in seconds what would fail minutes later, and publishes the resolved filter under its digest.

A form in a browser and a command line have one check. Each error names the parameter at fault; whoever shows the error spells
the name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from distillery.components.articles.articles import parse_max_rejects
from distillery.components.articles.input_files import (
    choose_input,
    local_file,
    parse_address,
    require_file,
    require_input,
)
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.labeling.oracles.prices import known_price, read_prices
from distillery.components.labeling.oracles.reach import require_oracle
from distillery.components.labeling.survey import asks
from distillery.components.preflight.base_model import require_base
from distillery.components.preflight.cluster import RESOURCES, cluster
from distillery.components.preflight.request import MARKS, RunRequest
from distillery.components.runtime.memory_limit import quantity
from distillery.components.runtime.settings import TRAINERS, read_object
from distillery.components.runtime.step import on_cluster
from distillery.components.store import Store, in_bucket
from distillery.components.student.devices import require_packing
from distillery.components.student.fit import require_room
from distillery.components.training.trackers.open import require_trackers
from distillery.filters.document import MAX_BYTES, Document
from distillery.filters.errors import InputError, blamed_on
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter, load_filter_text

MAX_GPUS: Final = 64


class Resolved(NamedTuple):
    """What a run starts from: its filter, and either articles or labels; the other is empty."""

    filter: Filter
    articles: str
    labels: str


def resolve_filter(ref: str, *, profile: str = "", overrides: Sequence[str] = (), mapping: Document | None = None) -> Filter:
    """Return the filter that a request names, with the profile and the overrides applied.

    Args:
        ref: A filter's name, name/vN, a path, an s3:// address, or the text of a filter.yaml.
        profile: A named set of overrides; empty for none.
        overrides: Each "path=value".
        mapping: A mapping file of labels; None for none.

    Returns:
        The checked filter.

    Raises:
        InputError: There is no such filter, or it is not valid; the place at fault is named.
    """
    if "\n" in ref:
        return load_filter_text(ref, where="filter text", overrides=overrides, profile=profile or None, mapping=mapping)
    if in_bucket(ref):
        with local_file(ref, parameter="filter") as path:
            if path.stat().st_size > MAX_BYTES:
                raise InputError(f"larger than {MAX_BYTES // 1024} KiB", where=ref, hint="a filter is a few pages of text")
            text = path.read_bytes().decode("utf-8-sig", "replace")
        return load_filter_text(text, where=ref, overrides=overrides, profile=profile or None, mapping=mapping)
    return load_filter(ref, overrides=overrides, profile=profile or None, mapping=mapping)


def resolve(request: RunRequest) -> Resolved:
    """Return what a run starts from; the request takes precedence over the filter's own `data`.

    Args:
        request: The run's arguments.

    Returns:
        The filter, and either articles or labels.

    Raises:
        InputError: The filter is not valid, or neither or both of articles and labels are given.
    """
    flt = resolve_filter(request.filter, profile=request.profile, overrides=request.overrides)
    data = flt.spec.data
    files = choose_input(request.articles, request.labels, data)
    return Resolved(flt, *files)


def check_settings(request: RunRequest) -> None:
    """Refuse the first setting that no run could use.

    Args:
        request: The run's arguments, as a form may have filled them in.

    Raises:
        InputError: A setting has no usable value; its parameter is named.
    """
    for override in request.overrides:
        if not isinstance(override, str) or "=" not in override:
            what, hint = f"{str(override)[:80]!r} is not path=value", 'for example ["training.epochs=4"]'
            raise InputError(what, hint=hint, parameter="overrides")
    parse_max_rejects(request.max_rejects)
    if not (math.isfinite(request.budget) and request.budget >= 0):
        what = f"must be US dollars, 0 or more, not {request.budget}"
        raise InputError(what, hint="0 is no limit", parameter="budget")
    if request.trainer not in TRAINERS:
        what = f"must be {' or '.join(TRAINERS)}, not {request.trainer[:40]!r}"
        raise InputError(what, parameter="trainer")
    if not 0 <= request.gpus <= MAX_GPUS:
        what = f"must be 0 to {MAX_GPUS}, not {request.gpus}"
        raise InputError(what, hint="0 trains on the CPU", parameter="gpus")
    if request.marks not in MARKS:
        require_marks(request.marks)


def require_marks(marks: str) -> None:
    """Raise unless marks are a file, or a folder of this machine with several reviewers' files.

    Args:
        marks: a path, file:// or s3://.

    Raises:
        InputError: there is nothing, or it can't be reached.
    """
    address = parse_address(marks, parameter="marks")
    if address.in_bucket or not address.local.is_dir():
        require_file(marks, parameter="marks")


def check(request: RunRequest) -> Resolved:
    """Return what a run starts from, checked; write nothing.

    Args:
        request: The run's arguments.

    Returns:
        The filter, and either articles or labels.

    Raises:
        InputError: Something of the request would make the run fail; the parameter at fault is named.
    """
    with blamed_on("filter"):
        check_settings(request)
        resolved = resolve(request)
        _require_inputs(*resolved)
        if resolved.articles:
            require_price(resolved.filter, request.budget)
    return resolved


def require_price(flt: Filter, budget: float) -> None:
    """Refuse a budget for labels that could not be kept, since nobody knows what the model costs.

    Args:
        flt: The resolved filter.
        budget: US dollars that the labels may cost; 0 for no limit.

    Raises:
        InputError: There is a budget and no price.
    """
    if budget:
        known_price(flt, read_prices())


def preflight(store: Store, request: RunRequest) -> StepRecord:
    """Check the filter, the inputs and the settings of a run, and publish the filter.

    Args:
        store: Where the run's results will be.
        request: The run's arguments.

    Returns:
        A record with the outputs {"name", "filter_key", "articles", "labels"}.

    Raises:
        InputError: Something of the request would make the run fail; the parameter at fault is named. Nothing was written.
        Stopped: Articles are to be labelled, and the oracle can't be reached from here. Nothing was written.
    """
    flt, articles, labels = check(request)
    memory = dict[str, int]()
    with blamed_on("filter"):
        require_trackers(flt, in_pod=on_cluster())
        if not on_cluster():  # there it is the training's image that has what it needs
            require_packing(flt.spec.training)
        else:
            memory = memory_needed(store, flt, trainer=request.trainer, gpus=request.gpus)
        if articles and flt.spec.oracle.provider != "replay" and asks(store, flt, articles):
            require_oracle(flt)
    key = publish_filter(store, flt)
    outputs = {"name": flt.name, "filter_key": key, "articles": articles, "labels": labels}
    # What the report needs to say how to do it again; no digest depends on it.
    asked = replace(request, store=store.uri, articles=articles, labels=labels).to_changed_arguments()
    facts = {"request": asked, "on": "cluster" if on_cluster() else "laptop", "memory": memory}
    return StepRecord.of("preflight", {"filter": key}, outputs, [key], facts)


def memory_needed(store: Store, flt: Filter, *, trainer: str, gpus: int) -> dict[str, int]:
    """Return how much memory each step that loads the student takes on this cluster.

    Args:
        store: The run's store, which may mirror models.
        flt: The resolved filter.
        trainer: pod or trainjob.
        gpus: GPUs of the training pod, or of each node of a TrainJob.

    Returns:
        Bytes by step; empty where the base model is an absolute path.

    Raises:
        InputError: No pod can have the base model, or a pod may not use as much memory as the student takes.
    """
    body = require_base(store, flt)
    if body is None:
        return {}
    limit = cluster(trainer=trainer, gpus=gpus).memory_limit
    stated = "memory" in read_object(RESOURCES, of_objects=True).get("limits", {})
    found = require_room(
        body,
        flt.spec.student,
        flt.spec.training,
        len(flt.dimensions),
        quantity(limit) if stated else None,
        whose="its pod",
        more=f"raise limits.memory of {RESOURCES} (now {limit})",
    )
    return {need.step: need.total for need in found}


def _require_inputs(flt: Filter, articles: str, labels: str) -> None:
    require_input(articles or labels, parameter="articles" if articles else "labels")
    if articles and flt.spec.oracle.provider == "replay":
        if flt.spec.oracle.replies is None:
            hint = "add {overrides} oracle.replies=FILE with recorded replies, name another oracle.provider, or give {labels}"
            raise InputError("the replay oracle has no recorded replies", where="spec.oracle.replies", hint=hint)
        require_file(flt.spec.oracle.replies, parameter="spec.oracle.replies")
