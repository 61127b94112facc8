"""A filter from its file: found by name or path, merged with a profile and overrides, checked, and every fault placed.

One InputError names file, line, path, fault and mend. The first fault (by line) is spelled out and the rest are counted, since
later ones are often its consequences; `distillery.filters.lint_files` spells out all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import ValidationError

from distillery.filters.document import MAX_BYTES, Document, and_more, read_document
from distillery.filters.errors import InputError, disk_hint
from distillery.filters.expressions import nearest
from distillery.filters.faults import explain
from distillery.filters.filter import Filter
from distillery.filters.overrides import Bound, apply_override, merge
from distillery.filters.scalars import may_be_plain

INSTALLED = FilePath(__file__).resolve().parent
_REF = re.compile(r"([a-z][a-z0-9-]{0,61}[a-z0-9])(?:/v([1-9][0-9]{0,5}))?")


def load_filter(
    ref: str, *, overrides: Sequence[str] = (), profile: str | None = None, mapping: Document | None = None
) -> Filter:
    """Load a filter from its file.

    Args:
        ref: a path to a file (or its folder), `name` (newest version) or `name/vN`; names are looked up in ./filters, then in
            the installed package.
        overrides: such as "student.maxLength=128" each: path below spec, value in YAML.
        profile: name of a file of filters/profiles, applied before the overrides.
        mapping: a mapping file, a part of `spec.data`, applied after the profile.

    Returns:
        The filter.

    Raises:
        InputError: the reference, the file, the profile, the mapping or an override is not valid.
    """
    path, named = find_filter(ref)
    where = shown_path(path)
    flt = load_filter_text(read_text(path, where), where, overrides=overrides, profile=profile, mapping=mapping)
    require_named(flt, named, where)
    return flt


def require_named(flt: Filter, named: tuple[str, int] | None, where: str) -> None:
    """Raise unless a filter has the name and version by which it was found.

    Args:
        flt: the filter.
        named: the name and version, as `find_filter` returns them; None where it was found by its path.
        where: name of its file, for errors.

    Raises:
        InputError: it is another one.
    """
    if named is not None and (flt.name, flt.spec.version) != named:
        raise InputError(
            f"this is {flt.name}/v{flt.spec.version}, but its folder says {named[0]}/v{named[1]}",
            where=where,
            hint="make metadata.name and spec.version agree with the folder",
        )


def load_filter_text(
    text: str, where: str, *, overrides: Sequence[str] = (), profile: str | None = None, mapping: Document | None = None
) -> Filter:
    """Load a filter from text.

    Args:
        text: the YAML.
        where: name of the text, for errors.
        overrides: as for `load_filter`.
        profile: as for `load_filter`.
        mapping: as for `load_filter`.

    Returns:
        The filter.

    Raises:
        InputError: the text, the profile, the mapping or an override is not valid.
    """
    document = read_document(text, where)
    if not isinstance(document.value, dict):
        raise InputError("not a filter", where=where, hint="a filter starts with apiVersion, kind, metadata, spec")
    return resolve_document(document, overrides=overrides, profile=profile, mapping=mapping)


def resolve_document(
    document: Document,
    *,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    mapping: Document | None = None,
) -> Filter:
    """Return the filter of a document that was read, whose value is changed in place.

    Args:
        document: a mapping, and where its parts are.
        overrides: as for `load_filter`.
        profile: as for `load_filter`.
        mapping: as for `load_filter`.

    Returns:
        The filter.

    Raises:
        InputError: the document, the profile or an override is not valid.
    """
    bound = Bound(document)
    if profile:
        merge(document, _profile(profile), "spec")
    if mapping is not None:
        merge(document, mapping, "spec", "data")
    for override in overrides:
        apply_override(document, override)
    bound.require(document)
    return _validated(document)


def with_overrides(flt: Filter, overrides: Sequence[str]) -> Filter:
    """Return a filter with some of its keys set otherwise.

    Args:
        flt: the filter.
        overrides: as for `load_filter`.

    Returns:
        The checked filter; the same one where there are no overrides.

    Raises:
        InputError: an override is not valid.
    """
    return load_filter_text(dump_filter(flt), flt.name, overrides=overrides) if overrides else flt


def dump_filter(flt: Filter) -> str:
    """Return a filter as canonical YAML in the model's order; read back, it is the same filter.

    Defaults are written out, since a published filter must keep its meaning when a later release changes one.

    Args:
        flt: the filter.

    Returns:
        The YAML.
    """
    return dump_value(_without_empty(flt.model_dump(mode="json")))


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _without_empty(kept) for key, kept in value.items()}
        return {key: kept for key, kept in inner.items() if kept not in (None, [], {})}
    return [_without_empty(inner) for inner in value] if isinstance(value, list) else value


def dump_value(value: object) -> str:
    """Return a value as YAML that this reader, PyYAML and kubectl read alike.

    Args:
        value: plain values.

    Returns:
        The YAML.
    """
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None if may_be_plain(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def filter_folders() -> list[FilePath]:
    """Return the folders where names are looked up.

    Returns:
        Existing folders, the first one first.
    """
    return list(dict.fromkeys(folder for folder in (FilePath("filters").resolve(), INSTALLED) if folder.is_dir()))


def find_filter(ref: str) -> tuple[FilePath, tuple[str, int] | None]:
    """Find the file of a filter.

    Args:
        ref: as for `load_filter`.

    Returns:
        The file, and the (name, version) it must have if it was named so.

    Raises:
        InputError: there is none.
    """
    try:
        path = FilePath(ref)
        if path.is_file():
            return path, None
        if (path / "filter.yaml").is_file():
            return path / "filter.yaml", None
    except (OSError, ValueError):
        raise InputError("neither a filter's name nor a readable file", where=ascii(ref[:80])) from None
    match = _REF.fullmatch(ref)
    if match is None:
        raise InputError(
            f'no file "{ref[:80]}", and not a filter\'s name', hint="give name, name/vN, or a path to a filter.yaml"
        )
    name, version = match[1], int(match[2]) if match[2] else None
    for folder in filter_folders():
        versions = _versions(folder / name)
        if version is None and versions:
            version = max(versions)
        if version in versions:
            return folder / name / f"v{version}" / "filter.yaml", (name, version)
    known = [f"{found}/v{number}" for found, number in list_filters()]
    hint = nearest(ref, known) if known else "`distillery filters new NAME` writes one"
    raise InputError(f'no filter "{ref}"', where="filters/", hint=hint)


def list_filters() -> list[tuple[str, int]]:
    """List the filters that can be named.

    Returns:
        (name, version) pairs, sorted.
    """
    return sorted(
        {(folder.name, version) for root in filter_folders() for folder in root.iterdir() for version in _versions(folder)}
    )


def list_profiles() -> dict[str, FilePath]:
    """Return the profiles that can be named.

    Returns:
        Their files by name; one of ./filters hides an installed one.
    """
    found = {path.stem: path for folder in reversed(filter_folders()) for path in folder.glob("profiles/*.yaml")}
    return dict(sorted(found.items()))


def _versions(folder: FilePath) -> list[int]:
    return [
        int(path.parent.name[1:])
        for path in folder.glob("v*/filter.yaml")
        if re.fullmatch(r"v[1-9][0-9]{0,5}", path.parent.name)
    ]


def shown_path(path: FilePath) -> str:
    """Return a path as errors show it: relative to the current folder if it lies below it.

    Args:
        path: any path.

    Returns:
        The path as text.
    """
    try:
        return str(path.resolve().relative_to(FilePath.cwd()))
    except ValueError:
        return str(path)


def read_text(path: FilePath, where: str) -> str:
    """Read a text file in UTF-8; a byte order mark is dropped.

    Args:
        path: the file.
        where: its name, for errors.

    Returns:
        The text.

    Raises:
        InputError: it can't be read, is not UTF-8, or has more than 256 KiB.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 4)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where, hint=disk_hint(error)) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) > MAX_BYTES:  # maybe cut within a character; too large anyway
            return data.decode("latin-1")
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"not UTF-8 (byte {data[error.start]:#04x})", where=f"{where}:{line}", hint="save the file as UTF-8"
        ) from None


def _profile(profile: str) -> Document:
    """Return filters/profiles/<profile>.yaml, a partial spec."""
    found = list_profiles()
    if profile not in found:
        hint = f"known: {', '.join(sorted(found)) or 'none'}"
        raise InputError(f'unknown profile "{profile}"', hint=hint, parameter="profile")
    where = shown_path(found[profile])
    partial = read_document(read_text(found[profile], where), where)
    if not isinstance(partial.value, dict):
        raise InputError("a profile is a part of a spec, such as student: {…}", where=where)
    return partial


def _validated(document: Document) -> Filter:
    try:
        return Filter.model_validate(document.value)
    except ValidationError as error:
        first, *more = explain(error, document)
        raise and_more(first.error(), len(more)) from None
