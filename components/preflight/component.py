"""KFP adapter of the preflight step."""

from typing import NamedTuple

from kfp import dsl

from distillery.components.runtime.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def preflight(
    filter: str,
    articles: str,
    labels: str,
    store: str,
    profile: str,
    overrides: list,
    max_rejects: str,
    marks: str,
    budget: float,
    trainer: str,
    gpus: int,
    run: str,
) -> NamedTuple(
    "Ready",
    [
        ("filter_key", str),
        ("articles", str),
        ("labels", str),
        ("cpu_request", str),
        ("cpu_limit", str),
        ("memory_request", str),
        ("memory_limit", str),
        ("train_gpus", str),
        ("benchmark_gpus", str),
        ("nodes", dict),
    ],
):
    """Refuses in seconds what would fail later, naming the field; publishes the resolved filter. Parameters as the pipeline's.

    Returns:
        filter_key: Key of the published filter. articles, labels: What the run starts from, one of them empty.
        The rest: what this cluster gives to the tasks that load the student.
    """
    from collections import namedtuple
    from typing import Any

    from distillery.components.preflight.cluster import cluster
    from distillery.components.preflight.preflight import preflight as work
    from distillery.components.runtime.step import step_context

    inputs: dict[str, Any] = {"ref": filter, "articles": articles, "labels": labels, "marks": marks}
    settings: dict[str, Any] = {"profile": profile, "overrides": overrides, "max_rejects": max_rejects, "budget": budget}
    with step_context("preflight", store, "", run) as step:
        record = work(step.store, **inputs, **settings, trainer=trainer, gpus=gpus, flags=False)
        given = cluster(trainer=trainer, gpus=gpus)
        outputs = step.keep(record).outputs
        values = {"filter_key": outputs["filter_key"], "articles": outputs["articles"], "labels": outputs["labels"]}
        values |= given._asdict()
        return namedtuple("Ready", list(values))(**values)
