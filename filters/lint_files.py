"""All that is wrong or odd in filter files, each with its file and line: what `distillery filters lint` prints.

A file that is no valid filter is read as far as it goes: what YAML, the schema and the checks between fields refuse is found in
one go. For the last of these, values that the schema refuses are left out or replaced, and what may only follow from that is
not reported.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError

from distillery.filters.document import Document, Path, scan_document
from distillery.filters.errors import InputError
from distillery.filters.faults import Fault, explain
from distillery.filters.filter import Filter
from distillery.filters.lint import Finding, lint
from distillery.filters.loading import find_filter, read_text, require_named, shown_path
from distillery.filters.scoring import KIND as SCORING
from distillery.filters.scoring import Scoring

_STEP = re.compile(r"([A-Za-z]+)|\[([^\]]*)\]")
_STAND_INS: Final = (1, "overall >= 5")  # a number, and a text that is a rule, too
# Others refer to what these say, so nothing stands in for them.
_REFERRED: Final = {"name", "dimensions", "tiers", "contentTypes", "metric"}


def lint_file(ref: str) -> list[Finding]:
    """Look for everything that is wrong or odd in a filter's file.

    Args:
        ref: as for `distillery.filters.loading.load_filter`.

    Returns:
        Findings, errors first, each with file and line.

    Raises:
        InputError: there is no such file, or it can't be read.
    """
    path, named = find_filter(ref)
    where = shown_path(path)
    text = read_text(path, where)
    if (scoring := _check_scoring(text, where)) is not None:
        return scoring
    flt, found = check_text(text, where)
    if flt is None:
        return found
    try:
        require_named(flt, named, where)
    except InputError as error:
        found.append(_finding("", error.what, f"{where}:1", error.hint))
    document = scan_document(text, where)
    return [*found, *(_placed(finding, where, document) for finding in lint(flt, text))]


def check_text(text: str, where: str) -> tuple[Filter | None, list[Finding]]:
    """Read a filter, or find all that is wrong with it.

    Args:
        text: the YAML.
        where: name of the file.

    Returns:
        The filter and nothing, or None and the errors by line.
    """
    try:
        document = scan_document(text, where)
    except InputError as error:
        return None, [_finding("", error.what, error.where, error.hint)]
    found = [(path, _finding("", error.what, error.where, error.hint)) for path, error in document.refused.items()]
    flt = None
    if isinstance(document.value, dict):
        flt, faults = _check(document)
        refused = [path for path, _ in found]
        found += [(fault.path, _of(fault)) for fault in faults if not any(fault.path[: len(path)] == path for path in refused)]
    elif not found:
        what, hint = "not a filter", "a filter starts with apiVersion, kind, metadata, spec"
        found.append(((), _finding("", what, f"{where}:1", hint)))
    return (None if found else flt), sorted((finding for _, finding in found), key=lambda finding: finding.line or 0)


def _check_scoring(text: str, where: str) -> list[Finding] | None:
    """Return all that is wrong with an object of kind Scoring; None for a file that is none."""
    try:
        document = scan_document(text, where)
    except InputError:
        return None
    if not isinstance(document.value, dict) or document.value.get("kind") != SCORING:
        return None
    found = [_finding("", error.what, error.where, error.hint) for error in document.refused.values()]
    try:
        Scoring.model_validate(document.value)
    except ValidationError as error:
        found += [_of(fault) for fault in explain(error, document, Scoring)]
    return found


def render(findings: Sequence[Finding]) -> str:
    """Show findings as compilers do, so that an editor jumps to them: file, line, level, what, hint.

    Args:
        findings: from `lint_file`.

    Returns:
        A line each.
    """
    lines = []
    for finding in findings:
        place = ":".join(str(part) for part in (finding.file, finding.line) if part)
        within = f"{finding.where}: " if finding.where and finding.where != f"line {finding.line}" else ""
        hint = f"; {finding.hint}" if finding.hint else ""
        lines.append(f"{place}: {finding.level}: {within}{finding.message}{hint}")
    return "\n".join(lines)


def counted(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each level.

    Args:
        findings: of any files.

    Returns:
        "2 errors, 1 warning"; "no findings".
    """
    levels: list[str] = [finding.level for finding in findings]
    counts = [(levels.count(level), level) for level in dict.fromkeys(("error", "warning", "note"))]
    return ", ".join(f"{n} {level}{'s' if n > 1 else ''}" for n, level in counts if n) or "no findings"


def _check(document: Document) -> tuple[Filter | None, list[Fault]]:
    """Validate a document; what one field says of another is checked, too, where the schema refuses some values."""
    try:
        return Filter.model_validate(document.value), []
    except ValidationError as error:
        faults = explain(error, document)
        if not _of_all(error):
            known = {fault.path for fault in faults}
            faults += [fault for fault in _beyond(document, faults) if fault.path not in known]
        return None, faults


def _beyond(document: Document, faults: list[Fault]) -> list[Fault]:
    """Return what the checks between fields find once stand-ins replace the values that the schema refuses."""
    value, tried = copy.deepcopy(document.value), dict[Path, int]()
    for _ in range(len(_STAND_INS) + 1):
        if not all(fault.path and fault.path[-1] not in _REFERRED and _mend(value, fault.path, tried) for fault in faults):
            return []
        try:
            Filter.model_validate(value)
        except ValidationError as error:
            faults = explain(error, document._replace(value=value))
            if _of_all(error):
                return [fault for fault in faults if not any(_follows(fault.path, path) for path in tried)]
        else:
            return []
    return []


def _of_all(error: ValidationError) -> bool:
    """True if the schema refuses nothing, so that the checks between fields were made."""
    return error.errors()[0]["type"] == "inconsistent"


def _mend(value: Any, path: Path, tried: dict[Path, int]) -> bool:
    """Leave a value out, or put the next stand-in in its place; False where none is left."""
    for step in path[:-1]:
        value = value[step]
    last, number = path[-1], tried.get(path, 0)
    if number == 0 and isinstance(value, dict) and last in value:
        del value[last]
    elif (number := max(number, 1)) <= len(_STAND_INS):
        value[last] = _STAND_INS[number - 1]
    else:
        return False
    tried[path] = number + 1
    return True


def _follows(path: Path, mended: Path) -> bool:
    """True if a fault may only follow from what stands in for a value: it is about that value, or the item that holds it."""
    parent = mended[:-1]
    held = any(isinstance(step, int) for step in parent)
    return path[: len(mended)] == mended or path == parent or (held and path[: len(parent)] == parent)


def _of(fault: Fault) -> Finding:
    error = fault.error()
    return _finding("", error.what, fault.place, error.hint)


def _finding(where: str, message: str, place: str, hint: str) -> Finding:
    file, _, line = place.rpartition(":")
    return (
        Finding("error", where, message, hint, file, int(line))
        if line.isdigit()
        else Finding("error", where, message, hint, place)
    )


def _placed(finding: Finding, file: str, document: Document) -> Finding:
    """Return a finding with the line of its part; of the section, where the file leaves that part out."""
    if finding.line is not None:
        return finding._replace(file=file)
    path: Path = ()
    value = document.value
    for name, item in _STEP.findall(finding.where):
        step = name or (int(item) if item.isdigit() else _index(value, item))
        if (*path, step) not in document.places:
            break
        path, value = (*path, step), value[step]
    return finding._replace(file=file, line=int(document.places[path].rpartition(":")[2]))


def _index(items: object, name: str) -> int:
    names = [item.get("name") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return names.index(name) if name in names else -1
