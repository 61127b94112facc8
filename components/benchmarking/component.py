"""KFP adapter of the benchmark step."""

from kfp import dsl

from components.images import TORCH


@dsl.component(base_image=TORCH, install_kfp_package=False)
def benchmark(store: str, filter_key: str, adapter: str, split: str, run: str, metrics: dsl.Output[dsl.Metrics]) -> str:
    """Judges an adapter on the frozen test part, beside baselines and the incumbent.

    Args:
        store: URI of the object store, file:// or s3://.
        filter_key: Key of the published filter.
        adapter: Digest of the adapter bundle.
        split: Digest of the split.
        run: Name of this run.
        metrics: Scalar metrics, so that runs compare in the UI.

    Returns:
        Digest of the benchmark.
    """
    from components.benchmarking.benchmark import benchmark as work
    from components.benchmarking.benchmark import scalars
    from components.step import step_context

    with step_context("benchmark", store, filter_key, run) as step:
        record = work(step.store, step.filter, adapter=adapter, split=split, progress=step.progress)
        for name, value in scalars(step.store, record).items():
            metrics.log_metric(name, value)
        return str(step.keep(record).outputs["benchmark"])
