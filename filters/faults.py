"""What pydantic found wrong, in the words of somebody who edits a filter file."""

from __future__ import annotations

import types
import typing
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError

from distillery.filters.document import Document, Path
from distillery.filters.errors import InputError
from distillery.filters.expressions import nearest
from distillery.filters.filter import Filter
from distillery.filters.scalars import resolve

_KINDS = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "finite_number": "a finite number",
    "string_unicode": "a text of valid characters",
    "model_attributes_type": "a mapping (key: value)",
}
_MISSING = "is missing"
_PATTERNS = {
    "^[a-z][a-z0-9-]": "lower-case letters, digits and hyphens, starting with a letter",
    "^[a-z][a-z0-9_]": "lower-case letters, digits and underscores, starting with a letter",
    "^[A-Z_][": "the name of an environment variable in upper case, not the key itself",
    "^https?://": "http(s)://host/path, without a user, password or query",
    "^gs://": "gs://bucket/folder",
    "^s3://": "s3://bucket/prefix",
    "^[A-Za-z][": "letters, digits and underscores, starting with a letter",
}
_LIMITS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


class Fault(NamedTuple):
    """What is wrong with one part of a file.

    Attributes:
        path: where in the document.
        place: "file:line".
        what: the fault.
        hint: how to mend it.
    """

    path: Path
    place: str
    what: str
    hint: str

    def error(self) -> InputError:
        """Return the fault as an error of its own.

        Returns:
            The error, with file, line, path and hint.
        """
        return InputError(f"{shown(self.path)}: {self.what}" if self.path else self.what, where=self.place, hint=self.hint)


def explain(error: ValidationError, document: Document, model: type[BaseModel] = Filter) -> list[Fault]:
    """Put pydantic's errors into the words of somebody who edits a filter file.

    Args:
        error: what pydantic found.
        document: the file, with the places of its parts.
        model: what the file was to be.

    Returns:
        The faults by line. What is missing comes last: it is often the other half of a misspelt key.
    """
    found: dict[Path, tuple[str, str]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "inconsistent":
            found |= {fault.path: (fault.what, fault.hint) for fault in reversed(detail["ctx"]["faults"])}
            continue
        path = _path(detail, document.value)
        if path not in found:  # a union reports once per branch
            found[path] = _words(detail, path, model)
    faults = [Fault(path, _place(path, document), *words) for path, words in found.items()]
    return sorted(faults, key=lambda fault: (fault.what == _MISSING, _line(fault.place)))


def shown(path: Path) -> str:
    """Return a path as users write it.

    Args:
        path: names and indexes.

    Returns:
        Such as "spec.dimensions[2].weight".
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _line(place: str) -> tuple[int, str]:
    line = place.rpartition(":")[2]
    return (int(line), "") if line.isdigit() else (-1, place)


def _place(path: Path, document: Document) -> str:
    while path and path not in document.places:
        path = path[:-1]
    return document.places.get(path, "")


def _path(detail: Any, value: object) -> Path:
    """Where in the document: pydantic's location less the names of union branches."""
    path: Path = ()
    for step in detail["loc"]:
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        ):
            value, path = value[step], (*path, step)
        elif detail["type"] == "missing":
            path = (*path, step)
    return path


def _words(detail: Any, path: Path, root: type[BaseModel]) -> tuple[str, str]:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        field = _model_at(path[:-1], root)
        text = field.model_fields[str(path[-1])].description if field and path[-1] in field.model_fields else None
        return _MISSING, f"add it ({text.rstrip('.')})" if text else "add it"
    if kind == "extra_forbidden":
        model = _model_at(path[:-1], root)
        return f'unknown key "{path[-1]}"', nearest(str(path[-1]), model.model_fields if model else [])
    if kind in _KINDS:
        hint = ""
        if isinstance(given, str) and kind in ("float_type", "int_type") and isinstance(resolve(given), int | float):
            hint = "remove the quotes"
        elif isinstance(given, int | float) and kind == "string_type":
            hint = "put it in quotes, as it was written"
        return f"expects {_KINDS[kind]}, not {_given(given)}", hint
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"must be {words} {context[key]:g}, not {_given(given)}", ""
    if kind == "literal_error":
        return f"expects {context['expected']}, not {_given(given)}", ""
    if kind == "string_pattern_mismatch":
        words = next((words for start, words in _PATTERNS.items() if context["pattern"].startswith(start)), "no spaces")
        # a key pasted where its variable's name belongs is not repeated
        shown_value = "what is given" if path[-1] in ("apiKeyEnv", "baseUrl") else _given(given)
        return f"{shown_value} is not a valid name here", f"use {words}"
    if kind in ("string_too_short", "too_short"):
        least, items = context["min_length"], "characters" if kind.startswith("string") else "items"
        empty = not given or least == 1
        return ("is empty", "write something, or remove it") if empty else (f"is too short: at least {least} {items}", "")
    if kind in ("string_too_long", "too_long"):
        return f"is too long: at most {context['max_length']} {'characters' if kind.startswith('string') else 'items'}", ""
    return detail["msg"], ""


def _given(value: object) -> str:
    if isinstance(value, str):
        return f'the text "{value[:40]}{"…" if len(value) > 40 else ""}"'
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"{value}"


def _model_at(path: Path, root: type[BaseModel]) -> type[BaseModel] | None:
    """The model that the mapping at `path` is read by."""
    model: type[BaseModel] | None = root
    for step in path:
        if isinstance(step, int):
            continue
        if model is None or step not in model.model_fields:
            return None
        model = _inner_model(model.model_fields[step].annotation)
    return model


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, types.UnionType, typing.Union, typing.Annotated):
        return next((found for part in get_args(annotation) if (found := _inner_model(part))), None)
    return None
