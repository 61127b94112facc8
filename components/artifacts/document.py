"""The base of every JSON document that steps leave for one another: a pydantic model, read strictly, written one way.

A document that is torn, of another form or written by a newer program ends in one line that names the object. The price is
one validation a read, some 10 µs for a small document.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from distillery.components.store import REDO, Digest, Json, Store, StoreError, parse_json

D = TypeVar("D", bound="Document")
MAX_DOCUMENT = 64 * 2**20

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A digest, as 64 lower-case hexadecimal digits."""
CheckedDigest = Annotated[Digest, Field(pattern=r"^[0-9a-f]{64}$")]
"""The same for those who need a `Digest`, which is a text like any other to pydantic."""


class Document(BaseModel):
    """One JSON object of the store. Fields are frozen, unknown keys are refused, and types are not converted.

    A document that is changed in place has a field `format: Literal[1] = 1`, so that one written before there was a version
    reads as the first. One that is found by its own digest gets no such field: it would change the digest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    KIND: ClassVar[str] = "a document"
    HINT: ClassVar[str] = REDO
    FORMAT: ClassVar[int] = 1
    READS: ClassVar[tuple[int, ...]] = ()
    """Older formats that lack fields which have a default now, and no more; a document without a version is of the first."""
    OMITTED: ClassVar[tuple[str, ...]] = ()
    """Names of fields that are not written where they have their default: what was stored before them keeps its bytes."""

    @classmethod
    def older(cls, fields: dict[str, Json]) -> dict[str, Json]:
        """Return the fields of an older form as the present form has them; by default, those of a format that `READS` names.

        Args:
            fields: the parsed object, whatever its format.

        Returns:
            The object to be validated.
        """
        return {**fields, "format": cls.FORMAT} if fields.get("format", 1) in cls.READS else fields

    @model_serializer(mode="wrap")
    def _without_omitted(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        absent = {name for name in self.OMITTED if getattr(self, name) == fields[name].get_default(call_default_factory=True)}
        return {name: value for name, value in dump(self).items() if name not in absent}

    @classmethod
    def read(cls, data: bytes, where: str) -> Self:
        """Return the document that these bytes hold.

        Args:
            data: JSON in UTF-8.
            where: address of the object, for the error.

        Returns:
            The document.

        Raises:
            StoreError: the bytes are no JSON object, have another form, or were written by a newer program.
        """
        try:
            fields = parse_json(data, where)
        except StoreError as error:
            raise StoreError(error.what, where=where, hint=cls.HINT) from error
        if not isinstance(fields, dict):
            raise StoreError(f"is not {cls.KIND}: it is no JSON object", where=where, hint=cls.HINT)
        written = fields.get("format")
        if isinstance(written, int) and written > cls.FORMAT:
            raise StoreError(
                f"is {cls.KIND} of format {written}; this program reads formats up to {cls.FORMAT}",
                where=where,
                hint="update llm-distillery",
            )
        try:
            return cls.model_validate_json(_in_order(cls.older(fields)))
        except ValidationError as error:
            raise StoreError(f"is not {cls.KIND}: {first_fault(error)}", where=where, hint=cls.HINT) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"is not {cls.KIND}: {str(error)[:200]}", where=where, hint=cls.HINT) from error

    @classmethod
    def load(cls, store: Store, key: str, *, digest: Digest | None = None, max_bytes: int = MAX_DOCUMENT) -> Self:
        """Return the document stored at a key.

        Args:
            store: where it is.
            key: its key.
            digest: sha256 that its bytes must have; None where it may change.
            max_bytes: size above which it is refused.

        Returns:
            The document.

        Raises:
            NotFound: no object has this key.
            StoreError: the object is no such document, or its bytes have another digest.
        """
        data = store.get(key, digest=digest, max_bytes=max_bytes, hint=cls.HINT)
        return cls.read(data, f"{store.uri}/{key}")

    @classmethod
    def versioned(cls, store: Store, key: str, *, max_bytes: int = MAX_DOCUMENT) -> tuple[Self, str] | None:
        """Return the document stored at a key, with what `Store.put_if` compares.

        Args:
            store: where it is.
            key: its key.
            max_bytes: size above which it is refused.

        Returns:
            The document and its etag; None where no object has this key.

        Raises:
            StoreError: the object is no such document.
        """
        present = store.current(key, max_bytes=max_bytes, hint=cls.HINT)
        return None if present is None else (cls.read(present[0], f"{store.uri}/{key}"), present[1])

    @classmethod
    def update(cls, store: Store, key: str, change: Callable[[Self | None], Self | None]) -> Self | None:
        """Read a document, change it, and write it if nobody has written it meanwhile; otherwise begin again.

        Args:
            store: where it is.
            key: its key.
            change: makes the new document from the present one (None where there is none); returns None to leave it as it
                is. It may be called several times.

        Returns:
            The document that was written, or the one that was left; None where there is none.

        Raises:
            Conflict: others wrote the object in the middle of every attempt.
            StoreError: what is there cannot be read.
        """
        where = f"{store.uri}/{key}"

        def changed(data: bytes | None) -> bytes | None:
            document = change(None if data is None else cls.read(data, where))
            return None if document is None else document.to_bytes()

        data = store.update(key, changed, max_bytes=MAX_DOCUMENT, hint=cls.HINT)
        return None if data is None else cls.read(data, where)

    def to_json(self) -> dict[str, Any]:
        """Return the document as plain JSON values, in the order of its fields.

        Returns:
            A JSON object.
        """
        return self.model_dump(mode="json")

    def to_bytes(self) -> bytes:
        """Return the bytes in which the document is stored: indented JSON with sorted keys.

        Returns:
            JSON in UTF-8.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        return json.dumps(self.to_json(), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False).encode()

    def put(self, store: Store, key: str) -> None:
        """Write the document at a key, whatever was there; `Store.put_if` with `to_bytes` writes conditionally.

        Args:
            store: where it goes.
            key: its key.
        """
        store.put(key, self.to_bytes())


def or_none(form: type[D], data: bytes | None, where: str) -> D | None:
    """Return the document that these bytes hold; None where there are none, or they are torn or of another form.

    Args:
        form: its type.
        data: the bytes, if there are any.
        where: address of the object.

    Returns:
        The document, or None.
    """
    try:
        return None if data is None else form.read(data, where)
    except StoreError:
        return None


def _in_order(fields: dict[str, Json]) -> bytes:
    """Return the object as JSON with its keys in the order they have."""
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()


def first_fault(error: ValidationError) -> str:
    """Return the first fault that pydantic found, as "path: what is wrong", on one line.

    Args:
        error: what pydantic raised.

    Returns:
        The path of the field, with dots, and the fault; the fault alone where it is of the whole object.
    """
    fault = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(map(str, fault["loc"]))
    return f"{path}: {fault['msg']}" if path else fault["msg"]
