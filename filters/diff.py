"""What changed between two filters, and which steps that would redo.

Each change is tried alone on the old filter, and the steps whose part of it moves (filters.digests) are the ones to redo, with
all that follow; so this can't disagree with the digests. Things with names are compared by name, so a tier that moved does
not look like three that changed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from filters.digests import STEPS, Step, downstream, parts
from filters.spec import UNCHECKED, Filter

Path = tuple[str | int, ...]
_ABSENT = object()


class Change(NamedTuple):
    """path: "spec.tiers[high].when"; old, new: JSON values, None where absent; redoes: steps in the pipeline's order."""

    path: str
    old: Any
    new: Any
    redoes: list[Step]


def diff(old: Filter, new: Filter) -> list[Change]:
    """Every change from `old` to `new`, in the order of the model."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return [
        Change(
            _shown(path),
            None if left is _ABSENT else left,
            None if right is _ABSENT else right,
            _redoes(old, before, path, right),
        )
        for path, left, right in _walk(before, after, ())
    ]


def redone(changes: Sequence[Change]) -> list[Step]:
    """Every step that any of the changes redoes, in the pipeline's order."""
    return downstream({step for change in changes for step in change.redoes})


def render_diff(changes: Sequence[Change]) -> str:
    """One line per change, and a last one that sums up: "redoes: benchmark, gate, promote"."""
    if not changes:
        return "no difference"
    lines = [f"{change.path}: {_brief(change.old)} → {_brief(change.new)}   ({_steps(change.redoes)})" for change in changes]
    return "\n".join([*lines, f"redoes: {_steps(redone(changes))}"])


def _steps(steps: Sequence[Step]) -> str:
    return ", ".join(steps) or "nothing"


def _brief(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return str(value.get("name") or value.get("metric") or value.get("because") or "{…}")
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _shown(path: Path) -> str:
    return (
        "".join(f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{step}]" for step in path)
        .lstrip(".")
        .replace("[@", "[")
    )


def _names(items: object) -> list[str] | None:
    """Names of a list of named things, None for any other value."""
    if isinstance(items, list) and items and all(isinstance(item, dict) and "name" in item for item in items):
        return [item["name"] for item in items]
    return None


def _walk(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _walk(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif (before := _names(old)) is not None and (after := _names(new)) is not None:
        left, right = dict(zip(before, old, strict=True)), dict(zip(after, new, strict=True))
        for name in dict.fromkeys([*before, *after]):
            yield from _walk(left.get(name, _ABSENT), right.get(name, _ABSENT), (*path, f"@{name}"))
        common = [name for name in before if name in right]
        if common != [name for name in after if name in left]:
            yield (*path, "@order"), before, after
    elif old != new:
        yield path, old, new


def _redoes(old: Filter, before: dict[str, Any], path: Path, value: Any) -> list[Step]:
    tried = copy.deepcopy(before)
    _put(tried, path, value)
    alone = Filter.model_validate(tried, context=UNCHECKED)
    return downstream({step for step in STEPS if parts(old, step) != parts(alone, step)})


def _put(tree: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        tree = tree[_at(tree, step)]
    last = path[-1]
    if last == "@order":
        tree.sort(key=lambda item: value.index(item["name"]) if item["name"] in value else len(value))
    elif isinstance(tree, list) and value is _ABSENT:
        tree[:] = [item for item in tree if item["name"] != str(last)[1:]]
    elif isinstance(tree, list) and _at(tree, last) == len(tree):
        tree.append(value)
    else:
        tree[_at(tree, last)] = value


def _at(tree: Any, step: str | int) -> str | int:
    """Index of a named thing ("@high") in a list, its length where it is not there; any other step as it is."""
    if isinstance(tree, list) and isinstance(step, str):
        names = [item["name"] for item in tree]
        return names.index(step[1:]) if step[1:] in names else len(tree)
    return step
