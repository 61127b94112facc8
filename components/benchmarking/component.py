"""KFP adapter of the benchmark step."""

from kfp import dsl

from distillery.components.runtime.images import TORCH


@dsl.component(base_image=TORCH, install_kfp_package=False)
def benchmark(
    store: str,
    filter_key: str,
    adapter: dsl.Input[dsl.Model],
    split: dsl.Input[dsl.Dataset],
    run: str,
    metrics: dsl.Output[dsl.Metrics],
    figures: dsl.Output[dsl.Artifact],
) -> str:
    """Judge an adapter on the frozen test part, beside baselines and the incumbent.

    Args:
        store: URI of the object store, file:// or s3://; empty for the cluster's own.
        filter_key: Key of the published filter.
        adapter: The adapter bundle.
        split: The split.
        run: Name of this run.
        metrics: Scalar metrics, so that runs compare in the UI.
        figures: The benchmark, by digest.

    Returns:
        Digest of the benchmark.
    """
    from distillery.components.benchmarking.benchmark import benchmark as work
    from distillery.components.benchmarking.benchmark import scalars
    from distillery.components.runtime.step import step_context

    with step_context("benchmark", store, filter_key, run) as step:
        subject = {"adapter": adapter.metadata["digest"], "split": split.metadata["digest"]}
        record = work(step.store, step.filter, **subject, progress=step.progress)
        for name, value in scalars(step.store, record).items():
            metrics.log_metric(name, value)
        step.describe(figures, record, record.outputs["benchmark"])
        return str(step.keep(record).outputs["benchmark"])
