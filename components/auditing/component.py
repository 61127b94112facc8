"""KFP adapter of the audit step."""

from kfp import dsl

from distillery.components.runtime.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def audit(store: str, filter_key: str, label_set: str, run: str, labels: dsl.Output[dsl.Dataset]) -> str:
    """Looks for what makes labels unfit to learn from: ranges, redundancy, boilerplate, copies, dominant sources.

    Args:
        store: URI of the object store, file:// or s3://; empty for the cluster's own.
        filter_key: Key of the published filter.
        label_set: Digest of the label set.
        run: Name of this run.
        labels: The label set that was audited, by digest.

    Returns:
        Digest of the audit.
    """
    from distillery.components.auditing.audit import audit as work
    from distillery.components.runtime.step import step_context
    from distillery.components.store.layout import LABEL_SETS, committed_key

    with step_context("audit", store, filter_key, run) as step:
        record = work(step.store, step.filter, label_set=label_set, progress=step.progress, keep=step.keep)
        step.describe(labels, record, label_set, committed_key(LABEL_SETS, label_set))
        return str(record.outputs["audit"])
