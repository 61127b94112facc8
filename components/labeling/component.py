"""KFP adapter of the label step."""

from kfp import dsl

from distillery.components.runtime.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def label(
    store: str,
    filter_key: str,
    articles: str,
    labels: str,
    max_rejects: str,
    budget: float,
    without_calibration: str,
    run: str,
) -> str:
    """Turns articles into labels with the filter's oracle, or imports labels that exist.

    Args:
        store: URI of the object store, file:// or s3://.
        filter_key: Key of the published filter.
        articles: Articles for the oracle to label; empty where labels are given.
        labels: Labels that exist already; empty where articles are given.
        max_rejects: How many bad rows of labels may be left out, "20" or "1%".
        budget: US dollars that the labels may cost, earlier runs included; 0 for no limit.
        without_calibration: Why labels are paid for without a calibration that passed; recorded with them.
        run: Name of this run.

    Returns:
        Digest of the label set.
    """
    from distillery.components.labeling.label import label as work
    from distillery.components.runtime.step import step_context

    with step_context("label", store, filter_key, run) as step:
        given = step.parameters(
            articles=articles,
            labels=labels,
            max_rejects=max_rejects,
            budget=budget,
            without_calibration=without_calibration,
        )
        limit = given.pop("budget") or None
        record = work(step.store, step.filter, **given, budget=limit, progress=step.progress)
        return str(step.keep(record).outputs["label_set"])
