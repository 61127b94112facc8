"""KFP adapter of the preflight step."""

from typing import NamedTuple

from kfp import dsl

from components.images import LIGHT


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

    from components.preflight.cluster import cluster
    from components.preflight.preflight import preflight as work
    from components.step import step_context

    settings = {"max_rejects": max_rejects, "marks": marks, "budget": budget, "trainer": trainer, "gpus": gpus}
    given = {"ref": filter, "articles": articles, "labels": labels, "profile": profile, "overrides": overrides}
    with step_context("preflight", store, "", run) as step:
        record = work(step.store, **given, **settings, flags=False)
        found = cluster(trainer=trainer, gpus=gpus)
        outputs = step.keep(record).outputs
        ready = namedtuple("Ready", ["filter_key", "articles", "labels", *found._fields])
        return ready(outputs["filter_key"], outputs["articles"], outputs["labels"], *found)
