"""YAML into plain values that remember their lines; hostile YAML is refused while it is being read.

What kubectl or another reader of YAML takes for something else than we do (yes, 0777, 1_000, 1:30) must be quoted, so that file
and cluster agree; `distillery.filters.scalars` has the rules. Anchors, aliases and tags are refused outright: a filter needs
none, and they are how 1 kB becomes 1 TB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from distillery.filters.errors import InputError
from distillery.filters.scalars import other_reading, resolve

MAX_BYTES, MAX_DEPTH, SHOWN = 256 * 1024, 20, 40
Path = tuple[str | int, ...]
_CODE = re.compile(r"(?<!\\)(?:\\\\)*\\[xuU]")


class Document(NamedTuple):
    """A YAML document and where its parts are.

    Attributes:
        value: dicts, lists and scalars.
        places: "file:line" of every path in it.
        escaped: paths of the texts in double quotes that name characters by their codes, as x2e behind a backslash.
        refused: what is refused in it, by path; empty for a document that can be used.
    """

    value: Any
    places: dict[Path, str]
    escaped: frozenset[Path] = frozenset()
    refused: Mapping[Path, InputError] = {}


def read_document(text: str, where: str, *, ours_alone: bool = False) -> Document:
    """Read one YAML document.

    Args:
        text: the file's text.
        where: name of the file, for errors.
        ours_alone: True for a file that no cluster reads; what kubectl would read otherwise than we do needs no quotes there.

    Returns:
        The document.

    Raises:
        InputError: the text is anything but plain YAML of at most 256 KiB; the error names file and line.
    """
    document = scan_document(text, where, ours_alone=ours_alone)
    for first in document.refused.values():
        raise first if len(document.refused) == 1 else and_more(first, len(document.refused) - 1)
    return document


def and_more(first: InputError, more: int) -> InputError:
    """Return the first of several faults as one error that counts the others.

    Args:
        first: the fault that is spelled out.
        more: how many others there are.

    Returns:
        The error; the same one where there are no others.
    """
    return InputError(f"{first.what} (and {more} more)", where=first.where, hint=first.hint) if more else first


def scan_document(text: str, where: str, *, ours_alone: bool = False) -> Document:
    """Read one YAML document as far as it can be read, with everything in it that is refused.

    Args:
        text: the file's text.
        where: name of the file, for errors.
        ours_alone: as for `read_document`.

    Returns:
        The document; to be used only where nothing in it is refused.

    Raises:
        InputError: nothing can be made of the text: it is too large, too deep or empty.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES // 1024} KiB", where=where, hint="a filter is a few pages of text")
    reader = _Reader(text, where, ours_alone)
    try:
        return reader.read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or error.context or "malformed").replace("\n", " ")
        reader.refused[("not YAML",)] = InputError(
            f"not YAML: {problem}",
            where=f"{where}:{mark.line + 1}" if mark else where,
            hint="use single quotes, in which a backslash is one"
            if "escape" in problem
            else "check indentation, colons and quotes",
        )
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reader.refused[("not YAML",)] = InputError("not YAML: a control character", where=f"{where}:{line}", hint="remove it")
    return Document(None, reader.places, frozenset(), reader.refused)


class _Reader:
    def __init__(self, text: str, where: str, ours_alone: bool) -> None:
        self.events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.text = text
        self.where = where
        self.ours_alone = ours_alone
        self.places: dict[Path, str] = {}
        self.escaped: set[Path] = set()
        self.refused: dict[Path, InputError] = {}

    def refuse(self, event: yaml.Event, path: Path, what: str, hint: str) -> None:
        self.refused.setdefault(path, InputError(what, where=self.place(event), hint=hint))

    def place(self, event: yaml.Event) -> str:
        return f"{self.where}:{event.start_mark.line + 1}" if event.start_mark else self.where

    def next(self, path: Path) -> yaml.Event:
        event = next(self.events)
        if (anchor := getattr(event, "anchor", None)) is not None:
            self.refuse(event, path, f'anchor or alias "{anchor}"', "write it out, or quote a text that starts with & or *")
        if (tag := getattr(event, "tag", None)) is not None:
            self.refuse(event, path, f'tag "{tag}"', "remove it, or quote a text that starts with !")
        return event

    def read(self) -> Document:
        value: object = None
        documents = 0
        while not isinstance(event := self.next(()), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.refuse(event, (), "a second document", "one filter per file")
                    break
                value = self.value(self.next(()), ())
        if documents == 0 or (value is None and not self.refused):
            raise InputError("empty file", where=self.where, hint="`distillery filters new NAME` writes a filter")
        return Document(value, self.places, frozenset(self.escaped), self.refused)

    def value(self, event: yaml.Event, path: Path) -> object:
        if len(path) > MAX_DEPTH:
            what = f"nested deeper than {MAX_DEPTH} levels"
            raise InputError(what, where=self.place(event), hint="a filter is flatter than that")
        self.places.setdefault(path, self.place(event))
        if isinstance(event, yaml.ScalarEvent):
            if event.style == '"' and _CODE.search(self.source(event)):
                self.escaped.add(path)
            return self.scalar(event, path)
        if isinstance(event, yaml.AliasEvent):  # refused by then
            return None
        return self.sequence(path) if isinstance(event, yaml.SequenceStartEvent) else self.mapping(path)

    def source(self, event: yaml.Event) -> str:
        return self.text[event.start_mark.index : event.end_mark.index] if event.start_mark and event.end_mark else ""

    def scalar(self, event: yaml.ScalarEvent, path: Path) -> object:
        if not event.implicit[0]:  # quoted or block text
            return event.value
        if not self.ours_alone and (reading := other_reading(event.value)):
            shown = event.value if len(event.value) <= SHOWN else f"{event.value[:SHOWN]}…"
            other = "true or false" if "boolean" in reading else "a number in plain digits" if "number" in reading else ""
            hint = f'write "{shown}"' + (f", or {other}" if other else "")
            self.refuse(event, path, f"{shown} without quotes is {reading}", hint)
        return resolve(event.value)

    def sequence(self, path: Path) -> list[object]:
        items: list[object] = []
        while not isinstance(event := self.next((*path, len(items))), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def mapping(self, path: Path) -> dict[str, object]:
        items: dict[str, object] = {}
        unnamed: Path = (*path, "")  # where a key that is no plain word is remembered
        while not isinstance(event := self.next(unnamed), yaml.MappingEndEvent):
            unnamed = (*path, f"{event.start_mark and event.start_mark.index}")
            key = self.scalar(event, unnamed) if isinstance(event, yaml.ScalarEvent) else None
            if not isinstance(key, str):
                self.refuse(event, unnamed, "a key that is not a text", "keys are plain words")
                if not isinstance(event, yaml.ScalarEvent):
                    self.value(event, unnamed)
                self.value(self.next(unnamed), unnamed)
                continue
            if key in items:
                self.refuse(event, unnamed, f'key "{key}" twice', "remove one of them")
                self.value(self.next(unnamed), unnamed)
                continue
            self.places[(*path, key)] = self.place(event)
            items[key] = self.value(self.next((*path, key)), (*path, key))
        return items
