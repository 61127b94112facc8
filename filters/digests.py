"""What each step reads of a filter, so that a change redoes only what depends on it.

`parts` is the one table: digests are taken over it, and `filters diff` and `distillery plan` explain themselves with it.
`distillery.filters.steps` has the steps' names, order and dependencies.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from distillery.filters.filter import Filter
from distillery.filters.instruction import student_instruction
from distillery.filters.metrics import ON_DEMAND
from distillery.filters.spec import ONLINE, Student, Training
from distillery.filters.steps import Step

PROMPT_FORMAT = 1  # bumped when distillery.filters.prompt words the same filter otherwise

# Where the oracle is, what it costs and how fast it is asked, not what it answers.
ORACLE_FREE = frozenset(
    {
        "price",
        "replies",
        "baseUrl",
        "apiKeyEnv",
        "project",
        "location",
        "batchPrefix",
        "requestsPerMinute",
        "tokensPerMinute",
        "timeoutSeconds",
    }
)
# By how many workers and how a student is fitted. They change rounding and the draws of dropout, as threads and devices do.
# And who is told of it meanwhile, which no number of the training is computed from.
TRAINING_FREE = frozenset({"strategy", "nodes", "reportTo"})
# How a student is served; training keeps every plan that does as fp32 does. The precision is what a benchmark judges.
STUDENT_FREE = frozenset({"device", "precision"})
PARAMETERS = frozenset({"temperature", "maxOutputTokens", "thinkingBudget"})  # nothing to a recording

# Read by people, by Kubernetes, by its operator or for finding the data, never by what one of these steps computes. The
# prefilter decides which articles of a corpus are scored.
STEP_FREE = frozenset(
    {
        "apiVersion",
        "kind",
        "metadata",
        "spec.version",
        "spec.description",
        "spec.data.articles",
        "spec.data.labels",
        "spec.prefilter",
        "spec.promotion.approved",
        "spec.promotion.registries",
        "spec.run",
        "spec.retrain",
        "spec.student.device",
        *(f"spec.oracle.{key}" for key in ORACLE_FREE),
        *(f"spec.training.{key}" for key in TRAINING_FREE),
    }
)


def parts(flt: Filter, step: Step) -> dict[str, Any]:
    """Return what a step itself reads of a filter, without what it gets through earlier steps.

    Args:
        flt: The resolved filter.
        step: Name of the step.

    Returns:
        Plain JSON values by name of the section.
    """
    spec = flt.spec
    if step == "label":
        read_as = {"columns": flt.columns, "scores": flt.score_form.to_json()}
        return {"rubric": rubric_part(flt), "oracle": oracle_part(flt), **{key: said for key, said in read_as.items() if said}}
    names = flt.dimensions
    if step == "audit":
        return {"dimensions": names, "duplicateJaccard": spec.split.duplicateJaccard}
    if step == "split":  # strata come from the unweighted mean, so a weight does not move an article
        return {"dimensions": names, "split": spec.split.model_dump(mode="json")}
    if step == "train":
        return {
            "dimensions": names,
            "student": student_part(flt),
            "training": training_part(flt),
            **read_besides(flt),
        }
    if step == "benchmark":
        return {
            "dimensions": names,
            "weights": [dimension.weight for dimension in spec.dimensions],
            "tiers": [tier.model_dump(mode="json") for tier in spec.tiers],
            "gatekeepers": [keeper.model_dump(mode="json") for keeper in spec.gatekeepers],
            "contentTypes": [kind.model_dump(mode="json", exclude={"description"}) for kind in spec.contentTypes],
            **({"precision": spec.student.precision} if spec.student.precision != "auto" else {}),
            **({"figures": asked} if (asked := figures_on_demand(flt)) else {}),
        }
    if step == "gate":
        return {"gates": [gate.model_dump(mode="json") for gate in spec.gates], "approval": spec.promotion.approval}
    return {"promotion": spec.promotion.model_dump(mode="json", exclude={"approved", "registries"})}


def figures_on_demand(flt: Filter) -> list[str]:
    """Return the figures that a benchmark holds for this filter's gates alone.

    Args:
        flt: The resolved filter.

    Returns:
        Names of metrics, sorted.
    """
    return sorted({gate.metric for gate in flt.spec.gates}.intersection(ON_DEMAND))


def rubric_part(flt: Filter) -> dict[str, Any]:
    """Return what the prompt says: meaning, not arithmetic. Weights, caps and tiers are computed afterwards.

    Args:
        flt: The resolved filter.

    Returns:
        Plain JSON values.
    """
    spec = flt.spec
    return {
        "format": PROMPT_FORMAT,
        "scope": spec.scope.model_dump(mode="json"),
        "dimensions": [dimension.model_dump(mode="json", exclude={"weight"}) for dimension in spec.dimensions],
        "contentTypes": [{"name": kind.name, "description": kind.description} for kind in spec.contentTypes],
        "instructions": spec.oracle.instructions,
        "maxWords": spec.oracle.maxWords,
    }


def oracle_part(flt: Filter) -> dict[str, Any]:
    """Return who answers and how. Batch and online are one oracle by two routes: a label is bought once, by either.

    Args:
        flt: The resolved filter.

    Returns:
        Plain JSON values.
    """
    oracle = flt.spec.oracle
    part = oracle.model_dump(mode="json", exclude=set(ORACLE_FREE | (PARAMETERS if oracle.provider == "replay" else set())))
    return {**part, "provider": ONLINE.get(oracle.provider, oracle.provider)}


def training_part(flt: Filter) -> dict[str, Any]:
    """Return how a student is fitted, without who does the work.

    Args:
        flt: The resolved filter.

    Returns:
        Plain JSON values.
    """
    return flt.spec.training.model_dump(mode="json", exclude=set(TRAINING_FREE))


def read_besides(flt: Filter) -> dict[str, Any]:
    """Return what a training reads of other sections: weights of dimensions, the text before articles, types, a precision.

    Args:
        flt: The resolved filter.

    Returns:
        "weights", "instruction", "contentTypes" and "reference", each where it is read.
    """
    training, text = flt.spec.training, student_instruction(flt)
    weighted = training.dimensionWeights == "filter" or training.stopOn in ("overall", "spearman")
    weights = {"weights": [dimension.weight for dimension in flt.spec.dimensions]} if weighted else {}
    lower = {} if (judged := reference_precision(flt.spec.student, training)) == "fp32" else {"reference": judged}
    named = {"contentTypes": flt.content_types} if flt.spec.student.contentTypes == "head" else {}
    return {**weights, **({"instruction": text} if text else {}), **named, **lower}


def reference_precision(student: Student, training: Training) -> Literal["fp32", "bf16"]:
    """Return the precision in which training validates and packages a student, which is the first that serves.

    Args:
        student: the filter's student section.
        training: its training section.

    Returns:
        bf16 where the filter says that bf16 serves, and the base model is held in bf16 or in 4 bits while it trains: what has
            room for no more has none for fp32. Else fp32, against which any other precision is compared.
    """
    less = training.quantize != "none" or (training.precision == "bf16" and student.lora is not None)
    return "bf16" if less and student.precision == "bf16" else "fp32"


def student_part(flt: Filter) -> dict[str, Any]:
    """Return which student is fitted, without how it is served.

    Args:
        flt: The resolved filter.

    Returns:
        Plain JSON values.
    """
    return flt.spec.student.model_dump(mode="json", exclude=set(STUDENT_FREE))


def rubric_digest(flt: Filter) -> str:
    """Return the digest of what the prompt says.

    Args:
        flt: The resolved filter.

    Returns:
        sha256, 64 hexadecimal digits.
    """
    return _digest(rubric_part(flt))


def step_digest(flt: Filter, step: Step) -> str:
    """Return the digest of what a step reads of a filter.

    Args:
        flt: The resolved filter.
        step: Name of the step.

    Returns:
        sha256, 64 hexadecimal digits.
    """
    return _digest(parts(flt, step))


def _digest(value: object) -> str:
    """Return the digest of the canonical JSON of `distillery.components.store`, which filters may not import."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
