"""KFP adapter of the preflight step."""

from typing import NamedTuple

from kfp import dsl

from components.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def preflight(filter: str, articles: str, labels: str, store: str, profile: str, overrides: list, run: str) -> NamedTuple(
    "Ready", [("filter_key", str), ("articles", str), ("labels", str)]
):
    """Refuses in seconds what would fail later, and publishes the resolved filter.

    Args:
        filter: A filter's name, name/vN, path or YAML text.
        articles: Articles for the oracle to label; empty where labels are given.
        labels: Labels that exist already; empty where articles are given.
        store: URI of the object store, file:// or s3://.
        profile: A named set of overrides, such as laptop; may be empty.
        overrides: Settings for this run, each "path=value".
        run: Name of this run.

    Returns:
        filter_key: Key of the published filter. articles, labels: What the run starts from, one of them empty.
    """
    from typing import NamedTuple

    from components.preflight.preflight import preflight as work
    from components.step import step_context

    with step_context("preflight", store, "", run) as step:
        record = work(step.store, ref=filter, articles=articles, labels=labels, profile=profile, overrides=overrides)
        outputs = step.keep(record).outputs
        ready = NamedTuple("Ready", [("filter_key", str), ("articles", str), ("labels", str)])
        return ready(outputs["filter_key"], outputs["articles"], outputs["labels"])
