"""The scoring Jobs of a namespace: found, created once, deleted."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from distillery.components.remote.kubernetes import ask, batch, create
from distillery.components.scoring.job_manifest import ALSO, COMPONENT, FILTER_LABEL, JOB_LABEL, SCORES, Place
from distillery.components.scoring.plan import Plan
from distillery.filters.errors import InputError


def create_job(namespace: str, body: dict[str, Any]) -> bool:
    """Create a Job, once an ended one of its name is deleted.

    Args:
        namespace: of the Job.
        body: the Job.

    Returns:
        True if somebody else had created it.

    Raises:
        InputError: a Job of this name scores into another place, or Kubernetes refuses the Job.
    """
    name, address = body["metadata"]["name"], body["metadata"]["annotations"][SCORES]
    while True:
        try:
            create(batch().create_namespaced_job, namespace, body)
            return False
        except FileExistsError:
            try:
                job = ask(batch().read_namespaced_job, name, namespace)
            except KeyError:
                continue
            if _goes_on(job):
                if scores_of(job) != address:
                    hint = f"give another --out, or end it: --cancel --out {scores_of(job)}"
                    raise InputError(f"scores into {scores_of(job)}", where=f"Job {name}", hint=hint) from None
                return True
            delete_job(namespace, name)
            time.sleep(0.5)


def delete_job(namespace: str, name: str) -> None:
    """Delete a Job and its pods, or find it gone.

    Args:
        namespace: of the Job.
        name: of the Job.
    """
    with suppress(KeyError):
        ask(batch().delete_namespaced_job, name, namespace, propagation_policy="Background")


def cancel(place: Place, scores: str, plan: Plan | None = None) -> list[str]:
    """Delete the unfinished Jobs that score into a place; parts that are there stay.

    Args:
        place: the cluster's namespace and settings.
        scores: URI of the scores.
        plan: delete only Jobs of these inputs; None for all.

    Returns:
        Names of the deleted Jobs.
    """
    into = [job for job in unfinished(place) if scores in [address for _, address in _shares(job)]]
    names = [job.metadata.name for job in into if plan is None or is_at(job, plan, scores)]
    for name in names:
        delete_job(place.namespace, name)
    return names


def unfinished(place: Place, flt: str = "") -> list[Any]:
    """Return the place's scoring Jobs that have not ended.

    Args:
        place: the cluster's namespace and settings.
        flt: name of the only filter to look for; empty for all.

    Returns:
        The Jobs, the oldest first.
    """
    return [job for job in jobs_of(place, flt) if _goes_on(job)]


def jobs_of(place: Place, flt: str = "") -> list[Any]:
    """Return the place's scoring Jobs, ended ones too.

    Args:
        place: the cluster's namespace and settings.
        flt: name of the only filter to look for; empty for all.

    Returns:
        The Jobs, the oldest first.

    Raises:
        InputError: the API server refuses.
        Stopped: it can't be reached.
    """
    found = list[Any]()
    for selector in (f"{FILTER_LABEL}={flt}", f"{ALSO}/{flt}") if flt else (COMPONENT,):
        found += ask(batch().list_namespaced_job, place.namespace, label_selector=selector).items
    return sorted(found, key=lambda job: str(job.metadata.creation_timestamp))


def scores_of(job: Any, flt: str = "") -> str:
    """Return the address that a Job scores into.

    Args:
        job: the Job, as the Kubernetes client has it.
        flt: name of the filter; empty for the first of several.

    Returns:
        A URI, empty if the Job names none.
    """
    annotations = job.metadata.annotations or {}
    return str(annotations.get(f"{ALSO}/{flt}") or annotations.get(SCORES, ""))


def is_at(job: Any, plan: Plan, scores: str) -> bool:
    """True if a Job scores these inputs into this place, for this filter alone or for others, too.

    Args:
        job: the Job, as the Kubernetes client has it.
        plan: the inputs.
        scores: URI of the scores.

    Returns:
        Whether it does.
    """
    return (plan.job[:40], scores) in _shares(job)


def _shares(job: Any) -> list[tuple[str, str]]:
    """Return for each filter of a Job the job's digest, cut as labels hold it, and the address of its scores."""
    labels, annotations = job.metadata.labels or {}, job.metadata.annotations or {}
    names = [(JOB_LABEL, SCORES), *((name, name) for name in annotations if name.startswith(f"{ALSO}/"))]
    return [(str(labels.get(label, "")), str(annotations.get(address, ""))) for label, address in names]


def _goes_on(job: Any) -> bool:
    return not ended(job) and job.metadata.deletion_timestamp is None


def ended(job: Any) -> str:
    """Return how a Job ended.

    Args:
        job: the Job, as the Kubernetes client has it.

    Returns:
        Complete or Failed; empty while it goes on.
    """
    ends = [each.type for each in job.status.conditions or [] if each.status == "True" and each.type in ("Complete", "Failed")]
    return ends[0] if ends else ""
