"""The base of stored documents: strict reading, one-line errors, older and newer forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, ValidationError

from distillery.components.artifacts.document import MAX_DOCUMENT, Document
from distillery.components.store import REDO, NotFound, Store, StoreError, digest_bytes, open_store


class Note(Document):
    KIND = "a note"

    format: Literal[1] = 1
    text: str
    weight: float = 1.0
    parts: tuple[str, ...] = ()


class Grown(Document):
    KIND = "a grown note"
    FORMAT = 3
    READS = (2,)
    OMITTED = ("by", "marks", "note")

    format: Literal[3] = 3
    text: str
    by: str = ""
    marks: list[str] = Field(default_factory=list)
    note: Note | None = None


class Hinted(Note):
    HINT = "delete it"


class Sealed(Document):
    """A document that is found by its digest has no version."""

    text: str


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def test_what_is_written_is_read(store: Store) -> None:
    note = Note(text="grün", weight=0.5, parts=("a", "b"))
    note.put(store, "notes/1.json")
    assert Note.load(store, "notes/1.json") == note
    assert Note.read(note.to_bytes(), "x") == note
    assert note.to_json() == {"format": 1, "text": "grün", "weight": 0.5, "parts": ["a", "b"]}


def test_one_without_a_version_is_the_first(store: Store) -> None:
    assert Note.read(b'{"text": "old", "weight": 2}', "x") == Note(text="old", weight=2.0)


def test_a_sealed_one_gets_no_version() -> None:
    assert Sealed(text="a").to_json() == {"text": "a"}


def test_a_document_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Note(text="a").text = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'{"text": "to', "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"", "is not JSON"),
        (b"[1]", "is not a note: it is no JSON object"),
        (b"{}", "is not a note: text: Field required"),
        (b'{"text": "a", "more": 1}', "is not a note: more: Extra inputs are not permitted"),
        (b'{"text": 3}', "is not a note: text: Input should be a valid string"),
        (b'{"text": "a", "weight": "1"}', "is not a note: weight: Input should be a valid number"),
        (b'{"text": "a", "weight": NaN}', "is not JSON: NaN is not JSON"),
        (b'{"text": "a", "weight": 1e999}', "is not a note: Out of range float values are not JSON compliant"),
        (b'{"text": "\\ud800"}', "is not a note: 'utf-8' codec can't encode"),
        (b'{"text": "a", "format": 0}', "is not a note: format: Input should be 1"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"text": "a", "parts": ' + b"[" * 500 + b"]" * 500 + b"}", "is not a note: Invalid JSON: recursion limit"),
    ],
)
def test_anything_else_is_one_line(data: bytes, what: str) -> None:
    with pytest.raises(StoreError) as error:
        Note.read(data, "file:///s/notes/1.json")
    text = str(error.value)
    assert text.startswith(f"file:///s/notes/1.json: {what}")
    assert text.endswith(f"; {Note.HINT}")
    assert "\n" not in text


def test_a_newer_one_says_what_to_do() -> None:
    with pytest.raises(StoreError, match="is a note of format 2; this program reads formats up to 1; update llm-distillery"):
        Note.read(b'{"format": 2, "content": "a"}', "x")


def test_loading_verifies_digest_and_size(store: Store) -> None:
    sealed = Sealed(text="a")
    digest = digest_bytes(sealed.to_bytes())
    sealed.put(store, "a.json")
    assert Sealed.load(store, "a.json", digest=digest) == sealed
    with pytest.raises(StoreError, match="larger than"):
        Sealed.load(store, "a.json", max_bytes=4)
    Sealed(text="b").put(store, "a.json")
    with pytest.raises(StoreError, match="other bytes"):
        Sealed.load(store, "a.json", digest=digest)
    with pytest.raises(NotFound):
        Sealed.load(store, "b.json")


def test_a_document_is_changed_where_nobody_else_wrote_it(store: Store) -> None:
    def longer(note: Note | None) -> Note | None:
        if note is not None and len(note.text) == 3:
            return None
        if note is not None and note.text == "a":
            Note(text="b!").put(store, "n.json")  # somebody else, in the middle; the change begins again
        return Note(text=note.text + "!" if note else "a")

    assert Note.update(store, "n.json", lambda note: None) is None
    assert Note.update(store, "n.json", longer) == Note(text="a")
    assert Note.update(store, "n.json", longer) == Note(text="b!!")
    assert Note.update(store, "n.json", longer) == Note(text="b!!"), "left as it is"
    store.put("n.json", b"{")
    with pytest.raises(StoreError, match=r"n\.json: is not JSON"):
        Note.update(store, "n.json", longer)


@pytest.mark.parametrize(
    "fields", [{"by": "b"}, {"marks": [""]}, {"note": {"format": 1, "text": "a", "weight": 0.0, "parts": []}}]
)
def test_what_a_document_was_later_given_is_written_where_it_is_set(fields: dict[str, Any]) -> None:
    bare = {"format": 3, "text": "a"}
    assert Grown(text="a").to_json() == Grown(text="a", by="", marks=[], note=None).to_json() == bare
    grown = Grown.read(json.dumps(bare | fields).encode(), "x")
    assert grown.to_json() == bare | fields
    assert Grown.read(grown.to_bytes(), "x") == grown
    assert Grown(text="a").model_dump(mode="json", exclude_unset=True) == {"text": "a"}


@pytest.mark.parametrize("written", [1, None, "2", [2], 2.5, -1])
def test_an_older_form_is_read_where_it_is_named_alone(written: object) -> None:
    assert Grown.read(b'{"format": 2, "text": "a"}', "x") == Grown(text="a")
    with pytest.raises(StoreError, match="is not a grown note: format: Input should be 3"):
        Grown.read(json.dumps({"format": written, "text": "a"}).encode(), "x")


def test_an_object_that_is_too_large_says_what_to_do_as_its_document_does(store: Store) -> None:
    store.put("n.json", b" " * (MAX_DOCUMENT + 1))
    for read in (
        lambda: Hinted.load(store, "n.json"),
        lambda: Hinted.versioned(store, "n.json"),
        lambda: Hinted.update(store, "n.json", lambda note: note),
        lambda: store.get("n.json", max_bytes=4, hint=Hinted.HINT),
        lambda: store.get("n.json", digest=digest_bytes(b""), hint=Hinted.HINT),
    ):
        with pytest.raises(StoreError, match=r"n\.json: (is larger than|holds other bytes).*; delete it$"):
            read()
    with pytest.raises(StoreError, match=f"larger than .*; {REDO}"):
        store.current("n.json", max_bytes=4)


def test_nan_is_never_written() -> None:
    with pytest.raises(ValidationError):
        Note(text="a", weight=float("nan"))
