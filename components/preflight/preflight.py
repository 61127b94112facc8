"""Refuses in seconds what would fail minutes later, and publishes the resolved filter under its digest.

A form in a browser and a command line have one check, so a fault reads the same in both, but for the name of the field:
"labels" there, "--labels" here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from distillery.components.articles.articles import parse_max_rejects
from distillery.components.articles.input_files import given, local_file, require_file
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.preflight.base_model import require_base
from distillery.components.runtime.settings import TRAINERS
from distillery.components.runtime.step import on_cluster
from distillery.components.store import Store
from distillery.filters.document import MAX_BYTES
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter, load_filter_text

MAX_GPUS: Final = 64
MARKS: Final = ("", "prefilter", "reference")


def resolve(ref: str, *, profile: str, overrides: Sequence[str]) -> Filter:
    """The filter of a name, a path, an s3:// address or YAML text, with the profile and the overrides applied."""
    if "\n" in ref:
        return load_filter_text(ref, where="filter text", overrides=overrides, profile=profile or None)
    if ref.startswith("s3://"):
        with local_file(ref, parameter="filter") as path:
            if path.stat().st_size > MAX_BYTES:
                raise InputError(f"larger than {MAX_BYTES // 1024} KiB", where=ref, hint="a filter is a few pages of text")
            text = path.read_bytes().decode("utf-8-sig", "replace")
        return load_filter_text(text, where=ref, overrides=overrides, profile=profile or None)
    return load_filter(ref, overrides=overrides, profile=profile or None)


def check_settings(*, overrides: Sequence[Any], max_rejects: str, marks: str, budget: float, trainer: str, gpus: int) -> None:
    """InputError, naming the field, for the first setting that no run could use."""
    for override in overrides:
        if not isinstance(override, str) or "=" not in override:
            raise InputError(
                f"{str(override)[:80]!r} is not path=value", where="overrides", hint='for example ["training.epochs=4"]'
            )
    parse_max_rejects(max_rejects)
    if not (math.isfinite(budget) and budget >= 0):
        raise InputError(f"must be US dollars, 0 or more, not {budget}", where="budget", hint="0 is no limit")
    if trainer not in TRAINERS:
        raise InputError(f"must be {' or '.join(TRAINERS)}, not {trainer[:40]!r}", where="trainer")
    if not 0 <= gpus <= MAX_GPUS:
        raise InputError(f"must be 0 to {MAX_GPUS}, not {gpus}", where="gpus", hint="0 trains on the CPU")
    if marks not in MARKS:
        require_file(marks, parameter="marks")


def preflight(
    store: Store,
    *,
    ref: str,
    articles: str,
    labels: str,
    profile: str,
    overrides: Sequence[str],
    max_rejects: str = "0",
    marks: str = "",
    budget: float = 0.0,
    trainer: str = "pod",
    gpus: int = 0,
    flags: bool = True,
) -> StepRecord:
    """Checks the filter, the inputs and the settings; outputs {"name", "filter_key", "articles", "labels"}.

    flags: errors say "--labels", as the command line does, not "labels", as a form does.
    Raises InputError, naming the parameter, for whatever is wrong.
    """

    def check() -> tuple[Filter, str, str]:
        check_settings(overrides=overrides, max_rejects=max_rejects, marks=marks, budget=budget, trainer=trainer, gpus=gpus)
        flt = resolve(ref, profile=profile, overrides=overrides)
        found = _inputs(flt, articles, labels)
        if on_cluster():
            require_base(store, flt)
        return flt, *found

    flt, articles, labels = check() if flags else by_field(check, otherwise="filter")
    key = publish_filter(store, flt)
    outputs = {"name": flt.name, "filter_key": key, "articles": articles, "labels": labels}
    return StepRecord.of("preflight", {"filter": key}, outputs, [key])


def _inputs(flt: Filter, articles: str, labels: str) -> tuple[str, str]:
    data = flt.spec.data
    articles, labels = given(articles, labels, filter_articles=data.articles, filter_labels=data.labels)
    require_file(articles or labels, parameter="--articles" if articles else "--labels")
    if articles and flt.spec.oracle.provider == "replay":
        if flt.spec.oracle.replies is None:
            hint = "add --set oracle.replies=FILE with recorded replies, name another oracle.provider, or give --labels"
            raise InputError("the replay oracle has no recorded replies", where="spec.oracle.replies", hint=hint)
        require_file(flt.spec.oracle.replies, parameter="spec.oracle.replies")
    return articles, labels


FIELDS: Final = {
    "--set": "overrides",
    "--profile": "profile",
    "--articles": "articles",
    "--labels": "labels",
    "--max-rejects": "max_rejects",
    "--marks": "marks",
}
_FLAG = re.compile("|".join(rf"{flag}\b" for flag in FIELDS))
_FIELD = re.compile(r"(overrides|max_rejects|marks|budget|trainer|gpus|profile|articles|labels|filter)\b")


def by_field(check: Callable[[], tuple[Filter, str, str]], *, otherwise: str) -> tuple[Filter, str, str]:
    """What `check` returns; its InputError with fields for flags, and beginning with the field that is at fault.

    otherwise: the field where the error names none.
    """
    try:
        return check()
    except InputError as error:
        what, where, hint = (_FLAG.sub(lambda flag: FIELDS[flag[0]], text) for text in (error.what, error.where, error.hint))
        if not _FIELD.match(where or what):
            where = f"{otherwise}: {where}" if where else otherwise
        raise InputError(what, where=where, hint=hint) from None
