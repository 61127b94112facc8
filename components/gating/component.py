"""KFP adapter of the gate step."""

from typing import NamedTuple

from kfp import dsl

from distillery.components.runtime.images import LIGHT


@dsl.component(base_image=LIGHT, install_kfp_package=False)
def gate(
    store: str,
    filter_key: str,
    adapter: dsl.Input[dsl.Model],
    benchmark: dsl.Input[dsl.Artifact],
    run: str,
    judgement: dsl.Output[dsl.Artifact],
) -> NamedTuple("Gated", [("verdict", str), ("decision", str)]):
    """Judge a benchmark by the filter's gates.

    Args:
        store: URI of the object store, file:// or s3://; empty for the cluster's own.
        filter_key: Key of the published filter.
        adapter: The adapter bundle.
        benchmark: Its benchmark.
        run: Name of this run.
        judgement: The verdict, by digest.

    Returns:
        verdict: Digest of the verdict. decision: promote, approve or reject.
    """
    from typing import NamedTuple

    from distillery.components.gating.gate import gate as work
    from distillery.components.runtime.step import step_context

    with step_context("gate", store, filter_key, run) as step:
        subject = {"adapter": adapter.metadata["digest"], "benchmark": benchmark.metadata["digest"]}
        record = work(step.store, step.filter, **subject, progress=step.progress)
        step.describe(judgement, record, record.outputs["verdict"])
        outputs = step.keep(record).outputs
        gated = NamedTuple("Gated", [("verdict", str), ("decision", str)])
        return gated(outputs["verdict"], outputs["decision"])
