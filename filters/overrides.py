"""Settings for one run on a filter's document: a profile, a mapping file, overrides; and what must not outlive what it was for.

A price is that of one model, a revision that of one base model: where a setting names another, they are dropped or asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from distillery.filters.document import Document, Path, read_document
from distillery.filters.errors import InputError
from distillery.filters.scalars import resolve
from distillery.filters.strict_json import loads

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_STEP = re.compile(rf"\.?([A-Za-z_][A-Za-z0-9_]*)|\.?\[([0-9]{{1,4}})\]|\.([0-9]{{1,4}})|\.?\[({_QUOTED})\]")
_TARGET = re.compile(rf'(?:[^="]|{_QUOTED})*')  # up to the sign; a name in quotes may hold one
_HUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")  # a folder so named is looked for, too


class Bound:
    """Keeps what of a filter's file belongs to something that settings may exchange: the price, the base model's revision."""

    def __init__(self, document: Document) -> None:
        """Note what the file says, before any setting.

        Args:
            document: the filter, which may be at fault.
        """
        self.priced, self.based = _priced(document), _based(document)

    def require(self, document: Document) -> None:
        """Drop what was for something else, after all settings.

        Args:
            document: the same filter, changed.

        Raises:
            InputError: another base model of a hub has the revision of the former.
        """
        _forget_price(document, self.priced)
        _require_own_revision(document, self.based)


def merge(document: Document, partial: Document, *path: str) -> None:
    """Merge a part of a filter into its document: mappings are merged, all else replaced.

    Args:
        document: the filter, which is changed.
        partial: the part, a mapping; faults in it are told by its own lines.
        path: where it goes, such as "spec".
    """
    base: Any = document.value
    for step in path:
        if not isinstance(base, dict) or not isinstance(base.setdefault(step, {}), dict):
            return  # the model says so, with its line
        base = base[step]
    _merge(base, partial.value)
    document.places.update({(*path, *below): place for below, place in partial.places.items() if below})


def _priced(document: Document) -> tuple[object, str, object]:
    """Return the oracle's model, its price as text and the price itself, as far as a file that may be at fault has them."""
    spec = document.value.get("spec")
    oracle = spec.get("oracle") if isinstance(spec, dict) else None
    model, price = (oracle.get("model"), oracle.get("price")) if isinstance(oracle, dict) else (None, None)
    return model, repr(price), price


def _forget_price(document: Document, before: tuple[object, str, object]) -> None:
    """Remove a price that stands in the file for another model: a budget that goes by it would not hold."""
    model, text, price = _priced(document)
    if price is not None and model != before[0] and price is before[2] and text == before[1]:
        del document.value["spec"]["oracle"]["price"]


def _based(document: Document) -> tuple[object, object, object]:
    """Return the base model, its revision, and where that is stated, as far as a file that may be at fault has them."""
    spec = document.value.get("spec")
    student = spec.get("student") if isinstance(spec, dict) else None
    base, revision = (student.get("baseModel"), student.get("revision")) if isinstance(student, dict) else (None, None)
    return base, revision, document.places.get(("spec", "student", "revision"))


def _require_own_revision(document: Document, before: tuple[object, object, object]) -> None:
    """Raise if a profile or an override named another base model of a hub and left the revision of the former.

    What has no revisions (a folder, an address, a package) loses it.
    """
    base, revision, place = _based(document)
    if revision is None or base == before[0] or before[0] is None or (revision, place) != before[1:]:
        return
    if isinstance(base, str) and _HUB.fullmatch(base):
        raise InputError(
            f"is {str(revision)[:40]}, which is {str(before[0])[:80]}'s, and not one of {base[:80]}",
            where="spec.student.revision",
            hint=f"add {{overrides}} student.revision=COMMIT, a commit of {base[:80]} (or main, its newest)",
        )
    document.value["spec"]["student"]["revision"] = None


def _merge(base: dict[str, Any], partial: Mapping[str, Any]) -> None:
    for key, value in partial.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def apply_override(document: Document, override: str) -> None:
    """Set one value below spec.

    Args:
        document: the filter, which is changed.
        override: such as "training.epochs=4" or "dimensions[0].weight=0.2".

    Raises:
        InputError: it is no such setting.
    """
    end = match.end() if (match := _TARGET.match(override)) else 0
    target, equals, text = override[:end], override[end : end + 1], override[end + 1 :]
    if equals != "=":
        target, equals, text = override.partition("=")
    where = f"{{overrides}} {target.strip()}"
    steps = _steps(target.strip().removeprefix("spec."))
    if not equals or steps is None:
        hint = "for example {overrides} training.epochs=4"
        raise InputError(f'"{override[:80]}" is not path=value', hint=hint, parameter="overrides")
    value = _override_value(text.strip(), where)
    at: Any = document.value.setdefault("spec", {})
    path: Path = ("spec",)
    for index, step in enumerate(steps):
        path = (*path, step)
        last = index == len(steps) - 1
        if isinstance(at, list):
            if not isinstance(step, int) or step >= len(at):
                raise InputError(f"there is no {step!r} in a list of {len(at)}", where=where, hint="list indexes start at 0")
        elif not isinstance(at, dict) or isinstance(step, int):
            raise InputError(f'nothing can be set at "{step}"', where=where, hint="the path leads through a plain value")
        elif not last and at.get(step) is None:
            at[step] = {}
            document.places[path] = where
        if last:
            at[step] = value
            for known in [known for known in document.places if known[: len(path)] == path]:
                del document.places[known]
            document.places[path] = where
        else:
            at = at[step]


def _override_value(text: str, where: str) -> object:
    """Flow YAML where it starts like that, else a plain scalar, which may hold colons and hashes."""
    if not text.startswith(("[", "{", '"', "'")):
        return resolve(text)
    try:
        return read_document(text, where).value
    except InputError as error:
        raise InputError(error.what, where=where, hint=error.hint) from None


def _steps(target: str) -> list[str | int] | None:
    steps: list[str | int] = []
    position = 0
    while position < len(target):
        match = _STEP.match(target, position)
        if match is None:
            return None
        try:
            steps.append(match[1] or (loads(match[4]) if match[4] else int(match[2] or match[3])))
        except ValueError:
            return None
        position = match.end()
    return steps or None
