"""What changed between two filters, and which steps that would redo.

Each change is tried alone on the old filter. The steps whose part of the filter (`distillery.filters.digests`) it changes must
be redone, with all that depend on them; so this cannot disagree with the digests. Named things are compared by name, so a
tier that moved does not look like three that changed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from distillery.filters.digests import parts
from distillery.filters.fields import UNCHECKED
from distillery.filters.filter import Filter
from distillery.filters.steps import STEPS, Step, downstream

Path = tuple[str | int, ...]
_ABSENT = object()


class Change(NamedTuple):
    """A difference between two filters.

    Attributes:
        path: such as "spec.tiers[high].when".
        old: JSON value, None if absent.
        new: JSON value, None if absent.
        redoes: steps to do again, in the pipeline's order.
    """

    path: str
    old: Any
    new: Any
    redoes: list[Step]


def diff(old: Filter, new: Filter) -> list[Change]:
    """Compare two filters.

    Args:
        old: the filter before.
        new: the filter after.

    Returns:
        Every change, in the order of the model.
    """
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
    """Return the steps that any of the changes redoes.

    Args:
        changes: from `diff`.

    Returns:
        Steps in the pipeline's order.
    """
    return downstream({step for change in changes for step in change.redoes})


def render_diff(changes: Sequence[Change]) -> str:
    """Show changes as text: a line each, and a last one that sums up, such as "redoes: benchmark, gate, promote".

    Args:
        changes: from `diff`.

    Returns:
        The text.
    """
    if not changes:
        return "no difference"
    lines = [f"{change.path}: {_told(change)}   ({_steps(change.redoes)})" for change in changes]
    return "\n".join([*lines, f"redoes: {_steps(redone(changes))}"])


def _told(change: Change) -> str:
    if change.path.endswith("]") and (change.old is None or change.new is None):
        return "added" if change.old is None else "removed"
    return f"{_brief(change.old)} → {_brief(change.new)}"


def _steps(steps: Sequence[Step]) -> str:
    return ", ".join(steps) or "nothing"


def _brief(value: object) -> str:
    if value is None:
        return "none"
    text = " ".join((", ".join(map(str, value)) if isinstance(value, list) else str(value)).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _shown(path: Path) -> str:
    steps = (f"[{step[1:]}]" if isinstance(step, str) and step[0] in "@#" else f".{step}" for step in path)
    return "".join(steps).lstrip(".")


def _name(item: Any) -> str:
    """What tells an item of a list from the others: its name, a gate's metric and argument, a gatekeeper's rule, a text."""
    if not isinstance(item, dict):
        return str(item)
    if "metric" in item:
        return " ".join(str(item[key]) for key in ("metric", "tier", "dimension", "baseline") if item[key] is not None)
    return str(item.get("name", item.get("when", item.get("score"))))


def _names(items: object) -> list[str] | None:
    """Names of the items of a list, None for any other value or where two are named alike."""
    names = [_name(item) for item in items] if isinstance(items, list) else []
    return names if isinstance(items, list) and len(set(names)) == len(names) else None


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
            yield (*path, "#order"), before, after
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
    if last == "#order":
        tree.sort(key=lambda item: value.index(_name(item)) if _name(item) in value else len(value))
    elif isinstance(tree, list) and value is _ABSENT:
        tree[:] = [item for item in tree if _name(item) != str(last)[1:]]
    elif isinstance(tree, dict) and value is _ABSENT:
        tree.pop(last, None)
    elif isinstance(tree, list) and _at(tree, last) == len(tree):
        tree.append(value)
    else:
        tree[_at(tree, last)] = value


def _at(tree: Any, step: str | int) -> str | int:
    """Index of a named thing ("@high") in a list, its length where it is not there; any other step as it is."""
    if isinstance(tree, list) and isinstance(step, str):
        names = [_name(item) for item in tree]
        return names.index(step[1:]) if step[1:] in names else len(tree)
    return step
