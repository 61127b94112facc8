"""What a Filter object asks for, read from the object as the API server has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from distillery.components.artifacts.filter import filter_key
from distillery.components.promotion.by_hand import Said
from distillery.components.store import Digest, digest_bytes, digest_json
from distillery.filters.cluster_object import load_filter_object
from distillery.filters.errors import InputError
from distillery.filters.fields import API_VERSION
from distillery.filters.filter import Filter
from distillery.filters.lint import lint
from distillery.filters.operation import Retrain, Run

GROUP, VERSION = API_VERSION.split("/")
BY: Final = f"{GROUP}/by"  # annotations that say who promotes what `approved` names, and why
REASON: Final = f"{GROUP}/reason"
LINTED: Final = 4096  # filters that are not linted again
_LINTED: dict[str, tuple[str, str, str] | None] = {}


@dataclass(frozen=True)
class Wanted:
    """What an object asks for.

    Attributes:
        object: the object, as "namespace/name".
        generation: of the object.
        filter: as a run is started with it: with its namespace, without what only the operator reads.
        run: what a run is started with.
        retrain: within which limits new articles and drift start a run; None where they start none.
        approved: digest of the adapter to promote, or its first digits; "" for none.
        said: who ordered that, and why, as far as the object says.
    """

    object: str
    generation: int
    filter: Filter
    run: Run
    approved: str
    said: Said
    retrain: Retrain | None = None

    @property
    def name(self) -> str:
        """Return the name of the filter."""
        return self.filter.name

    @property
    def channel(self) -> str:
        """Return the name of the channel."""
        return self.filter.spec.promotion.channel

    @cached_property
    def key(self) -> str:
        """Return the key that the filter is published under: its YAML is written once a look, not at each step of it."""
        return filter_key(self.filter)

    @property
    def settings(self) -> Digest:
        """Return the digest of what a run is started with beside the filter."""
        return digest_json(self.run.model_dump(mode="json", exclude_defaults=True))


def object_of(value: Mapping[str, Any]) -> str:
    """Return how an object is called, also one that is no filter.

    Args:
        value: the object.

    Returns:
        "namespace/name".
    """
    metadata = value.get("metadata")
    found = metadata if isinstance(metadata, Mapping) else {}
    return f"{found.get('namespace') or 'default'}/{found.get('name')}"


def generation_of(value: Mapping[str, Any]) -> int:
    """Return the generation of an object.

    Args:
        value: the object.

    Returns:
        Its generation; 0 where it has none.
    """
    metadata = value.get("metadata")
    found = metadata.get("generation") if isinstance(metadata, Mapping) else 0
    return found if isinstance(found, int) else 0


def read_object(value: Mapping[str, Any]) -> Wanted:
    """Read a Filter object.

    Args:
        value: the object as the API server has it.

    Returns:
        What it asks for.

    Raises:
        InputError: it is no valid filter; the place is the object's name and the path in it.
    """
    name, spec = object_of(value), value.get("spec")
    settings = spec.get("run") if isinstance(spec, Mapping) else None
    profile = settings.get("profile") if isinstance(settings, Mapping) else None
    flt = load_filter_object(value, name, profile=profile if isinstance(profile, str) else None)
    _require_lint(flt, name)
    promotion = flt.spec.promotion.model_copy(update={"approved": None})
    sent = flt.spec.model_copy(update={"run": None, "retrain": None, "promotion": promotion})
    return Wanted(
        object=name,
        generation=generation_of(value),
        filter=flt.model_copy(update={"spec": sent}),
        run=flt.spec.run or Run(),
        approved=flt.spec.promotion.approved or "",
        said=_said(value, name),
        retrain=flt.spec.retrain,
    )


def _require_lint(flt: Filter, name: str) -> None:
    """Raise InputError where `filters lint` finds an error in a filter that the model takes: it would not do what it says."""
    key = digest_bytes(flt.model_dump_json().encode())
    linted = _LINTED.get(key, ())
    if linted == ():
        errors = [found for found in lint(flt) if found.level == "error"]
        linted = (errors[0].message, errors[0].where, errors[0].hint) if errors else None
        if len(_LINTED) >= LINTED:  # other workers clear it, too: nothing is read back from it
            _LINTED.clear()
        _LINTED[key] = linted
    if linted:
        what, where, hint = linted
        raise InputError(what, where=f"{name}: {where}", hint=hint)


def _said(value: Mapping[str, Any], name: str) -> Said:
    """Return who promotes by a commit, and why: its annotations, else the object itself."""
    found = value["metadata"].get("annotations")
    words = {key: word for key, word in (found or {}).items() if key in (BY, REASON) and isinstance(word, str)}
    reason = words.get(REASON) or f"spec.promotion.approved in generation {generation_of(value)}"
    try:
        return Said.of(words.get(BY) or f"the Filter object {name}", reason)
    except InputError as error:
        raise InputError(error.what, where=f"{name}: metadata.annotations", hint=error.hint) from None
