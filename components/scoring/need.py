"""How much memory a pod takes that scores with an adapter, from the bundle and the headers of its base model."""

from __future__ import annotations

from collections.abc import Sequence

from distillery.components.artifacts.bundle import STUDENT, StudentFacts, bundle_folder
from distillery.components.artifacts.serving import Plan
from distillery.components.store import Store, StoreError
from distillery.components.student.memory import Need, serve_need
from distillery.components.student.mirror import find, require_complete
from distillery.components.student.resolve import mirrors_of
from distillery.filters.errors import InputError


def memory_need(store: Store, name: str, adapter: str, served: Plan | None) -> Need | None:
    """Return how much memory scoring with an adapter takes.

    Args:
        store: where the bundle is, and maybe its base model.
        name: name of the filter.
        adapter: digest of the bundle.
        served: in which precision, by which engine; None for fp32 by torch.

    Returns:
        The need; None where the bundle or a mirror of its base model can't be read. Its pods then say what is wrong with it.
    """
    try:
        folder = bundle_folder(store, name, adapter)
        facts = StudentFacts.read(folder.read(STUDENT), f"{folder.where}/{STUDENT}")
        for mirror in mirrors_of(store):
            if model := find(mirror, facts.base.ref, facts.base.revision):
                body = require_complete(mirror, model)
                plan, dims = served or Plan(), len(facts.dimensions)
                return serve_need(body, facts.maxLength, facts.lora, dims, precision=plan.precision, engine=plan.engine)
    except (InputError, StoreError):
        pass
    return None


def pod_need(needs: Sequence[Need | None]) -> int:
    """Return how much memory a pod takes that scores by several students, one after the other.

    Args:
        needs: of each student.

    Returns:
        Bytes; 0 where one of them isn't known.
    """
    known = [need for need in needs if need]
    if len(known) < len(needs):
        return 0
    shared = max(need.libraries for need in known) + max(need.activations for need in known)
    return shared + sum(need.weights + need.adapter for need in known)
