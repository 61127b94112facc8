"""Whether a cluster's training will find its base model, asked before an oracle is paid.

A pod has the stores and no more: what lies on one machine, in a package there or on the model hub is mirrored once
(`distillery models push`). This costs one request; a run that finds out in its training has paid for its labels by then.
"""

from __future__ import annotations

import os

from distillery.components.store import Store, open_store
from distillery.components.student.base import CONFIG, MODELS_VARIABLE
from distillery.components.student.mirror import find
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter


def require_base(store: Store, flt: Filter) -> None:
    """InputError, with the command that mirrors it, where no pod can have the filter's base model.

    An absolute path is left to training: an image or a volume of the platform's own may have it.
    """
    ref, revision = flt.spec.student.baseModel, flt.spec.student.revision
    where = f"student.baseModel {ref}"
    if ref.startswith("/"):
        return
    if ref.startswith("s3://"):
        if not open_store(ref, write=False).exists(CONFIG):
            raise InputError(f"has no {CONFIG}", where=where, hint="copy the model there, or name another one")
        return
    elsewhere = os.environ.get(MODELS_VARIABLE)
    for mirror in [*([open_store(elsewhere, write=False)] if elsewhere else []), store]:
        if find(mirror, ref, revision):
            return
    given = f" --revision {revision}" if revision else ""
    raise InputError(
        f"is not mirrored{f' at revision {revision}' if revision else ''}",
        where=where,
        hint=f"distillery models push {ref}{given} --store {elsewhere or store.uri}, from a machine that has it",
    )
