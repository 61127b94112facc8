"""What a key of a filter means, from the JSON Schema of its file: type, default, bounds, description, and the keys below it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from distillery.filters.crd import Schema, filter_schema
from distillery.filters.errors import InputError
from distillery.filters.expressions import nearest

_INDEX = re.compile(r"\[[^\]]*\]|\.[0-9]+(?=\.|$)")
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
    "null": "null",
}
_BOUNDS = {
    "minimum": "at least {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "at most {:g}",
    "exclusiveMaximum": "below {:g}",
    "minLength": "at least {:g} characters",
    "maxLength": "at most {:g} characters",
    "minItems": "at least {:g} items",
    "maxItems": "at most {:g} items",
    "maxProperties": "at most {:g} keys",
    "pattern": "matches {}",
}


class Key(NamedTuple):
    """A key of a filter.

    Attributes:
        path: such as spec.dimensions[].weight; empty for the whole filter.
        type: in words.
        required: True where a file must have it.
        default: its JSON value where a file leaves it out; None, too, where there is no default, or where each key below has
            its own.
        bounds: what a value must keep, in words.
        choices: the values there are; empty where there are others.
        description: what it is for.
        keys: the keys below it.
    """

    path: str
    type: str
    required: bool
    default: Any
    bounds: list[str]
    choices: list[str]
    description: str
    keys: list[Key]

    @property
    def name(self) -> str:
        """Return the last part of the path, without the sign of a list.

        Returns:
            The name.
        """
        return self.path.removesuffix("[]").rpartition(".")[2]

    def to_json(self) -> dict[str, Any]:
        """Return the key as `explain --json` prints it.

        Returns:
            JSON values by field.
        """
        return {**self._asdict(), "keys": [{"name": key.name, **key.to_json()} for key in self.keys]}


def explain(path: str) -> Key:
    """Return what a key of a filter means.

    Args:
        path: as `--set` takes it, or with "spec." before it; indexes of lists may be left out. Empty for the whole filter.

    Returns:
        The key, with the keys below it.

    Raises:
        InputError: a filter has no such key.
    """
    schema = filter_schema()
    defs = schema["$defs"]
    names = [name for name in _INDEX.sub("", path.strip()).split(".") if name]
    if names[:1] == ["filter"]:
        names = names[1:]
    if names and names[0] not in schema["properties"]:
        names = ["spec", *names]
    node, at, required = schema, "", True
    for name in names:
        known = _properties(node, defs)
        if name not in known:
            of = at.removesuffix("[]") or "a filter"
            hint = nearest(name, known) if known else f"{of} has no keys below it"
            raise InputError(f'no key "{name[:80]}" in {of}', where=path[:200], hint=hint)
        required = name in _mapping(node, defs).get("required", ())
        node, at = known[name], f"{at}.{name}".lstrip(".")
        if _items(node, defs) is not None:
            at += "[]"
    return _key(at, node, defs, required=required)


def _key(path: str, node: Schema, defs: Mapping[str, Schema], *, required: bool) -> Key:
    whole = _mapping(node, defs)
    needed = whole.get("required", ())
    below = [
        _key(f"{path}.{name}".lstrip("."), inner, defs, required=name in needed)
        for name, inner in _properties(node, defs).items()
    ]
    forms = list(_forms(node, defs))
    bounds = [text for form in forms for text in _bounds(form)]
    choices = [str(choice) for form in forms for choice in form.get("enum", [form["const"]] if "const" in form else [])]
    kinds = list(dict.fromkeys(_type(form, defs) for form in forms))
    default = node.get("default")
    return Key(
        path,
        " or ".join(kinds),
        required,
        None if kinds == ["mapping"] and below and isinstance(default, dict) else default,
        list(dict.fromkeys(bounds)),
        choices,
        str(node.get("description", whole.get("description", ""))),
        below,
    )


def _forms(node: Schema, defs: Mapping[str, Schema]) -> Iterator[Schema]:
    """Yield the forms that a value may have, without references."""
    if "$ref" in node:
        yield from _forms(defs[node["$ref"].rpartition("/")[2]], defs)
    elif "anyOf" in node:
        for inner in node["anyOf"]:
            yield from _forms(inner, defs)
    else:
        yield node


def _type(form: Schema, defs: Mapping[str, Schema]) -> str:
    if "items" in form:
        inner = dict.fromkeys(_type(item, defs) for item in _forms(form["items"], defs))
        return f"list of {' or '.join(kind if kind == 'text' else f'{kind}s' for kind in inner)}"
    return _TYPES.get(form.get("type", "string"), "text")


def _bounds(form: Schema) -> list[str]:
    low, high = form.get("minimum"), form.get("maximum")
    if low is not None and high is not None:
        form = {"between": True, **{key: value for key, value in form.items() if key not in ("minimum", "maximum")}}
        return [f"{low:g} to {high:g}", *_bounds(form)]
    return [text.format(form[key]) for key, text in _BOUNDS.items() if key in form]


def _mapping(node: Schema, defs: Mapping[str, Schema]) -> Schema:
    """Return the mapping that a value, or an item of it, may be; an empty one where it is a plain value."""
    for form in _forms(node, defs):
        inner = _mapping(form["items"], defs) if "items" in form else form
        if "properties" in inner:
            return inner
    return {}


def _properties(node: Schema, defs: Mapping[str, Schema]) -> dict[str, Schema]:
    return dict(_mapping(node, defs).get("properties", {}))


def _items(node: Schema, defs: Mapping[str, Schema]) -> Schema | None:
    return next((form["items"] for form in _forms(node, defs) if form.get("type") == "array"), None)


def render_key(key: Key) -> str:
    """Return what a key means as text.

    Args:
        key: from `explain`.

    Returns:
        Lines: the key and what holds for it, its description, and a line for each key below.
    """
    rows = {"key": key.path.removesuffix("[]") or "a filter", "type": key.type}
    if key.choices:
        rows["one of"] = ", ".join(key.choices)
    if key.bounds:
        rows["bounds"] = "; ".join(key.bounds)
    if key.path:
        mapping = key.keys and (key.type == "mapping" or isinstance(key.default, dict))
        rows["default"] = "none: it is required" if key.required else "those of its keys" if mapping else _shown(key.default)
    if key.path.startswith("spec.") and not key.keys and not key.required:
        rows["set it"] = f"--set {key.path.removeprefix('spec.').removesuffix('[]').replace('[]', '[0]')}={_shown(key.default)}"
    lines = [f"{name:<8} {value}" for name, value in rows.items()]
    lines += ["", f"  {key.description}"]
    if key.keys:
        width = max(len(inner.name) for inner in key.keys)
        lines.append("")
        lines += [f"  {inner.name:<{width}}  {_brief(inner)}" for inner in key.keys]
    return "\n".join(lines)


def _brief(key: Key) -> str:
    plain = key.default is not None and not isinstance(key.default, dict)
    given = "required" if key.required else f"default {_shown(key.default)}" if plain else "optional"
    kind = key.type if not key.choices else " | ".join(key.choices)
    return f"{kind}, {given}. {key.description}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
