"""Compares other plans with fp32 on the validation part, so that a faster one may serve where it predicts the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.serving import MIN_ARTICLES, Candidate, ParityFile
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.student.architectures import ARCHITECTURES
from distillery.components.student.base import Base, check_base
from distillery.components.student.devices import CANDIDATES, able
from distillery.components.student.tokens import Tokens
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.verdict import judge

if TYPE_CHECKING:
    from distillery.components.student.student import Student

Floats = NDArray[np.float64]
DECIMALS = 6  # as in stored predictions
TYPES_CHANGED = 0.01  # share of the articles that may get another content type
CONVERTED = 5 * 10**8  # weights up to which OpenVINO is tried: it converts from fp32, with a copy or two of them


def parity_record(
    flt: Filter, student: Student, tokens: Tokens, labels: Floats, raw: Floats, progress: Progress = quiet
) -> ParityFile | None:
    """Compare every plan that this machine computes fast with fp32.

    Args:
        flt: the filter, whose tiers are counted.
        student: the packaged student in fp32, with score curves and golden texts.
        tokens: of the n validation articles.
        labels: (n, D) their label scores, 0-10.
        raw: (n, D) their raw predictions in fp32.
        progress: told what was compared.

    Returns:
        The record; None where there are fewer than 200 articles, or no other plan.
    """
    small = weights_of(student.base) <= CONVERTED
    plans = [plan for plan in CANDIDATES[student.plan.device] if able(plan) and (small or plan.engine != "openvino")]
    if not plans or len(tokens) < MIN_ARTICLES:
        if plans:
            progress.note(f"it serves in fp32: {len(tokens)} validation articles, and {MIN_ARTICLES} are needed to compare")
        return None
    found, named = [], student.read_tokens(tokens).content_types if student.types else None
    student._forward = None  # memory holds one body at a time
    for plan in plans:
        try:
            candidate = _compare(flt, replace(student, plan=plan, parity=None, _forward=None), tokens, labels, raw, named)
        except InputError as error:
            progress.note(f"{plan} can't serve: {error}")
            continue
        found.append(candidate)
        progress.note(
            f"{plan} {'may serve' if candidate.passed else 'is too far from fp32'}: scores differ by at most "
            f"{candidate.largest:.3f} points, 99.9% of them by {candidate.p999:.3f}; "
            f"MAE {candidate.mae - candidate.mae_fp32:+.4f}, {candidate.tiers_flipped} of {len(tokens):,} tiers changed"
        )
    return ParityFile(articles=len(tokens), candidates=found) if found else None


def weights_of(base: Base) -> int:
    """Return how many weights a base model's body has, by its configuration.

    Args:
        base: the base model.

    Returns:
        Their number.
    """
    config, _ = check_base(base.path, base.ref)
    return sum(math.prod(shape) for shape in ARCHITECTURES[config["model_type"]].shapes(config).values())


def _compare(
    flt: Filter, student: Student, tokens: Tokens, labels: Floats, raw: Floats, named: list[str | None] | None
) -> Candidate:
    (found, types), wanted = student.read_tokens(tokens), student.scores(raw)
    scores = student.scores(found)
    golden = student.predict(student.golden[0])
    if not (np.isfinite(scores).all() and np.isfinite(golden).all()):
        raise InputError("its predictions are not finite numbers")
    differences = np.abs(scores - wanted)
    if types is not None and named is not None:
        others = sum(one != other for one, other in zip(types, named, strict=True))
        if others > TYPES_CHANGED * len(named):
            raise InputError(f"it names other content types of {others} articles")
    flipped = judge(flt, scores, types).tier != judge(flt, wanted, named).tier
    candidate = Candidate(
        plan=student.plan,
        p999=round(float(np.quantile(differences, 0.999)), DECIMALS),
        largest=round(float(differences.max()), DECIMALS),
        mae=round(float(np.abs(scores - labels).mean()), DECIMALS),
        mae_fp32=round(float(np.abs(wanted - labels).mean()), DECIMALS),
        tiers_flipped=int(np.count_nonzero(flipped)),
        passed=False,
        golden=golden.round(DECIMALS).tolist(),
    )
    return candidate.model_copy(update={"passed": candidate.within})
