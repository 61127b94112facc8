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
        ("source", str),
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
    """Refuse in seconds what would fail later, naming the field, and publish the resolved filter.

    Args:
        filter: As the pipeline's; so are all but the last.
        articles: Articles to label.
        labels: Labels that exist.
        store: URI of the object store.
        profile: A named set of overrides.
        overrides: Settings for this run.
        max_rejects: How many bad rows of labels may be left out.
        marks: What the calibration goes by.
        budget: US dollars that the labels may cost.
        trainer: pod or trainjob.
        gpus: GPUs of a training pod.
        run: Name of this run.

    Returns:
        filter_key: Key of the published filter. source: "articles" or "labels". articles, labels: What the run starts from,
        one of them empty; both where the run's parameters are in a file.
        The rest: what this cluster gives to the tasks that load the student.
    """
    from collections import namedtuple

    from distillery.components.preflight.cluster import cluster
    from distillery.components.preflight.preflight import preflight as work
    from distillery.components.preflight.request import RunRequest
    from distillery.components.runtime.step import step_context

    with step_context("preflight", store, "", run) as step:
        given = step.parameters(
            filter=filter,
            store=store,
            articles=articles,
            labels=labels,
            profile=profile,
            overrides=overrides,
            max_rejects=max_rejects,
            marks=marks,
            budget=budget,
            trainer=trainer,
            gpus=gpus,
        )
        request = RunRequest(**{**given, "overrides": tuple(given["overrides"])})
        record = work(step.store, request)
        need = max(record.facts["memory"].values(), default=0)
        training = cluster(trainer=request.trainer, gpus=request.gpus, need=need)
        outputs = step.keep(record).outputs
        files = {name: "" if step.by_file else outputs[name] for name in ("articles", "labels")}
        source = "articles" if outputs["articles"] else "labels"
        values = {"filter_key": outputs["filter_key"], "source": source, **files, **training._asdict()}
        return namedtuple("Ready", list(values))(**values)
