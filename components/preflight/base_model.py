"""Checks that a cluster's training will find its base model, whole and measured, before an oracle is paid.

A pod reaches the stores and nothing else: a model that lies on one machine, in a package there or on the model hub is mirrored
once (`distillery models push`). The check costs a few requests (pointer, manifest, configuration, the headers of the weights);
a run that finds out in its training has already paid for labels.
"""

from __future__ import annotations

import os

from distillery.components.store import NotFound, Store, in_bucket, open_store
from distillery.components.student.base_files import CONFIG, MAX_CONFIG, TOKENIZER, check_tensors, parse_config
from distillery.components.student.memory import Body
from distillery.components.student.mirror import find, require_complete
from distillery.components.student.resolve import MODELS_VARIABLE, mirrors_of, stored_weights
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter


def require_base(store: Store, flt: Filter) -> Body | None:
    """Refuse a filter whose base model no pod can have.

    An absolute path is left to training: an image or a volume of the platform's own may have it.

    Args:
        store: The run's store, which may mirror models.
        flt: The resolved filter.

    Returns:
        What decides how much memory the model takes; None for an absolute path.

    Raises:
        InputError: Neither DISTILLERY_MODELS nor the store mirrors the model; the hint is the command that does. Or its
            configuration is not allowed, or its weights are not those that it makes.
    """
    ref, revision = flt.spec.student.baseModel, flt.spec.student.revision
    where = f"student.baseModel {ref}"
    if ref.startswith("/"):
        return None
    if in_bucket(ref):
        source = open_store(ref, write=False)
        try:
            config = parse_config(source.get(CONFIG, max_bytes=MAX_CONFIG), ref)
            check_tensors(stored_weights(source, ref), config, ref)
            with source.open(TOKENIZER) as stream:
                return Body(config, sum(len(block) for block in iter(lambda: stream.read(2**20), b"")))
        except NotFound as error:
            hint = "copy the model there, or name another one"
            raise InputError(f"has no {error.args[0]}", where=where, hint=hint) from None
        return
    elsewhere = os.environ.get(MODELS_VARIABLE)
    for mirror in mirrors_of(store):
        if model := find(mirror, ref, revision):
            return require_complete(mirror, model)
    given = f" --revision {revision}" if revision else ""
    raise InputError(
        f"is not mirrored{f' at revision {revision}' if revision else ''}",
        where=where,
        hint=f"distillery models push {ref}{given} --store {elsewhere or store.uri}, from a machine that has it",
    )
