"""The file of candidates: names, and of each the settings in which it differs from the filter.

    candidates:
      - name: as it is
      - name: rank 8
        set: {student.lora.r: 8, training.epochs: 6}

Whatever is wrong with it is told with its line. A candidate may set only what the training reads: one that changed labels,
split or tiers could not be held against the others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field, ValidationError

from distillery.components.articles.input_files import local_file
from distillery.components.store import in_bucket
from distillery.filters.digests import parts
from distillery.filters.document import Document, read_document
from distillery.filters.errors import InputError, blamed_on
from distillery.filters.fields import Strict
from distillery.filters.filter import Filter
from distillery.filters.loading import read_text, with_overrides
from distillery.filters.steps import STEPS, Step

MOST: Final = 64
SHARED: Final[tuple[Step, ...]] = ("label", "audit", "split", "benchmark", "gate", "promote")
TRAINED: Final = ("student.", "training.")
EXAMPLE: Final = "candidates: [{name: rank 8, set: {student.lora.r: 8}}]"

Scalar = str | int | float | bool | None


class _Candidate(Strict):
    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")]
    set: dict[Annotated[str, Field(min_length=1, max_length=200)], Scalar | list[Scalar]] = Field(default={}, max_length=32)


class _File(Strict):
    candidates: Annotated[list[_Candidate], Field(min_length=2, max_length=MOST)]


class Candidate(NamedTuple):
    """One candidate.

    Attributes:
        name: as the file has it.
        settings: each "path=value", as --set takes them.
        filter: the filter with these settings.
        where: file and line.
    """

    name: str
    settings: tuple[str, ...]
    filter: Filter
    where: str


def read_candidates(given: str | Path, flt: Filter) -> list[Candidate]:
    """Return the candidates of a file.

    Args:
        given: the file, its s3:// address, or its text, which has more than one line.
        flt: the resolved filter, which each candidate changes.

    Returns:
        Two or more candidates, in the order of the file.

    Raises:
        InputError: the file can't be read, or a candidate is not valid; file and line are named.
    """
    with blamed_on("candidates"):
        return _parsed(_text_of(str(given)), flt, "text" if "\n" in str(given) else str(given))


def _text_of(given: str) -> str:
    if "\n" in given:
        return given
    if not given:
        raise InputError("there are none", parameter="candidates", hint=EXAMPLE)
    if in_bucket(given):
        with local_file(given, parameter="candidates") as path:
            return read_text(path, given)
    return read_text(Path(given), given)


def _parsed(text: str, flt: Filter, where: str) -> list[Candidate]:
    document = read_document(text, where, ours_alone=True)
    try:
        file = _File.model_validate(document.value)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise InputError(f"{name}: {first['msg']}", where=_place(document, first["loc"], where), hint=EXAMPLE) from error
    found, names, adapters = list[Candidate](), dict[str, str](), dict[str, str]()
    for at, each in enumerate(file.candidates):
        place = _place(document, ("candidates", at), where)
        if each.name in names:
            hint = f"the first is at {names[each.name]}"
            raise InputError(f"candidate {each.name!r} is there already", where=place, hint=hint)
        candidate = _resolved(document, at, each, flt, place)
        part = json.dumps(parts(candidate.filter, "train"), sort_keys=True)
        if part in adapters:
            what = f"candidate {each.name!r} is {adapters[part]!r} once more: the same settings are one student"
            raise InputError(what, where=place, hint="let them differ, in training.seed for instance, or leave one out")
        names[each.name], adapters[part] = place, each.name
        found.append(candidate)
    return found


def _resolved(document: Document, at: int, each: _Candidate, flt: Filter, place: str) -> Candidate:
    """Return a candidate with its filter; raise InputError where a setting can't be, or is none of the training's."""
    settings = tuple(f"{path.removeprefix('spec.')}={_text(value)}" for path, value in each.set.items())
    lines = {path: _place(document, ("candidates", at, "set", path), place) for path in each.set}
    try:
        changed = with_overrides(flt, settings)  # all at once: a base model and its revision go together
    except InputError as error:
        told = f"{error.where} {error.what}"
        path = next((path for path in each.set if path.removeprefix("spec.") in told), next(iter(each.set)))
        hint = error.hint or f"see `distillery explain {path}`"
        raise InputError(f"candidate {each.name!r}: {error.what}", where=lines[path], hint=hint) from error
    if others := [step for step in SHARED if parts(changed, step) != parts(flt, step)]:
        path = next((path for path in each.set if not path.removeprefix("spec.").startswith(TRAINED)), next(iter(each.set)))
        what = f"candidate {each.name!r} sets {path}, which {others[0]} reads: all candidates share it"
        raise InputError(what, where=lines[path], hint="set keys of student and training, and give the rest with {overrides}")
    return Candidate(each.name, settings, changed, place)


def _text(value: Scalar | list[Scalar]) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _place(document: Document, path: tuple[Any, ...], where: str) -> str:
    """Return file and line of a path, or of the nearest thing around it."""
    for end in range(len(path), 0, -1):
        if found := document.places.get(tuple(path[:end])):
            return found
    return where


assert set(SHARED) | {"train"} == set(STEPS)
