"""KFP adapter of the preflight step."""

from kfp import dsl

from components.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def preflight(
    filter: str, articles: str, labels: str, store: str, profile: str, overrides: list, max_rejects: str, run: str
) -> str:
    """Refuses in seconds what would fail later, and publishes the resolved filter.

    Args:
        filter: A filter's name, name/vN, path or YAML text.
        articles: Articles for the oracle to label; empty where labels are given.
        labels: Labels that exist already; empty where articles are given.
        store: URI of the object store, file:// or s3://.
        profile: A named set of overrides, such as laptop; may be empty.
        overrides: Settings for this run, each "path=value".
        max_rejects: How many bad rows of labels may be left out, "20" or "1%".
        run: Name of this run.

    Returns:
        Key of the published filter.
    """
    from components.preflight.preflight import preflight as work
    from components.step import step_context

    with step_context("preflight", store, "", run) as step:
        record = work(
            step.store,
            ref=filter,
            articles=articles,
            labels=labels,
            profile=profile,
            overrides=overrides,
            max_rejects=max_rejects,
        )
        return str(step.keep(record).outputs["filter_key"])
