"""KFP adapter of the split step."""

from kfp import dsl

from distillery.components.runtime.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def split(store: str, filter_key: str, labels: dsl.Input[dsl.Dataset], run: str, parts: dsl.Output[dsl.Dataset]) -> str:
    """Splits labels into train, validation and the frozen test part; copies stay on one side.

    Args:
        store: URI of the object store, file:// or s3://; empty for the cluster's own.
        filter_key: Key of the published filter.
        labels: The audited label set.
        run: Name of this run.
        parts: The split, by digest.

    Returns:
        Digest of the split.
    """
    from distillery.components.runtime.step import step_context
    from distillery.components.splitting.split import split as work

    with step_context("split", store, filter_key, run) as step:
        record = work(step.store, step.filter, label_set=labels.metadata["digest"], progress=step.progress)
        step.describe(parts, record, record.outputs["split"])
        return str(step.keep(record).outputs["split"])
