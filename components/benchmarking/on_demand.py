"""Figures that a benchmark holds only where a gate asks for them, and that follow from the bundle, not from predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from distillery.components.artifacts.bundle import HISTORY, HistoryFile, bundle_folder
from distillery.components.artifacts.serving import Plan
from distillery.components.benchmarking.predict import About
from distillery.components.store import Store
from distillery.filters.digests import figures_on_demand
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.filters.filter import Filter

LAST: Final = 2  # epochs that say where the training was going
MB: Final = 1e6


def figures_asked_for(
    store: Store, flt: Filter, about: About, validation: int, served: Mapping[str, Any] | None = None
) -> dict[str, float | None]:
    """Return the figures of a bundle that a gate of the filter asks for.

    Args:
        store: where bundle and base model are.
        flt: the filter.
        about: what the bundle says of itself.
        validation: articles of the validation part.
        served: the plan by which it was read; None for fp32 on a CPU by torch.

    Returns:
        Values by name of the metric; None where one can't be worked out.

    Raises:
        InputError: memory is asked for, and the base model can't be had here.
    """
    asked, found = figures_on_demand(flt), dict[str, float | None]()
    if "no_overfitting" in asked:
        folder = bundle_folder(store, flt.name, about.adapter)
        known = HISTORY in folder.files
        history = HistoryFile.read(folder.read(HISTORY), f"{folder.where}/{HISTORY}") if known else None
        found["no_overfitting"] = rise(history, validation) if history else None
    if "memory_mb" in asked:
        found["memory_mb"] = _memory(store, about, Plan.model_validate(served) if served else Plan())
    return found


def rise(history: HistoryFile, validation: int) -> float | None:
    """Return how far the validation MAE rose after the kept epoch, in standard errors of the kept epoch's.

    The rise is from the kept epoch to the mean of the last two after it, or of the one. The standard error is that of a mean
    over articles, their absolute errors spreading as MAE and RMSE of the epoch say. Up to 1 is noise: by the one-standard-error
    rule, epochs that near are as good.

    Args:
        history: of the training.
        validation: articles of the validation part.

    Returns:
        0 where no epoch followed the kept one, or none was worse; None where the history lacks the kept epoch, or all articles
        err alike.
    """
    kept = next((epoch for epoch in history.epochs if epoch.epoch == history.best_epoch), None)
    if kept is None or validation < 1:
        return None
    after = [epoch.validation_mae for epoch in history.epochs if epoch.epoch > kept.epoch][-LAST:]
    risen = sum(after) / len(after) - kept.validation_mae if after else 0.0
    if risen <= 0:
        return 0.0
    spread = math.sqrt(max(kept.validation_rmse**2 - kept.validation_mae**2, 0.0))
    return risen / (spread / math.sqrt(validation)) if spread else None


def _memory(store: Store, about: About, plan: Plan) -> float:
    """Return what scoring takes, in MB, worked out from the base model's configuration."""
    from distillery.components.student.memory import body_in, serve_need
    from distillery.components.student.resolve import resolve_base

    student = about.student
    base = resolve_base(student.base.ref, student.base.revision, store)
    if base.digest != student.base.digest:
        what = f"{base.ref} here is {base.digest[:12]}, not the base model it was trained on, {student.base.digest[:12]}"
        raise InputError(what, where=about.where, hint="install or mirror the base model that it was trained on")
    need = serve_need(
        body_in(base.path, base.ref),
        student.maxLength,
        student.lora,
        len(student.dimensions),
        precision=plan.precision,
        engine=plan.engine,
    )
    return need.total / MB
