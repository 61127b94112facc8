"""Schedules: a pipeline that Kubeflow starts again and again, one schedule a filter.

Kubeflow calls it a recurring run. Its cron has six fields, seconds first; what people write is made so by `filters/cron.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from distillery.pipelines.cluster.kubeflow import Kubeflow, Published


class Schedule(NamedTuple):
    """A schedule that Kubeflow has.

    Attributes:
        id: Kubeflow's.
        name: Its name, made of pipeline and filter.
        cron: Six fields.
        enabled: False where it is suspended.
        version: Id of the pipeline's version that it starts.
        parameters: What it starts it with.
        created: When it was made; empty where that is not known.
    """

    id: str
    name: str
    cron: str
    enabled: bool
    version: str
    parameters: dict[str, Any]
    created: str


def schedule_name(pipeline: str, filter: str) -> str:
    """Return the name of the schedule of a filter.

    Args:
        pipeline: Name of the pipeline.
        filter: Name of the filter.

    Returns:
        The name, of which there is one at a time.
    """
    return f"{pipeline}-{filter}"


def schedules(kubeflow: Kubeflow, name: str = "") -> list[Schedule]:
    """Return the schedules that Kubeflow has.

    Args:
        kubeflow: Where they are.
        name: Name of a schedule, to leave others out; empty for all, also those of others.

    Returns:
        The schedules, by name, the newest first.
    """
    found: list[Any] = []
    predicates = {"predicates": [{"operation": "EQUALS", "key": "name", "stringValue": name}]}
    token = ""
    while True:
        page = kubeflow.call(
            lambda token=token: kubeflow.client.list_recurring_runs(  # type: ignore[misc]
                page_token=token,
                page_size=100,
                namespace=kubeflow.namespace,
                filter=json.dumps(predicates) if name else None,
            )
        )
        found += page.recurring_runs or []
        token = page.next_page_token or ""
        if not token:
            break
    newest = sorted((_schedule(each) for each in found), key=lambda one: one.created, reverse=True)
    return sorted(newest, key=lambda one: one.name)


def _schedule(found: Any) -> Schedule:
    trigger = found.trigger
    cron = trigger.cron_schedule.cron if trigger and trigger.cron_schedule else ""
    if trigger and trigger.periodic_schedule:
        cron = f"every {trigger.periodic_schedule.interval_second} s"
    reference, config = found.pipeline_version_reference, found.runtime_config
    return Schedule(
        str(found.recurring_run_id),
        str(found.display_name),
        str(cron or ""),
        str(found.status) == "ENABLED" or (found.status is None and str(found.mode) == "ENABLE"),
        str(reference.pipeline_version_id) if reference else "",
        dict((config.parameters if config else None) or {}),
        _time(found.created_at),
    )


def put_schedule(
    kubeflow: Kubeflow,
    version: Published,
    name: str,
    cron: str,
    parameters: Mapping[str, Any],
    *,
    experiment: str,
    account: str = "",
) -> tuple[Schedule, str]:
    """Let Kubeflow start a pipeline by a clock, and nothing else under the same name.

    Args:
        kubeflow: Where it runs.
        version: The pipeline's version.
        name: Name of the schedule, as `schedule_name` returns it.
        cron: Six fields.
        parameters: The pipeline's parameters.
        experiment: Name of the experiment that its runs belong to.
        account: The runs' service account; empty for Kubeflow's default.

    Returns:
        The schedule, and what became of it: "created", "replaced", "resumed" or "unchanged". One that was
        replaced while a run of it goes on is suspended, and deleted the next time.

    Raises:
        Refused: Kubeflow says no.
    """
    before = schedules(kubeflow, name)
    wanted = (cron, version.version, dict(parameters))
    same = [one for one in before if (one.cron, one.version, one.parameters) == wanted]

    def once() -> str:
        again = [one for one in schedules(kubeflow, name) if one not in before]
        if again:  # an earlier try whose reply was lost
            return again[0].id
        home = kubeflow.client.create_experiment(experiment, namespace=kubeflow.namespace)
        made = kubeflow.client.create_recurring_run(
            home.experiment_id,
            name,
            cron_expression=cron,
            max_concurrency=1,  # a night that takes longer than a day is not run into
            no_catchup=True,
            params=dict(parameters),
            pipeline_id=version.pipeline,
            version_id=version.version,
            service_account=account or None,
        )
        return str(made.recurring_run_id)

    if same:
        kept, done = same[0].id, "unchanged" if same[0].enabled else "resumed"
        if not same[0].enabled:
            kubeflow.call(lambda: kubeflow.client.enable_recurring_run(kept))
    else:
        kept, done = kubeflow.call(lambda: _quietly(once)), "replaced" if before else "created"
    for one in before:
        if one.id != kept:
            remove_schedule(kubeflow, one)
    return next(one for one in schedules(kubeflow, name) if one.id == kept), done


def _quietly(work: Any) -> str:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        return str(work())


def suspend_schedule(kubeflow: Kubeflow, one: Schedule) -> None:
    """Let Kubeflow start nothing by a schedule until it is put again.

    Args:
        kubeflow: Where it is.
        one: The schedule.
    """
    kubeflow.call(lambda: kubeflow.client.disable_recurring_run(one.id))


def remove_schedule(kubeflow: Kubeflow, one: Schedule) -> list[str]:
    """Suspend a schedule, and delete it if no run of it goes on.

    Kubeflow 2.14 makes a schedule the owner of its runs' workflows: who deletes it deletes the workflow of a run that goes on,
    which Kubeflow then shows as running forever, and can't cancel.

    Args:
        kubeflow: Where it is.
        one: The schedule; one that is gone already is no fault.

    Returns:
        Ids of the runs that go on, for whose sake the schedule is there still; empty where it is deleted.
    """
    from distillery.pipelines.cluster.kubeflow import NO_RUN, Refused

    try:
        suspend_schedule(kubeflow, one)
        runs = _going_on(kubeflow, one)
        if not runs:
            kubeflow.call(lambda: kubeflow.client.delete_recurring_run(one.id))
    except Refused as error:
        if error.status not in NO_RUN:
            raise
        return []
    return runs


def _going_on(kubeflow: Kubeflow, one: Schedule) -> list[str]:
    """Return the ids of runs that a schedule started and that have not ended."""
    from distillery.pipelines.cluster.kubeflow import ENDED

    found: list[str] = []
    token = ""
    while True:
        page = kubeflow.call(
            lambda token=token: kubeflow.client.list_runs(  # type: ignore[misc]
                page_token=token, page_size=100, sort_by="created_at desc", namespace=kubeflow.namespace
            )
        )
        runs = page.runs or []
        found += [str(run.run_id) for run in runs if str(run.recurring_run_id) == one.id and str(run.state) not in ENDED]
        token = page.next_page_token or ""
        if not token or (runs and _time(runs[-1].created_at) < one.created):  # all others are older than the schedule
            return found


def _time(at: Any) -> str:
    return str(at.strftime("%Y-%m-%dT%H:%M:%SZ")) if at else ""
